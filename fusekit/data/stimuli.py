"""Stimuli that several people watched: the same content in several parts of a split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from fusekit.contracts import Clip, Rejected
from fusekit.data.folds import PARTS, Split


def shared_media(
    split: Split, clips: Sequence[Clip], content: Callable[[Path], str] | None = None
) -> list[Rejected]:
    """Media whose content is in several parts of a split, though no subject is: a stimulus that several
    people watched.

    Args:
        content: digest of a file; None: its bytes are read. Only files of equal size are asked for.
    """
    part_of = {clip_id: name for name in PARTS for clip_id in split.part(name)}
    paths: dict[Path, list[tuple[str, Clip]]] = {}
    for clip in clips:
        if clip.id in part_of:
            for modality, source in clip.sources.items():
                paths.setdefault(source.path, []).append((modality, clip))
    sizes = Counter(path.stat().st_size for path in paths if path.is_file())
    groups: dict[str, list[tuple[str, Clip]]] = {}
    for path, users in paths.items():
        twice = path.is_file() and sizes[path.stat().st_size] > 1
        key = (content or _digest)(path) if twice else str(path)
        groups.setdefault(key, []).extend(users)
    notes: dict[tuple[str, tuple[str, ...]], list[list[Clip]]] = {}
    for users in groups.values():
        parts = tuple(name for name in PARTS if any(part_of[clip.id] == name for _, clip in users))
        if len(parts) > 1:
            first = [next(clip for _, clip in users if part_of[clip.id] == name) for name in parts]
            notes.setdefault((users[0][0], parts), []).append(first)
    told = []
    for (modality, parts), found in notes.items():
        example = ", ".join(f"clip {c.id} in {part}" for c, part in zip(found[0], parts, strict=True))
        many = f"{len(found)} contents are" if len(found) > 1 else "the same content is"
        told.append(
            Rejected(
                f"modality {modality}",
                f"{many} in {' and '.join(parts)} ({example}): what is learnt of it in training helps there "
                "too. Where that must not be, give the clips of one content one session, which keeps them "
                "together",
            )
        )
    return told


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
