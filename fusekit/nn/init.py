"""Initial weights."""

from __future__ import annotations

from torch import nn


def paper_init(module: nn.Module) -> None:
    """Linear: uniform within 1/sqrt(fan-in), zero bias (spec 3.5). Convolutions: He, keeping the variance.

    The authors draw convolutions within 1/sqrt(in channels), not fan-in. Without a norm (D, the latent
    encoder) that multiplies the variance by about 2.7 per layer, so that six layers start with outputs some
    twenty times too large and the gate's tanh saturates. torch's default divides it by 6 per layer: the
    features, and with them the gate's logits and the critic's gradient, start near 0 and learn late. With
    instance norm (G) the scale cancels.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = part.in_features**-0.5
            nn.init.uniform_(part.weight, -bound, bound)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d):
            nn.init.kaiming_uniform_(part.weight, a=0.01, nonlinearity="leaky_relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
