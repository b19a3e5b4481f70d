"""Scaling, quadrants, alignment and frequency weights: known answers and invariances."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusekit.contracts import Labels
from fusekit.data.labels import FrequencyWeights, align, quadrant, quadrant_weights, scale, unscale

VA = ("valence", "arousal")


def trace(times, values, **more):
    return Labels(np.asarray(times, float), np.asarray(values, np.float32), VA, **more)


@pytest.mark.parametrize(
    ("label_range", "value", "expected"),
    [((0, 1), 0.5, 0.0), ((0, 1), 0.75, 0.5), ((-10, 10), -10, -1.0), ((1, 5), 3, 0.0), ((-1, 1), 0.3, 0.3)],
)
def test_scale_maps_the_midpoint_to_zero(label_range, value, expected):
    assert scale(np.array([value]), label_range)[0] == pytest.approx(expected)


@given(
    st.floats(-100, 100),
    st.floats(0.5, 100),
    st.lists(st.floats(0, 1), min_size=1, max_size=9),
)
def test_unscale_undoes_scale_and_the_range_becomes_minus_one_to_one(low, width, shares):
    values = low + width * np.array(shares)
    scaled = scale(values, (low, low + width))
    assert np.abs(scaled).max() <= 1 + 1e-5
    assert np.allclose(unscale(scaled, (low, low + width)), values, atol=1e-4 * (abs(low) + width))


@pytest.mark.parametrize("label_range", [(-1, 1), (0, 1), (1, 9), (0, 0.7), (0.1, 0.6), (-3, 0.2)])
def test_the_midpoint_of_any_range_is_a_tie(label_range):
    middle = np.full((1, 2), sum(label_range) / 2).astype(np.float32)  # as labels are stored
    assert quadrant(scale(middle, label_range)).tolist() == [0]


def test_quadrants_and_ties():
    values = np.array(
        [[1, 1], [-1, 1], [-1, -1], [1, -1], [0, 0], [0, -1e-9], [-1e-9, 0], [np.nan, 1], [1, np.nan]]
    )
    assert quadrant(values).tolist() == [0, 1, 2, 3, 0, 3, 1, -1, -1]


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_quadrant_is_decided_by_the_signs_alone(v, a):
    expected = {(True, True): 0, (False, True): 1, (False, False): 2, (True, False): 3}[(v >= 0, a >= 0)]
    assert quadrant(np.array([v, a])) == expected
    assert quadrant(np.array([v, a]) * 3) == expected


def test_a_step_takes_the_latest_label_and_never_a_later_one():
    aligned = align(
        trace([0.0, 0.1, 0.2, 0.3], [[0, 0], [0.1, 0], [0.2, 0], [0.3, 0]]),
        np.array([0.19, 0.3]),
        VA,
        (-1, 1),
    )
    assert aligned.target[:, 0] == pytest.approx([0.1, 0.3])


def test_rounding_of_label_times_does_not_lose_a_label():
    times = np.array([0.1 * k for k in range(10)])  # 0.30000000000000004
    values = np.stack([np.arange(10) / 10, np.zeros(10)], 1)
    steps = np.array([k / 10 for k in range(10)])
    assert align(trace(times, values), steps, VA, (-1, 1)).target[:, 0] == pytest.approx(values[:, 0])


def test_steps_before_the_first_label_and_long_after_the_last_are_unknown():
    aligned = align(trace([1.0, 1.1, 1.2], np.ones((3, 2))), np.array([0.9, 1.0, 1.7, 1.8]), VA, (-1, 1))
    assert aligned.known[:, 0].tolist() == [False, True, True, False]
    assert aligned.target[0].tolist() == [0, 0]


def test_missing_rows_and_nan_leave_unknown_steps():
    aligned = align(
        trace([0, 1, 2, 7, 8], [[1, 1], [np.nan, 1], [1, 1], [1, 1], [1, 1]]), np.arange(9.0), VA, (-1, 1)
    )
    assert aligned.known[:, 0].tolist() == [True, False, True, True, True, False, False, True, True]
    assert aligned.known[:, 1].tolist() == [True] * 5 + [False] * 2 + [True] * 2
    assert aligned.quadrant.tolist() == [0, -1, 0, 0, 0, -1, -1, 0, 0]


def test_one_label_is_held_over_the_clip():
    aligned = align(trace([0.0], [[0.5, -0.5]]), np.array([0.0, 50.0]), VA, (-1, 1))
    assert aligned.known.all()
    assert aligned.quadrant.tolist() == [3, 3]


def test_a_corpus_may_say_that_a_clip_has_no_quadrant():
    aligned = align(trace([0.0], [[0, 0]], quadrant=np.array([-1])), np.array([0.0]), VA, (-1, 1))
    assert aligned.known.all()
    assert aligned.quadrant.tolist() == [-1]


def test_without_both_valence_and_arousal_there_is_no_quadrant():
    aligned = align(trace([0.0], [[1, 1]], quadrant=np.array([0])), np.array([0.0]), ("valence",), (-1, 1))
    assert aligned.target.shape == (1, 1)
    assert aligned.quadrant.tolist() == [-1]


def test_dims_are_taken_by_name_and_extra_columns_follow():
    labels = trace(
        [0, 1],
        [[0.1, 0.9], [0.2, 0.8]],
        extra={"kind": np.array(["blur", "none"]), "level": np.array([2, 3])},
    )
    aligned = align(labels, np.array([0.0, 1.0, 9.0]), ("arousal", "valence"), (-1, 1))
    assert aligned.target[0] == pytest.approx([0.9, 0.1])
    assert aligned.extra["kind"].tolist() == ["blur", "none", ""]
    assert aligned.extra["level"][:2].tolist() == [2, 3]
    assert np.isnan(aligned.extra["level"][2])


@given(st.integers(2, 40), st.integers(0, 10**6))
def test_the_future_of_a_trace_changes_nothing(n, seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.02, 0.1, n))
    values = rng.uniform(-1, 1, (n, 2))
    cut = n // 2 + 1
    steps = np.arange(0, times[cut - 1], 0.04)
    whole = align(trace(times, values), steps, VA, (-1, 1))
    changed = np.concatenate([values[:cut], -values[cut:]])
    assert np.array_equal(whole.target, align(trace(times, changed), steps, VA, (-1, 1)).target)


def test_inverse_weights_have_mean_one_and_favour_rare_labels():
    rng = np.random.default_rng(0)
    target = np.stack([rng.normal(0, 0.2, 500).clip(-1, 1), rng.uniform(-1, 1, 500)], 1).astype(np.float32)
    known = rng.random((500, 2)) < 0.8
    fitted = FrequencyWeights.fit(target, known)
    weights = fitted.weights(torch.from_numpy(target)).numpy()
    for k in range(2):
        assert weights[known[:, k], k].mean() == pytest.approx(1, abs=1e-5)
    count = np.histogram(target[known[:, 0], 0], bins=np.linspace(-1, 1, 21))[0]
    table = np.array(fitted.table[0])
    assert table[count.argmax()] == table.min()
    assert table[count.argmin()] == table.max()
    # Unknown labels are not counted.
    assert fitted == FrequencyWeights.fit(np.where(known, target, 0.95).astype(np.float32), known)


def test_each_dimension_has_its_own_table():
    target = np.array([[0.55, -0.55]] * 9 + [[-0.55, -0.55]], np.float32)
    weights = FrequencyWeights.fit(target, np.ones_like(target, bool)).weights(torch.from_numpy(target))
    assert weights[-1, 0] == pytest.approx((1 / 2) / ((9 / 10 + 1 / 2) / 10))
    assert weights[:, 1].tolist() == pytest.approx([1] * 10)


def test_literal_weights_favour_frequent_labels():
    target = np.array([[0.5]] * 3 + [[-0.5]], np.float32)
    weights = FrequencyWeights.fit(target, np.ones_like(target, bool), "literal").weights(
        torch.from_numpy(target)
    )
    assert weights[0] / weights[-1] == pytest.approx(3)
    assert weights.mean() == pytest.approx(1)


def test_bin_edges_belong_to_the_bin_above_in_float32_too():
    edges = torch.tensor([[-1 + 0.1 * k] for k in range(20)], dtype=torch.float32)
    table = FrequencyWeights((tuple(float(k) for k in range(20)),))
    assert table.weights(edges)[:, 0].tolist() == list(range(20))
    assert table.weights(torch.tensor([[1.0]])).item() == 19


def test_weights_survive_json_and_refuse_an_unknown_kind():
    fitted = FrequencyWeights.fit(np.array([[0.5], [0.1]], np.float32), np.ones((2, 1), bool))
    assert FrequencyWeights.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted
    with pytest.raises(ValueError, match="literal"):
        FrequencyWeights.fit(np.zeros((1, 1)), np.ones((1, 1), bool), "inverted")


def test_quadrant_weights_ignore_steps_without_a_quadrant():
    weights = quadrant_weights(np.array([0, 0, 0, 1, -1, -1]))
    assert weights.shape == (4,)
    assert weights[1] / weights[0] == pytest.approx(2)
    assert (3 * weights[0] + weights[1]) / 4 == pytest.approx(1)
    assert quadrant_weights(np.array([-1])).tolist() == [1, 1, 1, 1]
