"""Rules of the networks that see one window at a time: encoder, quadrant head, projector."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fusekit.contracts import DenoisingEncoder
from fusekit.errors import FusekitError
from fusekit.registry import Kind
from fusekit.testing.findings import apart, is_refusal, rule, told
from fusekit.testing.situations import everywhere
from fusekit.testing.subject import Subject

CONDITIONINGS = ("channel", "vector", "none")


def misshapen(what: str, found: object, *shape: int) -> Iterator[str]:
    """A sentence if `found`, made of float32, is no float32 tensor of `shape`."""
    if not isinstance(found, Tensor):
        yield f"{what} is a {type(found).__name__}, not a tensor"
    elif tuple(found.shape) != shape:
        yield f"{what} is {tuple(found.shape)}, declared is {shape}"
    elif found.dtype != torch.float32:
        yield f"{what} holds {found.dtype}, not float32 like its input"


@rule(
    "shapes",
    Kind.ENCODER,
    says="`encode` gives (N, *out_shape), `forward` the same; `decode` gives (N, *raw_shape) in -1..1.",
    documented="fusekit.contracts.Encoder, DenoisingEncoder",
)
@everywhere
def _encoder(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    if not isinstance(getattr(module, "out_shape", None), tuple):
        yield "it does not declare out_shape, a tuple"
        return
    x = subject.raw(0)
    z = module.encode(x)
    wrong = list(misshapen("the latent", z, subject.rows, *module.out_shape))
    yield from wrong
    if wrong:
        return
    if not subject.drawing and apart(module(x), z) > 0:
        yield "`forward` answers otherwise than `encode`"
    if isinstance(module, DenoisingEncoder):
        back = module.decode(z)
        yield from misshapen("the reconstruction", back, subject.rows, *subject.case.raw_shape)
        if back.abs().max() > 1 or module.decode(z * 1e3).abs().max() > 1:
            yield "the reconstruction leaves -1..1"


@rule(
    "shapes",
    Kind.QUADRANT,
    says="A Latent with the encoder's z and a quadrant 0..3, int64, without gradient, for the projector.",
    documented="fusekit.contracts.QuadrantHead, Latent",
)
@everywhere
def _quadrant(subject: Subject) -> Iterator[str]:
    module = subject.ready()
    if module.reads not in ("latent", "reconstruction"):
        yield f"reads is {module.reads!r}, not 'latent' or 'reconstruction'"
        return
    conditioning = getattr(module, "conditioning", None)
    if conditioning not in CONDITIONINGS:
        yield f"conditioning is {conditioning!r}, not one of {', '.join(CONDITIONINGS)}"
    inputs = subject.inputs()
    z = inputs["z"].clone().requires_grad_()
    x = inputs["x"].clone().requires_grad_() if module.reads == "reconstruction" else None
    latent = module(x, z)
    yield from misshapen("z", latent.z, subject.rows, *subject.case.latent_shape)
    if apart(latent.z, z) > 0:
        yield "z is not the encoder's, handed on as it is"
    for name, shape in (
        ("affect", (subject.rows, 2)),
        ("logits", (subject.rows, 4)),
        ("realness", (subject.rows,)),
    ):
        if getattr(latent, name) is not None:
            yield from misshapen(name, getattr(latent, name), *shape)
    if latent.quadrant is None:
        if conditioning != "none":
            yield f"conditioning is {conditioning!r}, yet it gives no quadrant"
    else:
        yield from _quadrants(latent.quadrant, subject.rows)
    if module.critic:
        score, affect = module.judge(inputs["x"])
        yield from misshapen("the score of `judge`", score, subject.rows)
        yield from misshapen("the affect of `judge`", affect, subject.rows, 2)


def _quadrants(q: Tensor, rows: int) -> Iterator[str]:
    if tuple(q.shape) != (rows,):
        yield f"quadrant is {tuple(q.shape)}, declared is {(rows,)}"
    if q.dtype != torch.int64:
        yield f"quadrant holds {q.dtype}, not int64"
    if q.requires_grad:
        yield "quadrant carries a gradient"
    odd = sorted({float(v) for v in q.flatten().tolist()} - {0.0, 1.0, 2.0, 3.0})
    if odd:
        yield f"quadrant holds {odd[0]:g}; quadrants are 0 to 3"


@rule(
    "shapes",
    Kind.PROJECTOR,
    says="(N, out_dim) features, under every conditioning that it does not refuse with a RecipeError.",
    documented="fusekit.contracts.Projector",
)
@everywhere
def _projector(subject: Subject) -> Iterator[str]:
    for conditioning in dict.fromkeys((subject.case.conditioning, *CONDITIONINGS)):
        other = subject.changed(conditioning=conditioning)
        try:
            module = other.ready()
        except FusekitError as error:
            if conditioning == subject.case.conditioning or not is_refusal(error):
                yield f"conditioning {conditioning}: {told(error)}"
            continue
        inputs = other.inputs()
        features = other.ask(module, inputs)["features"]
        yield from misshapen(
            f"conditioning {conditioning}: the output", features, subject.rows, module.out_dim
        )
        if conditioning != "none":
            turned = other.ask(module, {**inputs, "quadrant": (inputs["quadrant"] + 1) % 4})["features"]
            if apart(features, turned) == 0:
                yield f"conditioning {conditioning}: the quadrant changes nothing in its output"
