"""Delimited text tables (CSV): which mark parts the cells, which cells are numbers, which say "missing"."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from fusekit.errors import DataError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# What R, pandas, MATLAB, spreadsheets and C's printf write for "no number here"; without case.
_MISSING = frozenset(
    {"na", "n/a", "#n/a", "<na>", "nan", "null", "none", "1.#nan"}
    | {f"{sign}nan({kind})" for sign in ("", "-") for kind in ("ind", "snan")}
    | {f"{sign}1.#{kind}" for sign in ("", "-") for kind in ("ind", "qnan", "snan")}
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")


def read_table(path: Path, *, foreign: bool = False) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """CSV -> column names and `(line number, cells)` per row, cells stripped, names in Unicode's composed
    form (NFC); blank lines are skipped.

    Args:
        foreign: another program's table. Its cells may be parted by semicolons or tabs, whichever the header
            shows and the rows agree with; a first column without a name that counts the rows from 0 or 1, as
            pandas and R write it, is left out.

    Raises:
        DataError: no file, zero bytes, not UTF-8 text, no header, a name twice or none, or a header that more
            than one mark could part.
    """
    header, rows = _parted(path, foreign)
    if foreign and len(header) > 1 and not header[0]:
        counted = [cells[0] for _, cells in rows]
        if any(counted == [str(start + i) for i in range(len(rows))] for start in (0, 1)):
            header, rows = header[1:], [(line, cells[1:]) for line, cells in rows]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(f"{path}: columns are separated by commas, this header is {header[0]!r}")
    for position, name in enumerate(header):
        if not name:
            raise DataError(f"{path}: column {position + 1} of the header has no name")
        if name in header[:position]:
            raise DataError(f"{path}: column {name!r} is there twice")
    return header, rows


def _parted(path: Path, foreign: bool) -> tuple[list[str], list[tuple[int, list[str]]]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (zero bytes)")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _cells(text, _delimiter(path, text) if foreign else ",")
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: this is not a CSV text file in UTF-8 ({error})") from error
    if not rows:
        raise DataError(f"{path}: there is no header row")
    return [unicodedata.normalize("NFC", name) for name in rows[0][1]], rows[1:]


def _cells(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]


def _delimiter(path: Path, text: str) -> str:
    """The mark that parts the header's names. Where names hold others of them, the rows must decide."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    shown = re.sub(r'"[^"]*"', "", first)
    held = [mark for mark in DELIMITERS if mark in shown]
    if len(held) < 2:
        return held[0] if held else ","
    fitting = []
    for mark in held:
        try:
            rows = [cells for _, cells in _cells(text, mark)]
        except csv.Error:
            continue
        if all(len(cells) == len(rows[0]) for cells in rows):
            fitting.append(mark)
    if len(fitting) != 1:
        raise DataError(
            f"{path}: {' or '.join(DELIMITERS[m] for m in held)} could part this header, {first.strip()!r}, "
            "and the rows fit "
            f"{'both' if fitting else 'neither'}; use one of them, and quote names that hold the other"
        )
    return fitting[0]


def nearest(name: str, names: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the closest of `names`, or what there is."""
    close = get_close_matches(name, names, 1, 0.6)
    shown = [*names[:12], "..."] if len(names) > 12 else names
    return f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(shown) or 'nothing'}"


def as_number(cell: str) -> float | None:
    """Text -> finite number, or None."""
    number = as_cell(cell)
    return number if number is not None and math.isfinite(number) else None


def as_cell(cell: str) -> float | None:
    """Text -> number; NaN where the cell is empty or one of the words for a missing number (`NA`, `nan`,
    `-nan(ind)`, `null`, ...), infinities as they are; None for any other word."""
    try:
        return None if "_" in cell else float(cell)  # Python alone reads 1_000 as a number
    except ValueError:
        word = cell.casefold()
        if not cell or word in _MISSING:
            return math.nan
        return {"1.#inf": math.inf, "-1.#inf": -math.inf}.get(word)


def as_cells(cells: Sequence[str]) -> tuple[np.ndarray, int | None]:
    """Column of text -> `(n,)` float64 as by `as_cell`, and the place of the first word, None: there is
    none."""
    values = np.full(len(cells), math.nan)
    word = None
    for i, cell in enumerate(cells):
        number = as_cell(cell)
        if number is not None:
            values[i] = number
        elif word is None:
            word = i
    return values, word


def no_number(cell: str) -> str:
    """The end of a sentence about a cell that should hold a number."""
    if _DECIMAL_COMMA.fullmatch(cell):
        return f"{cell!r} has a decimal comma; write a decimal point, {cell.replace(',', '.')}"
    return f"{cell!r} is no number"


def holds_decimal_comma(cell: str) -> bool:
    """Whether a cell is a number as spreadsheets of many languages write it: `0,52`."""
    return _DECIMAL_COMMA.fullmatch(cell) is not None


def ragged(cells: int, header: int) -> str:
    """How many cells a row has that does not fit its header, for a sentence."""
    hint = ""
    if cells == 2 * header and header > 1:
        hint = "; numbers with decimal commas look so: write decimal points"
    return f"{cells} cells, the header has {header}{hint}"
