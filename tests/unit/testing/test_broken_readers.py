"""Every rule of readers rejects a part that breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from broken_parts import READING, findings, named, unproven

from fusekit.contracts import Reader, Source, Stream
from fusekit.errors import DataError

RATE = 10


def _written(folder: Path, values: np.ndarray) -> Source:
    (folder / "a.beat").write_text("\n".join(f"{v:.6f}" for v in values))
    return Source(folder / "a.beat")


def file(folder: Path) -> Source:
    return _written(folder, np.sin(np.arange(40)))


def blank(folder: Path) -> Source:
    return _written(folder, np.zeros(40))


def altered(folder: Path, second: float) -> Source:
    t = np.arange(40)
    return _written(folder, np.where(t / RATE < second, np.sin(t), 5.0))


class Numbers(Reader):
    """Ten numbers a second -> the last 4 before t, `(1, 4)`; keeps every rule."""

    medium: ClassVar[str] = "beat"
    suffixes: ClassVar[tuple[str, ...]] = (".beat",)

    def __init__(self) -> None:
        self.raw_shape, self.lookahead_s = (1, 4), 0.0

    def settings(self) -> dict[str, Any]:
        return {"rate": RATE}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        try:
            values = np.array([float(v) for v in source.timed_path().read_text(encoding="utf-8").split()])
        except (OSError, ValueError) as error:
            raise DataError(f"{source.path}: no list of numbers: {error}") from error
        if not values.size:
            raise DataError(f"{source.path}: holds no number")
        return {"values": self.cleaned(values), "duration_s": np.array([len(values) / RATE])}

    def cleaned(self, values: np.ndarray) -> np.ndarray:
        return values

    def rows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.floor(times[:, None] * RATE + 1e-9).astype(int) + np.arange(-3, 1)

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return (times >= 0) & (times < float(stream["duration_s"][0]))

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        rows, n = self.rows(stream, times), len(stream["values"])
        values = stream["values"][np.clip(rows, 0, n - 1)]
        return np.where((rows >= 0) & (rows < n), values, 0.0).astype(np.float32)[:, None]


class Ahead(Numbers):
    """A centred window that says it does not look ahead."""

    def rows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().rows(stream, times) + 2


class AheadInVolts(Ahead):
    """The same in numbers as small as volts of skin are."""

    def cleaned(self, values: np.ndarray) -> np.ndarray:
        return values * 1e-6


class Standardised(Numbers):
    """Scales by the whole file: what comes later changes what was before."""

    def cleaned(self, values: np.ndarray) -> np.ndarray:
        return (values - values.mean()) / (values.std() + 1e-6)


class Divides(Numbers):
    """0 / 0 of a flat line."""

    def cleaned(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return values / np.abs(values).max()


class NaNAfter(Numbers):
    """Nothing known outside the file."""

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        found = super().windows(stream, times)
        found[~self.present(stream, times)] = np.nan
        return found


class Crashes(Numbers):
    """An index error before the start."""

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        if (times < 0).any():
            raise IndexError("before the start")
        return super().windows(stream, times)


class Together(Numbers):
    """Each window less the mean of all those asked for."""

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        found = super().windows(stream, times)
        return found - found.mean(0) if len(found) else found


class OtherShape(Numbers):
    """Declares `(4,)`."""

    def __init__(self) -> None:
        super().__init__()
        self.raw_shape = (4,)


class Writes(Numbers):
    """Works in the stream, which is a read-only map of a file that all share."""

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        stream["values"][:] = 0
        return super().windows(stream, times)


class Noisy(Numbers):
    """Dither from the clock's generator."""

    def cleaned(self, values: np.ndarray) -> np.ndarray:
        return values + np.random.default_rng().normal(0, 0.1, values.shape)


class Objects(Numbers):
    """A list of words among the arrays."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        return {**super().prepare(source), "words": np.array(["a", None], dtype=object)}


class Words(Numbers):
    """Words among the arrays."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        return {**super().prepare(source), "words": np.array(["a", "b"])}


class NoDuration(Numbers):
    """Does not say how long it is."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        return {k: v for k, v in super().prepare(source).items() if k != "duration_s"}


class Ints(Numbers):
    """Presence as 0 and 1."""

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return super().present(stream, times).astype(int)


class Everywhere(Numbers):
    """Present for ever."""

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.ones(len(times), bool)


class Traceback(Numbers):
    """Lets the operating system's error through."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        Path(source.path).read_bytes()
        return super().prepare(source)


class Lenient(Numbers):
    """Reads anything as zeros."""

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        try:
            return super().prepare(source)
        except DataError:
            return {"values": np.zeros(10), "duration_s": np.array([1.0])}


class Settings(Numbers):
    """Settings that JSON does not know."""

    def settings(self) -> dict[str, Any]:
        return {"rate": np.float32(RATE)}


class Unnamed(Numbers):
    """Does not say which files are its."""

    suffixes = ()


class Shouts(Numbers):
    """A sentence where the end of one is wanted."""

    absence = "There is no beat."


class Unsendable(Numbers):
    """Holds what no other process can get."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = lambda v: v


READERS = [
    (Ahead, "lookahead", "it looks at least 0."),
    (AheadInVolts, "lookahead", "it looks at least 0."),
    (Standardised, "lookahead", "other content from 2.40 s on changes the window at 0.00 s"),
    (Divides, "blank", "windows that are not finite"),
    (NaNAfter, "windows", "the window at 4.00 s is not finite"),
    (Crashes, "windows", "it raised IndexError: before the start"),
    (Together, "steps", "asked for alone, differs"),
    (OtherShape, "windows", "8 times give (8, 1, 4), declared is (8, 4)"),
    (Writes, "windows", "it raised ValueError"),
    (Noisy, "prepare", "`values` differs between two readings of one file"),
    (Objects, "prepare", "`words` is no array of numbers"),
    (Words, "prepare", "`words` is no array of numbers"),
    (NoDuration, "prepare", "duration_s is not among the arrays"),
    (Ints, "steps", "present() gives int64 (8,), declared is bool"),
    (Everywhere, "steps", "it is present 60 s after the end"),
    (Traceback, "broken-files", "a missing file: it raised FileNotFoundError"),
    (Lenient, "broken-files", "a garbage file is read without a word"),
    (Settings, "declares", "settings() is not JSON"),
    (Unnamed, "declares", "a reader of 'beat' files names theirs"),
    (Shouts, "declares", "it ends a sentence"),
    (Unsendable, "workers", "it cannot be sent to another process"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), READERS, ids=named)
def test_broken_readers(cls: type, rule: str, sentence: str) -> None:
    found = findings("reader", cls, rule, file=file, blank=blank, altered=altered)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_reader_passes_and_one_without_a_recording_is_told() -> None:
    assert findings("reader", Numbers, file=file, blank=blank, altered=altered) == []
    assert any("write `file=` a function" in seen for _, seen in findings("reader", Numbers))


def test_an_alteration_that_alters_nothing_is_told() -> None:
    found = findings("reader", Numbers, file=file, altered=lambda folder, second: file(folder))
    assert [name for name, seen in found] == ["lookahead"]
    assert "it shows nothing" in found[0][1]


def test_every_rule_of_readers_has_rejected_a_part() -> None:
    assert set(unproven([("reader", rule) for _, rule, _ in READERS], "reader")) == READING
