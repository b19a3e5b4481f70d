"""Metrics: independent implementations as oracles, any batching, masks, constants, bounds of the scores."""

from __future__ import annotations

import math
import warnings

import audmetric
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.engine.metrics import METRICS, Moments, per_clip, quadrant_scores, scores

DIMS = ("valence", "arousal")


def sample(n: int, seed: int, offset: float = 0.0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = offset + scale * rng.normal(size=(n, 2))
    p = offset + scale * (rng.uniform(-1, 1) * (y - offset) / scale + rng.normal(size=(n, 2)) + rng.normal())
    return p, y


def pooled(p: np.ndarray, y: np.ndarray, known: np.ndarray | None = None) -> dict[str, dict[str, float]]:
    return scores(p, y, np.ones(p.shape, bool) if known is None else known, DIMS)


def flat(result: dict[str, dict[str, float]]) -> list[float]:
    return [result[metric][dim] for metric in METRICS for dim in (*DIMS, "mean")]


@given(
    n=st.one_of(st.integers(2, 6), st.integers(7, 4000)),
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
@settings(max_examples=60, deadline=None)
def test_equal_independent_implementations(n: int, seed: int, scale: float) -> None:
    p, y = sample(n, seed, scale=scale)
    ours = pooled(p, y)
    for k, dim in enumerate(DIMS):
        assert ours["rmse"][dim] == pytest.approx(math.sqrt(np.mean((p[:, k] - y[:, k]) ** 2)), rel=1e-9)
        assert ours["cor"][dim] == pytest.approx(scipy.stats.pearsonr(p[:, k], y[:, k])[0], abs=1e-6)
        assert ours["ccc"][dim] == pytest.approx(audmetric.concordance_cc(y[:, k], p[:, k]), abs=1e-6)
    for metric in METRICS:
        assert ours[metric]["mean"] == pytest.approx((ours[metric]["valence"] + ours[metric]["arousal"]) / 2)


@pytest.mark.parametrize("n", [3, 10, 300])
def test_icc_equals_pingouin(n: int) -> None:
    pingouin = pytest.importorskip("pingouin")
    p, y = sample(n, seed=n)
    for k, dim in enumerate(DIMS):
        table = pd.DataFrame(
            {"item": np.tile(np.arange(n), 2), "rater": np.repeat([0, 1], n), "x": np.r_[p[:, k], y[:, k]]}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            icc = pingouin.intraclass_corr(table, targets="item", raters="rater", ratings="x").set_index(
                "Type"
            )
        consistency = icc.loc["ICC(C,1)" if "ICC(C,1)" in icc.index else "ICC3", "ICC"]
        assert pooled(p, y)["icc"][dim] == pytest.approx(float(consistency), abs=1e-6)


@given(
    n=st.integers(1, 400),
    seed=st.integers(0, 10_000),
    offset=st.sampled_from([0.0, 1e6, -3e4]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_batching_and_any_merging_give_the_same(
    n: int, seed: int, offset: float, data: st.DataObject
) -> None:
    p, y = sample(n, seed, offset=offset)
    known = np.random.default_rng(seed).random((n, 2)) > 0.3
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=8)))
    parts = [Moments(DIMS) for _ in range(3)]
    for i, (a, b) in enumerate(zip([0, *cuts], [*cuts, n], strict=True)):
        parts[i % 3].update(*(torch.as_tensor(x[a:b]) for x in (p, y, known)))
    total = Moments(DIMS)
    for part in parts:
        total.merge(part)
    assert total.count() == dict(zip(DIMS, known.sum(0).tolist(), strict=True))
    assert flat(total.compute()) == pytest.approx(flat(pooled(p, y, known)), abs=1e-8, nan_ok=True)


def test_tiny_variance_on_a_huge_offset() -> None:
    """Sums of squares in one pass lose every digit here."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(5000, 2))
    p = 0.5 * y + rng.normal(size=(5000, 2))
    near = pooled(p, y)
    moments = Moments(DIMS)
    for rows in np.array_split(np.arange(5000), 37):
        values = (torch.as_tensor(1e6 + 1e-3 * x[rows]) for x in (p, y))
        moments.update(*values, torch.ones(len(rows), 2, dtype=torch.bool))
    far = moments.compute()
    for metric in ("cor", "ccc", "icc"):
        for dim in DIMS:
            assert far[metric][dim] == pytest.approx(near[metric][dim], abs=1e-6)
    assert far["rmse"]["mean"] == pytest.approx(1e-3 * near["rmse"]["mean"], rel=1e-6)


@given(n=st.integers(2, 200), seed=st.integers(0, 10_000), offset=st.sampled_from([0.0, 5.0, 1e5]))
@settings(max_examples=80, deadline=None)
def test_ccc_within_icc_within_cor(n: int, seed: int, offset: float) -> None:
    p, y = sample(n, seed)
    ours = pooled(p + offset, y)
    for dim in DIMS:
        assert abs(ours["ccc"][dim]) <= abs(ours["icc"][dim]) + 1e-12
        assert abs(ours["icc"][dim]) <= abs(ours["cor"][dim]) + 1e-12
        assert abs(ours["cor"][dim]) <= 1


def test_perfect_prediction() -> None:
    _, y = sample(50, 0)
    assert flat(pooled(y, y)) == pytest.approx([0] * 3 + [1] * 9, abs=1e-12)


@pytest.mark.parametrize("which", ["prediction", "label", "both"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_constant_gives_nan_in_any_batching(which: str, value: float) -> None:
    p, y = sample(101, 0)
    if which in ("prediction", "both"):
        p[:, 0] = value
    if which in ("label", "both"):
        y[:, 0] = value
    for pieces in (1, 7):
        moments = Moments(DIMS)
        for rows in np.array_split(np.arange(101), pieces):
            moments.update(
                *(torch.as_tensor(x[rows]) for x in (p, y)), torch.ones(len(rows), 2, dtype=torch.bool)
            )
        ours = moments.compute()
        for metric in ("cor", "ccc", "icc"):
            assert math.isnan(ours[metric]["valence"])
            assert math.isnan(ours[metric]["mean"])
            assert math.isfinite(ours[metric]["arousal"])
        assert math.isfinite(ours["rmse"]["mean"])


def test_unknown_entries_are_never_looked_at() -> None:
    p, y = sample(40, 1)
    known = np.random.default_rng(1).random((40, 2)) > 0.5
    clean = pooled(p, y, known)
    p[~known], y[~known] = np.nan, np.inf
    assert pooled(p, y, known) == clean
    for k, dim in enumerate(DIMS):
        rows = known[:, k]
        assert clean["ccc"][dim] == pytest.approx(audmetric.concordance_cc(y[rows, k], p[rows, k]), abs=1e-12)


def test_a_nan_prediction_that_counts_shows() -> None:
    p, y = sample(10, 0)
    p[3, 0] = np.nan
    ours = pooled(p, y)
    assert math.isnan(ours["ccc"]["valence"])
    assert math.isnan(ours["rmse"]["valence"])


def test_nothing_and_one_sample() -> None:
    empty = Moments(DIMS)
    assert empty.count() == {"valence": 0, "arousal": 0}
    assert all(math.isnan(value) for value in flat(empty.compute()))
    one = pooled(np.array([[0.5, 0.0]]), np.array([[0.0, 0.0]]))
    assert one["rmse"]["valence"] == 0.5
    assert math.isnan(one["cor"]["valence"])


def test_state_travels_between_ranks() -> None:
    p, y = sample(60, 4)
    known = torch.ones(30, 2, dtype=torch.bool)
    ranks = []
    for rows in (slice(0, 30), slice(30, 60)):
        moments = Moments(DIMS)
        moments.update(torch.as_tensor(p[rows]), torch.as_tensor(y[rows]), known)
        ranks.append(moments.state)
    total = Moments(DIMS)
    for state in torch.stack(ranks):
        total.merge(Moments(DIMS, state))
    assert flat(total.compute()) == pytest.approx(flat(pooled(p, y)), abs=1e-12)


def test_wrong_shapes_are_refused() -> None:
    moments = Moments(DIMS)
    known = torch.ones(4, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match="differ"):
        moments.update(torch.zeros(4, 2), torch.zeros(5, 2), known)
    with pytest.raises(ValueError, match="expected"):
        Moments(("valence",)).update(torch.zeros(4, 2), torch.zeros(4, 2), known)
    with pytest.raises(ValueError, match="cannot merge"):
        moments.merge(Moments(("arousal", "valence")))


def test_per_clip_is_the_mean_of_clips_and_counts_those_left_out() -> None:
    p, y = sample(90, 7)
    clip = np.repeat(["a", "b", "c"], 30)
    y[clip == "b", 0] = 0.5
    p[clip == "c", 1] = -0.25
    known = np.ones(p.shape, bool)
    ours = per_clip(p, y, known, clip, DIMS)
    assert ours["clips"] == 3
    assert ours["constant_labels"] == {"valence": 1, "arousal": 0}
    assert ours["constant_predictions"] == {"valence": 0, "arousal": 1}
    expected = [audmetric.concordance_cc(y[clip == c, 0], p[clip == c, 0]) for c in "ac"]
    assert ours["ccc"]["valence"] == pytest.approx(np.mean(expected), abs=1e-9)
    rmse = [math.sqrt(np.mean((p[clip == c, 0] - y[clip == c, 0]) ** 2)) for c in "abc"]
    assert ours["rmse"]["valence"] == pytest.approx(np.mean(rmse))


def test_quadrants_known_answer() -> None:
    ours = quadrant_scores([0, 0, 1, 3, 2, 2], [0, 1, 1, 3, -1, 3])
    assert ours["n"] == 5
    assert ours["accuracy"] == pytest.approx(3 / 5)
    assert ours["uar"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert ours["confusion"] == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]
    assert math.isnan(quadrant_scores([], [])["uar"])
    with pytest.raises(ValueError, match="only the truth"):
        quadrant_scores([-1], [0])


def test_update_reads_nothing_back_from_the_device() -> None:
    """Tensors on the meta device have no values: whatever would wait for one raises here."""
    moments, other = Moments(DIMS), Moments(DIMS)
    for part in (moments, other, moments):
        part.update(
            *(torch.empty(64, 2, device="meta") for _ in range(2)), torch.ones(64, 2, device="meta").bool()
        )
    moments.merge(other)
    assert moments.state.shape == (11, 2)
    with pytest.raises((NotImplementedError, RuntimeError)):
        moments.compute()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_update_does_not_wait_for_the_device() -> None:
    p, y = (torch.as_tensor(x, device="cuda") for x in sample(64, 0))
    known = torch.ones(64, 2, dtype=torch.bool, device="cuda")
    moments = Moments(DIMS)
    moments.update(p, y, known)
    torch.cuda.set_sync_debug_mode("error")
    try:
        moments.update(p, y, known)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert flat(moments.compute()) == pytest.approx(flat(pooled(p.cpu().numpy(), y.cpu().numpy())), abs=1e-12)
