"""Feature tables that were computed elsewhere: CSV, NPY and Parquet files of numbers, one row per moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fusekit.data.label_file import TIME, as_number, nearest, read_table
from fusekit.errors import DataError, MissingExtraError

SUFFIXES = (".csv", ".npy", ".parquet")


@dataclass(frozen=True)
class FeatureTable:
    """What a file holds.

    Attributes:
        times: `(n,)` float64, its column `time_s`, increasing; None: it has none.
        values: `(n, F)` float32, NaN where a cell is empty, NaN or beyond float32.
        names: of the F columns; () where the file does not name them.
        words: columns left aside because they hold something else than numbers.
    """

    times: np.ndarray | None
    values: np.ndarray
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def read_features(path: Path, columns: Sequence[str] | None = None) -> FeatureTable:
    """Read a table by its suffix.

    Args:
        path: CSV with a header row, NPY `(n, F)` of numbers, or Parquet.
        columns: which to take, in this order; None: all that hold numbers, `time_s` apart.

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
    match path.suffix.lower():
        case ".csv":
            return _of_columns(path, _read_csv(path), columns)
        case ".parquet":
            return _of_columns(path, _read_parquet(path), columns)
        case ".npy":
            return _read_npy(path, columns)
    raise DataError(f"{path}: features are read from {_known()} files; save the table as one of them")


def _known() -> str:
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def _read_csv(path: Path) -> dict[str, np.ndarray | None]:
    """Columns by name; None for one that holds words."""
    header, rows = read_table(path)
    if all(as_number(name) is not None for name in header):
        raise DataError(
            f"{path}: its first row is all numbers; write a header row with the columns' names "
            f"(`{TIME}` for seconds), or save the table as .npy, which has none"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}: line {line} has {len(cells)} cells, the header has {len(header)}")
    return {name: _numbers([cells[i] for _, cells in rows]) for i, name in enumerate(header)}


def _numbers(cells: Sequence[str]) -> np.ndarray | None:
    """Cells as float64, NaN where empty; None if one is a word."""
    try:
        return np.array([float(cell) if cell else math.nan for cell in cells], np.float64)
    except ValueError:
        return None


def _read_parquet(path: Path) -> dict[str, np.ndarray | None]:
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
    twice = [name for i, name in enumerate(table.column_names) if name in table.column_names[:i]]
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there twice")
    found: dict[str, np.ndarray | None] = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        kinds = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        numeric = any(is_kind(field.type) for is_kind in kinds)
        found[field.name] = (
            column.cast(pyarrow.float64(), safe=False).to_numpy().astype(np.float64) if numeric else None
        )
    return found


def _of_columns(
    path: Path, found: dict[str, np.ndarray | None], columns: Sequence[str] | None
) -> FeatureTable:
    """The chosen columns of a table with names."""
    words = tuple(name for name, column in found.items() if column is None)
    if columns is None:
        columns = [name for name in found if name != TIME and name not in words]
    for name in columns:
        if name not in found:
            raise DataError(f"{path}: there is no column {name!r}{nearest(name, [*found])}")
        if name in words:
            raise DataError(f"{path}: column {name!r} holds something else than numbers")
    if not columns:
        raise DataError(f"{path}: no column but {', '.join(found)}; features are columns of numbers")
    chosen = [column for name in columns if (column := found[name]) is not None]
    if not len(chosen[0]):
        raise DataError(f"{path}: there is no row, only a header")
    times = _times(path, found[TIME]) if TIME in found else None
    return FeatureTable(times, _float32(np.stack(chosen, axis=1)), tuple(columns), words)


def _times(path: Path, times: np.ndarray | None) -> np.ndarray:
    if times is None or not np.isfinite(times).all():
        where = "" if times is None else f" (row {int(np.flatnonzero(~np.isfinite(times))[0]) + 1})"
        raise DataError(f"{path}: column {TIME}{where} must hold seconds, a number in every row")
    late = np.flatnonzero(np.diff(times) <= 0)
    if len(late):
        at = int(late[0]) + 1
        raise DataError(
            f"{path}: row {at + 1}: {TIME} {times[at]:g} does not follow {times[at - 1]:g}; sort the rows, "
            "one for each moment"
        )
    return times


def _read_npy(path: Path, columns: Sequence[str] | None) -> FeatureTable:
    if columns is not None:
        raise DataError(
            f"{path}: an NPY table has no column names to choose {', '.join(columns)} from; leave `columns` "
            "out, or save the table as .csv or .parquet"
        )
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
