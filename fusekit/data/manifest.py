"""The manifest: one CSV row per clip, validated row by row (docs/manifest.md is its reference)."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import quote

import numpy as np

from fusekit.contracts import Clip, Labels, Rejected, Source
from fusekit.data.delimited import as_number, ragged, read_table
from fusekit.data.folds import PARTS
from fusekit.data.label_file import label_rows, read_labels
from fusekit.data.label_ranges import (
    COMMON,
    Range,
    half_stated,
    on_common_scale,
    row_ranges,
    shared_range,
    states_none,
    told,
)
from fusekit.data.manifest_columns import OPTIONAL as OPTIONAL
from fusekit.data.manifest_columns import REQUIRED as REQUIRED
from fusekit.data.manifest_columns import SUFFIXES as SUFFIXES
from fusekit.data.manifest_columns import check_header
from fusekit.data.names import composed, existing
from fusekit.errors import DataError


@dataclass(frozen=True)
class Manifest:
    """What a manifest file holds.

    Attributes:
        clips: sorted by id; rejected: rows left out, with their line and the reason.
        label_range: of the clips' labels: the one that all rows and dimensions have; where they differ,
            -1..1, to which each is mapped.
        rows: `{clip id: line number}`. ranges: which there are, for people. doubts: what is odd about them.
    """

    clips: list[Clip]
    rejected: list[Rejected]
    label_range: tuple[float, float]
    rows: dict[str, int]
    ranges: str
    doubts: tuple[str, ...] = ()


def read_manifest(path: Path, modalities: Sequence[str], dims: Sequence[str]) -> Manifest:
    """Read and check a manifest and its label files; paths in it are relative to its folder.

    Args:
        path: the CSV file; modalities: columns to read; dims: label columns to read ((): labels are not
            needed).

    Raises:
        DataError: the file or its header is wrong, no row can be used, or a dimension has no label at all.
    """
    header, table = read_table(path)
    columns = {m: composed(m) for m in modalities}
    check_header(path, header, list(columns.values()), [composed(dim) for dim in dims])
    clips: list[Clip] = []
    ranges: dict[str, dict[str, Range]] = {}
    rejected: list[Rejected] = []
    empty: set[str] = set()
    first: dict[str, int] = {}
    rows: list[tuple[int, dict[str, str]]] = []
    for line, cells in table:
        if len(cells) == len(header):
            rows.append((line, dict(zip(header, map(composed, cells), strict=True))))
        else:
            reason = f"it has {ragged(len(cells), len(header))}"
            rejected.append(Rejected(f"{path.name} row {line}", reason))
    for line, row in rows:
        name = row["clip"]
        try:
            if name in first:
                raise DataError(
                    f"column clip: {name!r} is already the clip of row {first[name]}; ids are unique"
                )
            first.setdefault(name, line)
            own = _ranges(row, dims)
            clips.append(_clip(path.parent, row, columns, dims, own))
            ranges[name] = own
            if states_none(row, [composed(dim) for dim in dims]):
                empty.add(name)
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
    for dim in dims:
        if not any(
            c.labels is not None and np.isfinite(c.labels.values[:, dims.index(dim)]).any() for c in clips
        ):
            raise DataError(
                f"{path}: no clip has a label for {dim}: column {dim} is empty in every label file"
            )
    used = [ranges[c.id] for c in clips]
    label_range = shared_range(used)
    if label_range is None:
        for clip in clips:
            if clip.labels is not None:
                clip.labels = on_common_scale(clip.labels, ranges[clip.id])
    clips.sort(key=lambda c: c.id)
    doubts = half_stated({c.id: ranges[c.id] for c in clips}, empty, first)
    return Manifest(clips, rejected, label_range or COMMON, first, told(used), doubts)


def _ranges(row: dict[str, str], dims: Sequence[str]) -> dict[str, Range]:
    found = row_ranges(row, [composed(dim) for dim in dims] or [""])
    return {dim: found[composed(dim)] for dim in dims} or found


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


def _clip(
    folder: Path,
    row: dict[str, str],
    columns: Mapping[str, str],
    dims: Sequence[str],
    ranges: Mapping[str, Range],
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
    sources = {m: _source(folder, row, column) for m, column in columns.items() if row[column]}
    if not sources:
        names = [*columns.values()]
        raise DataError(f"column {names[0]}: no file is given for any of {', '.join(names)}")
    labels: Labels | None = None
    if row.get("labels"):
        file = _file(folder, row, "labels")
        try:
            labels = read_labels(file, dims, ranges)
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
    path = existing(folder / row[column])
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
    """Leave out clips whose medium and labels are those of an earlier row: they would count twice, or leak.

    The medium is compared byte for byte. Two people in one recording are no twins: their face boxes differ,
    or they share a session. Nor are several people who watched one stimulus: subjects and labels differ.
    """
    sizes: dict[int, int] = {}
    for source in (s for clip in clips for s in _distinct(clip)):
        sizes[source.path.stat().st_size] = sizes.get(source.path.stat().st_size, 0) + 1
    seen: dict[tuple[str, str], list[Clip]] = {}
    digests: dict[Path, str] = {}  # a stimulus may be the file of hundreds of clips
    kept: list[Clip] = []
    twins: list[Rejected] = []
    for clip in clips:
        keys = [
            (_digest(s.path, digests), _digest(s.boxes, digests) if s.boxes else "")
            for s in _distinct(clip)
            if sizes[s.path.stat().st_size] > 1  # files of different size need no reading
        ]
        earlier = [other for key in keys for other in seen.get(key, [])]
        twin = next(
            (c for c in earlier if c.subject == clip.subject or _same_labels(c.labels, clip.labels)), None
        )
        if twin is not None and not (clip.session and clip.session == twin.session):
            twins.append(
                Rejected(
                    f"{path.name} row {rows[clip.id]} (clip {clip.id})",
                    f"its medium has the same content as that of row {rows[twin.id]} (clip {twin.id}, "
                    f"subject {twin.subject}), and its {_alike(twin, clip)} the same: remove one, or give "
                    "both one session if two people share it",
                )
            )
            continue
        kept.append(clip)
        for key in keys:
            seen.setdefault(key, []).append(clip)
    return kept, twins


def _alike(one: Clip, two: Clip) -> str:
    same = _same_labels(one.labels, two.labels)
    return "labels are" if same else "subject is"


def _same_labels(one: Labels | None, two: Labels | None) -> bool:
    """Equal times and values; without any dimension, equal further columns."""
    if one is None or two is None:
        return one is two
    if not np.array_equal(one.times, two.times):
        return False
    if one.dims or two.dims:
        return one.dims == two.dims and np.array_equal(one.values, two.values, equal_nan=True)
    return one.extra.keys() == two.extra.keys() and all(
        [*map(str, column)] == [*map(str, two.extra[name])] for name, column in one.extra.items()
    )


def _distinct(clip: Clip) -> list[Source]:
    """Sources with different files: face and voice may come from one video."""
    return list({(s.path, s.boxes): s for s in clip.sources.values()}.values())


def _digest(path: Path, known: dict[Path, str]) -> str:
    if path not in known:
        with path.open("rb") as file:
            known[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return known[path]


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
