"""Rules of temporal heads on time: its order counts, attention looks back, states start and stay apart."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule, told
from fusekit.testing.network_checks import listed
from fusekit.testing.situations import everywhere
from fusekit.testing.subject import Subject, state_of

SUM = 1e-3
"""How far the weights of an attention may be from a sum of 1."""


@rule(
    "order-of-time",
    Kind.TEMPORAL,
    says="What came before counts, and so does its order: the same steps in another order answer otherwise.",
    documented="docs/testing.md, Time",
)
def _order(subject: Subject) -> Iterator[str]:
    module, inputs = subject.ready(), subject.inputs()
    other = subject.inputs(seed=1)["x"]
    last = subject.steps - 1

    def of(x: torch.Tensor) -> torch.Tensor:
        return subject.ask(module, {**inputs, "x": x})["summary"][:, last]

    x = inputs["x"]
    before = of(x)
    if apart(before, of(torch.cat([other[:, :last], x[:, last:]], dim=1))) == 0:
        yield "other content in the steps before the last changes nothing at the last: it has no memory"
        return
    turned = of(torch.cat([x[:, :last].flip(1), x[:, last:]], dim=1))
    whole = subject.ask(module, {**inputs, "x": x.flip(1)})["summary"].flip(1)
    if apart(before, turned) <= 1e-6 * float(before.detach().abs().max()):
        yield "time reversed before the last step changes nothing at the last: the order does not count"
    elif apart(subject.ask(module, inputs)["summary"], whole) == 0:
        yield "time reversed gives the same answers reversed: the order of steps does not count"


@rule(
    "attention",
    Kind.TEMPORAL,
    says="`attention` holds weights of 0 to 1 that add up to 1, newest last, 0 for what is not there yet.",
    documented="fusekit.contracts.Trace",
)
@everywhere
def _attention(subject: Subject) -> Iterator[str]:
    module, inputs = subject.ready(), subject.inputs()
    found = subject.ask(module, inputs).get("trace.attention")
    if found is None or found.dim() != 3 or found.shape[2] != module.memory:
        return  # another rule speaks of its shape
    weights = found.detach().double()
    if weights.min() < -SUM or weights.max() > 1 + SUM or not torch.isfinite(weights).all():
        yield f"weights are {float(weights.min()):.3g} to {float(weights.max()):.3g}"
        return
    total = weights.sum(-1)
    used = total > SUM
    off = (total - 1).abs()[used]
    if off.numel() and off.max() > SUM:
        yield f"the weights of a step add up to {float(total[used][off.argmax()]):.3g}"
    for t in range(min(module.memory, subject.steps)):
        early = weights[:, t, : module.memory - 1 - t]
        if early.numel() and early.max() > SUM:
            yield f"at step {t} a weight of {float(early.max()):.2g} lies on what was before the first step"
            return


@rule(
    "states",
    Kind.TEMPORAL,
    says="init_state gives leaves (batch, ...) on the device asked for; a pass leaves the one it got alone.",
    documented="fusekit.contracts.State",
)
def _states(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    for batch, dtype in ((3, torch.float32), (1, torch.float64)):
        for name, leaf in module.init_state(batch, torch.device("cpu"), dtype).items():
            if leaf.dim() == 0 or len(leaf) != batch:
                shape = tuple(leaf.shape)
                yield f"init_state({batch}) gives `{name}` {shape}: the first axis is not the batch"
            if leaf.is_floating_point() and leaf.dtype != dtype:
                yield f"init_state of {dtype} gives `{name}` as {leaf.dtype}"
    try:
        away = [n for n, v in module.init_state(2, torch.device("meta"), None).items() if not v.is_meta]
    except Exception as error:  # whatever it raises
        away = []
        yield f"init_state on another device: {told(error)}"
    if away:
        yield f"init_state leaves {listed(away)} on the CPU whatever device is asked for"
    if not module.causal:
        return
    inputs = subject.inputs()
    state = state_of(subject.ask(module, inputs))
    if not state:
        return
    kept = {name: value.detach().clone() for name, value in state.items()}
    handed = {name: value.detach().clone() for name, value in state.items()}
    with torch.no_grad():
        subject.ask(module, inputs, handed)
    changed = [name for name in kept if apart(kept[name], handed[name]) > 0]
    if changed:
        yield f"it changes the state {listed(changed)} that it is handed in place"
    started = module.init_state(subject.rows)
    given = subject.ask(module, inputs, dict(started))
    bare = subject.ask(module, inputs)
    if started and apart(given["summary"], bare["summary"]) > 1e-5:
        yield "without a state it does not start from init_state"
