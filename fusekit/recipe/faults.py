"""One fault of a recipe, and the paragraph that lists them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusekit.errors import RecipeError

SHOWN = 40
"""Faults that one message lists; a file with more is no recipe at all."""
LONGEST_PATH = 120


@dataclass(frozen=True)
class Fault:
    """Where it stands, which key it concerns, what is wrong and what would be right.

    Attributes:
        where: "recipes/av.yaml:12" or "override 'fusion.gat=vector'".
        path: dotted path of the key; empty for the file as a whole.
    """

    where: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, _short(self.path), self.message) if part)


def _short(path: str) -> str:
    return path if len(path) <= LONGEST_PATH else f"{path[: LONGEST_PATH - 3]}..."


def error(name: str, faults: Sequence[Fault]) -> RecipeError:
    """The faults of one recipe as one error, the first `SHOWN` of them; identical ones are said once."""
    lines = list(dict.fromkeys(str(fault) for fault in faults))
    count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
    indented = ["  " + line.replace("\n", "\n  ") for line in lines[:SHOWN]]
    if len(lines) > SHOWN:
        indented.append(f"  and {len(lines) - SHOWN} more")
    return RecipeError("\n".join([f"{name} has {count}:", *indented]))
