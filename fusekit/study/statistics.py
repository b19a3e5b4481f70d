"""How sure a difference is: bootstrap over subjects, permutation of clips' labels, AUC. NumPy alone, seeded.

Subjects, not steps, are resampled: steps of one recording are far from independent, and an interval over
steps would be many times too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

FEWEST_ARRANGEMENTS = 20
"""With fewer different permutations no p below .05 can come out, whatever was predicted."""

_CHUNK = 1000  # permutations at once: bounds the memory, not the result


@dataclass(frozen=True)
class Interval:
    """A score (or a difference of two) with its bootstrap interval.

    Attributes:
        value: on the steps as they are.
        low, high: the middle 95 % of the draws (percentile interval).
        above: share of draws in which the value is above 0; a draw of exactly 0 counts half.
        draws: draws that gave a score (one of constant labels gives none), of those asked for.
        subjects: how many were resampled. Below about 10 an interval is rough, below 2 there is none (NaN).
    """

    value: float
    low: float
    high: float
    above: float
    draws: int
    subjects: int


@dataclass(frozen=True)
class Permutation:
    """Result of `permutation_test`.

    Attributes:
        value: UAR of the labels as they are.
        p: `(1 + draws at least as good) / (1 + draws)`; NaN where nothing can be tested.
        draws: permutations drawn. chance: their mean UAR, NaN without any.
        arrangements: how many different ones the permutations can reach; p cannot be below one in so many.
    """

    value: float
    p: float
    draws: int
    chance: float
    arrangements: float


def bootstrap(
    prediction: ArrayLike,
    target: ArrayLike,
    known: ArrayLike,
    subject: ArrayLike,
    *,
    metric: str = "ccc",
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of one pooled score, mean over the K dimensions, subjects resampled with replacement.

    Args:
        prediction: `(N, K)`, or `(R, N, K)` of R runs on the same samples: the mean of their scores counts,
            in every draw.
        target, known: `(N, K)`; entries that are not known are never looked at.
        subject: `(N,)` whom each sample belongs to.
        metric: "rmse", "cor", "ccc" or "icc", as in `fusekit.engine.metrics` (ddof 0).
        draws, seed: how many draws, and from which seed.
    """
    runs = _runs(prediction, target, known, subject)
    subjects = runs[0].rows.shape[1]
    value = _mean_score(runs, np.ones((1, subjects)), metric)[0]
    return _interval(value, _mean_score(runs, _counts(subjects, draws, seed), metric), subjects)


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    target: ArrayLike,
    known: ArrayLike,
    subject: ArrayLike,
    *,
    metric: str = "ccc",
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of the difference `first - second` of two predictions' pooled scores on the same steps.

    Both are scored on the same subjects in every draw, so what the subjects have in common cancels.

    Args:
        first, second: `(N, K)`, or `(R, N, K)` of R runs each, as in `bootstrap`; R may differ.
        target, known: `(N, K)`.
        subject: `(N,)`.
        metric: as in `bootstrap`; the mean over the K dimensions is compared.
    """
    a, b = (_runs(prediction, target, known, subject) for prediction in (first, second))
    subjects = a[0].rows.shape[1]
    once, counts = np.ones((1, subjects)), _counts(subjects, draws, seed)
    value = (_mean_score(a, once, metric) - _mean_score(b, once, metric))[0]
    drawn = _mean_score(a, counts, metric) - _mean_score(b, counts, metric)
    return _interval(value, drawn, subjects)


def permutation_test(
    predicted: ArrayLike,
    true: ArrayLike,
    *,
    blocks: ArrayLike | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Permutation:
    """Could clips' quadrants be guessed as well by chance? UAR against true labels permuted between clips.

    Args:
        predicted: `(N,)` quadrant of each clip, 0..3.
        true: `(N,)`, -1: none, left out.
        blocks: `(N,)` e.g. the subject: labels move within a block only, so that knowing whom one hears is no
            help (a subject with one clip then adds nothing).
        draws, seed: permutations, and from which seed.

    Returns:
        UAR, its p (one-sided, with the +1 rule: never 0; Phipson & Smyth 2010) and chance, the mean UAR of
        the permutations. p is NaN where fewer than `FEWEST_ARRANGEMENTS` different permutations exist: one
        clip per block, for example, leaves nothing to permute, and "p = 1" would say what was never tested.
    """
    p, t = np.asarray(predicted).ravel(), np.asarray(true).ravel()
    group = np.zeros(len(t), int) if blocks is None else np.unique(np.asarray(blocks), return_inverse=True)[1]
    if not len(p) == len(t) == len(group):
        raise ValueError(f"{len(p)} predicted, {len(t)} true, {len(group)} blocks")
    keep = t >= 0
    order = np.argsort(group[keep], kind="stable")
    p, t, group = p[keep][order], t[keep][order], group[keep][order]
    if not len(t):
        return Permutation(float("nan"), float("nan"), 0, float("nan"), 0)
    _, index, support = np.unique(t, return_inverse=True, return_counts=True)
    # A hit is worth 1 / (clips of its quadrant x quadrants), so that the hits add up to the mean recall.
    worth = 1.0 / (support[index] * len(support))

    value = float(((p == t) * worth).sum())
    arrangements = _arrangements(t, group)
    if arrangements < FEWEST_ARRANGEMENTS:
        return Permutation(value, float("nan"), 0, float("nan"), arrangements)
    rng = np.random.default_rng(seed)
    chance = np.empty(draws)
    for first in range(0, draws, _CHUNK):
        last = min(first + _CHUNK, draws)
        # Blocks are contiguous: sorting the keys `block + random` permutes within each, in all draws at once.
        moved = np.argsort(group + rng.random((last - first, len(t))), axis=1)
        chance[first:last] = ((p == t[moved]) * worth[moved]).sum(1)
    reached = int((chance >= value - 1e-12).sum())
    return Permutation(value, (1 + reached) / (1 + draws), draws, float(chance.mean()), arrangements)


def _arrangements(true: np.ndarray, group: np.ndarray) -> float:
    """Different orders of the labels that permutations within groups can reach: a product of multinomials."""
    total = 0.0
    for block in np.unique(group):
        counts = np.unique(true[group == block], return_counts=True)[1]
        total += math.lgamma(counts.sum() + 1) - sum(math.lgamma(n + 1) for n in counts)
    return round(math.exp(total)) if total < math.log(1e15) else math.inf


def auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting half (Mann-Whitney).

    Args:
        positive, negative: scores of the two classes, any length; one empty: NaN; a NaN score is refused.
    """
    a, b = np.asarray(positive, dtype=np.float64).ravel(), np.asarray(negative, dtype=np.float64).ravel()
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("auc: a score is NaN; leave such steps out first")
    if not len(a) or not len(b):
        return float("nan")
    ordered = np.sort(b)
    below, up_to = np.searchsorted(ordered, a, "left"), np.searchsorted(ordered, a, "right")
    return float((below + up_to).sum() / (2 * len(a) * len(b)))


@dataclass(frozen=True)
class _Sums:
    """Sums over samples about a fixed centre, per subject `(S, K)` or per draw `(D, K)`: draws just add up.

    Rows: count, p, y, pp, yy, py, squared error. About the pooled means plain sums lose no digits to offsets.
    """

    rows: np.ndarray  # (7, S or D, K)
    offset: np.ndarray  # (K,) centre of the predictions minus that of the targets

    def drawn(self, counts: np.ndarray) -> _Sums:
        """`(D, S)` how often each subject was drawn -> sums of each draw."""
        return _Sums(counts @ self.rows, self.offset)

    def score(self, metric: str) -> np.ndarray:
        """`(D,)` mean over dimensions, NaN where a dimension has none (spec 5)."""
        n, p, y, pp, yy, py, squared = self.rows
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_p, mean_y = p / n, y / n
            variance_p, variance_y = pp / n - mean_p**2, yy / n - mean_y**2
            covariance = py / n - mean_p * mean_y
            # What is left of a variance by rounding alone is none: a draw of subjects with constant labels.
            flat = (variance_p <= 1e-12 * pp / n) | (variance_y <= 1e-12 * yy / n) | (pp == 0) | (yy == 0)
            values = {
                "rmse": lambda: np.sqrt(squared / n),
                "cor": lambda: covariance / np.sqrt(variance_p * variance_y),
                "ccc": lambda: (
                    2 * covariance / (variance_p + variance_y + (mean_p - mean_y + self.offset) ** 2)
                ),
                "icc": lambda: 2 * covariance / (variance_p + variance_y),
            }[metric]()
        return (values if metric == "rmse" else np.where(flat, np.nan, values)).mean(1)


def _runs(prediction: ArrayLike, target: ArrayLike, known: ArrayLike, subject: ArrayLike) -> list[_Sums]:
    """Sums of each of the R runs in `(R, N, K)`; of one in `(N, K)`."""
    p = np.asarray(prediction, dtype=np.float64)
    return [_sums(one, target, known, subject) for one in (p if p.ndim == 3 and len(p) else p[None])]


def _mean_score(runs: list[_Sums], counts: np.ndarray, metric: str) -> np.ndarray:
    """`(D,)` mean of the runs' scores in each draw."""
    return np.mean([sums.drawn(counts).score(metric) for sums in runs], axis=0)


def _sums(prediction: ArrayLike, target: ArrayLike, known: ArrayLike, subject: ArrayLike) -> _Sums:
    mask = np.asarray(known, dtype=bool)
    p, y = (np.asarray(x, dtype=np.float64) for x in (prediction, target))
    if not p.shape == y.shape == mask.shape or p.ndim != 2:
        raise ValueError(f"expected three arrays (N, K), got {p.shape}, {y.shape}, {mask.shape}")
    names, index = np.unique(np.asarray(subject).ravel(), return_inverse=True)
    if len(index) != len(p):
        raise ValueError(f"{len(index)} subjects for {len(p)} samples")
    (dp, centre_p), (dy, centre_y) = _centred(p, mask), _centred(y, mask)
    squared = np.where(mask, p - y, 0.0) ** 2
    values = np.stack([mask.astype(np.float64), dp, dy, dp * dp, dy * dy, dp * dy, squared])
    rows = np.zeros((len(values), len(names), p.shape[1]))
    for row, value in zip(rows, values, strict=True):
        np.add.at(row, index, value)
    return _Sums(rows, centre_p - centre_y)


def _centred(x: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Known entries minus their mean per column (0 elsewhere), and the mean; a constant column: exact 0."""
    filled = np.where(mask, x, 0.0)
    centre = filled.sum(0) / np.maximum(mask.sum(0), 1)
    low, high = (
        np.where(mask, x, np.inf).min(0, initial=np.inf),
        np.where(mask, x, -np.inf).max(0, initial=-np.inf),
    )
    centre = np.where(low == high, low, centre)
    return np.where(mask, filled - centre, 0.0), centre


def _counts(subjects: int, draws: int, seed: int) -> np.ndarray:
    """`(D, S)` how often each subject is drawn in each of the draws."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=draws).astype(np.float64)


def _interval(value: float, drawn: np.ndarray, subjects: int) -> Interval:
    drawn = drawn[~np.isnan(drawn)]
    if subjects < 2 or not len(drawn):
        nan = float("nan")
        return Interval(float(value), nan, nan, nan, 0, subjects)
    low, high = np.quantile(drawn, [0.025, 0.975])
    above = float((drawn > 0).mean() + (drawn == 0).mean() / 2)
    return Interval(float(value), float(low), float(high), above, len(drawn), subjects)
