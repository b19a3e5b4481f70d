"""The paper's G: a denoising convolutional generator whose bottleneck map is the latent Z (spec 1.1)."""

from __future__ import annotations

from torch import Tensor, nn

from fusekit.contracts import DenoisingEncoder
from fusekit.errors import RecipeError
from fusekit.nn.init import paper_init


def _norm(channels: int) -> nn.GroupNorm:
    # Instance norm, affine: one group per channel is the same function, and several times faster on the CPU.
    # Per-instance statistics everywhere: the authors' running statistics differ between training and
    # validation (spec 1.1).
    return nn.GroupNorm(channels, channels)


def _conv(cin: int, cout: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, padding, bias=False), _norm(cout), nn.ReLU())


def _up(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(cin, cout, 4, 2, 1, bias=False), _norm(cout), nn.ReLU())


class ResidualBlock(nn.Module):
    """`(N, C, H, W)` -> same: conv3, norm, ReLU, conv3, norm; plus the input if `skip` (spec 1.1)."""

    def __init__(self, channels: int, skip: bool = True) -> None:
        super().__init__()
        self.skip = skip
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            _norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            _norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skip else self.body(x)


class DenoisingGenerator(DenoisingEncoder):
    """G: `(N, 3, S, S)` in -1..1 -> Z `(N, 4*width, S/4, S/4)` -> reconstruction `(N, 3, S, S)` in -1..1.

    At 128 pixels and width 16 it has 456,864 parameters, 265,488 of them in the encoder (spec 1.1; eq. 1).

    Args:
        raw_shape: `(channels, S, S)`, S a multiple of 4.
        width: channels of the first layer; the latent has four times as many.
        blocks: residual blocks before the bottleneck, and again after it.
        bottleneck_skip: add the bottleneck's input to its output (an option of the authors, who saw no
            difference).

    Raises:
        RecipeError: the window is not a square picture whose side is a multiple of 4.
    """

    def __init__(
        self, raw_shape: tuple[int, ...], *, width: int = 16, blocks: int = 2, bottleneck_skip: bool = False
    ) -> None:
        super().__init__()
        if len(raw_shape) != 3 or raw_shape[1] != raw_shape[2] or raw_shape[1] % 4:
            raise RecipeError(
                f"encoder denoising-generator needs square pictures (C, S, S) with S a multiple of 4; the "
                f"reader makes {tuple(raw_shape)}. Set the reader's size (or mels and columns) accordingly."
            )
        if width < 1 or blocks < 0:
            raise RecipeError("encoder denoising-generator: width must be at least 1, blocks at least 0")
        channels, size, _ = raw_shape
        self.out_shape = (4 * width, size // 4, size // 4)
        self.encoder = nn.Sequential(
            _conv(channels, width, 7, 1, 3),
            _conv(width, 2 * width, 4, 2, 1),
            _conv(2 * width, 4 * width, 4, 2, 1),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            ResidualBlock(4 * width, skip=bottleneck_skip),
        )
        self.decoder = nn.Sequential(
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            _up(4 * width, 2 * width),
            _up(2 * width, width),
            nn.Conv2d(width, channels, 7, 1, 3, bias=False),
            nn.Tanh(),
        )
        paper_init(self)

    def encode(self, x: Tensor) -> Tensor:
        """`(N, C, S, S)` -> `(N, 4*width, S/4, S/4)`."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """`(N, 4*width, S/4, S/4)` -> `(N, C, S, S)` in -1..1."""
        return self.decoder(z)
