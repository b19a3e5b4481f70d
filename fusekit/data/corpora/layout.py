"""What the adapters of licensed corpora share: numeric order, what was left out, labels that are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusekit.contracts import Clip, Rejected
from fusekit.errors import DataError

VIDEO = frozenset({".avi", ".mp4", ".mkv", ".mov", ".mpg"})
SOUND = frozenset({".wav", ".flac"})
UNKNOWN_PEOPLE = "people-unknown"
"""Session of clips whose people the corpus does not name: they stay together, for any two may share one."""
_TOLERANCE = 1e-6  # of the range: a limit written in float32 is a label still
_DIGITS = re.compile(r"(\d+)")


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key: numbers by value, letters without case, so that `train_2` comes before `Train_10`."""
    parts = _DIGITS.split(name.casefold())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part)


def entries(folder: Path) -> list[Path]:
    """What a folder holds, hidden names apart, in natural order; of `1` and `01` the shorter comes first."""
    shown = [p for p in folder.iterdir() if not p.name.startswith(".")]
    return sorted(shown, key=lambda p: (natural(p.name), len(p.name), p.name))


def inside(folder: Path, name: str) -> Path | None:
    """The entry of that name in any case, the first of several."""
    return next((p for p in entries(folder) if p.name.casefold() == name.casefold()), None)


@dataclass(frozen=True)
class Read:
    """What one variant of a layout gave: clips in natural order, their labels' range, and what to tell."""

    clips: list[Clip]
    label_range: tuple[float, float]
    said: list[str]


class Skipped:
    """What an adapter leaves out, in the order met."""

    def __init__(self) -> None:
        self.rows: list[Rejected] = []

    def add(self, where: str, reason: str) -> None:
        self.rows.append(Rejected(where, reason))


def check_root(corpus: str, root: Path) -> None:
    """Raises DataError: the root is no folder."""
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; set corpus.root to where {corpus} lies")


def check_request(
    corpus: str,
    root: Path,
    modalities: Sequence[str],
    dims: Sequence[str],
    offers: tuple[Sequence[str], Sequence[str]],
) -> None:
    """Raises DataError: no such root, or a modality or dimension that the corpus does not have (`offers`)."""
    check_root(corpus, root)
    for wanted, has, key in (
        (modalities, offers[0], "modalities.{}.source"),
        (dims, offers[1], "target.dims"),
    ):
        for name in wanted:
            if name not in has:
                raise DataError(f"{corpus} has {', '.join(has)}, no {name!r}: set {key.format(name)}")


def nothing_usable(corpus: str, root: Path, layout: str, skipped: Skipped) -> DataError:
    """The fault of a root without a single usable clip; `layout` says what should lie there."""
    reasons = "; ".join(f"{r.where}: {r.reason}" for r in skipped.rows[:3])
    more = f" (and {len(skipped.rows) - 3} more)" if len(skipped.rows) > 3 else ""
    return DataError(f"{root}: no clip of {corpus} can be used. Expected: {layout}. {reasons}{more}".strip())


def as_labels(values: np.ndarray, label_range: tuple[float, float]) -> tuple[np.ndarray, int]:
    """Values with NaN for what lies outside the range (-5 and other sentinels), and how many those are."""
    low, high = label_range
    margin = _TOLERANCE * (high - low)
    outside = (values < low - margin) | (values > high + margin)
    return np.where(outside, np.nan, values), int(outside.sum())


def why_unusable(path: Path) -> str:
    """ "" for a file with content, else what is wrong with it."""
    return "" if path.stat().st_size else f"{path.name} is empty (zero bytes)"


def some(names: Iterable[str], most: int = 3) -> str:
    """The first names of a list, for a message."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
