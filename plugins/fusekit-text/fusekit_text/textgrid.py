"""Praat's TextGrid, long and short text form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusekit.errors import DataError
from fusekit_text.cues import Cue, Transcript, checked

# Praat reads the free-standing strings, numbers and flags of either form and nothing else: the long form's
# names, as in `xmin = 0` or `intervals [1]:`, are comment.
_PART = re.compile(
    r'"(?P<string>(?:[^"]|"")*)"|(?<!\S)(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)'
    r"|(?<!\S)<(?P<flag>exists|absent)>(?!\S)|(?<!\S)![^\n]*",
    re.ASCII,
)
_MARK = re.compile(r"<[^<>]*>")  # <sil>, <p:>: what aligners write where nothing is said


@dataclass
class _Part:
    kind: str
    text: str
    line: int


class _Parts:
    """The parts of a file in order, each asked for by its kind."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.line = path, 1
        self.rest: Iterator[_Part] = self._cut(text)

    def _cut(self, text: str) -> Iterator[_Part]:
        line, seen = 1, 0
        for match in _PART.finditer(text):
            line += text.count("\n", seen, match.start())
            seen = match.start()
            if match.lastgroup is not None:
                yield _Part(match.lastgroup, match[match.lastgroup].replace('""', '"'), line)

    def next(self, kind: str, what: str) -> str:
        part = next(self.rest, None)
        if part is None:
            raise DataError(f"{self.path}: the TextGrid ends where {what} should follow; is it cut off?")
        self.line = part.line
        if part.kind != kind:
            raise DataError(
                f"{self.path}: line {part.line}: {what} should stand here, found {part.kind} {part.text!r}"
            )
        return part.text

    def number(self, what: str) -> float:
        return float(self.next("number", what))

    def count(self, what: str) -> int:
        text = self.next("number", what)
        if not text.isdigit() or len(text) > 9:
            raise DataError(f"{self.path}: line {self.line}: {what} should stand here, found {text}")
        return int(text)


def read_textgrid(path: Path, text: str, tier: str | None) -> Transcript:
    """The intervals of one tier that have words in them.

    Args:
        tier: its name; None: the only interval tier.

    Raises:
        DataError: this is no TextGrid in text form, it is cut off, or the tier is not there.
    """
    parts = _Parts(path, text)
    kind = parts.next("string", "ooTextFile")
    # "short": so Praats of long ago named the short form, which tells itself apart anyway.
    if kind not in ("ooTextFile", "ooTextFile short") or parts.next("string", "TextGrid") != "TextGrid":
        raise DataError(f"{path}: this is no TextGrid: it should begin with ooTextFile and TextGrid.")
    parts.number("the start")
    lasts = parts.number("the end")
    parts.next("flag", "<exists>")
    found: list[tuple[str, list[Cue]]] = []
    points: list[str] = []
    for _ in range(parts.count("the number of tiers")):
        kind, name = parts.next("string", "a tier's class"), parts.next("string", "a tier's name")
        parts.number(f"the start of tier {name!r}")
        parts.number(f"the end of tier {name!r}")
        size = parts.count(f"the size of tier {name!r}")
        if kind == "IntervalTier":
            found.append((name, [_interval(parts) for _ in range(size)]))
        elif kind == "TextTier":
            points.append(name)
            for _ in range(size):
                parts.number("a point's time")
                parts.next("string", "a point's mark")
        else:
            raise DataError(f"{path}: line {parts.line}: {kind!r} is no class of tiers that a TextGrid has")
    return Transcript(_chosen(path, found, points, tier), duration_s=checked(path, 1, 0.0, lasts)[1])


def _interval(parts: _Parts) -> Cue:
    start_s, end_s = parts.number("an interval's start"), parts.number("an interval's end")
    line = parts.line
    text = _MARK.sub(" ", parts.next("string", "an interval's text"))
    return Cue(" ".join(text.split()), *checked(parts.path, line, start_s, end_s))


def _chosen(path: Path, found: list[tuple[str, list[Cue]]], points: list[str], tier: str | None) -> list[Cue]:
    names = [name for name, _ in found]
    there = f"it has {', '.join(map(repr, names)) or 'none'}"
    if tier is None and len(found) != 1:
        raise DataError(
            f"{path}: which interval tier holds the words? {there}. Give the reader `tier: NAME`."
        )
    chosen = [cues for name, cues in found if tier in (None, name)]
    if not chosen:
        more = f" ({tier!r} is a tier of points)" if tier in points else ""
        raise DataError(f"{path}: there is no interval tier {tier!r}; {there}{more}.")
    if len(chosen) > 1:
        raise DataError(f"{path}: {len(chosen)} interval tiers are named {tier!r}; rename one in Praat.")
    return chosen[0]
