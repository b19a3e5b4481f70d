"""Which steps an analysis keeps, by attention spread or gate, and how much better a score is (spec 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fusekit.errors import RunError
from fusekit.study.paper.results import Scored
from fusekit.study.table import attention_of, modalities_of

SPREADS = (12.5, 25.0, 50.0)
"""Thresholds of the attention spread in percent: steps at or above are kept (paper, Tables 3, 4, 7, 8)."""

GATE_THRESHOLDS = (0.25, 0.125, 0.0625)
"""Thresholds T_ZG: the smaller, the stricter (paper, Tables 9, 10; one sentence there says the reverse)."""

LEAST_SHARE = 0.01
"""Below this share of the steps an analysis names the share and gives no score."""

_TINY = 1e-6  # a gain relative to less than this says nothing


def delta_wa(attention: ArrayLike, absolute: bool = False) -> np.ndarray:
    """Spread of the attention weights of each step, in percent (paper, section 4.2; spec 6.1).

    The paper prints it only as the percentage disparity between smallest and largest weight. Read here as
    `100 (max - min) / max` over the states in use, as its captions call it relative.

    Args:
        attention: `(N, k)`, oldest state first, 0 (or NaN) where there is no state yet. A 0 after the first
            weight that is not 0 is a state that got nothing and counts.
        absolute: `100 (max - min)` instead.

    Returns:
        `(N,)` float64 in 0..100; NaN where fewer than 2 states are in use.

    Raises:
        ValueError: not two axes.
    """
    weights = np.asarray(attention, dtype=np.float64)
    if weights.ndim != 2:
        raise ValueError(f"expected weights (N, k), got {weights.shape}")
    weights = np.nan_to_num(weights)
    used = np.logical_or.accumulate(weights > 0, axis=1)
    largest = np.where(used, weights, -np.inf).max(axis=1, initial=-np.inf)
    smallest = np.where(used, weights, np.inf).min(axis=1, initial=np.inf)
    with np.errstate(invalid="ignore"):
        spread = 100 * (largest - smallest) / (1.0 if absolute else largest)
    return np.where(used.sum(axis=1) >= 2, spread, np.nan)


def gate_mask(gate: ArrayLike, threshold: float) -> np.ndarray:
    """Steps at which the gate clearly chose a modality: g < T or g > 1 - T (paper, section 4.3; spec 6.2).

    Args:
        gate: `(N,)` in 0..1, of either of two modalities: the rule is symmetric. Of a vector gate the mean
            over its units, which is what predictions hold. NaN: no gate, never kept.
        threshold: T in (0, 0.5]; 0.5 keeps every step that has a gate.

    Returns:
        `(N,)` bool.

    Raises:
        ValueError: T outside (0, 0.5].
    """
    if not 0 < threshold <= 0.5:
        raise ValueError(f"T_ZG must be in (0, 0.5], found {threshold}")
    g = np.asarray(gate, dtype=np.float64)
    if threshold == 0.5:
        return ~np.isnan(g)
    return (g < threshold) | (g > 1 - threshold)


def gain(metric: str, base: float, new: float) -> float:
    """How much better `new` is than `base`, in percent of `base`; positive is better (spec 6.3).

    Args:
        metric: "rmse": `100 (base - new) / base`; "cor", "ccc" or "icc": `100 (new - base) / base`.
        base, new: scores of the model compared with, and of the model in question.

    Returns:
        NaN where |base| < 1e-6, or where the base of a correlation is not above 0.
    """
    if metric not in ("rmse", "cor", "ccc", "icc"):
        raise ValueError(f"no gain is defined for '{metric}'")
    if metric == "rmse":
        return 100 * (base - new) / base if abs(base) >= _TINY else float("nan")
    return 100 * (new - base) / base if base >= _TINY else float("nan")


def matched(reference: Scored, other: Scored) -> np.ndarray:
    """Rows of `other` in the order of the rows of `reference`, step by step by (clip, time).

    Args:
        reference, other: runs of one fold (of one seed, where a mask of the one is applied to the other).

    Returns:
        `(N,)` int: `other.table[column][rows]` lies beside `reference.table[column]`.

    Raises:
        RunError: the runs do not have the same steps with the same true labels, or one has a step twice and
            their orders differ.
    """
    where = f"'{reference.folder}' and '{other.folder}'"
    hint = "Were they tested on the same data? Train the one that differs anew."
    keys = list(zip(_keys(reference), _keys(other), strict=True))
    if all(np.array_equal(a, b) for a, b in keys):  # the usual case, and sorting names takes long
        rows = np.arange(len(keys[0][0]))
    else:
        first, second = _order(reference), _order(other)
        if len(first) != len(second) or not all(np.array_equal(a[first], b[second]) for a, b in keys):
            raise RunError(f"the test steps of {where} are not the same. {hint}")
        rows = np.empty(len(first), np.int64)
        rows[first] = second
    for name in (n for n in reference.table if n.endswith("_true")):
        a, b = reference.table[name], other.table.get(name)
        # Labels go through float32 and text: the same ones, but not always to the last digit.
        if b is None or not np.allclose(a, b[rows], rtol=1e-5, atol=1e-6, equal_nan=True):
            raise RunError(f"the true labels ('{name}') of {where} are not the same. {hint}")
    return rows


def attention_spread(run: Scored) -> np.ndarray | None:
    """`(N,)` spread of a run's attention, as `delta_wa` gives it; None where it has no attention."""
    attention = attention_of(run.table)
    return None if attention is None else delta_wa(attention)


def gate_of(run: Scored) -> np.ndarray | None:
    """`(N,)` gate of a run's first modality; None unless it weighs exactly two (T_ZG needs one number).

    NaN at steps with a modality absent: its gate is 0 there, which the data decided and not the gate.
    """
    names = modalities_of(run.table, "gate_")
    if len(names) != 2:
        return None
    gate = run.table[f"gate_{names[0]}"].astype(np.float64)
    for name in names:
        gate = np.where(run.table[f"present_{name}"] > 0, gate, np.nan)
    return gate


def _keys(run: Scored) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(run.table["clip"]).astype(str), np.round(run.table["time_s"].astype(np.float64), 6)


def _order(run: Scored) -> np.ndarray:
    """Rows by clip and time.

    Raises:
        RunError: a step is there twice.
    """
    clip, time = _keys(run)
    order = np.lexsort((time, clip))
    twice = (clip[order][1:] == clip[order][:-1]) & (time[order][1:] == time[order][:-1])
    if twice.any():
        row = order[:-1][twice][0]
        raise RunError(f"'{run.folder}' predicts clip '{clip[row]}' at {time[row]} s twice.")
    return order
