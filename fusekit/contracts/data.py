"""Bases and values of the data room: clips and their labels, corpora, readers, detectors, degradations.

Shapes: T steps, K target dimensions, N rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from fusekit.errors import DataError, RecipeError


@dataclass(frozen=True)
class Source:
    """One modality's file of one clip.

    Attributes:
        path: a media file; for sound this may be a video file with a sound track, for pictures a folder of
            numbered ones (`step_s` is needed then).
        boxes: CSV `time_s,x0,y0,x1,y1` of face boxes in pixels given by the corpus (tight landmark boxes,
            before the reader's margin); None: the reader's detector finds them.
        start_s, step_s: time of the first frame and spacing, where the corpus knows better than the
            container.

    A reader honours every field or refuses it with a DataError that names it; `timed_path` does the latter.
    """

    path: Path
    boxes: Path | None = None
    start_s: float | None = None
    step_s: float | None = None

    def timed_path(self) -> Path:
        """`path`, for a reader whose files tell their own times: none of the other fields is dropped unsaid.

        Raises:
            DataError: the manifest gives a start, a spacing or boxes.
        """
        told = [name for name in ("start_s", "step_s", "boxes") if getattr(self, name) is not None]
        if told:
            raise DataError(
                f"{self.path}: its reader takes times from the file itself and reads no "
                f"{' or '.join(told)}. Leave the manifest's column <modality>_{told[0]} empty"
            )
        return self.path


@dataclass
class Labels:
    """Labels of one clip, in the corpus's own range.

    Attributes:
        times: `(n,)` float64 seconds, increasing. A single entry is held over the whole clip.
        values: `(n, K)` float32, NaN where unknown.
        dims: names of the K columns.
        quadrant: `(n,)` int64 quadrant given by the corpus itself, -1: none; or None: derived from `values`.
        extra: further columns `(n,)` that analyses use (e.g. schedules of damage).
    """

    times: np.ndarray
    values: np.ndarray
    dims: tuple[str, ...]
    quadrant: np.ndarray | None = None
    extra: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Clip:
    """One recording of one subject. `split` is "train", "validation", "test" or "" (folds decide)."""

    id: str
    subject: str
    sources: dict[str, Source]
    labels: Labels | None
    session: str = ""
    split: str = ""


@dataclass(frozen=True)
class Rejected:
    """A clip (or row) that a corpus left out, and why."""

    where: str
    reason: str


class Corpus(ABC):
    """A set of clips in a published layout.

    Attributes:
        label_range: `(low, high)` of the corpus's labels; the midpoint divides the quadrants (spec 4.6).
        modalities, dims: what it can offer; `fusekit data check` looks for these where no recipe says more.
    """

    modalities: ClassVar[tuple[str, ...]] = ("face", "voice")
    dims: ClassVar[tuple[str, ...]] = ("valence", "arousal")
    label_range: tuple[float, float] = (-1.0, 1.0)

    @abstractmethod
    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        """Clips with labels for `dims` and at least one of `modalities`, sorted by id; and what was left out.

        Raises:
            DataError: the corpus is not there, or no clip can be used.
        """

    def describe(self) -> str:
        """One line for logs and tables: name, variant of the layout, licence where known."""
        return type(self).__name__


Stream = Mapping[str, np.ndarray]
"""A prepared clip: named arrays, memory-mapped when they come from the store."""


class Reader(ABC):
    """Turns one clip's file into a stream and cuts the window around a step.

    Attributes:
        raw_shape: shape of one window, e.g. `(3, 128, 128)`.
        lookahead_s: seconds of future that a window, or presence, depends on (0 for a causal reader);
            `math.inf` where it depends on the whole file, as on its mean or its loudest moment: such a
            reader cannot stream.
        medium: "video" or "audio" for a track of a media file; any other word ("ecg", "text") for a kind of
            file that the reader opens by itself.
        suffixes: of such files, lower case with the dot, the way `fusekit predict` tells them apart; () for
            the tracks of media.
        absence: what is the matter where `present` is False, as the end of a sentence.
    """

    raw_shape: tuple[int, ...]
    lookahead_s: float
    medium: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    absence: ClassVar[str] = "the file holds nothing of it"

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-able settings that change what `prepare` returns: part of the prepared store's key."""

    def files(self, source: Source) -> Sequence[Path]:
        """All files that `prepare` opens for a source: by their content, in this order, the prepared store
        and a run know the recording, so that none of them can change unnoticed. A folder stands for all files
        in it. One that is not there may be named: its absence counts as content.

        Say it where a reader opens more than the source names: the parts that a header names, tables beside
        it. What is no clip's own, as a detector's model, belongs into `settings`, by its content.

        Raises:
            DataError: the source does not tell which they are (a damaged header).
        """
        return [source.path] if source.boxes is None else [source.path, source.boxes]

    @abstractmethod
    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """Decode a file once. Always holds `duration_s (1,)`; the rest is the reader's own.

        Raises:
            DataError: the file is missing, empty or cannot be decoded.
        """

    @abstractmethod
    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T,)` bool: is the modality recorded there (a face seen, no digital silence)."""

    @abstractmethod
    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, *raw_shape)`; uint8 pictures (0..255 stand for -1..1), float32 (numbers that
        stand for words too: exact up to 2^24), or whatever a network takes as float32.
        """

    def columns_in(self, stream: Stream) -> tuple[str, ...]:
        """Names of a window's numbers in the order that this file has them; () where it names none.

        A reader that gives them also takes them by `select`, so that a corpus's files agree on one order.
        """
        return ()

    def select(self, names: Sequence[str]) -> None:
        """Give windows with these of `columns_in` in this order from now on; (): each file's own.

        Raises:
            RecipeError: it names no columns.
        """
        if names:
            raise RecipeError(f"{type(self).__name__} names no columns to select from")

    def doubts(self, stream: Stream) -> tuple[str, ...]:
        """What is odd about a prepared file though it can be read, a sentence each."""
        return ()

    def pooled(self, windows: np.ndarray) -> np.ndarray:
        """`(n, *raw_shape)` windows -> `(n, F)` float32, what ridge regression beside the model sees of them.

        Vectors stay as they are; of anything longer the mean over the last axis. Say it better where that
        says nothing of the signal, as for a wave.
        """
        x = windows.astype(np.float32)
        return x if x.ndim == 2 else x.mean(axis=-1).reshape(len(x), -1)


class Detector(ABC):
    """Finds faces in a frame.

    Attributes:
        to_tight: `(dx0, dy0, dx1, dy1)` in fractions of the detected box's width and height, added to its
            edges to reach the tight box of the 68 landmarks that the spec's margin rule (4.1) starts from.
    """

    to_tight: ClassVar[tuple[float, float, float, float]] = (0.0, 0.0, 0.0, 0.0)

    def files(self) -> Sequence[Path]:
        """Files that it reads, as a network's weights: their content is part of what a reader that uses it
        prepares.
        """
        return ()

    @abstractmethod
    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """`(H, W, 3)` uint8 RGB -> `(n, 5)` float: x0, y0, x1, y1, score; best first.

        `near`: the last box, a hint.
        """


class Degradation(ABC):
    """Artificial damage of inputs that a denoising encoder learns to undo (spec 4.3, 4.4)."""

    @abstractmethod
    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        """`(N, *raw)` float -> damaged copy of the same shape; row i draws from `rngs[i]` alone.

        `x` is not changed.
        """

    def drawn(self, rngs: Sequence[np.random.Generator]) -> list[str] | None:
        """What `__call__` does to each row with generators in this state: the kind's name, "" for nothing.

        It uses the generators up: make them anew for `__call__`. None, as here: it does not tell, and scores
        are not given by kind.
        """
        return None
