"""Rules of losses on dimensions, weights and what they keep: any K, nothing remembered, nothing changed."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fusekit.errors import FusekitError
from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule, told
from fusekit.testing.loss_checks import everything, labels, slope_of
from fusekit.testing.subject import Subject

WIDTHS = (1, 2, 5)
SAME = 1e-5


@rule(
    "dimensions",
    Kind.LOSS,
    says="Any number of target dimensions, each of which counts; a loss for some K alone refuses others.",
    documented="fusekit.contracts.Loss",
)
def _dimensions(subject: Subject) -> Iterator[str]:
    for k in dict.fromkeys((subject.dims, *WIDTHS)):
        y, p = labels(20, k), labels(20, k, 1)
        try:
            loss = subject.make()
            value, slope = slope_of(loss, p, y, everything(y), None)
        except (FusekitError, ValueError) as error:
            if k == subject.dims:
                yield f"{k} dimensions: {told(error)}; the case's `out_dim` or `dims` says how many it takes"
            continue
        except Exception as error:  # an index, say, that another K has not
            yield f"{k} dimensions: {told(error)}"
            continue
        if value.shape != () or not torch.isfinite(value) or not torch.isfinite(slope).all():
            yield f"{k} dimensions: value {tuple(value.shape)} or gradient is no finite number"
            continue
        dead = [d for d in range(k) if not slope[:, d].abs().max() > 0]
        if dead:
            yield f"{k} dimensions: the prediction of dimension {dead[0]} changes nothing in it"
        known = everything(y)
        known[:, 0] = False
        value, slope = slope_of(loss, p.masked_fill(~known, float("nan")), y, known, None)
        if not torch.isfinite(value) or not torch.isfinite(slope).all():
            yield f"{k} dimensions, the first nowhere known: value or gradient is not finite"


@rule(
    "weights",
    Kind.LOSS,
    says="A sample of weight 0 counts for nothing; the same batch twice over costs what it costs once.",
    documented="fusekit.contracts.Loss",
)
def _weights(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, y, p = subject.make(), labels(30, k), labels(30, k, 1)
    known = torch.rand(30, k, generator=torch.Generator().manual_seed(3)) > 0.2
    known[:2] = True
    w = torch.ones(30, k)
    w[20:] = 0.0
    w *= known.sum() / (w * known).sum()  # of mean 1, as training gives them
    value, slope = slope_of(loss, p, y, known, w)
    other = p.clone()
    other[20:] = -other[20:]
    value_2, slope_2 = slope_of(loss, other, y, known, w)
    if apart(value, value_2) > SAME or apart(slope, slope_2) > SAME:
        yield "other predictions for samples of weight 0 change value or gradient"
    if slope[20:].abs().max() > SAME:
        yield "samples of weight 0 have a gradient"
    value, slope = slope_of(loss, p, y, known, torch.zeros_like(w))
    if not torch.isfinite(value) or not torch.isfinite(slope).all():
        yield "weights of 0 throughout: value or gradient is not finite"
    once = loss(p, y, known)
    twice = loss(torch.cat([p, p]), torch.cat([y, y]), torch.cat([known, known]))
    if apart(once, twice) > 1e-4 * max(1.0, abs(float(once))):
        yield f"a batch costs {float(once):.4g}, twice over {float(twice):.4g}: a larger batch weighs more"


@rule(
    "leaves-alone",
    Kind.LOSS,
    says="Its arguments stay as they are, and earlier batches change no value.",
    documented="fusekit.contracts.Loss",
)
def _leaves(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, p, y, w = subject.make(), labels(30, k, 1), labels(30, k), labels(30, k, 2).abs() + 0.5
    known = torch.rand(30, k, generator=torch.Generator().manual_seed(3)) > 0.3
    known[:2] = True
    handed = {"prediction": p, "target": y.masked_fill(~known, float("nan")), "mask": known, "weight": w}
    kept = {name: value.clone() for name, value in handed.items()}
    first = loss(*handed.values()).detach().clone()
    changed = [name for name, value in handed.items() if apart(value, kept[name]) > 0]
    if changed:
        yield f"it changes the {', '.join(changed)} in place"
        return
    torch.manual_seed(99)
    for seed, n in ((4, 7), (5, 64)):
        slope_of(loss, 3 * labels(n, k, seed), labels(n, k, seed + 9), everything(labels(n, k)), None)
    again = loss(*handed.values())
    if apart(first, again) > 0:
        yield f"after other batches the same one costs {float(again):.5g} instead of {float(first):.5g}"
    for training in (True, False):
        if apart(first, loss.train(training)(*handed.values())) > 0:
            yield "it costs otherwise in training and in eval mode"


@rule(
    "extremes",
    Kind.LOSS,
    says="Predictions far outside -1..1, all but constant, bf16 or float64: value and gradient stay finite.",
    documented="fusekit.contracts.Loss",
)
def _extremes(subject: Subject) -> Iterator[str]:
    k = subject.dims
    loss, y, p = subject.make(), labels(40, k), labels(40, k, 1)
    flat = torch.full_like(y, 0.3)
    mask = torch.zeros_like(y, dtype=torch.bool)
    cases = {
        "predictions of up to 30": (30 * p, y),
        "labels at -1 and 1": (p, y.sign()),
        "predictions that hardly vary": (flat + 1e-6 * p, y),
        "labels that hardly vary": (p, flat + 1e-6 * y),
        "predictions of 0": (torch.zeros_like(p), y),
        "predictions in float64": (p.double(), y.double()),
        "predictions in bf16": (p.bfloat16(), y),
    }
    for what, (prediction, target) in cases.items():
        value, slope = slope_of(loss, prediction, target, everything(y), None)
        if not torch.isfinite(value) or not torch.isfinite(slope).all():
            yield f"{what}: value {float(value):.4g}, or the gradient, is not finite"
    value, slope = slope_of(loss, p, torch.full_like(y, float("nan")), mask, None)
    if not torch.isfinite(value) or not torch.isfinite(slope).all():
        yield "labels NaN throughout, nothing known: value or gradient is not finite"
