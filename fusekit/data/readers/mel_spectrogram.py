"""Reader of sound: a crop of the whole file's mel power spectrogram around each step (spec 4.2).

Column i of the spectrogram is the power spectrum of the samples `[i*hop - n_fft/2, i*hop + n_fft/2)` (frames
centred as in librosa, zeros beyond both ends), so column i belongs to time `i * hop / rate`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fusekit.contracts import Reader, Source, Stream
from fusekit.data.readers.mel_columns import AMIN, BLOCK, Columns
from fusekit.data.readers.pooling import row_means
from fusekit.errors import DataError, RecipeError
from fusekit.media import audio_blocks

FLOOR_DB = -80.0
_REFERENCES = ("file", "fixed", "running")
_EDGES = ("floor", "edge", "reflect")


class MelSpectrogram(Reader):
    """Sound -> `(3, mels, columns)` float32 in -1..1 per step; row 0 is the lowest band, time runs right.

    Source: spec 4.2 (Aspandi et al., AViGaS). Sound is resampled to `rate` (see `fusekit.media`) and
    averaged to mono; Slaney-style mel bands over the full range, Hann window. The window of a step at t is
    columns `c - columns//2 .. c + columns//2 - 1` with `c = round(t * rate / hop)`: half of it is future, see
    `lookahead_s`.

    Args:
        mels: bands, the height of the picture.
        columns: width of the picture; None: as many as `mels`.
        rate: samples per second of the analysis.
        hop: samples between columns.
        fps: spec's `hop="fps"`: one column per video frame, hop = round(rate / fps).
        n_fft: samples under the Hann window.
        reference: what 0 dB is. `file`: the file's loudest cell (the paper's; needs the whole file, so that
            `lookahead_s` is infinite). `fixed`:
            `reference_db`. `running`: the loudest cell from the start up to the window's last column, as a
            live stream knows it. Cells above the reference are clipped to it, cells 80 dB below are the
            floor.
        reference_db: for `fixed`: decibels re a mel power of 1 (a full-scale sine reaches about 35).
        edges: what stands before the start and after the end: the `floor`, the nearest column (`edge`) or a
            mirror (`reflect`).
        silence_s: the sound counts as absent at t when the stretch of this length around t is digital
            silence.
    """

    medium: ClassVar[str] = "audio"
    absence: ClassVar[str] = "there is only digital silence"

    def __init__(
        self,
        *,
        mels: int = 128,
        columns: int | None = None,
        rate: int = 22050,
        hop: int = 512,
        fps: float | None = None,
        n_fft: int = 2048,
        reference: str = "file",
        reference_db: float = 20.0,
        edges: str = "floor",
        silence_s: float = 1.0,
    ) -> None:
        for what, value, known in (("reference", reference, _REFERENCES), ("edges", edges, _EDGES)):
            if value not in known:
                raise RecipeError(f"mel-spectrogram: {what}: {value!r} is none of {', '.join(known)}")
        if fps is not None and hop != 512:
            raise RecipeError(
                "mel-spectrogram: give hop or fps, not both: fps sets the hop to round(rate / fps)"
            )
        if (fps is not None and fps <= 0) or silence_s < 0:
            raise RecipeError("mel-spectrogram: fps must be above 0, silence_s at least 0")
        self.mels, self.columns, self.rate, self.n_fft = mels, columns or mels, rate, n_fft
        self.hop = round(rate / fps) if fps else hop
        if min(self.mels, self.columns, self.rate, self.hop) < 1 or self.n_fft < 2 or self.n_fft % 2:
            raise RecipeError(
                "mel-spectrogram: mels, columns, rate and hop must be at least 1, n_fft an even number"
            )
        self.reference, self.reference_db, self.edges, self.silence_s = (
            reference,
            reference_db,
            edges,
            silence_s,
        )
        self.raw_shape = (3, self.mels, self.columns)
        self.left = self.columns // 2
        self.right = self.columns - self.left - 1  # columns after the centre one
        # The centre column may lie half a hop after t, its last companion `right` hops later, and half of
        # that column's Fourier window is later still. At t = 0 a mirror looks at column `left`.
        last = max(self.right + 0.5, self.left if edges == "reflect" else 0.0)
        reach_s = (last * self.hop + self.n_fft // 2) / self.rate
        self.lookahead_s = math.inf if reference == "file" else reach_s

    def settings(self) -> dict[str, Any]:
        return {"mels": self.mels, "rate": self.rate, "hop": self.hop, "n_fft": self.n_fft}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """`db (n, mels)` float32 decibels re 1, `peak (n,)` their running maximum, `loud (n,)` bool,
        `duration_s (1,)`.

        `source.start_s` shifts the sound on the clip's clock: silence stands before it (below 0, its
        beginning is cut off).

        float32, not uint8: a reference chosen later would magnify quantisation, and streams are compared to
            1e-5.

        Raises:
            DataError: as `fusekit.media.audio_blocks`; a `step_s`, which means nothing for sound.
        """
        if source.step_s is not None:
            raise DataError(
                f"{source.path}: step_s ({source.step_s:g} s) is given for sound, whose samples are spaced "
                "by the file's own rate. Leave <modality>_step_s of this row empty; <modality>_start_s may "
                "shift the sound."
            )
        analysis = self.columns_of()
        db, loud = np.empty((0, self.mels), np.float32), np.empty(0, bool)
        for samples in audio_blocks(source.path, self.rate, source.start_s or 0.0):
            _extend(db, loud, *analysis.push(samples, BLOCK))
        _extend(db, loud, *analysis.finish())
        peak = np.maximum.accumulate(db.max(axis=1))
        return {"db": db, "peak": peak, "loud": loud, "duration_s": np.array([analysis.samples / self.rate])}

    def columns_of(self) -> Columns:
        """A new analysis of one sound."""
        return Columns(self.rate, self.n_fft, self.hop, self.mels)

    def centre(self, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T,)` centre columns; halves round up, so that the crop never jumps back."""
        return np.floor(np.asarray(times, np.float64) * self.rate / self.hop + 0.5).astype(np.int64)

    def last_needed(self, centre: int) -> int:
        """Last column that the window around column `centre` looks at."""
        return max(centre + self.right, self.left - centre if self.edges == "reflect" else 0)

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """True inside the file where the `silence_s` around t (no further than the window) are not digital
        silence."""
        times = np.asarray(times, np.float64)
        inside = (times >= 0) & (times <= float(stream["duration_s"][0]))
        return inside & self.heard(stream["loud"], self.centre(times))

    def heard(self, loud: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """`(n,)` bool columns, `(T,)` centre columns -> `(T,)` bool: is one column near the centre loud."""
        reach = round(self.silence_s / 2 * self.rate / self.hop)
        total = np.concatenate([[0], np.cumsum(loud)])
        low = np.clip(centre - min(reach, self.left), 0, len(loud))
        high = np.clip(centre + min(reach, self.right) + 1, 0, len(loud))
        return total[np.maximum(high, low)] > total[low]

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, 3, mels, columns)` float32 in -1..1; three equal channels."""
        return self.cut(stream["db"], stream["peak"], self.centre(times))

    def pooled(self, windows: np.ndarray) -> np.ndarray:
        """`(n, 3, mels, columns)` -> `(n, mels)`: the mean over time of each band."""
        return row_means(windows)

    def cut(self, db: np.ndarray, peak: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """`(n, mels)` dB, `(n,)` running peaks, `(T,)` centre columns -> `(T, 3, mels, columns)`."""
        n = len(db)
        wanted = centre[:, None] + np.arange(-self.left, self.right + 1)
        inside = (wanted >= 0) & (wanted < n)
        if self.edges == "reflect" and n > 1:
            wanted = np.abs((wanted + n - 1) % (2 * n - 2) - (n - 1))
        picture = db[np.clip(wanted, 0, n - 1)] - self._reference(peak, centre)[:, None, None]
        if self.edges == "floor":
            picture[~inside] = FLOOR_DB
        picture = np.clip(picture, FLOOR_DB, 0.0) * np.float32(-2.0 / FLOOR_DB) + np.float32(1.0)
        return np.repeat(picture.transpose(0, 2, 1)[:, None], 3, axis=1)

    def _reference(self, peak: np.ndarray, centre: np.ndarray) -> np.ndarray:
        if self.reference == "fixed":
            return np.full(len(centre), self.reference_db, np.float32)
        last = len(peak) - 1
        known = (
            np.clip(centre + self.right, 0, last)
            if self.reference == "running"
            else np.full(len(centre), last)
        )
        loudest = peak[known]
        # Where nothing has sounded yet there is nothing to be relative to: silence is the floor, not the
        #     maximum.
        return np.where(loudest > 10.0 * np.log10(AMIN), loudest, np.float32(0.0)).astype(np.float32)


def _extend(db: np.ndarray, loud: np.ndarray, more_db: np.ndarray, more_loud: np.ndarray) -> None:
    """Grow both in place: an hour of columns should not stand in memory twice."""
    n = len(db)
    db.resize((n + len(more_db), db.shape[1]), refcheck=False)
    loud.resize(n + len(more_loud), refcheck=False)
    db[n:], loud[n:] = more_db, more_loud


class LiveMel:
    """The same windows from sound that arrives in pieces: `push`, then `window(t)` once `ready(t)`.

    Equal to `MelSpectrogram.windows` of the whole sound to 1e-5 for any cutting into pieces. Times must not
    go back: columns before the last window are forgotten. One object per stream; mono float32 samples at
    `reader.rate`.

    Raises:
        RecipeError: the reader's reference is `file`, which is known only when the stream is over.
    """

    def __init__(self, reader: MelSpectrogram) -> None:
        if reader.reference == "file":
            raise RecipeError(
                "mel-spectrogram: a live stream has no file maximum. Set `reference: running` (or `fixed`) "
                "in the recipe's reader and train with it."
            )
        self.reader = reader
        self._analysis = reader.columns_of()
        self._first = 0  # column that the first kept one is
        self._blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # db, peak, loud
        self._peak = np.float32(-np.inf)
        self._over = False

    def push(self, samples: np.ndarray) -> None:
        """`(n,)` float samples, the next of the stream; n may be 0."""
        if self._over:
            raise ValueError("the stream was finished; start a new LiveMel for the next one")
        self._keep(*self._analysis.push(np.asarray(samples, np.float32)))

    def finish(self) -> None:
        """The sound is over: windows that reach beyond its end become ready, padded as the reader says."""
        self._over = True
        self._keep(*self._analysis.finish())

    def _keep(self, db: np.ndarray, loud: np.ndarray) -> None:
        if not len(db):
            return
        peak = np.maximum(np.maximum.accumulate(db.max(axis=1)), self._peak)
        self._peak = peak[-1]
        self._blocks.append((db, peak, loud))

    def ready(self, time_s: float) -> bool:
        """Has everything arrived that the window at `time_s` looks at."""
        return self._over or self.reader.last_needed(self._centre(time_s)) < self._analysis.count

    def window(self, time_s: float) -> np.ndarray:
        """`(3, mels, columns)` float32 in -1..1. Raises ValueError if not `ready`, or if the time was
        forgotten."""
        db, peak, _, centre = self._around(time_s)
        return self.reader.cut(db, peak, centre)[0]

    def present(self, time_s: float) -> bool:
        """Is there sound around `time_s`; as `MelSpectrogram.present`. Raises ValueError like `window`."""
        if time_s < 0 or (self._over and time_s > self._analysis.samples / self.reader.rate):
            return False
        _, _, loud, centre = self._around(time_s)
        return bool(self.reader.heard(loud, centre)[0])

    def _centre(self, time_s: float) -> int:
        return int(self.reader.centre(np.array([time_s]))[0])

    def _around(self, time_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Kept dB, peaks, loudness and the centre among them; forgets what lies before the window."""
        if not self.ready(time_s):
            raise ValueError(
                f"the window at {time_s:.3f} s needs {self.reader.lookahead_s:.3f} s more sound after it"
            )
        centre = self._centre(time_s)
        db, peak, loud = (np.concatenate(part) for part in zip(*self._blocks, strict=True))
        past = max(0, min(centre - self.reader.left, self._analysis.count - 1) - self._first)
        if self._over:  # a window that a mirror fills may look one column further back than its own first one
            past = 0
        if centre - self.reader.left < self._first and self._first > 0:
            raise ValueError(
                f"{time_s:.3f} s lies before a window already given; live times must not go back"
            )
        db, peak, loud = db[past:], peak[past:], loud[past:]
        self._blocks, self._first = [(db, peak, loud)], self._first + past
        return db, peak, loud, np.array([centre - self._first])
