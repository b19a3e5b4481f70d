"""Rules of readers: files in, windows out, at any time; what is missing or broken is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fusekit.contracts import Reader, Source, Stream
from fusekit.errors import DataError
from fusekit.registry import Kind
from fusekit.testing.findings import apart, rule, told
from fusekit.testing.subject import Subject

WRITE_ONE = "the case has no `file`: write `file=` a function that puts a small valid recording into a folder"
OPENINGS = ("The", "There", "This", "That", "A", "An", "No", "Nothing", "Nobody", "It", "Is", "Not")
"""Words with which a sentence begins; a name (GSR, Polar) may begin the end of one."""
LATER_S = 60.0
"""This long after the end nothing is recorded."""


def prepared(subject: Subject, reader: Reader) -> Stream:
    """The recording's stream as the store hands it back: from a file, read-only."""
    assert subject.case.file is not None
    folder = subject.inner("prepared")
    stream: dict[str, np.ndarray] = {}
    for name, array in reader.prepare(subject.case.file(subject.inner("recording"))).items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
        stream[name] = np.load(folder / f"{name}.npy", allow_pickle=False)
        stream[name].flags.writeable = False
    return stream


def asked_times(stream: Stream) -> np.ndarray:
    """Within, before and after, not in order."""
    end = float(stream["duration_s"][0])
    return np.array([0.5 * end, 0.0, end, -5.0, 0.9 * end, end + 7.0, 0.1 * end, end / 3])


@rule(
    "prepare",
    Kind.READER,
    says="`prepare` gives named arrays, always the same ones, with `duration_s` (1,) above 0 among them.",
    documented="fusekit.contracts.Reader.prepare",
)
def _prepare(subject: Subject) -> Iterator[str]:
    if subject.case.file is None:
        yield WRITE_ONE
        return
    source = subject.case.file(subject.inner("recording"))
    first, again = (subject.make().prepare(source) for _ in range(2))
    for name, array in first.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            yield f"`{name}` is no array of numbers"
        elif name not in again or apart(array, again[name]) > 0:
            yield f"`{name}` differs between two readings of one file"
    duration = first.get("duration_s")
    if duration is None:
        yield "duration_s is not among the arrays"
    elif np.shape(duration) != (1,) or not 0 < float(np.ravel(duration)[0]) < np.inf:
        yield f"duration_s is {np.asarray(duration).tolist()!r}, not one number of seconds above 0"


@rule(
    "declares",
    Kind.READER,
    says="settings() is JSON; raw_shape, lookahead_s, medium, suffixes and absence keep to the contract.",
    documented="fusekit.contracts.Reader",
)
def _declares(subject: Subject) -> Iterator[str]:
    reader = subject.make()
    try:
        if json.loads(json.dumps(reader.settings())) != json.loads(json.dumps(subject.make().settings())):
            yield "settings() differ between two readers of the same arguments: the store would never hit"
    except (TypeError, ValueError) as error:
        yield f"settings() is not JSON: {error}"
    shape = getattr(reader, "raw_shape", None)
    if not isinstance(shape, tuple) or not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        yield f"raw_shape is {shape!r}, not a tuple of sizes"
    if not getattr(reader, "lookahead_s", -1.0) >= 0:
        yield f"lookahead_s is {getattr(reader, 'lookahead_s', None)!r}, not seconds of 0 or more"
    if not isinstance(getattr(reader, "medium", None), str) or not reader.medium:
        yield "medium is missing: 'video', 'audio' or a word for this kind of file"
        return
    tracks = reader.medium in ("video", "audio")
    if tracks and reader.suffixes:
        yield f"it reads the {reader.medium} track of media, so suffixes stays (), found {reader.suffixes}"
    odd = [s for s in reader.suffixes if s != s.lower() or not s.startswith(".")]
    if odd or (not tracks and not reader.suffixes):
        yield f"suffixes is {reader.suffixes}: a reader of '{reader.medium}' files names theirs"
    if subject.case.file is not None and not tracks:
        suffix = subject.case.file(subject.inner("recording")).path.suffix
        if suffix and reader.suffixes and suffix not in reader.suffixes:
            yield f"the case's recording ends in {suffix}, which is not among suffixes {reader.suffixes}"
    words = reader.absence.split() or [""]
    if words[0] in OPENINGS or words[-1].endswith((".", "!")) or not words[0]:
        yield f"absence is {reader.absence!r}: it ends a sentence, so no capital and no full stop"


@rule(
    "windows",
    Kind.READER,
    says="(T, *raw_shape) finite numbers of one type at any times, before the start and after the end too.",
    documented="fusekit.contracts.Reader.windows",
)
def _windows(subject: Subject) -> Iterator[str]:
    if subject.case.file is None:
        yield WRITE_ONE
        return
    reader = subject.make()
    stream = prepared(subject, reader)
    times = asked_times(stream)
    windows = reader.windows(stream, times)
    kinds = set()
    for chosen in (times, times[:1], times[:0]):
        found = reader.windows(stream, chosen)
        if not isinstance(found, np.ndarray) or found.shape != (len(chosen), *reader.raw_shape):
            declared = (len(chosen), *reader.raw_shape)
            yield f"{len(chosen)} times give {np.shape(found)}, declared is {declared}"
            return
        kinds.add(str(found.dtype))
        if found.dtype.kind not in "buif":
            yield f"windows hold {found.dtype}, which no network takes"
            return
    if len(kinds) > 1:
        yield f"their type depends on the times: {' and '.join(sorted(kinds))}"
    if not np.isfinite(windows).all():
        bad = times[~np.isfinite(windows).reshape(len(times), -1).all(axis=1)]
        yield f"the window at {bad[0]:.2f} s is not finite"
    pooled = reader.pooled(windows)
    if pooled.ndim != 2 or len(pooled) != len(times) or not np.isfinite(pooled).all():
        yield f"pooled() gives {pooled.shape} for {len(times)} windows, declared is (n, F), finite"


@rule(
    "steps",
    Kind.READER,
    says="A window, and who is present, depends on its own time alone, not on the others asked for.",
    documented="fusekit.contracts.Reader",
)
def _steps(subject: Subject) -> Iterator[str]:
    if subject.case.file is None:
        yield WRITE_ONE
        return
    reader = subject.make()
    stream = prepared(subject, reader)
    times = asked_times(stream)
    windows, present = reader.windows(stream, times), reader.present(stream, times)
    for i, t in enumerate(times):
        if apart(windows[i], reader.windows(stream, times[i : i + 1])[0]) > 0:
            yield f"the window at {t:.2f} s, asked for alone, differs from that among {len(times)}"
            break
    if present.shape != times.shape or present.dtype != bool:
        yield f"present() gives {present.dtype} {present.shape}, declared is bool {times.shape}"
        return
    for i, t in enumerate(times):
        if reader.present(stream, times[i : i + 1])[0] != present[i]:
            yield f"present() at {t:.2f} s, asked for alone, differs from that among {len(times)}"
            break
    inside = np.linspace(0, float(stream["duration_s"][0]), 50)
    there = reader.present(stream, inside)
    seen = reader.windows(stream, inside)
    moves = (seen[1:] != seen[:-1]).reshape(len(inside) - 1, -1).any(axis=1)
    if not there.any():
        yield "it is present nowhere in the case's recording"
    elif not there[len(inside) // 2 :].any() and not moves[len(inside) // 2 :].any():
        yield f"nothing is there in the second half of {inside[-1]:.4g} s: is duration_s in seconds?"
    if reader.present(stream, float(stream["duration_s"][0]) + np.array([LATER_S]))[0]:
        yield f"it is present {LATER_S:g} s after the end"
    if (
        np.isfinite(reader.lookahead_s)
        and reader.present(stream, -reader.lookahead_s - np.array([LATER_S]))[0]
    ):
        yield f"it is present {LATER_S:g} s before the start"
    pooled = reader.pooled(windows)
    for i in range(len(times)):
        if apart(pooled[i], reader.pooled(windows[i : i + 1])[0]) > 1e-5 * np.abs(pooled).max():
            yield f"pooled() of window {i} alone differs from that among {len(times)}"
            break


@rule(
    "blank",
    Kind.READER,
    says="Silence, black frames, a flat line are read like any recording, into finite windows.",
    documented="docs/design.md, Contracts",
    applies=lambda case: case.blank is not None,
)
def _blank(subject: Subject) -> Iterator[str]:
    reader = subject.make()
    assert subject.case.blank is not None
    stream = reader.prepare(subject.case.blank(subject.inner("blank")))
    times = asked_times(stream)
    windows = reader.windows(stream, times)
    if windows.shape != (len(times), *reader.raw_shape) or not np.isfinite(windows).all():
        yield "a recording with nothing in it gives windows that are not finite, or of another shape"
    if not np.isfinite(reader.pooled(windows)).all():
        yield "pooled() of a recording with nothing in it is not finite"
    if reader.present(stream, times).dtype != bool:
        yield "present() of a recording with nothing in it is not bool"


@rule(
    "broken-files",
    Kind.READER,
    says="A file that is missing, empty or no recording raises a DataError that names it.",
    documented="fusekit.contracts.Reader.prepare",
)
def _broken(subject: Subject) -> Iterator[str]:
    folder = subject.inner("broken")
    suffix = ".dat"
    if subject.case.file is not None:
        suffix = subject.case.file(subject.inner("recording")).path.suffix or suffix
    (folder / f"empty{suffix}").touch()
    (folder / f"garbage{suffix}").write_bytes(np.random.default_rng(0).bytes(5000))
    for what in ("missing", "empty", "garbage"):
        yield from _refused(subject, folder / f"{what}{suffix}", what)


def _refused(subject: Subject, path: Path, what: str) -> Iterator[str]:
    try:
        subject.make().prepare(Source(path))
    except DataError as error:
        if path.name not in str(error):
            yield f"its DataError for a {what} file does not name the file: {error}"
    except Exception as error:  # anything else would be shown as a traceback of ours
        yield f"a {what} file: {told(error)}, not DataError"
    else:
        yield f"a {what} file is read without a word"
