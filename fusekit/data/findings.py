"""What training will find in its data: statistics of the labels, presence of every modality, and what is odd.

`fusekit data check` and `fusekit train` both ask here, so that they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from fusekit.contracts import Clip, Reader, Source
from fusekit.data.label_findings import (
    LabelStatistics,
    Note,
    clip_notes,
    dimension_notes,
    statistics,
    tracks,
    twin_notes,
)
from fusekit.data.steps import ClipSteps

UNLIKE, UNLIKE_S = 0.1, 2.0
"""Modalities of one clip whose lengths differ by more than this share of the longer and seconds: told."""
SELDOM = 0.5
"""A modality that has a file and is present at less than this share of a clip's steps is told."""
WORST = 5


@dataclass(frozen=True)
class Seen:
    """What is known of one usable clip.

    Attributes:
        lasts: seconds of each modality's file.
        present: share of the clip's steps at which each modality with a file is there; empty: not decoded.
        useful: modalities that are present at some labelled step.
    """

    clip: Clip
    lasts: Mapping[str, float]
    present: Mapping[str, float] = field(default_factory=dict)
    useful: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Presence:
    """One modality: how many clips have a file for it, in how much of their steps it is there on average, and
    the clips in which it is there least."""

    clips: int
    mean: float
    worst: dict[str, float]


@dataclass(frozen=True)
class Findings:
    """What a set of clips holds, all JSON-able by `to_dict`.

    Attributes:
        clips, subjects, duration_s: how much there is.
        labels: per target dimension. presence: per modality, empty where nothing was decoded.
        notes: what is odd but can be used.
    """

    clips: int
    subjects: int
    duration_s: float
    labels: dict[str, LabelStatistics]
    presence: dict[str, Presence]
    notes: list[Note]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; null where a number is undefined."""
        return finite(asdict(self))


def seen(steps: ClipSteps) -> Seen:
    """What a clip on its step grid shows."""
    lasts = {m: float(np.asarray(s["duration_s"]).reshape(-1)[0]) for m, s in steps.streams.items()}
    labelled = steps.known.any(axis=1)
    columns = {m: steps.present[:, k] for k, m in enumerate(steps.readers) if m in steps.streams}
    return Seen(
        steps.clip,
        lasts,
        {m: float(here.mean()) for m, here in columns.items()},
        frozenset(m for m, here in columns.items() if (here & labelled).any()),
    )


def by_modality(clips: Sequence[Clip], columns: Mapping[str, str]) -> list[Clip]:
    """Clips whose sources have the names of the modalities that read them (`columns`: modality -> source)."""

    def own(clip: Clip) -> dict[str, Source]:
        return {m: clip.sources[name] for m, name in columns.items() if name in clip.sources}

    return [replace(clip, sources=own(clip)) for clip in clips]


def uses(clips: Sequence[Clip], part_of: Mapping[str, str]) -> dict[str, list[Clip]]:
    """Clips that train and validate ("training"; also those whose part nobody says), and that test ("test").

    Args:
        part_of: "train", "validation" or "test" of each clip's id.
    """
    groups: dict[str, list[Clip]] = {"training": [], "test": []}
    for clip in clips:
        groups["test" if part_of.get(clip.id) == "test" else "training"].append(clip)
    return {use: own for use, own in groups.items() if own}


def by_use(
    found: Sequence[Seen],
    part_of: Mapping[str, str],
    dims: Sequence[str],
    label_range: tuple[float, float],
    readers: Mapping[str, Reader],
    of_files: Mapping[str, Sequence[Note]],
) -> dict[str, Findings]:
    """`find` by use, "training" and "test"; `of_files` are notes of reading, by use too."""
    seen_of = {s.clip.id: s for s in found}
    result = {}
    for use, clips in uses([s.clip for s in found], part_of).items():
        own = find([seen_of[c.id] for c in clips], dims, label_range, readers)
        result[use] = replace(own, notes=[*of_files.get(use, []), *own.notes])
    if "test" in result:
        ids = set(seen_of)
        notes = [
            n if n.where in ids else replace(n, where=f"{n.where}, test clips") for n in result["test"].notes
        ]
        result["test"] = replace(result["test"], notes=notes)
    return result


def find(
    found: Sequence[Seen],
    dims: Sequence[str],
    label_range: tuple[float, float],
    readers: Mapping[str, Reader],
) -> Findings:
    """Statistics and notes of clips that can be used.

    Args:
        found: the clips; dims, label_range: of their labels.
        readers: of the modalities, for what it means that one is absent; without one it is not judged.
    """
    clips = [s.clip for s in found]
    notes = [note for s in found for note in _of_clip(s, readers)]
    for dim in dims:
        notes += dimension_notes(clips, dim, label_range)
    notes += twin_notes(clips)
    for m, reader in readers.items():
        here = [s for s in found if m in s.present]
        if here and not any(m in s.useful for s in here):
            text = f"it is present at no labelled step of {len(here)} clips: {reader.absence}"
            notes.append(Note("absent", f"modality {m}", text))
    return Findings(
        clips=len(clips),
        subjects=len({clip.subject for clip in clips}),
        duration_s=sum(max(s.lasts.values(), default=0.0) for s in found),
        labels={dim: statistics(tracks(clips, dim)) for dim in dims},
        presence={m: _presence(m, found) for m in readers if any(m in s.present for s in found)},
        notes=notes,
    )


def _presence(m: str, found: Sequence[Seen]) -> Presence:
    shares = sorted((s.present[m], s.clip.id) for s in found if m in s.present)
    worst = {clip: share for share, clip in shares[:WORST] if share < 1}
    return Presence(len(shares), float(np.mean([share for share, _ in shares])), worst)


def _of_clip(s: Seen, readers: Mapping[str, Reader]) -> list[Note]:
    notes = clip_notes(s.clip, max(s.lasts.values(), default=0.0)) + _lengths(s, readers)
    for m, share in s.present.items():
        if m in readers and share < SELDOM:
            how = "never present:" if share == 0 else f"present at {share:.0%} of the clip's steps; elsewhere"
            notes.append(Note("absent", s.clip.id, f"{m} is {how} {readers[m].absence}"))
    return notes


def _lengths(s: Seen, readers: Mapping[str, Reader]) -> list[Note]:
    longest = max(s.lasts, key=lambda m: s.lasts[m], default="")
    # A transcript ends with its last word, and may.
    shorter = {
        m: length
        for m, length in s.lasts.items()
        if s.lasts[longest] - length > max(UNLIKE * s.lasts[longest], UNLIKE_S)
        and getattr(readers.get(m), "medium", "") != "text"
    }
    if not shorter:
        return []
    short = ", ".join(f"{m} {length:.2f} s" for m, length in shorter.items())
    text = f"{longest} lasts {s.lasts[longest]:.2f} s, {short}: are they of one recording, at the right rate?"
    return [Note("lengths", s.clip.id, text)]


def finite(value: Any) -> Any:
    """NaN and infinity -> None, all the way down: JSON has neither."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
