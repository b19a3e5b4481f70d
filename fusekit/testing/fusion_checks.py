"""Rules of fusions: shapes, what is absent, and steps apart or carried by a state."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule
from fusekit.testing.network_checks import differ, largest
from fusekit.testing.row_checks import misshapen
from fusekit.testing.situations import everywhere
from fusekit.testing.streams import streamed_apart
from fusekit.testing.subject import Subject, Tensors, send_back, state_of


@rule(
    "shapes",
    Kind.FUSION,
    says="(B, T, out_dim); `names` are the modalities in the recipe's order; traces are (B, T, ...).",
    documented="fusekit.contracts.Fusion",
)
@everywhere
def _shapes(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    if tuple(getattr(module, "names", ())) != tuple(subject.case.in_dims):
        yield f"names is {getattr(module, 'names', None)!r}, given were {tuple(subject.case.in_dims)}"
    for steps in (subject.steps, 1):
        answers = subject.ask(module, subject.inputs(steps=steps))
        yield from misshapen(
            f"the output for {steps} steps", answers["fused"], subject.rows, steps, module.out_dim
        )
        for name, value in answers.items():
            if name.startswith("trace.") and tuple(value.shape[:2]) != (subject.rows, steps):
                declared = f"(B, T, ...) with B {subject.rows}, T {steps}"
                yield f"`{name}` is {tuple(value.shape)}, declared is {declared}"
        gate = answers.get("trace.gate")
        if gate is not None and gate.shape[-1] != len(subject.case.in_dims):
            yield f"`trace.gate` has {gate.shape[-1]} columns for {len(subject.case.in_dims)} modalities"


@rule(
    "reads-all",
    Kind.FUSION,
    says="What is present is read: each modality's content changes the output where it is present.",
    documented="fusekit.contracts.Fusion",
)
@everywhere
def _reads_all(subject: Subject) -> Iterator[str]:
    module, inputs, other = subject.ready(), subject.inputs(), subject.inputs(seed=1)
    fused = subject.ask(module, inputs)["fused"]
    for name in subject.case.in_dims:
        if apart(fused, subject.ask(module, {**inputs, name: other[name]})["fused"]) == 0:
            yield f"the content of '{name}' changes nothing"


@rule(
    "absent",
    Kind.FUSION,
    says="Absent content influences nothing, gradients included, not even a NaN: filled, not multiplied.",
    documented="docs/design.md, Contracts",
)
@everywhere
def _absent(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    clean = _scattered(subject)
    value, slopes, reach = _run(subject, module, clean)
    size = largest(*slopes.values())
    yield from (f"the gradient reaches absent content of '{m}'" for m, slope in reach.items() if slope > 0)
    for content, what in ((1e3, "1000"), (float("inf"), "infinity"), (float("nan"), "NaN")):
        dirty = {**clean}
        for i, name in enumerate(subject.case.in_dims):
            dirty[name] = clean[name].masked_fill(~clean["present"][..., i, None], content)
        leaks, steep, _ = _run(subject, module, dirty)
        for name, answer in value.items():
            if differ(answer, leaks[name]):
                yield f"{what} in absent content changes `{name}`"
        odd = [name for name, slope in slopes.items() if differ(slope, steep[name], size)]
        if odd:
            yield f"{what} in absent content changes the gradient of `{odd[0]}`"


@rule(
    "empty",
    Kind.FUSION,
    says="A step with nothing present yields a learned vector.",
    documented="docs/design.md, Contracts",
)
@everywhere
def _empty(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    if module.init_state(1):
        return  # what it remembers may speak instead
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1
    inputs = subject.inputs()
    inputs["present"][2] = False
    answers = subject.ask(module, inputs)["fused"][2]
    if not subject.drawing and differ(answers, answers[:1].expand_as(answers)):
        yield "two steps with nothing present give different vectors"
    if not torch.isfinite(answers).all():
        yield "a step with nothing present gives no finite vector"
    else:
        module.zero_grad(set_to_none=True)
        send_back({"fused": answers})
        if not any(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters()):
            yield "the vector of a step with nothing present is fixed, no parameter moves it"


@rule(
    "steps",
    Kind.FUSION,
    says="Step by step with its state equals the whole at once; without a state, each step is for itself.",
    documented="docs/design.md, Contracts",
)
@everywhere
def _steps(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    yield from streamed_apart(subject, module, _scattered(subject), "fused", module.init_state(subject.rows))


@rule(
    "padding",
    Kind.FUSION,
    says="Padding (`valid` False) influences no valid step and leaves a state alone.",
    documented="fusekit.batch.Batch",
)
@everywhere
def _padding(subject: Subject) -> Iterator[str]:
    module, inputs = subject.ready(), subject.inputs()
    inputs["valid"][:, subject.steps - 2 :] = False
    inputs["present"][:, subject.steps - 2 :] = False
    short = {name: x[:, : subject.steps - 2] for name, x in inputs.items()}
    for m in subject.case.in_dims:
        inputs[m][:, subject.steps - 2 :] = float("nan")
    if subject.drawing:
        return  # other shapes draw otherwise
    whole, cut = subject.ask(module, inputs), subject.ask(module, short)
    if differ(cut["fused"], whole["fused"][:, : subject.steps - 2]):
        yield "padding after the end changes `fused` before it"
    changed = [n for n, v in state_of(cut).items() if differ(v, state_of(whole)[n])]
    if changed:
        yield f"padding after the end changes `state.{changed[0]}`"


def _scattered(subject: Subject) -> Tensors:
    """Inputs in which every modality is absent somewhere, and all of them in two places."""
    inputs = subject.inputs()
    g = torch.Generator().manual_seed(3)
    present = torch.rand(inputs["present"].shape, generator=g) > 0.4
    present[1], present[2, 1] = True, False
    return {**inputs, "present": present}


def _run(subject: Subject, module: nn.Module, inputs: Tensors) -> tuple[Tensors, Tensors, dict[str, float]]:
    """Answers, the gradients of parameters, and the largest of each modality's features where absent."""
    feats = {m: inputs[m].clone().requires_grad_() for m in subject.case.in_dims}
    module.zero_grad(set_to_none=True)
    answers = subject.ask(module, {**inputs, **feats})
    send_back(answers)
    slopes = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    reach = {}
    for i, (name, x) in enumerate(feats.items()):
        hidden = x.grad[~inputs["present"][..., i]] if x.grad is not None else x.new_zeros(0)
        reach[name] = float(hidden.abs().max()) if hidden.numel() else 0.0
    return answers, slopes, reach
