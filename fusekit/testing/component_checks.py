"""Rules that bind components of every kind: what they are, and what a recipe may say of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from torch import nn

from fusekit.contracts import (
    Corpus,
    Degradation,
    Detector,
    Encoder,
    Fusion,
    Loss,
    Projector,
    QuadrantHead,
    Reader,
    Temporal,
)
from fusekit.recipe.arguments import check_arguments, parameters
from fusekit.recipe.hints import MismatchError, convert
from fusekit.recipe.schema import Component
from fusekit.registry import Kind
from fusekit.testing.findings import rule, told
from fusekit.testing.subject import Subject

BASES: dict[Kind, type] = {
    Kind.CORPUS: Corpus,
    Kind.READER: Reader,
    Kind.DETECTOR: Detector,
    Kind.DEGRADATION: Degradation,
    Kind.ENCODER: Encoder,
    Kind.QUADRANT: QuadrantHead,
    Kind.PROJECTOR: Projector,
    Kind.FUSION: Fusion,
    Kind.TEMPORAL: Temporal,
    Kind.HEAD: nn.Module,
    Kind.LOSS: Loss,
}
"""The class that a component of each kind derives from."""

GIVEN: dict[Kind, tuple[str, ...]] = {
    Kind.ENCODER: ("raw_shape",),
    Kind.QUADRANT: ("raw_shape", "latent_shape"),
    Kind.PROJECTOR: ("latent_shape", "conditioning"),
    Kind.FUSION: ("in_dims",),
    Kind.TEMPORAL: ("in_dim",),
    Kind.HEAD: ("in_dim", "out_dim"),
}
"""What the builder hands over by position; to the other kinds, nothing."""


@rule(
    "class",
    *Kind,
    says="A component is a class that derives from the base of its kind and implements all of it.",
    documented="fusekit.contracts",
)
def _class(subject: Subject) -> Iterator[str]:
    base = BASES[subject.kind]
    if not issubclass(subject.cls, base):
        yield f"{subject.cls.__name__} does not derive from {base.__module__.split('.')[0]}'s {base.__name__}"
    elif inspect.isabstract(subject.cls):
        missing = sorted(getattr(subject.cls, "__abstractmethods__", ()))
        yield f"{subject.cls.__name__} leaves {', '.join(missing)} abstract"


@rule(
    "docstring",
    *Kind,
    says="Its docstring says what it is: `fusekit show NAME` prints it.",
    documented="docs/plugins.md, One file",
)
def _docstring(subject: Subject) -> Iterator[str]:
    if not subject.cls.__doc__ or subject.cls.__doc__ == BASES[subject.kind].__doc__:
        yield f"{subject.cls.__name__} has no docstring of its own"


@rule(
    "signature",
    *Kind,
    says="What the builder gives is positional; what a recipe may say is keyword-only and annotated.",
    documented="docs/plugins.md, One file; fusekit.contracts",
)
def _signature(subject: Subject) -> Iterator[str]:
    named = GIVEN.get(subject.kind, ())
    found = list(inspect.signature(subject.cls).parameters.values())
    positional = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) != len(named):
        expected = ", ".join(named) or "nothing"
        yield f"the builder gives {expected} by position, it takes {', '.join(positional) or 'nothing'}"
    bare = [name for name, p in parameters(subject.cls).items() if p.annotation is Any]
    if bare:
        yield f"{', '.join(bare)}: without a type, a recipe's value cannot be checked"
    case = subject.case
    component = Component(case.name, dict(case.args), f"Case {case.id}")
    for fault in check_arguments(component, subject.cls):
        if not (subject.kind is Kind.CORPUS and case.layout is not None and "missing" in fault.message):
            yield f"the case's arguments do not fit: {fault.message}"


@rule(
    "arguments",
    *Kind,
    says="Defaults fit their annotations, what is handed over is not changed, and two made share nothing.",
    documented="docs/plugins.md, One file",
)
def _arguments(subject: Subject) -> Iterator[str]:
    defaults = {n: p.default for n, p in parameters(subject.cls).items() if p.default is not p.empty}
    for name, value in defaults.items():
        try:
            convert(
                list(value) if isinstance(value, tuple) else value, parameters(subject.cls)[name].annotation
            )
        except MismatchError as error:
            yield f"{name}: its own default {value!r} does not fit its annotation: {error}"
    if subject.kind is Kind.CORPUS:
        return
    handed = deepcopy(dict(subject.case.args)), deepcopy(defaults)
    made = [subject.make(seed) for seed in (0, 1)]
    now = dict(subject.case.args), defaults
    for what, old, new in zip(("the argument", "the default of"), handed, now, strict=True):
        yield from (f"making it changes {what} {n} to {new[n]!r}" for n in old if old[n] != new[n])
    if isinstance(made[0], nn.Module):
        one, two = (dict(m.state_dict(keep_vars=True)) for m in made)
        if {n: v.shape for n, v in one.items()} != {n: v.shape for n, v in two.items()}:
            yield "made twice of the same arguments, it has other parameters"
        mine = {v.data_ptr() for v in one.values() if v.numel()}
        shared = [n for n, v in two.items() if v.numel() and v.data_ptr() in mine]
        if shared:
            yield f"two of them share {', '.join(shared[:3])}: training one would change the other"


@rule(
    "refusal",
    *Kind,
    says="It can be made of the case's arguments; what it refuses, it refuses by a RecipeError or DataError.",
    documented="docs/plugins.md, Kinds",
    applies=lambda case: case.layout is None,  # a corpus needs its folder first
)
def _made(subject: Subject) -> Iterator[str]:
    try:
        subject.make()
    except Exception as error:  # told in full; nothing else can be checked then
        yield f"it cannot be made: {told(error)}"
