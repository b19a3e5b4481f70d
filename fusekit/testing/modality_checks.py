"""Rules of fusions on modalities: who is absent throughout, what they are called, what the gate says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations

import torch
from torch import Tensor, nn

from fusekit.errors import FusekitError
from fusekit.registry import Kind
from fusekit.testing.findings import rule, told
from fusekit.testing.network_checks import differ, listed
from fusekit.testing.situations import everywhere
from fusekit.testing.subject import Subject, Tensors, send_back

SUM = 1e-3
"""How far a gate's shares may be from a sum of 1 (bf16 autocast is not on)."""


@rule(
    "all-absent",
    Kind.FUSION,
    says="A batch without one of the modalities, or with nothing present at all, is fused like any other.",
    documented="docs/design.md, Contracts",
)
@everywhere
def _all_absent(subject: Subject) -> Iterator[str]:
    names = list(subject.case.in_dims)
    for gone in ([n] for n in names) if len(names) > 1 else ():
        yield from _without(subject, gone, f"a batch without {gone[0]}")
    yield from _without(subject, names, "a batch with nothing present")


def _without(subject: Subject, gone: list[str], what: str) -> Iterator[str]:
    """What is wrong with a batch without some modalities."""
    module, inputs = subject.ready(), subject.inputs()
    for i, name in enumerate(subject.case.in_dims):
        if name in gone:
            inputs["present"][..., i] = False
    try:
        answers = subject.ask(module, inputs)
        send_back(answers)
    except Exception as error:  # whatever it raises, such batches come
        yield f"{what}: {told(error)}"
        return
    odd = [n for n, v in answers.items() if not torch.isfinite(v).all()]
    odd += [n for n, p in module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    if odd:
        yield f"{what}: {listed(odd)}, or its gradient, is not finite"
    elif not subject.drawing:
        alone = subject.ask(module, {n: v[:1] for n, v in inputs.items()})["fused"]
        if differ(answers["fused"][:1], alone):
            yield f"{what}: row 0 as a batch of its own is fused otherwise"


@rule(
    "gate",
    Kind.FUSION,
    says="`gate` holds shares of 0 to 1: those of the modalities present add up to 1, others have 0.",
    documented="fusekit.contracts.Trace",
)
@everywhere
def _gate(subject: Subject) -> Iterator[str]:
    inputs = subject.inputs()
    g = torch.Generator().manual_seed(5)
    present = torch.rand(inputs["present"].shape, generator=g) > 0.4
    gate = subject.ask(subject.ready(), {**inputs, "present": present}).get("trace.gate")
    if gate is None or gate.shape != present.shape:
        return  # another rule speaks of its shape
    gate = gate.detach().double()
    if gate.min() < -SUM or gate.max() > 1 + SUM or not torch.isfinite(gate).all():
        yield f"it holds {float(gate.min()):.3g} to {float(gate.max()):.3g}"
    if gate[~present].abs().sum() > SUM:
        yield f"a modality that is absent has a share of up to {float(gate[~present].abs().max()):.3g}"
    total = gate.sum(-1)[present.any(-1)]
    off = (total - 1).abs()
    if off.numel() and off.max() > SUM:
        yield f"the shares of a step add up to {float(total[off.argmax()]):.3g}"


@rule(
    "names",
    Kind.FUSION,
    says="Modalities are told apart by the names given, whatever these are and in whatever order they come.",
    documented="fusekit.contracts.Fusion, names",
)
def _names(subject: Subject) -> Iterator[str]:
    dims = dict(subject.case.in_dims)
    module, inputs = subject.ready(), subject.inputs()
    before = subject.ask(module, inputs)
    for order in list(permutations(dims))[1:6]:
        feats: Mapping[str, Tensor] = {m: inputs[m] for m in order}
        fused = module(feats, inputs["present"], inputs["valid"], None)[0]
        if differ(before["fused"], fused):
            yield f"the same features, handed over in the order {', '.join(order)}, are fused otherwise"
            break
    new = {f"m{i}": width for i, width in enumerate(dims.values())}
    other = subject.changed(in_dims=new)
    renamed = dict(zip(dims, new, strict=True))
    try:
        twin = other.ready()
        _copied(twin, module, renamed)
        after = other.ask(twin, {renamed.get(n, n): v for n, v in inputs.items()})
    except FusekitError:
        return  # it takes these names alone, and says so
    except Exception as error:  # a KeyError of a name written into it, say
        yield f"with modalities called {', '.join(new)}: {told(error)}"
        return
    if differ(before["fused"], after["fused"]):
        called = f"{', '.join(new)} are fused otherwise than {', '.join(dims)}"
        yield f"with the same weights, modalities called {called}"


def _copied(twin: nn.Module, module: nn.Module, renamed: Mapping[str, str]) -> None:
    """The weights of `module` into one for other names; they lie in the same order."""
    theirs: Tensors = dict(twin.state_dict())
    mine = list(module.state_dict().values())
    twin.load_state_dict(dict(zip(theirs, mine, strict=True)))


@rule(
    "stateless",
    Kind.FUSION,
    says="It has no state: the model of this version carries none, so predictions would depend on pieces.",
    documented="docs/plugins.md, Limits",
)
def _stateless(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    found = {*module.init_state(1), *module(*_args(subject))[1]}
    if found:
        yield f"it has the state {listed(sorted(found))}, which the model does not hand on"


def _args(subject: Subject) -> tuple[dict[str, Tensor], Tensor, Tensor, None]:
    inputs = subject.inputs()
    return {m: inputs[m] for m in subject.case.in_dims}, inputs["present"], inputs["valid"], None
