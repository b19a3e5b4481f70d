"""Whether a demo corpus on disk is still what was made: its files' digests are kept beside them."""

from __future__ import annotations

import json
from pathlib import Path

from fusekit.data.cache import cache_dir
from fusekit.data.content import Contents
from fusekit.errors import DataError

KEPT = "contents.json"


def keep_contents(folder: Path) -> None:
    """Note what every file below `folder` holds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = _contents().of(files)
    kept = {p.relative_to(folder).as_posix(): d for p, d in zip(files, digests, strict=True)}
    (folder / KEPT).write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


def check_contents(folder: Path) -> None:
    """Compare; a corpus that was made before digests were kept is taken as it is.

    Raises:
        DataError: a file is gone, or holds something else.
    """
    if not (folder / KEPT).is_file():
        return
    try:
        kept: dict[str, str] = dict(json.loads((folder / KEPT).read_text(encoding="utf-8")))
        odd = [] if kept else [KEPT]
    except (OSError, ValueError, TypeError):
        kept, odd = {}, [KEPT]
    found = _contents().of([folder / name for name in kept])
    odd += [name for name, digest in zip(kept, found, strict=True) if kept[name] != digest]
    if odd:
        more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
        raise DataError(
            f"{folder}: {odd[0]}{more} is not as it was made, so this is no longer the demo corpus. Delete "
            "the folder, and it is made anew; to work on changed ones, copy them, and name their manifest."
        )


def _contents() -> Contents:
    return Contents(cache_dir() / "prepared" / "contents")
