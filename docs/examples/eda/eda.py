"""Skin conductance (electrodermal activity, EDA) for fusekit: docs/tutorial.md builds this file."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fusekit.contracts import Encoder, Reader, Source, Stream
from fusekit.errors import DataError, RecipeError
from fusekit.hookspecs import Register, hookimpl

RATE_HZ = 4  # samples per second in a window; skin is slow


class SkinConductance(Reader):
    """CSV `time_s,microsiemens` -> `(2, samples)`: logarithm of the level, and its change per second.

    Args:
        window_s: a window holds so many seconds before its step.
        contact: microsiemens below which the electrodes have come off.
    """

    medium: ClassVar[str] = "eda"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    absence: ClassVar[str] = "the electrodes have no contact"
    lookahead_s = 0.0

    def __init__(self, *, window_s: float = 8.0, contact: float = 0.05) -> None:
        if window_s * RATE_HZ < 8 or contact <= 0:
            raise RecipeError("eda: window_s must be at least 2, contact above 0")
        self.contact = contact
        self.raw_shape = (2, round(window_s * RATE_HZ))
        # Of the samples under a window, oldest first; one more than it holds, for the first change.
        self.ages = np.arange(self.raw_shape[1] + 1)[::-1] / RATE_HZ

    def settings(self) -> dict[str, Any]:
        return {}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """`times (n,)` seconds, `level (n,)` microsiemens, `duration_s (1,)`."""
        try:
            lines = source.timed_path().read_text(encoding="utf-8-sig").splitlines()
            if not any(line.strip("# \t") for line in lines):
                raise ValueError("it is empty")  # said by numpy in a warning
            table = np.genfromtxt(lines, delimiter=",", names=True, encoding="utf-8", ndmin=1)
            times, level = table["time_s"], table["microsiemens"]
        except (OSError, ValueError) as error:
            why = " ".join(str(error).split())  # numpy's are of several lines
            raise DataError(f"{source.path}: expected a CSV of time_s and microsiemens; {why}") from error
        known = np.isfinite(times) & np.isfinite(level)
        times, level = times[known], level[known]
        if len(times) < 2 or times[0] < 0 or (np.diff(times) <= 0).any():
            raise DataError(f"{source.path}: time_s must be increasing seconds from 0 on, two rows or more")
        return {"times": times, "level": level, "duration_s": times[-1:]}

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """True where the latest sample is no older than a second and shows contact."""
        at = self.latest(stream, times)
        young = times - stream["times"][at.clip(0)] <= 1.0
        return (at >= 0) & young & (stream["level"][at.clip(0)] >= self.contact)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, 2, samples)` float32."""
        at = self.latest(stream, times[:, None] - self.ages)
        level = np.log10(stream["level"].clip(self.contact, None))[at.clip(0)]
        change = np.diff(level, axis=1) * RATE_HZ
        return np.stack([level[:, 1:], change], axis=1).astype(np.float32)

    def latest(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """Index of the latest sample at or before each time; -1 before the first."""
        return np.searchsorted(stream["times"], times + 1e-6, side="right") - 1


class SkinEncoder(Encoder):
    """`(N, channels, samples)` -> `(N, 2 width)`: mean and maximum over time of what a convolution sees."""

    def __init__(self, raw_shape: tuple[int, ...], *, width: int = 16) -> None:
        super().__init__()
        if len(raw_shape) != 2:
            raise RecipeError(f"eda-conv needs windows (channels, samples), not {raw_shape}")
        self.out_shape = (2 * width,)
        self.layer = nn.Conv1d(raw_shape[0], width, kernel_size=5, padding=2)

    def encode(self, x: Tensor) -> Tensor:
        """`(N, channels, samples)` -> `(N, 2 width)`."""
        seen = self.layer(x).relu()
        return torch.cat([seen.mean(dim=-1), seen.amax(dim=-1)], dim=-1)


@hookimpl
def register_components(register: Register) -> None:
    register("reader", "eda", f"{__name__}:SkinConductance", "skin conductance from CSV files")
    register("encoder", "eda-conv", f"{__name__}:SkinEncoder", "one convolution, mean and maximum over time")


def conformance_cases() -> list[Any]:
    from fusekit.testing import Case

    return [
        Case("reader", "eda", file=recording, blank=no_contact, altered=altered),
        Case("encoder", "eda-conv", {"width": 4}, raw_shape=(2, 32)),
    ]


def recording(folder: Path, level: Any = 2.0) -> Source:
    """Ten seconds of a level that moves a little."""
    times = np.arange(0, 10, 1 / RATE_HZ)
    moving = level * (1 + 0.1 * np.sin(times))
    file = folder / "eda.csv"
    np.savetxt(file, np.column_stack([times, moving]), "%.6f", ",", header="time_s,microsiemens", comments="")
    return Source(file)


def no_contact(folder: Path) -> Source:
    return recording(folder, level=0.0)


def altered(folder: Path, second: float) -> Source:
    """The same recording up to a second, and another level from there on."""
    return recording(folder, level=np.where(np.arange(0, 10, 1 / RATE_HZ) < second, 2.0, 5.0))
