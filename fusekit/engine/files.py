"""Files that are replaced whole: the one way in which fusekit overwrites anything of a run."""

from __future__ import annotations

import glob
import os
import tempfile
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`, making its folder; a reader sees the old file or the new one, never a part.

    Raises:
        OSError: it cannot be written; the old file is still whole and nothing half-written is left.
    """
    partial = partial_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_parts(path)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:  # a signal too
        if partial.is_file():
            partial.unlink()
        raise


def unwritable(folder: Path) -> str:
    """Why nothing can be written in a folder, or made where it is not there yet; "" if something can."""
    found = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=found):
            return ""
    except OSError as error:
        return f"'{found}': {error.strerror or error}"


def partial_file(path: Path) -> Path:
    """Where this process writes what shall replace `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def remove_left_parts(path: Path) -> None:
    """Remove what processes that were killed while they wrote `path` have left of it.

    Parts of other files are left alone: in a folder that several machines share, they may be at work there,
    and a number does not tell whose process it is.

    Raises:
        OSError: one cannot be removed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        process = left.name.removeprefix(f".{path.name}.").removesuffix(".partial")
        if process.isdecimal() and not _lives(int(process)):
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere, to ask by signal 0 would be to send one
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):  # none of this number, or no number of a process at all
        return False
    except PermissionError:  # somebody else's
        return True
    return True
