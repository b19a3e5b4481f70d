"""Labels as they were written: their statistics, and what in them looks like a mistake.

Nothing here decides what is used: a label within its range may be right whatever it looks like. It is told,
so that whoever made the labels can look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusekit.contracts import Clip

FEWEST = 10
"""Labels below which nothing is said of a dimension: so few may be anything."""
APART_S = 1.0
"""Labels that end this far from the media's end, beyond their own spacing, are told."""
LATE = 0.1
"""Share of a clip, and at least two seconds of it, without labels at its beginning that is told."""
USED = 0.5
"""Labels that take less than this share of the stated range are told; of whole numbers `USED_WHOLE`."""
USED_WHOLE = 0.8
LEAP = 4.0
"""A value that a track leaps to and from, this many times as far as it moves otherwise, stands for a gap."""
RANGES = ((0, 1), (-1, 1), (1, 5), (0, 5), (1, 7), (1, 9), (0, 10), (-10, 10), (0, 100), (-100, 100))
"""Ranges in use, narrowest first, to name one that would fit."""


@dataclass(frozen=True)
class Note:
    """Something odd that can be used all the same.

    Attributes:
        kind: one word that groups notes: "labels", "range", "constant", "gaps", "twins", "lengths", "absent",
            "split", "subjects".
        where: the clip, dimension, modality or subject. reason: what is odd, and what to do.
    """

    kind: str
    where: str
    reason: str


@dataclass(frozen=True)
class LabelStatistics:
    """One dimension's labels, row by row as they were written, in the corpus's own range.

    Attributes:
        rows: labels that are known. mean, sd: over them (population); NaN without any.
        repeated: share of labels that repeat the one before in the same clip; NaN where no clip has two.
    """

    rows: int
    min: float
    mean: float
    sd: float
    max: float
    repeated: float


@dataclass(frozen=True)
class Track:
    """One dimension's known labels in one clip: `times`, `values (n,)`."""

    clip: str
    times: np.ndarray
    values: np.ndarray


def tracks(clips: Sequence[Clip], dim: str) -> list[Track]:
    """The known labels of one dimension, of every clip that has any."""
    found = []
    for clip in clips:
        if clip.labels is None or dim not in clip.labels.dims:
            continue
        values = np.asarray(clip.labels.values[:, clip.labels.dims.index(dim)], np.float64)
        known = np.isfinite(values)
        if known.any():
            found.append(Track(clip.id, np.asarray(clip.labels.times)[known], values[known]))
    return found


def statistics(found: Sequence[Track]) -> LabelStatistics:
    """Statistics over all labels of all tracks."""
    if not found:
        nan = float("nan")
        return LabelStatistics(0, nan, nan, nan, nan, nan)
    values = np.concatenate([t.values for t in found])
    same = np.concatenate([np.diff(t.values) == 0 for t in found])
    return LabelStatistics(
        rows=len(values),
        min=float(values.min()),
        mean=float(values.mean()),
        sd=float(values.std()),
        max=float(values.max()),
        repeated=float(same.mean()) if len(same) else float("nan"),
    )


def decimals(least: float | None, most: float | None) -> int:
    """Digits behind the point that tell labels between these two apart: three of -1..1, one of 0..100."""
    width = 0.0 if least is None or most is None else most - least
    return 2 if not width > 0 else int(min(max(3 - math.floor(math.log10(width)), 0), 9))


def dimension_notes(clips: Sequence[Clip], dim: str, label_range: tuple[float, float]) -> list[Note]:
    """What is odd about one dimension: its range, labels that never move, gaps written as a number."""
    found = tracks(clips, dim)
    if sum(len(t.values) for t in found) < FEWEST:
        return []
    values = np.concatenate([t.values for t in found])
    where = f"dimension {dim}"
    if values.min() == values.max():
        text = f"its labels are {values[0]:g} throughout: nothing can be learnt, no correlation is defined"
        return [Note("constant", where, text)]
    notes = [Note("range", where, text) for text in _range(values, label_range)]
    notes += [Note("gaps", where, text) for text in _gaps(found)]
    flat = [t.clip for t in found if len(t.values) >= FEWEST and t.values.min() == t.values.max()]
    long = sum(len(t.values) >= FEWEST for t in found)
    # Where no clip's labels move, the corpus labels clips, not moments.
    if 0 < len(flat) < long:
        text = f"its labels never move in {_clips(flat)}, as they do in other clips: were these rated?"
        notes.append(Note("constant", where, text))
    return notes


def _range(values: np.ndarray, label_range: tuple[float, float]) -> list[str]:
    low, high = label_range
    middle, width = (low + high) / 2, high - low
    least, most = float(values.min()), float(values.max())
    slack = 1e-6 * width  # float32
    said = f"its labels lie between {least:g} and {most:g}, the stated range is {low:g}..{high:g}"
    fitting = _fitting(least, most, label_range)
    scale = "another scale" if fitting is None else f"{fitting[0]:g}..{fitting[1]:g}"
    advice = f" If they were made on {scale}, state it in label_min and label_max."
    if least >= middle - slack or most <= middle + slack:
        side = "below" if least >= middle - slack else "above"
        return [f"{said}: never {side} its middle {middle:g}, by which quadrants are told.{advice}"]
    whole = bool((values == np.round(values)).all()) and width < 50
    used = (most - least) / width
    if used < (USED_WHOLE if whole else USED):
        return [f"{said}: they use {used:.0%} of it.{advice}"]
    return []


def _fitting(least: float, most: float, stated: tuple[float, float]) -> tuple[float, float] | None:
    """The narrowest range in use that holds the labels and is filled by half of them."""
    for low, high in RANGES:
        if (
            (low, high) != tuple(stated)
            and low <= least
            and most <= high
            and most - least >= (high - low) / 2
        ):
            return float(low), float(high)
    return None


def _gaps(found: Sequence[Track]) -> list[str]:
    """A value that a moving track keeps leaping to and from: a gap that was written as a number."""
    values = np.concatenate([t.values for t in found])
    levels, counts = np.unique(values, return_counts=True)
    # Both ends of the scale are asked first, the further one before: of whole numbers, a code is hardly the
    # most frequent.
    middle = float(np.median(values))
    ends = sorted((0, len(levels) - 1), key=lambda k: -abs(float(levels[k]) - middle))
    asked = dict.fromkeys([*ends, *np.argsort(-counts, kind="stable")[:5].tolist()])
    often = [k for k in asked if counts[k] >= max(3, 0.002 * len(values))]
    told = []
    for level, count in ((float(levels[k]), int(counts[k])) for k in often):
        moves, leaps, runs, first = [], [], 0, ""
        for t in found:
            same = t.values == level
            if not same.any() or same.all():
                moves.append(np.abs(np.diff(t.values)))
                continue
            size = np.abs(np.diff(t.values))
            edge = same[1:] != same[:-1]
            leaps.append(size[edge])
            moves.append(size[~same[1:] & ~same[:-1]])
            runs += int(same[0]) + int((same[1:] & ~same[:-1]).sum())
            first = first or f"the first in clip {t.clip} at {t.times[same.argmax()]:.2f} s"
        moving = np.concatenate(moves)
        moving = moving[moving > 0]
        if not leaps or len(moving) < FEWEST:
            continue
        rest = values[values != level]
        if not len(rest):
            break
        if _stands_out(np.concatenate(leaps), moving, rest, count / runs):
            told.append(
                f"exactly {level:g} stands in {count / len(values):.1%} of its labels, in {runs} "
                f"{'stretch' if runs == 1 else 'stretches'}, {first}, a leap away from the labels around: "
                "does it mark a gap? Leave such cells empty."
            )
            # Leaps to and from it are no longer held against other numbers.
            found = [
                Track(t.clip, t.times[t.values != level], t.values[t.values != level])
                for t in found
                if (t.values != level).any()
            ]
    return told


def _stands_out(leaps: np.ndarray, moving: np.ndarray, rest: np.ndarray, run: float) -> bool:
    far = leaps > LEAP * float(np.quantile(moving, 0.9))
    # Where the track comes by the same number on its way, a quarter of the leaps is enough.
    if far.mean() > 0.5 or (far.sum() >= 3 and far.mean() >= 1 / 4):
        return True
    leap = float(np.median(leaps))
    # A track that is rough everywhere leaps everywhere; there a number that comes in rows, while no other
    # comes twice, gives itself away.
    distinct = len(np.unique(rest)) / len(rest)
    return run >= 2 and distinct > 0.95 and leap > 0.5 * float(np.median(moving)) > 0.1 * float(rest.std())


def clip_notes(clip: Clip, duration_s: float) -> list[Note]:
    """Labels of one clip that begin or end far from where its media do."""
    if clip.labels is None or len(clip.labels.times) < 2:
        return []
    times = np.asarray(clip.labels.times)
    first_s, last_s = float(times[0]), float(times[-1])
    spacing = float(np.median(np.diff(times)))
    notes = []
    if not (last_s - APART_S <= duration_s <= last_s + max(spacing, 0.0) + APART_S):
        side = "before" if last_s < duration_s else "after"
        text = f"its labels end at {last_s:.2f} s, {abs(last_s - duration_s):.2f} s {side} its media"
        notes.append(Note("labels", clip.id, text))
    if first_s > max(2 * APART_S, LATE * duration_s) + spacing:
        text = (
            f"its labels begin at {first_s:.2f} s of {duration_s:.2f} s: are their times those of this clip?"
        )
        notes.append(Note("labels", clip.id, text))
    return notes


def twin_notes(clips: Sequence[Clip]) -> list[Note]:
    """Clips whose labels are, number for number, those of another clip with other files."""
    first: dict[bytes, Clip] = {}
    notes = []
    for clip in clips:
        if clip.labels is None or len(clip.labels.times) < FEWEST:
            continue
        values = np.ascontiguousarray(clip.labels.values)
        if len(np.unique(values, axis=0)) < FEWEST:  # clips without a course may well have the same labels
            continue
        other = first.setdefault(np.ascontiguousarray(clip.labels.times).tobytes() + values.tobytes(), clip)
        if other is not clip and not _shared(other, clip):
            text = f"its labels are those of clip {other.id}, number for number: whose are they?"
            notes.append(Note("twins", clip.id, text))
    return notes


def _shared(one: Clip, other: Clip) -> bool:
    return bool({s.path for s in one.sources.values()} & {s.path for s in other.sources.values()})


def _clips(names: Sequence[str], most: int = 4) -> str:
    some = ", ".join(names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"clip {some}" if len(names) == 1 else f"{len(names)} clips ({some}{more})"


def by_kind(notes: Sequence[Note]) -> Mapping[str, list[Note]]:
    """Notes grouped by kind, kinds in order of appearance."""
    groups: dict[str, list[Note]] = {}
    for note in notes:
        groups.setdefault(note.kind, []).append(note)
    return groups
