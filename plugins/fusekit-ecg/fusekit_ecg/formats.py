"""WFDB and EDF files, through the libraries `wfdb` and `edfio`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.errors import DataError
from fusekit_ecg.recording import Recording, choose

LONGEST_LINE = 1000
MOST_LINES = 100_000
_SAMPLE_BYTES = {"8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5}


def read_wfdb(path: Path, *, leads: int = 1, columns: Sequence[str] = ()) -> Recording:
    """A WFDB record by its header (or its `.dat`): physical units, NaN where it marks a sample invalid.

    The header's checksums are compared with the samples, where it has some.

    Raises:
        DataError: header or signal file is missing or damaged; it has no such leads, or they have two rates.
    """
    import wfdb

    header = path.with_suffix(".hea")
    if not header.is_file():
        raise DataError(f"{path}: a WFDB record needs its header {header.name} beside it. Copy it there.")
    _check_lines(header)
    try:
        place = str(header.with_suffix(""))
        several = isinstance(wfdb.rdheader(place), wfdb.MultiRecord)
        # Segments may differ in gain, so only their physical values can be joined.
        record = wfdb.rdrecord(place, physical=several, smooth_frames=False)
        stated, seen = record.checksum, [] if several else record.calc_checksum(expanded=True)
        signals = record.e_p_signal if several else record.dac(expanded=True, return_res=64)
    except FileNotFoundError as fault:
        name = Path(str(fault.filename)).name if fault.filename else "a file of signals"
        raise DataError(
            f"{path}: {name}, which the header names, is not beside it. Copy it there."
        ) from fault
    except Exception as fault:  # wfdb raises whatever its parsing stumbles over
        raise DataError(
            f"{path}: cannot be read as a WFDB record ({fault or type(fault).__name__})."
        ) from fault
    if not several:
        _check_size(path, header.parent, record)
    names = [name or f"signal {i}" for i, name in enumerate(record.sig_name or [], 1)]
    for name, said, found in zip(names, stated or [], seen, strict=False):
        if said is not None and (int(said) - int(found)) % 65536:
            raise DataError(
                f"{path}: the samples of {name} do not have the header's checksum; the record is damaged or "
                "its files belong to two recordings. Copy it again."
            )
    chosen = choose(path, names, leads, columns)
    rate = _one_rate(path, [(names[i], float(record.fs * record.samps_per_frame[i])) for i in chosen])
    signal = np.stack([np.asarray(signals[i], np.float64) for i in chosen], axis=1)
    return Recording(signal, rate, tuple(names[i] for i in chosen))


def _check_size(path: Path, folder: Path, record: Any) -> None:
    """Refuse a record whose files hold more than its header says: wfdb reads what it says, and no more."""
    for name in dict.fromkeys(record.file_name):
        own = [i for i, other in enumerate(record.file_name) if other == name]
        size = _SAMPLE_BYTES.get(record.fmt[own[0]])
        if size is None or not record.sig_len:
            continue
        a_second = size * record.fs * sum(record.samps_per_frame[i] for i in own)
        there = ((folder / name).stat().st_size - (record.byte_offset[own[0]] or 0)) / a_second
        if there > record.sig_len / record.fs + 1:
            raise DataError(
                f"{path}: {name} holds {there:.1f} s, the header says {record.sig_len / record.fs:.1f} s. "
                "They belong to two recordings, or the header is damaged. Copy both again."
            )


def _check_lines(header: Path) -> None:
    """Refuse what no header is: over one long line the patterns of wfdb take minutes."""
    with header.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
            if len(line) > LONGEST_LINE or number > MOST_LINES:
                raise DataError(
                    f"{header}, line {number}: too long for a WFDB header. Is it another file? Copy it again."
                )


def wfdb_files(path: Path) -> list[Path]:
    """The files of a WFDB record: its header, the headers of its segments, and all files of signals that
    these name, whether they are there or not.

    Raises:
        DataError: a header is damaged.
    """
    import wfdb

    found: list[Path] = []
    waiting = [path.with_suffix(".hea")]
    while waiting:
        header = waiting.pop(0)
        if header in found:
            continue
        found.append(header)
        if not header.is_file():
            continue  # told by whoever reads the record
        _check_lines(header)
        try:
            record = wfdb.rdheader(str(header.with_suffix("")))
        except Exception as fault:  # wfdb raises whatever its parsing stumbles over
            raise DataError(
                f"{header}: cannot be read as a WFDB header ({fault or type(fault).__name__})."
            ) from fault
        if isinstance(record, wfdb.MultiRecord):  # "~" stands for a gap
            waiting += [header.with_name(f"{name}.hea") for name in record.seg_name if name != "~"]
        else:
            named = [header.with_name(name) for name in record.file_name or [] if name != "~"]
            found += [file for file in dict.fromkeys(named) if file not in found]
    return found


def read_edf(path: Path, *, leads: int = 1, columns: Sequence[str] = ()) -> Recording:
    """An EDF, EDF+ or BDF file in physical units; annotations are not signals.

    Raises:
        DataError: it is damaged or not continuous; it has no such leads, or they have two rates.
    """
    import edfio

    try:
        with warnings.catch_warnings(action="ignore"):  # that it is cut off is said below, in a sentence
            file = (edfio.read_bdf if path.suffix.lower() == ".bdf" else edfio.read_edf)(path)
        continuous, there = file.is_continuous, file.num_data_records
        names = [signal.label.strip() for signal in file.signals]
        with path.open("rb") as raw:  # edfio corrects the header's number of records by what it finds
            stated = int(raw.read(244)[236:])
    except Exception as fault:  # edfio raises whatever its parsing stumbles over
        raise DataError(f"{path}: cannot be read as EDF ({fault or type(fault).__name__}).") from fault
    if there < stated:
        raise DataError(
            f"{path}: it ends after {there} of the {stated} records that its header says. Copy it again."
        )
    if there > stated > 0:
        raise DataError(
            f"{path}: it holds {there} records, its header says {stated}: the header is damaged, or files "
            "were joined. Export it again."
        )
    if not continuous:
        raise DataError(f"{path}: an EDF+D file with gaps in it. Export it as continuous EDF+C or as CSV.")
    chosen = [file.signals[i] for i in choose(path, names, leads, columns)]
    rate = _one_rate(path, [(s.label.strip(), float(s.sampling_frequency)) for s in chosen])
    try:
        signal = np.stack([np.asarray(s.data, np.float64) for s in chosen], axis=1)
    except Exception as fault:
        raise DataError(f"{path}: its samples cannot be read ({fault or type(fault).__name__}).") from fault
    return Recording(signal, rate, tuple(s.label.strip() for s in chosen))


def _one_rate(path: Path, leads: Sequence[tuple[str, float]]) -> float:
    """Names and rates of the leads -> the rate of all."""
    rates = sorted({rate for _, rate in leads})
    if len(rates) > 1:
        raise DataError(
            f"{path}: its leads {', '.join(name for name, _ in leads)} have different rates "
            f"({', '.join(f'{r:g}' for r in rates)} per second). Name leads of one rate by `columns`."
        )
    return rates[0]
