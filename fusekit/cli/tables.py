"""Tables for people; rich is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print a table on stdout; columns of numbers are aligned to the right, nothing is cut off when piped."""
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=escape(title) or None, title_justify="left", pad_edge=False)
    for i, column in enumerate(columns):
        numbers = bool(rows) and all(_is_number(str(row[i])) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=200)
    console.print(table)


def shape(sizes: Any) -> str:
    """`[3, 128, 128]` -> "3 x 128 x 128"; a mapping of shapes by modality is written out."""
    if isinstance(sizes, dict):
        return ", ".join(f"{name} {shape(value)}" for name, value in sizes.items())
    return " x ".join(map(str, sizes)) if isinstance(sizes, list | tuple) else str(sizes)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").replace("%", "").lstrip("-").isdigit()
