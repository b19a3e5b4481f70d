"""The manifest: one CSV row per clip, validated row by row (docs/manifest.md is its reference)."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import quote

from fusekit.contracts import Clip, Labels, Rejected, Source
from fusekit.data.delimited import as_number, nearest, read_table
from fusekit.data.folds import PARTS
from fusekit.data.label_file import label_rows, read_labels
from fusekit.errors import DataError

REQUIRED = ("clip", "subject")
OPTIONAL = ("session", "split", "labels", "label_min", "label_max")
SUFFIXES = ("_boxes", "_start_s", "_step_s")


@dataclass(frozen=True)
class Manifest:
    """What a manifest file holds.

    Attributes:
        clips: sorted by id; rejected: rows left out, with their line and the reason.
        label_range: the corpus's range.
        rows: `{clip id: line number}`.
    """

    clips: list[Clip]
    rejected: list[Rejected]
    label_range: tuple[float, float]
    rows: dict[str, int]


def read_manifest(path: Path, modalities: Sequence[str], dims: Sequence[str]) -> Manifest:
    """Read and check a manifest and its label files; paths in it are relative to its folder.

    Args:
        path: the CSV file; modalities: columns to read; dims: label columns to read ((): labels are not
            needed).

    Raises:
        DataError: the file or its header is wrong, label ranges disagree, or no row can be used.
    """
    header, table = read_table(path)
    _check_header(path, header, modalities)
    clips: list[Clip] = []
    rejected: list[Rejected] = []
    first: dict[str, int] = {}
    rows: list[tuple[int, dict[str, str]]] = []
    for line, cells in table:
        if len(cells) == len(header):
            rows.append((line, dict(zip(header, cells, strict=True))))
        else:
            reason = f"it has {len(cells)} cells, the header has {len(header)}"
            rejected.append(Rejected(f"{path.name} row {line}", reason))
    label_range = _label_range(path, rows)
    for line, row in rows:
        name = row["clip"]
        try:
            if name in first:
                raise DataError(
                    f"column clip: {name!r} is already the clip of row {first[name]}; ids are unique"
                )
            first.setdefault(name, line)
            clips.append(_clip(path.parent, row, modalities, dims, label_range))
        except DataError as fault:
            rejected.append(
                Rejected(f"{path.name} row {line}" + (f" (clip {name})" if name else ""), str(fault))
            )
    clips, twins = _without_twins(path, clips, first)
    start = f"{path.name} row "
    rejected = sorted(rejected + twins, key=lambda r: int(r.where.removeprefix(start).split()[0]))
    if not clips:
        reasons = "; ".join(f"{r.where}: {r.reason}" for r in rejected[:3])
        raise DataError(
            f"{path}: none of {len(table)} rows can be used. {reasons or 'Add rows below the header'}"
        )
    return Manifest(sorted(clips, key=lambda c: c.id), rejected, label_range, first)


def write_manifest(folder: Path, clips: Sequence[Clip], label_range: tuple[float, float]) -> Path:
    """Write `folder/manifest.csv` and `folder/labels/*.csv` for any clips; returns the manifest's path.

    Media stay where they are: relative paths inside the folder, absolute ones outside.
    """
    folder = folder.resolve()
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    modalities = sorted({m for clip in clips for m in clip.sources})

    def place(path: Path) -> str:
        full = path.resolve()
        return str(full.relative_to(folder)) if full.is_relative_to(folder) else str(full)

    header = [*REQUIRED, *OPTIONAL, *(m + s for m in modalities for s in ("", *SUFFIXES))]
    rows = []
    for clip in clips:
        labels = ""
        if clip.labels is not None:
            labels = f"labels/{quote(clip.id, safe='')}.csv"
            _write_csv(folder / labels, *label_rows(clip.labels))
        cells = [clip.id, clip.subject, clip.session, clip.split, labels, *map(str, label_range)]
        for modality in modalities:
            source = clip.sources.get(modality)
            if source is None:
                cells += [""] * (1 + len(SUFFIXES))
                continue
            cells += [place(source.path), place(source.boxes) if source.boxes else ""]
            cells += ["" if value is None else str(value) for value in (source.start_s, source.step_s)]
        rows.append(cells)
    _write_csv(folder / "manifest.csv", header, rows)
    return folder / "manifest.csv"


def _check_header(path: Path, header: Sequence[str], modalities: Sequence[str]) -> None:
    faults = [
        f"there is no column {name!r}{nearest(name, header)}" for name in REQUIRED if name not in header
    ]
    own = {suffix: [m + suffix for m in modalities] for suffix in SUFFIXES}
    known = [*REQUIRED, *OPTIONAL, *modalities, *(name for names in own.values() for name in names)]
    absent = [m for m in modalities if m not in header]
    for modality in absent:
        faults.append(f"there is no column {modality!r} for that modality{nearest(modality, header)}")
    for name in header:
        # Columns that this recipe does not read are welcome; a slip of the pen in a known name is not.
        close = (
            [] if name in known else get_close_matches(name, [k for k in known if k not in header], 1, 0.8)
        )
        if close and close[0] not in (*REQUIRED, *absent):
            faults.append(f"column {name!r} is unknown; did you mean {close[0]!r}?")
    if faults:
        raise DataError(f"{path}: " + "; ".join(faults))


def _label_range(path: Path, rows: Sequence[tuple[int, dict[str, str]]]) -> tuple[float, float]:
    """The one range that all rows state; -1..1 where none does."""
    found: dict[tuple[str, str], int] = {}
    for line, row in rows:
        found.setdefault((row.get("label_min", ""), row.get("label_max", "")), line)
    found = {cells: line for cells, line in found.items() if cells != ("", "")}
    ranges: dict[tuple[float, float], int] = {}
    for (low_cell, high_cell), line in found.items():
        low, high = as_number(low_cell), as_number(high_cell)
        if low is None or high is None or not low < high:
            raise DataError(
                f"{path}: row {line}: label_min {low_cell!r} and label_max {high_cell!r} must be two "
                "numbers, the smaller first, or both be empty (-1 and 1)"
            )
        ranges.setdefault((low, high), line)
    if len(ranges) > 1:
        (one, first), (two, second) = list(ranges.items())[:2]
        raise DataError(
            f"{path}: label ranges differ: row {first} says {one[0]:g}..{one[1]:g}, row {second} "
            f"{two[0]:g}..{two[1]:g}; one manifest has one range"
        )
    return next(iter(ranges), (-1.0, 1.0))


def _clip(
    folder: Path,
    row: dict[str, str],
    modalities: Sequence[str],
    dims: Sequence[str],
    label_range: tuple[float, float],
) -> Clip:
    for name in REQUIRED:
        if not row[name]:
            raise DataError(f"column {name}: it is empty")
    split = row.get("split", "")
    if split and split not in PARTS:
        close = (
            "validation"
            if split.lower()[:3] in ("val", "dev")
            else (get_close_matches(split, PARTS, 1) or [""])[0]
        )
        hint = f"; did you mean {close!r}?" if close else ""
        raise DataError(f"column split: {split!r} is none of {', '.join(PARTS)}{hint}")
    sources = {m: _source(folder, row, m) for m in modalities if row[m]}
    if not sources:
        raise DataError(f"column {modalities[0]}: no file is given for any of {', '.join(modalities)}")
    labels: Labels | None = None
    if row.get("labels"):
        file = _file(folder, row, "labels")
        try:
            labels = read_labels(file, dims, label_range)
        except DataError as fault:
            raise DataError(f"column labels: {fault}") from fault
    elif dims:
        raise DataError(f"column labels: no label file is given, and {', '.join(dims)} are wanted")
    return Clip(row["clip"], row["subject"], sources, labels, row.get("session", ""), split)


def _source(folder: Path, row: dict[str, str], modality: str) -> Source:
    numbers: dict[str, float | None] = {}
    for suffix in ("_start_s", "_step_s"):
        cell = row.get(modality + suffix, "")
        numbers[suffix] = as_number(cell) if cell else None
        if cell and (numbers[suffix] is None or (suffix == "_step_s" and float(cell) <= 0)):
            what = "a number of seconds above 0" if suffix == "_step_s" else "a number of seconds"
            raise DataError(
                f"column {modality + suffix}: {cell!r} is not {what}; leave it empty to use the file's own"
            )
    boxes = _file(folder, row, modality + "_boxes") if row.get(modality + "_boxes") else None
    return Source(_file(folder, row, modality), boxes, numbers["_start_s"], numbers["_step_s"])


def _file(folder: Path, row: dict[str, str], column: str) -> Path:
    path = folder / row[column]
    if path.is_dir():
        raise DataError(f"column {column}: {path} is a folder, a file is needed")
    if not path.is_file():
        raise DataError(f"column {column}: {path} does not exist (paths are relative to {folder})")
    if path.stat().st_size == 0:
        raise DataError(f"column {column}: {path} is empty (zero bytes)")
    return path


def _without_twins(
    path: Path, clips: Sequence[Clip], rows: dict[str, int]
) -> tuple[list[Clip], list[Rejected]]:
    """Leave out clips whose medium is, byte for byte, that of an earlier row: they would count twice or leak.

    Two people in one recording are no twins: their face boxes differ, or they share a session.
    """
    sizes: dict[int, int] = {}
    for source in (s for clip in clips for s in _distinct(clip)):
        sizes[source.path.stat().st_size] = sizes.get(source.path.stat().st_size, 0) + 1
    seen: dict[tuple[str, str], Clip] = {}
    kept: list[Clip] = []
    twins: list[Rejected] = []
    for clip in clips:
        keys = [
            (_digest(s.path), _digest(s.boxes) if s.boxes else "")
            for s in _distinct(clip)
            if sizes[s.path.stat().st_size] > 1  # files of different size need no reading
        ]
        twin = next((seen[key] for key in keys if key in seen), None)
        if twin is not None and not (clip.session and clip.session == twin.session):
            twins.append(
                Rejected(
                    f"{path.name} row {rows[clip.id]} (clip {clip.id})",
                    f"its medium has the same content as that of row {rows[twin.id]} (clip {twin.id}, "
                    f"subject {twin.subject}): remove one, or give both one session if two people share it",
                )
            )
            continue
        kept.append(clip)
        for key in keys:
            seen.setdefault(key, clip)
    return kept, twins


def _distinct(clip: Clip) -> list[Source]:
    """Sources with different files: face and voice may come from one video."""
    return list({(s.path, s.boxes): s for s in clip.sources.values()}.values())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
