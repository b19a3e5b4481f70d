"""Rules on other ways to run a network: bf16 autocast, torch.compile, torch.export."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fusekit.testing.findings import rule, told
from fusekit.testing.network_checks import NETWORKS, differ, not_finite
from fusekit.testing.subject import Subject, state_of


@rule(
    "bf16",
    *NETWORKS,
    says="It runs under bf16 autocast, forward and backward, with its own state handed back.",
    documented="fusekit.testing.Case, bf16",
    applies=lambda case: case.bf16,
)
def _bf16(subject: Subject) -> Iterator[str]:
    module, inputs = subject.make(), subject.inputs()
    with torch.autocast("cpu", torch.bfloat16):
        answers = subject.ask(module, inputs)
        state = state_of(answers)
        if state:
            answers = subject.ask(module, inputs, state)
    yield from not_finite(module, answers)


class _Plain(nn.Module):
    """A network as compilers like it: tensors in, a tuple of tensors out."""

    def __init__(self, subject: Subject, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.names = module, names
        self._subject = subject

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._subject.ask(self.module, dict(zip(self.names, tensors, strict=True))).values())


def _plain(subject: Subject) -> tuple[_Plain, tuple[Tensor, ...]]:
    inputs = subject.inputs()
    return _Plain(subject, subject.make().eval(), tuple(inputs)).eval(), tuple(inputs.values())


@rule(
    "compiles",
    *NETWORKS,
    says="`torch.compile` traces it, and the trace gives the same answers.",
    documented="fusekit.testing.Case, compiles",
    applies=lambda case: case.compiles,
)
def _compiles(subject: Subject) -> Iterator[str]:
    module, tensors = _plain(subject)
    torch.compiler.reset()
    # What a component can break is its tracing. Code generation is torch's own business: it wants a C++
    # compiler, and half a minute a part.
    try:
        found = torch.compile(module, backend="aot_eager")(*tensors)
    except Exception as error:  # the compiler's own zoo of errors
        yield f"torch.compile fails: {told(error)}"
        return
    if any(differ(a, b) for a, b in zip(module(*tensors), found, strict=True)):
        yield "compiled, it answers otherwise"


@rule(
    "exports",
    *NETWORKS,
    says="`torch.export` gives the same answers.",
    documented="fusekit.testing.Case, exports",
    applies=lambda case: case.exports,
)
def _exports(subject: Subject) -> Iterator[str]:
    module, tensors = _plain(subject)
    try:
        found = torch.export.export(module, tensors, strict=False).module()(*tensors)
    except Exception as error:  # the exporter's own zoo of errors
        yield f"torch.export fails: {told(error)}"
        return
    if any(differ(a, b) for a, b in zip(module(*tensors), found, strict=True)):
        yield "exported, it answers otherwise"
