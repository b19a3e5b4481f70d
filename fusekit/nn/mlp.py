"""Encoder of vectors: standardised numbers, hidden layers."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from fusekit.contracts import Encoder
from fusekit.errors import RecipeError
from fusekit.nn.init import paper_init


class Standardise(nn.Module):
    """`(N, F)` -> `(N, F)`, each number less its mean and over its deviation, of all training rows so far.

    While training, each batch is counted before it is standardised, over all processes together: exact sums
    (Chan's formula, float64) kept as buffers, so after the first epoch they are those of the training set,
    and evaluation, like training of other parts with this one frozen, uses them as they are. A row of nothing
    but zeros is what the model puts in place of an absent modality and of padding: it is not counted. A
    number that has not varied is only centred. No gradient flows through the sums.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(width, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """`(N, F)` -> `(N, F)` float32."""
        if self.training:
            self._count(x.detach())
        deviation = (self.squares / self.count.clamp(min=1)).sqrt()
        # Relative to the mean: rounding alone must not pass for spread.
        flat = deviation <= 1e-6 * self.mean.abs().clamp(min=1e-6)
        scale = torch.where(flat, torch.ones_like(deviation), deviation)
        return ((x.double() - self.mean) / scale).float()

    @torch.no_grad()
    def _count(self, x: Tensor) -> None:
        # Weights of 0 and 1, not a selection: no shape depends on the data.
        there = (x != 0).any(dim=1, keepdim=True).double()
        x = x.double()
        # Each process has its own rows of the batch, and all must hold the same sums as one would.
        n = _of_all(there.sum())
        mean = _of_all((x * there).sum(dim=0)) / n.clamp(min=1)
        squares = _of_all((((x - mean) * there) ** 2).sum(dim=0))
        total = self.count + n
        apart = mean - self.mean
        share = n / total.clamp(min=1)
        self.squares += squares + apart**2 * self.count * share
        self.mean += apart * share
        self.count.copy_(total)


def _of_all(x: Tensor) -> Tensor:
    """Sum over the processes that train together, if there are several."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(x)
    return x


class MLPEncoder(Encoder):
    """`(N, F)` numbers -> `(N, D)`: standardised, then linear, ReLU and dropout per hidden layer.

    For windows that are vectors, as of the reader `features`. Nothing has to be scaled beforehand: mean and
    deviation of the training rows travel with the weights; absent rows take no part in them (`Standardise`).

    Args:
        raw_shape: `(F,)`.
        hidden: width of each hidden layer, the last is D; []: the standardised numbers themselves.
        dropout: share of each hidden layer's outputs that training drops.

    Raises:
        RecipeError: windows are no vectors, or an argument is out of its range.
    """

    def __init__(
        self, raw_shape: tuple[int, ...], *, hidden: tuple[int, ...] = (128,), dropout: float = 0.0
    ) -> None:
        super().__init__()
        if len(raw_shape) != 1:
            raise RecipeError(
                f"encoder mlp reads vectors (F,), and this reader's windows are {tuple(raw_shape)}. Use an "
                "encoder for such windows."
            )
        if any(width < 1 for width in hidden):
            raise RecipeError(f"encoder mlp: hidden must be widths of at least 1, found {list(hidden)}")
        if not 0 <= dropout < 1:
            raise RecipeError(f"encoder mlp: dropout must be at least 0 and below 1, found {dropout:g}")
        self.standardise = Standardise(raw_shape[0])
        layers: list[nn.Module] = []
        widths = [raw_shape[0], *hidden]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.out_shape = (widths[-1],)
        paper_init(self)

    def encode(self, x: Tensor) -> Tensor:
        """`(N, F)` -> `(N, D)`."""
        return self.layers(self.standardise(x))
