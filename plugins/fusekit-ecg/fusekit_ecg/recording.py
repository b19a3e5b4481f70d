"""An ECG file as samples: which leads, at which rate. CSV: `fusekit_ecg.table`; WFDB, EDF: `.formats`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fusekit.contracts import Source
from fusekit.errors import DataError

TIME = "time_s"
LEAD_NAMES = frozenset(
    ["i", "ii", "iii", "avr", "avl", "avf", "mli", "mlii", "mliii", "d3", "d4", "cc5", "cm2", "cm4", "cm5"]
    + [f"{chest}v{n}" for chest in ("", "m") for n in range(1, 7)]
)
"""Of the standard twelve, and of the MIT-BIH and European ST-T databases."""
LONGEST_START_S = 86400.0
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
    from fusekit_ecg import formats, table

    if suffix == ".csv":
        return table.read_csv(path, leads=leads, columns=columns, rate_hz=rate_hz)
    if suffix in (".hea", ".dat"):
        found = formats.read_wfdb(path, leads=leads, columns=columns)
    elif suffix in (".edf", ".bdf"):
        found = formats.read_edf(path, leads=leads, columns=columns)
    else:
        raise DataError(
            f"{path}: an ECG is read from .csv, .hea (WFDB), .edf or .bdf files, not {suffix or 'such'} "
            f"ones. Export it as CSV with a header `{TIME},ecg`."
        )
    return usable_or_fault(path, found)


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


def read_source(
    source: Source, *, leads: int = 1, columns: Sequence[str] = (), rate_hz: float | None = None
) -> Recording:
    """Read one clip's ECG file as its manifest says: `read_recording`, with the first sample at
    `source.start_s`, and a CSV without `time_s` at a sample each `source.step_s`, before `rate_hz`.

    Raises:
        DataError: as `read_recording`; a `step_s` for a file that tells its rate; boxes, which no ECG has;
            a start from which no sample lies in the clip.
    """
    if source.boxes is not None:
        raise DataError(f"{source.path}: an ECG has no boxes; leave <modality>_boxes empty in the manifest.")
    if source.step_s is not None:
        from fusekit_ecg import table

        if source.path.suffix.lower() != ".csv" or TIME in table.header_of(source.path):
            raise DataError(
                f"{source.path}: it tells the times of its samples; leave <modality>_step_s empty in the "
                f"manifest, which is the spacing in a CSV without {TIME}."
            )
        if not source.step_s > 0:
            raise DataError(f"{source.path}: <modality>_step_s must be above 0, found {source.step_s:g}.")
        rate_hz = 1 / source.step_s
    found = read_recording(source.path, leads=leads, columns=columns, rate_hz=rate_hz)
    if source.start_s is not None:
        found = replace(found, start_s=float(source.start_s))
    if not (found.start_s <= LONGEST_START_S and found.duration_s > 0):
        raise DataError(
            f"{source.path}: from {found.start_s:g} s on, none of its samples lies in the clip's first day. "
            "Correct <modality>_start_s in the manifest."
        )
    return found


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


def usable_or_fault(path: Path, found: Recording) -> Recording:
    """The recording, NaN for what is not finite.

    Raises:
        DataError: there is no sample, or its rate is none of an ECG.
    """
    if not len(found.signal):
        raise DataError(f"{path}: there are no samples in it. Copy or export it again.")
    check_rate(path, found.rate)
    found.signal[~np.isfinite(found.signal)] = np.nan
    return found


def check_rate(path: Path, rate: float) -> None:
    """Refuse a rate that no ECG has, with a DataError."""
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
