"""SEWA as its own database gives it: a folder per recording, annotated per video frame."""

from __future__ import annotations

import configparser
import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fusekit.contracts import Clip, Labels, Source
from fusekit.data.corpora.layout import (
    SOUND,
    UNKNOWN_PEOPLE,
    VIDEO,
    Read,
    Skipped,
    as_labels,
    entries,
    inside,
    some,
)
from fusekit.data.corpora.sewa_media import film_rate, pick
from fusekit.data.delimited import as_number
from fusekit.data.gold import Gold, How, Trace, gold, together
from fusekit.errors import DataError
from fusekit.media import probe

BELOW_ZERO = 0.01
"""Share of values below 0 from which the labels are taken for -1..1: fewer are slips in 0..1."""
_FRAMES_S = 1.0  # how far the rows of a cut segment may differ from its video's length
_FILE = re.compile(r"(?P<stem>.+)_(?P<dim>valence|arousal|liking)_(?P<source>A|V|AV)_Aligned", re.IGNORECASE)


@dataclass
class _Recording:
    """One folder: its rated columns `(dimension, column)`, not yet held against the range; media; people."""

    name: str
    session: str
    subject: str
    sources: dict[str, Source]
    traces: dict[tuple[str, str], Trace] = field(default_factory=dict)


def is_here(root: Path) -> bool:
    """Does the folder hold native recordings."""
    return any(p.is_dir() and (inside(p, "valence") or inside(p, "arousal")) for p in entries(root))


def read(
    root: Path,
    modalities: Sequence[str],
    dims: Sequence[str],
    how: How | Literal["first"],
    source: str,
    skipped: Skipped,
) -> Read:
    """Clips in numeric order of their folders."""
    recordings: list[_Recording] = []
    for folder in entries(root):
        if not folder.is_dir():
            if folder.suffix.lower() == ".zip":
                skipped.add(folder.name, "it is still packed: unzip it")
            continue
        try:
            recordings.append(_recording(folder, modalities, dims, how, source, skipped))
        except DataError as why:
            skipped.add(folder.name, str(why))
    label_range, doubts = _range(recordings)
    quarrels: list[str] = []
    clips = []
    for recording in recordings:
        try:
            labels = _labels(recording, dims, how, label_range, skipped, quarrels)
        except DataError as why:
            skipped.add(recording.name, str(why))
            continue
        clips.append(Clip(recording.name, recording.subject, recording.sources, labels))
    doubts += [some(quarrels)] if quarrels else []
    doubts += _name_people(clips, {r.name: r for r in recordings})
    columns = sorted({len([1 for d, _ in r.traces if d == dim]) for r in recordings for dim in dims})
    said = [
        f"native folders: {len(clips)} clips, rated from {source}",
        f"gold standard {how} of {'..'.join(map(str, columns))} value columns"
        if columns
        else "no labels read",
        f"groups that stay together: {len({c.session for c in clips})}",
    ]
    return Read(clips, label_range, said + film_rate(clips) + doubts)


def _recording(
    folder: Path,
    modalities: Sequence[str],
    dims: Sequence[str],
    how: How | Literal["first"],
    source: str,
    skipped: Skipped,
) -> _Recording:
    files = entries(folder)
    for path in files:
        if path.suffix.lower() == ".zip":
            skipped.add(f"{folder.name}/{path.name}", "it is still packed: unzip it")
    film, sound = _one(files, VIDEO, folder.name), _one(files, SOUND, folder.name)
    sources, faults = pick(film, sound, modalities)
    if not sources:
        raise DataError("; ".join(faults))
    session, subject = _people(folder)
    recording = _Recording(folder.name, session, subject, sources)
    if dims:
        if film is None:
            raise DataError("its labels count video frames, and there is no video to tell their rate")
        info = probe(film)
        for dim in dims:
            columns = _columns(_label_file(folder, dim, source), info.fps, info.frames, skipped)
            for trace in columns[:1] if how == "first" else columns:
                recording.traces[dim, trace.name] = trace
    for fault in faults:
        skipped.add(folder.name, f"it goes on with {' and '.join(sources)}, {fault}")
    return recording


def _one(files: Sequence[Path], suffixes: frozenset[str], name: str) -> Path | None:
    """The folder's film or sound: the one named like the folder, or the only one."""
    found = [p for p in files if p.suffix.lower() in suffixes]
    found = [p for p in found if p.stem.casefold() == name.casefold()] or found
    if len(found) > 1:
        raise DataError(f"which of {some(p.name for p in found)} is annotated? Keep one, or name it {name}")
    return found[0] if found else None


def _label_file(folder: Path, dim: str, source: str) -> Path:
    inner = inside(folder, dim)
    files = [p for p in entries(inner) if p.suffix.lower() == ".csv"] if inner and inner.is_dir() else []
    named = {
        m["source"].upper(): p for p in files if (m := _FILE.fullmatch(p.stem)) and m["dim"].lower() == dim
    }
    if source not in named:
        held = some(named) or some(p.name for p in files) or "none"
        hint = ": set corpus.annotation_source" if named else ""
        raise DataError(
            f"no {dim}/{folder.name}_{dim.capitalize()}_{source}_Aligned.csv; found: {held}{hint}"
        )
    return named[source]


def _columns(path: Path, fps: float, frames: int, skipped: Skipped) -> list[Trace]:
    """Every column of values, timed by its frame; rows of a cut segment count from the segment's start."""
    where = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = [[c.strip() for c in row] for row in csv.reader(file) if any(map(str.strip, row))]
    header = [c.casefold() for c in rows.pop(0)] if rows else []
    counted = next((i for i, c in enumerate(header) if "frame" in c), None)
    valued = [i for i, c in enumerate(header) if i != counted and "time" not in c]
    if counted is None or not valued:
        raise DataError(f"{where}: its header has no column frame and one of values: {', '.join(header)}")
    if fps <= 0:
        raise DataError("the video tells no frame rate, and its labels count frames")
    kept: list[tuple[float, list[float | None]]] = []
    for row in rows:
        number = as_number(row[counted]) if len(row) == len(header) else None
        if number is not None and (not kept or number > kept[-1][0]):
            kept.append((number, [as_number(row[i]) for i in valued]))
    if len(kept) < len(rows):
        reason = f"{len(rows) - len(kept)} rows have not the {len(header)} cells, or frames that go back"
        skipped.add(where, reason)
    if not kept:
        raise DataError(f"{path.name} has no row of labels")
    numbers = np.array([number for number, _ in kept])
    if numbers[0] not in (0, 1) and abs(len(kept) - frames) > _FRAMES_S * fps:
        raise DataError(
            f"{path.name}: its frames begin at {numbers[0]:g} and are {len(kept)}, the video has {frames}; "
            "where they begin in the video is not known"
        )
    times = (numbers - numbers[0]) / fps
    table = np.array([[np.nan if v is None else v for v in values] for _, values in kept])
    traces = []
    for k, i in enumerate(valued):
        name = header[i] if header[i] and header.count(header[i]) == 1 else f"column{i + 1}"
        if np.isfinite(table[:, k]).any():
            traces.append(Trace(name, times, table[:, k]))
        else:
            skipped.add(where, f"column {name} holds no number")
    if not traces:
        raise DataError(f"{path.name} has no label")
    return traces


def _range(recordings: Sequence[_Recording]) -> tuple[tuple[float, float], list[str]]:
    """0..1 as in the paper, unless the values say -1..1; sentinels have no say."""
    values = [t.values for r in recordings for t in r.traces.values()]
    pooled = np.concatenate(values) if values else np.zeros(0)
    pooled = pooled[(pooled >= -1) & (pooled <= 1)]
    below = float((pooled < 0).mean()) if len(pooled) else 0.0
    if below > BELOW_ZERO:
        return (-1.0, 1.0), [f"{100 * below:.0f} % of the values are below 0: taken for -1..1, not 0..1"]
    return (0.0, 1.0), []


def _labels(
    recording: _Recording,
    dims: Sequence[str],
    how: How | Literal["first"],
    label_range: tuple[float, float],
    skipped: Skipped,
    quarrels: list[str],
) -> Labels | None:
    if not dims:
        return None
    low, high = label_range
    traces: list[tuple[str, Trace]] = []
    for (dim, column), trace in recording.traces.items():
        values, outside = as_labels(trace.values, label_range)
        empty = int(np.isnan(trace.values).sum())
        for count, what in ((empty, "hold no number"), (outside, f"are outside {low:g}..{high:g}")):
            if count:
                skipped.add(f"{recording.name} {dim}, column {column}", f"{count} labels {what}")
        traces.append((dim, Trace(column, trace.times, values)))
    times, table = together([t for _, t in traces])
    if not len(times) or not np.isfinite(table).any():
        raise DataError(f"no frame has a label for {' and '.join(dims)} alike")
    golds: dict[str, Gold] = {}
    for dim in dims:
        own = [i for i, (d, _) in enumerate(traces) if d == dim]
        golds[dim] = gold(table[:, own], "mean" if how == "first" else how)
        if not golds[dim].agree:
            quarrels.append(f"{recording.name}: no two raters of {dim} agree, so their mean stands in")
    extra = {f"{d}_{t.name}": table[:, i] for i, (d, t) in enumerate(traces)}
    columns = np.stack([golds[dim].values for dim in dims], 1).astype(np.float32)
    return Labels(times, columns, tuple(dims), extra=extra)


def _people(folder: Path) -> tuple[str, str]:
    """Session and subject numbers of metadata.ini, "" where it does not tell; its sections are not known."""
    file = next((p for p in entries(folder) if p.suffix.lower() == ".ini"), None)
    if file is None:
        return "", ""
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
        parser.read_string(text if text.lstrip().startswith("[") else f"[all]\n{text}")
    except configparser.Error as why:
        raise DataError(f"{file.name} cannot be parsed ({str(why).splitlines()[0]})") from why
    facts: dict[str, str] = {}
    for section in parser.sections():
        for key, value in parser[section].items():
            facts.setdefault(re.sub(r"[^a-z]", "", key.casefold()), (value or "").strip())
    endings = ("", "id", "number", "no", "nr")
    session, subject = (
        next((facts[name + e] for e in endings if facts.get(name + e)), "") for name in ("session", "subject")
    )
    return session, subject


def _name_people(clips: Sequence[Clip], recordings: Mapping[str, _Recording]) -> list[str]:
    """Set the subject and session of every clip, and say what is doubtful about them."""
    own = [recordings[c.id] for c in clips]
    known = [r for r in own if r.session and r.subject]
    # Subjects 1 and 2 in every session are no people of the whole corpus.
    within = len({r.subject for r in known}) < len({r.session for r in known})
    for clip, r in zip(clips, own, strict=True):
        clip.session = f"session-{r.session}" if r.session else UNKNOWN_PEOPLE
        clip.subject = f"subject-of-{clip.id}"
        if r.session and r.subject:
            clip.subject = f"subject-{r.session}-{r.subject}" if within else f"subject-{r.subject}"
    doubts = []
    if within:
        doubts.append("fewer subject numbers than sessions: taken to count within each session")
    unknown = Counter(c.session for c in clips)[UNKNOWN_PEOPLE]
    if unknown:
        doubts.append(f"{unknown} clips whose metadata.ini tells no session stay together")
    if bare := sum(bool(r.session) and not r.subject for r in own):
        doubts.append(f"{bare} clips have a session and no subject number")
    return doubts
