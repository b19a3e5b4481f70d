"""The heart of one subject over time: when it beats, and what an electrode on the chest records of it.

Arousal (main) sets the heart rate. Valence (half strength) sets how far breathing sways it: respiratory sinus
arrhythmia, the fast part of heart rate variability. Rate at rest, breathing and the shape of a beat are the
subject's own; extra beats, baseline, electrodes that move for a moment and the sensor's noise are nuisance.

A beat is a sum of five Gaussian waves (P, Q, R, S, T), as in McSharry et al., "A dynamical model for
generating synthetic electrocardiogram signals", IEEE Transactions on Biomedical Engineering 50(3), 2003,
289-294, with other numbers; here the waves are placed at each beat directly, where the paper integrates
differential equations, so that the time of every R peak is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusekit.data.synthetic import signals
from fusekit.data.synthetic.settings import ECG_HZ, FRAME_HZ

RATE_BPM = 20.0
"""Beats per minute per unit of arousal."""
BREATH_BPM = 5.0
"""How far breathing sways the heart rate at valence 0."""
OCTAVES_OF_BREATH = 2.2
"""Doublings of that per unit of the valence that shows."""
LIMITS_BPM = (55.0, 118.0)
ECTOPIC_SHARE = 0.008
EARLY = 0.28
"""An extra beat comes early by this share of the interval; the next one is on time, after a pause."""
ARTEFACTS_PER_S = 1 / 15
SENSOR_MV = 0.01
_MARGIN_S = 1.5  # beats before the beginning and after the end reach into the clip

WAVES = ("P", "Q", "R", "S", "T")
_MV = np.array([0.12, -0.10, 1.0, -0.22, 0.28])
_AT_S = np.array([-0.165, -0.028, 0.0, 0.030, 0.265])
_WIDTH_S = np.array([0.022, 0.009, 0.011, 0.011, 0.048])
_EXTRA_MV = np.array([0.0, 0.5, 1.25, 1.6, -1.3])  # no P, broad, T turned over
_EXTRA_WIDTH = np.array([1.0, 2.0, 2.4, 2.4, 1.2])


@dataclass(frozen=True)
class Heart:
    """What distinguishes one heart; `mv`, `at_s`, `width_s` `(5,)` per wave, seconds from the R peak."""

    rest_bpm: float
    breath_hz: float
    mv: np.ndarray
    at_s: np.ndarray
    width_s: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Heart:
        rest, breath, lead = np.clip(rng.standard_normal(3), -1.6, 1.6)
        shape = np.clip(rng.standard_normal((3, len(WAVES))), -1.6, 1.6)
        return cls(
            rest_bpm=float(85 + 4 * rest),
            breath_hz=float(0.30 + 0.025 * breath),
            mv=_MV * np.exp(0.15 * lead + np.array([0.25, 0.4, 0.08, 0.4, 0.3]) * shape[0]),
            at_s=_AT_S * (1 + 0.06 * shape[1]),
            width_s=_WIDTH_S * (1 + 0.10 * shape[2]),
        )


@dataclass(frozen=True)
class Beats:
    """When a heart beats.

    Attributes:
        seconds: `(n,)` times of the R peaks, some just before 0 or after the clip's end.
        interval_s: `(n,)` from the beat before; extra: `(n,)` bool, extra beats.
        bpm: `(frames,)` the rate that drives them, breathing included.
        breath: `(frames,)` phase of breathing in radians.
    """

    seconds: np.ndarray
    interval_s: np.ndarray
    extra: np.ndarray
    bpm: np.ndarray
    breath: np.ndarray


def beat(rng: np.random.Generator, who: Heart, valence: np.ndarray, arousal: np.ndarray) -> Beats:
    """Latents `(frames,)` -> the beats of the clip."""
    frames = len(valence)
    pace = signals.expressed(rng, arousal, signals.MAIN, 1)[0]
    sway = signals.expressed(rng, valence, signals.HALF, 1)[0]
    breath_hz = who.breath_hz * (1 + 0.06 * signals.drift(rng, frames, 20.0))
    breath = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(breath_hz) / FRAME_HZ
    depth = BREATH_BPM * 2 ** (OCTAVES_OF_BREATH * np.clip(sway, -0.9, 0.9))
    bpm = who.rest_bpm + RATE_BPM * np.clip(pace, -1.3, 1.3) + depth * np.sin(breath)
    bpm = np.clip(bpm, *LIMITS_BPM)

    times = np.arange(-_MARGIN_S, frames / FRAME_HZ + _MARGIN_S, 1 / ECG_HZ)
    turns = rng.random() + np.cumsum(np.interp(times, np.arange(frames) / FRAME_HZ, bpm) / 60 / ECG_HZ)
    seconds = np.interp(np.arange(1, int(turns[-1]) + 1), turns, times)
    interval = np.diff(seconds, prepend=2 * seconds[0] - seconds[1])
    extra = rng.random(len(seconds)) < ECTOPIC_SHARE
    extra[1:] &= ~extra[:-1]
    return Beats(seconds - np.where(extra, EARLY * interval, 0.0), interval, extra, bpm, breath)


def record(rng: np.random.Generator, who: Heart, beats: Beats, samples: int) -> np.ndarray:
    """`(samples,)` millivolts at `ECG_HZ`: beats on a baseline that wanders, artefacts, noise."""
    times = np.arange(samples) / ECG_HZ
    frames = np.arange(len(beats.breath)) / FRAME_HZ
    breath = np.interp(times, frames, beats.breath)
    signal = np.zeros(samples)
    for seconds, interval, extra in zip(beats.seconds, beats.interval_s, beats.extra, strict=True):
        first, last = (int(np.clip((seconds + s) * ECG_HZ, 0, samples)) for s in (-0.5, 0.8))
        mv, width, at = who.mv, who.width_s, who.at_s.copy()
        at[-1] *= np.sqrt(interval / 0.8)  # the T wave comes sooner when the heart is fast
        if extra:
            mv, width, at = mv * _EXTRA_MV, width * _EXTRA_WIDTH, at * np.array([1, 2.0, 1, 2.2, 1.2])
        away = (times[first:last, None] - seconds - at) / width
        signal[first:last] += np.exp(-0.5 * away**2) @ mv
    signal *= 1 + 0.05 * np.sin(breath)
    signal += 0.05 * np.sin(breath - 0.8) + 0.08 * signals.band_noise(rng, samples, ECG_HZ, (0.05, 0.5), 1.0)
    for _ in range(rng.poisson(samples / ECG_HZ * ARTEFACTS_PER_S)):
        start, long = rng.integers(samples), int(rng.uniform(0.2, 0.6) * ECG_HZ)
        bump = rng.normal(0, 0.25) * np.sin(np.linspace(0, np.pi, long))
        signal[start : start + long] += bump[: samples - start]
    return signal + SENSOR_MV * rng.standard_normal(samples)
