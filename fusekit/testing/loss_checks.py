"""Rules of losses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule
from fusekit.testing.subject import Subject

SIZES = (2, 5, 50, 400)
TOLERANCE = 1e-3


def labels(n: int, k: int, seed: int = 0) -> Tensor:
    """`(n, k)` in -1..1 that vary in each dimension, also for n = 2."""
    g = torch.Generator().manual_seed(seed)
    y = torch.rand(n, k, generator=g) * 2 - 1
    y[0], y[1] = -0.7, 0.6
    return y


def everything(y: Tensor) -> Tensor:
    return torch.ones_like(y, dtype=torch.bool)


@rule(
    "scalar",
    Kind.LOSS,
    says="(N, K) prediction, target, mask, weight -> one finite number with a gradient; weights count.",
    documented="fusekit.contracts.Loss",
)
def _scalar(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, y = subject.make(), labels(20, k)
    p = labels(20, k, 1).requires_grad_()
    value = loss(p, y, everything(y))
    if value.shape != ():
        yield f"it is {tuple(value.shape)}, not a scalar"
        return
    if not torch.isfinite(value):
        yield f"it is {float(value)} for an ordinary batch"
        return
    value.backward()
    if p.grad is None or not (p.grad.abs().max() > 0):
        yield "its gradient with respect to the prediction is 0"
    if apart(value, loss(p, y, everything(y), torch.ones_like(y))) > 1e-5:
        yield "weights of 1 give another value than no weights"
    if apart(value, loss(p, y, everything(y), torch.linspace(0, 2, 20 * k).reshape(20, k))) < 1e-6:
        yield "weights from 0 to 2 change nothing: `train.weighting` would do nothing"


@rule(
    "perfect",
    Kind.LOSS,
    says="A perfect prediction costs the least there is, and the same in a batch of any size.",
    documented="docs/design.md, Where the networks leave the authors' code",
)
def _perfect(subject: Subject) -> Iterator[str]:
    loss, k = subject.make(), subject.dims
    costs = {n: float(loss(labels(n, k), labels(n, k), everything(labels(n, k)))) for n in SIZES}
    if max(costs.values()) - min(costs.values()) > TOLERANCE:
        listed = ", ".join(f"{cost:.3g} at n = {n}" for n, cost in costs.items())
        yield f"a perfect prediction costs {listed}: its moments do not share one normaliser"
    for n in SIZES:
        y = labels(n, k)
        rivals = {
            "off by 0.2": y + 0.2,
            "twice as large": 2 * y,
            "half as large": y / 2,
            "of the opposite sign": -y,
            "the labels' mean": y.mean(0).expand_as(y),
            "half noise": (y + labels(n, k, 5)) / 2 if n > 2 else y + 0.1 * torch.eye(2, k),
        }
        for what, p in rivals.items():
            cost = float(loss(p, y, everything(y)))
            # A loss may not care for scale or offset, but never for the sign.
            least = costs[n] + 1e-6 if what == "of the opposite sign" else costs[n] - 1e-5
            if not cost > least:
                yield f"a prediction {what} costs {cost:.3g} at n = {n}, a perfect one {costs[n]:.3g}"
                return


@rule(
    "unknown",
    Kind.LOSS,
    says="What is not known changes neither value nor gradient, not even a NaN; targets are left alone.",
    documented="docs/design.md, Contracts",
)
def _unknown(subject: Subject) -> Iterator[str]:
    loss, k = subject.make(), subject.dims
    y, w = labels(30, k), labels(30, k, 2).abs() + 0.5
    known = torch.rand(30, k, generator=torch.Generator().manual_seed(3)) > 0.3
    known[:2] = True
    kept = y.clone()
    value, slope = slope_of(loss, labels(30, k, 1), y, known, w)
    if apart(y, kept) > 0:
        yield "it changes the target in place"
    for content, what in ((0.0, "0"), (50.0, "50"), (float("nan"), "NaN")):
        p, dirty = (x.masked_fill(~known, content) for x in (labels(30, k, 1), y))
        other, steep = slope_of(loss, p, dirty, known, w)
        if apart(value, other) > 1e-5:
            yield f"{what} in place of unknown entries changes the value to {float(other):.4g}"
        elif apart(slope, steep) > 1e-5:
            yield f"{what} in place of unknown entries changes the gradient"
    if slope[~known].abs().max() > 0:
        yield "the gradient with respect to unknown entries is not 0"


@rule(
    "order",
    Kind.LOSS,
    says="The order of the samples does not matter.",
    documented="fusekit.contracts.Loss",
)
def _order(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, y, p = subject.make(), labels(30, k), labels(30, k, 1)
    known = torch.rand(30, k, generator=torch.Generator().manual_seed(3)) > 0.2
    turned = torch.randperm(30, generator=torch.Generator().manual_seed(4))
    a, b = loss(p, y, known), loss(p[turned], y[turned], known[turned])
    if apart(a, b) > 1e-4:
        yield f"the same samples in another order cost {float(b):.4g} instead of {float(a):.4g}"


@rule(
    "degenerate",
    Kind.LOSS,
    says="Constant predictions or labels, one sample, nothing known: value and gradient stay finite.",
    documented="docs/design.md, Where the networks leave the authors' code",
)
def _degenerate(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, y, p = subject.make(), labels(10, k), labels(10, k, 1)
    flat, nothing = torch.full_like(y, 0.3), torch.zeros_like(y, dtype=torch.bool)
    one = nothing.clone()
    one[:, 0] = True
    cases = {
        "a constant prediction": (flat, y, everything(y)),
        "a perfect prediction": (y, y, everything(y)),
        "constant labels": (p, flat, everything(y)),
        "constant prediction and labels": (flat, flat, everything(y)),
        "a single sample": (p[:1], y[:1], everything(y[:1])),
        "one dimension known": (p, y, one),
        "nothing known": (p, y, nothing),
    }
    for what, (prediction, target, known) in cases.items():
        value, slope = slope_of(loss, prediction, target, known, None)
        if not torch.isfinite(value):
            yield f"{what}: the value is {float(value)}"
        if not torch.isfinite(slope).all():
            yield f"{what}: the gradient is not finite"


@rule(
    "correlates",
    Kind.LOSS,
    says="A loss that is no mean over samples says `correlates = True`.",
    documented="fusekit.contracts.Loss",
)
def _correlates(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, y, p = subject.make(), labels(40, k), labels(40, k, 1)
    p[20:] *= 2  # the halves differ in how wrong they are
    if loss.correlates:
        return
    whole = loss(p, y, everything(y))
    halves = [loss(a, b, everything(b)) for a, b in zip(p.split(20), y.split(20), strict=True)]
    mean = sum(halves) / len(halves)
    if apart(whole, mean) > 1e-4:
        yield (
            f"correlates is False, but a batch costs {float(whole):.4g} and its halves {float(mean):.4g} on "
            "average"
        )


@rule(
    "learns",
    Kind.LOSS,
    says="Going down its gradient makes the prediction cheaper.",
    documented="fusekit.contracts.Loss",
)
def _learns(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, y, p = subject.make(), labels(30, k), labels(30, k, 1)
    costs = []
    for _ in range(4):
        value, slope = slope_of(loss, p, y, everything(y), None)
        costs.append(float(value))
        p = p - 0.05 * slope / slope.norm().clamp_min(1e-12)
    if any(not later < earlier for earlier, later in pairwise(costs)):
        yield f"steps against its gradient cost {', '.join(f'{c:.5g}' for c in costs)}"


def slope_of(
    loss: torch.nn.Module, p: Tensor, y: Tensor, known: Tensor, w: Tensor | None
) -> tuple[Tensor, Tensor]:
    p = p.detach().clone().requires_grad_()
    value = loss(p, y, known, w)
    if value.requires_grad:
        value.backward()
    return value.detach(), torch.zeros_like(p) if p.grad is None else p.grad
