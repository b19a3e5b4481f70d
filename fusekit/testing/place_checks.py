"""The rule that a corpus is the same wherever it lies and however its files are listed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusekit.contracts import Clip, Corpus
from fusekit.registry import Kind
from fusekit.testing.corpus_checks import WRITE_ONE, cache, within
from fusekit.testing.findings import apart, rule
from fusekit.testing.subject import Subject


@rule(
    "steady",
    Kind.CORPUS,
    says="The folder's place, the order of files in it, and what else was asked for change no clip or label.",
    documented="fusekit.contracts.Corpus.load",
)
def _steady(subject: Subject) -> Iterator[str]:
    if subject.case.layout is None:
        yield WRITE_ONE
        return
    folder, modalities, dims = subject.inner("corpus"), subject.case.modalities, subject.case.dims
    with cache(subject):
        args = subject.case.layout(folder)
        corpus = subject.make(**args)
        before = _essence(corpus.load(modalities, dims)[0])
        listed = []
        for backwards in (False, True):
            with _sorted(backwards):
                listed.append(_essence(subject.make(**args).load(modalities, dims)[0]))
        if listed != [before, before]:
            yield "files in another order in their folder give other clips, or other labels"
        yield from _columns(corpus, modalities, dims)
        if _essence(corpus.load(modalities, dims)[0]) != before:
            yield "after another load, with other dims, the same one gives other clips or labels"
        if any(within(v, folder) for v in args.values()):
            elsewhere = subject.folder / "moved" / "Somewhere else"
            shutil.copytree(folder, elsewhere)
            moved = {k: _moved(v, folder, elsewhere) for k, v in args.items()}
            if _essence(subject.make(**moved).load(modalities, dims)[0]) != before:
                yield "in another folder the same corpus has other ids, subjects, splits or labels"


def _moved(value: Any, old: Path, new: Path) -> Any:
    return new / Path(value).relative_to(old) if within(value, old) else value


def _essence(clips: list[Clip]) -> list[Any]:
    """What of clips is theirs, wherever they lie."""
    return [
        (c.id, c.subject, c.session, c.split, sorted(c.sources))
        + ((c.labels.times.tobytes(), c.labels.values.tobytes()) if c.labels is not None else ())
        for c in clips
    ]


def _columns(corpus: Corpus, modalities: tuple[str, ...], dims: tuple[str, ...]) -> Iterator[str]:
    """Are dimensions those asked for, in the order asked for, and alone if asked for alone."""
    whole = {c.id: c.labels for c in corpus.load(modalities, dims)[0]}
    for asked in dict.fromkeys((tuple(reversed(dims)), dims[:1], dims[-1:])):
        if asked == dims:
            continue
        for clip in corpus.load(modalities, asked)[0]:
            mine, all_of_them = clip.labels, whole.get(clip.id)
            if mine is None or all_of_them is None or len(mine.times) != len(all_of_them.times):
                continue  # a row that lacks another dimension is no longer left out, say
            columns = all_of_them.values[:, [dims.index(d) for d in asked]]
            if tuple(mine.dims) != asked or apart(mine.values, columns) > 0:
                yield f"asked for {', '.join(asked)}, its columns are not those of {', '.join(dims)} by name"
                return


@contextmanager
def _sorted(backwards: bool) -> Iterator[None]:
    """Folders list their files in this order: no system promises one."""
    listdir, scandir = os.listdir, os.scandir

    class Turned(list[Any]):
        def __enter__(self) -> Turned:
            return self

        def __exit__(self, *args: object) -> None:
            return None

        def close(self) -> None:
            return None

    def turned(path: Any = ".") -> Any:
        with scandir(path) as entries:
            return Turned(sorted(entries, key=lambda entry: str(entry.name), reverse=backwards))

    os.listdir = lambda path=".": sorted(listdir(path), reverse=backwards)  # type: ignore[assignment]
    os.scandir = turned
    try:
        yield
    finally:
        os.listdir, os.scandir = listdir, scandir  # type: ignore[assignment]
