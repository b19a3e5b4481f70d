"""Rules of temporal heads and heads: shapes, time runs one way, state, padding."""

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
    Kind.TEMPORAL,
    says="(B, T, out_dim) for any T; `attention` (B, T, memory) in the trace if, and only if, memory > 0.",
    documented="fusekit.contracts.Temporal",
)
@everywhere
def _shapes(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    for steps in (subject.steps, 1):
        answers = subject.ask(module, subject.inputs(steps=steps))
        yield from misshapen(
            f"the output for {steps} steps", answers["summary"], subject.rows, steps, module.out_dim
        )
        attention = answers.get("trace.attention")
        if (attention is not None) != (module.memory > 0):
            has = "an" if attention is not None else "no"
            yield f"memory is {module.memory}, and the trace has {has} attention"
        elif attention is not None:
            yield from misshapen("`trace.attention`", attention, subject.rows, steps, module.memory)


def _cuts(steps: int) -> list[int]:
    """Steps from which on the content is changed: all of a short sequence, some of a long one."""
    return sorted({*range(1, min(steps, 5)), steps // 2, steps - 1})


@rule(
    "causal",
    Kind.TEMPORAL,
    says="A part declared causal does not look ahead: later steps change nothing before them.",
    documented="fusekit.contracts.Temporal, causal",
)
@everywhere
def _causal(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    if not module.causal:
        return
    inputs, other = subject.inputs(), subject.inputs(seed=1)
    before = subject.ask(module, inputs)["summary"]
    for t in _cuts(subject.steps):
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
@everywhere
def _streams(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    if not module.causal:
        return
    inputs = subject.inputs()
    inputs["valid"][0, 1] = inputs["valid"][2, :2] = False
    yield from streamed_apart(subject, module, inputs, "summary", module.init_state(subject.rows))


@rule(
    "padding",
    Kind.TEMPORAL,
    says="Padding (`valid` False) influences nothing, gradients included, and leaves the state alone.",
    documented="fusekit.contracts.Temporal.forward",
)
@everywhere
def _padding(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    where = PLANTED if module.causal else PLANTED[:1]
    found = list(_leaks(subject, module, where))
    for one in where if len(where) > 1 and found else ():  # which of them was it
        alone = list(_leaks(subject, module, (one,)))
        if alone:
            yield from alone
            return
    yield from found
    if subject.drawing:
        return
    inputs = subject.inputs()
    longer = {name: torch.cat([value[:, :2], value], dim=1) for name, value in inputs.items()}
    for at, what in ((slice(-2, None), "after the end"), (slice(2), "in front")):
        if at == slice(2) and not module.causal:
            continue
        kept = slice(2, None) if at == slice(2) else slice(-2)
        padded = {n: v.clone() for n, v in longer.items()}
        for name, value in padded.items():
            value[:, kept] = inputs[name]
        padded["valid"][:, at] = False
        cut, whole = subject.ask(module, inputs), subject.ask(module, padded)
        if differ(cut["summary"], whole["summary"][:, kept]):
            yield f"two steps of padding {what} change the summary of valid steps"
        changed = [n for n, v in state_of(cut).items() if differ(v, state_of(whole)[n])]
        if changed and module.causal:
            yield f"two steps of padding {what} change `state.{changed[0]}`"


PLANTED = ("padding after the end", "padding in front", "a hole", "a row of nothing but padding")


def _leaks(subject: Subject, module: nn.Module, where: tuple[str, ...]) -> Iterator[str]:
    """What content there, planted at invalid steps, changes."""
    clean, last = subject.inputs(), subject.steps - 1
    places = {
        PLANTED[0]: (slice(None), slice(last - 1, None)),
        PLANTED[1]: (slice(1, 2), slice(0, 1)),
        PLANTED[2]: (slice(2, 3), slice(1, 1 + max(1, last // 4))),
        PLANTED[3]: (slice(3, 4), slice(None)),
    }
    for name in where:
        clean["valid"][places[name]] = False
    there, named = clean["valid"], "padding" if len(where) > 1 else where[0]
    value, slopes = _run(subject, module, clean)
    size = largest(*slopes.values())
    for content, what in ((1e2, "100"), (float("nan"), "NaN")):
        dirty = {**clean, "x": clean["x"].masked_fill(~there[..., None], content)}
        leaks, steep = _run(subject, module, dirty)
        if differ(value["summary"][there], leaks["summary"][there]):
            yield f"{what} in {named} changes the summary of valid steps"
        changed = [n for n, v in state_of(value).items() if differ(v, state_of(leaks)[n])]
        if changed:
            yield f"{what} in {named} changes `state.{changed[0]}`"
        odd = [name for name, slope in slopes.items() if differ(slope, steep[name], size)]
        if odd:
            yield f"{what} in {named} changes the gradient of `{odd[0]}`"


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
@everywhere
def _head(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    for steps in (subject.steps, 1):
        found = module(subject.inputs(steps=steps)["x"])
        yield from misshapen(
            f"the output for {steps} steps", found, subject.rows, steps, subject.case.out_dim
        )
    x, other = subject.inputs()["x"], subject.inputs(seed=1)["x"]
    before = module(x)
    after = module(torch.cat([x[:, :2], other[:, 2:3], x[:, 3:]], dim=1))
    steps_changed = [t for t in range(subject.steps) if t != 2 and differ(before[:, t], after[:, t])]
    if steps_changed:
        yield f"other content at step 2 changes step {steps_changed[0]}"
    if not subject.drawing and differ(before, module(x.flip(1)).flip(1)):
        yield "the same steps in another order are predicted otherwise"
    if apart(before[:, 2], after[:, 2]) == 0:
        yield "the content of a step changes nothing in its prediction"
