"""Devices, precision and processes: the one file that knows accelerate."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import gather, reduce
from torch import Tensor, nn

from fusekit.errors import DeviceError


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
        return _Gathered.apply(x, self.rank) if x.requires_grad else gather(x)

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any process; every process gets the same answer, and must ask."""
        if self.world == 1:
            return flag
        return bool(gather(torch.tensor([flag], device=self.device)).any())

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes. Equal rows per process make it the global
        gradient."""
        if self.world == 1:
            return
        for p in parameters:
            if p.grad is not None:
                p.grad = reduce(p.grad, reduction="mean")

    def broadcast(self, module: nn.Module) -> None:
        """Every process takes the weights of process 0."""
        if self.world > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                torch.distributed.broadcast(tensor.data, src=0)

    def wait(self) -> None:
        """Until all processes are here."""
        self._processes.wait_for_everyone()


class _Gathered(torch.autograd.Function):
    """`gather` with a gradient: each process's rows get what all processes' losses say of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int) -> Tensor:
        ctx.rows = slice(rank * len(x), (rank + 1) * len(x))
        return gather(x.contiguous())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].contiguous().clone()
        torch.distributed.all_reduce(whole)
        return whole[ctx.rows], None
