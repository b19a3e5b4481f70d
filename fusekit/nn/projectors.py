"""Projectors: latent, conditioned on the quadrant, -> one feature vector per row (spec 1.4, 1.5)."""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm

from fusekit.contracts import Latent, Projector
from fusekit.errors import RecipeError
from fusekit.nn.init import paper_init


def _quadrant(latent: Latent) -> Tensor:
    if latent.quadrant is None:
        raise RecipeError(
            "the projector is to be conditioned on the quadrant, but no quadrant head gives one. Name one "
            "under `quadrant:` (discriminator, classifier) or set `conditioning: none`."
        )
    return latent.quadrant.to(latent.z.dtype)


class ConvPyramid(Projector):
    """The latent encoder of P: `(N, C, S, S)` -> `(N, out_dim)` by log2(S) convolutions k4 s2 (spec 1.5).

    At Z = 64 x 32 x 32 and width 16: 713,200 parameters, 713,456 with the quadrant's plane; out_dim 256.

    Args:
        latent_shape: `(C, S, S)`, S a power of two.
        conditioning: `channel` appends a plane of the integer Q, `vector` appends Q repeated to the feature
            width, `none`.
        width: channels of the first layer, doubled by each further one.
        standardise: bring each channel of each latent to mean 0 and variance 1 over space first. The latent
            of `denoising-generator` comes from a norm and needs none; that of `patch-generator` keeps the
            picture's level and contrast, beside which its details are small.

    Raises:
        RecipeError: the latent is a vector, or its side is not a power of two.
    """

    def __init__(
        self, latent_shape: tuple[int, ...], conditioning: str, *, width: int = 16, standardise: bool = False
    ) -> None:
        super().__init__()
        if (
            len(latent_shape) != 3
            or latent_shape[1] != latent_shape[2]
            or latent_shape[1] & (latent_shape[1] - 1)
        ):
            raise RecipeError(
                f"projector conv-pyramid needs a square latent map (C, S, S) with S a power of two; this "
                f"encoder makes {tuple(latent_shape)}. Use {{name: linear}} for vectors."
            )
        if width < 1:
            raise RecipeError(f"projector conv-pyramid: width must be at least 1, found {width}")
        self.conditioning, self.standardise = conditioning, standardise
        channels = latent_shape[0] + (conditioning == "channel")
        layers: list[nn.Module] = []
        for i in range(int(log2(latent_shape[1]))):
            layers += [nn.Conv2d(channels, width * 2**i, 4, 2, 1), nn.LeakyReLU(0.01)]
            channels = width * 2**i
        self.body = nn.Sequential(*layers)
        self.out_dim = channels * (2 if conditioning == "vector" else 1)
        paper_init(self)

    def forward(self, latent: Latent) -> Tensor:
        """Latent of N rows -> `(N, out_dim)`."""
        z = latent.z
        if self.standardise:
            z = instance_norm(z)
        if self.conditioning == "channel":
            plane = _quadrant(latent)[:, None, None, None].expand(-1, 1, *z.shape[2:])
            z = torch.cat([z, plane], dim=1)
        f = self.body(z).flatten(1)
        if self.conditioning == "vector":
            f = torch.cat([f, _quadrant(latent)[:, None].expand_as(f)], dim=1)
        return f


class LinearProjector(Projector):
    """`(N, D)` or `(N, C, H, W)` (mean over space) -> linear, ReLU -> `(N, out_dim)`.

    Args:
        latent_shape: `(D,)` or `(C, H, W)`.
        conditioning: `vector` appends Q repeated to the feature width; `channel` appends the integer Q to the
            input; `none`.
        dim: width of the features (before `vector` doubles it).
        dropout: share of the latent's numbers, and of the features, that training leaves out.
    """

    def __init__(
        self, latent_shape: tuple[int, ...], conditioning: str, *, dim: int = 256, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if dim < 1:
            raise RecipeError(f"projector linear: dim must be at least 1, found {dim}")
        if not 0 <= dropout < 1:
            raise RecipeError(f"projector linear: dropout must be from 0 to below 1, found {dropout:g}")
        self.conditioning = conditioning
        self.body = nn.Sequential(nn.Linear(latent_shape[0] + (conditioning == "channel"), dim), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim * (2 if conditioning == "vector" else 1)
        paper_init(self)

    def forward(self, latent: Latent) -> Tensor:
        """Latent of N rows -> `(N, out_dim)`."""
        z = self.dropout(latent.z.flatten(2).mean(2) if latent.z.dim() > 2 else latent.z)
        if self.conditioning == "channel":
            z = torch.cat([z, _quadrant(latent)[:, None]], dim=1)
        f = self.dropout(self.body(z))
        if self.conditioning == "vector":
            f = torch.cat([f, _quadrant(latent)[:, None].expand_as(f)], dim=1)
        return f
