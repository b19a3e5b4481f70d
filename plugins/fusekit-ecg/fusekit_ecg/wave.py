"""Reader `ecg`: the wave before each step, without baseline, scaled to its own beats."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from fusekit.contracts import Reader, Source, Stream
from fusekit.errors import RecipeError
from fusekit_ecg.beats import find_beats
from fusekit_ecg.quality import usable
from fusekit_ecg.recording import filled, read_source, recording_files
from fusekit_ecg.signals import reach_s, resample, without_baseline

SUFFIXES = (".csv", ".hea", ".dat", ".edf", ".bdf")
BASELINE_HZ = 0.5
"""Slower than this is baseline (the limit of ambulatory monitoring)."""
HEADROOM = 1.5
"""A typical R wave reaches 1 / HEADROOM, so that a taller one is not cut."""
LEAST_S = 2
"""Seconds of signal before a window counts as recorded."""
EARLY = 1e-6
"""Seconds by which a time may miss a sample and still count as having reached it."""
RATE_BAND_S = (0.33, 1.5)
POOLED_HZ = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 25.0, 40.0)


class ECG(Reader):
    """ECG file -> `(leads, samples)` float32 in -1..1 per step, samples = window_s * rate.

    A file of any rate (`fusekit_ecg.recording.read_recording`) is resampled to `rate`. The window of a step
    at t ends at `t + future_s`, less the resampler's reach (0.09 s at 128 per second), so that no sample
    after `t + future_s` is looked at. Per lead the baseline is taken away and the rest divided by 1.5 times
    the height of a typical R wave, then cut to -1..1. What lies before the file's start is 0, and so is a
    lead that shows no heart (`fusekit_ecg.quality`); where no lead shows one, the modality is absent.

    Args:
        leads: how many, the first ones of the file.
        columns: their names, where the file has more or others; numbers from 1 for a CSV without header.
        rate_hz: samples per second of CSV files without a column `time_s`.
        rate: samples per second of the window.
        window_s: its length.
        future_s: how much of it lies after the step: 0: none, a live stream can have it; half of `window_s`:
            the step is in its middle.
        reference: where baseline and height come from. `window`: the window alone: smoothness priors with a
            cut-off at 0.5 Hz, and the upper quartile of the largest deflections of its seconds. `file`:
            NeuroKit2's `ecg_clean` of the whole file (zero phase, its hum filter included) and the median
            over all usable seconds, so that amplitudes can be compared within a file; it looks at all of
            the future.

    Raises:
        RecipeError: a length or rate makes no sense, or `columns` does not agree with `leads`.
    """

    medium: ClassVar[str] = "ecg"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    absence: ClassVar[str] = "the signal is flat, or no heart beat is recognised in it"

    def __init__(
        self,
        *,
        leads: int | None = None,
        columns: tuple[str, ...] = (),
        rate_hz: float | None = None,
        rate: int = 128,
        window_s: float = 8.0,
        future_s: float = 0.0,
        reference: Literal["window", "file"] = "window",
    ) -> None:
        self.leads, self.columns, self.rate_hz = chosen_leads(leads, columns), tuple(columns), rate_hz
        if not 50 <= rate <= 1000:
            raise RecipeError(f"reader ecg: rate must be from 50 to 1000 samples per second, found {rate}")
        if not LEAST_S <= window_s <= 120:
            raise RecipeError(
                f"reader ecg: window_s must be from {LEAST_S} to 120 seconds, found {window_s:g}"
            )
        if not 0 <= future_s <= window_s:
            raise RecipeError(
                f"reader ecg: future_s must be from 0 to window_s ({window_s:g}), found {future_s:g}"
            )
        self.rate, self.future_s, self.reference = rate, future_s, reference
        self.samples = round(window_s * rate)
        self.raw_shape = (self.leads, self.samples)
        self.lookahead_s = math.inf if reference == "file" else future_s

    def settings(self) -> dict[str, Any]:
        return {
            "version": 2,
            "leads": self.leads,
            "columns": list(self.columns),
            "rate_hz": self.rate_hz,
            "rate": self.rate,
            "reference": self.reference,
        }

    def files(self, source: Source) -> list[Path]:
        """The recording; of a WFDB record its header and signals, with all segments."""
        return recording_files(source.path)

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """`wave (n, leads)` float32 at `rate`; `usable (seconds, leads)` bool, row k of `start_s + k + 1`;
        `start_s`, `reach_s`, `duration_s`, all `(1,)`; for reference `file` also `height (leads,)`.
        """
        found = read_source(source, leads=self.leads, columns=self.columns, rate_hz=self.rate_hz)
        start_s = found.start_s
        signal, _ = filled(found.signal)
        wave = resample(signal, found.rate, self.rate)
        later_s = 0.0 if found.rate == self.rate else reach_s(found.rate, self.rate)
        good = usable(found.signal, found.rate, find_beats(signal, found.rate, start_s), start_s)
        arrays = {
            "usable": good,
            "start_s": np.array([start_s]),
            "reach_s": np.array([later_s]),
            "duration_s": np.array([start_s + len(found.signal) / found.rate]),
        }
        if self.reference == "file":
            wave = _cleaned(wave, self.rate)
            arrays["height"] = _height_over(wave, self.rate, good)
        return {**arrays, "wave": wave.astype(np.float32)}

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """True inside the file, from its third second on, where one lead shows a heart."""
        times = np.asarray(times, np.float64)
        start_s, duration_s = float(stream["start_s"][0]), float(stream["duration_s"][0])
        inside = (times >= start_s) & (times <= duration_s)
        return inside & self._usable(stream, times).any(axis=1)

    def _usable(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T, leads)` bool, as known at the windows' ends."""
        table = stream["usable"]
        start_s = float(stream["start_s"][0])
        end = np.minimum(times + self.future_s, float(stream["duration_s"][0])) - start_s
        row = np.floor(end + EARLY).astype(np.int64) - 1
        return table[np.clip(row, 0, len(table) - 1)] & (row >= LEAST_S - 1)[:, None]

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, leads, samples)` float32 in -1..1."""
        times = np.asarray(times, np.float64)
        wave = stream["wave"]
        end = times + self.future_s - float(stream["start_s"][0]) - float(stream["reach_s"][0])
        last = np.floor(end * self.rate + EARLY * self.rate).astype(np.int64)
        wanted = last[:, None] + np.arange(1 - self.samples, 1)
        inside = (wanted >= 0) & (wanted < len(wave))
        x = wave[np.clip(wanted, 0, len(wave) - 1)].astype(np.float64).transpose(0, 2, 1)
        if self.reference == "window":
            x -= np.median(x, axis=2, keepdims=True)
            x = without_baseline(x, self.rate, BASELINE_HZ)
            x *= inside[:, None]
            height = _typical(_heights(x, self.rate), inside.sum(axis=1) // self.rate)
        else:
            x *= inside[:, None]
            height = np.broadcast_to(stream["height"], x.shape[:2])
        height = np.where(self._usable(stream, times), HEADROOM * height, 0.0)[..., None]
        x = np.divide(x, height, out=np.zeros_like(x), where=height > 0)
        return np.clip(x, -1, 1).astype(np.float32)

    def pooled(self, windows: np.ndarray) -> np.ndarray:
        """`(n, leads, samples)` -> `(n, 9 * leads)`: per lead the heart rate in beats per second, how clear
        it is (the first peak of the energy's autocorrelation, 0..1), and log10 of the power in seven bands.

        The mean of a wave says nothing of it.
        """
        x = windows.astype(np.float64)
        power = np.abs(np.fft.rfft(x * np.hanning(x.shape[2]), axis=2)) ** 2
        hz = np.fft.rfftfreq(x.shape[2], 1 / self.rate)
        edges = zip(POOLED_HZ, POOLED_HZ[1:], strict=False)
        bands = [power[..., (hz >= low) & (hz < high)].sum(axis=2) for low, high in edges]
        energy = np.diff(x, axis=2) ** 2
        energy -= energy.mean(axis=2, keepdims=True)
        size = 2 * energy.shape[2]
        own = np.fft.irfft(np.abs(np.fft.rfft(energy, size, axis=2)) ** 2, size, axis=2)
        first, end = (round(s * self.rate) for s in RATE_BAND_S)
        lags = own[..., first:end]
        lag = first + lags.argmax(axis=2)
        clear = np.divide(lags.max(axis=2), own[..., 0], out=np.zeros(lag.shape), where=own[..., 0] > 0)
        rate = np.where(clear > 0, self.rate / lag, 0.0)
        features = np.stack([rate, clear, *np.log10(np.stack(bands) + 1e-6)], axis=2)
        return features.reshape(len(x), -1).astype(np.float32)


def chosen_leads(leads: int | None, columns: tuple[str, ...]) -> int:
    """How many leads a reader's arguments ask for.

    Raises:
        RecipeError: `leads` and `columns` disagree.
    """
    if leads is not None and columns and leads != len(columns):
        raise RecipeError(f"leads is {leads}, but columns names {len(columns)}: leave leads out")
    if (leads is not None and leads < 1) or len(set(columns)) < len(columns):
        raise RecipeError("leads must be at least 1, and columns names each lead once")
    return leads or len(columns) or 1


def _heights(x: np.ndarray, rate: int) -> np.ndarray:
    """`(n, leads, samples)` -> `(n, leads, seconds)` largest deflection of each whole second up to the end
    (of all of it, where it is shorter than one)."""
    seconds = max(x.shape[2] // rate, 1)
    whole = x[..., -seconds * rate :]
    return np.abs(whole).reshape(*x.shape[:2], seconds, whole.shape[2] // seconds).max(axis=3)


def _typical(heights: np.ndarray, count: np.ndarray) -> np.ndarray:
    """`(n, leads, seconds)`, seconds with signal `(n,)` -> `(n, leads)` their upper quartile.

    At 60 beats per minute each second holds an R wave, at 40 two thirds do: the quartile is still an R wave's
    height, while one artefact in four seconds is passed over.
    """
    ordered = -np.sort(-heights, axis=2)
    at = np.broadcast_to((count // 4)[:, None, None], (*ordered.shape[:2], 1))
    return np.take_along_axis(ordered, np.minimum(at, ordered.shape[2] - 1), axis=2)[..., 0]


def _height_over(wave: np.ndarray, rate: int, good: np.ndarray) -> np.ndarray:
    """`(n, leads)`, `(seconds, leads)` bool -> `(leads,)` median of the largest deflections of usable
    seconds; 0 for a lead without any."""
    seconds = len(wave) // rate
    heights = np.abs(wave[: seconds * rate]).reshape(seconds, rate, wave.shape[1]).max(axis=1)
    columns = zip(heights.T, good[:seconds].T, strict=True)
    return np.array([np.median(h[g]) if g.any() else 0.0 for h, g in columns])


def _cleaned(wave: np.ndarray, rate: int) -> np.ndarray:
    """`(n, leads)` -> the same, cleaned by NeuroKit2 over the whole recording; 0 where that is shorter than a
    second, which no filter fits and no step counts."""
    import neurokit2

    if len(wave) < rate:
        return np.zeros_like(wave)
    columns = [np.asarray(neurokit2.ecg_clean(c, sampling_rate=rate), np.float64) for c in wave.T]
    return np.stack(columns, axis=1)
