"""Rules of readers on what they are handed: a source's fields, files, streams of other readers, arguments."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from fusekit.contracts import Reader, Stream
from fusekit.errors import DataError, FusekitError
from fusekit.recipe.arguments import parameters
from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule, told
from fusekit.testing.reader_checks import asked_times, prepared
from fusekit.testing.recordings import beside
from fusekit.testing.subject import Subject

START_S, SPACING_S = 1.5, 0.37


@rule(
    "source",
    Kind.READER,
    says="start_s, step_s and boxes of the source are honoured, or refused by a DataError that names them.",
    documented="fusekit.contracts.Source",
    applies=lambda case: case.file is not None,
)
def _source(subject: Subject) -> Iterator[str]:
    assert subject.case.file is not None
    source = subject.case.file(subject.inner("recording"))
    boxes = subject.inner("boxes") / "boxes.csv"
    boxes.write_text("time_s,x0,y0,x1,y1\n0,2,2,9,9\n100,2,2,9,9\n")
    other: dict[str, Any] = {"start_s": START_S, "step_s": SPACING_S, "boxes": boxes}
    if subject.make().medium != "video":
        del other["boxes"]
    stream = subject.make().prepare(source)
    for field, value in other.items():
        if getattr(source, field) is not None:
            continue  # the case's recording cannot do without
        reader = subject.make()
        try:
            found = reader.prepare(replace(source, **{field: value}))
        except DataError as error:
            if field.split("_")[0] not in str(error):
                yield f"its DataError for a source with {field} does not name it: {error}"
            continue
        except Exception as error:  # whatever it raises
            yield f"a source with {field}: {told(error)}"
            continue
        if _alike(stream, found):
            yield f"{field} of the source is dropped in silence: use it, or refuse it with a DataError"


def _alike(a: Stream, b: Stream) -> bool:
    return set(a) == set(b) and all(apart(a[name], b[name]) == 0 for name in a)


@rule(
    "streams-apart",
    Kind.READER,
    says="Windows come from the stream alone: a new reader, or one that has prepared others, cuts the same.",
    documented="fusekit.contracts.Stream",
    applies=lambda case: case.file is not None,
)
def _streams_apart(subject: Subject) -> Iterator[str]:
    reader = subject.make()
    stream = prepared(subject, reader)
    settings = reader.settings()
    times = asked_times(stream)
    kept = times.copy()
    windows, present = reader.windows(stream, times), reader.present(stream, times)
    given = windows.copy()
    reader.windows(stream, times[::-1].copy())
    if apart(windows, given) > 0:
        yield "a later call changes the windows that an earlier one gave: they share memory"
        windows = given
    if apart(times, kept) > 0:
        yield "it changes the times that it is asked for in place"
    for what, other in (("a new reader", subject.make()), ("one that has read another file", subject.make())):
        if what != "a new reader":
            for make in (subject.case.blank, subject.case.altered and _later(subject)):
                if make:
                    made = make(subject.inner("another"))
                    other.windows(other.prepare(made), times)
        try:
            mine, there = other.windows(stream, kept.copy()), other.present(stream, kept.copy())
        except Exception as error:  # an attribute, say, that only `prepare` sets
            yield f"{what} cannot cut windows of a stored stream: {told(error)}"
            continue
        if apart(windows, mine) > 0 or (present != there).any():
            yield f"{what} cuts other windows of the same stream, or tells another presence"
    yield from _read_again(subject)
    if settings != reader.settings():
        yield "settings() differ after a file was read: the store would look for another entry"


def _read_again(subject: Subject) -> Iterator[str]:
    """Is a file read as it is now: one of the same name elsewhere, and one that has changed where it lies."""
    file, altered = subject.case.file, subject.case.altered
    if file is None or altered is None:
        return
    there = subject.inner("again")
    first = file(there)
    reader = subject.make()
    reader.prepare(first)
    other = altered(subject.inner("other"), 0.5)
    fresh, used = subject.make().prepare(other), reader.prepare(other)
    if not _alike(fresh, used):
        yield "one that has read another file reads this one otherwise: something is kept from file to file"
    changed = altered(there, 0.5)
    if changed.path == first.path and not _alike(subject.make().prepare(changed), fresh):
        yield "a file that has changed where it lies is read as it was: something is kept by its path"


def _later(subject: Subject) -> Any:
    altered = subject.case.altered
    return lambda folder: altered(folder, 0.5) if altered is not None else None


_opened: list[str] | None = None
"""Paths opened while somebody watches; None: nobody does."""


def _note(event: str, args: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(args[0], str | Path):
        _opened.append(str(args[0]))


@contextmanager
def _watching() -> Iterator[list[str]]:
    """Paths that Python code opens inside; an audit hook cannot be taken away again, so there is one."""
    global _opened
    if not getattr(sys, "_fusekit_watches", False):
        sys.addaudithook(_note)
        sys._fusekit_watches = True  # type: ignore[attr-defined]
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


@rule(
    "files",
    Kind.READER,
    says="Every file that `prepare` opens beside the source's own is named by files(source).",
    documented="fusekit.contracts.Reader.files",
    applies=lambda case: case.file is not None,
)
def _files(subject: Subject) -> Iterator[str]:
    assert subject.case.file is not None
    reader = subject.make()
    source = subject.case.file(subject.inner("recording"))
    named = [Path(path).resolve() for path in reader.files(source)]
    with _watching() as opened:
        reader.prepare(source)
    there = {path.resolve() for path in beside(source.path)}
    seen = {Path(path).resolve() for path in opened} & there
    silent = [p.name for p in sorted(seen) if p not in named and not set(p.parents) & set(named)]
    if silent:
        names = ", ".join(silent)
        yield f"it opens {names}, which files(source) does not name: a change of it would go unseen"


@rule(
    "variants",
    Kind.READER,
    says="With any argument changed, settings(), raw_shape and lookahead_s follow: no stale store, no lie.",
    documented="fusekit.contracts.Reader.settings",
    applies=lambda case: case.file is not None,
)
def _variants(subject: Subject) -> Iterator[str]:
    case = subject.case
    assert case.file is not None
    reader = subject.make()
    sources = [case.file(subject.inner("recording"))]
    if case.altered is not None:
        duration_s = float(reader.prepare(sources[0])["duration_s"][0])
        sources.append(case.altered(subject.inner("altered"), 0.6 * duration_s))
    base = [reader.prepare(source) for source in sources]
    for name, parameter in parameters(subject.cls).items():
        was = case.args.get(name, parameter.default)
        for value in [
            *_others(was, parameter.annotation),
            *_words(was, parameter.annotation, sources[0].path),
        ]:
            shown = f"{name}: {value!r}"
            try:
                other = subject.make(**{name: value})
            except REFUSALS:
                continue  # as it may be
            except Exception as error:  # a traceback of ours
                yield f"{shown}: {told(error)}, not RecipeError"
                break
            try:
                streams = [other.prepare(source) for source in sources]
            except FusekitError:
                continue  # it does not fit these files
            except Exception as error:  # a traceback of ours
                yield f"{shown} is taken, and then `prepare` fails: {told(error)}"
                break
            if other.settings() == reader.settings() and not all(map(_alike, base, streams)):
                yield (
                    f"{shown} changes what `prepare` gives and not settings(): the store would hand out what "
                    f"was prepared with {was!r}"
                )
                break
            fault = _kept(other, streams, 0.6)
            if fault:
                yield f"with {shown}, {fault}"
                break


def _kept(reader: Reader, streams: list[dict[str, np.ndarray]], share: float) -> str:
    """What a reader does not keep of its word; the second stream differs from `share` of the first on."""
    end = float(streams[0]["duration_s"][0])
    try:
        found = reader.windows(streams[0], np.array([0.3 * end, 0.7 * end]))
    except Exception as error:  # a traceback of ours
        return f"it cuts no windows: {told(error)}"
    if found.shape != (2, *reader.raw_shape):
        return f"windows are {found.shape[1:]}, raw_shape says {reader.raw_shape}"
    if len(streams) < 2 or np.isinf(reader.lookahead_s):
        return ""
    times = np.arange(0.0, share * end - reader.lookahead_s - 0.01, 0.05)
    if not len(times):
        return ""
    a, b = (reader.windows(stream, times) for stream in streams)
    rounding = 1.0 if a.dtype == np.uint8 else 1e-4 * float(np.abs(a).max(initial=0.0))
    if apart(a, b) > rounding:
        return f"a window looks further ahead than lookahead_s, {reader.lookahead_s:g}, says"
    return ""


REFUSALS = (FusekitError, ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError)
"""What the builder turns into a RecipeError."""


def _words(value: Any, hint: Any, path: Path) -> list[Any]:
    """Names of the recording's columns, for arguments that hold names."""
    hints = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    try:
        header = path.read_text(encoding="utf-8").splitlines()[0] if path.is_file() else ""
    except (UnicodeDecodeError, IndexError):
        return []
    names = [cell.strip() for cell in header.replace(";", ",").replace("\t", ",").split(",")]
    names = [n for n in names if n.isidentifier() and n != value and n != "time_s"]
    found: list[Any] = [n for n in names if str in hints]
    if any(get_origin(h) in (tuple, list) and str in get_args(h) for h in hints):
        found += [(n,) for n in names if value != (n,)]
    return found[:4]


def _others(value: Any, hint: Any) -> list[Any]:
    """Other values of an argument that a recipe might give."""
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    found: list[Any] = []
    for choice in choices:
        if get_origin(choice) is Literal:
            found += get_args(choice)
        elif choice is bool:
            found += [True, False]
        elif choice is int and not isinstance(value, bool):
            found += [2 * value, value + 1, value // 2, 0, -1] if isinstance(value, int) else [1, 2, 10, -1]
        elif choice is float:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            found += [2.0 * value, 0.5 * value, value + 1.0, 0.0, -1.0] if number else [0.5, 1.0, 20.0, -1.0]
        elif choice is types.NoneType:
            found.append(None)
    return [v for v in found if v != value or type(v) is not type(value)]
