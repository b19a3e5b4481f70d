"""Rules of degradations and detectors."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler

import numpy as np
import torch

from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule
from fusekit.testing.subject import Subject

MANY = 24
"""Rows shown to a degradation: enough that one which damages each second row damages some."""


def _rngs(n: int = MANY, seed: int = 7) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(n)]


@rule(
    "shapes",
    Kind.DEGRADATION,
    says="A damaged copy of the same shape and type; the input is left alone, and constants stay finite.",
    documented="fusekit.contracts.Degradation",
)
def _copies(subject: Subject) -> Iterator[str]:
    damage, x = subject.make(), subject.raw(0, MANY)
    kept = x.clone()
    out = damage(x, _rngs())
    if apart(x, kept) > 0:
        yield "it changes its input in place"
    if out.numel() and out.untyped_storage().data_ptr() == x.untyped_storage().data_ptr():
        yield "what it gives lies in its input's memory: a change of one would be one of the other"
    if out.shape != x.shape or out.dtype != x.dtype:
        yield f"{x.dtype} {tuple(x.shape)} became {out.dtype} {tuple(out.shape)}"
        return
    if apart(out, kept) == 0:
        yield f"none of {MANY} rows is damaged"
    if not torch.isfinite(out).all():
        yield "the damaged copy is not finite"
    wide = damage(x.double(), _rngs())
    if wide.dtype != torch.float64:
        yield f"torch.float64 became {wide.dtype}"
    spread = torch.stack([x, x], dim=-1)[..., 0]
    if apart(damage(spread, _rngs()), out) > 1e-5:
        yield "the same rows, not contiguous in memory, are damaged otherwise"
    for value in subject.case.constants:
        if not torch.isfinite(damage(torch.full_like(x, value), _rngs())).all():
            yield f"input of {value:g} everywhere: the damaged copy is not finite"


@rule(
    "own-generators",
    Kind.DEGRADATION,
    says="Row i draws from rngs[i] alone: same generators, same damage; other rows do not matter.",
    documented="fusekit.contracts.Degradation; docs/design.md, Contracts",
)
def _own(subject: Subject) -> Iterator[str]:
    damage, x = subject.make(), subject.raw(0, MANY)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generators are those that a careless part would use
    out = damage(x.clone(), _rngs())
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    if apart(out, damage(x.clone(), _rngs())) > 0:
        yield "the same generators give other damage: it draws elsewhere too"
        return
    other = x.clone()
    other[1::2] = subject.raw(1, MANY)[1::2]
    odd = np.flatnonzero(
        [apart(a, b) > 1e-5 for a, b in zip(out[::2], damage(other, _rngs())[::2], strict=True)]
    )
    if odd.size:
        yield f"other content in odd rows changes {odd.size} of {MANY // 2} even rows"
    order = np.random.default_rng(0).permutation(MANY)[: MANY // 2].tolist()
    turned = damage(x[order], [_rngs()[i] for i in order])
    if apart(turned, out[order]) > 1e-5:
        yield "rows in another order, each with its own generator, are damaged otherwise"
    one = [i for i in range(MANY) if apart(damage(x[i : i + 1], [_rngs()[i]])[0], out[i]) > 1e-5]
    if one:
        yield f"row {one[0]} as a batch of its own is damaged otherwise than among {MANY}"
    sick = x.clone()
    sick[1] = float("nan")
    if any(apart(damage(sick, _rngs())[i], out[i]) > 1e-5 for i in (0, 2, MANY - 1)):
        yield "a row of NaN changes how others are damaged"
    if apart(damage(x.clone(), _rngs(seed=8)), out) == 0:
        yield "other generators give the same damage: it does not draw from them"


@rule(
    "history",
    Kind.DEGRADATION,
    Kind.DETECTOR,
    says="Earlier calls, on other data, change nothing: no count, no warming up, no box of the last frame.",
    documented="docs/testing.md, What a network must not remember",
)
def _history(subject: Subject) -> Iterator[str]:
    part = subject.make()
    if subject.kind is Kind.DEGRADATION:
        x = subject.raw(0, MANY)
        first = part(x.clone(), _rngs())
        kept = first.clone()
        for seed, rows in enumerate((3, MANY, 1, MANY), start=5):
            part(subject.raw(seed, rows), _rngs(rows, seed))
        if apart(first, kept) > 0:
            yield "a later call changes what an earlier one gave: they share memory"
        elif apart(first, part(x.clone(), _rngs())) > 0:
            yield "after calls on other data the same rows with the same generators are damaged otherwise"
        return
    frames = _frames(subject)
    before = {what: part.detect(frame) for what, frame in frames.items()}
    for what, frame in reversed(frames.items()):
        if apart(before[what], part.detect(frame)) > 0:
            yield f"{what}: after other frames it finds other boxes; `near` alone tells of the last one"


@rule(
    "follows",
    Kind.DETECTOR,
    says="Boxes are in pixels, x before y, best first: a face moved to the right and down moves its box.",
    documented="fusekit.contracts.Detector.detect",
    applies=lambda case: case.picture is not None,
)
def _follows(subject: Subject) -> Iterator[str]:
    assert subject.case.picture is not None
    detector, frame = subject.make(), subject.case.picture()
    right, down = frame.shape[1] // 2, frame.shape[0] // 4
    wide = np.pad(frame, ((down, 0), (right, 0), (0, 0)), mode="edge")
    here, there = detector.detect(frame), detector.detect(wide)
    if not len(here) or not len(there):
        if len(here):
            yield "it loses the face of the case's picture when there is more room to its left and above it"
        return
    moved = there[0, :4] - here[0, :4]
    slack = 0.15 * max(frame.shape[:2])
    if np.abs(moved - [right, down, right, down]).max() > slack:
        yield (
            f"with {right} more pixels on its left and {down} above it, the best box moves by "
            f"{', '.join(f'{m:.0f}' for m in moved)} (x0, y0, x1, y1)"
        )
    for found in (here, there):
        if (np.diff(found[:, 4]) > 0).any():
            yield f"scores are {', '.join(f'{s:.2f}' for s in found[:4, 4])}: the best box comes first"
            return
    near = here[0, :4].copy()
    detector.detect(frame, near)
    if apart(near, here[0, :4]) > 0:
        yield "it changes the box that it is handed as a hint"


@rule(
    "workers",
    Kind.READER,
    Kind.DETECTOR,
    Kind.DEGRADATION,
    says="It can be sent to a data worker, another process.",
    documented="docs/testing.md",
)
def _workers(subject: Subject) -> Iterator[str]:
    try:
        ForkingPickler.dumps(subject.make())
    except Exception as error:  # AttributeError, TypeError, PicklingError and what parts raise themselves
        yield f"it cannot be sent to another process: {error}"


@rule(
    "shapes",
    Kind.DETECTOR,
    says="Boxes are (n, 5), finite, x0 < x1 and y0 < y1, with a hint or none; to_tight has four numbers.",
    documented="fusekit.contracts.Detector",
)
def _boxes(subject: Subject) -> Iterator[str]:
    detector = subject.make()
    if len(detector.to_tight) != 4 or not np.isfinite(detector.to_tight).all():
        yield f"to_tight is {detector.to_tight!r}, not four numbers"
    for what, frame in _frames(subject).items():
        kept = frame.copy()
        for near in (None, np.array([5.0, 5.0, 30.0, 30.0])):
            found = detector.detect(frame, near)
            yield from (f"{what}: {seen}" for seen in _box_faults(found))
            if apart(found, detector.detect(frame, near)) > 0:
                yield f"{what}: two calls find different boxes"
        if apart(frame, kept) > 0:
            yield f"{what}: it changes the frame in place"
    if subject.case.picture is not None and not len(detector.detect(subject.case.picture())):
        yield "it finds no face in the case's picture"


def _frames(subject: Subject) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    frames = {
        "a black frame": np.zeros((60, 80, 3), np.uint8),
        "noise": rng.integers(0, 256, (61, 47, 3)).astype(np.uint8),
        "a tiny frame": np.full((8, 8, 3), 90, np.uint8),
    }
    return frames | ({"the case's picture": subject.case.picture()} if subject.case.picture else {})


def _box_faults(found: object) -> Iterator[str]:
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] != 5:
        yield f"it gives {getattr(found, 'shape', type(found).__name__)}, declared is (n, 5)"
    elif not np.isfinite(found).all():
        yield "a box is not finite"
    elif ((found[:, 0] >= found[:, 2]) | (found[:, 1] >= found[:, 3])).any():
        yield "a box has no area: x0 < x1 and y0 < y1 do not hold"


@rule(
    "nobody",
    Kind.DETECTOR,
    says="An empty picture has no face: (0, 5).",
    documented="fusekit.contracts.Detector",
)
def _nobody(subject: Subject) -> Iterator[str]:
    detector = subject.make()
    for level, what in ((0, "black"), (128, "grey"), (255, "white")):
        found = detector.detect(np.full((90, 120, 3), level, np.uint8))
        if np.shape(found) != (0, 5):
            yield f"in a {what} frame it finds {np.shape(found)}, not (0, 5)"
