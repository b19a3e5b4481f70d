from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fusekit.data import labels
from fusekit.errors import RecipeError
from fusekit.nn.discriminator import Discriminator, quadrant_of


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_layer_by_layer_counts_of_spec_1_2() -> None:
    with torch.device("meta"):
        d = Discriminator((3, 128, 128), (64, 32, 32))
    rows = [784, 8_224, 32_832, 131_200, 524_544, 2_097_664]
    assert [_count(layer) for layer in d.body if isinstance(layer, nn.Conv2d)] == rows
    assert (_count(d.source), _count(d.affect)) == (4_608, 4_096)
    assert _count(d) + 10 == 2_803_962  # 10: a linear layer of the authors that is never called


@pytest.mark.parametrize(("size", "layers"), [(16, 3), (32, 4), (64, 5), (128, 6)])
def test_the_body_always_ends_at_two_by_two(size: int, layers: int) -> None:
    d = Discriminator((3, size, size), (8, size // 4, size // 4), width=2)
    assert sum(isinstance(layer, nn.Conv2d) for layer in d.body) == layers
    h = d.body(torch.zeros(1, 3, size, size))
    assert h.shape == (1, 2 * 2 ** (layers - 1), 2, 2)
    assert d.source(h).shape == (1, 1, 2, 2)
    assert d.affect(h).shape == (1, 2, 1, 1)


def test_the_score_is_the_mean_of_the_patch_map_without_a_squash() -> None:
    d = Discriminator((3, 16, 16), (8, 4, 4), width=2)
    x = 1e5 * torch.randn(3, 3, 16, 16)
    score, affect = d.judge(x)
    torch.testing.assert_close(score, d.source(d.body(x)).flatten(1).mean(1))
    assert affect.shape == (3, 2)
    assert score.abs().max() > 1


def test_quadrants_of_all_signs_and_ties() -> None:
    affect = torch.tensor(
        [[0.3, 0.2], [-0.3, 0.2], [-0.3, -0.2], [0.3, -0.2], [0.0, 0.0], [-0.0, -1e-9], [0.0, -1.0]]
    )
    assert quadrant_of(affect).tolist() == [0, 1, 2, 3, 0, 3, 3]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32)), min_size=1, max_size=20))
def test_quadrants_agree_with_those_of_the_labels(values: list[tuple[float, float]]) -> None:
    array = np.asarray(values, np.float32)
    np.testing.assert_array_equal(quadrant_of(torch.from_numpy(array)).numpy(), labels.quadrant(array))


def test_the_latent_carries_estimates_of_the_reconstruction_and_no_gradient_through_q() -> None:
    d = Discriminator((3, 16, 16), (8, 4, 4), width=2)
    x, z = torch.randn(4, 3, 16, 16, requires_grad=True), torch.randn(4, 8, 4, 4)
    latent = d(x, z)
    score, affect = d.judge(x)
    assert latent.z is z
    assert latent.affect is not None
    assert latent.realness is not None
    assert latent.quadrant is not None
    torch.testing.assert_close(latent.affect, affect)
    torch.testing.assert_close(latent.realness, score)
    assert latent.quadrant.dtype == torch.int64
    assert not latent.quadrant.requires_grad
    assert latent.logits is None
    with pytest.raises(ValueError, match="reconstruction"):
        d(None, z)


def test_samples_never_mix() -> None:
    d = Discriminator((3, 16, 16), (8, 4, 4), width=2)
    x = torch.randn(4, 3, 16, 16)
    changed = x.clone()
    changed[2] += 5.0
    for a, b in zip(d.judge(x), d.judge(changed), strict=True):
        torch.testing.assert_close(a[[0, 1, 3]], b[[0, 1, 3]])
        assert not torch.allclose(a[2], b[2])


def test_every_parameter_learns() -> None:
    d = Discriminator((3, 16, 16), (8, 4, 4), width=2)
    score, affect = d.judge(torch.randn(3, 3, 16, 16))
    (score.sum() + affect.square().sum()).backward()
    assert [n for n, p in d.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("raw", [(3, 24, 24), (3, 8, 8), (3, 16, 32), (40,)])
def test_windows_of_another_shape_are_refused(raw: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="square pictures"):
        Discriminator(raw, (8, 4, 4))
