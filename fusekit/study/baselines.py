"""What a model must beat: ridge regression on mean-pooled pixels and mels, and the constant.

Both see each step alone, without memory, latent or gate. Fitted on training steps; the ridge penalty is
chosen on validation CCC, the test set is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from fusekit.contracts import Reader
from fusekit.engine.metrics import Moments, Scores

PENALTIES = tuple(float(p) for p in np.logspace(-4, 4, 17))
"""Ridge penalties tried, in units of the number of training steps (features are standardised)."""

_FROM_STRONGEST = tuple(sorted(PENALTIES, reverse=True))
Pieces = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
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
    train = [(np.asarray(train_x), np.asarray(train_y, dtype=np.float64))]
    validation = [(np.asarray(val_x), np.asarray(val_y, dtype=np.float64))]
    return fit_ridge_in_pieces(lambda: train, lambda: validation)


def fit_ridge_in_pieces(train: Pieces, validation: Pieces) -> Ridge:
    """The same of steps that come piece after piece: X'X and X'y are summed, X is never whole in memory.

    Args:
        train, validation: each call gives the pieces `(x (n, F), y (n, K))` anew, NaN as in `fit_ridge`.

    Raises:
        ValueError: no training label is known in some dimension.
    """
    mean, scale = _mean_and_scale(train)
    products = _Products(len(mean))
    for x, y in train():
        products.add(_standardised(x, mean, scale), y)
    fits = products.fits()
    chosen = _choose(fits, mean, scale, validation)
    return Ridge(
        mean,
        scale,
        np.stack([fit.coefficients[:, i] for fit, (i, _) in zip(fits, chosen, strict=True)], axis=-1),
        np.stack([fit.intercepts[i] for fit, (i, _) in zip(fits, chosen, strict=True)]),
        np.asarray([_FROM_STRONGEST[i] for i, _ in chosen]),
        np.asarray([ccc for _, ccc in chosen]),
    )


def score_pieces(fitted: Ridge, pieces: Pieces, dims: Sequence[str]) -> Scores:
    """Scores of a ridge regression over all steps of all pieces together."""
    moments = Moments(dims)
    for x, y in pieces():
        _count(moments, fitted.predict(x), y)
    return moments.compute()


def fit_constant(train_y: ArrayLike) -> Constant:
    """`(n, K)` training targets, NaN where unknown -> the constant baseline."""
    y = np.asarray(train_y, dtype=np.float64)
    _need_labels(y)
    return Constant(np.nanmean(y, axis=0))


class _Fit(NamedTuple):
    """One dimension at every penalty: coefficients `(F, P)`, intercepts `(P,)`."""

    coefficients: np.ndarray
    intercepts: np.ndarray


class _Products:
    """Sums over the steps at which a dimension is labelled: z z', z, z y and y, each dimension for itself."""

    def __init__(self, features: int) -> None:
        self.features = features
        self.sums: list[tuple[np.ndarray, np.ndarray, np.ndarray, float, int]] = []

    def add(self, z: np.ndarray, y: np.ndarray) -> None:
        """`(n, F)` standardised features, `(n, K)` targets, NaN where unknown."""
        if not self.sums:
            f = self.features
            self.sums = [(np.zeros((f, f)), np.zeros(f), np.zeros(f), 0.0, 0) for _ in range(y.shape[1])]
        for k, (zz, total, zy, ys, n) in enumerate(self.sums):
            known = ~np.isnan(y[:, k])
            own, target = z[known], y[known, k]
            zz += own.T @ own
            total += own.sum(0)
            zy += own.T @ target
            self.sums[k] = (zz, total, zy, ys + float(target.sum()), n + int(known.sum()))

    def fits(self) -> list[_Fit]:
        empty = [k for k, (*_, n) in enumerate(self.sums) if n == 0]
        if empty:
            raise ValueError(f"no training label is known in dimension(s) {empty}")
        found = []
        for zz, total, zy, ys, n in self.sums:
            centre, intercept = total / n, ys / n
            # One decomposition serves all penalties.
            values, vectors = np.linalg.eigh(zz - n * np.outer(centre, centre))
            projected = vectors.T @ (zy - n * centre * intercept)
            coefficients = np.stack(
                [vectors @ (projected / (np.maximum(values, 0) + p * n)) for p in _FROM_STRONGEST], axis=-1
            )
            found.append(_Fit(coefficients, intercept - centre @ coefficients))
        return found


def _choose(
    fits: Sequence[_Fit], mean: np.ndarray, scale: np.ndarray, validation: Pieces
) -> list[tuple[int, float]]:
    """Per dimension the penalty's place and its validation CCC."""
    names = [str(i) for i in range(len(_FROM_STRONGEST))]
    moments = [Moments(names) for _ in fits]
    for x, y in validation():
        z = _standardised(np.asarray(x), mean, scale)
        for k, fit in enumerate(fits):
            predicted = fit.intercepts + z @ fit.coefficients
            _count(moments[k], predicted, np.repeat(y[:, k : k + 1], len(names), axis=1))
    chosen = []
    for seen in moments:
        ccc = [seen.compute()["ccc"][name] for name in names]
        best = 0
        # From the strongest penalty on: a tie, or no validation label at all, keeps the most cautious fit.
        for i, value in enumerate(ccc):
            if value > ccc[best] or (np.isnan(ccc[best]) and not np.isnan(value)):
                best = i
        chosen.append((best, ccc[best]))
    return chosen


def _count(moments: Moments, predicted: np.ndarray, y: np.ndarray) -> None:
    known = ~np.isnan(y)
    moments.update(
        torch.from_numpy(predicted), torch.from_numpy(np.where(known, y, 0.0)), torch.from_numpy(known)
    )


def _need_labels(y: np.ndarray) -> None:
    empty = np.flatnonzero(np.isnan(y).all(0))
    if len(empty):
        raise ValueError(f"no training label is known in dimension(s) {empty.tolist()}")


def _mean_and_scale(train: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Per feature, over the steps where it is there; a feature without spread (or never there): scale 1.

    Pieces are centred before squaring and merged by Chan's formula, so that large offsets keep their digits.
    """
    n, mean, squares = np.zeros(1), np.zeros(1), np.zeros(1)
    for x, _ in train():
        there = ~np.isnan(x)
        own = there.sum(0).astype(np.float64)
        centre = np.where(there, x, 0).sum(0, dtype=np.float64) / np.maximum(own, 1)
        deviation = (np.where(there, x - centre, 0) ** 2).sum(0)
        both = n + own
        share = own / np.maximum(both, 1)
        squares = squares + deviation + (centre - mean) ** 2 * n * share
        mean = mean + (centre - mean) * share
        n = both
    scale = np.sqrt(squares / np.maximum(n, 1))
    return mean, np.where(scale > 1e-6, scale, 1.0)


def _standardised(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), 0.0, (x - mean) / scale)
