"""Rules that bind every network: samples apart, gradients, repetition, state dict, constants, meta device."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule
from fusekit.testing.situations import everywhere
from fusekit.testing.subject import Subject, Tensors, send_back

NETWORKS = (Kind.ENCODER, Kind.QUADRANT, Kind.PROJECTOR, Kind.FUSION, Kind.TEMPORAL, Kind.HEAD)
CLOSE = 1e-4
"""Differences up to this share of the values' size are rounding, not influence."""
NOTHING = 1e-12
"""Differences below this are nothing, whatever the size."""
DEAD = 1e-8
"""In float64: a gradient below this share of the largest one is zero (softmaxes often stay float32)."""


def differ(a: Tensor, b: Tensor, size: float | None = None) -> bool:
    """Is the difference more than rounding of values of `size`; None: the largest of `a`, however small."""
    return apart(a, b) > CLOSE * (largest(a) if size is None else size) + NOTHING


def largest(*tensors: Tensor) -> float:
    """The largest finite absolute value; 1 where nothing is finite."""
    wide = torch.cat([x.detach().double().flatten() for x in tensors]) if tensors else torch.zeros(0)
    finite = wide[torch.isfinite(wide)]
    return float(finite.abs().max()) if finite.numel() else 1.0


def some(numbers: list[int]) -> str:
    """`rows 2 and 3`."""
    texts = [str(n) for n in numbers]
    many = f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]
    return f"row{'s' if len(texts) > 1 else ''} {many}"


def listed(names: list[str], most: int = 4) -> str:
    """`` `a`, `b` and 3 more ``."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{name}`" for name in names[:most]) + rest


@rule(
    "rows",
    *NETWORKS,
    says="No sample of a batch influences another, and a batch of one gives the same answer.",
    documented="docs/design.md, Lessons kept as tests",
)
@everywhere
def _rows(subject: Subject) -> Iterator[str]:
    module, inputs, rows = subject.ready(), subject.inputs(), subject.rows
    before = subject.ask(module, inputs)
    other = subject.inputs(seed=1)
    changed = {name: value.clone() for name, value in inputs.items()}
    for name, value in changed.items():
        if value.is_floating_point():
            value[1] = other[name][1]
        elif name == "quadrant":
            value[1] = (value[1] + 1) % 4
        elif name == "present":
            value[1, :, 0] = ~value[1, :, 0]
        elif name == "valid":
            value[1, -1] = False
    after = subject.ask(module, changed)
    for name, value in before.items():
        if value.dim() == 0 or len(value) != rows:
            yield f"`{name}` is {tuple(value.shape)} for a batch of {rows}: the first axis is not the batch"
            continue
        others = [i for i in range(rows) if i != 1]
        touched = [i for i in others if differ(value[i], after[name][i], largest(value))]
        if touched:
            reach = max(apart(value[i], after[name][i]) for i in touched)
            hint = ""
            if subject.kind is Kind.TEMPORAL and touched == list(range(2, rows)):
                hint = "; only later rows: its recurrence runs over the batch axis, not over time"
            yield f"other content in row 1 changes `{name}` in {some(touched)} (by up to {reach:.2g}){hint}"
    if subject.drawing:
        return
    for i in range(rows):
        alone = subject.ask(module, {name: value[i : i + 1] for name, value in inputs.items()})
        odd = [n for n, v in before.items() if v.dim() and len(v) == rows]
        odd = [n for n in odd if differ(before[n][i : i + 1], alone[n], largest(before[n]))]
        if odd:
            yield from (
                f"row {i} as a batch of its own gives `{name}` {tuple(alone[name].shape)} with other values "
                f"than among {rows} rows"
                for name in odd
            )
            return


@rule(
    "learns",
    *NETWORKS,
    says="Every parameter that the case does not name as `unused` gets a gradient; so does its input.",
    documented="fusekit.testing.Case",
)
def _learns(subject: Subject) -> Iterator[str]:
    slopes = _gradients(subject)
    largest = max((s for s in slopes.values() if s is not None), default=0.0)
    dead = [
        name
        for name, slope in slopes.items()
        if (slope is None or slope <= DEAD * largest)
        and not any(fnmatch(name, p) for p in subject.case.unused)
    ]
    if dead:
        yield f"no answer depends on {listed(dead)}: nothing is learned there"
    yield from _frozen(subject)
    cut = _cut(subject)
    if cut:
        yield f"no gradient reaches its input {listed(cut)}: what comes before it would not be trained"


def _frozen(subject: Subject) -> Iterator[str]:
    """Parameters that training leaves alone, and drawn weights that are said to come from elsewhere."""
    one, two = subject.make(0), subject.make(1)
    trained = bool(getattr(one, "trained", False))
    frozen = [
        n
        for n, p in one.named_parameters()
        if not p.requires_grad and p.numel() and not any(fnmatch(n, u) for u in subject.case.unused)
    ]
    if frozen and not trained:
        yield f"{listed(frozen)} is frozen (requires_grad is False), so nothing is learned there"
    wide = [(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True) if p.dim() > 1]
    if trained and wide and not any(torch.equal(p, q) for p, q in wide):
        yield "it says that it is `trained`, but its weights are drawn: another seed gives others"


def _cut(subject: Subject) -> list[str]:
    """Inputs made by other networks that no gradient reaches; windows are data, z only passes by a Q head."""
    module, inputs = subject.make().eval(), subject.inputs()
    _stir(module)
    match subject.kind:
        case Kind.ENCODER:
            return []
        case Kind.QUADRANT:
            if not module.critic:
                return []
            windows = inputs["x"].requires_grad_()
            made, answers = {"x": windows}, dict(zip(("score", "affect"), module.judge(windows), strict=True))
        case _:
            made = {n: x for n, x in inputs.items() if x.is_floating_point() and not n.startswith("context.")}
            answers = subject.ask(module, inputs | {n: x.requires_grad_() for n, x in made.items()})
    send_back(answers)
    return [name for name, x in made.items() if x.grad is None or not x.grad.abs().max() > 0]


def _gradients(subject: Subject) -> dict[str, float | None]:
    """Largest gradient of each learned parameter, None without any; float64 tells zero from rounding."""
    try:
        return _slopes(subject, torch.float64)
    except RuntimeError:  # a part that is bound to float32: there, only an exact zero is told
        return _slopes(subject, torch.float32)


def _slopes(subject: Subject, dtype: torch.dtype) -> dict[str, float | None]:
    module = subject.make().eval().to(dtype)
    _stir(module)
    slopes: dict[str, float | None] = {}
    for seed in (0, 1):
        inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in subject.inputs(seed).items()}
        module.zero_grad(set_to_none=True)
        send_back(subject.ask(module, inputs))
        for name, p in module.named_parameters():
            if p.requires_grad and p.numel():
                slope = None if p.grad is None else float(p.grad.abs().max())
                old = slopes.get(name)
                slopes[name] = slope if old is None else max(old, slope or 0.0)
    return slopes


def _stir(module: nn.Module) -> None:
    """Noise on every parameter: what starts at 0 would otherwise hide from those behind it."""
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=g).to(p.dtype))


@rule(
    "repeats",
    *NETWORKS,
    says="The same input gives the same answer, to the bit: in eval mode, and in training from one seed.",
    documented="docs/design.md, Contracts",
)
@everywhere
def _repeats(subject: Subject) -> Iterator[str]:
    module, inputs = subject.ready(), subject.inputs()
    kept = {name: value.clone() for name, value in inputs.items()}
    first, again = subject.ask(module, inputs), subject.ask(module, inputs)
    for name, value in first.items():
        if apart(value, again[name]) > 0:
            how = "from one seed of torch's generator" if subject.training else "in eval mode"
            yield f"two calls {how} differ in `{name}` (by {apart(value, again[name]):.2g})"
    changed = [name for name, value in kept.items() if apart(value, inputs[name]) > 0]
    if changed:
        yield f"it changes its input {listed(changed)} in place"


@rule(
    "state-dict",
    *NETWORKS,
    says="What it has learned is its state dict, which survives a safetensors file: a copy answers alike.",
    documented="docs/design.md, Contracts",
)
def _state_dict(subject: Subject) -> Iterator[str]:
    module = subject.make()
    _train(subject, module)
    file = subject.folder / "model.safetensors"
    try:
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, file)
    except RuntimeError as error:
        yield f"safetensors refuses its state dict: {' '.join(str(error).split())[:300]}"
        return
    copy = subject.make(seed=1)
    try:
        copy.load_state_dict(load_file(file))
    except RuntimeError as error:
        yield f"a new one does not take the state dict: {' '.join(str(error).split())[:300]}"
        return
    inputs = subject.inputs()
    mine, theirs = (subject.ask(m.eval(), inputs) for m in (module, copy))
    for name, value in mine.items():
        if apart(value, theirs[name]) > 0:
            yield (
                f"a copy with the same state dict differs in `{name}` (by {apart(value, theirs[name]):.2g}): "
                "something that answers depend on is not in the state dict"
            )


def _train(subject: Subject, module: nn.Module) -> None:
    """A few steps, so that what counts along while training has counted."""
    module.train()
    for seed in range(3):
        module.zero_grad(set_to_none=True)
        send_back(subject.ask(module, subject.inputs(seed)))
        with torch.no_grad():
            for p in module.parameters():
                if p.grad is not None:
                    p.sub_(0.01 * p.grad.clamp(-1, 1))


@rule(
    "finite",
    *NETWORKS,
    says="Silence, black, white and any other constant give finite answers and gradients.",
    documented="docs/design.md, Contracts",
)
def _finite(subject: Subject) -> Iterator[str]:
    for value in subject.case.constants:
        module = subject.make()
        inputs = {
            name: torch.full_like(x, value) if x.is_floating_point() else x
            for name, x in subject.inputs().items()
        }
        answers = subject.ask(module, inputs)
        yield from (f"input of {value:g} everywhere: {seen}" for seen in not_finite(module, answers))


def not_finite(module: nn.Module, answers: Tensors) -> Iterator[str]:
    """Answers, and gradients of what is learned from them, that are not finite."""
    odd = [name for name, x in answers.items() if not torch.isfinite(x).all()]
    if odd:
        yield f"{listed(odd)} is not finite"
    send_back(answers)
    steep = [
        n for n, p in module.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()
    ]
    if steep:
        yield f"the gradient of {listed(steep)} is not finite"


@rule(
    "meta",
    *NETWORKS,
    says="It can be made on the meta device, where `fusekit check` finds shapes without data or memory.",
    documented="fusekit.build.check",
)
def _meta(subject: Subject) -> Iterator[str]:
    with torch.device("meta"):
        bare = subject.make()
    real = subject.make()
    counts = [sum(p.numel() for p in m.parameters()) for m in (bare, real)]
    if counts[0] != counts[1]:
        yield f"it has {counts[0]:,} parameters on the meta device and {counts[1]:,} elsewhere"
    elsewhere = [name for name, p in bare.named_parameters() if not p.is_meta]
    if elsewhere:
        yield f"{listed(elsewhere)} is made on another device than torch's default one"
