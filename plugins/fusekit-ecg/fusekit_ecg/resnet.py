"""Encoder `ecg-resnet1d`: residual network over waves, to one vector."""

from __future__ import annotations

from torch import Tensor, nn

from fusekit.contracts import Encoder
from fusekit.errors import RecipeError
from fusekit_ecg.layers import check_wave, he, norm

BLOCKS = 4
STRIDE = 4


class _Block(nn.Module):
    """`(N, cin, L)` -> `(N, cout, ceil(L / 4))`: two convolutions beside a max pool."""

    def __init__(self, cin: int, cout: int, kernel: int, groups: int) -> None:
        super().__init__()
        half = kernel // 2
        self.body = nn.Sequential(
            nn.Conv1d(cin, cout, kernel, 1, half, bias=False),
            norm(cout, groups),
            nn.ReLU(),
            nn.Conv1d(cout, cout, kernel, STRIDE, half, bias=False),
        )
        self.skip = nn.Sequential(nn.MaxPool1d(STRIDE, ceil_mode=True), nn.Conv1d(cin, cout, 1, bias=False))
        self.out = nn.Sequential(norm(cout, groups), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x) + self.skip(x))


class ECGResNet1d(Encoder):
    """`(N, leads, samples)` -> `(N, 5 * width)`: four residual blocks, each a quarter as long, then the mean.

    After Ribeiro et al., "Automatic diagnosis of the 12-lead ECG using a deep neural network", Nat. Commun.
    11 (2020), 1760: a convolution, then blocks of two convolutions whose skip path is a max pool and a 1 x 1
    convolution; channels 1, 2, 3, 4, 5 times `width` (theirs 64, 128, 196, 256, 320; windows of 4096 samples
    at 400 per second, kernels of 17, 43 ms). Different here: group norm in place of batch norm, so that
    windows of a batch never mix; the mean over time in place of flattening, so that any length fits; no
    dropout; the block's output alone, not also its sum before the norm, goes on. At width 32 and one lead it
    has 909,408 parameters.

    Args:
        raw_shape: `(leads, samples)`, at least 256 samples.
        width: channels of the first convolution, a multiple of 4.
        kernel: length of the convolutions, odd.

    Raises:
        RecipeError: the window is no wave or too short, or the arguments make no sense.
    """

    def __init__(self, raw_shape: tuple[int, ...], *, width: int = 32, kernel: int = 9) -> None:
        super().__init__()
        leads, _ = check_wave("encoder ecg-resnet1d", raw_shape, STRIDE**BLOCKS)
        if width < 4 or width % 4 or kernel < 3 or kernel % 2 == 0:
            raise RecipeError(
                "encoder ecg-resnet1d: width must be a multiple of 4 and kernel an odd number of at least 3, "
                f"found width {width}, kernel {kernel}"
            )
        groups = 4
        layers: list[nn.Module] = [
            nn.Conv1d(leads, width, kernel, 1, kernel // 2, bias=False),
            norm(width, groups),
            nn.ReLU(),
        ]
        layers += [_Block(i * width, (i + 1) * width, kernel, groups) for i in range(1, BLOCKS + 1)]
        self.body = nn.Sequential(*layers)
        self.out_shape = ((BLOCKS + 1) * width,)
        he(self)

    def encode(self, x: Tensor) -> Tensor:
        """`(N, leads, samples)` -> `(N, 5 * width)`."""
        return self.body(x).mean(dim=2)
