"""What the one-dimensional networks share: norm, initial weights, the shape of an ECG window."""

from __future__ import annotations

from torch import nn

from fusekit.errors import RecipeError


def norm(channels: int, groups: int | None = None) -> nn.GroupNorm:
    """Per row; as many groups as channels (instance norm) unless told. Batch norm would let rows of a batch,
    absent ones among them, change one another."""
    return nn.GroupNorm(groups or channels, channels)


def he(module: nn.Module) -> None:
    """He's uniform weights, which keep the variance through LeakyReLU layers; biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.ConvTranspose1d | nn.Linear):
            nn.init.kaiming_uniform_(part.weight, a=0.01, nonlinearity="leaky_relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def check_wave(what: str, shape: tuple[int, ...], least: int, multiple: int = 1) -> tuple[int, int]:
    """`(channels, samples)` of a shape that is one wave's.

    Raises:
        RecipeError: it is not, or its length does not fit.
    """
    if len(shape) != 2 or shape[1] < least or shape[1] % multiple:
        of = f", a multiple of {multiple}" if multiple > 1 else ""
        raise RecipeError(
            f"{what} needs waves (channels, samples) of at least {least} samples{of}; it is given "
            f"{tuple(shape)}. Set the reader's window_s and rate accordingly: samples = window_s * rate."
        )
    return shape[0], shape[1]
