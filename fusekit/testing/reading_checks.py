"""Rules of encoders, quadrant heads, projectors and heads on what they read, and on what goes together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fusekit.errors import FusekitError
from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule, told
from fusekit.testing.network_checks import differ
from fusekit.testing.row_checks import CONDITIONINGS, misshapen
from fusekit.testing.situations import everywhere
from fusekit.testing.subject import Subject

TENTHS = 10
"""The last axis is asked for in so many pieces."""
LIKE_PROBABILITIES = 1e-4


@rule(
    "reads-all",
    Kind.ENCODER,
    Kind.QUADRANT,
    Kind.PROJECTOR,
    Kind.HEAD,
    says="All of its input is read: other content in any channel, or at either end, changes the answer.",
    documented="docs/testing.md, What is read",
)
def _reads_all(subject: Subject) -> Iterator[str]:
    module, inputs, other = subject.ready(), subject.inputs(), subject.inputs(seed=1)
    for name in _read(subject, module):
        x, y = inputs[name], other[name]
        last = subject.kind is Kind.HEAD or x.dim() == 2
        channels = x.shape[-1] if last else x.shape[1]
        axis = x.dim() - 1 if last else 1
        dead = [
            c for c in range(min(channels, 16)) if _blind(subject, module, name, axis, slice(c, c + 1), x, y)
        ]
        if dead:
            yield f"channel {dead[0]} of `{name}` {tuple(x.shape[1:])} changes no answer: it is never read"
        elif not last and x.shape[-1] >= TENTHS:
            size, n = -(-x.shape[-1] // TENTHS), x.shape[-1]
            for begin, what in ((0, "first"), (n - size, "last")):
                if _blind(subject, module, name, x.dim() - 1, slice(begin, begin + size), x, y):
                    yield f"the {what} {size} of {n} along the last axis of `{name}` change no answer"


def _read(subject: Subject, module: torch.nn.Module) -> list[str]:
    """Inputs that it should read whole."""
    if subject.kind is Kind.QUADRANT:
        if not any(True for _ in module.parameters()):
            return []
        return ["x"] if module.reads == "reconstruction" else ["z"]
    return ["z"] if subject.kind is Kind.PROJECTOR else ["x"]


def _blind(
    subject: Subject, module: torch.nn.Module, name: str, axis: int, span: slice, x: Tensor, y: Tensor
) -> bool:
    """Does other content there change nothing but itself."""
    at = [slice(None)] * x.dim()
    at[axis] = span
    if torch.equal(x[tuple(at)], y[tuple(at)]):
        return False  # as padding is: nothing to see
    changed = x.clone()
    changed[tuple(at)] = y[tuple(at)]
    answers = []
    for value in (x, changed):
        found = subject.ask(module, {**subject.inputs(), name: value})
        answers.append({n: v for n, v in found.items() if n not in ("z", "quadrant")} or found)
    return all(apart(v, answers[1][n]) == 0 for n, v in answers[0].items())


@rule(
    "agrees",
    Kind.QUADRANT,
    says="Logits are no probabilities, the quadrant is the likeliest, and `judge` says what the Latent says.",
    documented="fusekit.contracts.Latent, QuadrantHead",
)
def _agrees(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    inputs = subject.inputs(rows=24)
    x = inputs["x"] if module.reads == "reconstruction" else None
    z = inputs["z"].requires_grad_()
    latent = module(x, z)
    if not latent.z.requires_grad:
        yield "z comes back detached: the encoder behind it would not be trained"
    if latent.logits is not None:
        p = latent.logits.detach()
        off = (p.sum(1) - 1).abs().max()
        if p.min() >= 0 and off < LIKE_PROBABILITIES:
            yield "its logits are probabilities (0 to 1, sum 1): the softmax is taken once more in training"
    if latent.quadrant is not None and latent.quadrant.shape == (24,):
        said = []
        if latent.logits is not None:
            said.append(("logits", latent.logits.argmax(1)))
        if latent.affect is not None:
            low_v, low_a = (latent.affect.detach() < 0).unbind(1)
            by_sign = torch.where(low_a, torch.where(low_v, 2, 3), torch.where(low_v, 1, 0))
            said.append(("signs of affect", by_sign))
        if said and not any(torch.equal(q, latent.quadrant) for _, q in said):
            words = " nor of the ".join(what for what, _ in said)
            yield f"the quadrant is not that of the {words}: 0 is +V +A, 1 -V +A, 2 -V -A, 3 +V -A"
    if module.critic and module.reads == "reconstruction":
        score, affect = module.judge(inputs["x"])
        for what, own, judged in (("realness", latent.realness, score), ("affect", latent.affect, affect)):
            if own is not None and differ(own, judged):
                yield f"`judge` gives another {what} than the Latent of the same reconstruction"


@rule(
    "quadrants",
    Kind.PROJECTOR,
    says="Each of the four quadrants, where it is used, is told from the others.",
    documented="fusekit.contracts.Projector",
)
def _quadrants(subject: Subject) -> Iterator[str]:
    for conditioning in CONDITIONINGS[:2]:
        other = subject.changed(conditioning=conditioning)
        try:
            module = other.ready()
        except FusekitError:
            continue
        inputs = other.inputs()
        found = [
            other.ask(module, {**inputs, "quadrant": torch.full((other.rows,), q)})["features"]
            for q in range(4)
        ]
        alike = [(a, b) for b in range(4) for a in range(b) if apart(found[a], found[b]) == 0]
        if alike and len(alike) < 6:  # all alike: another rule speaks of it
            a, b = alike[0]
            yield f"conditioning {conditioning}: quadrants {a} and {b} give the same features"


@rule(
    "widths",
    Kind.HEAD,
    says="Any number of target dimensions: (B, T, K) for K of 1, 2 and 5, or a refusal in words.",
    documented="docs/plugins.md, Kinds",
)
@everywhere
def _widths(subject: Subject) -> Iterator[str]:
    for k in dict.fromkeys((1, 2, 5)):
        other = subject.changed(out_dim=k)
        try:
            module = other.ready()
        except (FusekitError, AssertionError, ValueError) as error:
            if k == subject.case.out_dim:
                yield told(error)
            continue
        found = other.ask(module, other.inputs())["prediction"]
        yield from misshapen(f"the output for {k} dimensions", found, subject.rows, subject.steps, k)
