"""The tables of a run: predictions (CSV, Parquet, JSON) and the journal of its training.

A table in memory is a plain mapping of column names to NumPy arrays of one length. Columns of a predictions
table: `clip, subject, time_s`, one per dimension, `<dimension>_true`, then `gate_<modality>`, `attention_<k>`
(the largest k is the newest state), `present_<modality>`, `split` and whatever the labels brought along.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fusekit.engine.files import replace_file
from fusekit.errors import DataError, MissingExtraError, RunError
from fusekit.runs.shapes import misshapen

Table = dict[str, np.ndarray]

SUFFIXES = (".csv", ".parquet", ".json")

TEXT = ("clip", "subject", "session", "split")
"""Columns that are never numbers, even if every cell looks like one (a clip may be called 007)."""


def write_table(path: Path, columns: Mapping[str, ArrayLike]) -> None:
    """Write columns of equal length as CSV, Parquet or JSON (a list of rows), by the path's suffix.

    NaN becomes an empty cell (CSV) or null; truth values become 1 and 0. A reader sees the old file or the
    new one, never a part.

    Raises:
        DataError: another suffix, or the file cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    table = {name: np.asarray(values) for name, values in columns.items()}
    table = {name: v.astype(np.int64) if v.dtype == bool else v for name, v in table.items()}
    if len({len(v) for v in table.values()}) > 1:
        raise ValueError(f"columns differ in length: { {name: len(v) for name, v in table.items()} }")
    suffix = _suffix(path)
    if suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(guarded, table))
        writer.writerows(zip(*(_cells(v) for v in table.values()), strict=True))
        data = text.getvalue().encode()
    elif suffix == ".json":
        cells = zip(*(_values(v) for v in table.values()), strict=True)
        rows = [json.dumps(dict(zip(table, row, strict=True)), ensure_ascii=False) for row in cells]
        data = ("[\n" + ",\n".join(rows) + "\n]\n").encode()
    else:
        arrow, parquet = _pyarrow(path)
        # Nulls, as in the other formats, so that a reader that tells NaN from missing sees one kind of gap.
        arrays = {name: arrow.array(v, from_pandas=True) for name, v in table.items()}
        sink = io.BytesIO()
        parquet.write_table(arrow.table(arrays), sink)
        data = sink.getvalue()
    write_bytes(path, data)


def read_table(path: Path) -> Table:
    """Columns of a CSV, Parquet or JSON table, by suffix: numbers as float64 (blank: NaN), the rest as text.

    Raises:
        DataError: the file is missing, has another suffix, or a row has too many or too few cells.
        MissingExtraError: Parquet without pyarrow.
    """
    suffix = _suffix(path)
    if not path.is_file():
        raise DataError(f"there is no table '{path}'.")
    if suffix == ".parquet":
        _, parquet = _pyarrow(path)
        columns = parquet.read_table(path).to_pydict()
    elif suffix == ".json":
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"'{path}' is not a list of rows with the same columns: {error!r}.") from error
    else:
        columns = _read_csv(path)
    return {name: _column(name, cells) for name, cells in columns.items()}


def of_clip(table: Table, clip: str) -> Table:
    """The rows of one clip, in order of time.

    Raises:
        DataError: the table has no such clip.
    """
    rows = np.flatnonzero(table["clip"] == clip)
    if not len(rows):
        raise DataError(
            f"no clip '{clip}' in the predictions; there are {', '.join(clips_of(table)[:8])} ..."
        )
    rows = rows[np.argsort(table["time_s"][rows], kind="stable")]
    return {name: values[rows] for name, values in table.items()}


def clips_of(table: Table) -> list[str]:
    """Clips in order of appearance."""
    names, first = np.unique(table["clip"], return_index=True)
    return [str(name) for name in names[np.argsort(first)]]


def dims_of(table: Table) -> list[str]:
    """Target dimensions: columns that have a `<name>_true` beside them."""
    return [name for name in table if f"{name}_true" in table]


def modalities_of(table: Table, prefix: str) -> list[str]:
    """What follows `gate_` or `present_` in the columns, in order."""
    return [name.removeprefix(prefix) for name in table if name.startswith(prefix)]


def attention_of(table: Table) -> np.ndarray | None:
    """`(n, memory)`, oldest state first; None without attention columns."""
    numbers = sorted(
        int(name[10:]) for name in table if name.startswith("attention_") and name[10:].isdigit()
    )
    return np.stack([table[f"attention_{k}"] for k in numbers], 1) if numbers else None


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Entries of `metrics.jsonl`, one per epoch; a last line that was cut off by a kill is left out.

    Raises:
        RunError: the file is missing, or a whole line is not JSON.
    """
    if not path.is_file():
        raise RunError(f"there is no journal '{path}': was anything trained in this run?")
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path}:{number}: not a line of JSON ({error}).") from error
        if fault := misshapen("metrics.jsonl", entry):
            raise RunError(f"{path}:{number}: it does not say what an epoch was: {fault}.")
        entries.append(entry)
    return entries


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one go: a reader sees the old one or the new one, never a part.

    Raises:
        DataError: the folder cannot be written, or the disk is full; the old file is still whole.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise DataError(f"cannot write '{path}': {error.strerror or error}.") from error


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"'{path}': a table's name must end in one of {', '.join(SUFFIXES)}.")
    return suffix


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"'{path}' is Parquet, which needs pyarrow: pip install 'fusekit-multimodal[parquet]', or choose "
            ".csv."
        ) from error
    return pyarrow, pyarrow.parquet


def _values(values: np.ndarray) -> list[Any]:
    """Python values for JSON; float32 by its shortest digits, not by those of its float64 image."""
    if values.dtype.kind == "f":
        return [float(text) if math.isfinite(float(text)) else None for text in values.astype(str)]
    return values.tolist()


def _cells(values: np.ndarray) -> list[Any]:
    if values.dtype.kind == "f":
        return ["" if text == "nan" else text for text in values.astype(str)]
    return [guarded(cell) if isinstance(cell, str) else cell for cell in values.tolist()]


_FORMULA = re.compile("'*[-=+@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def guarded(cell: str) -> str:
    """A cell of a CSV that no spreadsheet takes for a formula (OWASP, CSV injection).

    An apostrophe goes before `=`, `+`, `-`, `@` (full width too), a tab or a line break at its start, numbers
    apart. `read_table` takes it off again.
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def _unguarded(cell: str) -> str:
    # No number is guarded: an apostrophe before one is the name's own.
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) and not _is_number(cell[1:]) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_csv(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, None)
        if not header:
            raise DataError(f"the table '{path}' is empty.")
        rows = []
        for row in reader:
            if len(row) != len(header):
                raise DataError(f"{path}:{reader.line_num}: {len(row)} cells under {len(header)} columns.")
            rows.append(row)
    return {_unguarded(name): [_unguarded(row[i]) for row in rows] for i, name in enumerate(header)}


def _column(name: str, cells: list[Any]) -> np.ndarray:
    blank = [cell is None or cell == "" for cell in cells]
    if name not in TEXT and not all(blank):
        try:
            return np.array([math.nan if b else float(c) for b, c in zip(blank, cells, strict=True)])
        except ValueError:
            pass  # not a column of numbers
    elif name not in TEXT:
        return np.full(len(cells), math.nan)
    return np.array(["" if b else str(c) for b, c in zip(blank, cells, strict=True)], dtype=str)
