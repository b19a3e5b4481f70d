"""What a run remembers of its data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fusekit.contracts import Clip, Source
from fusekit.provenance import boxed


def test_boxes_count_for_modalities_of_pictures_that_some_clip_brings_them_for() -> None:
    readers: Any = {
        "voice": SimpleNamespace(medium="audio"),
        "face": SimpleNamespace(medium="video"),
        "hands": SimpleNamespace(medium="video"),
    }
    plain, given = Source(Path("a.mp4")), Source(Path("a.mp4"), boxes=Path("a.csv"))
    bare = Clip("a", "anna", {"face": plain, "voice": plain, "hands": plain}, None)
    # Sound of the same column as the picture comes with its boxes, and does not use them.
    full = Clip("b", "ben", {"face": given, "voice": given}, None)
    assert boxed([bare], readers) == []
    assert boxed([bare, full], readers) == ["face"]
