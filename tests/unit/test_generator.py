from __future__ import annotations

import pytest
import torch
from torch import nn

from fusekit.errors import RecipeError
from fusekit.nn.generator import DenoisingGenerator, ResidualBlock

PAPER = (3, 128, 128)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_layer_by_layer_counts_of_spec_1_1() -> None:
    with torch.device("meta"):
        g = DenoisingGenerator(PAPER)
    rows = [2_352 + 32, 8_192 + 64, 32_768 + 128, 73_984, 73_984, 73_984]
    assert [_count(layer) for layer in g.encoder] == rows
    assert [_count(layer) for layer in g.decoder] == [73_984, 73_984, 32_768 + 64, 8_192 + 32, 2_352, 0]
    assert (_count(g.encoder), _count(g.decoder), _count(g)) == (265_488, 191_376, 456_864)


def test_layer_by_layer_shapes_of_spec_1_1() -> None:
    with torch.device("meta"):
        g, x = DenoisingGenerator(PAPER), torch.empty(2, *PAPER)
        shapes = []
        for layer in [*g.encoder, *g.decoder]:
            x = layer(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes[:3] == [(16, 128, 128), (32, 64, 64), (64, 32, 32)]
    assert shapes[3:8] == [(64, 32, 32)] * 5
    assert shapes[8:] == [(32, 64, 64), (16, 128, 128), (3, 128, 128), (3, 128, 128)]
    assert g.out_shape == (64, 32, 32)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_smaller_pictures_have_a_latent_of_a_quarter(size: int) -> None:
    g = DenoisingGenerator((1, size, size), width=4)
    z = g.encode(torch.zeros(1, 1, size, size))
    assert z.shape[1:] == g.out_shape == (16, size // 4, size // 4)
    assert g.decode(z).shape == (1, 1, size, size)


def test_only_the_bottleneck_lacks_the_skip_and_the_option_adds_no_parameter() -> None:
    plain = DenoisingGenerator((3, 16, 16), width=2)
    skips = [b.skip for b in plain.modules() if isinstance(b, ResidualBlock)]
    assert skips == [True, True, False, True, True]
    torch.manual_seed(0)
    with_skip = DenoisingGenerator((3, 16, 16), width=2, bottleneck_skip=True)
    assert _count(with_skip) == _count(plain)
    with_skip.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 16, 16)
    before = plain.encoder[:-1](x)
    torch.testing.assert_close(with_skip.encode(x), plain.encode(x) + before)


def test_norms_use_each_sample_s_own_statistics_in_training_and_evaluation() -> None:
    g = DenoisingGenerator((3, 16, 16), width=4)
    x = torch.randn(3, 3, 16, 16)
    trained = g.train()(x)
    torch.testing.assert_close(g.eval()(x), trained, rtol=0, atol=0)
    assert not list(g.buffers())
    # The first convolution has no bias, so its norm takes every sample's own scale away.
    torch.testing.assert_close(
        g(x * torch.tensor([1.0, 7.0, 0.3]).view(3, 1, 1, 1)), trained, rtol=1e-3, atol=1e-3
    )
    first = nn.InstanceNorm2d(4)(g.encoder[0][0](x))
    torch.testing.assert_close(g.encoder[0](x), first.relu())


def test_samples_never_mix() -> None:
    g = DenoisingGenerator((3, 16, 16), width=4)
    x = torch.randn(4, 3, 16, 16)
    order = torch.tensor([2, 0, 3, 1])
    out = g.decode(g.encode(x))
    torch.testing.assert_close(g.decode(g.encode(x[order])), out[order])
    changed = x.clone()
    changed[1] = 99.0
    torch.testing.assert_close(g.decode(g.encode(changed))[[0, 2, 3]], out[[0, 2, 3]])


def test_reconstruction_stays_within_the_picture_s_range() -> None:
    g = DenoisingGenerator((3, 16, 16), width=4)
    x = g.decode(1e3 * torch.randn(2, *g.out_shape))
    assert x.abs().max() <= 1.0


def test_every_parameter_learns() -> None:
    g = DenoisingGenerator((3, 16, 16), width=4)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    (g.decode(g.encode(x)) - x).abs().mean().backward()
    dead = [n for n, p in g.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


@pytest.mark.parametrize("raw", [(3, 16, 32), (3, 18, 18), (8,), (3, 64)])
def test_windows_that_are_no_square_pictures_are_refused(raw: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="multiple of 4"):
        DenoisingGenerator(raw)
