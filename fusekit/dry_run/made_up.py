"""Windows and latents of no recording, in the shapes of a recipe, with padding and absences among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusekit.batch import Batch
from fusekit.contracts import Latent

ROWS = 2
FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a part raises that meets a shape, or a value, that it cannot take."""


class MadeUpWindows:
    """Two windows of `steps` steps: the second lacks one modality at its first step and is padded at its
    end, as a clip shorter than a window is.

    Args:
        raw_shapes: `{modality: shape of a window}`; dims: number of target dimensions.
    """

    def __init__(self, raw_shapes: Mapping[str, tuple[int, ...]], steps: int, dims: int) -> None:
        self.raw_shapes, self.steps, self.dims = raw_shapes, steps, dims

    def __len__(self) -> int:
        return ROWS

    def batches(
        self, batch_size: int, seed: int | None, epoch: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[np.ndarray]:
        """All of them at once."""
        yield np.arange(ROWS)

    def rows(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(B, T)` steps of one clip, and which are no padding."""
        valid = np.ones((len(indices), self.steps), bool)
        valid[-1, self.steps // 2 + 1 :] = False
        return np.tile(np.arange(self.steps), (len(indices), 1)), valid

    def collate(self, indices: Sequence[int] | np.ndarray, modalities: Sequence[str] | None = None) -> Batch:
        """A batch of the windows `(B,)`."""
        names = list(self.raw_shapes) if modalities is None else list(modalities)
        g = torch.Generator(device="cpu").manual_seed(0)
        shape = (len(indices), self.steps)
        valid = torch.from_numpy(self.rows(indices)[1])
        present = valid[..., None].repeat(1, 1, len(self.raw_shapes))
        if len(self.raw_shapes) > 1:
            present[-1, 0, 0] = False
        inputs = {m: noise(g, *shape, *self.raw_shapes[m]) for m in names}
        return Batch(
            inputs={
                m: x.masked_fill(~valid.view(*shape, *[1] * (x.dim() - 2)), 0.0) for m, x in inputs.items()
            },
            present=present,
            valid=valid,
            known=valid[..., None].repeat(1, 1, self.dims),
            target=noise(g, *shape, self.dims),
            quadrant=torch.arange(len(indices))[:, None].repeat(1, self.steps) % 4,
            time=torch.zeros(shape, dtype=torch.float64),
            clip=torch.zeros(len(indices), dtype=torch.int64),
            index=torch.as_tensor(np.asarray(indices, np.int64)),
        )


class MadeUpLatents:
    """Latents of any row asked for, as a cache gives them."""

    place = "memory"
    offsets = np.zeros(1, np.int64)

    def __init__(self, model: Any) -> None:
        self.names: tuple[str, ...] = model.names
        self.shapes = {m: tuple(model.branches[m].encoder.out_shape) for m in model.names}

    def take(self, rows: np.ndarray, device: torch.device | str) -> dict[str, Latent]:
        """`(N,)` rows -> `{m: Latent}` of N rows."""
        g, n = torch.Generator(device="cpu").manual_seed(0), len(rows)
        return {
            m: Latent(z=noise(g, n, *shape).to(device), quadrant=(torch.arange(n) % 4).to(device))
            for m, shape in self.shapes.items()
        }


class Idle:
    """An optimiser that changes nothing: torch's own are slow to load."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self.state: dict[Any, Any] = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Nothing is learned from noise."""


class Alone:
    """A process by itself on the CPU, as the objectives see theirs."""

    rank, world, is_main, precision = 0, 1, True, "float32"
    device = torch.device("cpu")

    def autocast(self) -> AbstractContextManager[None]:
        return nullcontext()

    def adam(self, parameters: Any, lr: float, betas: tuple[float, float]) -> Idle:
        return Idle(list(parameters))

    def gather(self, x: Tensor) -> Tensor:
        return x

    def total(self, x: Tensor) -> Tensor:
        return x

    def average_gradients(self, parameters: Any) -> None:
        """There is nothing to average."""


def generators(epoch: int, indices: Any, purpose: str) -> list[np.random.Generator]:
    """One generator per window."""
    return [np.random.default_rng([epoch, int(i)]) for i in indices]


def noise(g: torch.Generator, *shape: int) -> Tensor:
    """`shape` uniform in -1..1, on the CPU."""
    return torch.rand(*shape, generator=g, device="cpu") * 2 - 1


def told(what: str, error: Exception) -> str:
    """A sentence on what failed where."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    part = _part(error)
    return (
        f"{what} cannot be trained: {f'{part} ' if part else ''}fails on made-up rows with "
        f"{type(error).__name__}: {reason}."
    )


def _part(error: Exception) -> str:
    """The class of the innermost module in whose code an error arose."""
    found, trace = "", error.__traceback__
    while trace is not None:
        own = trace.tb_frame.f_locals.get("self")
        inside = type(own).__module__.split(".")[0] != "torch"
        if isinstance(own, torch.nn.Module) and inside and type(own).__name__ not in ("Model", "_Tail"):
            found = type(own).__name__
        trace = trace.tb_next
    return found
