"""The paper's D: real against fake, and coarse affect whose signs are the quadrant (spec 1.2, 1.3)."""

from __future__ import annotations

from math import log2
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from fusekit.contracts import Latent, QuadrantHead
from fusekit.errors import RecipeError
from fusekit.nn.init import paper_init


def quadrant_of(affect: Tensor) -> Tensor:
    """`(N, 2)` valence, arousal -> `(N,)` int64: 0 V+A+, 1 V-A+, 2 V-A-, 3 V+A-; ties are high (spec 1.3)."""
    low_v, low_a = affect[:, 0] < 0, affect[:, 1] < 0
    return torch.where(low_a, torch.where(low_v, 2, 3), torch.where(low_v, 1, 0))


class Discriminator(QuadrantHead):
    """D: `(N, C, S, S)` -> critic score `(N,)`, affect `(N, 2)` and its quadrant, thresholds at 0 (eq. 2).

    log2(S) - 1 convolutions k4 s2, each followed by LeakyReLU(0.01), lead to a 2 x 2 map. At 128 pixels and
    width 16 it has 2,803,952 parameters (the paper's count adds a linear layer of 10 that is never called).

    Args:
        raw_shape: `(C, S, S)`, S a power of two of at least 16.
        latent_shape: not used; D reads the reconstruction.
        conditioning: how the projector receives Q: a constant plane (`channel`), repeated features (`vector`)
            or not at all (`none`) (spec 1.4). With `none`, D does not run at inference.
        width: channels of the first layer, doubled by each further one.

    Raises:
        RecipeError: the picture is not square or its side is not a power of two.
    """

    reads: ClassVar[str] = "reconstruction"
    critic: ClassVar[bool] = True

    def __init__(
        self,
        raw_shape: tuple[int, ...],
        latent_shape: tuple[int, ...],
        *,
        conditioning: Literal["channel", "vector", "none"] = "channel",
        width: int = 16,
    ) -> None:
        super().__init__()
        channels, size = raw_shape[0], raw_shape[-1]
        if len(raw_shape) != 3 or raw_shape[1] != size or size < 16 or size & (size - 1):
            raise RecipeError(
                f"quadrant discriminator needs square pictures with a side of 16, 32, 64, 128, ...; the "
                f"reader makes {tuple(raw_shape)}."
            )
        if width < 1:
            raise RecipeError(f"quadrant discriminator: width must be at least 1, found {width}")
        self.conditioning = conditioning
        layers: list[nn.Module] = []
        for i in range(int(log2(size)) - 1):
            layers += [nn.Conv2d(channels, width * 2**i, 4, 2, 1), nn.LeakyReLU(0.01)]
            channels = width * 2**i
        self.body = nn.Sequential(*layers)
        self.source = nn.Conv2d(channels, 1, 3, 1, 1, bias=False)
        self.affect = nn.Conv2d(channels, 2, 2, 1, 0, bias=False)
        paper_init(self)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(N, C, S, S)` -> critic score `(N,)` (mean of the 2 x 2 patch map, no sigmoid), `(N, 2)`."""
        h = self.body(x)
        return self.source(h).mean(dim=(1, 2, 3)), self.affect(h).flatten(1)

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        """Reconstruction `(N, C, S, S)` and its latent -> Latent with affect, realness and quadrant."""
        if x is None:
            raise ValueError("the discriminator reads the reconstruction; decode first")
        realness, affect = self.judge(x)
        return Latent(z=z, affect=affect, realness=realness, quadrant=quadrant_of(affect.detach()))
