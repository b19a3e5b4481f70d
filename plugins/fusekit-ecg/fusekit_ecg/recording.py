"""An ECG file as samples: CSV here, WFDB and EDF in `fusekit_ecg.formats`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusekit.errors import DataError

TIME = "time_s"
GAP = 2.5
"""Mean spacings between two samples from which on the time between them counts as not recorded."""
LEAD_NAMES = frozenset(
    ["i", "ii", "iii", "avr", "avl", "avf", "mli", "mlii", "mliii", "d3", "d4", "cc5", "cm2", "cm4", "cm5"]
    + [f"{chest}v{n}" for chest in ("", "m") for n in range(1, 7)]
)
"""Of the standard twelve, and of the MIT-BIH and European ST-T databases."""
LONGEST_START_S = 86400.0
LONGEST_BREAK_S = 86400.0
RATES = (50.0, 100_000.0)
"""Samples per second of anything that may be an ECG."""


@dataclass(frozen=True)
class Recording:
    """Samples of one file.

    Attributes:
        signal: `(n, leads)` float64, NaN where nothing was recorded.
        rate: samples per second.
        start_s: time of the first sample.
        names: of the leads.
    """

    signal: np.ndarray
    rate: float
    names: tuple[str, ...]
    start_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Second at which the recording ends."""
        return self.start_s + len(self.signal) / self.rate


def read_recording(
    path: Path, *, leads: int = 1, columns: Sequence[str] = (), rate_hz: float | None = None
) -> Recording:
    """Read one ECG file; its suffix says what it is.

    Args:
        path: `.csv`; `.hea` (or `.dat` with its `.hea` beside it); `.edf` or `.bdf`.
        leads: how many leads, the first ones of the file.
        columns: their names instead: columns of a CSV (numbers from 1 where it has no header), signals else.
        rate_hz: samples per second of a CSV without a column `time_s`; other files say it themselves.

    Raises:
        DataError: the file is missing, empty, damaged, or has no such leads.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path in the manifest or corpus root.")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return read_csv(path, leads=leads, columns=columns, rate_hz=rate_hz)
    from fusekit_ecg import formats

    if suffix in (".hea", ".dat"):
        found = formats.read_wfdb(path, leads=leads, columns=columns)
    elif suffix in (".edf", ".bdf"):
        found = formats.read_edf(path, leads=leads, columns=columns)
    else:
        raise DataError(
            f"{path}: an ECG is read from .csv, .hea (WFDB), .edf or .bdf files, not {suffix or 'such'} "
            f"ones. Export it as CSV with a header `{TIME},ecg`."
        )
    return _usable(path, found)


def recording_files(path: Path) -> list[Path]:
    """All files that `read_recording` opens for a path: header and signals of a WFDB record, else itself.

    Raises:
        DataError: a header is damaged.
    """
    path = Path(path)
    if path.suffix.lower() not in (".hea", ".dat"):
        return [path]
    from fusekit_ecg import formats

    return list(dict.fromkeys([path, *formats.wfdb_files(path)]))


def choose(path: Path, names: Sequence[str], leads: int, columns: Sequence[str]) -> list[int]:
    """Positions of the leads among a file's signals: those named, else the first with an ECG's name.

    Raises:
        DataError: there are none, or too few.
    """
    if not names:
        raise DataError(f"{path}: there are no signals in it. Copy or export it again.")
    listed = ", ".join(names)
    if columns:
        missing = [c for c in columns if c not in names]
        if missing:
            raise DataError(
                f"{path}: it has no lead {', '.join(missing)}; it has {listed}. Correct `columns`."
            )
        return [list(names).index(c) for c in columns]
    likely = [i for i, name in enumerate(names) if _is_ecg(name)]
    if len(likely) < leads and len(names) != leads:
        raise DataError(
            f"{path}: {leads} ECG lead{'s' * (leads > 1)} wanted, but of its signals {listed} only "
            f"{len(likely)} have a name that says so. Name the leads in the recipe's reader: "
            f"`columns: [{names[0]}]`."
        )
    return likely[:leads] if len(likely) >= leads else list(range(leads))


def _is_ecg(name: str) -> bool:
    word = name.strip().lower().removeprefix("lead").strip(" _-")
    return "ecg" in word or "ekg" in word or word in LEAD_NAMES


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
        return _usable(path, Recording(signal, rate, tuple(names[i] for i in chosen), start))
    if rate_hz is None:
        what = f"no column {TIME} (it has {', '.join(header)})" if header else "no header"
        raise DataError(
            f"{path}: it has {what}, so its rate is not known. Say it in the recipe's reader, "
            f"`rate_hz: 250`, or write a header `{TIME},ecg`."
        )
    names = list(header) or [str(i + 1) for i in range(table.shape[1])]
    if not header and len(names) != leads and not columns:
        raise DataError(
            f"{path}: {len(names)} columns without a header; say which hold the {leads} "
            f"lead{'s' * (leads > 1)}, counted from 1, in the recipe's reader: `columns: ['2']`."
        )
    chosen = choose(path, names, leads, columns)
    return _usable(path, Recording(table[:, chosen], float(rate_hz), tuple(names[i] for i in chosen)))


def _table(path: Path) -> tuple[list[str], np.ndarray]:
    """Header (empty if there is none) and `(n, columns)` float64."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as fault:
        raise DataError(f"{path}: not a text file in UTF-8 ({fault.reason}), so no CSV.") from fault
    rows = ((n, row) for n, row in enumerate(csv.reader(lines), 1) if any(cell.strip() for cell in row))
    try:
        header: list[str] = []
        found: list[list[float]] = []
        for n, row in rows:
            cells = [cell.strip() for cell in row]
            if not found and not header and not all(map(_is_number, cells)):
                header = cells
                continue
            width = len(header) or (len(found[0]) if found else len(cells))
            if len(cells) != width:
                raise DataError(f"{path}, line {n}: {len(cells)} cells, the lines before have {width}.")
            found.append([_number(path, n, cell) for cell in cells])
    except csv.Error as fault:
        raise DataError(f"{path}: cannot be read as CSV ({fault}).") from fault
    if not found:
        raise DataError(f"{path}: there are no samples in it. Copy or export it again.")
    if len(set(header)) < len(header):
        raise DataError(f"{path}: two columns have the same name in its header: {', '.join(header)}.")
    return header, np.array(found, np.float64)


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
        raise DataError(f"{path}, line {line}: {cell!r} is not a number.") from fault


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
    _check_rate(path, 1 / mean)
    longest = int(steps.argmax())
    if steps[longest] > LONGEST_BREAK_S:
        raise DataError(
            f"{path}: after {TIME} {times[longest]:g} comes {times[longest + 1]:g}, more than a day later. "
            "Correct the time, or cut the file there."
        )
    mean = _whole(times - start, mean)
    gaps = np.flatnonzero(steps > GAP * mean)
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


def _usable(path: Path, found: Recording) -> Recording:
    if not len(found.signal):
        raise DataError(f"{path}: there are no samples in it. Copy or export it again.")
    _check_rate(path, found.rate)
    found.signal[~np.isfinite(found.signal)] = np.nan
    return found


def _check_rate(path: Path, rate: float) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(
            f"{path}: {rate:g} samples per second; an ECG has from {RATES[0]:g} to {RATES[1]:g}. If "
            f"{TIME} or `rate_hz` is in milliseconds, convert it to seconds."
        )


def filled(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(n, leads)` with NaN -> the same with each gap held at the value before it (at the first value where
    there is none before; 0 where there is none at all), and `(n, leads)` bool: recorded. Holding, unlike a
    line across the gap, needs nothing from after it.
    """
    there = np.isfinite(signal)
    last = np.maximum.accumulate(np.where(there, np.arange(len(signal))[:, None], -1), axis=0)
    held = np.take_along_axis(signal, np.where(last < 0, there.argmax(axis=0), last), axis=0)
    return np.nan_to_num(held), there
