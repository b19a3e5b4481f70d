"""A table as rows of cells under grouped columns: what all exports print, digit for digit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """One entry.

    Attributes:
        text: a label, or a number in the digits that are shown; "" where there is none (a dash is shown).
        sd: digits of the deviation over seeds; "" with one seed.
        best: the best of its column within its section.
    """

    text: str = ""
    sd: str = ""
    best: bool = False

    @property
    def number(self) -> float | None:
        """The number as shown, e.g. to sort by; None for a label or a dash."""
        try:
            value = float(self.text)
        except ValueError:
            return None
        return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        heads: one per header row, from the top; equal neighbours become one wide head, "" goes on with the
            head above.
        better: which value is the best and bold; "": none is.
        label: holds labels, not numbers.
    """

    heads: tuple[str, ...]
    better: Literal["low", "high", ""] = ""
    label: bool = False

    @property
    def name(self) -> str:
        """The heads in one line, unique in its table."""
        return " ".join(head for head in self.heads if head)


@dataclass(frozen=True)
class Row:
    """Cells under all columns; rows of one section compete for the best, and stand under its name."""

    section: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PaperTable:
    """One table.

    Attributes:
        numbers: those of the paper's tables that it stands for, e.g. (1, 2); () for one the paper has not.
        stem: of its files, e.g. "table01-02".
        caption, notes: sentences. columns, rows: rows of one section follow each other.
    """

    numbers: tuple[int, ...]
    stem: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """ "Tables 1-2", "Table 11", or "" for a table that the paper does not have."""
        if not self.numbers:
            return ""
        return f"Table{'s' * (len(self.numbers) > 1)} " + "-".join(map(str, self.numbers))

    def sections(self) -> list[tuple[str, list[Row]]]:
        """(name, its rows), in order."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.section, []).append(row)
        return list(found.items())

    def cell(self, section: str, model: str, column: str) -> Cell:
        """The entry of the row whose first cell is `model`, under the column of that name.

        Raises:
            KeyError: there is none.
        """
        names = [c.name for c in self.columns]
        for row in self.rows:
            if row.section == section and row.cells[0].text == model and column in names:
                return row.cells[names.index(column)]
        raise KeyError(f"{section} / {model} / {column}")


def make_table(
    numbers: Sequence[int],
    stem: str,
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    notes: Sequence[str],
) -> PaperTable:
    """A table with the best cells marked; where two show the same digits, both are best.

    Raises:
        ValueError: a row with too few or too many cells, or two columns of one name.
    """
    wrong = [row for row in rows if len(row.cells) != len(columns)]
    if wrong:
        raise ValueError(f"{len(columns)} columns, but {len(wrong[0].cells)} cells: {wrong[0]}")
    if len({c.name for c in columns}) != len(columns):
        raise ValueError(f"columns of one name: {[c.name for c in columns]}")
    return PaperTable(
        tuple(numbers), stem, caption, tuple(columns), tuple(_with_best(columns, rows)), tuple(notes)
    )


def number_cell(mean: float, sd: float = math.nan, digits: int = 3) -> Cell:
    """A rounded number and its deviation; NaN gives a dash, and no deviation."""
    if not math.isfinite(mean):
        return Cell()
    return Cell(_rounded(mean, digits), _rounded(sd, digits) if math.isfinite(sd) else "")


def _rounded(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text  # no "-0.000"


def _with_best(columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
    """A number alone in its column and section competes with none and is not bold."""
    cells = [list(row.cells) for row in rows]
    for k, column in enumerate(columns):
        for section in {row.section for row in rows} if column.better else ():
            found = {
                i: value
                for i, row in enumerate(rows)
                if row.section == section and (value := row.cells[k].number) is not None
            }
            if len(found) < 2:
                continue
            best = min(found.values()) if column.better == "low" else max(found.values())
            for i, value in found.items():
                if value == best:
                    cells[i][k] = replace(cells[i][k], best=True)
    return [Row(row.section, tuple(changed)) for row, changed in zip(rows, cells, strict=True)]
