"""Statistics: brute force as oracle, calibration on noise, blocks, ties, seeds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.engine.metrics import METRICS, scores
from fusekit.study.statistics import auc, bootstrap, paired_bootstrap, permutation_test

DIMS = ("valence", "arousal")


def subjects(n: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, target `(N, 2)`, known, and subject `(N,)` with a level of its own per subject."""
    rng = np.random.default_rng(seed)
    subject = np.repeat([f"s{i}" for i in range(n)], steps)
    level = np.repeat(rng.normal(size=(n, 2)), steps, axis=0)
    y = level + rng.normal(size=(n * steps, 2))
    p = 0.7 * y + 0.5 * rng.normal(size=y.shape) + 0.2
    return p, y, rng.random(y.shape) > 0.2, subject


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_value_and_draws_equal_scoring_the_resampled_steps(metric: str, offset: float) -> None:
    """Moments per subject against the plain way: put the drawn subjects' steps together and score them."""
    p, y, known, subject = subjects(5, 20, seed=1)
    p, y = p + offset, y + offset
    p[~known] = np.nan
    ours = bootstrap(p, y, known, subject, metric=metric, draws=50, seed=3)
    assert ours.value == pytest.approx(scores(p, y, known, DIMS)[metric]["mean"], abs=1e-7)
    counts = np.random.default_rng(3).multinomial(5, np.full(5, 0.2), size=50)
    plain = []
    for count in counts:
        rows = np.concatenate([np.flatnonzero(subject == f"s{i}") for i in range(5) for _ in range(count[i])])
        plain.append(scores(p[rows], y[rows], known[rows], DIMS)[metric]["mean"])
    assert [ours.low, ours.high] == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=1e-7)
    assert ours.draws == 50
    assert ours.subjects == 5


def test_paired_difference() -> None:
    p, y, known, subject = subjects(12, 40, seed=2)
    worse = p + np.random.default_rng(0).normal(size=p.shape)
    better = paired_bootstrap(p, worse, y, known, subject)
    one, other = (scores(x, y, known, DIMS)["ccc"]["mean"] for x in (p, worse))
    assert better.value == pytest.approx(one - other)
    assert 0 < better.low < better.value < better.high
    assert better.above == 1
    flipped = paired_bootstrap(worse, p, y, known, subject)
    assert (flipped.value, flipped.low, flipped.high, flipped.above) == pytest.approx(
        (-better.value, -better.high, -better.low, 0)
    )
    same = paired_bootstrap(p, p, y, known, subject)
    assert (same.value, same.low, same.high, same.above) == (0, 0, 0, 0.5)


def test_pairing_is_tighter_than_two_intervals() -> None:
    p, y, known, subject = subjects(10, 30, seed=5)
    other = p + 0.05 * np.random.default_rng(1).normal(size=p.shape)
    paired = paired_bootstrap(p, other, y, known, subject)
    alone = bootstrap(p, y, known, subject)
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_interval_over_subjects_is_wider_than_over_steps() -> None:
    p, y, known, subject = subjects(10, 100, seed=4)
    p = p + np.repeat(np.random.default_rng(9).normal(size=(10, 2)), 100, axis=0)
    over_subjects = bootstrap(p, y, known, subject)
    over_steps = bootstrap(p, y, known, np.arange(len(p)), draws=500)
    assert over_subjects.high - over_subjects.low > 2 * (over_steps.high - over_steps.low)


def test_interval_covers() -> None:
    """The true difference, 0, is inside the 95 % interval in most of 60 repetitions (20 subjects)."""
    inside = 0
    for seed in range(60):
        p, y, known, subject = subjects(20, 10, seed=100 + seed)
        rng = np.random.default_rng(seed)
        a, b = (y + rng.normal(size=y.shape) for _ in range(2))
        interval = paired_bootstrap(a, b, y, known, subject, draws=300, seed=seed)
        inside += interval.low <= 0 <= interval.high
    assert inside >= 50


def test_seeded_and_rerun_equal() -> None:
    args = subjects(6, 10, seed=0)
    assert bootstrap(*args, seed=1) == bootstrap(*args, seed=1)
    assert bootstrap(*args, seed=1) != bootstrap(*args, seed=2)


def test_one_subject_has_no_interval_and_constant_labels_no_score() -> None:
    p, y, known, subject = subjects(1, 30, seed=0)
    alone = bootstrap(p, y, known, subject)
    assert math.isfinite(alone.value)
    assert math.isnan(alone.low)
    assert alone.draws == 0
    p, y, known, subject = subjects(4, 30, seed=0)
    assert math.isnan(bootstrap(p, np.full_like(y, 0.1), known, subject).value)
    # Only one subject's labels vary: draws without it have no score and are counted out.
    y = np.where((subject == "s0")[:, None], y, 0.1)
    some = bootstrap(p, y, known, subject, draws=400)
    assert 200 < some.draws < 350


def test_wrong_shapes_are_refused() -> None:
    p, y, known, subject = subjects(2, 5, seed=0)
    with pytest.raises(ValueError, match="three arrays"):
        bootstrap(p[:, 0], y, known, subject)
    with pytest.raises(ValueError, match="subjects for"):
        bootstrap(p, y, known, subject[:-1])


def test_permutation_p_equals_exact_enumeration() -> None:
    predicted, true = np.array([0, 0, 1, 1, 2, 0]), np.array([0, 0, 1, 2, 2, 1])

    def uar(t: tuple[int, ...]) -> float:
        labels = np.array(t)
        return float(np.mean([(predicted[labels == c] == c).mean() for c in range(3)]))

    value = uar(tuple(true))
    exact = np.mean([uar(t) >= value - 1e-12 for t in itertools.permutations(true)])
    ours = permutation_test(predicted, true, draws=20_000)
    assert ours.value == pytest.approx(value)
    assert ours.p == pytest.approx(exact, abs=0.01)
    assert ours.chance == pytest.approx(1 / 3, abs=0.01)


def test_permutation_never_gives_zero_and_leaves_out_what_has_no_quadrant() -> None:
    true = np.tile([0, 1, 2, 3], 20)
    perfect = permutation_test(true, true, draws=999)
    assert (perfect.value, perfect.p) == (pytest.approx(1), 1 / 1000)
    padded = permutation_test(np.r_[true, 0, 0], np.r_[true, -1, -1], draws=999)
    assert padded.value == pytest.approx(1)
    assert math.isnan(permutation_test([0], [-1]).p)


def test_permutation_on_noise_is_uniform() -> None:
    rng = np.random.default_rng(0)
    ps = [
        permutation_test(rng.integers(0, 4, 80), rng.integers(0, 4, 80), draws=200, seed=i).p
        for i in range(200)
    ]
    assert 0.01 <= np.mean(np.array(ps) <= 0.05) <= 0.09
    assert np.mean(ps) == pytest.approx(0.5, abs=0.06)


def test_blocks_take_away_what_the_subject_alone_tells() -> None:
    """Each subject shows one quadrant most of the time; the prediction knows the subject and nothing else."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(8), 12)
    home = subject % 4
    true = np.where(rng.random(96) < 0.7, home, rng.integers(0, 4, 96))
    assert permutation_test(home, true, draws=999).p < 0.01
    blocked = permutation_test(home, true, blocks=subject, draws=999)
    assert blocked.p == 1
    assert blocked.chance == pytest.approx(blocked.value)


@pytest.mark.parametrize(
    ("true", "blocks", "arrangements"),
    [
        ([0, 1, 2, 3] * 10, range(40), 1),  # one clip per subject
        ([0] * 9 + [1] * 9, [0] * 9 + [1] * 9, 1),  # each subject shows one quadrant
        ([2] * 12, None, 1),  # one quadrant only
        ([0, 1, 0, 1, 2], [0, 0, 1, 1, 2], 4),  # p could not be below 1 / 4
        ([0, 1, 1, 0, 1, 1], None, 15),
    ],
)
def test_where_labels_cannot_be_permuted_nothing_is_tested(
    true: list[int], blocks: list[int] | None, arrangements: int
) -> None:
    found = permutation_test(true, true, blocks=blocks, draws=99)
    assert math.isnan(found.p)
    assert math.isnan(found.chance)
    assert found.value == pytest.approx(1)
    assert found.arrangements == arrangements


def test_arrangements_that_can_be_reached_are_counted() -> None:
    assert permutation_test([0] * 6, [0, 0, 1, 1, 2, 2], draws=99).arrangements == 90
    assert permutation_test([0] * 6, [0, 1, 2, 0, 1, 2], blocks=[0, 0, 0, 1, 1, 1]).arrangements == 36
    assert math.isinf(permutation_test([0] * 400, [0, 1, 2, 3] * 100, draws=9).arrangements)


@given(
    a=st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    b=st.lists(st.integers(-3, 3), min_size=1, max_size=30),
)
@settings(max_examples=80, deadline=None)
def test_auc_with_ties(a: list[int], b: list[int]) -> None:
    plain = np.mean([(x > y) + (x == y) / 2 for x in a for y in b])
    assert auc(a, b) == pytest.approx(plain)
    assert auc(a, b) == pytest.approx(scipy.stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    assert auc(a, b) == pytest.approx(1 - auc(b, a))


def test_auc_edges() -> None:
    assert auc([2, 3], [0, 1]) == 1
    assert math.isnan(auc([], [1]))
    with pytest.raises(ValueError, match="NaN"):
        auc([math.nan], [1])
