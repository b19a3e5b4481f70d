"""An ECG in CSV: with times that may jitter and have gaps, or samples alone."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fusekit.errors import DataError
from fusekit_ecg.recording import LONGEST_START_S, TIME, Recording, check_rate, choose, usable_or_fault

GAP = 2.5
"""Mean spacings between two samples from which on the time between them counts as not recorded."""
LONGEST_BREAK_S = 86400.0
STAMP = 1e8
"""Seconds since 1970, from 1973 on."""
SPARSE, SPAN = 1e7, 20.0
"""Of more samples than the first no more than so many times those in the file are filled in for gaps."""
CLOCK = re.compile(r"(?i)(?:time|timestamp|t|seconds?|secs?|ms|msecs?)(?:[ _]*[\[(]?\w+[\])]?)?")
"""Names of columns of times that are not `time_s`."""
COUNT = re.compile(r"(?i)n|nr|no|index|(?:samples?|frames?)(?:[ _]*(?:n|nr|no|num|number|index|count)\.?)?")
"""Names of columns that count the samples."""


def read_csv(
    path: Path, *, leads: int = 1, columns: Sequence[str] = (), rate_hz: float | None = None
) -> Recording:
    """CSV with a header (`time_s` in seconds, then a column per lead), or columns of samples without one.

    Cells may be empty or `nan` where nothing was recorded. Times may jitter and have gaps: samples are put on
    an even grid; a gap of more than 2.5 mean spacings is NaN.

    Raises:
        DataError: no number where one must be (with the line), times that do not increase, no rate.
    """
    header, table = _table(path)
    if header and TIME in header:
        if rate_hz is not None:
            raise DataError(f"{path}: it has a column {TIME}, which says the rate; leave `rate_hz` out.")
        clock = header.index(TIME)
        names = [h for i, h in enumerate(header) if i != clock]
        values = np.delete(table, clock, axis=1)
        if not names:
            raise DataError(f"{path}: there is no lead beside {TIME}.")
        chosen = choose(path, names, leads, columns)
        signal, rate, start = _even(path, table[:, clock], values[:, chosen])
        return usable_or_fault(path, Recording(signal, rate, tuple(names[i] for i in chosen), start))
    if rate_hz is None:
        what = f"no column {TIME} (it has {', '.join(header)})" if header else "no header"
        raise DataError(
            f"{path}: it has {what}, so its rate is not known. Say it in the recipe's reader, "
            f"`rate_hz: 250`, or write a header `{TIME},ecg`."
        )
    _check_clock(path, header, table, rate_hz)
    names = list(header) or [str(i + 1) for i in range(table.shape[1])]
    if not header and len(names) != leads and not columns:
        raise DataError(
            f"{path}: {len(names)} columns without a header; say which hold the {leads} "
            f"lead{'s' * (leads > 1)}, counted from 1, in the recipe's reader: `columns: ['2']`."
        )
    chosen = choose(path, names, leads, columns)
    return usable_or_fault(path, Recording(table[:, chosen], float(rate_hz), tuple(names[i] for i in chosen)))


def _check_clock(path: Path, header: Sequence[str], table: np.ndarray, rate_hz: float) -> None:
    """Refuse a `rate_hz` that a column of times under another name contradicts in any unit; and gaps that it,
    or a count of samples, shows: without them all later samples would come too early."""
    for i, name in enumerate(header):
        counts = len(header) > 1 and COUNT.fullmatch(name) is not None
        if (not counts and CLOCK.fullmatch(name) is None) or len(table) < 2:
            continue
        steps = np.diff(table[:, i])
        step = float(np.median(steps)) if np.isfinite(steps).all() else 0.0
        if not step > 0 or (counts and step != 1):
            continue
        spacings = [1 / (unit * rate_hz) for unit in (1, 1e-3, 1e-6, 1e-9)]
        spacing = next((d for d in spacings if abs(step / d - 1) < 0.1), None)
        if step == 1 and (counts or (steps == 1).all()):
            spacing = 1.0  # it counts the samples, and tells no rate
        if spacing is None:
            raise DataError(
                f"{path}: column {name} moves on by {step:g} from sample to sample, which fits {rate_hz:g} "
                f"samples per second in no unit. Correct `rate_hz`, or write seconds in a column {TIME}."
            )
        leap = int(steps.argmax())
        missing = (table[-1, i] - table[0, i]) / spacing - len(steps)
        if steps[leap] > GAP * spacing and missing > GAP - 1:  # else it only jitters
            raise DataError(
                f"{path}: column {name} leaps from {table[leap, i]:.10g} to {table[leap + 1, i]:.10g}: "
                f"samples are missing there. Write seconds in a column {TIME}, whose gaps are read as such, "
                "and leave `rate_hz` out."
            )


def _table(path: Path) -> tuple[list[str], np.ndarray]:
    """Header (empty if there is none) and `(n, columns)` float64."""
    header: list[str] = []
    width = 0
    blank: list[int] = []  # rows before each empty one
    found = array("d")  # 8 bytes a number: a day of lists of floats would not fit into memory
    try:
        with path.open(encoding="utf-8-sig") as file:
            for n, row in enumerate(csv.reader(file), 1):
                cells = [cell.strip() for cell in row]
                if not any(cells):
                    if found and len(cells) in ((0, 1) if width == 1 else (width,)):
                        blank.append(len(found) // width)
                    continue
                if not width and not all(map(_is_number, cells)):
                    header, width = cells, len(cells)
                    continue
                width = width or len(cells)
                if len(cells) != width:
                    raise DataError(f"{path}, line {n}: {len(cells)} cells, the lines before have {width}.")
                found.extend([_number(path, n, cell) for cell in cells])
    except UnicodeDecodeError as fault:
        raise DataError(f"{path}: not a text file in UTF-8 ({fault.reason}), so no CSV.") from fault
    except csv.Error as fault:
        raise DataError(f"{path}: cannot be read as CSV ({fault}).") from fault
    if not found:
        raise DataError(f"{path}: there are no samples in it. Copy or export it again.")
    if len(set(header)) < len(header):
        raise DataError(f"{path}: two columns have the same name in its header: {', '.join(header)}.")
    table = np.array(found).reshape(-1, width)
    if not header and width == 1 and table[0, 0] >= STAMP:
        raise DataError(
            f"{path}: it begins with {table[0, 0]:.10g}, which is no sample but the time of the first one "
            "(behind it comes the rate, as Empatica writes it). Take these lines out, and say `rate_hz` in "
            "the reader."
        )
    blank = [] if TIME in header else [row for row in blank if row < len(table)]
    if blank != list(range(1, len(table))):  # line ends that were doubled
        table = np.insert(table, blank, np.nan, axis=0)
    return header, table


def header_of(path: Path) -> list[str]:
    """The first row of a CSV, if it can be read at all: what is wrong with it, others tell."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return [cell.strip() for cell in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, cell: str) -> float:
    try:
        return float(cell or "nan")
    except ValueError as fault:
        raise DataError(f"{path}, line {line}: {cell[:40]!r} is not a number.") from fault


def _even(path: Path, times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Samples at any increasing times -> `(n, leads)` at an even rate, the rate, the first time."""
    steps = np.diff(times)
    if not np.isfinite(times).all() or (steps <= 0).any() or len(times) < 2:
        bad = int(np.argmax(~(steps > 0))) if len(steps) else 0
        raise DataError(
            f"{path}: {TIME} must be seconds that increase from row to row, at least two of them; "
            f"after {times[bad]:g} comes {times[min(bad + 1, len(times) - 1)]:g}."
        )
    start = float(times[0])
    if not 0 <= start <= LONGEST_START_S:
        raise DataError(
            f"{path}: {TIME} begins at {start:g}. It counts seconds from the start of the clip, as its "
            "labels do; subtract the clip's start."
        )
    mean = float(steps.mean())
    for _ in range(4):  # gaps pull the mean up, so those found are left out and the mean is taken again
        mean = float(steps[steps <= GAP * mean].mean())
    check_rate(path, 1 / mean)
    longest = int(steps.argmax())
    if steps[longest] > LONGEST_BREAK_S:
        raise DataError(
            f"{path}: after {TIME} {times[longest]:g} comes {times[longest + 1]:g}, more than a day later. "
            "Correct the time, or cut the file there."
        )
    mean = _whole(times - start, mean)
    gaps = np.flatnonzero(steps > GAP * mean)
    count = float(times[-1] - start) / mean
    if count > SPARSE and count > SPAN * len(times):
        raise DataError(
            f"{path}: its {len(times)} samples lie over {times[-1] - start:g} s, so nearly all are gaps. "
            "Correct the times, or cut the file there."
        )
    silent_s = float((steps[gaps] - mean).sum())
    if len(gaps) > len(steps) / 200 and silent_s > 0.8 * (times[-1] - start):
        raise DataError(
            f"{path}: its samples come in {len(gaps) + 1} bursts of {1 / mean:.6g} a second, with nothing "
            f"between them: {TIME} is when packets came, not when samples were taken. Spread each packet's "
            "samples up to the next one, or leave the column out and say `rate_hz` in the reader."
        )
    grid = start + np.arange(round(float(times[-1] - start) / mean) + 1) * mean
    if not len(gaps) and len(grid) == len(times) and np.abs(times - grid).max() < 0.75 * mean:
        return values, 1 / mean, start  # only rounded: the samples are as even as they can be
    even = np.stack([_interpolated(grid, times, column) for column in values.T], axis=1)
    for i in gaps.tolist():
        even[(grid > times[i] + mean / 2) & (grid < times[i + 1] - mean / 2)] = np.nan
    return even, 1 / mean, start


def _whole(times: np.ndarray, mean: float) -> float:
    """The spacing of a whole number of samples per second, if that explains all times to 0.3 samples: rounded
    stamps give a rate of 128 as 127.9998, and a little otherwise for each length of the file."""
    rate = max(round(1 / mean), 1)
    position = times * rate
    explains = np.abs(position - np.rint(position)).max() <= 0.3 and abs(mean * rate - 1) < 1e-3
    return 1 / rate if explains else mean


def _interpolated(grid: np.ndarray, times: np.ndarray, column: np.ndarray) -> np.ndarray:
    known = np.isfinite(column)
    if not known.any():
        return np.full(len(grid), np.nan)
    values = np.interp(grid, times[known], column[known])
    nearest = np.searchsorted((times[1:] + times[:-1]) / 2, grid)
    values[~known[nearest]] = np.nan
    return values
