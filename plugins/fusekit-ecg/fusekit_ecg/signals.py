"""Resampling and filters of bounded reach: what a value depends on lies at most so many seconds after it.

That is what lets a reader state an honest `lookahead_s`: infinite or zero-phase recursive filters look at the
whole recording.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

TAPS = 10
"""The resampler's kernel reaches so many samples of the slower rate to either side."""
DRIFT = 1e-6
"""Seconds per second by which a resampled signal may run fast or slow: 7 ms in two hours."""


def reach_s(rate: float, other: float) -> float:
    """Seconds of signal on either side that one resampled value depends on, besides its own sample."""
    return (TAPS + 1) / min(rate, other)


def resample(signal: np.ndarray, rate: float, wanted: int) -> np.ndarray:
    """`(n, leads)` at `rate` samples per second -> `(ceil(n * wanted / rate), leads)` float64 at `wanted`.

    Value k belongs to time k / wanted. Polyphase filter of scipy, Kaiser window; beyond both ends the first
    and the last value go on. The ratio is rounded to a fraction, by `DRIFT` at most.
    """
    from scipy.signal import resample_poly

    largest = 4000
    while abs((ratio := Fraction(wanted / rate).limit_denominator(largest)) * rate / wanted - 1) > DRIFT:
        largest *= 2  # near a simple fraction, as 128 / 255.97 is, there is no other of small denominator
    if ratio == 1 or not len(signal):
        return np.asarray(signal, np.float64)
    up, down = ratio.numerator, ratio.denominator
    # Filled by hand, as scipy's own padding by the last value looks at both ends for every value.
    more = int(np.ceil((TAPS + 1) * max(down / up, 1))) + 1
    more = -(-more // down) * down  # so that values stay on the grid
    padded = np.pad(np.asarray(signal, np.float64), ((more, more), (0, 0)), mode="edge")
    first = more * up // down
    count = -(-len(signal) * up // down)
    return resample_poly(padded, up, down, axis=0)[first : first + count]


@lru_cache(maxsize=4)
def band_kernel(rate: int, low_hz: float, high_hz: float, half_s: float) -> np.ndarray:
    """`(2h + 1,)` complex: a band pass of linear phase whose answer's modulus is the envelope of the band.

    A low pass of half the band's width (Hamming window) moved to the band's centre.
    """
    from scipy.signal import firwin

    half = round(half_s * rate)
    low_pass = firwin(2 * half + 1, (high_hz - low_hz) / 2, fs=rate)
    turn = 2j * np.pi * (low_hz + high_hz) / 2 / rate
    kernel = 2 * low_pass * np.exp(turn * np.arange(-half, half + 1))
    return kernel - low_pass * (kernel.sum() / low_pass.sum())  # an offset leaves nothing


def envelope(signal: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`(n, leads)` -> `(n, leads)` modulus of the signal under a complex kernel; the ends go on outside."""
    half = len(kernel) // 2
    padded = np.pad(signal - signal[:1], ((half, half), (0, 0)), mode="edge")
    return np.stack([np.abs(np.convolve(column, kernel, mode="valid")) for column in padded.T], axis=1)


def without_baseline(signal: np.ndarray, rate: int, cutoff_hz: float) -> np.ndarray:
    """`(..., samples)` float64 -> the same without the slow baseline of each row.

    Smoothness priors (Tarvainen, Ranta-aho and Karjalainen, IEEE Trans. Biomed. Eng. 49 (2002), 172-175):
    the baseline is what is both near the signal and of small second difference; the weight is set so that
    `cutoff_hz` is halved in amplitude. It needs nothing outside the row.
    """
    from scipy.linalg import cho_solve_banded

    rows = signal.reshape(-1, signal.shape[-1])
    factor = _smoothness(signal.shape[-1], rate, cutoff_hz)
    return signal - cho_solve_banded((factor, False), rows.T, check_finite=False).T.reshape(signal.shape)


@lru_cache(maxsize=4)
def _smoothness(length: int, rate: int, cutoff_hz: float) -> np.ndarray:
    """`(3, length)`: Cholesky factor, upper bands, of 1 + weight * D'D with D the second differences."""
    from scipy.linalg import cholesky_banded

    kernel = np.array([1.0, -2.0, 1.0])
    bands = np.zeros((3, length))
    for apart in range(3):  # D has `length - 2` rows; row i holds the kernel at i, i + 1, i + 2
        for first in range(3 - apart):
            last = first + apart
            bands[2 - apart, last : length - 2 + last] += kernel[first] * kernel[last]
    bands *= (rate / (2 * np.pi * cutoff_hz)) ** 4
    bands[2] += 1
    return cholesky_banded(bands)
