"""Degradation `ecg`: damage that happens to ECGs, for a denoising encoder to undo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fusekit.contracts import Degradation
from fusekit.errors import RecipeError

MAINS_HZ = (50.0, 60.0)
WANDER_HZ = (0.15, 0.8)
MUSCLE_HZ = 20.0


class ECGDegradation(Degradation):
    """Five kinds of damage to waves `(N, leads, samples)` in -1..1, whose R waves reach about 0.7.

    After the noise sources of Friesen et al. (IEEE Trans. Biomed. Eng. 37 (1990), 85-98); strengths are ours,
    in units of the window's -1..1. With `probability` a row undergoes one kind, equally likely, at one of
    three strengths, equally likely:

    - baseline wander: three slow sines (0.15 to 0.8 Hz: what is left of slower ones after the reader),
      together 0.2, 0.4, 0.8 at most
    - mains hum: 50 or 60 Hz and a third as much of the third harmonic if the rate carries it; 0.1, 0.2, 0.4
    - electrode motion: two sudden jumps that fade within 0.1 to 0.6 s; 0.5, 1, 2
    - muscle noise: noise above 20 Hz under an envelope that comes and goes; deviation 0.05, 0.1, 0.2
    - drop-out: a stretch of 1/16, 1/8, 1/4 of the window is 0

    Hum, motion and drop-out of a row come to each lead by its own gain, drop-out to at least one lead. Values
    are cut to -1..1.

    Args:
        rate: samples per second of the windows; as the reader's.
        probability: share of the rows that are damaged.
        severity: multiples of the strengths, of which each damaged row draws one; a drop-out grows to the
            whole window at most. Beyond 1 it is for teaching a fusion that a modality may tell nothing
            (`damage` of a modality), hardly for denoising.

    Raises:
        RecipeError: a severity below 1, a probability outside 0..1, a rate outside 50..1000.
    """

    kinds: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "baseline-wander": (0.2, 0.4, 0.8),
        "mains-hum": (0.1, 0.2, 0.4),
        "electrode-motion": (0.5, 1.0, 2.0),
        "muscle-noise": (0.05, 0.1, 0.2),
        "drop-out": (1 / 16, 1 / 8, 1 / 4),
    }

    def __init__(
        self, *, rate: int = 128, probability: float = 0.5, severity: tuple[float, ...] = (1.0,)
    ) -> None:
        if not severity or min(severity) < 1:
            raise RecipeError("degradation ecg: severity lists multiples of 1 or more, as in [1, 4]")
        if not 0 <= probability <= 1:
            raise RecipeError(f"degradation ecg: probability must be from 0 to 1, found {probability:g}")
        if not 50 <= rate <= 1000:
            raise RecipeError(f"degradation ecg: rate must be from 50 to 1000, as the reader's, found {rate}")
        self.rate, self.probability, self.severity = rate, probability, tuple(severity)

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        out = x.clone()
        for i, rng in enumerate(rngs):
            # One draw each, whatever follows: a row's fate does not hang on its damage.
            fate, kind, strength, severity = rng.random(4)
            if fate >= self.probability:
                continue
            name = list(self.kinds)[int(kind * len(self.kinds))]
            strengths = self.kinds[name]
            factor = self.severity[int(severity * len(self.severity))]
            out[i] = self.damage(x[i], name, strengths[int(strength * len(strengths))] * factor, rng)
        return out

    def drawn(self, rngs: Sequence[np.random.Generator]) -> list[str]:
        kinds, draws = list(self.kinds), [rng.random(4) for rng in rngs]
        return [kinds[int(d[1] * len(kinds))] if d[0] < self.probability else "" for d in draws]

    def damage(self, x: Tensor, kind: str, strength: float, rng: np.random.Generator) -> Tensor:
        """One kind of damage at one strength to one window `(leads, samples)`."""
        leads, samples = x.shape
        if kind == "drop-out":
            gone = _stretch(rng, samples, min(strength, 1.0)) & _some_leads(rng, leads)
            return x.masked_fill(torch.from_numpy(gone).to(x.device), 0.0)
        make: Mapping[str, Callable[[], np.ndarray]] = {
            "baseline-wander": lambda: _wander(rng, leads, samples / self.rate, samples),
            "mains-hum": lambda: _hum(rng, leads, samples, self.rate),
            "electrode-motion": lambda: _motion(rng, leads, samples, self.rate),
            "muscle-noise": lambda: _muscle(rng, leads, samples, self.rate),
        }
        noise = torch.from_numpy((strength * make[kind]()).astype(np.float32)).to(x.device)
        return (x.float() + noise).clamp(-1, 1).to(x.dtype)


def _gains(rng: np.random.Generator, leads: int) -> np.ndarray:
    """`(leads, 1)`: how much of one source each lead sees; the one that sees most sees all of it."""
    gains = rng.uniform(0.25, 1.0, (leads, 1)) * rng.choice([-1.0, 1.0], (leads, 1))
    return gains / np.abs(gains).max()


def _some_leads(rng: np.random.Generator, leads: int) -> np.ndarray:
    """`(leads, 1)` bool, at least one."""
    chosen = rng.random((leads, 1)) < 0.5
    chosen[rng.integers(leads)] = True
    return chosen


def _stretch(rng: np.random.Generator, samples: int, share: float) -> np.ndarray:
    """`(1, samples)` bool: a stretch of that share at a random place."""
    size = max(round(share * samples), 1)
    begin = int(rng.integers(samples - size + 1))
    at = np.arange(samples)[None]
    return (at >= begin) & (at < begin + size)


def _wander(rng: np.random.Generator, leads: int, duration_s: float, samples: int) -> np.ndarray:
    """`(leads, samples)`: three slow sines, each lead with its own phases, at most 1 together."""
    hz = rng.uniform(*WANDER_HZ, (3, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (3, leads, 1))
    share = rng.uniform(0.2, 1.0, (3, 1, 1))
    waves = np.sin(2 * np.pi * hz * np.linspace(0, duration_s, samples) + phase)
    return (share / share.sum() * waves).sum(axis=0)


def _hum(rng: np.random.Generator, leads: int, samples: int, rate: int) -> np.ndarray:
    """`(leads, samples)`: 50 or 60 Hz and, below half the rate, its third harmonic."""
    hz = MAINS_HZ[int(rng.integers(len(MAINS_HZ)))]
    phase, third = rng.uniform(0, 2 * np.pi, 2)
    t = np.arange(samples) / rate
    # Above half the rate the reader's resampler would have taken it away; what is left there is none.
    wave = np.sin(2 * np.pi * hz * t + phase) if hz < rate / 2 else np.zeros(samples)
    if 3 * hz < rate / 2:
        wave = wave + np.sin(6 * np.pi * hz * t + third) / 3
    return _gains(rng, leads) * wave


def _motion(rng: np.random.Generator, leads: int, samples: int, rate: int) -> np.ndarray:
    """`(leads, samples)`: two jumps of random place and sign, each fading exponentially."""
    t = np.arange(samples) / rate
    wave = np.zeros(samples)
    for _ in range(2):
        since = t - rng.uniform(0, samples / rate)
        fade = rng.uniform(0.1, 0.6)
        jump = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.0)
        wave += np.where(since >= 0, jump * np.exp(-np.maximum(since, 0) / fade), 0.0)
    return _gains(rng, leads) * wave


def _muscle(rng: np.random.Generator, leads: int, samples: int, rate: int) -> np.ndarray:
    """`(leads, samples)`: noise above 20 Hz of deviation 1 under a slow envelope of 0..1."""
    spectrum = np.fft.rfft(rng.standard_normal((leads, samples)), axis=1)
    spectrum[:, np.fft.rfftfreq(samples, 1 / rate) < MUSCLE_HZ] = 0
    noise = np.fft.irfft(spectrum, samples, axis=1)
    noise /= np.maximum(noise.std(axis=1, keepdims=True), 1e-12)
    hz, phase = rng.uniform(0.1, 0.5), rng.uniform(0, 2 * np.pi)
    return noise * (0.5 + 0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / rate + phase))
