"""Whether a part of a branch, opened from its weights, is the one that was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusekit.contracts import (
    Degradation,
    DenoisingEncoder,
    Encoder,
    Latent,
    Projector,
    QuadrantHead,
    opening,
    reopened,
    unsaved,
)
from fusekit.dry_run.made_up import FAULTS, noise

ROWS = 2


def part_faults(
    bare: nn.Module, make: Callable[[], nn.Module], raw_shape: Sequence[int], latent_shape: Sequence[int]
) -> list[str]:
    """Why an encoder, quadrant head or projector would not come back from its weights; empty if it would.

    Only one that holds something outside its state dict is tried: made for real, called in training, made
    anew, given the weights, and asked the same.

    Args:
        bare: the part on the meta device; make: makes it anew.
    """
    outside = [k for k, v in unsaved(bare).items() if isinstance(v, Tensor | np.ndarray)]
    extra = [k for k, v in bare.state_dict().items() if not isinstance(v, Tensor)]
    if not outside and not extra:
        return []
    g = torch.Generator(device="cpu").manual_seed(0)
    x, z = noise(g, ROWS, *raw_shape), noise(g, ROWS, *latent_shape)
    with torch.no_grad():
        with opening(seed=0):
            first = make()
            first.train()
            for _ in range(2):  # what it gathers as it runs must be kept with the weights
                _ask(first, x, z)
        first.eval()
        try:
            again = reopened(make, first.state_dict(), seed=1)
        except (TypeError, ValueError, RuntimeError) as error:
            return [f"its weights cannot be kept and opened again: {str(error).splitlines()[0]}"]
        same = all(torch.equal(a, b) for a, b in zip(_ask(first, x, z), _ask(again, x, z), strict=True))
    if same:
        return []
    held = ", ".join(f"`{name}`" for name in outside[:3]) or "something"
    return [
        f"opened again from its weights it answers otherwise than it did: it holds {held} outside its state "
        "dict, not made alike each time or changed as it runs. Use `register_buffer`, so that it is kept"
    ]


def damage_faults(damage: Degradation, raw_shape: Sequence[int]) -> list[str]:
    """What a degradation does to made-up windows that none may: fail, or change their shape or kind."""
    x = noise(torch.Generator(device="cpu").manual_seed(0), ROWS, *raw_shape)
    try:
        found = damage(x.clone(), [np.random.default_rng(i) for i in range(ROWS)])
    except FAULTS as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return [f"{type(damage).__name__} fails on windows {tuple(raw_shape)}: {reason}"]
    if found.shape != x.shape or not found.is_floating_point():
        return [f"{type(damage).__name__} makes {tuple(found.shape)} {found.dtype} of {tuple(x.shape)}"]
    return []


def _ask(part: nn.Module, x: Tensor, z: Tensor) -> list[Tensor]:
    quadrant = torch.arange(len(z)) % 4
    if isinstance(part, Encoder):
        latent = part.encode(x)
        return [latent, part.decode(latent)] if isinstance(part, DenoisingEncoder) else [latent]
    if isinstance(part, QuadrantHead):
        found = part(x if part.reads == "reconstruction" else None, z)
        answers = [v for v in vars(found).values() if isinstance(v, Tensor)]
        judge: Any = part
        return [*answers, *judge.judge(x)] if part.critic else answers
    assert isinstance(part, Projector)
    return [part(Latent(z=z, quadrant=quadrant))]
