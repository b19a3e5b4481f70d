from __future__ import annotations

import pytest
import torch
from torch import nn

from fusekit.contracts import Latent, Projector
from fusekit.errors import RecipeError
from fusekit.nn.projectors import ConvPyramid, LinearProjector

MAP = (8, 8, 8)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _latent(shape: tuple[int, ...] = MAP, n: int = 4) -> Latent:
    return Latent(z=torch.randn(n, *shape), quadrant=torch.arange(n) % 4)


def test_layer_by_layer_counts_of_spec_1_5() -> None:
    with torch.device("meta"):
        p, q = ConvPyramid((64, 32, 32), "none"), ConvPyramid((64, 32, 32), "channel")
    rows = [16_400, 8_224, 32_832, 131_200, 524_544]
    assert [_count(layer) for layer in p.body if isinstance(layer, nn.Conv2d)] == rows
    assert (_count(p), _count(q), p.out_dim, q.out_dim) == (713_200, 713_456, 256, 256)


@pytest.mark.parametrize(("size", "layers"), [(4, 2), (8, 3), (16, 4), (32, 5)])
def test_shallower_for_smaller_latents(size: int, layers: int) -> None:
    p = ConvPyramid((8, size, size), "none", width=2)
    assert sum(isinstance(layer, nn.Conv2d) for layer in p.body) == layers
    assert p(_latent((8, size, size))).shape == (4, p.out_dim) == (4, 2 * 2 ** (layers - 1))


@pytest.mark.parametrize("make", [ConvPyramid, LinearProjector])
@pytest.mark.parametrize("conditioning", ["channel", "vector", "none"])
def test_out_dim_is_honest_and_q_enters_only_where_it_should(
    make: type[Projector], conditioning: str
) -> None:
    p = make(MAP, conditioning)  # type: ignore[call-arg]
    latent = _latent()
    f = p(latent)
    assert f.shape == (4, p.out_dim)
    other = p(Latent(z=latent.z, quadrant=torch.tensor([1, 1, 2, 3])))
    torch.testing.assert_close(f[1:], other[1:])
    assert torch.equal(f[0], other[0]) == (conditioning == "none")
    if conditioning == "vector":
        half = p.out_dim // 2
        torch.testing.assert_close(f[:, half:], torch.arange(4.0)[:, None].expand(-1, half))


def test_the_plane_holds_the_integer_quadrant() -> None:
    p = ConvPyramid(MAP, "channel", width=2)
    first = p.body[0]
    assert isinstance(first, nn.Conv2d)
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    p(_latent())
    assert seen[0].shape == (4, 9, 8, 8)
    torch.testing.assert_close(seen[0][:, 8], torch.arange(4.0).view(4, 1, 1).expand(-1, 8, 8))


@pytest.mark.parametrize("make", [ConvPyramid, LinearProjector])
@pytest.mark.parametrize("conditioning", ["channel", "vector"])
def test_without_a_quadrant_there_is_a_clear_fault(make: type[Projector], conditioning: str) -> None:
    with pytest.raises(RecipeError, match="conditioning: none"):
        make(MAP, conditioning)(Latent(z=torch.randn(2, *MAP)))  # type: ignore[call-arg]


@pytest.mark.parametrize("shape", [(6,), (6, 10), (6, 3, 4)])
def test_linear_takes_vectors_series_and_maps(shape: tuple[int, ...]) -> None:
    p = LinearProjector(shape, "none", dim=7)
    assert p(_latent(shape)).shape == (4, 7)


@pytest.mark.parametrize("make", [ConvPyramid, LinearProjector])
def test_samples_never_mix_and_every_parameter_learns(make: type[Projector]) -> None:
    p = make(MAP, "channel")  # type: ignore[call-arg]
    latent = _latent(n=16)
    f = p(latent)
    changed = latent.z.clone()
    changed[2] += 3.0
    g = p(Latent(z=changed, quadrant=latent.quadrant))
    keep = [i for i in range(16) if i != 2]
    torch.testing.assert_close(f[keep], g[keep])
    assert not torch.allclose(f[2], g[2])
    f.square().sum().backward()
    assert [n for n, q in p.named_parameters() if q.grad is None or not q.grad.any()] == []


@pytest.mark.parametrize("shape", [(6,), (6, 10), (6, 6, 6), (6, 4, 8)])
def test_the_pyramid_refuses_what_it_cannot_halve_to_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="power of two"):
        ConvPyramid(shape, "none")


def test_dropout_of_the_linear_projector_is_for_training_alone() -> None:
    torch.manual_seed(0)
    p = LinearProjector((6,), "none", dim=5, dropout=0.5)
    latent = Latent(z=torch.randn(4, 6))
    assert not torch.equal(p(latent), p(latent))
    p.eval()
    torch.testing.assert_close(p(latent), torch.relu(p.body[0](latent.z)))
    with pytest.raises(RecipeError, match="dropout must be from 0 to below 1, found 1"):
        LinearProjector((6,), "none", dim=5, dropout=1.0)


def test_standardised_it_sees_neither_level_nor_contrast_of_a_channel() -> None:
    torch.manual_seed(0)
    p = ConvPyramid((4, 16, 16), "none", width=4, standardise=True)
    z = torch.randn(3, 4, 16, 16)
    level, contrast = torch.randn(3, 4, 1, 1), torch.rand(3, 4, 1, 1) * 9 + 0.5
    torch.testing.assert_close(p(Latent(z=z)), p(Latent(z=level + contrast * z)), rtol=1e-3, atol=1e-3)
    plain = ConvPyramid((4, 16, 16), "none", width=4)
    plain.load_state_dict(p.state_dict())  # the option adds no parameter
    standard = (z - z.mean((2, 3), keepdim=True)) / (z.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(plain(Latent(z=standard)), p(Latent(z=z)), rtol=1e-4, atol=1e-4)
    flat = p(Latent(z=torch.zeros(2, 4, 16, 16)))
    assert torch.isfinite(flat).all()
