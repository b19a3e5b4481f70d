"""One gold standard from the traces of several raters: brought onto common times, then weighted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

How = Literal["mean", "ewe"]


@dataclass(frozen=True)
class Trace:
    """What one rater said over time.

    Attributes:
        name: of the rater.
        times: `(n,)` float64 seconds, increasing. values: `(n,)` float64, NaN where there is no label.
    """

    name: str
    times: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Gold:
    """Attributes:
    values: `(n,)` float64, NaN where no rater with a weight says anything. weights: `(R,)` float64, sum 1.
    agree: False if the raters' weights were all 0, so that the plain mean stands in.
    """

    values: np.ndarray
    weights: np.ndarray
    agree: bool = True


def together(traces: Sequence[Trace]) -> tuple[np.ndarray, np.ndarray]:
    """R traces -> `times (n,)`, `values (n, R)`: the span that all of them cover, at one trace's own stamps.

    Traces are joined by time, never by row: each gives the value whose stamp is nearest, and NaN where that
    is further than half its typical spacing. Raters rarely stop together: the labels end with the first.
    The span is empty (n = 0) where the traces do not overlap.
    """
    start, end = max(t.times[0] for t in traces), min(t.times[-1] for t in traces)
    inside = [t.times[(t.times >= start) & (t.times <= end)] for t in traces]
    times = max(inside, key=len)  # the finest clock, the first one of equals
    return times, np.stack([_at(t, times) for t in traces], axis=1)


def _at(trace: Trace, times: np.ndarray) -> np.ndarray:
    after = np.searchsorted(trace.times, times).clip(0, len(trace.times) - 1)
    before = (after - 1).clip(0)
    nearer = np.abs(trace.times[before] - times) <= np.abs(trace.times[after] - times)
    row = np.where(nearer, before, after)
    reach = 0.5 * float(np.median(np.diff(trace.times))) if len(trace.times) > 1 else 0.0
    near = np.abs(trace.times[row] - times) <= reach + 1e-6
    return np.where(near, trace.values[row], np.nan)


def gold(values: np.ndarray, how: How) -> Gold:
    """`(n, R)` traces, NaN where unknown -> the gold standard.

    "mean": all raters alike. "ewe", the evaluator weighted estimator (Grimm & Kroschel 2005): rater r weighs
    w_r = Pearson's correlation of r's trace with the mean of the others', at least 0, over the whole clip;
    gold(t) = sum_r w_r x_r(t) / sum_r w_r. (The original takes the mean of all raters, r included.) A rater
    who never moves has no correlation and weighs 0; where nobody weighs anything the plain mean stands in.
    At times that a rater does not label the others share the weight.
    """
    raters = values.shape[1]
    weights = np.ones(raters)
    if how == "ewe" and raters > 1:
        weights = np.array([_agreement(values, r) for r in range(raters)])
    agree = bool(weights.sum() > 0)
    weights = weights / weights.sum() if agree else np.full(raters, 1 / raters)
    known = np.isfinite(values)
    share = known @ weights
    total = np.where(known, values, 0.0) @ weights
    return Gold(np.divide(total, share, out=np.full(len(values), np.nan), where=share > 0), weights, agree)


def _agreement(values: np.ndarray, rater: int) -> float:
    """Correlation of a rater with the mean of the others, negative ones and those that do not exist: 0."""
    others = np.delete(values, rater, axis=1)
    known = np.isfinite(values[:, rater]) & np.isfinite(others).any(axis=1)
    if known.sum() < 2:
        return 0.0
    x, y = values[known, rater], np.nanmean(others[known], axis=1)
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    # A constant's deviations are rounding noise, not zero: hold them against the size of the values.
    return max(0.0, float(x @ y) / spread) if spread > 1e-12 * len(x) else 0.0
