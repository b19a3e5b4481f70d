"""Rules of temporal heads and heads: shapes, time runs one way, state, padding."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule
from fusekit.testing.network_checks import differ
from fusekit.testing.row_checks import misshapen
from fusekit.testing.streams import streamed_apart
from fusekit.testing.subject import ROWS, STEPS, Subject, Tensors, send_back, state_of


@rule(
    "shapes",
    Kind.TEMPORAL,
    says="(B, T, out_dim) for any T; `attention` (B, T, memory) in the trace if, and only if, memory > 0.",
    documented="fusekit.contracts.Temporal",
)
def _shapes(subject: Subject) -> Iterator[str]:
    module = subject.make().eval()
    for steps in (STEPS, 1):
        answers = subject.ask(module, subject.inputs(steps=steps))
        yield from misshapen(f"the output for {steps} steps", answers["summary"], ROWS, steps, module.out_dim)
        attention = answers.get("trace.attention")
        if (attention is not None) != (module.memory > 0):
            has = "an" if attention is not None else "no"
            yield f"memory is {module.memory}, and the trace has {has} attention"
        elif attention is not None:
            yield from misshapen("`trace.attention`", attention, ROWS, steps, module.memory)


@rule(
    "causal",
    Kind.TEMPORAL,
    says="A part declared causal does not look ahead: later steps change nothing before them.",
    documented="fusekit.contracts.Temporal, causal",
)
def _causal(subject: Subject) -> Iterator[str]:
    module = subject.make().eval()
    if not module.causal:
        return
    inputs, other = subject.inputs(), subject.inputs(seed=1)
    before = subject.ask(module, inputs)["summary"]
    for t in range(1, STEPS):
        x = torch.cat([inputs["x"][:, :t], other["x"][:, t:]], dim=1)
        after = subject.ask(module, {**inputs, "x": x})["summary"]
        if differ(before[:, :t], after[:, :t]):
            yield f"it is declared causal, but other content from step {t} on changes steps before it"
            return


@rule(
    "streams",
    Kind.TEMPORAL,
    says="A causal head step by step, its state handed on, equals the whole at once.",
    documented="docs/design.md, Contracts",
)
def _streams(subject: Subject) -> Iterator[str]:
    module = subject.make().eval()
    if not module.causal:
        return
    inputs = subject.inputs()
    inputs["valid"][0, 1] = inputs["valid"][2, :2] = False
    yield from streamed_apart(subject, module, inputs, "summary", module.init_state(ROWS))


@rule(
    "padding",
    Kind.TEMPORAL,
    says="Padding (`valid` False) influences nothing, gradients included, and leaves the state alone.",
    documented="fusekit.contracts.Temporal.forward",
)
def _padding(subject: Subject) -> Iterator[str]:
    module = subject.make().eval()
    clean = subject.inputs()
    clean["valid"][:, -2:] = False
    if module.causal:
        clean["valid"][1, 0] = clean["valid"][2, 1] = False
    short = {name: value[:, :-2] for name, value in clean.items()}
    value, slopes = _run(subject, module, clean)
    cut, _ = _run(subject, module, short)
    there = short["valid"]
    if differ(cut["summary"][there], value["summary"][:, :-2][there]):
        yield "padding after the end changes the summary of valid steps"
    changed = [n for n, v in state_of(cut).items() if differ(v, state_of(value)[n])]
    if changed:
        yield f"padding after the end changes `state.{changed[0]}`"
    there = clean["valid"]
    for content, what in ((1e2, "100"), (float("nan"), "NaN")):
        dirty = {**clean, "x": clean["x"].masked_fill(~there[..., None], content)}
        leaks, steep = _run(subject, module, dirty)
        if differ(value["summary"][there], leaks["summary"][there]):
            yield f"{what} in padding changes the summary of valid steps"
        changed = [n for n, v in state_of(value).items() if differ(v, state_of(leaks)[n])]
        if changed:
            yield f"{what} in padding changes `state.{changed[0]}`"
        odd = [name for name, slope in slopes.items() if differ(slope, steep[name])]
        if odd:
            yield f"{what} in padding changes the gradient of `{odd[0]}`"


def _run(subject: Subject, module: nn.Module, inputs: Tensors) -> tuple[Tensors, Tensors]:
    """Answers, and the parameters' gradients from the summary of valid steps and the state."""
    module.zero_grad(set_to_none=True)
    answers = subject.ask(module, inputs)
    send_back({"summary": answers["summary"][inputs["valid"]], **state_of(answers)})
    return answers, {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


@rule(
    "shapes",
    Kind.HEAD,
    says="(B, T, K) from (B, T, H) for any T, each step for itself.",
    documented="docs/plugins.md, Kinds",
)
def _head(subject: Subject) -> Iterator[str]:
    module = subject.make().eval()
    for steps in (STEPS, 1):
        found = module(subject.inputs(steps=steps)["x"])
        yield from misshapen(f"the output for {steps} steps", found, ROWS, steps, subject.case.out_dim)
    x, other = subject.inputs()["x"], subject.inputs(seed=1)["x"]
    before = module(x)
    after = module(torch.cat([x[:, :2], other[:, 2:3], x[:, 3:]], dim=1))
    steps_changed = [t for t in (0, 1, 3, 4) if differ(before[:, t], after[:, t])]
    if steps_changed:
        yield f"other content at step 2 changes step {steps_changed[0]}"
    if differ(before, module(x.flip(1)).flip(1)):
        yield "the same steps in another order are predicted otherwise"
    if apart(before[:, 2], after[:, 2]) == 0:
        yield "the content of a step changes nothing in its prediction"
