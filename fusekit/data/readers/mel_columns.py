"""Columns of a mel power spectrogram from sound that arrives in pieces: the same as from all of it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

AMIN = 1e-10
"""Power under which everything counts as this much (-100 dB), as in `librosa.power_to_db`."""
SILENT = 2.0**-16
"""A sample smaller than half a step of 16-bit sound is digital silence."""
BLOCK = 256
"""Columns that are computed together."""


class Columns:
    """`push` sound, get the columns that are complete; `finish` gives the rest. One object per sound.

    Column i is the power spectrum of the samples `[i*hop - n_fft/2, i*hop + n_fft/2)`, zeros beyond both
    ends.
    """

    def __init__(self, rate: int, n_fft: int, hop: int, mels: int) -> None:
        self.rate, self.n_fft, self.hop, self.mels = rate, n_fft, hop, mels
        self.samples = 0
        self.count = 0
        self._rest = np.zeros(n_fft // 2, np.float32)  # from the next column's first sample on
        self._gap = 0  # samples still to come that no column looks at (a hop longer than the Fourier window)

    def push(self, samples: np.ndarray, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """`(n,)` float32 -> `(k, mels)` float32 decibels re 1 and `(k,)` bool loud: the columns that are now
        complete, as many as make whole groups of `least`."""
        self.samples += len(samples)
        self._append(samples)
        ready = max(0, (len(self._rest) - self.n_fft) // self.hop + 1)
        return self._take(ready - ready % least)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The last columns, which reach beyond the end."""
        self._append(np.zeros(self.n_fft // 2, np.float32))
        return self._take(1 + self.samples // self.hop - self.count)

    def _append(self, samples: np.ndarray) -> None:
        skipped = min(self._gap, len(samples))
        self._gap -= skipped
        self._rest = np.concatenate([self._rest, samples[skipped:]])

    def _take(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        db, loud = np.empty((max(0, count), self.mels), np.float32), np.empty(max(0, count), bool)
        if count <= 0:
            return db, loud
        frames = sliding_window_view(self._rest, self.n_fft)[:: self.hop]
        # Periodic Hann, float64 throughout: a column's values do not depend on how many are computed
        #     together.
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft)
        bands = _filters(self.rate, self.n_fft, self.mels)
        for start in range(0, count, BLOCK):
            block = frames[start : min(start + BLOCK, count)]
            spectrum = np.fft.rfft(block * hann, axis=1)
            power = (spectrum.real**2 + spectrum.imag**2) @ bands
            db[start : start + len(block)] = 10.0 * np.log10(np.maximum(power, AMIN))
            loud[start : start + len(block)] = np.abs(block).max(axis=1) >= SILENT
        used = count * self.hop
        self._gap = max(0, used - len(self._rest))
        self._rest = self._rest[used:].copy()
        self.count += count
        return db, loud


@lru_cache(maxsize=8)
def _filters(rate: int, n_fft: int, mels: int) -> np.ndarray:
    from librosa.filters import mel  # costs two seconds, so only when sound is really prepared

    return np.ascontiguousarray(mel(sr=rate, n_fft=n_fft, n_mels=mels, dtype=np.float64).T)
