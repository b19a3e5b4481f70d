"""Ranges of labels: what is one, each row's and dimension's own, and the way to the common scale."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fusekit.contracts import Labels
from fusekit.data.delimited import as_number
from fusekit.errors import DataError

Range = tuple[float, float]
COMMON: Range = (-1.0, 1.0)
MIN, MAX = "_min", "_max"
_NARROWEST = 1e-5  # of the larger limit: float32, which labels are kept in, has seven digits


def scale(values: np.ndarray, label_range: Range) -> np.ndarray:
    """`(..., K)` in the corpus's range -> the common scale -1..1, float32; midpoint 0."""
    low, high = label_range
    scaled = (np.asarray(values, np.float64) - (low + high) / 2) / ((high - low) / 2)
    # The midpoint of 0..0.7, stored as float32, would scale to a hair below 0, and a tie is high.
    return np.where(np.abs(scaled) < 1e-6, 0.0, scaled).astype(np.float32)


def unscale(values: np.ndarray, label_range: Range) -> np.ndarray:
    """Inverse of `scale`."""
    low, high = label_range
    return (np.asarray(values, np.float64) * ((high - low) / 2) + (low + high) / 2).astype(np.float32)


def range_fault(label_range: Sequence[float]) -> str:
    """Why two numbers are no range of labels; "": they are one."""
    low, high = label_range
    if not (math.isfinite(low) and math.isfinite(high)):
        return "its limits must be finite numbers"
    if not low < high:
        return "its lower limit must be below its upper one"
    if max(abs(low), abs(high)) > float(np.finfo(np.float32).max) or high - low < _NARROWEST * max(
        abs(low), abs(high)
    ):
        return "labels are kept in 7 digits, which cannot tell its values apart"
    return ""


def check_range(label_range: Sequence[float], whose: str) -> Range:
    """Raises DataError: a corpus's range is none."""
    low, high = map(float, label_range)
    if fault := range_fault((low, high)):
        raise DataError(f"{whose}: the label range {low:g}..{high:g} is none: {fault}")
    return low, high


def row_ranges(row: Mapping[str, str], dims: Sequence[str]) -> dict[str, Range]:
    """A manifest row's range of each dimension: `<dim>_min` and `<dim>_max`, failing these `label_min` and
    `label_max`, failing these -1..1.

    Raises:
        DataError: two cells that are no range.
    """
    shared = _cells(row, "label")
    return {dim: _cells(row, dim) or shared or COMMON for dim in dims}


def _cells(row: Mapping[str, str], name: str) -> Range | None:
    low_cell, high_cell = row.get(name + MIN, ""), row.get(name + MAX, "")
    if not low_cell and not high_cell:
        return None
    low, high = as_number(low_cell), as_number(high_cell)
    if low is None or high is None or not low < high:
        raise DataError(
            f"{name}{MIN} {low_cell!r} and {name}{MAX} {high_cell!r} must be two numbers, the smaller first, "
            "or both be empty (-1 and 1)"
        )
    if fault := range_fault((low, high)):
        raise DataError(f"{name}{MIN} {low_cell!r} and {name}{MAX} {high_cell!r}: {fault}")
    return low, high


def states_none(row: Mapping[str, str], dims: Sequence[str]) -> bool:
    """Whether a manifest row leaves the range of some dimension empty."""
    return not all(row.get(dim + MIN) or row.get("label" + MIN) for dim in dims)


def half_stated(
    ranges: Mapping[str, Mapping[str, Range]], empty: Collection[str], rows: Mapping[str, int]
) -> tuple[str, ...]:
    """What is odd where rows that leave their range empty are among others that state another than -1..1.

    Args:
        ranges: of each clip that is used. empty: clips whose rows state none. rows: their lines.
    """
    silent = [clip for clip in ranges if clip in empty]
    stated = [(clip, own) for clip, each in ranges.items() for own in each.values() if own != COMMON]
    if not silent or not stated:
        return ()
    clip, (low, high) = stated[0]
    first = silent[0]
    return (
        f"{len(silent)} of {len(ranges)} rows (first row {rows[first]}, clip {first}) leave the range of "
        f"their labels empty, which means -1..1, while row {rows[clip]} states {low:g}..{high:g}: state "
        "it in every row, -1 and 1 where that is meant",
    )


def shared_range(ranges: Sequence[Mapping[str, Range]]) -> Range | None:
    """The one range of all rows and dimensions; None: they differ. -1..1 where there is none."""
    found = {given for row in ranges for given in row.values()}
    return next(iter(found), COMMON) if len(found) < 2 else None


def on_common_scale(labels: Labels, ranges: Mapping[str, Range]) -> Labels:
    """Labels of which each dimension is mapped from its own range to -1..1."""
    columns = [scale(labels.values[:, k], ranges[dim]) for k, dim in enumerate(labels.dims)]
    return replace(labels, values=np.stack(columns, 1)) if columns else labels


def told(ranges: Sequence[Mapping[str, Range]]) -> str:
    """Which ranges rows have: `0..1 in 3 clips, valence 1..9 and arousal 0..10 in 2`."""
    counts: Counter[str] = Counter()
    for row in ranges:
        different = len(set(row.values())) > 1
        parts = dict.fromkeys(
            f"{dim} {low:g}..{high:g}" if different else f"{low:g}..{high:g}"
            for dim, (low, high) in row.items()
        )
        counts[" and ".join(parts)] += 1
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} in {n} clip{'s' if n > 1 else ''}" for name, n in counts.most_common())
