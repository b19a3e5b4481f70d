"""Rules of corpora: clips in order, labels that can be aligned, everything left out is named."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.contracts import Clip, Corpus, Labels, Rejected
from fusekit.errors import DataError
from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule, told
from fusekit.testing.subject import Subject

WRITE_ONE = "the case has no `layout`: write `layout=` a function that puts a tiny corpus into a folder"
SPLITS = ("", "train", "validation", "test")


@contextmanager
def cache(subject: Subject) -> Iterator[None]:
    """fusekit's cache folder elsewhere: a corpus may keep something there, from one rule to the next."""
    before = os.environ.get("FUSEKIT_CACHE")
    os.environ["FUSEKIT_CACHE"] = _kept(subject.cls).name
    try:
        yield
    finally:
        if before is None:
            del os.environ["FUSEKIT_CACHE"]
        else:
            os.environ["FUSEKIT_CACHE"] = before


@lru_cache
def _kept(cls: type) -> tempfile.TemporaryDirectory[str]:
    """One for the corpora of a class; it goes when this process ends."""
    return tempfile.TemporaryDirectory(prefix="fusekit-check-cache-", ignore_cleanup_errors=True)


@rule(
    "clips",
    Kind.CORPUS,
    says="Clips come sorted by id, ids unique, with sources that exist, the same ones every time.",
    documented="fusekit.contracts.Corpus.load, Clip",
)
def _clips(subject: Subject) -> Iterator[str]:
    if subject.case.layout is None:
        yield WRITE_ONE
        return
    with cache(subject):
        args = subject.case.layout(subject.inner("corpus"))
        corpus, other = subject.make(**args), subject.make(**args)
        clips, rejected = corpus.load(subject.case.modalities, subject.case.dims)
        again, _ = other.load(subject.case.modalities, subject.case.dims)
        yield from _order(clips)
        loads = [[replace(c, labels=None) for c in load] for load in (clips, again)]  # labels: a rule below
        if loads[0] != loads[1]:
            yield "two loads give different clips"
        for clip in clips:
            yield from (f"clip {clip.id}: {seen}" for seen in _clip_faults(clip, subject.case.modalities))
        yield from _people(clips)
        odd = [r for r in rejected if not (isinstance(r, Rejected) and r.where and r.reason)]
        if odd:
            yield f"left out without a place or a reason: {odd[0]!r}"
        for name in subject.case.modalities:
            if not any(name in clip.sources for clip in clips):
                continue
            alone, _ = corpus.load((name,), subject.case.dims)
            bare = [c.id for c in alone if name not in c.sources]
            if bare:
                yield f"asked for '{name}' alone, clip {bare[0]} has none of it"
        yield from _described(corpus)


def _order(clips: list[Clip]) -> Iterator[str]:
    ids = [clip.id for clip in clips]
    if not ids:
        yield "the case's layout gives no clip"
    if ids != sorted(ids):
        yield f"clips are not sorted by id: {', '.join(ids[:4])}"
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        yield f"the id {twice[0]} stands for {ids.count(twice[0])} clips"


def _clip_faults(clip: Clip, modalities: tuple[str, ...]) -> Iterator[str]:
    if not clip.id or not clip.subject:
        yield "it has no id, or no subject to keep folds apart by"
    if clip.split not in SPLITS:
        yield f"split is {clip.split!r}, not one of {', '.join(map(repr, SPLITS))}"
    if not set(clip.sources) & set(modalities):
        yield f"it has none of the modalities asked for ({', '.join(modalities)})"
    for name, source in clip.sources.items():
        for path in (source.path, source.boxes):
            if path is not None and not Path(path).exists():
                yield f"its {name} source {Path(path).name} does not exist"
            elif path is not None and not Path(path).is_absolute():
                yield f"its {name} source {path} is relative: from another folder it is not there"
    for what, text in (("id", clip.id), ("subject", clip.subject), ("session", clip.session)):
        if text != unicodedata.normalize("NFC", text) or text != text.strip():
            yield f"its {what} {text!r} has spaces around it, or is not in Unicode's composed form (NFC)"


def _people(clips: list[Clip]) -> Iterator[str]:
    """Subjects that two parts of a split share, or that two spellings take for two people."""
    parts: dict[str, set[str]] = {}
    spellings: dict[str, set[str]] = {}
    for clip in clips:
        parts.setdefault(clip.subject, set()).add(clip.split)
        plain = "".join(unicodedata.normalize("NFKC", clip.subject).casefold().split())
        spellings.setdefault(plain, set()).add(clip.subject)
    for subject, found in sorted(parts.items()):
        if len(found - {""}) > 1:
            both = " and ".join(sorted(found - {""}))
            yield f"subject {subject} is in {both}: who was trained on is tested"
    for found in spellings.values():
        if len(found) > 1:
            yield f"subjects {', '.join(map(repr, sorted(found)))} are one person's, spelled otherwise"


def _described(corpus: Corpus) -> Iterator[str]:
    low, high = corpus.label_range
    if not low < high:
        yield f"label_range is {corpus.label_range}, not (low, high)"
    line = corpus.describe()
    if not line or "\n" in line:
        yield f"describe() is {line!r}, not one line"


@rule(
    "labels",
    Kind.CORPUS,
    says="Labels have increasing finite times and a column per dimension, within the corpus's range.",
    documented="fusekit.contracts.Labels",
)
def _labels(subject: Subject) -> Iterator[str]:
    if subject.case.layout is None:
        yield WRITE_ONE
        return
    with cache(subject):
        corpus = subject.make(**subject.case.layout(subject.inner("corpus")))
        clips, _ = corpus.load(subject.case.modalities, subject.case.dims)
        again, _ = corpus.load(subject.case.modalities, subject.case.dims)
    for clip, twin in zip(clips, again, strict=True):
        if clip.labels is None or twin.labels is None:
            yield f"clip {clip.id} has no labels"
            continue
        for seen in _label_faults(clip.labels, subject.case.dims, corpus.label_range):
            yield f"clip {clip.id}: {seen}"
        if apart(clip.labels.values, twin.labels.values) > 0:
            yield f"clip {clip.id}: two loads give different labels"


def _label_faults(labels: Labels, dims: tuple[str, ...], span: tuple[float, float]) -> Iterator[str]:
    n = len(labels.times)
    if labels.times.ndim != 1 or not n or not np.isfinite(labels.times).all():
        yield f"times are {labels.times.shape}, declared is (n,), finite"
        return
    if (np.diff(labels.times) <= 0).any():
        yield "times do not increase"
    if tuple(labels.dims) != tuple(dims):
        yield f"dims are {labels.dims}, asked for were {dims}"
    if labels.times.dtype != np.float64 or labels.values.dtype != np.float32:
        yield f"times are {labels.times.dtype}, values {labels.values.dtype}; declared: float64, float32"
    if labels.values.shape != (n, len(labels.dims)):
        yield f"values are {labels.values.shape}, declared is {(n, len(labels.dims))}"
        return
    known = labels.values[~np.isnan(labels.values)]
    if not known.size:
        yield "no label is known"
    elif not np.isfinite(known).all() or known.min() < span[0] or known.max() > span[1]:
        yield f"values reach {known.min():g} to {known.max():g}, label_range is {span[0]:g} to {span[1]:g}"
    if labels.quadrant is not None:
        if labels.quadrant.shape != (n,) or labels.quadrant.dtype.kind != "i":
            yield f"quadrant is {labels.quadrant.dtype} {labels.quadrant.shape}, declared is integers {(n,)}"
        elif labels.quadrant.min() < -1 or labels.quadrant.max() > 3:
            yield "quadrant leaves -1 to 3"
    for name, column in labels.extra.items():
        if len(column) != n:
            yield f"extra column '{name}' has {len(column)} rows for {n} times"


@rule(
    "not-there",
    Kind.CORPUS,
    says="A corpus that is not there raises a DataError that names the place.",
    documented="fusekit.contracts.Corpus.load",
)
def _not_there(subject: Subject) -> Iterator[str]:
    if subject.case.layout is None:
        yield WRITE_ONE
        return
    folder = subject.inner("corpus")
    with cache(subject):
        args = subject.case.layout(folder)
        gone = subject.folder / "nothing-here"
        moved: dict[str, Any] = {k: gone if within(v, folder) else v for k, v in args.items()}
        if moved == dict(args):
            return  # it lies in no folder of the recipe's
        try:
            subject.make(**moved).load(subject.case.modalities, subject.case.dims)
        except DataError as error:
            if gone.name not in str(error):
                yield f"its DataError does not name the place: {error}"
        except Exception as error:  # anything else would be shown as a traceback of ours
            yield f"{told(error)}, not DataError"
        else:
            yield "a folder that is not there loads without a word"


def within(value: Any, folder: Path) -> bool:
    return isinstance(value, str | Path) and Path(value).is_relative_to(folder)


@rule(
    "rejects",
    Kind.CORPUS,
    says="A clip that cannot be used is left out and named with the reason; the others load.",
    documented="fusekit.contracts.Rejected",
    applies=lambda case: case.broken is not None,
)
def _rejects(subject: Subject) -> Iterator[str]:
    assert subject.case.broken is not None
    with cache(subject):
        args: Mapping[str, Any] = subject.case.broken(subject.inner("broken"))
        clips, rejected = subject.make(**args).load(subject.case.modalities, subject.case.dims)
    if not clips:
        yield "one bad clip leaves none"
    elif subject.case.layout is not None:
        with cache(subject):
            args = subject.case.layout(subject.inner("corpus"))
            whole, _ = subject.make(**args).load(subject.case.modalities, subject.case.dims)
        gone = sorted({c.id for c in whole} - {c.id for c in clips})
        if len(gone) > len(rejected):
            yield f"beside a bad clip, the good clip {gone[0]} is gone too, without a word"
    if not rejected:
        yield "the bad clip is not among what was left out"
