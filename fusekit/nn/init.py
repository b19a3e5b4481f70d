"""Initial weights."""

from __future__ import annotations

from torch import nn


def paper_init(module: nn.Module) -> None:
    """Linear: uniform within 1/sqrt(fan-in), zero bias (spec 3.5). Convolutions keep torch's default.

    The authors draw convolutions within 1/sqrt(in channels), not fan-in. Without a norm (D, the latent
    encoder) that multiplies the variance by about 2.7 per layer, so six layers start with outputs some twenty
    times too large, which saturates the gate's tanh; with instance norm (G) the scale of a convolution
    cancels anyway.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = part.in_features**-0.5
            nn.init.uniform_(part.weight, -bound, bound)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
