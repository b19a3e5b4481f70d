"""Heart rate variability: definitions held against NeuroKit2, artefacts, absence, streaming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.errors import RecipeError
from fusekit_ecg.beats import Beats
from fusekit_ecg.cases import heart, write_csv
from fusekit_ecg.intervals import NAMES, features, normal, standardised
from fusekit_ecg.quality import trusted
from fusekit_ecg.variability import HeartRateVariability


def _intervals(count: int = 80, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.85 + 0.04 * np.sin(np.arange(count) / 2) + 0.02 * rng.standard_normal(count)


def test_features_are_those_of_neurokit() -> None:
    import neurokit2

    intervals = _intervals()
    peaks = np.rint(1e4 * np.cumsum(np.concatenate([[1.0], intervals]))).astype(int)
    theirs = neurokit2.hrv_time(peaks, sampling_rate=10000)
    exact = np.diff(peaks) / 1e4
    mine = dict(zip(NAMES, features(exact, normal(exact)), strict=True))
    assert normal(exact).all()
    assert mine["mean_hr"] == pytest.approx(60000 / float(theirs["HRV_MeanNN"].iloc[0]))
    assert mine["sdnn"] == pytest.approx(float(theirs["HRV_SDNN"].iloc[0]))
    assert mine["rmssd"] == pytest.approx(float(theirs["HRV_RMSSD"].iloc[0]), rel=1e-6)
    # NeuroKit2 divides by the number of intervals, the Task Force by that of differences.
    assert mine["pnn50"] == pytest.approx(float(theirs["HRV_pNN50"].iloc[0]) / 100, abs=0.02)


def test_known_answers() -> None:
    values = features(np.array([0.8, 0.9, 0.8, 0.9, 0.8, 0.9]), np.ones(6, bool))
    np.testing.assert_allclose(values[[0, 2, 3]], [60 / 0.85, 100, 1])
    rising = features(np.array([1.0] * 5 + [0.5] * 5), np.ones(10, bool))
    assert rising[4] == pytest.approx(120 - 80)
    assert np.isnan(features(np.full(4, 0.8), np.ones(4, bool))).all()
    assert np.isnan(features(np.zeros(0), np.zeros(0, bool))).all()


def test_an_ectopic_and_a_missed_beat_are_left_out() -> None:
    clean = _intervals()
    times = np.cumsum(clean)
    early = times.copy()
    early[30] -= 0.35  # an extra systole with its pause
    missed = np.delete(times, 50)
    expected = features(np.diff(times), normal(np.diff(times)))
    for broken in (early, missed):
        intervals = np.diff(broken)
        assert normal(intervals).sum() >= len(intervals) - 3
        found = features(intervals, normal(intervals))
        np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.5)
        raw = features(intervals, np.ones(len(intervals), bool))
        assert raw[2] > 1.5 * expected[2], "left in, it would have governed RMSSD"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 5.0), max_size=40))
def test_any_intervals_give_finite_features_or_none(intervals: list[float]) -> None:
    x = np.array(intervals)
    values = features(x, normal(x))
    assert np.isfinite(values).all() or np.isnan(values).all()
    if np.isfinite(values).all():
        assert 30 <= values[0] <= 200
        assert 0 <= values[3] <= 1
        assert np.isfinite(standardised(values[None])).all()


def test_the_reader_measures_what_was_drawn(tmp_path: Path) -> None:
    wave, peaks = heart(60, 250, seed=4)
    reader = HeartRateVariability()
    stream = reader.prepare(Source(write_csv(tmp_path / "a.csv", wave)))
    times = np.arange(0, 60, 0.5)
    present = reader.present(stream, times)
    assert not present[times < 10].any()
    assert present[times > 12].all()
    at = np.array([45.0])
    measured = reader.measure(stream, at)[0]
    drawn = np.diff(peaks[(peaks > 15) & (peaks < 44)])
    expected = features(drawn, normal(drawn))
    np.testing.assert_allclose(measured[:4], expected[:4], rtol=0.1, atol=0.06)
    window = reader.windows(stream, at)
    assert window.shape == (1, 5)
    assert window.dtype == np.float32
    np.testing.assert_allclose(window[0], standardised(measured[None])[0], rtol=1e-5)
    np.testing.assert_array_equal(reader.pooled(window), window)


@pytest.mark.parametrize("rate", [128, 250, 360])
def test_streaming_equals_whole(tmp_path: Path, rate: int) -> None:
    wave, _ = heart(60, rate, seed=5)
    wave[30 * rate : 36 * rate] += np.random.default_rng(1).normal(0, 2, 6 * rate)
    reader = HeartRateVariability()
    whole = reader.prepare(Source(write_csv(tmp_path / "whole.csv", wave, rate)))
    for now in (5.0, 12.34, 22.22, 31.7, 38.1, 44.44, 58.6):
        live = reader.prepare(Source(write_csv(tmp_path / "live.csv", wave[: int(now * rate) + 1], rate)))
        t = np.array([now])
        np.testing.assert_allclose(reader.measure(live, t), reader.measure(whole, t), rtol=1e-4)


def test_beats_of_noise_are_not_trusted() -> None:
    good = np.zeros(30, bool)
    good[9:14] = True  # spans that end at seconds 10 to 14 and begin at 0
    times = np.arange(0.5, 30.0)
    kept = trusted(good, Beats(times, times + 0.5), start_s=0.0)
    np.testing.assert_array_equal(kept.times, times[:14])
    np.testing.assert_array_equal(kept.known_s[:10], 10)
    np.testing.assert_array_equal(kept.known_s[10:], times[10:14] + 0.5)


def test_noise_and_flat_lines_are_absent(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(40 * 250)
    times = np.arange(0, 40, 0.32)
    for name, signal in (("noise", noise), ("flat", np.zeros(40 * 250))):
        for reader in (HeartRateVariability(), HeartRateVariability(window_s=12, least_s=5)):
            stream = reader.prepare(Source(write_csv(tmp_path / f"{name}.csv", signal)))
            assert not reader.present(stream, times).any()
            assert not reader.windows(stream, times).any()


@pytest.mark.parametrize("method", ["neurokit", "pantompkins1985", "hamilton2002"])
def test_neurokit_s_detectors_serve_too(tmp_path: Path, method: str) -> None:
    wave, _ = heart(40, 250)
    source = Source(write_csv(tmp_path / "a.csv", wave))
    own, theirs = HeartRateVariability(), HeartRateVariability(method=method)  # type: ignore[arg-type]
    t = np.array([35.0])
    a, b = own.measure(own.prepare(source), t)[0], theirs.measure(theirs.prepare(source), t)[0]
    assert a[0] == pytest.approx(b[0], rel=0.03)


def test_arguments_that_make_no_sense() -> None:
    with pytest.raises(RecipeError, match="least_s"):
        HeartRateVariability(window_s=8.0)
    with pytest.raises(RecipeError, match="columns"):
        HeartRateVariability(leads=1, columns=("a", "b"))
