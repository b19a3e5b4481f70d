"""What a model must beat: ridge regression on mean-pooled pixels and mels, and the constant.

Both see each step alone, without memory, latent or gate. Fitted on training steps; the ridge penalty is
chosen on validation CCC, the test set is never looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fusekit.contracts import Reader
from fusekit.engine.metrics import scores

PENALTIES = tuple(float(p) for p in np.logspace(-4, 4, 17))
"""Ridge penalties tried, in units of the number of training steps (features are standardised)."""

_ROWS = 512  # windows pooled at once: bounds the memory when they are mapped from disk


def pooled_features(reader: Reader, windows: np.ndarray) -> np.ndarray:
    """`(n, *raw)` windows of one modality -> `(n, F)` float32, as its reader pools them.

    Raises:
        ValueError: windows of another shape than the reader's, or pooled to no table of one row each.
    """
    if windows.shape[1:] != tuple(reader.raw_shape):
        raise ValueError(f"expected windows (n, {reader.raw_shape}), got {windows.shape}")
    parts = [windows[i : i + _ROWS] for i in range(0, max(len(windows), 1), _ROWS)]
    blocks = [reader.pooled(part) for part in parts]
    for part, block in zip(parts, blocks, strict=True):
        if block.ndim != 2 or len(block) != len(part):
            raise ValueError(f"{type(reader).__name__}.pooled made {block.shape} of {len(part)} windows")
    return np.concatenate(blocks)


def join_features(features: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
    """`(n, F_m)` of each modality, `present (n, M)` -> `(n, sum F_m)`, NaN where a modality is absent."""
    if present.shape[1] != len(features):
        raise ValueError(f"{len(features)} modalities, but present says {present.shape[1]}")
    return np.concatenate(
        [np.where(present[:, i, None].astype(bool), x, np.nan) for i, x in enumerate(features)], axis=1
    )


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge regression of K dimensions.

    Attributes:
        mean, scale: `(F,)` of the training features that were there.
        coefficients: `(F, K)` for standardised features.
        intercept: `(K,)`.
        penalty: `(K,)` chosen, each dimension for itself, in units of the number of training steps.
        validation_ccc: `(K,)` at that penalty.
    """

    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray
    penalty: np.ndarray
    validation_ccc: np.ndarray

    def predict(self, x: ArrayLike) -> np.ndarray:
        """`(n, F)`, NaN where absent (then the training mean stands in) -> `(n, K)` float64."""
        return self.intercept + _standardised(np.asarray(x), self.mean, self.scale) @ self.coefficients


@dataclass(frozen=True)
class Constant:
    """The training labels' mean, whatever the input; its CCC, COR and ICC are NaN by definition (spec 5)."""

    value: np.ndarray

    def predict(self, x: ArrayLike) -> np.ndarray:
        """`(n, ...)` -> `(n, K)` float64."""
        return np.tile(self.value, (len(np.asarray(x)), 1))


def fit_ridge(train_x: ArrayLike, train_y: ArrayLike, val_x: ArrayLike, val_y: ArrayLike) -> Ridge:
    """Ridge regression of each target dimension, penalty by the best validation CCC.

    Args:
        train_x, val_x: `(n, F)` from `join_features`; NaN: absent.
        train_y, val_y: `(n, K)` targets, NaN where unknown.

    Raises:
        ValueError: no training label is known in some dimension.
    """
    x, y = np.asarray(train_x), np.asarray(train_y, dtype=np.float64)
    val, val_target = np.asarray(val_x), np.asarray(val_y, dtype=np.float64)
    mean, scale = _mean_and_scale(x)
    z, val_z = _standardised(x, mean, scale), _standardised(val, mean, scale)
    fits = [_fit_one(z, y[:, k], val_z, val_target[:, k]) for k in range(y.shape[1])]
    coefficients, intercept, penalty, ccc = (np.stack([fit[i] for fit in fits], axis=-1) for i in range(4))
    return Ridge(mean, scale, coefficients, intercept, penalty, ccc)


def fit_constant(train_y: ArrayLike) -> Constant:
    """`(n, K)` training targets, NaN where unknown -> the constant baseline."""
    y = np.asarray(train_y, dtype=np.float64)
    _need_labels(y)
    return Constant(np.nanmean(y, axis=0))


def _fit_one(
    z: np.ndarray, y: np.ndarray, val_z: np.ndarray, val_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One dimension: coefficients `(F,)`, intercept, penalty and validation CCC (0-dimensional)."""
    _need_labels(y[:, None])
    known, val_known = ~np.isnan(y), ~np.isnan(val_y)
    z, y = z[known], y[known]
    centre, intercept = z.mean(0), y.mean()
    # One decomposition serves all penalties.
    values, vectors = np.linalg.eigh((z - centre).T @ (z - centre))
    projected = vectors.T @ ((z - centre).T @ (y - intercept))
    best: tuple[float, float, np.ndarray] | None = None
    # From the strongest penalty on: a tie, or no validation label at all, keeps the most cautious fit.
    for penalty in sorted(PENALTIES, reverse=True):
        coefficients = vectors @ (projected / (np.maximum(values, 0) + penalty * len(y)))
        predicted = intercept + (val_z - centre) @ coefficients
        column = (predicted[:, None], val_y[:, None], val_known[:, None])
        ccc = scores(*column, ("one",))["ccc"]["one"]
        if best is None or ccc > best[0] or (np.isnan(best[0]) and not np.isnan(ccc)):
            best = (ccc, penalty, coefficients)
    assert best is not None
    ccc, penalty, coefficients = best
    return coefficients, np.asarray(intercept - centre @ coefficients), np.asarray(penalty), np.asarray(ccc)


def _need_labels(y: np.ndarray) -> None:
    empty = np.flatnonzero(np.isnan(y).all(0))
    if len(empty):
        raise ValueError(f"no training label is known in dimension(s) {empty.tolist()}")


def _mean_and_scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per feature, over the steps where it is there; a feature without spread (or never there): scale 1."""
    there = ~np.isnan(x)
    n = np.maximum(there.sum(0), 1)
    mean = np.where(there, x, 0).sum(0, dtype=np.float64) / n
    scale = np.sqrt((np.where(there, x - mean, 0) ** 2).sum(0) / n)
    return mean, np.where(scale > 1e-6, scale, 1.0)


def _standardised(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), 0.0, (x - mean) / scale)
