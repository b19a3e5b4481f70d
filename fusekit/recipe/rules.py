"""What types alone do not say about a recipe: ranges, order, known words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fusekit.recipe.hints import show
from fusekit.recipe.schema import Evaluation, Recipe, Split, Stage, Target, Train
from fusekit.registry import nearest

LONGEST_NAME = 60
"""Letters of a name that becomes part of a file's name or a column."""
MOST_HZ = 10_000
"""Steps per second; a finer grid asks for more memory than there is, and no label is as fine."""
TAKEN = ("clip", "subject", "session", "split", "labels", "file", "time_s", "quadrant", "mean")
"""Columns of manifests, label files and predictions, and words of score tables, that no dimension may be."""
FREEZABLE = ("encoder", "quadrant", "projector")
_WORD = re.compile(r"[a-z][a-z0-9_]*")

Values = Mapping[str, Any]
Broken = Iterator[tuple[str, str]]


def broken(cls: type, values: Values) -> Broken:
    """(field, message) for every rule of a schema class that is broken.

    Args:
        values: the fields whose types are right; rules about the others have to wait.
    """
    rules = {
        Target: _target,
        Split: _split,
        Stage: _stage,
        Train: _train,
        Evaluation: _evaluation,
        Recipe: _recipe,
    }
    if cls in rules:
        yield from rules[cls](values)


def _target(values: Values) -> Broken:
    dims = values.get("dims", ("_",))
    if not dims or len(set(dims)) < len(dims):
        yield "dims", f"must name each target dimension once, found [{', '.join(dims)}]"
    yield from _words("dims", values.get("dims", ()))
    for name in values.get("dims", ()):
        if name in TAKEN or name.endswith("_true") or re.match(r"(gate|present|attention)_", name):
            yield "dims", f"'{name}' is a column of the predictions table; give the dimension another name"
    yield from _above("step_hz", values, 0)
    if values.get("step_hz", 0) > MOST_HZ:
        yield "step_hz", f"must be at most {MOST_HZ:,}, found {values['step_hz']:g}"


def _split(values: Values) -> Broken:
    yield from _at_least("folds", values, 2)
    folds, fold = values.get("folds", Split.folds), values.get("fold", Split.fold)
    if folds >= 2 and not 0 <= fold < folds:
        yield "fold", f"must be 0 to {folds - 1} (there are {folds} folds), found {fold}"
    validation = values.get("validation")
    if validation is not None and not 0 < validation < 1:
        yield (
            "validation",
            f"must be above 0 and below 1 (its clips choose the best epoch), found {validation:g}",
        )
    yield from _at_least("seed", values, 0)


def _stage(values: Values) -> Broken:
    yield from _words("name", [values["name"]] if "name" in values else [])
    if values.get("name") in ("best", "last"):  # what a stage leaves is a checkpoint of its name
        yield "name", f"'{values['name']}' is the name of another checkpoint of a run; choose another"
    yield from _at_least("epochs", values, 0)
    windows = values.get("windows", (1,))
    sizes = values.get("batch_size", 2)
    for size in (sizes,) if isinstance(sizes, int) else sizes:
        yield from _at_least("batch_size", {"batch_size": size}, 2)  # a correlation needs two samples
    if not isinstance(sizes, int) and len(sizes) != len(windows):
        yield (
            "batch_size",
            f"must be one number or {len(windows)}, one for each of windows, found {len(sizes)}",
        )
    for key in ("critic_steps", "validate_every"):
        yield from _at_least(key, values, 1)
    for key in ("lr", "frames_hz", "clip_grad"):
        yield from _above(key, values, 0)
    if not windows or any(b <= a for a, b in zip((0, *windows), windows, strict=False)):
        shown = ", ".join(map(str, windows))
        yield "windows", f"must be increasing lengths of 1 or more steps, as in [2, 4, 8], found [{shown}]"
    for beta in values.get("betas", ()):
        yield from _share("betas", {"betas": beta})
    named = values.get("modalities")
    if named is not None and (not named or len(set(named)) < len(named)):
        yield "modalities", f"must name each modality once, or be null for all, found [{', '.join(named)}]"
    if named is not None and values.get("objective") == "supervised":
        if len(windows) > 1:
            yield "windows", "one length alone: the tail of a modality by itself is not carried on"
        if values.get("degraded"):
            yield "degraded", "damaged copies are for all modalities together; take it out, or `modalities`"
    if not 0 <= values.get("degraded", 0) <= 1:
        yield "degraded", f"must be from 0 to 1, found {values['degraded']:g}"
    for key in ("lambdas", "g_weights"):
        for weight in values.get(key, ()):
            yield from _at_least(key, {key: weight}, 0)
    yield from _at_least("warmup", values, 0)
    for part in values.get("freeze", ()):
        if part not in FREEZABLE:
            known = f"Parts: {', '.join(FREEZABLE)}"
            yield "freeze", f"no part named '{part}'.{nearest(part, FREEZABLE)} {known}"


def _train(values: Values) -> Broken:
    yield from _at_least("seed", values, 0)
    yield from _share("presence_dropout", values)


def _evaluation(values: Values) -> Broken:
    yield from _at_least("steps", values, 1)


def _recipe(values: Values) -> Broken:
    if "name" in values and not re.fullmatch(r"\w[\w.-]*", values["name"]):
        yield "name", f"{show(values['name'])} cannot name a folder: use letters, digits, '-', '_' and '.'"
    elif len(values.get("name", "").encode()) > LONGEST_NAME:
        yield "name", f"{show(values['name'])} is too long to name a folder: {LONGEST_NAME} letters at most"
    for name in values.get("requires", ()):
        if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name, re.ASCII):
            yield "requires", f"{name!r} is no name of a distribution, as in requires: [fusekit-ecg]"
    if "modalities" in values:
        names = values["modalities"]
        if not names:
            yield "modalities", "at least one is needed"
        yield from _words("modalities", names)
        if len(names) > 1 and "fusion" in values and values["fusion"].name == "none":
            yield "fusion", f"{len(names)} modalities need a fusion, as in fusion: {{name: gmu}}"
    if "stages" in values:
        stages = [stage.name for stage in values["stages"]]
        if not stages:
            yield "stages", "at least one is needed"
        for name in sorted({name for name in stages if stages.count(name) > 1}):
            yield "stages", f"two stages are named '{name}'"
        known = list(values.get("modalities", ()))
        for stage in values["stages"] if known else ():
            for name in (m for m in stage.modalities or () if m not in known):
                there = f"{nearest(name, known)} Modalities: {', '.join(known)}"
                yield "stages", f"stage '{stage.name}' trains '{name}', which the recipe has not.{there}"


def _words(key: str, names: Iterable[str]) -> Broken:
    for name in names:  # they become columns of tables and keys of files
        if not _WORD.fullmatch(name):
            yield (
                key,
                f"{show(name)} must be lower-case letters, digits and underscores, starting with a letter",
            )
        elif len(name) > LONGEST_NAME:
            yield key, f"{show(name)} is too long: {LONGEST_NAME} letters at most"


def _at_least(key: str, values: Values, least: float) -> Broken:
    value = values.get(key)
    if value is not None and value < least:
        yield key, f"must be at least {least:g}, found {value:g}"


def _above(key: str, values: Values, bound: float) -> Broken:
    value = values.get(key)
    if value is not None and value <= bound:
        yield key, f"must be above {bound:g}, found {value:g}"


def _share(key: str, values: Values) -> Broken:
    value = values.get(key)
    if value is not None and not 0 <= value < 1:
        yield key, f"must be at least 0 and below 1, found {value:g}"
