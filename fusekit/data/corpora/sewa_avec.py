"""SEWA as AVEC 2017 and AVEC 2018/2019 CES released it: official partitions, one gold standard per clip."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fusekit.contracts import Clip, Labels
from fusekit.data.corpora.layout import SOUND, VIDEO, Read, Skipped, as_labels, entries, inside, natural, some
from fusekit.data.corpora.sewa_media import film_rate, pick
from fusekit.data.delimited import as_number
from fusekit.errors import DataError

RANGE = (-1.0, 1.0)
PARTITION = {"train": "train", "devel": "validation", "test": "test"}
COLUMNS = ("name", "timestamp", "arousal", "valence", "liking")
_NAME = re.compile(r"(?P<part>Train|Devel|Test)_(?:(?P<culture>[A-Z]{2})_)?(?P<number>\d+)", re.IGNORECASE)
_WITHHELD = "the organisers withheld the labels of Test"


def is_here(root: Path) -> bool:
    """Does the folder hold an AVEC release."""
    folder = inside(root, "labels")
    return folder is not None and folder.is_dir() and bool(_by_name(folder, {".csv"})[0])


def is_shifted(path: Path) -> bool:
    """Is it a file of somebody's copy, `SEW_labels_..._gold_shifted.csv`, with the raters' lag taken off."""
    name = path.name.casefold()
    return name.startswith("sew_labels") and "shifted" in name


def read(root: Path, modalities: Sequence[str], dims: Sequence[str], skipped: Skipped) -> Read:
    """Clips in numeric order, named as the label files are."""
    labels, odd = _by_name(inside(root, "labels") or root, {".csv"})
    media = {kind: _media(root, kind, kinds) for kind, kinds in (("video", VIDEO), ("audio", SOUND))}
    if not any(media.values()):
        sets = [p.name for p in entries(root) if p.is_dir() and "features" in p.name.casefold()]
        held = f"features ({some(sets)}) and no recordings" if sets else "no recordings"
        raise DataError(
            f"{root}: this AVEC release holds labels, {held}. fusekit reads recordings: put the wav files "
            "into audio/ and the avi files into video/, named as the labels are"
        )
    for path in (p for p in odd if not is_shifted(p)):  # those are told already
        skipped.add(f"labels/{path.name}", "its name is none of Train_, Devel_, Test_ and a number")
    clips: list[Clip] = []
    headers: Counter[bool] = Counter()
    names = {key: path.stem for found in (*media.values(), labels) for key, path in found.items()}
    for key in sorted(names, key=natural):
        name, match = names[key], _NAME.fullmatch(names[key])
        assert match is not None  # `_by_name` keeps no other
        part = PARTITION[match["part"].lower()]
        try:
            sources, faults = pick(media["video"].get(key), media["audio"].get(key), modalities)
            if not sources:
                raise DataError("; ".join(faults))
            if key not in labels:
                raise DataError(_WITHHELD if part == "test" else f"there is no labels/{name}.csv")
            found, header = _labels(labels[key], dims, skipped)
            if found is None:
                raise DataError(_WITHHELD if part == "test" else f"no row has {' or '.join(dims)}")
        except DataError as why:
            skipped.add(name, str(why))
            continue
        headers[header] += 1
        for fault in faults:
            skipped.add(name, f"it goes on with {' and '.join(sources)}, {fault}")
        clips.append(Clip(name, name, sources, found, split=part))
    cultures = sorted({m["culture"].upper() for c in clips if (m := _NAME.fullmatch(c.id)) and m["culture"]})
    return Read(clips, RANGE, _tell(clips, cultures, headers))


def _tell(clips: Sequence[Clip], cultures: Sequence[str], headers: Mapping[bool, int]) -> list[str]:
    if not cultures:
        release = "AVEC 2017"
    elif len(headers) == 2:
        release = "AVEC 2018 and 2019 CES mixed (label files with and without a header)"
    else:
        release = (
            "AVEC 2019 CES (label files with a header)" if True in headers else "AVEC 2018 CES (no header)"
        )
    parts = Counter(c.split for c in clips)
    said = [
        f"{release}: " + ", ".join(f"{n} {part}" for part, n in sorted(parts.items())),
        "pairs are not named, the official partition keeps them apart",
    ]
    return said + ([f"cultures {', '.join(cultures)}"] if cultures else []) + film_rate(clips)


def _by_name(folder: Path, suffixes: frozenset[str] | set[str]) -> tuple[dict[str, Path], list[Path]]:
    """Files named as recordings are, by their lower-case stem; and the others."""
    files = [p for p in entries(folder) if p.is_file() and p.suffix.lower() in suffixes]
    named = {p.stem.casefold(): p for p in files if _NAME.fullmatch(p.stem)}
    return named, [p for p in files if p not in named.values()]


def _media(root: Path, kind: str, suffixes: frozenset[str]) -> dict[str, Path]:
    """Recordings in `audio`, `video` or folders like `recordings_audio`; never in folders of features."""
    folders = [p for p in entries(root) if p.is_dir() and kind in p.name.casefold()]
    found: dict[str, Path] = {}
    for folder in folders:
        if "features" not in folder.name.casefold():
            found = {**_by_name(folder, suffixes)[0], **found}
    return found


def _labels(path: Path, dims: Sequence[str], skipped: Skipped) -> tuple[Labels | None, bool]:
    """A label file (None: no row has a label), and whether it has a header.

    Raises:
        DataError: other columns than the releases have.
    """
    where = f"labels/{path.name}"
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        text = file.read()
    delimiter = ";" if ";" in text else ","
    rows = [
        [c.strip().strip("'\"") for c in row] for row in csv.reader(text.splitlines(), delimiter=delimiter)
    ]
    rows = [row for row in rows if any(row)]
    has_header = bool(rows) and rows[0][0].casefold().startswith(("name", "inst"))
    header = [c.casefold() for c in rows.pop(0)] if has_header else list(COLUMNS)
    timed = next((i for i, c in enumerate(header) if c.startswith(("time", "frametime"))), None)
    missing = [dim for dim in dims if dim not in header]
    if timed is None or missing:
        raise DataError(
            f"{where} has columns {', '.join(header)}, and none for {', '.join(missing) or 'time'}"
        )
    times: list[float] = []
    values: list[list[float]] = []
    broken = foreign = 0
    for row in rows:
        time_s = as_number(row[timed]) if len(row) == len(header) else None
        if time_s is None or time_s < 0 or (times and time_s <= times[-1]):
            broken += 1
        elif row[0].casefold() != path.stem.casefold():
            foreign += 1
        else:
            times.append(time_s)
            numbers = [as_number(row[header.index(dim)]) for dim in dims]
            values.append([np.nan if number is None else number for number in numbers])
    table, outside = as_labels(np.array(values, np.float64).reshape(len(times), len(dims)), RANGE)
    for count, what in (
        (broken, f"rows have not the {len(header)} cells, or times that go back"),
        (foreign, "rows are named for another recording"),
        (outside, "labels are outside -1..1"),
    ):
        if count:
            skipped.add(where, f"{count} {what}")
    if not times or (dims and not np.isfinite(table).any()):
        return None, has_header
    return Labels(np.array(times), table.astype(np.float32), tuple(dims)), has_header
