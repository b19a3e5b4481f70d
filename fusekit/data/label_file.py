"""Label files of a manifest: CSV, one row per label, times in seconds (docs/manifest.md)."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from fusekit.contracts import Labels
from fusekit.errors import DataError

TIME, QUADRANT = "time_s", "quadrant"
_TOLERANCE = 1e-6  # of the label range: 0.1 written in float32 must not fall outside 0..0.1


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """CSV -> column names and `(line number, cells)` per row, cells stripped; blank lines are skipped.

    Raises:
        DataError: no file, zero bytes, not UTF-8 text, no header, or a name twice.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (zero bytes)")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [
                (reader.line_num, [cell.strip() for cell in row])
                for row in reader
                if any(map(str.strip, row))
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: this is not a CSV text file in UTF-8 ({error})") from error
    if not rows:
        raise DataError(f"{path}: there is no header row")
    header = rows.pop(0)[1]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(f"{path}: columns are separated by commas, this header is {header[0]!r}")
    for position, name in enumerate(header):
        if not name:
            raise DataError(f"{path}: column {position + 1} of the header has no name")
        if name in header[:position]:
            raise DataError(f"{path}: column {name!r} is there twice")
    return header, rows


def nearest(name: str, names: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the closest of `names`, or what there is."""
    close = get_close_matches(name, names, 1, 0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(names) or 'nothing'}"


def read_labels(path: Path, dims: Sequence[str], label_range: tuple[float, float]) -> Labels:
    """Label file -> `Labels` of the columns `dims`; every further column but `quadrant` becomes an extra.

    Columns: `time_s` (seconds from the media's start, increasing), one per dimension within `label_range` (an
    empty cell: unknown), optionally `quadrant` (0..3; -1 or empty: none), and any others (numbers or text).

    Raises:
        DataError: with file, line, column and what to write instead; a missing column; no label at all.
    """
    header, rows = read_table(path)
    for name in (TIME, *dims):
        if name not in header:
            raise DataError(f"{path}: there is no column {name!r}{nearest(name, header)}")
    if not rows:
        raise DataError(f"{path}: there is no label, only a header")
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}: line {line} has {len(cells)} cells, the header has {len(header)}")
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
        np.stack([_numbers(path, dim, column[dim], lines) for dim in dims], 1)
        if dims
        else np.empty((len(rows), 0))
    )
    low, high = label_range
    margin = _TOLERANCE * (high - low)
    outside = np.argwhere((values < low - margin) | (values > high + margin))
    if len(outside):
        row, k = outside[0]
        raise DataError(
            f"{path}: line {lines[row]}, column {dims[k]}: {values[row, k]:g} is outside the label range "
            f"{low:g}..{high:g}; correct it, or state the corpus's range in label_min and label_max"
        )
    if dims and not np.isfinite(values).any():
        raise DataError(f"{path}: no row has a label for {' or '.join(dims)}")
    quadrant = None
    if QUADRANT in header:
        quadrant = _quadrants(path, column[QUADRANT], lines)
    extra = {name: _extra(cells) for name, cells in column.items() if name not in (TIME, QUADRANT, *dims)}
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
    values = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if not cell and empty:
            continue
        number = as_number(cell)
        if number is None:
            hint = "; leave the cell empty where there is no label" if empty else ""
            raise DataError(f"{path}: line {lines[i]}, column {name}: {cell!r} is no finite number{hint}")
        values[i] = number
    return values


def as_number(cell: str) -> float | None:
    """Text -> finite number, or None."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _quadrants(path: Path, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    allowed: Mapping[str, int] = {"": -1, "-1": -1, "0": 0, "1": 1, "2": 2, "3": 3}
    for cell, line in zip(cells, lines, strict=True):
        if cell not in allowed:
            raise DataError(
                f"{path}: line {line}, column quadrant: {cell!r} is none of 0, 1, 2, 3, -1 (none)"
            )
    return np.array([allowed[cell] for cell in cells], np.int64)


def _extra(cells: Sequence[str]) -> np.ndarray:
    """Numbers (NaN where empty) if every cell is a number or empty, else text."""
    numbers = [as_number(cell) if cell else math.nan for cell in cells]
    if any(number is None for number in numbers) or not any(cells):
        return np.array(cells)
    return np.array(numbers, np.float64)
