"""Small cases of every component, and the recordings they read: for the conformance kit and our own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fusekit.contracts import Source
from fusekit.testing import Case

RATE = 250
DURATION_S = 24
WAVE = (2, 256)
LATENT = (16, 16)


def heart(
    duration_s: float, rate: float, *, seed: int = 0, hr: float = 70.0
) -> tuple[np.ndarray, np.ndarray]:
    """A simple ECG `(n,)` in millivolts whose intervals vary by some 3 %, and its R peaks in seconds.

    Each beat is five Gaussian bumps (P, Q, R, S, T), as in the model of McSharry et al. (2003).
    """
    rng = np.random.default_rng(seed)
    intervals = 60 / hr * (1 + 0.03 * rng.standard_normal(int(duration_s * hr / 60) + 4))
    peaks = 0.4 + np.cumsum(intervals) - intervals[0]
    t = np.arange(round(duration_s * rate)) / rate
    wave = 0.01 * rng.standard_normal(len(t))
    bumps = (
        (-0.17, 0.12, 0.025),
        (-0.03, -0.15, 0.01),
        (0.0, 1.1, 0.01),
        (0.03, -0.25, 0.01),
        (0.25, 0.3, 0.05),
    )
    for peak in peaks:
        near = np.abs(t - peak) < 0.6
        for shift, height, width in bumps:
            wave[near] += height * np.exp(-0.5 * ((t[near] - peak - shift) / width) ** 2)
    return wave, peaks[(peaks > 0) & (peaks < duration_s)]


def write_csv(path: Path, signal: np.ndarray, rate: float = RATE) -> Path:
    """`(n,)` or `(n, leads)` -> CSV `time_s,ecg` (`ecg1`, `ecg2`, ... for more leads)."""
    columns = signal.reshape(len(signal), -1)
    names = ["ecg"] if columns.shape[1] == 1 else [f"ecg{i + 1}" for i in range(columns.shape[1])]
    rows = [",".join(["time_s", *names])]
    rows += [
        ",".join([f"{i / rate:.6f}", *(f"{value:.5f}" for value in row)])
        for i, row in enumerate(columns.tolist())
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def _file(folder: Path) -> Source:
    return Source(write_csv(folder / "heart.csv", heart(DURATION_S, RATE)[0]))


def _blank(folder: Path) -> Source:
    return Source(write_csv(folder / "flat.csv", np.zeros(DURATION_S * RATE)))


def _altered(folder: Path, second: float) -> Source:
    signal, _ = heart(DURATION_S, RATE)
    other, _ = heart(DURATION_S, RATE, seed=1, hr=110)
    begin = int(np.ceil(second * RATE))
    signal[begin:] = 3 * other[begin:] + 1
    return Source(write_csv(folder / "altered.csv", signal))


def _reader(name: str, variant: str = "", **args: Any) -> Case:
    return Case("reader", name, args, variant=variant, file=_file, blank=_blank, altered=_altered)


def cases() -> list[Case]:
    """One case per component, two for the reader `ecg`: with and without future."""
    return [
        _reader("ecg", rate=64, window_s=4.0),
        _reader("ecg", "centred", window_s=4.0, future_s=2.0),
        _reader("heart-rate-variability"),
        Case("degradation", "ecg", {}, raw_shape=WAVE),
        Case("encoder", "ecg-resnet1d", {"width": 8}, raw_shape=WAVE),
        Case("encoder", "ecg-generator", {"width": 4}, raw_shape=WAVE),
        Case("quadrant", "ecg-discriminator", {"width": 4}, raw_shape=WAVE, latent_shape=LATENT),
        Case("projector", "conv1d-pyramid", {"width": 4}, latent_shape=LATENT),
    ]
