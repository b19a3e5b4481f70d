"""Labels on the step grid: scaling, quadrants, alignment, class-frequency weights (spec 1.3, 3.4, 4.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusekit.contracts import Labels
from fusekit.data.label_ranges import scale as scale
from fusekit.data.label_ranges import unscale as unscale

VALENCE, AROUSAL = "valence", "arousal"
BIN_WIDTH = 0.1
BINS = 20
_EDGE = 1e-4  # a label of 0.3 stored as float32 is 0.29999998: it belongs to the bin that starts at 0.3
_CLOCK = 1e-6  # seconds; 3 * 0.1 s is a hair later than a step at 0.3 s and still belongs to it
MIN_HOLD_S = 0.5


def quadrant(values: np.ndarray) -> np.ndarray:
    """`(..., 2)` valence, arousal on the common scale -> `(...)` int64 (spec 1.3).

    Q0: V >= 0, A >= 0. Q1: V < 0, A >= 0. Q2: V < 0, A < 0. Q3: V >= 0, A < 0. Ties count as high; -1 where V
    or A is NaN.
    """
    values = np.asarray(values)
    low_v, low_a = values[..., 0] < 0, values[..., 1] < 0
    index = np.where(low_a, np.where(low_v, 2, 3), np.where(low_v, 1, 0)).astype(np.int64)
    index[np.isnan(values).any(axis=-1)] = -1
    return index


@dataclass
class Aligned:
    """Labels of one clip at its T steps.

    Attributes:
        target: `(T, K)` float32 on the common scale, 0 where unknown.
        known: `(T, K)` bool.
        quadrant: `(T,)` int64, -1 where there is none.
        extra: `(T,)` per further column; NaN (numbers) or "" (text) where unknown.
    """

    target: np.ndarray
    known: np.ndarray
    quadrant: np.ndarray
    extra: dict[str, np.ndarray]


def align(
    labels: Labels | None, times: np.ndarray, dims: Sequence[str], label_range: tuple[float, float]
) -> Aligned:
    """Labels -> values at the steps `times (T,)`, in the order of `dims`.

    A step takes the latest label at or before it, unless that one is older than two label periods (median
    spacing) or 0.5 s, whichever is longer: rows that are missing leave unknown steps, and so does a NaN. A
    single label is held over the whole clip. Nothing is interpolated: a step never knows a later label.
    """
    steps = len(times)
    if labels is None or len(labels.times) == 0:
        return Aligned(
            np.zeros((steps, len(dims)), np.float32),
            np.zeros((steps, len(dims)), bool),
            np.full(steps, -1, np.int64),
            {},
        )
    row, fresh = _latest(labels.times, times)
    values = np.full((steps, len(dims)), np.nan, np.float32)
    scaled = scale(labels.values, label_range)
    for column, dim in enumerate(dims):
        if dim in labels.dims:
            values[:, column] = np.where(fresh, scaled[row, labels.dims.index(dim)], np.nan)
    known = np.isfinite(values)
    return Aligned(
        target=np.where(known, values, 0).astype(np.float32),
        known=known,
        quadrant=_quadrants(labels, values, dims, row, fresh),
        extra={name: _hold(np.asarray(column), row, fresh) for name, column in labels.extra.items()},
    )


def _latest(label_times: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of the latest label at or before each step, and whether it is recent enough to count."""
    if len(label_times) == 1:
        return np.zeros(len(times), np.int64), np.ones(len(times), bool)
    row = np.searchsorted(label_times, times + _CLOCK, side="right") - 1
    hold = max(2 * float(np.median(np.diff(label_times))), MIN_HOLD_S)
    fresh = (row >= 0) & (times - label_times[row.clip(0)] <= hold + _CLOCK)
    return row.clip(0), fresh


def _quadrants(
    labels: Labels, values: np.ndarray, dims: Sequence[str], row: np.ndarray, fresh: np.ndarray
) -> np.ndarray:
    if VALENCE not in dims or AROUSAL not in dims:
        return np.full(len(values), -1, np.int64)
    pair = values[:, [dims.index(VALENCE), dims.index(AROUSAL)]]
    derived = quadrant(pair)
    if labels.quadrant is None:
        return derived
    given = np.where(fresh, np.asarray(labels.quadrant)[row], -1)
    return np.where(derived < 0, -1, given).astype(np.int64)


def _hold(column: np.ndarray, row: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    if column.dtype.kind in "OUS":
        return np.where(fresh, column.astype(str)[row], "")
    return np.where(fresh, column.astype(np.float64)[row], np.nan)


def _bins(target: Tensor) -> Tensor:
    """`(...)` on -1..1 -> bin 0..19. One rule for fitting and look-up."""
    return ((target.float() + 1) / BIN_WIDTH + _EDGE).floor().long().clamp(0, BINS - 1)


@dataclass(frozen=True)
class FrequencyWeights:
    """Class-frequency weights of the loss, one table of 20 bins of width 0.1 per target dimension (spec 3.4).

    Attributes:
        table: K tables of 20 weights.
    """

    table: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, target: np.ndarray, known: np.ndarray, kind: str = "inverse") -> FrequencyWeights:
        """`(n, K)` training targets on the common scale, `(n, K)` bool -> weights, mean 1 over the known.

        Args:
            kind: "inverse": 1 / (count + 1), so that rare labels weigh more; "literal": count / n, the
                paper's equation 14 as printed, which favours frequent ones.
        """
        if kind not in ("inverse", "literal"):
            raise ValueError(f"weighting is 'inverse' or 'literal', not {kind!r}")
        bins = _bins(torch.as_tensor(np.asarray(target)))
        mask = torch.as_tensor(np.asarray(known))
        tables = [_balance(bins[mask[:, k], k], BINS, kind) for k in range(bins.shape[1])]
        return cls(tuple(tuple(table.tolist()) for table in tables))

    def weights(self, target: Tensor) -> Tensor:
        """`(..., K)` targets on the common scale -> `(..., K)` float32 weights, on the target's device."""
        table = torch.tensor(self.table, dtype=torch.float32, device=target.device)
        bins = _bins(target)
        return torch.stack([table[k][bins[..., k]] for k in range(bins.shape[-1])], dim=-1)

    def to_json(self) -> dict[str, Any]:
        return {"table": [list(row) for row in self.table]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrequencyWeights:
        return cls(tuple(tuple(float(w) for w in row) for row in data["table"]))


def quadrant_weights(quadrants: np.ndarray) -> Tensor:
    """`(n,)` training quadrants (-1: none) -> `(4,)` inverse-frequency weights, mean 1 over those known."""
    index = torch.as_tensor(np.asarray(quadrants, np.int64))
    return _balance(index[index >= 0], 4, "inverse").float()


def _balance(index: Tensor, classes: int, kind: str) -> Tensor:
    """Class of each sample -> weight per class, mean 1 over the samples (all ones where there are none)."""
    if len(index) == 0:
        return torch.ones(classes, dtype=torch.float64)
    count = torch.bincount(index, minlength=classes).double()
    raw = 1 / (count + 1) if kind == "inverse" else count / len(index)
    return raw / raw[index].mean()
