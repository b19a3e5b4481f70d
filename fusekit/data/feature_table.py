"""Feature tables that were computed elsewhere: CSV, NPY and Parquet files of numbers, one row per moment."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fusekit.data.delimited import as_cells, holds_decimal_comma, nearest, no_number, ragged, read_table
from fusekit.data.table_formats import (
    SECONDS,
    SURE,
    TIME,
    TableFormat,
    clock_seconds,
    looks_like_quality,
    looks_like_times,
)
from fusekit.errors import DataError, MissingExtraError

SUFFIXES = (".csv", ".npy", ".parquet")
_PEOPLE = ("face_id", "face", "person", "person_id", "Identity")


@dataclass(frozen=True)
class FeatureTable:
    """What a file holds.

    Attributes:
        times: `(n,)` float64 seconds, increasing; None: it does not tell them.
        values: `(n, F)` float32, NaN where a cell is empty, NaN or beyond float32, and in all of a row that
            does not count.
        names: of the F columns; () where the file does not name them.
        words: columns left aside because they hold something else than numbers.
        doubts: what is odd about it, a sentence each.
        unread: a column that by its name holds times, and is not read as such; "": none.
    """

    times: np.ndarray | None
    values: np.ndarray
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    unread: str = ""


@dataclass(frozen=True)
class _Column:
    """A named column.

    Attributes:
        numbers: `(n,)` float64, NaN where missing. is_words: it holds no number at all.
        line, fault: of the first word among numbers, where and what. cells: their text where there are words.
    """

    numbers: np.ndarray
    is_words: bool = False
    line: str = ""
    fault: str = ""
    cells: Sequence[str] = ()


def read_features(
    path: Path,
    columns: Sequence[str] | None = None,
    form: TableFormat | None = None,
    rate_hz: float | None = None,
) -> FeatureTable:
    """Read a table by its suffix.

    Args:
        path: CSV with a header row, NPY `(n, F)` of numbers, or Parquet.
        columns: which to take, in this order; None: all that hold numbers and are features by `form`.
        form: where times are and which rows count; None: times in `time_s`, every row.
        rate_hz: frames per second of a column that counts frames.

    Raises:
        DataError: missing, empty or damaged file; no such column; words where numbers should be; times that
            are no numbers or do not increase.
        MissingExtraError: Parquet, and pyarrow is not installed.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; a feature table is a {_known()} file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (zero bytes)")
    form = form or TableFormat()
    match path.suffix.lower():
        case ".csv":
            return _of_columns(path, _read_csv(path), columns, form, rate_hz)
        case ".parquet":
            return _of_columns(path, _read_parquet(path), columns, form, rate_hz)
        case ".npy":
            return _read_npy(path, columns, form)
    raise DataError(f"{path}: features are read from {_known()} files; save the table as one of them")


def _known() -> str:
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def _read_csv(path: Path) -> dict[str, _Column]:
    header, rows = read_table(path, foreign=True)
    if all(_is_number(name) for name in header):
        raise DataError(
            f"{path}: its first row is all numbers; write a header row with the columns' names "
            f"(`{TIME}` for seconds), or save the table as .npy, which has none"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}: line {line} has {ragged(len(cells), len(header))}")
    lines = [line for line, _ in rows]
    return {name: _column([cells[i] for _, cells in rows], lines) for i, name in enumerate(header)}


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _column(cells: Sequence[str], lines: Sequence[int]) -> _Column:
    """A column of words holds no number at all; one word among numbers is a fault of its row."""
    numbers, word = as_cells(cells)
    if word is None:
        return _Column(numbers)
    if np.isfinite(numbers).any() or holds_decimal_comma(cells[word]):
        said = no_number(cells[word])
        return _Column(numbers, line=f"line {lines[word]}", fault=said, cells=cells)
    return _Column(numbers, is_words=True, cells=cells)


def _read_parquet(path: Path) -> dict[str, _Column]:
    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"{path}: Parquet needs pyarrow: pip install 'fusekit-multimodal[parquet]', or save it as .csv "
            "or .npy."
        )
    import pyarrow
    from pyarrow import parquet, types

    try:
        table = parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError) as fault:
        raise DataError(f"{path}: this is not a Parquet file, or it is damaged ({fault})") from fault
    names = [unicodedata.normalize("NFC", name.strip()) for name in table.column_names]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there twice")
    found: dict[str, _Column] = {}
    for name, field, column in zip(names, table.schema, table.columns, strict=True):
        if name.startswith("__index_level_"):
            continue  # a data frame's counter of rows
        kinds = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        if any(is_kind(field.type) for is_kind in kinds):
            numbers = column.cast(pyarrow.float64(), safe=False).to_numpy().astype(np.float64)
            found[name] = _Column(numbers)
        else:
            found[name] = _Column(np.full(len(column), math.nan), is_words=True)
    return found


def _of_columns(
    path: Path,
    found: dict[str, _Column],
    columns: Sequence[str] | None,
    form: TableFormat,
    rate_hz: float | None,
) -> FeatureTable:
    """The chosen columns of a table with names."""
    words = tuple(name for name, column in found.items() if column.is_words)
    timed = next(((name, unit) for name, unit in form.times if name in found), None)
    if timed is None and form.timed:
        wanted = " or ".join(repr(name) for name, _ in form.times)
        raise DataError(f"{path}: there is no column {wanted} of times{nearest(form.times[0][0], [*found])}")
    asked = columns is not None
    if columns is None:
        columns = [name for name in found if name not in words and form.is_feature(name)]
    else:
        columns = [unicodedata.normalize("NFC", name.strip()) for name in columns]
    for name in (*columns, *form.valid):
        if name not in found:
            raise DataError(f"{path}: there is no column {name!r}{nearest(name, [*found])}")
        if name in words:
            raise DataError(f"{path}: column {name!r} holds something else than numbers")
        if found[name].fault:
            raise DataError(f"{path}: {_word_fault(name, found[name], asked)}")
    if not columns:
        raise DataError(f"{path}: no column but {', '.join(found)}; features are columns of numbers")
    values = _float32(np.stack([found[name].numbers for name in columns], axis=1))
    if not len(values):
        raise DataError(f"{path}: there is no row, only a header")
    counts = np.ones(len(values), bool)
    for name, least in form.valid.items():
        counts &= found[name].numbers >= least
    values[~counts] = np.nan
    if form.empty_is_zero:
        values[(values == 0).all(axis=1)] = np.nan
    times = _times(path, *timed, found, rate_hz) if timed else None
    clocks = [name for name in found if timed is None and looks_like_times(name)]
    unread = next((name for name in clocks if "time" in name.casefold()), (*clocks, "")[0])
    doubts = _doubts(found, columns, asked, form, counts)
    return FeatureTable(times, values, tuple(columns), words, doubts, unread)


def _word_fault(name: str, column: _Column, asked: bool) -> str:
    """Where a word stands among numbers, and what to do about it."""
    said = f"{column.line}, column {name!r}: {column.fault}"
    if "decimal comma" in column.fault:
        return said
    return (
        said
        + "; leave it empty where there is none"
        + ("" if asked else ", or name the features by `columns`")
    )


def _doubts(
    found: dict[str, _Column], columns: Sequence[str], asked: bool, form: TableFormat, counts: np.ndarray
) -> tuple[str, ...]:
    """What is odd about the choice of columns and rows, alike in all tables of a kind."""
    said = []
    clocks = [name for name in columns if looks_like_times(name) and not asked]
    if clocks:
        said.append(
            f"column {clocks[0]!r} counts as a feature and looks like times: name the features by `columns`, "
            f"or the times by time={clocks[0]}"
        )
    for name, column in found.items():
        if name in form.valid or column.is_words or (asked and name in columns):
            continue
        if looks_like_quality(name) and (column.numbers[counts] < SURE).any():
            said.append(
                f"rows whose {name} is below {SURE:g} count like any other: the reader's "
                f"valid=[{name}, {SURE:g}] takes them as absent"
            )
    return tuple(said)


def _times(path: Path, name: str, unit: str, found: dict[str, _Column], rate_hz: float | None) -> np.ndarray:
    column = found[name]
    if unit == "clock":
        read = [clock_seconds(cell) for cell in column.cells]
        times = np.array([math.nan if value is None else value for value in read], np.float64)
        if not len(times):
            times = column.numbers
    else:
        times = column.numbers * (SECONDS[unit] if unit in SECONDS else 1 / (rate_hz or 1.0))
    if column.fault and unit != "clock":
        raise DataError(f"{path}: {_word_fault(name, column, True)}")
    if not np.isfinite(times).all():
        words = {"frames": "frame numbers", "s": "seconds", "clock": "hours, minutes and seconds"}
        what = words.get(unit, unit)
        bad = np.flatnonzero(~np.isfinite(times))
        where = "" if len(bad) == len(times) else f" (row {int(bad[0]) + 1})"
        raise DataError(f"{path}: column {name}{where} must hold {what}, a number in every row")
    late = np.flatnonzero(np.diff(times) <= 0)
    if len(late):
        at = int(late[0]) + 1
        people = [p for p in _PEOPLE if p in found and len(set(found[p].numbers.tolist())) > 1]
        more = f" (column {people[0]} tells several: keep the rows of one)" if people else ""
        raise DataError(
            f"{path}: row {at + 1}: {name} {times[at]:g} does not follow {times[at - 1]:g}; sort the rows, "
            f"one for each moment{more}"
        )
    return times


def _read_npy(path: Path, columns: Sequence[str] | None, form: TableFormat) -> FeatureTable:
    if columns is not None:
        raise DataError(
            f"{path}: an NPY table has no column names to choose {', '.join(columns)} from; leave `columns` "
            "out, or save the table as .csv or .parquet"
        )
    if form.timed or form.valid:
        wanted = ", ".join([*(name for name, _ in form.times), *form.valid])
        raise DataError(f"{path}: an NPY table has no column names, and {wanted} is wanted by name")
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError, BadZipFile, MemoryError) as fault:
        said, *_ = str(fault).split("\n")
        raise DataError(f"{path}: this is not an NPY file of numbers, or it is damaged ({said})") from fault
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: this is an archive of several arrays; save one array with numpy.save")
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: expected numbers of shape (rows, features), found {values.dtype} of shape "
            f"{values.shape}"
        )
    return FeatureTable(None, _float32(values))


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    return np.where(np.isfinite(small), small, np.float32(np.nan))
