"""Baselines: pooling by hand, ridge against its closed form, absence, unknown labels, choice of penalty."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusekit.contracts import Reader
from fusekit.data.readers.face_video import FaceVideo
from fusekit.data.readers.mel_spectrogram import MelSpectrogram
from fusekit.data.readers.pooling import grid_means
from fusekit.engine.metrics import scores
from fusekit.study.baselines import PENALTIES, fit_constant, fit_ridge, join_features, pooled_features


def test_picture_becomes_means_of_an_8_by_8_grid_per_colour() -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 64), dtype=np.uint8)
    ours = grid_means(x)
    assert ours.shape == (5, 3 * 64)
    cell = x[2, 1, 4 * 3 : 4 * 4, 8 * 5 : 8 * 6] / 127.5 - 1
    assert ours[2, 64 + 3 * 8 + 5] == pytest.approx(cell.mean(), abs=1e-5)
    assert grid_means(np.full((1, 3, 64, 64), 255, np.uint8)) == pytest.approx(1)
    with pytest.raises(ValueError, match="cannot be pooled"):
        grid_means(np.zeros((2, 3, 4, 16)))


def test_sizes_that_do_not_divide_are_covered_whole() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 50, 61)).astype(np.float32)
    ours = grid_means(x).reshape(2, 3, 8, 8)
    rows, columns = np.arange(9) * 50 // 8, np.arange(9) * 61 // 8
    assert ours[1, 2, 7, 0] == pytest.approx(x[1, 2, rows[7] :, : columns[1]].mean(), abs=1e-5)


def test_spectrogram_becomes_the_mean_over_time_of_each_mel() -> None:
    x = np.random.default_rng(0).normal(size=(4, 1, 64, 64)).astype(np.float32).repeat(3, axis=1)
    assert pooled_features(MelSpectrogram(mels=64), x) == pytest.approx(x[:, 0].mean(-1), abs=1e-6)


class Series(FaceVideo):
    """A reader that does not say how it is pooled."""

    pooled = Reader.pooled

    def __init__(self, *raw_shape: int) -> None:
        self.raw_shape = raw_shape


def test_other_windows_are_pooled_by_their_last_axis_and_vectors_stay() -> None:
    x = np.random.default_rng(0).normal(size=(4, 2, 5, 30)).astype(np.float32)
    assert pooled_features(Series(2, 5, 30), x) == pytest.approx(x.mean(-1).reshape(4, 10), abs=1e-6)
    assert np.array_equal(pooled_features(Series(30), x[:, 0, 0]), x[:, 0, 0])


def test_pooling_goes_in_blocks_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    x, reader = np.random.default_rng(0).normal(size=(20, 3, 16, 16)).astype(np.float32), FaceVideo(size=16)
    whole = pooled_features(reader, x)
    monkeypatch.setattr("fusekit.study.baselines._ROWS", 7)
    assert np.array_equal(pooled_features(reader, x), whole)
    assert pooled_features(reader, x[:0]).shape == (0, 192)


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(ValueError, match="expected windows"):
        pooled_features(MelSpectrogram(), np.zeros((2, 300)))
    reader = Series(30)
    reader.pooled = lambda windows: windows.mean()  # type: ignore[method-assign, assignment]
    with pytest.raises(ValueError, match="pooled made"):
        pooled_features(reader, np.zeros((2, 30)))


def data(n: int, seed: int, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)) * [1, 10, 0.1, 1, 1, 0] + [0, 5, 0, 0, -3, 2]
    y = np.stack([0.5 * x[:, 0] + 0.1 * x[:, 1], 3 * x[:, 2] - 0.3 * x[:, 4]], 1)
    return x, y + noise * rng.normal(size=y.shape)


def test_ridge_equals_the_closed_form_and_finds_the_truth() -> None:
    (x, y), (vx, vy), (tx, ty) = data(400, 0), data(200, 1), data(200, 2)
    ridge = fit_ridge(x, y, vx, vy)
    ours = scores(ridge.predict(tx), ty, np.ones(ty.shape, bool), ("a", "b"))
    assert ours["ccc"]["mean"] > 0.95
    z = (x - x.mean(0)) / np.where(x.std(0) > 1e-6, x.std(0), 1)
    for k in range(2):
        gram = z.T @ z + ridge.penalty[k] * len(z) * np.eye(6)
        expected = np.linalg.solve(gram, z.T @ (y[:, k] - y[:, k].mean()))
        assert ridge.coefficients[:, k] == pytest.approx(expected, abs=1e-8)
    assert ridge.predict(x).mean(0) == pytest.approx(y.mean(0))


def test_penalty_is_the_best_on_validation_and_changes_with_it() -> None:
    rng = np.random.default_rng(0)
    x, vx = rng.normal(size=(60, 50)), rng.normal(size=(300, 50))
    weak = np.zeros(50)
    weak[0] = 1
    y, vy = (z @ weak + 2 * rng.normal(size=len(z)) for z in (x, vx))
    ridge = fit_ridge(x, y[:, None], vx, vy[:, None])
    assert PENALTIES[0] < ridge.penalty[0] < PENALTIES[-1]
    own = scores(ridge.predict(vx), vy[:, None], np.ones((300, 1), bool), ("a",))["ccc"]["a"]
    assert own == pytest.approx(ridge.validation_ccc[0])
    assert fit_ridge(x, y[:, None], x, y[:, None]).penalty[0] == PENALTIES[0]


def test_absent_modality_is_the_training_mean() -> None:
    (x, y), (vx, vy) = data(300, 0), data(100, 1)
    present = np.random.default_rng(3).random((300, 2)) > 0.3
    filled = join_features([x[:, :2], x[:, 2:]], present)
    assert np.isnan(filled[~present[:, 0], 0]).all()
    assert np.array_equal(filled[present[:, 1], 2:], x[present[:, 1], 2:])
    ridge = fit_ridge(filled, y, join_features([vx[:, :2], vx[:, 2:]], np.ones((100, 2), bool)), vy)
    assert ridge.mean[0] == pytest.approx(x[present[:, 0], 0].mean())
    absent, mean = vx[:4].copy(), vx[:4].copy()
    absent[:, :2], mean[:, :2] = np.nan, ridge.mean[:2]
    assert ridge.predict(absent) == pytest.approx(ridge.predict(mean))
    never = filled.copy()
    never[:, :2] = np.nan
    assert np.isfinite(fit_ridge(never, y, vx, vy).predict(vx)).all()
    with pytest.raises(ValueError, match="2 modalities"):
        join_features([x, x], present[:, :1])


def test_unknown_labels_do_not_count() -> None:
    (x, y), (vx, vy) = data(300, 0), data(100, 1)
    gaps = y.copy()
    gaps[200:, 0] = np.nan
    ridge = fit_ridge(x, gaps, vx, np.where(np.arange(100)[:, None] < 50, vy, np.nan))
    assert np.isfinite(ridge.coefficients).all()
    full = fit_ridge(x, y, vx[:50], vy[:50])
    assert ridge.coefficients[:, 1] == pytest.approx(full.coefficients[:, 1])
    gaps[:, 0] = np.nan
    with pytest.raises(ValueError, match=r"no training label"):
        fit_ridge(x, gaps, vx, vy)


def test_without_validation_labels_the_strongest_penalty_stands() -> None:
    (x, y), (vx, vy) = data(50, 0), data(20, 1)
    ridge = fit_ridge(x, y, vx, np.full_like(vy, np.nan))
    assert set(ridge.penalty) == {PENALTIES[-1]}
    assert np.isnan(ridge.validation_ccc).all()


def test_constant_is_the_training_mean_and_has_no_ccc() -> None:
    y = np.array([[0.0, 1.0], [1.0, np.nan], [0.5, -1.0]])
    constant = fit_constant(y)
    assert constant.value == pytest.approx([0.5, 0.0])
    predicted = constant.predict(np.zeros((3, 9)))
    ours = scores(predicted, y, ~np.isnan(y), ("a", "b"))
    assert math.isnan(ours["ccc"]["mean"])
    assert ours["rmse"]["b"] == pytest.approx(1)
    with pytest.raises(ValueError, match="no training label"):
        fit_constant(np.full((3, 1), np.nan))
