"""Resampling and the baseline: what the readers count on."""

from __future__ import annotations

import numpy as np
import pytest

from fusekit_ecg.signals import DRIFT, resample


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
