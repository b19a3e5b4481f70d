"""Reader `ecg`: what a window holds, who is present, and what a live stream would have seen."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from fusekit.contracts import Reader, Source
from fusekit.errors import DataError, RecipeError
from fusekit_ecg.cases import heart, write_csv
from fusekit_ecg.variability import HeartRateVariability
from fusekit_ecg.wave import ECG

STEPS = np.arange(0, 119.9, 0.32)


def _source(folder: Path, signal: np.ndarray, rate: float = 250, name: str = "ecg.csv") -> Source:
    return Source(write_csv(folder / name, signal, rate))


def test_the_newest_sample_is_the_last(tmp_path: Path) -> None:
    wave, peaks = heart(30, 128)
    reader = ECG(rate=128)
    stream = reader.prepare(_source(tmp_path, wave, 128))
    assert stream["reach_s"][0] == 0  # nothing had to be resampled
    at = peaks[(peaks > 12) & (peaks < 25)]
    windows = reader.windows(stream, np.ceil(at * 128) / 128)
    assert (windows[:, 0].argmax(axis=1) >= 0).all()
    assert (windows[:, 0, -3:].max(axis=1) > 0.4).all(), "an R wave at the step itself is at the right edge"


@pytest.mark.parametrize("rate", [100, 250, 360, 1000])
def test_any_rate_gives_the_same_window(tmp_path: Path, rate: int) -> None:
    reader = ECG(rate=100, window_s=6)
    times = np.arange(8, 28, 0.7)
    reference = reader.windows(reader.prepare(_source(tmp_path, heart(30, 4000)[0], 4000, "a.csv")), times)
    other = reader.windows(reader.prepare(_source(tmp_path, heart(30, rate)[0], rate, "b.csv")), times)
    shift = round(0 if rate != 100 else 0.11 * 100)  # without resampling the window reaches that much further
    a, b = (reference, other) if not shift else (reference[..., shift:], other[..., :-shift])
    correlation = [np.corrcoef(x[0], y[0])[0, 1] for x, y in zip(a, b, strict=True)]
    assert min(correlation) > 0.9


def test_gain_offset_and_slow_baseline_hardly_show(tmp_path: Path) -> None:
    wave, _ = heart(30, 250)
    t = np.arange(len(wave)) / 250
    reader = ECG()
    times = np.arange(9, 29, 0.5)
    own = reader.windows(reader.prepare(_source(tmp_path, wave)), times)
    other = 40 * (wave + 3 * np.sin(2 * np.pi * 0.05 * t)) - 700
    again = reader.windows(reader.prepare(_source(tmp_path, other, name="b.csv")), times)
    inner = slice(128, -128)  # at a window's ends nothing tells baseline from wave
    assert np.abs(own - again)[..., inner].max() < 0.05
    heights = own[:, 0].max(axis=1)
    assert heights.min() > 0.5
    assert heights.max() < 0.95


def test_leads_are_scaled_apart_and_a_dead_one_is_silent(tmp_path: Path) -> None:
    wave, _ = heart(30, 250)
    dead = np.where(np.arange(len(wave)) < 15 * 250, wave, 0.5)
    reader = ECG(leads=3)
    stream = reader.prepare(_source(tmp_path, np.stack([wave, -500 * wave, dead], axis=1)))
    (before, after) = reader.windows(stream, np.array([14.0, 25.0]))
    np.testing.assert_allclose(before[0], -before[1], atol=1e-3)
    np.testing.assert_allclose(before[0], before[2], atol=1e-3)
    assert np.abs(after[0]).max() > 0.5
    assert not after[2].any()
    assert reader.present(stream, np.array([25.0])).all()


@pytest.mark.parametrize("reference", ["window", "file"])
def test_presence_follows_what_was_recorded(tmp_path: Path, reference: str) -> None:
    wave, _ = heart(60, 250)
    wave[20 * 250 : 35 * 250] = wave[20 * 250]  # lead off: pegged at a rail
    reader = ECG(reference=reference)
    stream = reader.prepare(_source(tmp_path, wave))
    present = reader.present(stream, np.arange(60.0))
    assert not present[:2].any()
    assert present[2:20].all()
    assert not present[22:36].any()
    assert present[48:60].all()
    assert not reader.present(stream, np.array([-1.0, 61.0])).any()
    flat = reader.prepare(_source(tmp_path, np.full(5000, 0.3), name="flat.csv"))
    assert not reader.present(flat, np.arange(20.0)).any()
    noise = np.random.default_rng(0).standard_normal(30 * 250)
    hiss = reader.prepare(_source(tmp_path, noise, name="noise.csv"))
    assert not reader.present(hiss, np.arange(6.0, 30.0)).any()


@pytest.mark.parametrize("reference", ["window", "file"])
@pytest.mark.parametrize("samples", [1, 5, 30, 100, 300])
def test_a_recording_of_a_moment_is_absent(tmp_path: Path, samples: int, reference: str) -> None:
    moment = "\n".join(f"{value:.3f}" for value in heart(2, 250)[0][:samples])
    (tmp_path / "moment.csv").write_text("ecg\n" + moment)
    reader = ECG(reference=reference, rate_hz=250)
    stream = reader.prepare(Source(tmp_path / "moment.csv"))
    times = np.arange(0, 2, 0.1)
    assert not reader.present(stream, times).any()
    assert not reader.windows(stream, times).any()


def test_a_recording_that_begins_late_is_absent_until_then(tmp_path: Path) -> None:
    wave, _ = heart(20, 250)
    rows = "\n".join(f"{10 + i / 250:.3f},{v:.4f}" for i, v in enumerate(wave))
    (tmp_path / "late.csv").write_text("time_s,ecg\n" + rows)
    reader = ECG()
    stream = reader.prepare(Source(tmp_path / "late.csv"))
    present = reader.present(stream, np.arange(30.0))
    assert not present[:12].any()
    assert present[12:30].all()
    early = reader.windows(stream, np.array([14.0]))[0, 0]
    assert not early[:400].any()
    assert early[-300:].any()
    moved = reader.prepare(Source(tmp_path / "late.csv", start_s=0.0))
    assert moved["duration_s"][0] == pytest.approx(20)


@pytest.mark.parametrize(("rate", "future_s"), [(250, 0.0), (128, 0.0), (360, 2.0)])
def test_streaming_equals_whole(tmp_path: Path, rate: int, future_s: float) -> None:
    wave, _ = heart(40, rate, seed=2)
    wave[18 * rate : 22 * rate] = 0
    reader = ECG(window_s=5, future_s=future_s)
    whole = reader.prepare(_source(tmp_path, wave, rate))
    for now in (3.21, 7.5, 12.37, 19.99, 24.6, 33.3):
        seen = wave[: int((now + reader.lookahead_s) * rate) + 1]
        live = reader.prepare(_source(tmp_path, seen, rate, "live.csv"))
        t = np.array([now])
        np.testing.assert_allclose(reader.windows(live, t), reader.windows(whole, t), atol=1e-5)
        assert reader.present(live, t) == reader.present(whole, t)


def test_a_row_does_not_hang_on_the_others(tmp_path: Path) -> None:
    reader = ECG(rate=64)
    stream = reader.prepare(_source(tmp_path, heart(40, 250)[0]))
    times = np.arange(0, 40, 0.32)
    together = reader.windows(stream, times)
    for i in (0, 5, 60, 120):
        np.testing.assert_array_equal(reader.windows(stream, times[i : i + 1])[0], together[i])


def test_ridge_sees_heart_rate_and_bands(tmp_path: Path) -> None:
    rates = []
    for hr in (50, 75, 120):
        reader = ECG(leads=1)
        stream = reader.prepare(_source(tmp_path, heart(40, 250, hr=hr)[0], name=f"{hr}.csv"))
        pooled = reader.pooled(reader.windows(stream, np.arange(10.0, 39.0)))
        assert pooled.shape == (29, 9)
        assert pooled.dtype == np.float32
        rates.append(float(np.median(pooled[:, 0])))
    np.testing.assert_allclose(60 * np.array(rates), [50, 75, 120], rtol=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silent = ECG(leads=2).pooled(np.zeros((2, 2, 1024), np.float32))
    assert np.isfinite(silent).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rate": 20}, "rate"),
        ({"window_s": 1.0}, "window_s"),
        ({"future_s": 9.0}, "future_s"),
        ({"leads": 2, "columns": ("a",)}, "columns"),
        ({"leads": 0}, "leads"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        ECG(**arguments)


def test_too_few_leads(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 ECG leads wanted"):
        ECG(leads=2).prepare(_source(tmp_path, heart(20, 250)[0]))


def _share(recordings: Path, record: str, low: float, high: float) -> float:
    reader = ECG(rate_hz=360)
    stream = reader.prepare(Source(recordings / f"heartpy_{record}.csv"))
    at = STEPS[(low <= STEPS) & (high > STEPS)]
    return float(reader.present(stream, at).mean())


def test_quality_tells_noise_from_a_heart_in_real_recordings(recordings: Path) -> None:
    """First 40 s clean; the measure looks 10 s back, so that the noisy part is judged from 50 s on."""
    records = ("118e12", "118e06", "118e00")
    clean = [_share(recordings, r, 2, 40) for r in records]
    assert min(clean) > 0.95
    twelve, six, zero = (_share(recordings, r, 50, 120) for r in records)
    assert twelve < 0.5
    assert max(six, zero) < 0.05
    for record in ("e0103", "e0110", "e0124"):
        reader = ECG(rate_hz=250)
        stream = reader.prepare(Source(recordings / f"heartpy_{record}.csv"))
        assert reader.present(stream, STEPS[STEPS > 2]).mean() > 0.95


def test_amplitudes_can_be_compared_within_a_file(tmp_path: Path) -> None:
    wave, _ = heart(60, 250)
    wave[40 * 250 :] *= 0.5
    wave[20 * 250 : 24 * 250] = 0
    source = _source(tmp_path, wave)
    times = np.array([18.0, 55.0])
    per_file, per_window = ECG(reference="file"), ECG(reference="window")
    tall, small = per_file.windows(per_file.prepare(source), times)[:, 0].max(axis=1)
    assert small == pytest.approx(0.5 * tall, rel=0.15)
    same = per_window.windows(per_window.prepare(source), times)[:, 0].max(axis=1)
    assert same[0] == pytest.approx(same[1], rel=0.15)


@pytest.mark.parametrize("reader", [ECG(rate=64, window_s=4), HeartRateVariability()])
@pytest.mark.parametrize("start_s", [3.0, -0.5])
def test_the_manifests_start_moves_all_windows(tmp_path: Path, reader: Reader, start_s: float) -> None:
    path = tmp_path / "rec.csv"
    write_csv(path, heart(30, 128)[0])
    here, moved = reader.prepare(Source(path)), reader.prepare(Source(path, start_s=start_s))
    times = np.arange(1, 29) + 0.3
    np.testing.assert_allclose(reader.windows(here, times), reader.windows(moved, times + start_s), atol=1e-5)
    np.testing.assert_array_equal(reader.present(here, times), reader.present(moved, times + start_s))
    assert reader.present(here, times).any()
    assert moved["duration_s"][0] == pytest.approx(here["duration_s"][0] + start_s)


def test_the_manifests_step_is_that_of_samples_without_times(tmp_path: Path) -> None:
    bare, timed = tmp_path / "bare.csv", tmp_path / "timed.csv"
    wave = heart(20, 250)[0]
    bare.write_text("ecg\n" + "\n".join(f"{v:.5f}" for v in wave.tolist()) + "\n", encoding="utf-8")
    write_csv(timed, wave, 250)
    for reader in (ECG(), HeartRateVariability()):
        stream = reader.prepare(Source(bare, start_s=2.0, step_s=1 / 250))
        assert stream["duration_s"][0] == pytest.approx(22)
        with pytest.raises(
            DataError, match=r"timed\.csv: it tells the times .* leave <modality>_step_s empty"
        ):
            reader.prepare(Source(timed, step_s=1 / 250))
        with pytest.raises(DataError, match="none of its samples lies in the clip's first day"):
            reader.prepare(Source(timed, start_s=-20.0))
        with pytest.raises(DataError, match="an ECG has no boxes"):
            reader.prepare(Source(timed, boxes=bare))
    stated = ECG(rate_hz=125).prepare(Source(bare, step_s=1 / 250))
    assert stated["duration_s"][0] == pytest.approx(20)
