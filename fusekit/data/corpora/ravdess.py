"""RAVDESS: 24 actors speak two sentences in eight emotions (Livingstone & Russo 2018, Zenodo 1188976)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fusekit.contracts import Clip, Corpus, Labels, Rejected, Source
from fusekit.data.delimited import read_table
from fusekit.data.labels import AROUSAL, VALENCE, quadrant
from fusekit.errors import DataError, RecipeError

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
INTENSITIES = ("normal", "strong")
# A convention, not an annotation: RAVDESS has no valence or arousal. +-0.5 is the middle of each quadrant.
AFFECT: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "calm": (0.5, -0.5),
    "happy": (0.5, 0.5),
    "sad": (-0.5, -0.5),
    "angry": (-0.5, 0.5),
    "fearful": (-0.5, 0.5),
    "disgust": (-0.5, 0.5),
    "surprised": (0.5, 0.5),
}
# The published face crops took every 7.2th frame of 29.97 Hz video; their container says 5 Hz.
CROP_START_S, CROP_STEP_S = 0.1, 0.24
MODALITIES = ("face", "voice")
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)(?=\D|$)")
_VIDEO, _SOUND = (".mp4", ".avi"), (".wav", ".flac")


@dataclass(frozen=True)
class Trial:
    """One performance: the seven fields of a file name but for the first, which tells sound from video."""

    emotion: str
    intensity: str
    statement: int
    repetition: int
    actor: int
    id: str


@dataclass
class _Found:
    """Files of one trial by role: the best source of each modality."""

    trial: Trial
    face: Source | None = None
    silent_face: Source | None = None
    voice: Source | None = None


@dataclass
class _Skipped:
    """What was left out: single files with their reason, and kinds of files in bulk."""

    rows: list[Rejected] = field(default_factory=list)
    bulk: Counter[str] = field(default_factory=Counter)

    def all(self) -> list[Rejected]:
        return self.rows + [Rejected(f"{count} files", reason) for reason, count in self.bulk.items()]


class RavdessCorpus(Corpus):
    """RAVDESS speech: modalities `face` and `voice`, one trial per clip, however many files carry it.

    Two layouts are recognised: the published folders (`Actor_XX/MM-CC-EE-II-SS-RR-AA.wav|mp4`, also as flac,
    in any subfolder), and an excerpt with `labels.csv` naming face crops, sound and full frames of each
    trial. The voice of a clip with a face comes from the same mp4, so that both are in step; alone it comes
    from the wav.

    Targets are a convention, one value held over the clip: angry, fearful, disgust V-A+; sad V-A-; happy,
    surprised V+A+; calm V+A-, each +-0.5; neutral 0, 0 and no quadrant. Label columns `emotion` and
    `intensity` travel along.

    Several actors: no split is given, so that actor-disjoint folds decide. One actor alone: statement 1
    trains (repetition 1) and validates (repetition 2), statement 2 tests, which the recipe must allow by
    `split.subject_dependent: true`.

    Args:
        root: folder that holds labels.csv or the actors' folders.
        faces: of the excerpt, the "crops" of all trials or the "full-frame" videos of some.
    """

    label_range = (-1.0, 1.0)

    def __init__(self, *, root: Path, faces: Literal["crops", "full-frame"] = "crops") -> None:
        if faces not in ("crops", "full-frame"):
            raise RecipeError(f"ravdess: faces is 'crops' or 'full-frame', not {faces!r}")
        self.root = Path(root).expanduser()
        self.faces = faces
        self._layout = "not read yet"

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        self._check(modalities, dims)
        skipped = _Skipped()
        excerpt = self._is_excerpt()
        found = list(self._excerpt(skipped) if excerpt else self._folders(skipped))
        actors = {f.trial.actor for f in found}
        clips = []
        for f in sorted(found, key=lambda f: f.trial.id):
            sources = _sources(f, modalities)
            if sources:
                clips.append(_clip(f.trial, sources, tuple(dims), alone=len(actors) == 1))
            else:
                skipped.rows.append(Rejected(f.trial.id, f"it has no {' and no '.join(modalities)} file"))
        if not clips:
            reasons = "; ".join(f"{r.where}: {r.reason}" for r in skipped.all()[:3])
            raise DataError(
                f"{self.root}: no RAVDESS speech with {' or '.join(modalities)} can be used. Unpack the "
                f"archives so that Actor_01/03-01-05-01-02-01-01.wav etc. lie below. {reasons}".strip()
            )
        kind = f"excerpt with labels.csv, {self.faces}" if excerpt else "published folders"
        people = len({c.subject for c in clips})
        count = f"{len(clips)} trials of {people} actor{'s' if people > 1 else ''}"
        self._layout = f"{kind}: {count}; {len(skipped.rows) + skipped.bulk.total()} files or rows not used"
        return clips, skipped.all()

    def describe(self) -> str:
        return f"RAVDESS ({self._layout}; CC BY-NC-SA 4.0), valence and arousal by convention of the emotion"

    def _check(self, modalities: Sequence[str], dims: Sequence[str]) -> None:
        unknown = [m for m in modalities if m not in MODALITIES]
        if unknown:
            raise DataError(
                f"RAVDESS has face and voice, no {unknown[0]!r}: set modalities.{unknown[0]}.source"
            )
        unknown = [d for d in dims if d not in (VALENCE, AROUSAL)]
        if unknown:
            raise DataError(
                f"RAVDESS has valence and arousal (by convention), no {unknown[0]!r}: see target.dims"
            )
        if not self.root.is_dir():
            raise DataError(f"{self.root}: there is no such folder; set corpus.root to where RAVDESS lies")

    def _is_excerpt(self) -> bool:
        table = self.root / "labels.csv"
        return table.is_file() and {"clip", "audio", "face_crop"} <= set(read_table(table)[0])

    def _excerpt(self, skipped: _Skipped) -> Iterator[_Found]:
        table = self.root / "labels.csv"
        header, rows = read_table(table)
        for line, cells in rows:
            where = f"labels.csv row {line}"
            row = dict(zip(header, cells, strict=False))
            trial = _trial(row.get("clip", ""), where, skipped)
            if trial is None:
                continue
            found = _Found(trial)
            crop = Source(self.root / row.get("face_crop", ""), None, CROP_START_S, CROP_STEP_S)
            full = Source(self.root / row.get("full_frame", ""))
            if self.faces == "full-frame":
                if not row.get("full_frame"):
                    skipped.bulk["trials without a full-frame video"] += 1
                    continue
                found.face = _usable(full, where, skipped)
            elif row.get("face_crop"):
                # The crops carry no sound: the voice is a file of its own.
                found.silent_face = _usable(crop, where, skipped)
            if row.get("audio"):
                found.voice = _usable(Source(self.root / row["audio"]), where, skipped)
            yield found

    def _folders(self, skipped: _Skipped) -> Iterator[_Found]:
        trials: dict[str, _Found] = {}
        for path in sorted(self.root.rglob("*")):
            suffix = path.suffix.lower()
            if suffix not in _VIDEO + _SOUND or path.name.startswith("."):
                continue
            where = str(path.relative_to(self.root))
            name = _NAME.match(path.stem)
            if name is None:
                skipped.bulk["their names are not RAVDESS names (MM-CC-EE-II-SS-RR-AA)"] += 1
                continue
            if name.group(2) == "02":
                skipped.bulk["song, only speech is read"] += 1
                continue
            trial = _trial(path.stem, where, skipped)
            source = _usable(Source(path), where, skipped) if trial else None
            if trial is None or source is None:
                continue
            found = trials.setdefault(trial.id, _Found(trial))
            role = "voice" if suffix in _SOUND else "silent_face" if name.group(1) == "02" else "face"
            if getattr(found, role) is None:
                setattr(found, role, source)
            else:
                other = getattr(found, role).path.relative_to(self.root)
                skipped.rows.append(Rejected(where, f"the same recording as {other}"))
        for found in trials.values():
            if found.face and found.silent_face:
                skipped.bulk["picture alone (02), the same as the video with sound (01)"] += 1
            yield found


def _sources(found: _Found, modalities: Sequence[str]) -> dict[str, Source]:
    face = found.face or found.silent_face
    voice = found.voice or found.face
    if "face" in modalities and found.face is not None:
        voice = found.face
    available = {"face": face, "voice": voice}
    return {m: source for m in modalities if (source := available[m]) is not None}


def _clip(trial: Trial, sources: dict[str, Source], dims: tuple[str, ...], alone: bool) -> Clip:
    affect = np.array([AFFECT[trial.emotion]], np.float32)
    labels = Labels(
        times=np.zeros(1),
        values=affect[:, [(VALENCE, AROUSAL).index(dim) for dim in dims]],
        dims=dims,
        quadrant=np.array([-1]) if trial.emotion == "neutral" else quadrant(affect),
        extra={"emotion": np.array([trial.emotion]), "intensity": np.array([trial.intensity])},
    )
    split = ""
    if alone:
        split = "test" if trial.statement == 2 else "train" if trial.repetition == 1 else "validation"
    return Clip(trial.id, f"actor-{trial.actor:02d}", sources, labels, split=split)


def _trial(name: str, where: str, skipped: _Skipped) -> Trial | None:
    """Parse a file name; a field out of range is reported."""
    match = _NAME.match(name)
    if match is None:
        skipped.rows.append(Rejected(where, f"{name!r} is not a RAVDESS name (MM-CC-EE-II-SS-RR-AA)"))
        return None
    _, channel, emotion, intensity, statement, repetition, actor = map(int, match.groups())
    fields = {
        "emotion": (emotion, len(EMOTIONS)),
        "intensity": (intensity, 2),
        "statement": (statement, 2),
        "repetition": (repetition, 2),
        "actor": (actor, 24),
    }
    for field_name, (value, most) in fields.items():
        if not 1 <= value <= most:
            skipped.rows.append(Rejected(where, f"{field_name} {value:02d} does not exist (01..{most:02d})"))
            return None
    return Trial(
        EMOTIONS[emotion - 1],
        INTENSITIES[intensity - 1],
        statement,
        repetition,
        actor,
        "-".join(match.groups()[1:]),
    )


def _usable(source: Source, where: str, skipped: _Skipped) -> Source | None:
    if not source.path.is_file():
        skipped.rows.append(Rejected(where, f"{source.path} does not exist"))
        return None
    if source.path.stat().st_size == 0:
        skipped.rows.append(Rejected(where, f"{source.path} is empty (zero bytes)"))
        return None
    return source
