"""Damage and absence of an ECG: beats under an intruder, at the level they had, or a flat line."""

from __future__ import annotations

import numpy as np

from fusekit.data.synthetic.schedules import Stretch
from fusekit.data.synthetic.settings import ECG_HZ, FRAME_HZ
from fusekit.data.synthetic.signals import band_noise

SNR_DB = (2.0, -7.0, -20.0)
"""Beats against intruder at strengths 1, 2, 3."""


def spoil(rng: np.random.Generator, ecg: np.ndarray, stretches: list[Stretch]) -> np.ndarray:
    """`(samples,)` millivolts -> the same with every ECG stretch damaged, or flat at 0 where it is absent.

    A damaged stretch keeps its mean and standard deviation, so that the level tells nothing.
    """
    spoilt = ecg.copy()
    for stretch in stretches:
        if stretch.modality != "ecg":
            continue
        part = samples(stretch)
        if stretch.absent:
            spoilt[part] = 0.0
            continue
        hidden = ecg[part]
        level = hidden.std()
        intruder = _INTRUDERS[stretch.kind](rng, hidden - hidden.mean())
        share = 10 ** (SNR_DB[stretch.strength - 1] / 20)
        mixed = share * (hidden - hidden.mean()) / level + intruder / intruder.std()
        spoilt[part] = hidden.mean() + (mixed - mixed.mean()) * level / mixed.std()
    return spoilt


def samples(stretch: Stretch) -> slice:
    """Samples of a stretch of frames."""
    return slice(round(stretch.start / FRAME_HZ * ECG_HZ), round(stretch.stop / FRAME_HZ * ECG_HZ))


def _motion(rng: np.random.Generator, hidden: np.ndarray) -> np.ndarray:
    """The electrode slides on the skin: swings as slow as a T wave and as quick as a QRS."""
    return band_noise(rng, len(hidden), ECG_HZ, (0.7, 15.0), redness=1.0)


def _muscle(rng: np.random.Generator, hidden: np.ndarray) -> np.ndarray:
    """Tense muscles under the electrode, in bursts."""
    burst = 1 + 0.5 * np.abs(band_noise(rng, len(hidden), ECG_HZ, (0.3, 3.0)))
    return burst * band_noise(rng, len(hidden), ECG_HZ, (12.0, 110.0))


def _mains(rng: np.random.Generator, hidden: np.ndarray) -> np.ndarray:
    """Mains hum with its second harmonic, swelling, over the noise of a bad contact."""
    base = rng.choice([50.0, 60.0]) * (1 + 0.002 * rng.standard_normal())
    turn = 2 * np.pi * base * np.arange(len(hidden)) / ECG_HZ
    swell = 1 + 0.3 * band_noise(rng, len(hidden), ECG_HZ, (0.2, 2.0))
    hum = np.sin(turn + rng.uniform(0, 6.3)) + 0.3 * np.sin(2 * turn + rng.uniform(0, 6.3))
    return swell * hum + 0.35 * band_noise(rng, len(hidden), ECG_HZ, (3.0, 60.0))


def _loose(rng: np.random.Generator, hidden: np.ndarray) -> np.ndarray:
    """A contact that opens and closes: jumps that decay as the amplifier's filter settles."""
    jumps = np.zeros(len(hidden))
    at = rng.integers(0, len(hidden), max(3, int(2.5 * len(hidden) / ECG_HZ)))
    jumps[at] = rng.standard_normal(len(at))
    settle = np.exp(-np.arange(ECG_HZ) / (0.15 * ECG_HZ))
    return np.convolve(jumps, settle)[: len(hidden)] + 0.1 * rng.standard_normal(len(hidden))


_INTRUDERS = {"motion": _motion, "muscle": _muscle, "mains": _mains, "loose": _loose}
