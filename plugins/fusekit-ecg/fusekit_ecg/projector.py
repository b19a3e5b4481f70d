"""Projector `conv1d-pyramid`: latent map of a wave, conditioned on the quadrant, to one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusekit.contracts import Latent, Projector
from fusekit.errors import RecipeError
from fusekit_ecg.layers import he


class Conv1dPyramid(Projector):
    """`(N, C, L)` -> `(N, out_dim)` by floor(log2(L)) convolutions k4 s2, each followed by LeakyReLU(0.01).

    The latent encoder of AViGaS (fusekit's `conv-pyramid`) in one dimension; L need not be a power of two.

    Args:
        latent_shape: `(C, L)`, L at least 2.
        conditioning: `channel` appends a row of the integer Q, `vector` appends Q repeated to the feature
            width, `none`.
        width: channels of the first layer, doubled by each further one.

    Raises:
        RecipeError: the latent is no map over time.
    """

    def __init__(self, latent_shape: tuple[int, ...], conditioning: str, *, width: int = 16) -> None:
        super().__init__()
        if len(latent_shape) != 2 or latent_shape[1] < 2:
            raise RecipeError(
                f"projector conv1d-pyramid needs a latent map over time (C, L), L at least 2; this encoder "
                f"makes {tuple(latent_shape)}. Use {{name: linear}} for vectors, {{name: conv-pyramid}} for "
                "pictures."
            )
        if width < 1:
            raise RecipeError(f"projector conv1d-pyramid: width must be at least 1, found {width}")
        self.conditioning = conditioning
        channels, left = latent_shape[0] + (conditioning == "channel"), latent_shape[1]
        layers: list[nn.Module] = []
        while left > 1:
            layers += [nn.Conv1d(channels, width, 4, 2, 1), nn.LeakyReLU(0.01)]
            channels, left, width = width, left // 2, 2 * width
        self.body = nn.Sequential(*layers)
        self.out_dim = channels * (2 if conditioning == "vector" else 1)
        he(self)

    def forward(self, latent: Latent) -> Tensor:
        """Latent of N rows -> `(N, out_dim)`."""
        z = latent.z
        if self.conditioning == "channel":
            row = _quadrant(latent)[:, None, None].expand(-1, 1, z.shape[2])
            z = torch.cat([z, row], dim=1)
        f = self.body(z).flatten(1)
        if self.conditioning == "vector":
            f = torch.cat([f, _quadrant(latent)[:, None].expand_as(f)], dim=1)
        return f


def _quadrant(latent: Latent) -> Tensor:
    if latent.quadrant is None:
        raise RecipeError(
            "projector conv1d-pyramid is to be conditioned on the quadrant, but no quadrant head gives one. "
            "Name one under `quadrant:` (ecg-discriminator, classifier) or set `conditioning: none`."
        )
    return latent.quadrant.to(latent.z.dtype)
