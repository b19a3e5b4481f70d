"""Label files of a manifest: CSV, one row per label, times in seconds (docs/manifest.md)."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fusekit.contracts import Labels
from fusekit.data.delimited import (
    as_cell,
    as_cells,
    holds_decimal_comma,
    nearest,
    no_number,
    ragged,
    read_table,
)
from fusekit.errors import DataError

TIME, QUADRANT = "time_s", "quadrant"
_TOLERANCE = 1e-6  # of the label range: 0.1 written in float32 must not fall outside 0..0.1


Range = tuple[float, float]


def read_labels(path: Path, dims: Sequence[str], label_range: Range | Mapping[str, Range]) -> Labels:
    """Label file -> `Labels` of the columns `dims`; every further column but `quadrant` becomes an extra.

    Columns: `time_s` (seconds from the media's start, increasing), one per dimension within `label_range` (an
    empty cell, or a word for a missing number such as `NA` or `nan`: unknown), optionally `quadrant` (0..3;
    -1 or empty: none), and any others (numbers or text).

    Args:
        label_range: of all dimensions, or of each by its name.

    Raises:
        DataError: with file, line, column and what to write instead; a missing column; no label at all.
    """
    header, rows = read_table(path)
    named = {dim: unicodedata.normalize("NFC", dim) for dim in dims}
    for name in (TIME, *named.values()):
        if name not in header:
            raise DataError(f"{path}: there is no column {name!r}{nearest(name, header)}")
    if not rows:
        raise DataError(f"{path}: there is no label, only a header")
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}: line {line} has {ragged(len(cells), len(header))}")
    lines = [line for line, _ in rows]
    column = {name: [cells[i] for _, cells in rows] for i, name in enumerate(header)}

    times = _numbers(path, TIME, column[TIME], lines, empty=False)
    if times[0] < 0:
        raise DataError(
            f"{path}: line {lines[0]}: time_s is {times[0]:g}; times count from the media's start, 0"
        )
    late = np.flatnonzero(np.diff(times) <= 0)
    if len(late):
        at = int(late[0]) + 1
        raise DataError(
            f"{path}: line {lines[at]}: time_s {times[at]:g} does not follow {times[at - 1]:g}; sort the rows"
        )
    values = (
        np.stack([_numbers(path, name, column[name], lines) for name in named.values()], 1)
        if dims
        else np.empty((len(rows), 0))
    )
    for k, dim in enumerate(dims):
        low, high = label_range[dim] if isinstance(label_range, Mapping) else label_range
        margin = _TOLERANCE * (high - low)
        outside = np.flatnonzero((values[:, k] < low - margin) | (values[:, k] > high + margin))
        if len(outside):
            row = int(outside[0])
            raise DataError(
                f"{path}: line {lines[row]}, column {dim}: {values[row, k]:g} is outside the label range "
                f"{low:g}..{high:g}; correct it, or state these labels' range in label_min and label_max"
            )
    if dims and not np.isfinite(values).any():
        raise DataError(f"{path}: no row has a label for {' or '.join(dims)}")
    quadrant = None
    if QUADRANT in header:
        quadrant = _quadrants(path, column[QUADRANT], lines)
    used = {TIME, QUADRANT, *named.values()}
    extra = {name: _extra(cells) for name, cells in column.items() if name not in used}
    return Labels(times, values.astype(np.float32), tuple(dims), quadrant, extra)


def label_rows(labels: Labels) -> tuple[list[str], list[list[str]]]:
    """`Labels` -> header and rows that `read_labels` reads back (NaN becomes an empty cell)."""
    header = [TIME, *labels.dims]
    columns: list[np.ndarray] = [labels.times, *labels.values.T]
    if labels.quadrant is not None:
        header.append(QUADRANT)
        columns.append(labels.quadrant)
    header += labels.extra
    columns += labels.extra.values()
    return header, [[_cell(column[i]) for column in columns] for i in range(len(labels.times))]


def _cell(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else str(value)  # shortest text that reads back to the same number
    return str(value)


def _numbers(
    path: Path, name: str, cells: Sequence[str], lines: Sequence[int], empty: bool = True
) -> np.ndarray:
    values, word = as_cells(cells)
    bad = np.isinf(values) if empty else ~np.isfinite(values)
    if word is not None:
        bad[word] = True
    if bad.any():
        at = int(bad.argmax())
        cell = cells[at]
        said = no_number(cell) if holds_decimal_comma(cell) else f"{cell!r} is no finite number"
        hint = "; leave the cell empty where there is no label" if empty else ""
        raise DataError(f"{path}: line {lines[at]}, column {name}: {said}{hint}")
    return values


def _quadrants(path: Path, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    found = np.full(len(cells), -1, np.int64)
    for i, cell in enumerate(cells):
        number = as_cell(cell)
        if number is None or not (math.isnan(number) or number in (-1, 0, 1, 2, 3)):
            raise DataError(
                f"{path}: line {lines[i]}, column quadrant: {cell!r} is none of 0, 1, 2, 3, -1 (none)"
            )
        found[i] = -1 if math.isnan(number) else int(number)
    return found


def _extra(cells: Sequence[str]) -> np.ndarray:
    """Numbers (NaN where missing) if every cell is one or missing and one is there at least, else text."""
    values, word = as_cells(cells)
    if word is not None or np.isinf(values).any() or not np.isfinite(values).any():
        return np.array(cells)
    return values
