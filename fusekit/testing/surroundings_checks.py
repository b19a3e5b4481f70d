"""Rules on what a component does beside its work: to settings, to generators, to files, on the screen."""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusekit.registry import Kind
from fusekit.testing.corpus_checks import cache
from fusekit.testing.findings import rule, told
from fusekit.testing.network_checks import NETWORKS, listed
from fusekit.testing.subject import Subject


@rule(
    "surroundings",
    *Kind,
    says="Made and called, it prints nothing, seeds nothing, and leaves settings and files as they are.",
    documented="docs/testing.md, Surroundings",
)
def _surroundings(subject: Subject) -> Iterator[str]:
    if torch.get_default_dtype() != torch.float32:
        yield f"since it was imported, torch's default type is {torch.get_default_dtype()}"
        torch.set_default_dtype(torch.float32)
    before, printed, seen = _settings(), io.StringIO(), []
    rounds = []
    try:
        for seed in (1, 2) if subject.kind in NETWORKS else (1,):
            _seed(seed)
            start = _generators()
            with contextlib.redirect_stdout(printed):
                try:
                    seen += list(_used(subject))
                except Exception as error:  # what it has changed by then is told too
                    seen.append(told(error))
            rounds.append((start, _generators()))
        changed = [what for what, value in _settings().items() if value != before[what]]
    finally:
        _restore(before)
    yield from seen
    if printed.getvalue().strip():
        line = printed.getvalue().strip().splitlines()[0][:60]
        yield f"it prints {line!r}: the output of a command belongs to the command"
    (start, end), (_, last) = rounds[0], rounds[-1]
    for name in end:
        if len(rounds) > 1 and end[name] == last[name]:
            yield f"it seeds {name}'s generator: every later draw of the run would be another"
        elif len(rounds) == 1 and end[name] != start[name]:
            yield f"it draws from {name}'s generator, or seeds it: that one belongs to the run"
    yield from (f"it changes {what} for the whole process" for what in changed)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generators are those that a careless part would use
    random.seed(seed)


def _generators() -> dict[str, Any]:
    state = np.random.get_state()  # noqa: NPY002 - as above
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (state[1].tobytes(), state[2]),  # type: ignore[union-attr, index]
        "random": random.getstate(),
    }


def _settings() -> dict[str, Any]:
    return {
        "torch's default type": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "whether torch records gradients": torch.is_grad_enabled(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's use of deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "numpy's handling of errors": tuple(sorted(np.geterr().items())),
        "the current folder": str(Path.cwd()),
    }


def _restore(before: dict[str, Any]) -> None:
    torch.set_default_dtype(before["torch's default type"])
    torch.set_default_device(None if before["torch's default device"] == torch.device("cpu") else "cpu")
    torch.set_grad_enabled(before["whether torch records gradients"])
    torch.set_num_threads(before["torch's number of threads"])
    torch.use_deterministic_algorithms(before["torch's use of deterministic algorithms"])
    np.seterr(**dict(before["numpy's handling of errors"]))
    os.chdir(before["the current folder"])


def _used(subject: Subject) -> Iterator[str]:
    """Make and call it once, as a command would; files that it changes."""
    kind, case = subject.kind, subject.case
    if kind is Kind.CORPUS:
        if case.layout is None:
            return
        with cache(subject):
            args = case.layout(subject.inner("corpus"))
            kept = _files(subject.inner("corpus"))
            corpus = subject.make(None, **args)
            if kept:  # what reads no folder makes its own, which takes its time
                corpus.load(case.modalities, case.dims)
        yield from _touched(subject.inner("corpus"), kept)
        return
    if kind is Kind.READER and case.file is not None:
        source = case.file(subject.inner("recording"))
        kept = _files(subject.inner("recording"))
        reader = subject.make(None)
        reader.windows(reader.prepare(source), np.zeros(1))
        yield from _touched(subject.inner("recording"), kept)
        return
    part = subject.make(None)
    if kind in NETWORKS:
        for training in (True, False):
            subject.ask(part.train(training), subject.inputs())
    elif kind is Kind.LOSS:
        y = torch.linspace(-1, 1, 6 * subject.dims).reshape(6, -1)
        part(y.flip(0).requires_grad_(), y, torch.ones_like(y, dtype=torch.bool)).backward()
    elif kind is Kind.DEGRADATION:
        part(subject.raw(0), [np.random.default_rng(i) for i in range(subject.rows)])
    elif kind is Kind.DETECTOR:
        part.detect(np.zeros((60, 80, 3), np.uint8))


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_size) for p in found}


def _touched(folder: Path, kept: dict[str, tuple[int, int]]) -> Iterator[str]:
    now = _files(folder)
    odd = sorted(name for name in {*now, *kept} if now.get(name) != kept.get(name))
    if odd:
        yield f"it writes {listed(odd)} into the folder that it reads"
