"""Rules of readers on time, sources, streams and arguments: each rejects a part that breaks it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from broken_parts import READING, findings, named

from fusekit.contracts import Reader, Source, Stream
from fusekit.errors import DataError

RATE = 4
TIMES = np.arange(48) / RATE


def _written(folder: Path, values: np.ndarray) -> Source:
    file = folder / "a.csv"
    file.write_text(
        "time_s,value\n" + "".join(f"{t:.3f},{v:.6f}\n" for t, v in zip(TIMES, values, strict=True))
    )
    return Source(file)


def file(folder: Path) -> Source:
    return _written(folder, 2 + np.sin(np.arange(48)))


def blank(folder: Path) -> Source:
    return _written(folder, np.zeros(48))


def altered(folder: Path, second: float) -> Source:
    return _written(folder, np.where(second > TIMES, 2 + np.sin(np.arange(48)), 5.0))


class Table(Reader):
    """`time_s,value` -> the four latest values before t; keeps every rule. Absent where the value is 0.

    Args:
        scale: values are multiplied by it when they are read.
        gap_s: how old a value may be.
        mode: `plain`, or `centred`: less the mean of the file.
    """

    medium: ClassVar[str] = "table"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    absence: ClassVar[str] = "Polar's sensor has no contact"

    def __init__(
        self, *, scale: float = 1.0, gap_s: float = 1.0, mode: Literal["plain", "centred"] = "plain"
    ) -> None:
        self.scale, self.gap_s, self.mode = scale, gap_s, mode
        self.raw_shape: tuple[int, ...] = (4,)
        self.lookahead_s = math.inf if mode == "centred" else 0.0

    def settings(self) -> dict[str, Any]:
        return {"scale": self.scale, "mode": self.mode}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        try:
            rows = np.array([line.split(",") for line in source.timed_path().read_text().split()[1:]], float)
            times, values = rows.T
        except (OSError, ValueError) as error:
            raise DataError(f"{source.path}: no table: {error}") from error
        if self.mode == "centred":
            values = values - values.mean()
        return {"times": times, "values": values * self.scale, "duration_s": times[-1:] + 1 / RATE}

    def at(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.searchsorted(stream["times"], times + 1e-6, side="right") - 1

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        at = self.at(stream, times)
        young = times - stream["times"][at.clip(0)] <= self.gap_s
        return (at >= 0) & young & (stream["values"][at.clip(0)] != 0)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        rows = self.at(stream, times)[:, None] + np.arange(-3, 1)
        return np.where(rows < 0, 0, stream["values"][rows.clip(0)]).astype(np.float32)


class HalfLate(Table):
    """The row before half a step ago."""

    def at(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().at(stream, times - 0.5 / RATE)


class StepLate(Table):
    """Strictly before: a whole step late."""

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().windows(stream, times - 1 / RATE)


class Nearest(Table):
    """The nearest row: half a step early."""

    def at(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().at(stream, times + 0.5 / RATE)


class Expects(Table):
    """Present where content comes within half a second."""

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().present(stream, times) | super().present(stream, times + 0.5)


class Remains(Table):
    """Absent where the signal is lost within the next second."""

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        later = self.at(stream, times + 1.0)
        return super().present(stream, times) & (stream["values"][later.clip(0)] != 0)


class Bridges(Table):
    """A hole that is filled again was none."""

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        there = stream["values"] != 0
        bridged = np.maximum.accumulate(there) & np.maximum.accumulate(there[::-1])[::-1]
        return (self.at(stream, times) >= 0) & bridged[self.at(stream, times).clip(0)] & (times < 12)


class Forgets(Table):
    """Drops the manifest's start."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        return super().prepare(Source(source.path))


class Wordless(Table):
    """Refuses it, and does not say what."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        if source != Source(source.path):
            raise DataError(f"{source.path}: refused")
        return super().prepare(source)


class Learns(Table):
    """Sets while it reads what windows need."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        found = super().prepare(source)
        self.level = float(found["values"].max())
        return found

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().windows(stream, times) / max(self.level, 1e-6)


class FirstFile(Learns):
    """Scales by the first file that it met."""

    level: float = 0.0

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        found = Table.prepare(self, source)
        self.level = self.level or float(found["values"].max())
        return found

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return Table.windows(self, stream, times) / (self.level or float(stream["values"].max()) or 1.0)


class Shifts(Table):
    """Works in the times that it is asked for."""

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        times -= 0.0
        times += 1e-3
        return super().windows(stream, times)


class Calibrated(Table):
    """Reads a second file that it does not name."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        return super().prepare(replace(source, path=source.path.with_name("a.csv"))) | {
            "more": np.array([float((source.path.parent / "offset.txt").read_text())])
        }


class Stale(Table):
    """A setting that its store does not know."""

    def settings(self) -> dict[str, Any]:
        return {"mode": self.mode}


class Fixed(Table):
    """Says 0 whatever its mode."""

    def __init__(self, *, mode: Literal["plain", "centred"] = "plain") -> None:
        super().__init__(mode=mode)
        self.lookahead_s = 0.0


class Widths(Table):
    """Says four numbers whatever it gives."""

    def __init__(self, *, rows: int = 4) -> None:
        super().__init__()
        self.rows = rows

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.repeat(super().windows(stream, times)[:, :1], self.rows, axis=1)


class Early(Table):
    """There before it began."""

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().present(stream, np.maximum(times, 0.0))


class Ranked(Table):
    """What ridge regression sees of a window is its rank among the others."""

    def pooled(self, windows: np.ndarray) -> np.ndarray:
        return windows.argsort(axis=0).astype(np.float32)


class Writes(Table):
    """Leaves a cache beside the recording."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        source.path.with_suffix(".cache").write_text("x")
        return super().prepare(source)


class Buffered(Table):
    """One array for the windows of all calls."""

    buffer = np.zeros((100, 4), np.float32)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        found = self.buffer[: len(times)]
        found[:] = super().windows(stream, times)
        return found


READ: dict[str, dict[str, np.ndarray]] = {}


class ByName(Table):
    """Reads each file once, and knows it by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[str, dict[str, np.ndarray]] = {}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        if source.path.name not in self.read:
            self.read[source.path.name] = super().prepare(source)
        return self.read[source.path.name]


class ByPath(Table):
    """Reads each file once in a process, and knows it by its path."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        if str(source.path) not in READ:
            READ[str(source.path)] = super().prepare(source)
        return READ[str(source.path)]


class Lookup(Table):
    """A traceback for a number that it does not know."""

    def __init__(self, *, rows: int = 4) -> None:
        super().__init__()
        self.rows = {4: 4}[rows]


class Unchecked(Table):
    """Takes any number of rows, and fails when it reads."""

    def __init__(self, *, rows: int = 4) -> None:
        super().__init__()
        self.rows = rows

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "rows": self.rows}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        return super().prepare(source) | {"room": np.zeros(self.rows)}


class Milliseconds(Table):
    """Says how long it is in milliseconds."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        found = super().prepare(source)
        return found | {"duration_s": found["duration_s"] * 1000}


class Column(Table):
    """Which column, and the store does not know."""

    def __init__(self, *, columns: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.columns = columns

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        found = super().prepare(source)
        return found | {"values": -found["values"]} if self.columns else found


BROKEN = [
    (Buffered, "streams-apart", "a later call changes the windows that an earlier one gave"),
    (ByName, "streams-apart", "one that has read another file reads this one otherwise"),
    (ByPath, "streams-apart", "a file that has changed where it lies is read as it was"),
    (Lookup, "variants", "rows: 8: it raised KeyError: 8"),
    (Unchecked, "variants", "rows: -1 is taken, and then `prepare` fails: it raised ValueError"),
    (Milliseconds, "steps", "is duration_s in seconds?"),
    (Column, "variants", "columns: ('value',) changes what `prepare` gives and not settings()"),
    (HalfLate, "on-time", "content enters the window 0.125 s late"),
    (StepLate, "on-time", "content enters the window 0.250 s late"),
    (Nearest, "lookahead", "it looks at least 0.07 s ahead, lookahead_s says 0.00"),
    (Expects, "presence", "content that begins at 7.00 s changes who is present at 6.50 s"),
    (Remains, "presence", "content that ends at 7.00 s changes who is present at 6.00 s"),
    (Bridges, "presence", "content that comes back at 8.25 s changes who is present at 4.75 s"),
    (Forgets, "source", "start_s of the source is dropped in silence"),
    (Forgets, "source", "step_s of the source is dropped in silence"),
    (Wordless, "source", "its DataError for a source with start_s does not name it"),
    (Learns, "streams-apart", "a new reader cannot cut windows of a stored stream: it raised AttributeError"),
    (FirstFile, "streams-apart", "one that has read another file cuts other windows"),
    (Shifts, "streams-apart", "it changes the times that it is asked for in place"),
    (Stale, "variants", "scale: 2.0 changes what `prepare` gives and not settings()"),
    (Fixed, "variants", "a window looks further ahead than lookahead_s, 0, says"),
    (Widths, "variants", "windows are (8,), raw_shape says (4,)"),
    (Early, "steps", "it is present 60 s before the start"),
    (Ranked, "steps", "pooled() of window"),
    (Writes, "surroundings", "it writes `a.cache` into the folder that it reads"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), BROKEN, ids=named)
def test_broken_clocks(cls: type, rule: str, sentence: str) -> None:
    found = findings("reader", cls, rule, file=file, blank=blank, altered=altered)
    assert any(sentence in seen for _, seen in found), found


def test_a_file_that_is_opened_and_not_named() -> None:
    def both(folder: Path) -> Source:
        (folder / "offset.txt").write_text("3")
        return file(folder)

    found = findings("reader", Calibrated, "files", file=both)
    assert [seen for _, seen in found] == [
        "it opens offset.txt, which files(source) does not name: a change of it would go unseen"
    ]


@pytest.mark.parametrize("mode", ["plain", "centred"])
def test_sound_tables_pass(mode: str) -> None:
    args = {"mode": mode}
    assert findings("reader", Table, args=args, file=file, blank=blank, altered=altered) == []


def test_every_rule_of_time_has_rejected_a_part() -> None:
    assert {"files", *(rule for _, rule, _ in BROKEN)} >= READING


def test_windows_of_whole_bins_are_on_time() -> None:
    class Bins(Table):
        """Means of the half seconds that are over: as late as they must be."""

        def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
            return super().windows(stream, np.floor(times * 2 + 1e-6) / 2 - 1e-3)

    class LateBins(Bins):
        """Half a second later."""

        def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
            return super().windows(stream, times - 0.5)

    assert findings("reader", Bins, "on-time", file=file, altered=altered) == []
    assert len(findings("reader", LateBins, "on-time", file=file, altered=altered)) == 1
