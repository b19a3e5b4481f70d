"""Every rule of corpora rejects a part that breaks it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from broken_parts import findings, named, unproven

from fusekit.contracts import Clip, Corpus, Labels, Rejected, Source
from fusekit.errors import DataError


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
        columns = [1 + ("valence", "arousal").index(dim) for dim in dims]
        return Labels(rows[:, 0], rows[:, columns].astype(np.float32), dims)


class Backwards(Folder):
    """In the wrong order."""

    def found(self) -> list[Path]:
        return super().found()[::-1]


class Twice(Folder):
    """Each clip twice."""

    def found(self) -> list[Path]:
        return sorted(super().found() * 2)


class Draws(Folder):
    """Draws its test subjects anew each time."""

    drawn: ClassVar[Iterator[str]] = cycle(["train", "test", "test"])

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        clips, rejected = super().load(modalities, dims)
        return [replace(clip, split=next(self.drawn)) for clip in clips], rejected


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
        return replace(super().labels(rows, dims), dims=("v", "a"))


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


class Unfinished(Corpus):
    """Only begun."""

    def __init__(self, *, root: Path) -> None:
        self.root = Path(root)


class Changed(Folder):
    """Makes another clip of each."""

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        clips, rejected = super().load(modalities, dims)
        return [self.other(i, clip) for i, clip in enumerate(clips)], rejected

    def other(self, number: int, clip: Clip) -> Clip:
        return clip


class Leaks(Changed):
    """One person on both sides."""

    def other(self, number: int, clip: Clip) -> Clip:
        return replace(clip, subject="anna", split=("train", "test")[number])


class Spells(Changed):
    """One person twice."""

    def other(self, number: int, clip: Clip) -> Clip:
        return replace(clip, subject=("Anna", "anna ")[number])


class Decomposed(Changed):
    """An umlaut of two characters, as some systems list names."""

    def other(self, number: int, clip: Clip) -> Clip:
        return replace(clip, subject=f"Jo\u0308rg {number}")


class ByPlace(Changed):
    """Ids that tell where the corpus lies."""

    def other(self, number: int, clip: Clip) -> Clip:
        return replace(clip, id=f"{self.root.name}-{clip.id}")


class Relative(Changed):
    """Paths as seen from here."""

    def other(self, number: int, clip: Clip) -> Clip:
        path = os.path.relpath(clip.sources["voice"].path)
        return replace(clip, sources={"voice": Source(Path(path))})


class AsListed(Folder):
    """Numbers subjects as the system lists files."""

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        names = (
            [name for name in os.listdir(self.root) if name.endswith(".txt")] if self.root.is_dir() else []
        )
        clips, rejected = super().load(modalities, dims)
        return [replace(c, subject=f"s{names.index(f'{c.id}.txt')}") for c in clips], rejected


class ByPosition(Folder):
    """Columns as they stand in the file."""

    def labels(self, rows: np.ndarray, dims: tuple[str, ...]) -> Labels:
        return Labels(rows[:, 0], rows[:, 1 : 1 + len(dims)].astype(np.float32), dims)


class Remembers(Folder):
    """Keeps its first answer."""

    kept: Any = None

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        if self.kept is None or not self.root.is_dir():
            self.kept = super().load(modalities, dims)
        else:
            self.kept[0][0].labels.values[:] *= 0.5
        return self.kept


class Wide(Folder):
    """float64 throughout."""

    def labels(self, rows: np.ndarray, dims: tuple[str, ...]) -> Labels:
        return replace(super().labels(rows, dims), values=super().labels(rows, dims).values.astype(float))


CORPORA = [
    (Leaks, "clips", "subject anna is in test and train: who was trained on is tested"),
    (Spells, "clips", "subjects 'Anna', 'anna ' are one person's, spelled otherwise"),
    (Decomposed, "clips", "is not in Unicode's composed form"),
    (Relative, "clips", "is relative: from another folder it is not there"),
    (ByPlace, "steady", "in another folder the same corpus has other ids"),
    (AsListed, "steady", "files in another order in their folder give other clips"),
    (
        ByPosition,
        "steady",
        "asked for arousal, valence, its columns are not those of valence, arousal",
    ),
    (Remembers, "steady", "after another load, with other dims, the same one gives other clips or labels"),
    (Wide, "labels", "times are float64, values float64; declared: float64, float32"),
    (Unfinished, "class", "Unfinished leaves load abstract"),
    (Backwards, "clips", "clips are not sorted by id: b, a"),
    (Twice, "clips", "the id a stands for 2 clips"),
    (Draws, "clips", "two loads give different clips"),
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
    found = findings("corpus", cls, rule, modalities=("voice",), layout=layout, broken=broken)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_corpus_passes_and_one_without_a_layout_is_told() -> None:
    assert findings("corpus", Folder, modalities=("voice",), layout=layout, broken=broken) == []
    found = findings("corpus", Folder, args={"root": "x"})
    assert any("write `layout=` a function" in seen for _, seen in found)


def test_every_rule_of_corpora_has_rejected_a_part() -> None:
    assert unproven([("corpus", rule) for _, rule, _ in CORPORA], "corpus") == []
