"""Which file serves which modality, with which reader: a user's recording comes without a manifest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusekit import build
from fusekit.contracts import Reader, Source
from fusekit.errors import DataError
from fusekit.media import probe
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
    file: Path | Mapping[str, Path],
    readers: Mapping[str, Reader],
    boxes: Path | None,
    columns: Mapping[str, str] | None = None,
) -> Sources:
    """Files -> sources of the recipe's modalities.

    Args:
        file: one file, which serves every modality whose reader opens what it holds, or `{modality: file}`
            (then "" may name one that serves every modality not named).
        boxes: CSV of face boxes for the modalities that read the picture.
        columns: the column of the corpus that each modality was read from; None: one each.

    Raises:
        DataError: a file is missing, empty or no medium; it serves no modality; a modality is unknown;
            nothing is left for the file named "", or its suffix fits modalities of different columns.
    """
    named = {m: Path(path) for m, path in file.items()} if isinstance(file, Mapping) else {"": Path(file)}
    unknown = sorted(set(named) - {*readers, ""})
    if unknown:
        raise DataError(f"the run has no modality {', '.join(unknown)}; it has {', '.join(readers)}.")
    if "" in named and set(readers) <= set(named):
        raise DataError(
            f"{named['']}: nothing is left for it to serve, as {', '.join(readers)} have files of their own; "
            "leave out the name of what it holds."
        )
    if "" in named:
        _check_one(named[""], {m: r for m, r in readers.items() if m not in named}, columns or {})
    chosen = {m: named.get(m, named.get("")) for m in readers}
    held = {path: mediums(path, readers) for path in dict.fromkeys(chosen.values()) if path is not None}
    given: dict[str, Source] = {}
    absent: dict[str, str] = {}
    for m, path in chosen.items():
        medium = readers[m].medium
        if path is None:
            absent[m] = "no file was given for it"
        elif medium in held[path]:
            given[m] = Source(path, boxes=boxes if medium == "video" else None)
        else:
            what = {"video": "picture", "audio": "sound"}.get(medium, medium)
            absent[m] = f"{path.name} has no {what}"
    if not given:
        raise DataError(f"nothing to predict from: {'; '.join(f'{m}: {why}' for m, why in absent.items())}.")
    return Sources(
        given,
        absent,
        video=_holding("video", given, readers, held),
        sound=_holding("audio", given, readers, held),
    )


def modality_of(path: Path, readers: Mapping[str, Reader]) -> str:
    """The one modality whose reader opens a file of this name.

    Raises:
        DataError: there is none, or more than one.
    """
    fitting = _fitting(path, readers)
    if len(fitting) == 1:
        return fitting[0]
    why = f"{' and '.join(fitting)} both read" if fitting else "no modality of this run is known by"
    raise DataError(f"{path}: {why} {path.suffix or 'a name without suffix'}; write MODALITY={path}.")


def _fitting(path: Path, readers: Mapping[str, Reader]) -> list[str]:
    return [m for m, reader in readers.items() if path.suffix.lower() in reader.suffixes]


def _check_one(path: Path, readers: Mapping[str, Reader], columns: Mapping[str, str]) -> None:
    """A table of one modality would be read as another's, and fit where it is as wide."""
    fitting = _fitting(path, readers)
    if len({columns.get(m, m) for m in fitting}) > 1:
        raise DataError(f"{path}: {' and '.join(fitting)} both read {path.suffix}; write MODALITY={path}.")


def _holding(
    medium: str, given: Mapping[str, Source], readers: Mapping[str, Reader], held: Mapping[Path, set[str]]
) -> Path | None:
    """The file that a modality of this medium reads; failing that, any that holds it."""
    read = [source.path for m, source in given.items() if readers[m].medium == medium]
    return next(iter([*read, *(path for path, kinds in held.items() if medium in kinds)]), None)


def mediums(path: Path, readers: Mapping[str, Reader] | None = None) -> set[str]:
    """What a file holds: "video", "audio", or the medium of whichever of `readers` knows its suffix.

    Raises:
        DataError: it is missing, empty, or cannot be decoded.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; name {file_kinds(readers or {})} files.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy it again.")
    others = {r.medium for r in (readers or {}).values() if path.suffix.lower() in r.suffixes}
    if others:
        return others
    try:
        info = probe(path)
    except DataError as fault:
        raise DataError(
            f"{path}: not a {file_kinds(readers or {})} file that can be decoded, or damaged."
        ) from fault
    return {medium for medium, held in (("video", info.has_video), ("audio", info.has_audio)) if held}


def file_kinds(readers: Mapping[str, Reader]) -> str:
    """ "video or sound", or what else these readers open: "ecg (.csv, .edf)"."""
    others = {r.medium: f"{r.medium} ({', '.join(r.suffixes)})" for r in readers.values() if r.suffixes}
    media = {r.medium for r in readers.values()} - set(others)
    own = ["video or sound"] if media or not others else []
    return " or ".join([*own, *others.values()])


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


def spacings_s(run: Run) -> dict[str, float]:
    """Seconds from row to row of the feature tables that a run was trained on, per modality; {} where it is
    older than this is kept."""
    stored = run.folder / "provenance.json"
    found: dict[str, float] = read_json(stored).get("spacings_s", {}) if stored.is_file() else {}
    return found
