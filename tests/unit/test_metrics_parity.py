"""CCC, COR and ICC equal other people's implementations to 1e-6: any input, any batching, any merging."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.engine.metrics import Moments, scores

NEAR = 1e-6


def made(n: int, seed: int, offset: float, scale: float, relation: float) -> tuple[np.ndarray, np.ndarray]:
    """`(n,)` labels and predictions, related by `relation` in -1..1 and biased."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    p = relation * y + (1 - abs(relation)) * rng.normal(size=n) + rng.normal()
    return offset + scale * p, offset + scale * y


def batched(p: np.ndarray, y: np.ndarray, cuts: list[int], parts: int = 3) -> dict[str, float]:
    """Ours, in batches that go to several accumulators, merged at the end."""
    moments = [Moments(("x",)) for _ in range(parts)]
    edges = [0, *sorted(cuts), len(p)]
    for i, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        moments[i % parts].update(
            torch.as_tensor(p[a:b, None]),
            torch.as_tensor(y[a:b, None]),
            torch.ones(b - a, 1, dtype=torch.bool),
        )
    total = moments[-1]
    for other in moments[-2::-1]:
        total.merge(other)
    return {metric: by_dim["x"] for metric, by_dim in total.compute().items()}


def scipy_cor(p: np.ndarray, y: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant input
        return float(scipy.stats.pearsonr(p, y)[0])


def audmetric_ccc(p: np.ndarray, y: np.ndarray) -> float:
    audmetric = pytest.importorskip("audmetric")
    return float(audmetric.concordance_cc(y, p))


def audmetric_cor(p: np.ndarray, y: np.ndarray) -> float:
    audmetric = pytest.importorskip("audmetric")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(audmetric.pearson_cc(y, p))


def anova_icc(p: np.ndarray, y: np.ndarray) -> float:
    """ICC(3,1) from mean squares (Shrout and Fleiss 1979): n targets, two raters."""
    n = len(p)
    table = np.stack([p, y], 1)
    table = table - table.mean()
    rows, columns = table.mean(1), table.mean(0)
    between = 2 * (rows**2).sum() / (n - 1)
    rest = ((table - rows[:, None] - columns[None]) ** 2).sum() / (n - 1)
    return float((between - rest) / (between + rest))


def pingouin_icc(p: np.ndarray, y: np.ndarray) -> float:
    pingouin = pytest.importorskip("pingouin")
    pandas = pytest.importorskip("pandas")
    n = len(p)
    ratings = {"item": np.tile(np.arange(n), 2), "rater": np.repeat([0, 1], n), "x": np.r_[p, y]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # confidence intervals of a few items
        icc = pingouin.intraclass_corr(pandas.DataFrame(ratings), targets="item", raters="rater", ratings="x")
    icc = icc.set_index("Type")["ICC"]
    return float(icc["ICC(C,1)"] if "ICC(C,1)" in icc.index else icc["ICC3"])


ORACLES: list[tuple[str, Callable[[np.ndarray, np.ndarray], float]]] = [
    ("cor", scipy_cor),
    ("cor", audmetric_cor),
    ("ccc", audmetric_ccc),
    ("icc", anova_icc),
]


@pytest.mark.parametrize(("metric", "oracle"), ORACLES, ids=lambda x: getattr(x, "__name__", x))
@given(
    n=st.one_of(st.integers(2, 5), st.integers(6, 3000)),
    seed=st.integers(0, 100_000),
    offset=st.sampled_from([0.0, 1.0, -300.0]),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
    relation=st.floats(-1, 1),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_random_inputs_in_any_batching(
    metric: str,
    oracle: Callable[[np.ndarray, np.ndarray], float],
    n: int,
    seed: int,
    offset: float,
    scale: float,
    relation: float,
    data: st.DataObject,
) -> None:
    p, y = made(n, seed, offset, scale, relation)
    cuts = data.draw(st.lists(st.integers(0, n), max_size=6))
    assert batched(p, y, cuts)[metric] == pytest.approx(oracle(p, y), abs=NEAR)


@pytest.mark.parametrize("n", [2, 3, 5, 40, 400])
@pytest.mark.parametrize("relation", [-0.7, 0.0, 0.9, 1.0])
def test_icc_equals_pingouin(n: int, relation: float) -> None:
    p, y = made(n, n, 2.0, 3.0, relation)
    if n < 5:  # pingouin asks for five targets; every item four times leaves the ICC as it is
        p, y = np.tile(p, 4), np.tile(y, 4)
    assert batched(p, y, [1, n // 2])["icc"] == pytest.approx(pingouin_icc(p, y), abs=NEAR)


@pytest.mark.parametrize("offset", [1e4, -1e6])
def test_a_small_spread_far_from_zero(offset: float) -> None:
    p, y = made(5000, 0, offset, 1.0, 0.5)
    ours = batched(p, y, list(range(0, 5000, 7)))
    assert ours["cor"] == pytest.approx(scipy_cor(p, y), abs=NEAR)
    assert ours["ccc"] == pytest.approx(audmetric_ccc(p, y), abs=NEAR)
    assert ours["icc"] == pytest.approx(anova_icc(p, y), abs=NEAR)


def test_a_million_steps_one_batch_or_a_thousand() -> None:
    p, y = made(1_000_000, 1, 0.2, 0.3, 0.6)
    for cuts in ([], list(range(0, 1_000_000, 1000))):
        ours = batched(p, y, cuts)
        assert ours["cor"] == pytest.approx(scipy_cor(p, y), abs=NEAR)
        assert ours["ccc"] == pytest.approx(audmetric_ccc(p, y), abs=NEAR)
        assert ours["icc"] == pytest.approx(anova_icc(p, y), abs=NEAR)


def test_float32_predictions_count_as_what_they_are() -> None:
    p, y = (x.astype(np.float32) for x in made(2000, 3, 100.0, 1.0, 0.5))
    ours = batched(p, y, [17, 500])
    wide = p.astype(np.float64), y.astype(np.float64)
    assert ours["cor"] == pytest.approx(scipy_cor(*wide), abs=NEAR)
    assert ours["ccc"] == pytest.approx(audmetric_ccc(*wide), abs=NEAR)
    assert ours["icc"] == pytest.approx(anova_icc(*wide), abs=NEAR)


@pytest.mark.parametrize("constant", ["prediction", "label", "both"])
@pytest.mark.parametrize("n", [1, 2, 3, 1000])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_constant_input_is_nan_where_scipy_says_nan_too(constant: str, n: int, value: float) -> None:
    """audmetric gives CCC 0 for one constant input; spec 5 asks for NaN, never 0, so that it shows."""
    p, y = made(n, 0, 0.0, 1.0, 0.5)
    if constant in ("prediction", "both"):
        p = np.full(n, value)
    if constant in ("label", "both"):
        y = np.full(n, value)
    ours = batched(p, y, [n // 2])
    assert all(math.isnan(ours[metric]) for metric in ("cor", "ccc", "icc"))
    assert math.isfinite(ours["rmse"])
    if n >= 2:
        assert math.isnan(scipy_cor(p, y))


def test_perfect_and_opposite() -> None:
    _, y = made(50, 0, 0.0, 1.0, 0.0)
    for p, value in ((y, 1.0), (-y + 2 * y.mean(), -1.0)):
        ours = batched(p, y, [10, 11])
        assert [ours[m] for m in ("cor", "ccc", "icc")] == pytest.approx([value] * 3, abs=1e-12)
        assert ours["ccc"] == pytest.approx(audmetric_ccc(p, y), abs=NEAR)


def test_dimensions_are_scored_each_on_its_own_known_steps() -> None:
    first, second = made(300, 5, 0.0, 1.0, 0.4), made(300, 6, 5.0, 2.0, -0.4)
    p, y = (np.stack([a, b], 1) for a, b in zip(first, second, strict=True))
    known = np.random.default_rng(0).random((300, 2)) > 0.4
    ours = scores(p, y, known, ("a", "b"))
    for k, dim in enumerate(("a", "b")):
        rows = known[:, k]
        assert ours["cor"][dim] == pytest.approx(scipy_cor(p[rows, k], y[rows, k]), abs=NEAR)
        assert ours["ccc"][dim] == pytest.approx(audmetric_ccc(p[rows, k], y[rows, k]), abs=NEAR)
        assert ours["icc"][dim] == pytest.approx(anova_icc(p[rows, k], y[rows, k]), abs=NEAR)
