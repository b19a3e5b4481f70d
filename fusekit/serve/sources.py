"""Which file serves which modality, with which reader: a user's recording comes without a manifest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusekit import build
from fusekit.contracts import Reader, Source
from fusekit.data.media import probe
from fusekit.errors import DataError
from fusekit.registry import Kind
from fusekit.runs import Run
from fusekit.runs.files import read_json

FALLBACK_DETECTOR = "haar"


@dataclass(frozen=True)
class Sources:
    """What one recording offers to a recipe.

    Attributes:
        given: a source per modality that the recording has.
        absent: why each other modality is missing.
        video: the file whose picture is shown, if there is one; sound: the one that is heard.
    """

    given: dict[str, Source]
    absent: dict[str, str]
    video: Path | None = None
    sound: Path | None = None


def find_sources(
    file: Path | Mapping[str, Path], readers: Mapping[str, Reader], boxes: Path | None
) -> Sources:
    """Files -> sources of the recipe's modalities.

    Args:
        file: one video or sound file, which serves every modality whose reader opens what it holds, or
            `{modality: file}`.
        boxes: CSV of face boxes for the modalities that read the picture.

    Raises:
        DataError: a file is missing, empty or no medium; it serves no modality; a modality is unknown.
    """
    if isinstance(file, Mapping):
        unknown = sorted(set(file) - set(readers))
        if unknown:
            raise DataError(f"the run has no modality {', '.join(unknown)}; it has {', '.join(readers)}.")
        chosen = {m: Path(file[m]) for m in readers if m in file}
        absent = {m: "no file was given for it" for m in readers if m not in file}
    else:
        chosen, absent = dict.fromkeys(readers, Path(file)), {}
    held = {path: mediums(path) for path in chosen.values()}
    given: dict[str, Source] = {}
    for m, path in chosen.items():
        medium = readers[m].medium
        if medium in held[path]:
            given[m] = Source(path, boxes=boxes if medium == "video" else None)
        else:
            absent[m] = f"{path.name} has no {'picture' if medium == 'video' else 'sound'}"
    if not given:
        raise DataError(f"nothing to predict from: {'; '.join(f'{m}: {why}' for m, why in absent.items())}.")
    return Sources(
        given,
        absent,
        video=_holding("video", given, readers, held),
        sound=_holding("audio", given, readers, held),
    )


def _holding(
    medium: str, given: Mapping[str, Source], readers: Mapping[str, Reader], held: Mapping[Path, set[str]]
) -> Path | None:
    """The file that a modality of this medium reads; failing that, any that holds it."""
    read = [source.path for m, source in given.items() if readers[m].medium == medium]
    return next(iter([*read, *(path for path, kinds in held.items() if medium in kinds)]), None)


def mediums(path: Path) -> set[str]:
    """Which of "video" and "audio" a file holds.

    Raises:
        DataError: it is missing, empty, or cannot be decoded.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; name video or sound files.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy it again.")
    try:
        info = probe(path)
    except DataError as fault:
        raise DataError(f"{path}: not a video or sound file that can be decoded, or damaged.") from fault
    return {medium for medium, held in (("video", info.has_video), ("audio", info.has_audio)) if held}


def usable_readers(run: Run, boxes: Path | None = None) -> tuple[dict[str, Reader], list[str]]:
    """The run's readers, and a note wherever the corpus gave the face boxes and a detector stands in for it.

    That is the recipe's own detector, or one of ours where the recipe relies on boxes alone.
    """
    stored = run.folder / "provenance.json"
    given: list[str] = read_json(stored).get("boxes", []) if stored.is_file() else []
    readers, notes = {}, []
    for m, reader in run.readers.items():
        detector = getattr(reader, "detector", None)
        if boxes is None and detector is not None and (detector == "boxes" or m in given):
            if detector == "boxes":
                detector = FALLBACK_DETECTOR
                reader = copy.copy(reader)
                reader.detector = detector  # type: ignore[attr-defined]
                entry = run.registry.get(Kind.DETECTOR, detector)
                reader.use_detector(run.registry.load(entry)())  # type: ignore[attr-defined]
            notes.append(
                f"{m}: the run was trained with face boxes given by its corpus; here the {detector} "
                "detector finds the face, whose crops may differ a little"
            )
        readers[m] = reader
    return readers, notes


def label_range(run: Run) -> tuple[float, float]:
    """The range of the labels that the run was trained on.

    Raises:
        DataError: the run does not say, and its corpus is not on this machine.
        RunError: a file of it is damaged.
    """
    for name in ("provenance.json", "metrics.json"):
        stored = run.folder / name
        facts: dict[str, Any] = read_json(stored) if stored.is_file() else {}
        if "label_range" in facts:
            low, high = facts["label_range"]
            return float(low), float(high)
    corpus = build.build_corpus(run.recipe, run.registry)
    columns = sorted({v.source or m for m, v in run.recipe.modalities.items()})
    corpus.load(columns, run.recipe.target.dims)
    return corpus.label_range
