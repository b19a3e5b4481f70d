"""The networks: parameters, shapes for any number of leads, refusals, and what training one step changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fusekit.contracts import Latent
from fusekit.errors import RecipeError
from fusekit_ecg.cases import heart
from fusekit_ecg.damage import ECGDegradation
from fusekit_ecg.discriminator import ECGDiscriminator
from fusekit_ecg.generator import ECGGenerator
from fusekit_ecg.projector import Conv1dPyramid
from fusekit_ecg.resnet import ECGResNet1d


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_as_the_docstrings_say() -> None:
    for cls in (ECGResNet1d, ECGGenerator):
        assert f"{_count(cls((1, 1024))):,}" in (cls.__doc__ or "")


@pytest.mark.parametrize("leads", [1, 2, 12])
@pytest.mark.parametrize("samples", [256, 512, 1008, 2560])
def test_any_number_of_leads_and_samples(leads: int, samples: int) -> None:
    x = torch.rand(3, leads, samples) * 2 - 1
    generator = ECGGenerator((leads, samples), width=4)
    z = generator.encode(x)
    assert z.shape == (3, *generator.out_shape) == (3, 16, samples // 16)
    assert generator.decode(z).shape == x.shape
    critic = ECGDiscriminator((leads, samples), generator.out_shape, width=4)
    latent = critic(generator.decode(z), z)
    assert latent.affect.shape == (3, 2)
    assert latent.realness.shape == (3,)
    for conditioning in ("channel", "vector", "none"):
        projector = Conv1dPyramid(generator.out_shape, conditioning, width=4)
        assert projector(latent).shape == (3, projector.out_dim)
    resnet = ECGResNet1d((leads, samples), width=8)
    assert resnet(x).shape == (3, 40)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ECGGenerator((1, 1000)), r"multiple of 16.*\(1, 1000\).*window_s"),
        (lambda: ECGGenerator((3, 64, 64)), r"\(3, 64, 64\)"),
        (lambda: ECGGenerator((1, 1024), width=0), "width"),
        (lambda: ECGDiscriminator((1, 32), (8, 2)), "at least 64 samples"),
        (lambda: ECGDiscriminator((1, 64), (8, 2), width=0), "width"),
        (lambda: ECGResNet1d((1, 128)), "at least 256 samples"),
        (lambda: ECGResNet1d((5,)), r"\(5,\)"),
        (lambda: ECGResNet1d((1, 512), width=6), "width"),
        (lambda: ECGResNet1d((1, 512), kernel=4), "kernel"),
        (lambda: Conv1dPyramid((8,), "none"), r"\(8,\).*linear"),
        (lambda: Conv1dPyramid((8, 4, 4), "none"), "conv-pyramid"),
        (lambda: Conv1dPyramid((8, 4), "none", width=0), "width"),
    ],
)
def test_what_does_not_fit_is_refused(make: object, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make()  # type: ignore[operator]


def test_conditioning_without_a_quadrant_is_refused() -> None:
    with pytest.raises(RecipeError, match="quadrant"):
        Conv1dPyramid((8, 4), "channel")(Latent(z=torch.zeros(2, 8, 4)))


def test_the_quadrant_is_that_of_the_signs() -> None:
    critic = ECGDiscriminator((1, 64), (8, 4), width=4)
    signs = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [0.0, 0.0]])
    critic.judge = lambda x: (torch.zeros(5), signs)  # type: ignore[method-assign]
    latent = critic(torch.zeros(5, 1, 64), torch.zeros(5, 8, 4))
    assert latent.quadrant.tolist() == [0, 1, 2, 3, 0]


def test_a_wave_longer_than_a_picture_keeps_its_variance_through_the_critic() -> None:
    torch.manual_seed(0)
    critic = ECGDiscriminator((1, 1024), (64, 64))
    x = torch.randn(64, 1, 1024).clamp(-1, 1)
    score, affect = critic.judge(x)
    assert 0.02 < affect.std() < 20
    assert torch.isfinite(score).all()


def test_the_generator_learns_to_undo_damage() -> None:
    torch.manual_seed(0)
    wave = np.concatenate([heart(64, 64, seed=s)[0] for s in range(4)]).astype(np.float32)
    x = (0.6 * torch.from_numpy(wave).view(-1, 1, 256)).clamp(-1, 1)
    damage = ECGDegradation(rate=64, probability=1.0)
    generator = ECGGenerator((1, 256), width=6, blocks=1)
    optimizer = torch.optim.Adam(generator.parameters(), 3e-3)
    for step in range(200):
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:8]
        rngs = [np.random.default_rng([step, i]) for i in range(8)]
        loss = (generator.decode(generator.encode(damage(x[rows], rngs))) - x[rows]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    held = (0.6 * torch.from_numpy(heart(64, 64, seed=9)[0].astype(np.float32)).view(-1, 1, 256)).clamp(-1, 1)
    damaged = damage(held, [np.random.default_rng([999, i]) for i in range(len(held))])
    with torch.no_grad():
        undone = generator.decode(generator.encode(damaged))
    assert (undone - held).abs().mean() < 0.6 * (damaged - held).abs().mean()
