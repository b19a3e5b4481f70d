"""Heart beats of an ECG, found as a live stream would find them: nothing later than `known_s` is looked at.

A detector after Pan and Tompkins (IEEE Trans. Biomed. Eng. 32 (1985), 230-236) and Hamilton ("Open source ECG
analysis", Computers in Cardiology 29 (2002), 101-104): energy of the QRS band, peaks at least a refractory
time apart, a threshold between medians of recent beats and of recent noise, and a search back where a beat is
overdue. Its band is 8-20 Hz, found best by Elgendi, Jonkman and De Boer (BIOSIGNALS 2010, 428-431).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusekit_ecg.signals import band_kernel, envelope, reach_s, resample

RATE = 250
"""Samples per second of the analysis."""
BAND_HZ = (8.0, 20.0)
HALF_S = 0.25
"""Half the length of the band's kernel."""
REFRACTORY_S = 0.2
"""No two beats are nearer (Pan and Tompkins)."""
WAVE_S = 0.36
"""A peak nearer to the beat before, below half its height, is that beat's T wave (Pan and Tompkins)."""
RECENT = 8
"""Beats, and noise peaks, that the threshold remembers (Hamilton)."""
SHARE = 0.3125
"""Where the threshold lies between noise and beats (Hamilton)."""
OVERDUE = 1.5
"""Median intervals after which a smaller peak is searched for (Hamilton)."""
LEARN_S = 3
"""Seconds whose largest peaks start the memory."""
LOST_S = 3.0
"""After so long without a beat the memory is started anew: a lead may have been moved."""


@dataclass(frozen=True)
class Beats:
    """Beats of one recording.

    Attributes:
        times: `(n,)` float64 seconds of the QRS complexes (the peak of the band's envelope), increasing.
        known_s: `(n,)` second from which on a live stream knows of each, at least `times`.
    """

    times: np.ndarray
    known_s: np.ndarray

    def until(self, second: float) -> np.ndarray:
        """Times of the beats that are known at `second`."""
        return self.times[self.known_s <= second]


def find_beats(signal: np.ndarray, rate: float, start_s: float = 0.0) -> Beats:
    """`(n, leads)` without NaN, at `rate` samples per second, first sample at `start_s` -> its beats.

    Leads are weighed by their mean energy so far, so that units and gains do not matter.
    """
    if not len(signal):
        return Beats(np.zeros(0), np.zeros(0))
    energy = qrs_energy(resample(signal, rate, RATE))
    at, known = _decide(energy)
    later = HALF_S + reach_s(rate, RATE) * (rate != RATE) + 1 / RATE
    return Beats(start_s + _between(energy, at) / RATE, start_s + known / RATE + later)


def qrs_energy(signal: np.ndarray) -> np.ndarray:
    """`(n, leads)` at `RATE` -> `(n,)` root of the energy in the QRS band, over leads."""
    own = envelope(signal, band_kernel(RATE, *BAND_HZ, HALF_S)) ** 2
    if own.shape[1] == 1:
        return np.sqrt(own[:, 0])
    typical = np.cumsum(own, axis=0) / np.arange(1, len(own) + 1)[:, None]
    learn = min(LEARN_S * RATE, len(own))
    typical[:learn] = typical[learn - 1]  # no beat is known before that
    weighed = np.divide(own, typical, out=np.zeros_like(own), where=typical > 0)
    return np.sqrt(weighed.mean(axis=1))


def _candidates(energy: np.ndarray) -> np.ndarray:
    """Positions of peaks that are the largest within the refractory time on both sides."""
    from scipy.ndimage import maximum_filter1d

    reach = round(REFRACTORY_S * RATE)
    largest = maximum_filter1d(energy, 2 * reach + 1, mode="constant", cval=-1.0)
    at = np.flatnonzero((energy == largest) & (energy > 0))
    keep = np.diff(at, prepend=-RATE) > reach  # of a plateau only its first sample
    return at[keep]


class _Memory:
    """Heights of recent beats and of recent noise, and the threshold between them."""

    def __init__(self) -> None:
        self.beats: list[float] = []
        self.noise: list[float] = []

    def learn(self, stretch: np.ndarray) -> None:
        """Start from the largest peak of each second: with a beat in each, their median is a beat's."""
        seconds = [stretch[i : i + RATE].max() for i in range(0, len(stretch), RATE)]
        self.beats, self.noise = [float(np.median(seconds))], [0.0]

    def threshold(self) -> float:
        low, high = float(np.median(self.noise)), float(np.median(self.beats))
        return low + SHARE * (high - low)

    def add(self, height: float, beat: bool) -> None:
        heights = self.beats if beat else self.noise
        heights.append(height)
        del heights[:-RECENT]


def _decide(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(n,)` -> positions of beats, and where each is known; both `(m,)`, in order of time."""
    reach, learn = round(REFRACTORY_S * RATE), LEARN_S * RATE
    memory = _Memory()
    memory.learn(energy[:learn])
    beats: list[tuple[int, int]] = []
    passed: list[int] = []  # candidates since the last beat that were taken for noise
    since = 0  # the last beat, or where the memory was started
    for at in _candidates(energy).tolist():
        known = max(at + reach, learn)
        if at - since > LOST_S * RATE:
            memory.learn(energy[max(at - learn, 0) : at + 1])
            since = at
        elif passed and at - since > OVERDUE * _interval(beats):
            best = max(passed, key=lambda i: energy[i])
            if energy[best] > memory.threshold() / 2 and not _wave(energy, best, since):
                beats.append((best, known))
                memory.add(energy[best], beat=True)
                passed, since = [i for i in passed if i > best], best
        if energy[at] > memory.threshold() and not (beats and _wave(energy, at, beats[-1][0])):
            beats.append((at, known))
            passed, since = [], at
            memory.add(energy[at], beat=True)
        else:
            passed.append(at)
            memory.add(energy[at], beat=False)
    found = np.array(sorted(beats), np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _wave(energy: np.ndarray, at: int, beat: int) -> bool:
    """Is the peak at `at` the T wave of the beat before."""
    return at - beat < WAVE_S * RATE and bool(energy[at] < energy[beat] / 2)


def _interval(beats: list[tuple[int, int]]) -> float:
    """Median of the recent intervals in samples; a second while there are none (Hamilton)."""
    recent = [at for at, _ in beats[-RECENT - 1 :]]
    return float(np.median(np.diff(recent))) if len(recent) > 2 else float(RATE)


def _between(energy: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Positions of peaks between samples: the top of the parabola through three of them."""
    inside = np.clip(at, 1, max(len(energy) - 2, 1))
    if len(energy) < 3:
        return at.astype(np.float64)
    left, top, right = energy[inside - 1], energy[inside], energy[inside + 1]
    bend = left - 2 * top + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros(len(at)), where=bend < 0)
    return np.where(inside == at, at + np.clip(shift, -0.5, 0.5), at)
