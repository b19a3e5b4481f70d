"""Damage and absence of sound: a voice under something as loud as it was, or digital silence."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter1d

from fusekit.data.synthetic import signals
from fusekit.data.synthetic.schedules import Stretch
from fusekit.data.synthetic.settings import FRAME_HZ, RATE_HZ
from fusekit.data.synthetic.spectra import MEL_FFT, mel_power
from fusekit.data.synthetic.voices import Speaker, speak, synthesise

SNR_DB = (12.0, 1.0, -18.0)
"""Voice against intruder at strengths 1, 2, 3."""
PEAK_SHARE = 0.8
"""Largest mel power of a damaged stretch, as a share of the largest of the clean sound."""
FADE_S = 0.02


def spoil(rng: np.random.Generator, voice: np.ndarray, stretches: list[Stretch]) -> np.ndarray:
    """`(samples,)` clean voice -> the same with every voice stretch damaged or silenced.

    A damaged stretch keeps the level of the voice it hides, and is turned down further if one of its mel
    powers would come near the clip's largest: the reference of a spectrogram in dB (spec 4.2) stays where
    the clean voice puts it.
    """
    spoilt = voice.copy()
    mine = [stretch for stretch in stretches if stretch.modality == "voice"]
    clean = np.ones(len(voice), bool)
    for stretch in mine:
        clean[samples(stretch)] = False
    ceiling = PEAK_SHARE * float(mel_power(np.where(clean, voice, 0)).max())
    for stretch in mine:
        part = samples(stretch)
        if stretch.absent:
            spoilt[part] = 0.0
            continue
        hidden = voice[part]
        intruder = _INTRUDERS[stretch.kind](rng, len(hidden), stretch.strength)
        level = np.sqrt(np.mean(hidden**2))
        share = 10 ** (SNR_DB[stretch.strength - 1] / 20)
        mixed = share * hidden / level + intruder / np.sqrt(np.mean(intruder**2))
        mixed *= level / np.sqrt(np.mean(mixed**2))
        around = np.pad(mixed, MEL_FFT)
        mixed *= min(1.0, np.sqrt(ceiling / float(mel_power(around).max())))
        fade = _fade(len(mixed))
        spoilt[part] = fade * mixed + (1 - fade) * hidden
    return spoilt


def samples(stretch: Stretch) -> slice:
    """Samples of a stretch of frames."""
    return slice(round(stretch.start / FRAME_HZ * RATE_HZ), round(stretch.stop / FRAME_HZ * RATE_HZ))


def _noise(rng: np.random.Generator, n: int, strength: int) -> np.ndarray:
    """Traffic or a fan: between white and pink, its colour differs between stretches, swelling a little."""
    length = scipy.fft.next_fast_len(n, real=True)
    spectrum = scipy.fft.rfft(rng.standard_normal(length))
    freqs = np.maximum(np.fft.rfftfreq(length, 1 / RATE_HZ), 60)
    coloured = scipy.fft.irfft(spectrum * freqs ** rng.uniform(-0.9, -0.4), length)[:n]
    swell = gaussian_filter1d(rng.standard_normal(n // 64 + 2), 0.15 * RATE_HZ / 64)
    gain = np.interp(np.arange(n) / 64, np.arange(len(swell)), 1 + 0.25 * swell / swell.std())
    return coloured * np.clip(gain, 0.3, None)


def _babble(rng: np.random.Generator, n: int, strength: int) -> np.ndarray:
    """Four other people talk, each in a mood of their own."""
    frames = int(np.ceil(n / RATE_HZ * FRAME_HZ))
    voices = []
    for _ in range(4):
        who = Speaker.draw(rng)
        moods = signals.latents(rng, frames)
        voices.append(synthesise(rng, who, speak(rng, who, *moods), n))
    return np.sum(voices, axis=0)


def _hum(rng: np.random.Generator, n: int, strength: int) -> np.ndarray:
    """A bad earth: mains and its harmonics far up, trembling, over hiss."""
    time = np.arange(n) / RATE_HZ
    base = rng.choice([100.0, 120.0]) * (1 + 0.004 * np.sin(2 * np.pi * rng.uniform(0.2, 0.6) * time))
    harmonics = np.arange(1, 61)
    strengths = harmonics ** rng.uniform(-0.7, -0.2, 60) * np.exp(2j * np.pi * rng.random(60))
    wave = scipy.fft.irfft(np.concatenate([[0], strengths]), 4096)
    total = wave[((np.cumsum(base) / RATE_HZ) % 1.0 * 4096).astype(np.int32)]
    return total / total.std() + 0.35 * rng.standard_normal(n)


def _crackle(rng: np.random.Generator, n: int, strength: int) -> np.ndarray:
    """A loose plug: clicks of a few milliseconds, denser with strength."""
    clicks = np.zeros(n)
    at = rng.integers(0, n, int(n / RATE_HZ * (14, 35, 90)[strength - 1]))
    clicks[at] = rng.standard_normal(len(at)) * rng.lognormal(0, 0.6, len(at))
    ring = rng.standard_normal(int(0.02 * RATE_HZ))
    decay = ring * np.exp(-np.arange(len(ring)) / (0.004 * RATE_HZ))
    return np.convolve(clicks, decay)[:n] + 0.01 * rng.standard_normal(n)


_INTRUDERS = {"noise": _noise, "babble": _babble, "hum": _hum, "crackle": _crackle}


def _fade(n: int) -> np.ndarray:
    """`(n,)` 0 at both ends, 1 after `FADE_S`."""
    ramp = np.arange(n) / (FADE_S * RATE_HZ)
    return np.clip(np.minimum(ramp, ramp[::-1]), 0, 1)
