"""RMSE, COR, CCC and ICC per target dimension and their mean, exact over any batching.

Spec 5: weights 1, no epsilon, population variances (ddof 0), NaN (never 0) where predictions or labels are
constant. Pooling: all known entries that were given to `update` count alike, as if they came in one array.
ICC is `2 cov / (var + var)`, which is ICC(3,1), consistency of two raters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Scores = dict[str, dict[str, float]]
"""`{"rmse" | "cor" | "ccc" | "icc": {dimension: value, ..., "mean": mean over dimensions}}`."""

METRICS = ("rmse", "cor", "ccc", "icc")
POOLING = "all steps of all clips together"
DDOF = 0

# Rows of the state. Extremes tell constant columns exactly; a variance is seldom an exact 0 after merging.
_N, _MEAN_P, _MEAN_Y, _M2_P, _M2_Y, _CROSS, _SQUARED, _MIN_P, _MAX_P, _MIN_Y, _MAX_Y = range(11)


class Moments:
    """Streaming moments of prediction and target in float64, on the device where they arise.

    `update` and `merge` never wait for the device; only `compute` and `count` do. Batches are centred before
    squaring and merged by Chan's formula, so a tiny variance on an offset of 1e6 keeps its digits.

    Args:
        dims: names of the K target dimensions.

    Attributes:
        state: `(11, K)` float64 tensor, None before the first update. To add up ranks, gather the states and
            `merge` a `Moments(dims, state)` of each.
    """

    def __init__(self, dims: Sequence[str], state: Tensor | None = None) -> None:
        self.dims = tuple(dims)
        self.state = state

    def update(self, prediction: Tensor, target: Tensor, known: Tensor) -> None:
        """`(N, K)`, `(N, K)`, `(N, K)` bool: add N samples; unknown entries are not looked at."""
        if prediction.shape != target.shape or prediction.shape != known.shape:
            raise ValueError(f"shapes differ: {prediction.shape}, {target.shape}, known {known.shape}")
        if prediction.ndim != 2 or prediction.shape[1] != len(self.dims):
            raise ValueError(f"expected (N, {len(self.dims)}), got {tuple(prediction.shape)}")
        if len(prediction) == 0:
            return
        self._add(_state_of(prediction.detach(), target.detach(), known))

    def merge(self, other: Moments) -> None:
        """Add what another accumulator of the same dimensions has seen."""
        if other.dims != self.dims:
            raise ValueError(f"cannot merge moments of {other.dims} into those of {self.dims}")
        if other.state is not None:
            self._add(other.state)

    def count(self) -> dict[str, int]:
        """Known entries seen, per dimension."""
        numbers = [0.0] * len(self.dims) if self.state is None else self.state[_N].tolist()
        return {dim: int(n) for dim, n in zip(self.dims, numbers, strict=True)}

    def compute(self) -> Scores:
        """Scores of everything seen so far."""
        state = torch.full((11, len(self.dims)), 0.0) if self.state is None else self.state
        return _scores_of(state.cpu().numpy().astype(np.float64), self.dims)

    def _add(self, state: Tensor) -> None:
        self.state = state if self.state is None else _combine(self.state, state.to(self.state.device))


def scores(prediction: Any, target: Any, known: Any, dims: Sequence[str]) -> Scores:
    """`(N, K)`, `(N, K)`, `(N, K)` bool (tensors or arrays) -> scores over all N samples together."""
    moments = Moments(dims)
    moments.update(*(torch.as_tensor(value) for value in (prediction, target, known)))
    return moments.compute()


def per_clip(prediction: Any, target: Any, known: Any, clip: Any, dims: Sequence[str]) -> dict[str, Any]:
    """Each clip scored on its own, then averaged over clips: rewards the course within a clip, not its level.

    Args:
        prediction, target, known: `(N, K)` as in `scores`.
        clip: `(N,)` the clip of each sample, any sortable kind.

    Returns:
        Scores as in `scores` (a clip without a score in a dimension is left out of that mean), and `clips`,
        their number; `constant_labels` and `constant_predictions`, per dimension the clips whose correlations
        were left out because one of the two is constant (or fewer than two labels are known).
    """
    p, y, k = (np.asarray(value) for value in (prediction, target, known))
    names, inverse = np.unique(np.asarray(clip), return_inverse=True)
    per = {metric: np.full((len(names), len(dims)), np.nan) for metric in METRICS}
    flat_y, flat_p = np.zeros((len(names), len(dims)), bool), np.zeros((len(names), len(dims)), bool)
    for i in range(len(names)):
        rows = inverse == i
        state = _state_of(*(torch.as_tensor(value[rows]) for value in (p, y, k))).numpy()
        one = _scores_of(state, dims)
        for metric in METRICS:
            per[metric][i] = [one[metric][dim] for dim in dims]
        flat_y[i] = ~(state[_MIN_Y] < state[_MAX_Y])
        flat_p[i] = ~flat_y[i] & (state[_MIN_P] == state[_MAX_P])
    result: dict[str, Any] = {metric: _named(_mean_over_rows(per[metric]), dims) for metric in METRICS}
    result["clips"] = len(names)
    for key, flat in (("constant_labels", flat_y), ("constant_predictions", flat_p)):
        result[key] = {dim: int(n) for dim, n in zip(dims, flat.sum(0), strict=True)}
    return result


def quadrant_scores(predicted: Any, true: Any) -> dict[str, Any]:
    """`(N,)` quadrants 0..3, `(N,)` the true ones (-1: none, left out) -> accuracy, uar, confusion, n.

    `uar` is the mean recall of the quadrants that occur in the truth (chance: 1 / their number);
    `confusion[i][j]` counts true quadrant i taken for j. Nothing to score: NaN.
    """
    p, t = np.asarray(predicted).ravel(), np.asarray(true).ravel()
    if p.shape != t.shape:
        raise ValueError(f"shapes differ: {p.shape} predicted, {t.shape} true")
    keep = t >= 0
    p, t = p[keep].astype(np.int64), t[keep].astype(np.int64)
    if ((p < 0) | (p > 3) | (t > 3)).any():
        raise ValueError("quadrants are 0..3; only the truth may be -1, for none")
    confusion = np.zeros((4, 4), dtype=np.int64)
    np.add.at(confusion, (t, p), 1)
    support = confusion.sum(1)
    recall = confusion.diagonal()[support > 0] / support[support > 0]
    return {
        "accuracy": float(confusion.trace() / len(t)) if len(t) else float("nan"),
        "uar": float(recall.mean()) if len(t) else float("nan"),
        "confusion": confusion.tolist(),
        "n": len(t),
    }


def _state_of(prediction: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Moments of one batch, `(11, K)`; masked, not indexed: the device need not tell how many are known."""
    # Apple's backend has no float64.
    device = torch.device("cpu") if prediction.device.type == "mps" else prediction.device
    mask = known.to(device)
    p = prediction.to(device).double().masked_fill(~mask, 0.0)
    y = target.to(device).double().masked_fill(~mask, 0.0)
    n = mask.sum(0).double()
    some = n.clamp_min(1.0)

    def centred(x: Tensor) -> tuple[Tensor, Tensor]:
        # A second pass takes the rounding of the first mean away, which matters at large offsets.
        mean = x.sum(0) / some
        mean = mean + (x - mean).masked_fill(~mask, 0.0).sum(0) / some
        return mean, (x - mean).masked_fill(~mask, 0.0)

    mean_p, dp = centred(p)
    mean_y, dy = centred(y)
    low, high = float("inf"), float("-inf")
    rows = [n, mean_p, mean_y, (dp * dp).sum(0), (dy * dy).sum(0), (dp * dy).sum(0), ((p - y) ** 2).sum(0)]
    for x in (p, y):
        rows += [x.masked_fill(~mask, low).amin(0), x.masked_fill(~mask, high).amax(0)]
    return torch.stack(rows)


def _combine(a: Tensor, b: Tensor) -> Tensor:
    """Chan, Golub and LeVeque (1979): moments of two disjoint samples -> of both together."""
    n = a[_N] + b[_N]
    some = n.clamp_min(1.0)
    share = b[_N] / some
    dp, dy = b[_MEAN_P] - a[_MEAN_P], b[_MEAN_Y] - a[_MEAN_Y]
    between = a[_N] * share
    rows = [
        n,
        a[_MEAN_P] + dp * share,
        a[_MEAN_Y] + dy * share,
        a[_M2_P] + b[_M2_P] + dp * dp * between,
        a[_M2_Y] + b[_M2_Y] + dy * dy * between,
        a[_CROSS] + b[_CROSS] + dp * dy * between,
        a[_SQUARED] + b[_SQUARED],
        torch.minimum(a[_MIN_P], b[_MIN_P]),
        torch.maximum(a[_MAX_P], b[_MAX_P]),
        torch.minimum(a[_MIN_Y], b[_MIN_Y]),
        torch.maximum(a[_MAX_Y], b[_MAX_Y]),
    ]
    return torch.stack(rows)


def _scores_of(state: np.ndarray, dims: Sequence[str]) -> Scores:
    n = state[_N]
    flat = (n < 2) | (state[_MIN_P] == state[_MAX_P]) | (state[_MIN_Y] == state[_MAX_Y])
    with np.errstate(divide="ignore", invalid="ignore"):
        rmse = np.sqrt(state[_SQUARED] / n)
        variance_p, variance_y, covariance = state[_M2_P] / n, state[_M2_Y] / n, state[_CROSS] / n
        bias = state[_MEAN_P] - state[_MEAN_Y]
        cor = np.clip(covariance / (np.sqrt(variance_p) * np.sqrt(variance_y)), -1.0, 1.0)
        ccc = 2 * covariance / (variance_p + variance_y + bias * bias)
        icc = 2 * covariance / (variance_p + variance_y)
    values = {"rmse": rmse} | {
        name: np.where(flat, np.nan, value) for name, value in (("cor", cor), ("ccc", ccc), ("icc", icc))
    }
    return {metric: _named(values[metric], dims) for metric in METRICS}


def _named(values: np.ndarray, dims: Sequence[str]) -> dict[str, float]:
    """NaN in one dimension makes the mean NaN: a mean over fewer dimensions would not be comparable."""
    named = {dim: float(value) for dim, value in zip(dims, values, strict=True)}
    return named | {"mean": float(np.mean(values)) if len(values) else float("nan")}


def _mean_over_rows(values: np.ndarray) -> np.ndarray:
    """Mean of each column without its NaN; NaN where nothing is left."""
    there = ~np.isnan(values)
    n = there.sum(0)
    return np.where(n > 0, np.where(there, values, 0.0).sum(0) / np.maximum(n, 1), np.nan)
