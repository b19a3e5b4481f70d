"""Degradation `ecg`: a row's own draws, what each kind is, and limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fusekit.errors import RecipeError
from fusekit_ecg.cases import heart
from fusekit_ecg.damage import ECGDegradation

RATE = 128


def _waves(rows: int = 6, leads: int = 2) -> Tensor:
    wave = 0.6 * heart(rows * 8, RATE)[0].astype(np.float32)
    return torch.from_numpy(wave.reshape(rows, 1, -1).repeat(leads, axis=1)).clamp(-1, 1)


def _rngs(rows: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(rows)]


def _one(kind: str, strength: float, seed: int = 0, leads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Clean and damaged, `(leads, samples)`."""
    clean = _waves(1, leads)[0] * 0.2
    damaged = ECGDegradation(rate=RATE).damage(clean, kind, strength, np.random.default_rng(seed))
    return clean.numpy(), damaged.numpy()


def test_each_row_is_its_generator_s_alone() -> None:
    x = _waves()
    damage = ECGDegradation(probability=1.0, severity=(1.0, 4.0))
    before = x.clone()
    whole = damage(x, _rngs(6))
    assert torch.equal(x, before)
    assert torch.equal(whole, damage(x, _rngs(6)))
    assert torch.equal(whole[2:4], damage(x[2:4], _rngs(6)[2:4]))
    assert not torch.equal(whole, damage(x, _rngs(6, seed=1)))
    assert whole.abs().max() <= 1
    assert whole.dtype == x.dtype


def test_probability_is_the_share_that_is_damaged() -> None:
    x = _waves(1).expand(400, -1, -1)
    changed = (ECGDegradation(probability=0.3)(x, _rngs(400)) != x).flatten(1).any(1)
    assert 0.22 < changed.float().mean() < 0.38
    assert not (ECGDegradation(probability=0.0)(x, _rngs(400)) != x).any()


def test_wander_is_slow_and_of_its_strength() -> None:
    clean, damaged = _one("baseline-wander", 0.4)
    noise = damaged - clean
    spectrum = np.abs(np.fft.rfft(noise * np.hanning(noise.shape[1]))) ** 2
    hz = np.fft.rfftfreq(noise.shape[1], 1 / RATE)
    assert spectrum[:, hz < 1.2].sum() > 0.98 * spectrum.sum()
    assert 0.05 < np.abs(noise).max() <= 0.4 + 1e-6


def test_hum_is_of_the_mains() -> None:
    for seed in range(6):
        clean, damaged = _one("mains-hum", 0.2, seed)
        spectrum = np.abs(np.fft.rfft(damaged - clean))
        hz = np.fft.rfftfreq(clean.shape[1], 1 / RATE)
        assert min(abs(hz[spectrum[0].argmax()] - m) for m in (50, 60)) < 0.2
        assert np.abs(damaged - clean).max() == pytest.approx(0.2, abs=0.01)


def test_hum_above_half_the_rate_is_none() -> None:
    clean = _waves(1)[0]
    damage = ECGDegradation(rate=80)
    for seed in range(4):
        damaged = damage.damage(clean, "mains-hum", 0.4, np.random.default_rng(seed))
        assert torch.allclose(damaged, clean)


def test_motion_jumps_and_fades() -> None:
    clean, damaged = _one("electrode-motion", 1.0, leads=1)
    noise = np.abs(damaged - clean)[0]
    assert np.abs(np.diff(noise)).max() > 0.3
    assert noise.max() > 0.4
    assert noise.max() <= 2


def test_muscle_noise_is_fast() -> None:
    clean, damaged = _one("muscle-noise", 0.1)
    noise = damaged - clean
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(noise.shape[1], 1 / RATE)
    assert spectrum[:, hz < 18].sum() < 0.02 * spectrum.sum()
    assert 0.02 < noise.std() < 0.1


def test_drop_out_is_a_stretch_of_one_lead_at_least() -> None:
    for seed in range(10):
        clean, damaged = _one("drop-out", 1 / 8, seed, leads=3)
        gone = (damaged == 0) & (clean != 0)
        hit = gone.any(axis=1)
        assert hit.any()
        for row in np.flatnonzero(hit):
            at = np.flatnonzero(gone[row])
            assert at[-1] - at[0] + 1 <= clean.shape[1] // 8
        np.testing.assert_array_equal(damaged[~hit], clean[~hit])
    assert not _one("drop-out", 9.0, leads=1)[1].any()


@pytest.mark.parametrize(
    "arguments", [{"severity": (0.5,)}, {"severity": ()}, {"probability": 1.5}, {"rate": 3}]
)
def test_arguments_that_make_no_sense(arguments: dict) -> None:
    with pytest.raises(RecipeError, match=next(iter(arguments))):
        ECGDegradation(**arguments)
