"""Short-time spectra for making sound: filtering by an envelope, and the mel power that bounds a burst."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy.signal import get_window

from fusekit.data.synthetic.settings import RATE_HZ

HOP = 256
FFT = 1024
FREQS = np.fft.rfftfreq(FFT, 1 / RATE_HZ).astype(np.float32)
MEL_FFT, MEL_HOP, MELS = 2048, 512, 128
_WINDOW = get_window("hann", FFT).astype(np.float32)


def hops(samples: int) -> int:
    """Number of control frames for a sound of `samples`; frame h is centred on sample `h * HOP`."""
    return samples // HOP + 2


def stft(sound: np.ndarray) -> np.ndarray:
    """`(samples,)` -> `(hops, FFT / 2 + 1)` complex64."""
    count = hops(len(sound))
    padded = np.zeros((count - 1) * HOP + FFT, np.float32)
    padded[FFT // 2 : FFT // 2 + len(sound)] = sound
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    return scipy.fft.rfft(frames * _WINDOW, axis=1)


def istft(spectrum: np.ndarray, samples: int) -> np.ndarray:
    """Inverse of `stft` by weighted overlap-add -> `(samples,)` float32."""
    frames = scipy.fft.irfft(spectrum, FFT, axis=1) * _WINDOW
    count = len(frames)
    total = np.zeros((count + FFT // HOP - 1, HOP), np.float32)
    weight = np.zeros_like(total)
    for part in range(FFT // HOP):
        columns = slice(part * HOP, (part + 1) * HOP)
        total[part : part + count] += frames[:, columns]
        weight[part : part + count] += _WINDOW[columns] ** 2
    return (total / np.maximum(weight, 1e-3)).ravel()[FFT // 2 : FFT // 2 + samples]


def mel_power(sound: np.ndarray) -> np.ndarray:
    """`(samples,)` -> `(columns, MELS)` power as in spec 4.2: Hann 2048, hop 512, centred."""
    padded = np.pad(sound.astype(np.float32), MEL_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, MEL_FFT)[::MEL_HOP]
    window = get_window("hann", MEL_FFT).astype(np.float32)
    return (np.abs(scipy.fft.rfft(frames * window, axis=1)) ** 2) @ mel_filters().T


def mel_filters() -> np.ndarray:
    """`(MELS, MEL_FFT / 2 + 1)` triangles of equal area on Slaney's mel scale, the full band."""
    edges = _from_mel(np.linspace(0, _to_mel(RATE_HZ / 2), MELS + 2))
    freqs = np.fft.rfftfreq(MEL_FFT, 1 / RATE_HZ)
    rise = (freqs - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - freqs) / np.diff(edges)[1:, None]
    return (np.clip(np.minimum(rise, fall), 0, None) * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(
        np.float32
    )


def _to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _from_mel(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
