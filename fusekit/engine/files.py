"""Files that are replaced whole: the one way in which fusekit overwrites anything of a run."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`, making its folder; a reader sees the old file or the new one, never a part.

    Raises:
        OSError: it cannot be written; the old file is still whole and nothing half-written is left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        if partial.is_file():
            partial.unlink()
        raise
