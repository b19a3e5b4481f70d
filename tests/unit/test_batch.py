from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.batch import collate, to_float


def _window(steps: int, seed: int = 0, **more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "inputs": {
            "face": rng.integers(1, 256, (steps, 3, 2, 2)).astype(np.uint8),
            "ecg": rng.normal(size=(steps, 5)).astype(np.float32),
        },
        "present": np.ones((steps, 2), bool),
        "valid": np.ones(steps, bool),
        "known": np.ones((steps, 2), bool),
        "target": rng.uniform(0.1, 1, (steps, 2)).astype(np.float32),
        "quadrant": rng.integers(0, 4, steps),
        "time": 10.0 + np.arange(steps) / 3,
        "clip": seed,
        "index": 100 + seed,
        **more,
    }


def test_pictures_span_minus_one_to_one() -> None:
    x = to_float(torch.tensor([0, 255, 51], dtype=torch.uint8))
    assert x.dtype == torch.float32
    torch.testing.assert_close(x, torch.tensor([-1.0, 1.0, -0.6]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int16])
def test_other_dtypes_keep_their_values(dtype: torch.dtype) -> None:
    x = to_float(torch.tensor([0, 255, -3]).to(dtype))
    assert x.dtype == torch.float32
    assert x.tolist() == [0.0, 255.0, -3.0]


def test_to_float_leaves_its_input_alone() -> None:
    x = torch.tensor([0.5, 1.0])
    to_float(x)
    assert x.tolist() == [0.5, 1.0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_collate_keeps_every_window_and_marks_the_rest_unreal(lengths: list[int]) -> None:
    windows = [_window(n, i, context={"speaker": np.full(n, i + 1)}) for i, n in enumerate(lengths)]
    batch = collate(windows)
    longest = max(lengths)
    assert len(batch) == len(lengths)
    for i, (n, w) in enumerate(zip(lengths, windows, strict=True)):
        for m in ("face", "ecg"):
            np.testing.assert_array_equal(batch.inputs[m][i, :n].numpy(), w["inputs"][m])
            assert batch.inputs[m].dtype == torch.as_tensor(w["inputs"][m]).dtype
            assert not batch.inputs[m][i, n:].any()
        for name in ("present", "valid", "known"):
            assert getattr(batch, name).dtype == torch.bool
            assert getattr(batch, name)[i, :n].all()
            assert not getattr(batch, name)[i, n:].any()
        np.testing.assert_array_equal(batch.target[i, :n].numpy(), w["target"])
        assert not batch.target[i, n:].any()
        np.testing.assert_array_equal(batch.quadrant[i, :n].numpy(), w["quadrant"])
        assert (batch.quadrant[i, n:] == -1).all()
        np.testing.assert_array_equal(batch.time[i, :n].numpy(), w["time"])
        np.testing.assert_array_equal(batch.context["speaker"][i, :n].numpy(), np.full(n, i + 1))
        assert batch.context["speaker"].shape == (len(lengths), longest)
    assert batch.time.dtype == torch.float64  # float32 seconds lose milliseconds after some hours
    assert batch.clip.tolist() == list(range(len(lengths)))
    assert batch.index.tolist() == [100 + i for i in range(len(lengths))]


def test_to_moves_every_field() -> None:
    batch = collate([_window(2, context={"speaker": np.arange(2)})]).to("meta")
    for f in fields(batch):
        value = getattr(batch, f.name)
        for tensor in value.values() if isinstance(value, dict) else [value]:
            assert tensor.device.type == "meta"
