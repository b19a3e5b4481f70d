"""Tables for people, and shapes in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print a table on stdout, as wide as the terminal (`fusekit.study.terminal`)."""
    from fusekit.study.terminal import print_table as fitted

    fitted(columns, rows, title)


def shape(sizes: Any) -> str:
    """`[3, 128, 128]` -> "3 x 128 x 128"; a mapping of shapes by modality is written out."""
    if isinstance(sizes, dict):
        return ", ".join(f"{name} {shape(value)}" for name, value in sizes.items())
    return " x ".join(map(str, sizes)) if isinstance(sizes, list | tuple) else str(sizes)
