"""Tables on a terminal of any width, in which nothing vanishes; rich is imported only when one is drawn."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fusekit.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200
"""Columns where the output is no terminal and nobody says how wide it is."""
NARROWEST = 14
"""A column of words is folded down to this width, then the table is parted."""
_GAP = 2  # between columns; one more at either end


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "", console: Console | None = None
) -> None:
    """Print a table; columns of numbers are aligned to the right and never broken, words are folded.

    Where it is wider than the terminal all the same, it comes in parts, each with the first column again.
    """
    from rich.text import Text

    console = console or stdout()
    cells = [[printable(cell) for cell in row] for row in rows]
    heads = [printable(name) for name in columns]
    if title:
        console.print(Text(printable(title), "italic"))
    for part in _parts(heads, cells, console.width):
        _print_part(part, heads, cells, console)


def stdout() -> Console:
    """The terminal; piped, `COLUMNS` wide or wide enough for most."""
    from rich.console import Console

    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return Console(highlight=False)
    return Console(highlight=False, width=WIDE)


def _print_part(part: dict[int, int], heads: Sequence[str], cells: list[list[str]], console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for k, width in part.items():
        right = _numbers(cells, k)
        table.add_column(Text(heads[k]), justify="right" if right else "left", width=width, overflow="fold")
    for row in cells:
        table.add_row(*(Text(row[k]) for k in part))
    console.print(table)


def _parts(heads: Sequence[str], cells: list[list[str]], width: int) -> list[dict[int, int]]:
    """`{column: width}` of each part of a table."""
    every = list(range(len(heads)))
    if (whole := _fitted(every, heads, cells, width)) is not None:
        return [whole]
    parts: list[dict[int, int]] = []
    label, together = every[:1], list[int]()
    for k in every[1:]:
        if together and _fitted([*label, *together, k], heads, cells, width) is None:
            parts.append(_fitted([*label, *together], heads, cells, width, anyhow=True) or {})
            together = []
        together.append(k)
    parts.append(_fitted([*label, *together], heads, cells, width, anyhow=True) or {})
    return parts


def _fitted(
    columns: Sequence[int], heads: Sequence[str], cells: list[list[str]], width: int, anyhow: bool = False
) -> dict[int, int] | None:
    """Widths with which these columns fit, words folded as evenly as can be; None: they cannot (unless
    `anyhow`)."""
    natural = {k: _natural(heads[k], [row[k] for row in cells]) for k in columns}
    space = width - 2 - _GAP * (len(columns) - 1)
    fixed = {k: natural[k] for k in columns if _numbers(cells, k) and natural[k] <= width // 3}
    space -= sum(fixed.values())
    words = sorted((k for k in columns if k not in fixed), key=lambda k: natural[k])
    widths = dict(fixed)
    for place, k in enumerate(words):
        widths[k] = min(natural[k], max(space // (len(words) - place), 1))
        if widths[k] < min(natural[k], NARROWEST) and not anyhow:
            return None
        space -= widths[k]
    return {k: widths[k] for k in columns} if space >= 0 or anyhow else None


def _natural(head: str, cells: Sequence[str]) -> int:
    """As wide as any cell; a head may be broken between its words, not within one."""
    from rich.cells import cell_len

    widest = max((cell_len(line) for cell in cells for line in cell.split("\n")), default=0)
    return max(widest, max((cell_len(word) for word in head.split()), default=0), 1)


def _numbers(cells: list[list[str]], k: int) -> bool:
    return bool(cells) and all(_is_number(row[k]) for row in cells)


def _is_number(text: str) -> bool:
    digits = text.replace(",", "").replace(".", "").replace("%", "").replace("±", "").replace("e-", "")
    return text == "-" or digits.lstrip("+-").isdigit()
