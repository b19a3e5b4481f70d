"""Names of clips, subjects and files: one Unicode form everywhere; names that hardly differ are told."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fusekit.contracts import Clip, Rejected
from fusekit.errors import DataError


def composed(text: str) -> str:
    """Text in Unicode's composed form (NFC): `ö` is one character, however it was typed or stored."""
    return unicodedata.normalize("NFC", text)


def existing(path: Path) -> Path:
    """The file or folder of that name, whatever Unicode form the disk has it in; `path` where there is none.

    Some systems store names decomposed, and archives carry them to others that take them as different.
    """
    if path.exists():
        return path
    found = Path(path.anchor) if path.anchor else Path()
    for part in path.parts[1:] if path.anchor else path.parts:
        step = found / part
        if not step.exists():
            wanted = composed(part)
            try:
                alike = [entry for entry in found.iterdir() if composed(entry.name) == wanted]
            except OSError:
                return path
            if len(alike) != 1:
                return path
            step = alike[0]
        found = step
    return found


def tidied(clips: Sequence[Clip]) -> list[Clip]:
    """The same clips, sorted by id, with ids, subjects and sessions in composed form.

    Raises:
        DataError: two clips of one id then.
    """
    found = [
        replace(c, id=composed(c.id), subject=composed(c.subject), session=composed(c.session)) for c in clips
    ]
    seen: set[str] = set()
    for clip in found:
        if clip.id in seen:
            raise DataError(f"two clips are called {clip.id!r}, in different Unicode forms: rename one")
        seen.add(clip.id)
    return sorted(found, key=lambda c: c.id)


def alike(clips: Sequence[Clip]) -> list[Rejected]:
    """Subjects and sessions whose names differ by case, spaces or signs that are not seen alone.

    They count as different people, possibly in training and test.
    """
    notes = []
    for what in ("subject", "session"):
        forms: dict[str, dict[str, str]] = {}
        for clip in clips:
            name = getattr(clip, what)
            if name:
                forms.setdefault(_bare(name), {}).setdefault(name, clip.id)
        for names in forms.values():
            if len(names) > 1:
                told = ", ".join(f"{name!r} (clip {clip_id})" for name, clip_id in sorted(names.items()))
                notes.append(
                    Rejected(
                        f"{what} {min(names)}",
                        f"{told} differ by case or spaces alone and count as {len(names)} {what}s: write one "
                        "name where they are one",
                    )
                )
    return notes


def _bare(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if unicodedata.category(c) not in ("Zs", "Cc", "Cf", "Zl", "Zp"))
