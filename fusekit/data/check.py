"""What a corpus holds and what is wrong with it, as training will find it (`fusekit data check`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fusekit.contracts import Clip, Corpus, Reader, Rejected
from fusekit.data import folds
from fusekit.data.findings import Findings, Seen, by_modality, by_use, find, seen, uses
from fusekit.data.label_findings import Note
from fusekit.data.labels import align
from fusekit.data.look import longest, tracks_of
from fusekit.data.names import tidied
from fusekit.data.reading import corpus_notes, read_by_use
from fusekit.data.steps import build_steps, grid, why_unlabelled
from fusekit.data.store import PreparedStore
from fusekit.errors import DataError, FusekitError

CHECK_HZ = 10.0  # grid on which labels are counted where no recipe is at hand
TRACKS = {"video": "picture", "audio": "sound"}


@dataclass
class Reading:
    """How files are read to see what training will find in them.

    Attributes:
        readers: per modality. columns: the corpus's name of each modality's files.
        by_track: readers of "video" and "audio" for files of which nobody says how they are read.
        step_hz: the clock. split: deals clips to parts as training will (it raises DataError where training
            will refuse to); None: nobody says how.
        store: where prepared files are kept. count: shows progress (clips done, in all, clip id).
    """

    readers: Mapping[str, Reader] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    by_track: Mapping[str, Reader] = field(default_factory=dict)
    step_hz: float = CHECK_HZ
    split: Callable[[Sequence[Clip]], folds.Split] | None = None
    store: PreparedStore | None = None
    count: Callable[[int, int, str], None] | None = None


@dataclass
class PartCheck:
    """One split ("" where folds decide): counts, seconds, share of labelled steps per dimension, quadrants.

    `quadrants` are the shares of Q0..Q3 among the labelled steps that have one; `no_quadrant` the share
    without.
    """

    clips: int
    subjects: int
    duration_s: float
    labelled: dict[str, float]
    quadrants: list[float]
    no_quadrant: float


@dataclass(frozen=True)
class DataCheck(Findings):
    """Findings about a corpus.

    Attributes:
        corpus: the corpus in one line; label_range: of its labels; step_hz: the clock of steps.
        sources: clips that have a file, per modality.
        parts: per split. kept: ids of the clips that can be used.
        present: share of its steps at which each modality is present, per clip; empty: not decoded.
        decoded: whether files were read, or only looked at. unread: modalities that only a recipe can read.
        rejected: what was left out and why. refused: why training will not begin at all.
    """

    corpus: str
    label_range: tuple[float, float]
    step_hz: float
    sources: dict[str, int]
    parts: dict[str, PartCheck]
    kept: list[str]
    present: dict[str, dict[str, float]]
    decoded: bool
    unread: list[str]
    rejected: list[Rejected]
    refused: list[str]


@dataclass(frozen=True)
class _Usable:
    """A clip that can be used: what it shows, `known (T, K)` and `quadrant (T,)` on the grid."""

    seen: Seen
    known: np.ndarray
    quadrant: np.ndarray


def check_corpus(
    corpus: Corpus,
    modalities: Sequence[str],
    dims: Sequence[str],
    media: Mapping[str, Sequence[str]] | None = None,
    *,
    readers: Mapping[str, Sequence[Reader]] | None = None,
    subject_dependent: bool = False,
    reading: Reading | None = None,
) -> DataCheck:
    """Load a corpus, read every file as training will (or only look into it), and count.

    Args:
        corpus: the adapter; modalities, dims: as for `Corpus.load`.
        media: "video", "audio" or both per modality (the mediums of its readers): the tracks that each file
            must hold.
        readers: of the modalities whose files are no media, all that share one: they are read to see whether
            they can be.
        subject_dependent: the recipe allows one subject in several parts, so that is not worth a note.
        reading: how files are read; None: media files are looked into, not decoded, and training may leave
            out more.

    Raises:
        DataError: the corpus is not there, or no clip can be used.
    """
    loaded, left_out = corpus.load(modalities, dims)
    rejected, label_range = list(left_out), corpus.label_range
    how, own, columns = reading or Reading(), dict[str, Reader](), dict[str, str]()
    loaded = tidied(loaded)
    split, refused = _dealt(loaded, how)
    part_of = {} if split is None else {c: part for part in folds.PARTS for c in split.part(part)}
    of_files: dict[str, list[Note]] = {}
    store = how.store or PreparedStore()
    if how.readers:
        own, columns = dict(how.readers), dict(how.columns)
        clips = uses(by_modality(loaded, columns), part_of)
        usable = _read(clips, how, own, dims, label_range, rejected, of_files, store)
    else:
        # A film without sound lacks that modality; where files are read, that shows then.
        tracks = dict(media or {}) if not how.by_track else dict.fromkeys(media or {}, ())
        usable = _look(loaded, tracks, readers or {}, dims, label_range, rejected)
        if how.by_track:
            looked_at = [u.seen.clip for u in usable]
            own, columns = _by_track(looked_at, modalities, media or {}, how.by_track)
        if own:
            clips = uses(by_modality(looked_at, columns), part_of)
            usable = _read(clips, how, own, dims, label_range, rejected, of_files, store)
    if not usable:
        reasons = "; ".join(f"{r.where}: {r.reason}" for r in rejected[:3])
        raise DataError(f"{corpus.describe()}: no clip can be used. {reasons}")
    found = [u.seen for u in usable]
    everything = find(found, dims, label_range, own)
    notes = [] if subject_dependent else _split_notes([s.clip for s in found])
    refused = [] if notes else refused
    clips_seen = by_modality(loaded, columns) if own else loaded
    of_files.setdefault("training", [])[:0] = corpus_notes(corpus, clips_seen, split, store)
    for findings in by_use(found, part_of, dims, label_range, own, of_files).values():
        notes += [note for note in findings.notes if note not in notes]
    refused = refused + _empty(found, part_of, own)
    names = {part_of.get(s.clip.id, s.clip.split) for s in found}
    kept = {s.clip.id for s in found}
    return DataCheck(
        clips=everything.clips,
        subjects=everything.subjects,
        duration_s=everything.duration_s,
        labels=everything.labels,
        presence=everything.presence,
        notes=notes,
        corpus=corpus.describe(),
        label_range=label_range,
        step_hz=how.step_hz,
        sources={m: sum(m in clip.sources for clip in loaded if clip.id in kept) for m in modalities},
        parts={
            name: _part([u for u in usable if part_of.get(u.seen.clip.id, u.seen.clip.split) == name], dims)
            for name in (*folds.PARTS, "")
            if name in names
        },
        kept=[s.clip.id for s in found],
        present={s.clip.id: dict(s.present) for s in found if s.present},
        decoded=bool(own),
        unread=[m for m in modalities if own and m not in columns.values()],
        rejected=rejected,
        refused=refused,
    )


def _read(
    clips: Mapping[str, Sequence[Clip]],
    how: Reading,
    readers: Mapping[str, Reader],
    dims: Sequence[str],
    label_range: tuple[float, float],
    rejected: list[Rejected],
    of_files: dict[str, list[Note]],
    store: PreparedStore,
) -> list[_Usable]:
    """Clips (by use) that training could use, read as it reads them; the others go to `rejected`."""
    read = read_by_use(clips, readers, store, count=how.count)
    of_files |= read.notes
    rejected += read.rejected
    left = [clip for own in clips.values() for clip in own if clip.id in read.streams]
    if not left:
        return []
    steps, odd = build_steps(left, read.streams, readers, dims, how.step_hz, label_range, labelled=bool(dims))
    rejected += odd
    return [_Usable(seen(s), s.known, s.quadrant) for s in steps]


def _look(
    clips: Sequence[Clip],
    media: Mapping[str, Sequence[str]],
    readers: Mapping[str, Sequence[Reader]],
    dims: Sequence[str],
    label_range: tuple[float, float],
    rejected: list[Rejected],
) -> list[_Usable]:
    """Clips that seem usable by their files' packets, which are quickly counted."""
    usable = []
    for clip in clips:
        try:
            lasts = longest(clip, media, readers)
        except DataError as fault:
            rejected.append(Rejected(clip.id, str(fault)))
            continue
        times = grid(max(lasts.values()), CHECK_HZ)
        aligned = align(clip.labels, times, dims, label_range)
        if dims and not aligned.known.any():
            rejected.append(Rejected(clip.id, why_unlabelled(clip, dims, float(times[-1]))))
            continue
        usable.append(_Usable(Seen(clip, lasts), aligned.known, aligned.quadrant))
    return usable


def _by_track(
    clips: Sequence[Clip],
    modalities: Sequence[str],
    media: Mapping[str, Sequence[str]],
    by_track: Mapping[str, Reader],
) -> tuple[dict[str, Reader], dict[str, str]]:
    """Readers, and the columns they read, by the tracks that all files of a column hold."""
    readers, columns = {}, {}
    for column in modalities:
        tracks = media.get(column) or tracks_of([c.sources[column] for c in clips if column in c.sources])
        for track in tracks:
            name = column if len(tracks) == 1 else f"{column} ({TRACKS[track]})"
            readers[name], columns[name] = by_track[track], column
    return readers, columns


def _dealt(loaded: Sequence[Clip], how: Reading) -> tuple[folds.Split | None, list[str]]:
    """The split as training deals clips (None: nobody knows), or why it would not."""
    if how.split is None:
        return None, []
    try:
        return how.split(loaded), []
    except FusekitError as fault:
        return None, [str(fault)]


def _empty(found: Sequence[Seen], part_of: Mapping[str, str], readers: Mapping[str, Reader]) -> list[str]:
    """Why training would not begin with what is left."""
    refused = []
    for part in ("train", "validation") if part_of else ():
        mine = [s for s in found if part_of[s.clip.id] == part]
        if not mine:
            refused.append(f"no usable clip is left in the {part} part of the split")
        for m, reader in readers.items() if mine and part == "train" else ():
            if not any(m in s.useful for s in mine if m in s.present):
                refused.append(
                    f"modality {m} is present at no labelled step of the {part} clips: there is no file, or "
                    f"{reader.absence}"
                )
    return refused


def _split_notes(clips: Sequence[Clip]) -> list[Note]:
    notes = []
    first: dict[str, Clip] = {}
    told: set[str] = set()
    for clip in clips:
        other = first.setdefault(clip.subject, clip)
        if other.split != clip.split and clip.subject not in told:
            told.add(clip.subject)
            where = (
                f"clip {other.id} is {other.split or 'in none'}, clip {clip.id} is {clip.split or 'in none'}"
            )
            reason = f"in two splits ({where}): needs split.subject_dependent=true"
            notes.append(Note("split", f"subject {clip.subject}", reason))
    return notes


def _part(usable: Sequence[_Usable], dims: Sequence[str]) -> PartCheck:
    known = np.concatenate([u.known for u in usable])
    quadrant = np.concatenate([u.quadrant for u in usable])[known.any(axis=1)]
    count = np.bincount(quadrant[quadrant >= 0], minlength=4)
    return PartCheck(
        clips=len(usable),
        subjects=len({u.seen.clip.subject for u in usable}),
        duration_s=sum(max(u.seen.lasts.values()) for u in usable),
        labelled={dim: float(known[:, k].mean()) for k, dim in enumerate(dims)},
        quadrants=(count / max(count.sum(), 1)).tolist(),
        no_quadrant=float((quadrant < 0).mean()) if len(quadrant) else 1.0,
    )
