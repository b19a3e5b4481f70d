"""Every rule of readers, corpora, detectors and degradations rejects a part that breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from fusekit.contracts import Clip, Corpus, Degradation, Detector, Labels, Reader, Rejected, Source, Stream
from fusekit.errors import DataError
from fusekit.registry import Kind
from fusekit.testing import CHECKS, Case

RATE = 10


def findings(kind: str, cls: type, **case: Any) -> list[tuple[str, str]]:
    return [(f.rule.name, f.seen) for f in CHECKS[Kind(kind)].findings(Case(kind, "part", **case), cls)]


def named(value: Any) -> str | None:
    return getattr(value, "__name__", None)


# ---------------------------------------------------------------- readers


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
            values = np.array([float(v) for v in Path(source.path).read_text(encoding="utf-8").split()])
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
    (Standardised, "lookahead", "other content from 2.40 s on changes the window at 0.00 s"),
    (Divides, "blank", "windows that are not finite"),
    (NaNAfter, "windows", "the window at 4.00 s is not finite"),
    (Crashes, "windows", "it raised IndexError: before the start"),
    (Together, "steps", "asked for alone, differs"),
    (OtherShape, "windows", "8 times give (8, 1, 4), declared is (8, 4)"),
    (Writes, "windows", "it raised ValueError"),
    (Noisy, "prepare", "`values` differs between two readings of one file"),
    (Objects, "prepare", "`words` is no array of numbers"),
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
    found = findings("reader", cls, file=file, blank=blank, altered=altered)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_reader_passes_and_one_without_a_recording_is_told() -> None:
    assert findings("reader", Numbers, file=file, blank=blank, altered=altered) == []
    assert any("write `file=` a function" in seen for _, seen in findings("reader", Numbers))


def test_an_alteration_that_alters_nothing_is_told() -> None:
    found = findings("reader", Numbers, file=file, altered=lambda folder, second: file(folder))
    assert [name for name, seen in found] == ["lookahead"]
    assert "it shows nothing" in found[0][1]


# ---------------------------------------------------------------- corpora


def layout(folder: Path) -> dict[str, Any]:
    for name in "ba":
        (folder / f"{name}.wav").write_bytes(b"sound")
        (folder / f"{name}.txt").write_text("0 0.5 -0.5\n1 0.25 0.75\n")
    return {"root": folder}


def broken(folder: Path) -> dict[str, Any]:
    (folder / "c.wav").write_bytes(b"sound")
    (folder / "c.txt").write_text("no numbers")
    return layout(folder)


class Folder(Corpus):
    """`x.wav` beside `x.txt` with rows `seconds valence arousal`; keeps every rule."""

    def __init__(self, *, root: Path) -> None:
        self.root = Path(root)

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        if not self.root.is_dir():
            raise DataError(f"{self.root}: there is no such folder")
        clips, rejected = [], []
        for path in self.found():
            try:
                rows = np.array([[float(v) for v in line.split()] for line in path.read_text().splitlines()])
            except ValueError as error:
                rejected += self.refused(path, error)
            else:
                source = Source(path.with_suffix(".wav"))
                clips.append(Clip(path.stem, path.stem, {"voice": source}, self.labels(rows, tuple(dims))))
        return (clips if "voice" in modalities else []), rejected

    def found(self) -> list[Path]:
        return sorted(self.root.glob("*.txt"))

    def refused(self, path: Path, error: Exception) -> list[Rejected]:
        return [Rejected(path.name, str(error))]

    def labels(self, rows: np.ndarray, dims: tuple[str, ...]) -> Labels:
        return Labels(rows[:, 0], rows[:, 1:].astype(np.float32), dims)


class Backwards(Folder):
    """In the wrong order."""

    def found(self) -> list[Path]:
        return super().found()[::-1]


class Twice(Folder):
    """Each clip twice."""

    def found(self) -> list[Path]:
        return sorted(super().found() * 2)


class Loose(Folder):
    """Sources that are not there."""

    def labels(self, rows: np.ndarray, dims: tuple[str, ...]) -> Labels:
        for path in self.root.glob("*.wav"):
            path.unlink()
        return super().labels(rows, dims)


class Rewinds(Folder):
    """Times that go back."""

    def labels(self, rows: np.ndarray, dims: tuple[str, ...]) -> Labels:
        return super().labels(rows[::-1], dims)


class OffScale(Folder):
    """Labels beyond its own range."""

    label_range = (0.0, 0.6)


class OtherDims(Folder):
    """Its own names, whatever was asked for."""

    def labels(self, rows: np.ndarray, dims: tuple[str, ...]) -> Labels:
        return super().labels(rows, ("v", "a"))


class Blind(Folder):
    """Any folder will do."""

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        return super().load(modalities, dims) if self.root.is_dir() else ([], [])


class Stops(Folder):
    """One bad clip ends it all."""

    def refused(self, path: Path, error: Exception) -> list[Rejected]:
        raise error


class Skips(Folder):
    """A rival's: skips what it cannot read, without a word."""

    def refused(self, path: Path, error: Exception) -> list[Rejected]:
        return []


class Wordy(Folder):
    """Two lines."""

    def describe(self) -> str:
        return "a\nb"


CORPORA = [
    (Backwards, "clips", "clips are not sorted by id: b, a"),
    (Twice, "clips", "the id a stands for 2 clips"),
    (Loose, "clips", "its voice source a.wav does not exist"),
    (Wordy, "clips", "not one line"),
    (Rewinds, "labels", "times do not increase"),
    (OffScale, "labels", "values reach -0.5 to 0.75, label_range is 0 to 0.6"),
    (OtherDims, "labels", "dims are ('v', 'a'), asked for were ('valence', 'arousal')"),
    (Blind, "not-there", "loads without a word"),
    (Stops, "rejects", "it raised ValueError: could not convert string to float"),
    (Skips, "rejects", "the bad clip is not among what was left out"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), CORPORA, ids=named)
def test_broken_corpora(cls: type, rule: str, sentence: str) -> None:
    found = findings("corpus", cls, modalities=("voice",), layout=layout, broken=broken)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_corpus_passes_and_one_without_a_layout_is_told() -> None:
    assert findings("corpus", Folder, modalities=("voice",), layout=layout, broken=broken) == []
    found = findings("corpus", Folder, args={"root": "x"})
    assert any("write `layout=` a function" in seen for _, seen in found)


# ---------------------------------------------------------------- detectors and degradations


class Bright(Detector):
    """A box around what is bright; keeps every rule."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        rows, columns = np.nonzero(frame.min(-1) == 199)
        if not rows.size:
            return self.nobody(frame)
        return np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 1.0]])

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.zeros((0, 5))


class Insists(Bright):
    """There is always a face."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.array([[0.0, 0.0, frame.shape[1], frame.shape[0], 0.1]])


class FourColumns(Bright):
    """Boxes without a score."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.zeros((0, 4))


class Flat(Bright):
    """A box without area."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.array([[3.0, 3.0, 3.0, 9.0, 0.1]])


class Smears(Bright):
    """Draws into the frame."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        frame[0, 0] = 77
        return super().nobody(frame)


class Sleeps(Bright):
    """Finds nothing."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        return np.zeros((0, 5))


def face() -> np.ndarray:
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[10:20, 5:30] = 199
    return frame


DETECTORS = [
    (Insists, "nobody", "in a black frame it finds (1, 5), not (0, 5)"),
    (FourColumns, "shapes", "it gives (0, 4), declared is (n, 5)"),
    (Flat, "shapes", "a box has no area"),
    (Smears, "shapes", "it changes the frame in place"),
    (Sleeps, "shapes", "it finds no face in the case's picture"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), DETECTORS, ids=named)
def test_broken_detectors(cls: type, rule: str, sentence: str) -> None:
    found = findings("detector", cls, picture=face)
    assert any(name == rule and sentence in seen for name, seen in found), found


class Noise(Degradation):
    """Noise; keeps every rule."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + torch.from_numpy(np.stack([r.normal(0, 0.1, x.shape[1:]) for r in rngs])).to(x.dtype)


class InPlace(Noise):
    """Damages the input itself."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x.copy_(super().__call__(x, rngs))


class Global(Noise):
    """torch's generator, so that a resumed run draws otherwise."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + 0.1 * torch.randn_like(x)


class Mixes(Noise):
    """Adds the neighbour."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().__call__(x, rngs) + 0.3 * x.roll(1, 0)


class FirstDraws(Noise):
    """The first row's generator for all."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + torch.from_numpy(rngs[0].normal(0, 0.1, x.shape)).to(x.dtype)


class Fixed(Degradation):
    """The same damage whatever is drawn."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x / 2


class Idle(Degradation):
    """Nothing."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x.clone()


class Doubles(Noise):
    """float64."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().__call__(x, rngs).double()


class Scales(Noise):
    """Standardises first: 0 / 0 of a constant."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().__call__(x, rngs) * (x / x.flatten(1).std(1)[:, None, None, None])


DEGRADATIONS = [
    (InPlace, "shapes", "it changes its input in place"),
    (Global, "own-generators", "the same generators give other damage: it draws elsewhere too"),
    (Mixes, "own-generators", "other content in odd rows changes 12 of 12 even rows"),
    (
        FirstDraws,
        "own-generators",
        "rows in another order, each with its own generator, are damaged otherwise",
    ),
    (Fixed, "own-generators", "other generators give the same damage"),
    (Idle, "shapes", "none of 24 rows is damaged"),
    (Doubles, "shapes", "torch.float32 (24, 3, 16, 16) became torch.float64"),
    (Scales, "shapes", "input of 0 everywhere: the damaged copy is not finite"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), DEGRADATIONS, ids=named)
def test_broken_degradations(cls: type, rule: str, sentence: str) -> None:
    found = findings("degradation", cls)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_sound_ones_pass() -> None:
    assert findings("detector", Bright, picture=face) == []
    assert findings("degradation", Noise) == []
