"""Quadrant head `ecg-discriminator`: real or fake wave, and coarse affect whose signs are the quadrant."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from fusekit.contracts import Latent, QuadrantHead
from fusekit.errors import RecipeError
from fusekit_ecg.layers import check_wave, he

LEAST = 64


class ECGDiscriminator(QuadrantHead):
    """`(N, leads, samples)` -> critic score `(N,)`, affect `(N, 2)` and its quadrant, thresholds at 0.

    The discriminator of AViGaS (fusekit's `discriminator`) in one dimension: convolutions k8 s4 without norm
    (a gradient penalty is per row), each followed by LeakyReLU(0.01), until fewer than 16 samples are left;
    then the critic's score is the mean of a map, affect one convolution over all that is left.

    Args:
        raw_shape: `(leads, samples)`, at least 64 samples.
        latent_shape: not used; it reads the reconstruction.
        conditioning: how the projector receives Q: a constant row (`channel`), repeated features (`vector`)
            or not at all (`none`). With `none` it does not run at inference.
        width: channels of the first layer, doubled by each further one.

    Raises:
        RecipeError: the window is no wave or too short.
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
        channels, left = check_wave("quadrant ecg-discriminator", raw_shape, LEAST)
        if width < 1:
            raise RecipeError(f"quadrant ecg-discriminator: width must be at least 1, found {width}")
        self.conditioning = conditioning
        layers: list[nn.Module] = []
        while left >= 16:
            layers += [nn.Conv1d(channels, width, 8, 4, 2), nn.LeakyReLU(0.01)]
            channels, left, width = width, left // 4, 2 * width
        self.body = nn.Sequential(*layers)
        self.source = nn.Conv1d(channels, 1, 3, 1, 1, bias=False)
        self.affect = nn.Conv1d(channels, 2, left, bias=False)
        he(self)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(N, leads, samples)` -> critic score `(N,)` without sigmoid, affect `(N, 2)`: valence, arousal."""
        h = self.body(x)
        return self.source(h).mean(dim=(1, 2)), self.affect(h).flatten(1)

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        """Reconstruction `(N, leads, samples)`, latent -> Latent with affect, realness and quadrant."""
        if x is None:
            raise ValueError("the discriminator reads the reconstruction; decode first")
        realness, affect = self.judge(x)
        low_v, low_a = (affect.detach() < 0).unbind(1)
        quadrant = torch.where(low_a, torch.where(low_v, 2, 3), torch.where(low_v, 1, 0))
        return Latent(z=z, affect=affect, realness=realness, quadrant=quadrant)
