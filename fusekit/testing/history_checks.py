"""Rules on what a network remembers beside its state dict: earlier calls, tensors, the way it was built."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fusekit.contracts import reopened, unsaved
from fusekit.testing.findings import apart, rule, told
from fusekit.testing.network_checks import NETWORKS, listed
from fusekit.testing.situations import SEQUENCES
from fusekit.testing.subject import Subject, Tensors

EARLIER = ((7, 3), (2, 9), (1, 70))
"""Rows and steps of the calls between two that are compared."""


@rule(
    "history",
    *NETWORKS,
    says="Earlier calls, on other data and in batches of other sizes, change no answer.",
    documented="docs/testing.md, What a network must not remember",
)
def _history(subject: Subject) -> Iterator[str]:
    module, inputs = subject.make().eval(), subject.inputs()
    module.train()  # what starts with the first call has started
    subject.ask(module, inputs)
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    before = {mode: _answers(subject, module, mode, inputs) for mode in (False, True)}
    module.load_state_dict(kept)
    _others(subject, module.eval())
    moved = [n for n, v in module.state_dict().items() if n not in kept or apart(v, kept[n]) > 0]
    if moved:
        yield f"calls in eval mode change its {listed(moved)}: what is predicted depends on what came before"
    for mode in (False, True):
        module.load_state_dict(kept)
        after = _answers(subject, module, mode, inputs)
        odd = [n for n, v in before[mode].items() if n not in after or apart(v, after[n]) > 0]
        if odd:
            how = "training" if mode else "eval"
            yield f"in {how} mode, after calls on other data, {listed(odd)} differs for the same input"
    if moved or odd:
        return
    module.load_state_dict(kept)
    _others(subject, module.train())
    module.load_state_dict(kept)
    after = _answers(subject, module, False, inputs)
    odd = [n for n, v in before[False].items() if n not in after or apart(v, after[n]) > 0]
    if odd:
        yield f"calls while training change {listed(odd)} although the same state dict is loaded again"


def _answers(subject: Subject, module: nn.Module, training: bool, inputs: Tensors) -> Tensors:
    torch.manual_seed(5)
    with torch.no_grad():
        return {n: v.clone() for n, v in subject.ask(module.train(training), inputs).items()}


def _others(subject: Subject, module: nn.Module) -> None:
    """Calls on other data, rows and steps."""
    for seed, (rows, steps) in enumerate(EARLIER, start=20):
        if subject.kind not in SEQUENCES and rows == 1:
            continue  # batch norm has no statistics of a single row
        torch.manual_seed(seed)
        with torch.no_grad():
            subject.ask(module, subject.inputs(seed, rows, steps))


@rule(
    "keeps-nothing",
    *NETWORKS,
    says="No tensor of a call is kept, and nothing grows from call to call: memory would.",
    documented="docs/testing.md, What a network must not remember",
)
def _keeps(subject: Subject) -> Iterator[str]:
    module = subject.make().train()
    names = {n: tuple(v.shape) for n, v in module.state_dict().items()}
    at_first = {path for path, _ in _held(module)}
    sizes = []
    for seed in range(3):
        alive = _call(subject, module, seed)
        if any(one() is not None for one in alive):
            gc.collect()
        held = dict(_held(module))
        sizes.append({path: len(v) for path, v in held.items() if not isinstance(v, Tensor)})
        tensors = [path for path, v in held.items() if isinstance(v, Tensor) and path not in at_first]
        if tensors:
            yield f"it keeps tensors of its last call in {listed(tensors)}: a state is returned, not kept"
            return
        if any(one() is not None for one in alive):
            yield "something outside it keeps the tensors of its last call"
            return
    grown = [path for path, n in sizes[2].items() if n > sizes[1].get(path, 0) > sizes[0].get(path, 0)]
    if grown:
        yield f"{listed(grown)} grows with every call: {', '.join(str(s.get(grown[0], 0)) for s in sizes)}"
    now = {n: tuple(v.shape) for n, v in module.state_dict().items()}
    if now != names:
        odd = sorted(names.keys() ^ now.keys()) or [n for n in names if names[n] != now[n]]
        yield f"calling it changes which tensors its state dict holds: {listed(odd)}; make them beforehand"


def _call(subject: Subject, module: nn.Module, seed: int) -> list[weakref.ref[Tensor]]:
    """Weak references to what went in and came out of a call that is over."""
    inputs = {n: v.clone() for n, v in subject.inputs(seed).items()}
    answers = subject.ask(module, inputs)
    return [weakref.ref(v) for v in (*inputs.values(), *answers.values())]


def _held(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Tensors and containers among the plain attributes of every part, by path."""
    own = {id(v) for v in (*module.parameters(), *module.buffers())}
    for prefix, part in module.named_modules():
        for name, value in vars(part).items():
            if name.startswith("_") and name in nn.Module().__dict__:
                continue
            yield from _within(f"{prefix}.{name}".lstrip("."), value, own, 3)


def _within(path: str, value: Any, own: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Tensor):
        if id(value) not in own:
            yield path, value
    elif isinstance(value, list | tuple | set | dict) or type(value).__name__ in ("deque", "defaultdict"):
        yield path, value
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in list(items) if depth else ():
            yield from _within(f"{path}[{key}]", item, own, depth - 1)


@rule(
    "opens",
    *NETWORKS,
    says="Opened again as a run is, its weights read from a file, it answers as it did when it was trained.",
    documented="docs/plugins.md, Kinds",
)
def _opens(subject: Subject) -> Iterator[str]:
    module, inputs = subject.make(), subject.inputs()
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(1.25)  # trained: no longer what its seed draws
    answers = subject.ask(module.eval(), inputs)
    try:
        opened = reopened(lambda: subject.make(None), module.state_dict(), seed=1)
        again = subject.ask(opened, inputs)
    except Exception as error:  # whatever it raises, a run of it could not be opened
        yield f"a run of it could not be opened: {told(error)}"
        return
    odd = [n for n, v in answers.items() if n not in again or apart(v, again[n]) > 0]
    if odd:
        lost = [n for n, v in unsaved(module).items() if not _same(v, unsaved(opened).get(n))]
        why = f"{listed(lost)} is not in its state dict" if lost else "something it needs is not saved"
        yield (
            f"opened again from its state dict, {listed(odd)} differs: {why}; register_buffer(..., "
            "persistent=True) keeps a tensor"
        )


def _same(a: Any, b: Any) -> bool:
    return b is not None and apart(a, b) == 0
