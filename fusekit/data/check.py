"""What a corpus holds and what is wrong with it, before anything is decoded (`fusekit data check`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fusekit.contracts import Clip, Corpus, Reader, Rejected, Source
from fusekit.data.content import reading
from fusekit.data.detectors import BoxTrack
from fusekit.data.labels import Aligned, align
from fusekit.data.steps import grid, why_unlabelled
from fusekit.errors import DataError
from fusekit.media import probe

CHECK_HZ = 10.0  # grid on which labels are counted; no recipe is at hand
APART_S = 1.0  # labels that end this far from the media's end are worth a note


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


@dataclass
class DataCheck:
    """Findings about a corpus.

    Attributes:
        corpus: the corpus in one line; label_range: of its labels.
        clips, subjects, duration_s: of what can be used.
        sources: clips that have a file, per modality.
        parts: per split. kept: ids of the clips that can be used.
        rejected: what was left out and why. notes: what is odd but can be used.
    """

    corpus: str
    label_range: tuple[float, float]
    clips: int
    subjects: int
    duration_s: float
    sources: dict[str, int]
    parts: dict[str, PartCheck]
    kept: list[str]
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[Rejected] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def check_corpus(
    corpus: Corpus,
    modalities: Sequence[str],
    dims: Sequence[str],
    media: Mapping[str, Sequence[str]] | None = None,
    *,
    readers: Mapping[str, Sequence[Reader]] | None = None,
    subject_dependent: bool = False,
) -> DataCheck:
    """Load a corpus, look into every media file, and count.

    Args:
        corpus: the adapter; modalities, dims: as for `Corpus.load`.
        media: "video", "audio" or both per modality (the mediums of its readers): the tracks that each file
            must hold.
        readers: of the modalities whose files are no media, all that share one: they are read to see whether
            they can be.
        subject_dependent: the recipe allows one subject in several parts, so that is not worth a note.

    Raises:
        DataError: the corpus is not there, or no clip can be used.
    """
    clips, rejected = corpus.load(modalities, dims)
    kept: list[tuple[Clip, float, Aligned]] = []
    notes: list[Rejected] = []
    for clip in clips:
        try:
            duration_s = _longest(clip, media or {}, readers or {})
        except DataError as fault:
            rejected.append(Rejected(clip.id, str(fault)))
            continue
        times = grid(duration_s, CHECK_HZ)
        aligned = align(clip.labels, times, dims, corpus.label_range)
        if dims and not aligned.known.any():
            rejected.append(Rejected(clip.id, why_unlabelled(clip, dims, float(times[-1]))))
            continue
        kept.append((clip, duration_s, aligned))
        notes += _label_notes(clip, duration_s)
    if not kept:
        reasons = "; ".join(f"{r.where}: {r.reason}" for r in rejected[:3])
        raise DataError(f"{corpus.describe()}: no clip can be used. {reasons}")
    if not subject_dependent:
        notes += _split_notes([clip for clip, _, _ in kept])
    names = sorted({clip.split for clip, _, _ in kept}, key=["train", "validation", "test", ""].index)
    return DataCheck(
        corpus=corpus.describe(),
        label_range=corpus.label_range,
        clips=len(kept),
        subjects=len({clip.subject for clip, _, _ in kept}),
        duration_s=sum(duration for _, duration, _ in kept),
        sources={m: sum(m in clip.sources for clip, _, _ in kept) for m in modalities},
        parts={name: _part([k for k in kept if k[0].split == name], dims) for name in names},
        kept=[clip.id for clip, _, _ in kept],
        rejected=rejected,
        notes=notes,
    )


def _longest(
    clip: Clip, media: Mapping[str, Sequence[str]], readers: Mapping[str, Sequence[Reader]]
) -> float:
    """Seconds of a clip's longest file, each looked into by the one who knows its kind."""
    found, unknown = [], {}
    for m, source in clip.sources.items():
        if m in readers:
            with reading(source.path):
                streams = [reader.prepare(source) for reader in readers[m]]
            found += [float(np.asarray(stream["duration_s"]).reshape(-1)[0]) for stream in streams]
            continue
        try:
            found.append(_duration(source, media.get(m, ())))
        except DataError as fault:
            if m in media:
                raise
            unknown[m] = fault
    if not found:
        raise DataError(
            f"{'; '.join(map(str, unknown.values()))} If {' and '.join(unknown)} is neither video nor sound, "
            "only a recipe says how to read it: fusekit data check RECIPE corpus.name=..."
        )
    return max(found)


def _duration(source: Source, media: Collection[str]) -> float:
    info = probe(source.path)
    if source.boxes is not None and not np.isfinite(BoxTrack.read(source.boxes).boxes).all(axis=1).any():
        raise DataError(f"{source.boxes}: no row holds a face box, so no face could be read")
    if "video" in media and not info.has_video:
        raise DataError(f"{source.path}: there is no video track in it")
    if "audio" in media and not info.has_audio:
        raise DataError(f"{source.path}: there is no sound track in it")
    if source.step_s is not None and info.has_video:
        return info.frames * source.step_s  # the corpus knows better than the container
    return info.duration_s


def _label_notes(clip: Clip, duration_s: float) -> list[Rejected]:
    if clip.labels is None or len(clip.labels.times) < 2:
        return []
    last_s = float(clip.labels.times[-1])
    if abs(last_s - duration_s) <= APART_S:
        return []
    side = "before" if last_s < duration_s else "after"
    return [
        Rejected(
            clip.id, f"its labels end at {last_s:.2f} s, {abs(last_s - duration_s):.2f} s {side} its media"
        )
    ]


def _split_notes(clips: Sequence[Clip]) -> list[Rejected]:
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
            notes.append(
                Rejected(
                    f"subject {clip.subject}", f"in two splits ({where}): needs split.subject_dependent=true"
                )
            )
    return notes


def _part(kept: Sequence[tuple[Clip, float, Aligned]], dims: Sequence[str]) -> PartCheck:
    known = np.concatenate([aligned.known for _, _, aligned in kept])
    quadrant = np.concatenate([aligned.quadrant for _, _, aligned in kept])[known.any(axis=1)]
    count = np.bincount(quadrant[quadrant >= 0], minlength=4)
    return PartCheck(
        clips=len(kept),
        subjects=len({clip.subject for clip, _, _ in kept}),
        duration_s=sum(duration for _, duration, _ in kept),
        labelled={dim: float(known[:, k].mean()) for k, dim in enumerate(dims)},
        quadrants=(count / max(count.sum(), 1)).tolist(),
        no_quadrant=float((quadrant < 0).mean()) if len(quadrant) else 1.0,
    )
