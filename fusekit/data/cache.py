"""Where fusekit keeps what it can make again: prepared clips, the demo corpus."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Folder named by the environment variable FUSEKIT_CACHE, else the platform's cache folder; not created
    here."""
    named = os.environ.get("FUSEKIT_CACHE")
    return (
        Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("fusekit", appauthor=False))
    )
