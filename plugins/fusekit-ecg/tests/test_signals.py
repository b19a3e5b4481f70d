"""Resampling and the baseline: what the readers count on."""

from __future__ import annotations

import numpy as np
import pytest

from fusekit_ecg.signals import DRIFT, resample, without_baseline


@pytest.mark.parametrize("rate", [249.89, 255.97, 256, 128.02, 511.98, 1000.5])
def test_a_resampled_signal_keeps_its_time(rate: float) -> None:
    """A second's pulse every minute over two hours: at the end it is still where it was."""
    seconds = 7200
    t = np.arange(int(seconds * rate)) / rate
    pulses = np.exp(-0.5 * (((t + 30) % 60 - 30) / 0.2) ** 2)
    out = resample(pulses[:, None], rate, 128)[:, 0]
    late = np.arange(len(out)) / 128
    near = np.abs(late - (seconds - 60)) < 2
    middle = (late[near] * out[near]).sum() / out[near].sum()
    assert abs(middle - (seconds - 60)) < 2 * DRIFT * seconds
    assert len(out) == pytest.approx(seconds * 128, abs=2)


def test_the_baseline_is_that_of_the_paper_s_matrices() -> None:
    """I - (I + weight D'D)^-1, in full; 0.5 Hz is halved."""
    x = np.random.default_rng(0).standard_normal((3, 2, 256)) + np.linspace(0, 5, 256)
    second = np.diff(np.eye(256), n=2, axis=0)
    weight = (64 / (2 * np.pi * 0.5)) ** 4
    trend = np.linalg.solve(np.eye(256) + weight * second.T @ second, x.reshape(6, 256).T).T
    out = without_baseline(x, 64, 0.5)
    np.testing.assert_allclose(out, x - trend.reshape(x.shape), atol=1e-7)
    np.testing.assert_array_equal(out[1:2], without_baseline(x[1:2], 64, 0.5))
    slow = np.sin(2 * np.pi * 0.5 * np.arange(64 * 40) / 64)
    left = without_baseline(slow, 64, 0.5)[64 * 10 : -64 * 10]
    assert np.abs(left).max() == pytest.approx(0.5, abs=0.01)


def test_the_longest_window_has_a_baseline_too() -> None:
    assert np.abs(without_baseline(np.full((2, 120_000), 3.0), 1000, 0.5)).max() < 1e-3
