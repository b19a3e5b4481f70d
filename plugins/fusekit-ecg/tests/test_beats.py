"""Beats: known ones are found, real ones too, and a live stream finds what the whole recording gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fusekit_ecg.beats import find_beats
from fusekit_ecg.cases import heart


@pytest.fixture(scope="module")
def peaks() -> ModuleType:
    """The benchmark's own matching and loading."""
    path = Path(__file__).parents[1] / "benchmarks" / "peaks.py"
    spec = importlib.util.spec_from_file_location("ecg_peaks_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("rate", [100, 128, 250, 360, 1000.5])
@pytest.mark.parametrize("hr", [45, 70, 160])
def test_known_beats_are_found_at_any_rate(rate: float, hr: float) -> None:
    wave, truth = heart(40, rate, hr=hr)
    found = find_beats(wave[:, None], rate).times
    nearest = np.abs(found[:, None] - truth).min(axis=1)
    assert nearest.max() < 0.03
    assert np.abs(truth[(truth > 0.3) & (truth < 39.7), None] - found).min(axis=1).max() < 0.03
    assert len(found) <= len(truth)


def test_intervals_are_true_to_a_few_milliseconds() -> None:
    wave, truth = heart(60, 250)
    found = find_beats(wave[:, None], 250).times
    matched = truth[np.abs(truth[:, None] - found).argmin(axis=0)]
    assert np.std(np.diff(found) - np.diff(matched)) < 0.002


def test_gain_offset_sign_and_leads_change_nothing() -> None:
    wave, _ = heart(30, 250)
    own = find_beats(wave[:, None], 250).times
    for other in (-wave, 5e4 * wave + 3e5, 1e-6 * wave):
        np.testing.assert_allclose(find_beats(other[:, None], 250).times, own, atol=1e-4)
    two = find_beats(np.stack([wave, -300 * wave], axis=1), 250).times
    assert len(two) == len(own)
    np.testing.assert_allclose(two, own, atol=0.01)


def test_one_noisy_lead_of_two_does_not_hide_the_beats() -> None:
    wave, truth = heart(40, 250)
    noise = 0.3 * np.random.default_rng(0).standard_normal(len(wave))
    found = find_beats(np.stack([wave, wave + noise], axis=1), 250).times
    assert len(found) == pytest.approx(len(truth), abs=1)


@pytest.mark.parametrize(
    "signal", [np.zeros((0, 1)), np.zeros((5, 1)), np.zeros((5000, 2)), np.ones((500, 1))]
)
def test_nothing_to_find(signal: np.ndarray) -> None:
    assert len(find_beats(signal, 250).times) == 0


@pytest.mark.parametrize("rate", [250, 360])
def test_a_live_stream_finds_the_same_beats(rate: int) -> None:
    wave, _ = heart(30, rate, seed=3)
    wave[round(8.3 * rate) : round(14 * rate)] = 0.02  # a lost lead: the memory starts anew
    wave[round(20 * rate) :] *= 0.2
    whole = find_beats(wave[:, None], rate)
    assert (whole.known_s > whole.times).all()
    for now in np.arange(2.0, 30.0, 1.7):
        live = find_beats(wave[: round(now * rate), None], rate)
        np.testing.assert_allclose(live.until(now), whole.until(now), atol=1e-6)
    assert np.quantile(whole.known_s - whole.times, 0.8) < 0.7


def test_the_matching_is_the_largest(peaks: ModuleType) -> None:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    rng = np.random.default_rng(0)
    for _ in range(50):
        truth, found = (np.sort(rng.uniform(0, 5, rng.integers(1, 15))) for _ in range(2))
        near = np.abs(truth[:, None] - found) <= 0.15
        most = (maximum_bipartite_matching(csr_array(near)) >= 0).sum()
        score = peaks.match(truth, found)
        assert (score.right, score.missed, score.extra) == (most, len(truth) - most, len(found) - most)


@pytest.mark.parametrize("record", ["118e12", "118e06", "118e00"])
def test_at_most_one_wrong_beat_in_the_clean_part(recordings: Path, peaks: ModuleType, record: str) -> None:
    samples, truth = peaks.stress_record(recordings, record)
    found = peaks.ours(samples, peaks.STRESS_RATE)
    clean = [x[x < peaks.CLEAN_S] for x in (truth, found)]
    assert peaks.match(*clean).wrong <= 1


@pytest.mark.parametrize(("record", "least"), [("118e12", 0.9), ("118e06", 0.75), ("118e00", 0.6)])
def test_noise_leaves_as_much_as_was_measured(
    recordings: Path, peaks: ModuleType, record: str, least: float
) -> None:
    samples, truth = peaks.stress_record(recordings, record)
    found = peaks.ours(samples, peaks.STRESS_RATE)
    noisy = [x[(x >= peaks.CLEAN_S) & (x < peaks.END_S)] for x in (truth, found)]
    assert peaks.match(*noisy).f1 > least


def test_every_beat_lies_in_its_annotated_complex(recordings: Path, peaks: ModuleType) -> None:
    samples, complexes = peaks.good_record(recordings)
    found = peaks.ours(samples, peaks.GOOD_RATE)
    inside = (found[:, None] >= complexes[:, 0]) & (found[:, None] <= complexes[:, 1])
    assert inside.any(axis=1).all()
    assert (inside.sum(axis=0) == 1).all()
