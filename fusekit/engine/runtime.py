"""Devices, precision and processes: the one file that knows accelerate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import gather, reduce
from torch import Tensor, nn

from fusekit.errors import DeviceError, LostProcessError


class Runtime:
    """Where a run computes.

    Args:
        device: `auto` (CUDA if there is one), `cpu` or `cuda`.
        precision: `auto` (bf16 on CUDA, float32 on the CPU), `float32` or `bf16`.

    Attributes:
        device: this process's device. rank, world: its number and how many there are. is_main: rank 0.

    Raises:
        DeviceError: CUDA is asked for and there is none.
    """

    def __init__(
        self,
        device: str = "auto",
        precision: Literal["auto", "float32", "bf16"] = "auto",
    ) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise DeviceError(f"there is no device '{device}'; use --device auto, cpu or cuda.")
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                "CUDA was asked for, but torch sees no CUDA device here. Run `fusekit doctor`, or use "
                "--device cpu."
            )
        on_cpu = device == "cpu" or not torch.cuda.is_available()
        if precision == "auto":
            precision = "float32" if on_cpu else "bf16"
        # Processes only: an Accelerator would fix precision and device for all later runs of this process.
        self._processes = PartialState(cpu=on_cpu)
        self.precision = precision
        self.rank = self._processes.process_index
        self.world = self._processes.num_processes
        self.is_main = self._processes.is_main_process
        local = self._processes.local_process_index
        self.device = torch.device("cpu") if on_cpu else torch.device("cuda", local)

    def autocast(self) -> AbstractContextManager[None]:
        """bf16 where the run uses it; every forward pass, of whatever method, belongs inside."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def adam(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float]
    ) -> torch.optim.Optimizer:
        """The optimiser of every objective."""
        return torch.optim.Adam(parameters, lr=lr, betas=betas)

    def gather(self, x: Tensor) -> Tensor:
        """`(n, ...)` of each process -> `(world * n, ...)` of all, differentiable.

        A correlation taken per process is not that of the global batch, so losses that correlate read
        gathered rows. The backward pass sums over processes what `average_gradients` then divides.
        """
        if self.world == 1:
            return x
        with _together():
            return _Gathered.apply(x, self.rank) if x.requires_grad else gather(x)

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any process; every process gets the same answer, and must ask."""
        if self.world == 1:
            return flag
        with _together():
            return bool(gather(torch.tensor([flag], device=self.device)).any())

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes. Equal rows per process make it the global
        gradient."""
        if self.world == 1:
            return
        with _together():
            for p in parameters:
                if p.grad is not None:
                    p.grad = reduce(p.grad, reduction="mean")

    def broadcast(self, module: nn.Module) -> None:
        """Every process takes the weights of process 0."""
        if self.world == 1:
            return
        with _together():
            for tensor in [*module.parameters(), *module.buffers()]:
                torch.distributed.broadcast(tensor.data, src=0)

    def wait(self) -> None:
        """Until all processes are here."""
        with _together():
            self._processes.wait_for_everyone()


@contextmanager
def _together() -> Iterator[None]:
    """What needs every process of a run.

    Raises:
        LostProcessError: one of the others is gone.
    """
    try:
        yield
    except RuntimeError as error:  # torch's own, of gloo and of NCCL
        if any(word in str(error).lower() for word in _GONE) or isinstance(error, _BROKEN):
            raise LostProcessError(
                "another process of this run has ended, and this one cannot go on without it. What was saved "
                "last (after each epoch, and every five minutes) is whole."
            ) from error
        raise


_GONE = ("connection closed", "connection reset", "broken pipe", "timed out", "connection refused")
_BROKEN = (torch.distributed.DistError,)


class _Gathered(torch.autograd.Function):
    """`gather` with a gradient: each process's rows get what all processes' losses say of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int) -> Tensor:
        ctx.rows = slice(rank * len(x), (rank + 1) * len(x))
        return gather(x.contiguous())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].contiguous().clone()
        with _together():
            torch.distributed.all_reduce(whole)
        return whole[ctx.rows], None
