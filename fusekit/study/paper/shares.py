"""Which steps a threshold keeps (attention spread, gate), and how good the predictions are there (spec 6).

`delta_wa` and `gate_mask` are the only definitions that the figures and the report use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusekit.engine.metrics import scores
from fusekit.study.table import Table

DELTA_THRESHOLDS = (0.0, 12.5, 25.0, 50.0)
"""Percent, from all steps to the fewest (paper, figure 5; tables 3, 4, 7, 8)."""
GATE_THRESHOLDS = (0.5, 0.25, 0.125, 0.0625)
"""From all steps to the fewest (paper, figure 7; tables 9, 10)."""


@dataclass(frozen=True)
class Kept:
    """What one threshold leaves of a run.

    Attributes:
        share: of the steps that can be judged, 0..1.
        scores: `{metric: {dimension: value}}` over the steps kept; None where fewer than two are left.
    """

    share: float
    scores: dict[str, dict[str, float]] | None


def delta_wa(attention: np.ndarray) -> np.ndarray:
    """Relative spread of the attention weights at each step, percent: 100 (max - min) / max (spec 6.1).

    Args:
        attention: `(n, k)`, oldest state first; 0 for states that there are not yet, at the start of a clip.

    Returns:
        `(n,)`; NaN where fewer than two states are in use.
    """
    weights = np.nan_to_num(np.asarray(attention, dtype=np.float64))
    # States fill up from the newest: whatever stands right of the first weight is in use, be it 0 itself.
    used = np.logical_or.accumulate(weights > 0, axis=1)
    largest = weights.max(1, initial=0.0)
    smallest = np.where(used, weights, np.inf).min(1, initial=np.inf)
    enough = used.sum(1) >= 2
    return np.where(enough, 100 * (largest - smallest) / np.where(enough, largest, 1.0), np.nan)


def gate_mask(gate: np.ndarray, threshold: float) -> np.ndarray:
    """Steps at which a gate decides: g < T or g > 1 - T; T = 0.5 keeps every step with a gate (spec 6.2).

    Args:
        gate: `(n,)` of the first modality, 0..1; NaN where there was none, which no threshold keeps.
        threshold: T, 0..0.5; smaller is stricter.
    """
    gate = np.asarray(gate, dtype=np.float64)
    return np.isfinite(gate) & ((gate < threshold) | (gate > 1 - threshold) | (threshold >= 0.5))


def kept(table: Table, dims: Sequence[str], mask: np.ndarray, judged: np.ndarray) -> Kept:
    """Share and scores of the steps in `mask`; both masks `(n,)`, `judged`: steps that could be in it."""
    share = float(mask.sum() / judged.sum()) if judged.any() else float("nan")
    if mask.sum() < 2:
        return Kept(share, None)
    said, truth = (np.stack([table[dim + end][mask] for dim in dims], 1) for end in ("", "_true"))
    return Kept(share, scores(said, truth, ~np.isnan(truth), tuple(dims)))
