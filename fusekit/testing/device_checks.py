"""The rule that a network computes where it lies: asked on a pretended device, so that any machine can.

torch's fake tensors carry shapes, types and a device, and no numbers.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fusekit.testing.findings import rule
from fusekit.testing.network_checks import NETWORKS, listed
from fusekit.testing.subject import Subject

DEVICE = "cuda"
MISMATCH = "on the same device"
"""In torch's message on tensors that lie apart."""


@rule(
    "device",
    *NETWORKS,
    says="It computes where its weights lie: nothing it makes on the way stays behind on the CPU.",
    documented="docs/testing.md, Devices",
)
def _device(subject: Subject) -> Iterator[str]:
    module, inputs = subject.make().eval(), subject.inputs()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        _move(module)
        there = {name: _pretended(x) for name, x in inputs.items()}
        try:
            answers = subject.ask(module, there)
        except Exception as error:  # what depends on numbers cannot be pretended: only this one is told
            if MISMATCH in str(error):
                yield (
                    f"on a GPU it meets a tensor that was left on the CPU{_place(error, subject)}: "
                    "make it with `device=x.device`"
                )
            return
        behind = [name for name, x in answers.items() if x.device.type != DEVICE]
    if behind:
        yield f"on a GPU its {listed(behind)} comes back on the CPU"


def _pretended(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=DEVICE)


def _move(module: nn.Module) -> None:
    """As `module.to(device)`: parameters and buffers, and nothing else."""
    for part in module.modules():
        for name, p in part._parameters.items():
            if p is not None:
                part._parameters[name] = nn.Parameter(_pretended(p), p.requires_grad)
        for name, b in part._buffers.items():
            if b is not None:
                part._buffers[name] = _pretended(b)
        if isinstance(part, nn.RNNBase):
            part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]


def _place(error: Exception, subject: Subject) -> str:
    """` (file.py:12)`, where the component stood."""
    file = getattr(sys.modules.get(subject.cls.__module__), "__file__", None)
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return f" (line {lines[-1]} of {subject.cls.__module__})" if lines else ""
