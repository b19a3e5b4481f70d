"""A G that begins as a transform and its inverse, so that a short training is spent on undoing damage."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor, nn

from fusekit.contracts import DenoisingEncoder
from fusekit.errors import RecipeError
from fusekit.nn.init import paper_init

PATCH = 4


class CorrectionBlock(nn.Module):
    """`(N, C, H, W)` -> same: the input plus conv3, ReLU, conv3, the last of which starts at zero.

    Without a norm: one would take from each picture the level and the contrast that damage changes and that
    the output has to have.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, 1, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 3, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class PatchGenerator(DenoisingEncoder):
    """G: `(N, C, S, S)` in -1..1 -> Z `(N, 4*width, S/4, S/4)` -> reconstruction `(N, C, S, S)` in -1..1.

    The first layer cuts the picture into patches of 4 x 4 and starts as the lowest frequencies of their
    cosine transform (DCT-II over channels, rows and columns), the last layer starts as its inverse, and the
    residual blocks between them at zero: before any training G gives back what it gets, less the patches'
    finest detail where 4*width is below 16 C. Z has the shape of the paper's (`denoising-generator`); all
    of the picture goes through it, none around it.

    Args:
        raw_shape: `(C, S, S)`, S a multiple of 4.
        width: a quarter of the latent's channels.
        blocks: residual blocks before the latent; one less after it.
        hidden: channels within a block; None: as the latent.

    Raises:
        RecipeError: the window is not a square picture whose side is a multiple of 4.
    """

    def __init__(
        self, raw_shape: tuple[int, ...], *, width: int = 16, blocks: int = 3, hidden: int | None = None
    ) -> None:
        super().__init__()
        if len(raw_shape) != 3 or raw_shape[1] != raw_shape[2] or raw_shape[1] % PATCH:
            raise RecipeError(
                f"encoder patch-generator needs square pictures (C, S, S) with S a multiple of {PATCH}; the "
                f"reader makes {tuple(raw_shape)}. Set the reader's size (or mels and columns) accordingly."
            )
        if width < 1 or blocks < 1 or (hidden is not None and hidden < 1):
            raise RecipeError("encoder patch-generator: width, blocks and hidden must be at least 1")
        channels, size, _ = raw_shape
        latent = 4 * width
        self.out_shape = (latent, size // PATCH, size // PATCH)
        within = latent if hidden is None else hidden
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, latent, PATCH, PATCH),
            *(CorrectionBlock(latent, within) for _ in range(blocks)),
        )
        self.decoder = nn.Sequential(
            *(CorrectionBlock(latent, within) for _ in range(blocks - 1)),
            nn.ConvTranspose2d(latent, channels, PATCH, PATCH),
        )
        paper_init(self)
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        first, last = self.encoder[0], self.decoder[-1]
        assert isinstance(first, nn.Conv2d)
        assert isinstance(last, nn.ConvTranspose2d)
        basis, frequency = lowest_frequencies(first.in_channels, first.out_channels)
        # Divided by the patch's side, a coefficient of a flat patch is its level. Higher frequencies are
        # weaker in pictures and sounds: raised, so that the blocks learn of details as early as of levels.
        raised = (1 + frequency)[:, None, None, None] / PATCH
        with torch.no_grad():
            # Channels beyond the basis start as some filters that the decoder does not hear yet.
            last.weight.zero_()
            first.weight[: len(basis)] = basis * raised
            last.weight[: len(basis)] = basis / raised
            for layer in (first, last):
                assert layer.bias is not None
                layer.bias.zero_()
            for block in self.modules():
                if isinstance(block, CorrectionBlock):
                    block.body[2].weight.zero_()  # type: ignore[operator]  # a convolution's

    def encode(self, x: Tensor) -> Tensor:
        """`(N, C, S, S)` -> `(N, 4*width, S/4, S/4)`."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """`(N, 4*width, S/4, S/4)` -> `(N, C, S, S)` in -1..1."""
        return _clipped(self.decoder(z))


def _clipped(x: Tensor) -> Tensor:
    """Into -1..1, the gradient as if it were not: what lies outside must find its way back."""
    return x + (x.clamp(-1, 1) - x).detach()


def lowest_frequencies(channels: int, keep: int) -> tuple[Tensor, Tensor]:
    """`(n, channels, 4, 4)` orthonormal: the first `keep` (n may be fewer) basis pictures of a patch's cosine
    transform, lowest frequencies first, and `(n,)` their frequencies in half cycles per patch. What differs
    between channels (colour) counts as 1.5 higher: it varies less."""
    over_channels, over_sides = _cosines(channels), _cosines(PATCH)
    every = torch.einsum("ac,ui,vj->auvcij", over_channels, over_sides, over_sides)
    numbers = product(range(channels), range(PATCH), range(PATCH))
    cost = [math.hypot(u, v) + (1.5 + 0.01 * a if a else 0.0) for a, u, v in numbers]
    order = sorted(range(len(cost)), key=cost.__getitem__)[:keep]
    return every.reshape(-1, channels, PATCH, PATCH)[order], torch.tensor([cost[i] for i in order])


def _cosines(n: int) -> Tensor:
    """`(n, n)` orthonormal DCT-II, a frequency per row."""
    k, i = torch.arange(n)[:, None], torch.arange(n)[None]
    cosines = torch.cos(math.pi * (i + 0.5) * k / n) * math.sqrt(2 / n)
    cosines[0] /= math.sqrt(2)
    return cosines
