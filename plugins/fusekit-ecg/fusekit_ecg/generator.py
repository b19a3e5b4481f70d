"""Encoder `ecg-generator`: a denoising convolutional generator over waves, whose bottleneck is the latent."""

from __future__ import annotations

from torch import Tensor, nn

from fusekit.contracts import DenoisingEncoder
from fusekit.errors import RecipeError
from fusekit_ecg.layers import check_wave, he, norm

SHORTER = 16


class _Residual(nn.Module):
    """`(N, C, L)` -> same: conv3, norm, ReLU, conv3, norm, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, channels, 3, 1, 1, bias=False),
            norm(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 3, 1, 1, bias=False),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ECGGenerator(DenoisingEncoder):
    """`(N, leads, samples)` in -1..1 -> Z `(N, 4*width, samples/16)` -> `(N, leads, samples)` in -1..1.

    The generator of AViGaS (fusekit's `denoising-generator`) in one dimension: convolution, two that shorten,
    residual blocks, a block without skip as bottleneck, and the way back, instance norm throughout. Strides
    are 4 in place of 2, as a wave is longer than a picture is wide. At width 16 and one lead it has 165,920
    parameters.

    Args:
        raw_shape: `(leads, samples)`, samples a multiple of 16, at least 64.
        width: channels of the first layer; the latent has four times as many.
        blocks: residual blocks before the bottleneck, and again after it.

    Raises:
        RecipeError: the window is no wave or its length does not fit.
    """

    def __init__(self, raw_shape: tuple[int, ...], *, width: int = 16, blocks: int = 2) -> None:
        super().__init__()
        leads, samples = check_wave("encoder ecg-generator", raw_shape, 64, SHORTER)
        if width < 1 or blocks < 0:
            raise RecipeError("encoder ecg-generator: width must be at least 1, blocks at least 0")
        deep = 4 * width
        self.out_shape = (deep, samples // SHORTER)
        self.encoder = nn.Sequential(
            *_conv(leads, width, 15, 1),
            *_conv(width, 2 * width, 8, 4),
            *_conv(2 * width, deep, 8, 4),
            *(_Residual(deep) for _ in range(blocks)),
            _Residual(deep).body,
        )
        self.decoder = nn.Sequential(
            *(_Residual(deep) for _ in range(blocks)),
            *_up(deep, 2 * width),
            *_up(2 * width, width),
            nn.Conv1d(width, leads, 15, 1, 7, bias=False),
            nn.Tanh(),
        )
        he(self)

    def encode(self, x: Tensor) -> Tensor:
        """`(N, leads, samples)` -> `(N, 4*width, samples/16)`."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """`(N, 4*width, samples/16)` -> `(N, leads, samples)` in -1..1."""
        return self.decoder(z)


def _conv(cin: int, cout: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    padding = (kernel - stride + 1) // 2
    return nn.Conv1d(cin, cout, kernel, stride, padding, bias=False), norm(cout), nn.ReLU()


def _up(cin: int, cout: int) -> tuple[nn.Module, ...]:
    return nn.ConvTranspose1d(cin, cout, 8, 4, 2, bias=False), norm(cout), nn.ReLU()
