"""Latent valence and arousal, and how strongly a face or a voice expresses them.

Every cue (a mouth's curve, an eye's opening, the pitch of a syllable) follows `strength * latent + noise`,
with the same noise for every cue: `strength` 1 for the modality's main dimension (face: valence, voice:
arousal), `HALF` for the other. Half strength is thus half the effect size, whatever the cue. The noise has
two parts:

- slow, in the band of the latents: nobody can smooth it away. It bounds what one modality can ever tell,
  and differs between face and voice, which is why the two together know more than the better one;
- fast, above 1.8 Hz and drawn for every cue anew: a single frame or syllable is unreliable, a second of
  them is not.
"""

from __future__ import annotations

import numpy as np

from fusekit.data.synthetic.settings import FRAME_HZ

LATENT_STD = 0.47
LATENT_BAND_HZ = (1 / 25, 1 / 5)
FAST_BAND_HZ = (1.8, FRAME_HZ / 2)
MAIN, HALF = 1.0, 0.5
SLOW_NOISE = 0.20
FAST_NOISE = 0.32


def band_noise(
    rng: np.random.Generator, n: int, rate_hz: float, band_hz: tuple[float, float], redness: float = 0.0
) -> np.ndarray:
    """`(n,)` Gaussian noise of expected mean 0 and variance 1, with power `f ** -redness` in the band."""
    low, high = band_hz
    length = n + int(2 * rate_hz / low)  # cut from a longer piece: an inverse FFT's end meets its own start
    freqs = np.fft.rfftfreq(length, 1 / rate_hz)
    inside = (freqs >= low) & (freqs <= high) & (freqs < rate_hz / 2)
    gain = np.zeros(len(freqs))
    gain[inside] = freqs[inside] ** (-redness / 2)
    spectrum = gain * (rng.standard_normal(len(freqs)) + 1j * rng.standard_normal(len(freqs)))
    scale = length / (2 * np.sqrt(np.sum(gain**2)))
    return np.fft.irfft(spectrum, length)[:n] * scale


def latents(rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Valence and arousal `(frames,)` of one clip at the frame rate, within -1..1.

    Smooth (periods of 5 to 25 s, the slow ones stronger), uncorrelated, and of the same mean 0 and standard
    deviation `LATENT_STD` in every clip, so that no clip can be told by its level.
    """
    valence, arousal = (band_noise(rng, frames, FRAME_HZ, LATENT_BAND_HZ, redness=1.0) for _ in range(2))
    valence = _standardise(valence)
    arousal = _standardise(arousal)
    arousal = _standardise(arousal - np.mean(arousal * valence) * valence)
    return _bounded(valence), _bounded(arousal)


def expressed(rng: np.random.Generator, latent: np.ndarray, strength: float, cues: int) -> np.ndarray:
    """`(frames,)` -> `(cues, frames)`: what the cues of one modality show of one latent (see above)."""
    frames = len(latent)
    slow = SLOW_NOISE * band_noise(rng, frames, FRAME_HZ, LATENT_BAND_HZ, redness=1.0)
    fast = [FAST_NOISE * band_noise(rng, frames, FRAME_HZ, FAST_BAND_HZ) for _ in range(cues)]
    return strength * latent + slow + np.stack(fast)


def drift(rng: np.random.Generator, frames: int, period_s: float) -> np.ndarray:
    """`(frames,)` slow nuisance of variance 1: periods from a quarter of `period_s` up to it."""
    return band_noise(rng, frames, FRAME_HZ, (1 / period_s, 4 / period_s), redness=1.0)


def _standardise(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


def _bounded(x: np.ndarray) -> np.ndarray:
    """Unit variance, unbounded -> within -1..1, mean 0, `LATENT_STD`."""
    return np.clip(_standardise(np.tanh(0.6 * x)) * LATENT_STD, -1.0, 1.0)
