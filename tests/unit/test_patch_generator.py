from __future__ import annotations

import pytest
import torch

from fusekit.data.degradation import PictureDegradation
from fusekit.data.sampling import sample_rngs
from fusekit.errors import RecipeError
from fusekit.nn.generator import DenoisingGenerator
from fusekit.nn.patch_generator import PatchGenerator, lowest_frequencies


def _smooth(n: int, channels: int = 3, size: int = 16) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, 4, 4, generator=g) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")


@pytest.mark.parametrize(("channels", "width"), [(1, 4), (1, 8), (3, 12), (3, 16)])
def test_it_starts_as_the_identity_where_the_latent_has_the_room(channels: int, width: int) -> None:
    x = torch.rand(2, channels, 16, 16) * 2 - 1
    g = PatchGenerator((channels, 16, 16), width=width)
    torch.testing.assert_close(g.decode(g.encode(x)), x, atol=1e-5, rtol=0)


def test_with_a_narrow_latent_it_starts_as_the_projection_on_the_lowest_frequencies() -> None:
    g = PatchGenerator((3, 8, 8), width=4)
    x = torch.rand(2, 3, 8, 8) - 0.5
    basis = lowest_frequencies(3, 16)[0].flatten(1)
    patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3)
    kept = (patches @ basis.T @ basis).unflatten(3, (3, 4, 4)).permute(0, 3, 1, 4, 2, 5).reshape(2, 3, 8, 8)
    torch.testing.assert_close(g.decode(g.encode(x)), kept, atol=1e-5, rtol=0)
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(g.decode(g.encode(flat)), flat, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("channels", "keep"), [(1, 16), (1, 40), (3, 20), (3, 48), (5, 64)])
def test_the_basis_is_orthonormal_and_begins_with_the_level(channels: int, keep: int) -> None:
    basis, frequency = lowest_frequencies(channels, keep)
    basis = basis.flatten(1)
    assert frequency[0] == 0
    assert (frequency.diff() >= 0).all()
    assert len(basis) == min(keep, 16 * channels)
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)), atol=1e-5, rtol=0)
    torch.testing.assert_close(basis[0], torch.full((16 * channels,), (16 * channels) ** -0.5))


@pytest.mark.parametrize("size", [16, 32])
def test_the_latent_has_the_shape_of_the_paper_s(size: int) -> None:
    g = PatchGenerator((3, size, size), width=4)
    z = g.encode(torch.zeros(2, 3, size, size))
    assert z.shape[1:] == g.out_shape == DenoisingGenerator((3, size, size), width=4).out_shape
    assert g.decode(z).shape == (2, 3, size, size)


def test_parameters_are_those_of_its_layers() -> None:
    g = PatchGenerator((3, 64, 64), width=8, blocks=3, hidden=24)
    block = 32 * 24 * 9 + 24 + 24 * 32 * 9 + 32
    assert sum(p.numel() for p in g.parameters()) == (32 * 48 + 32) + 5 * block + (32 * 48 + 3)


def test_what_leaves_the_range_is_cut_and_still_finds_its_way_back() -> None:
    g = PatchGenerator((1, 8, 8), width=4)
    z = (100 * torch.ones(1, *g.out_shape)).requires_grad_()
    out = g.decode(z)
    assert float(out.detach().abs().max()) <= 1
    (out - torch.zeros_like(out)).abs().sum().backward()
    assert z.grad is not None
    assert z.grad.any()


def test_every_parameter_learns_within_three_updates() -> None:
    g = PatchGenerator((1, 8, 8), width=6)  # wider than the 16 numbers of a patch
    optimizer = torch.optim.Adam(g.parameters(), lr=1e-3)
    before = {k: v.clone() for k, v in g.state_dict().items()}
    x = torch.rand(4, 1, 8, 8)
    for _ in range(3):
        optimizer.zero_grad()
        (g.decode(g.encode(x)) + x).square().mean().backward()
        optimizer.step()
    assert all((v != before[k]).any() for k, v in g.state_dict().items())
    moved = g.decoder[-1].weight != before[f"decoder.{len(g.decoder) - 1}.weight"]
    assert moved.flatten(1).any(1).all()  # channels beyond the patch's numbers, too


def test_it_removes_noise_after_few_updates() -> None:
    torch.manual_seed(0)
    g = PatchGenerator((3, 16, 16), width=4)
    noise = PictureDegradation(probability=1.0)
    noise.kinds = {"noise": (0.01,)}  # type: ignore[misc]
    optimizer = torch.optim.Adam(g.parameters(), lr=2e-3)
    x = _smooth(64)
    for i in range(60):
        n = noise(x, sample_rngs(0, i, range(64), "train"))
        optimizer.zero_grad()
        (g.decode(g.encode(n)) - x).abs().mean().backward()
        optimizer.step()
    n = noise(x, sample_rngs(1, 0, range(64), "test"))
    assert (g.decode(g.encode(n)) - x).abs().mean() < 0.6 * (n - x).abs().mean()
    assert (g.decode(g.encode(x)) - x).abs().mean() < 0.06


@pytest.mark.parametrize(
    ("shape", "more"), [((3, 16, 20), {}), ((3, 18, 18), {}), ((3, 16), {}), ((3, 16, 16), {"blocks": 0})]
)
def test_what_it_cannot_be_made_of_is_refused(shape: tuple[int, ...], more: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match="patch-generator"):
        PatchGenerator(shape, **more)  # type: ignore[arg-type]
