"""Where fusekit keeps what it can make again: prepared clips, the demo corpus, tables cut out of a corpus."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import platformdirs

from fusekit.errors import FusekitError


def cache_dir() -> Path:
    """Folder named by the environment variable FUSEKIT_CACHE, else the platform's cache folder; not created
    here."""
    named = os.environ.get("FUSEKIT_CACHE")
    return (
        Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("fusekit", appauthor=False))
    )


def kept(content: bytes, folder: str, suffix: str, what: str) -> Path:
    """A file of that content in the cache's `folder`, named by it.

    So it is never stale, and another process that writes the same does no harm. One that is there is
    compared: it may have been cut short, or the disk may have turned a bit.

    Raises:
        FusekitError: it cannot be written; `what` names it.
    """
    path = cache_dir() / folder / f"{hashlib.sha256(content).hexdigest()}{suffix}"
    if not _holds(path, content):
        temporary = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except OSError as fault:
            raise FusekitError(
                f"{path.parent}: {what} cannot be written ({fault.strerror or fault}). Free some space "
                "there, or name another folder by the environment variable FUSEKIT_CACHE."
            ) from fault
    return path


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:  # not there, or not to be read: written, or said why it cannot be
        return False
