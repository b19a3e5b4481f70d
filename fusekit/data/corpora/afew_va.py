"""AFEW-VA: 600 clips from films, annotated frame by frame (Kossaifi et al. 2017, Image Vision Comput. 65)."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.contracts import Clip, Corpus, Labels, Rejected, Source
from fusekit.data.cache import kept
from fusekit.data.corpora.layout import (
    UNKNOWN_PEOPLE,
    Skipped,
    as_labels,
    check_request,
    check_root,
    entries,
    nothing_usable,
    some,
)
from fusekit.data.labels import AROUSAL, VALENCE
from fusekit.errors import DataError, RecipeError
from fusekit.media.pictures import SUFFIXES, numbered

LAYOUT = "01/001/00000.png ... with 01/001/001.json, up to 12/600, or the folders 001 ... 600 side by side"
_DIMS = (VALENCE, AROUSAL)


class AfewVaCorpus(Corpus):
    """AFEW-VA: modality `face`, valence and arousal from -10 to 10 (whole numbers), midpoint 0; no sound.

    Layout, two variants: as unpacked, `01/001/00000.png` ... `12/600/...` (12 folders of 50 clips), or flat,
    `001/00000.png` ... Each clip's folder holds its frames and `001.json`: `actor`, and under `frames`, by
    the picture's name, `valence`, `arousal` and 68 `landmarks`. Zips still packed, sub-folders of crops and
    clips without pictures or labels are reported. Source: the ibug page of the corpus (licensed).

    A frame's time is its number divided by `fps`, which the release does not tell. The tight box of the
    landmarks is handed on as face box (kept in the cache folder), unknown where there are none. A frame
    without a label, or with one outside the range, is unknown; a label without its picture is left out.

    The subject is the actor: no official split exists, and a split by clip would show one actor on both
    sides; `describe` tells for how many clips. Clips without an actor stay together.

    Args:
        root: folder that holds 01 ... 12 or 001 ... 600.
        fps: frames per second, a guess as long as nobody states it.
    """

    label_range = (-10.0, 10.0)

    def __init__(self, *, root: Path, fps: float = 25.0) -> None:
        if fps <= 0:
            raise RecipeError(f"afew-va: fps is {fps:g}; it must be above 0")
        self.root = Path(root).expanduser()
        self.fps = float(fps)
        self._found = "not read yet"

    modalities = ("face",)

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        check_root("AFEW-VA", self.root)
        if "voice" in modalities:
            raise DataError(
                "AFEW-VA has pictures and no sound: take modality voice out of the recipe, or ask `fusekit "
                "data check` for --modalities face. (The films' sound is in AFEW, a corpus of its own.)"
            )
        check_request("AFEW-VA", self.root, modalities, dims, (("face",), _DIMS))
        skipped = Skipped()
        places = list(self._places(skipped))
        clips: dict[str, Clip] = {}
        variants: Counter[str] = Counter()
        for variant, folder in places:
            where = str(folder.relative_to(self.root))
            name = f"{int(folder.name):03d}"
            if name in clips:
                skipped.add(where, f"clip {name} is there already: {clips[name].sources['face'].path}")
                continue
            try:
                clips[name] = self._clip(name, folder, where, dims, skipped)
            except DataError as fault:
                skipped.add(where, str(fault))
                continue
            variants[variant] += 1
        if not clips:
            raise nothing_usable("AFEW-VA", self.root, LAYOUT, skipped)
        ordered = [clips[name] for name in sorted(clips, key=int)]
        self._found = self._tell(ordered, variants, len(skipped.rows))
        return ordered, skipped.rows

    def describe(self) -> str:
        return f"AFEW-VA ({self._found}; licensed), labels -10..10, {self.fps:g} frames/s taken (not stored)"

    def _tell(self, clips: Sequence[Clip], variants: Mapping[str, int], left_out: int) -> str:
        own = Counter(c.subject for c in clips if not c.session)
        unknown = sum(bool(c.session) for c in clips)
        shared = sum(count for count in own.values() if count > 1)
        said = [
            " and ".join(f"{count} clips {variant}" for variant, count in sorted(variants.items())),
            f"{len(own)} actors",
            f"{shared} clips share their actor with another and would leak in a split by clip",
        ]
        if unknown:
            said.append(f"{unknown} clips name no actor and stay together")
        return "; ".join([*said, f"{left_out} folders, files or labels not used"])

    def _places(self, skipped: Skipped) -> Iterator[tuple[str, Path]]:
        """Folders of clips, with the variant of the layout, in numeric order."""
        for path in entries(self.root):
            if path.suffix.lower() == ".zip":
                skipped.add(path.name, "it is still packed: unzip it")
            elif path.is_dir() and path.name.isdigit():
                inner = [p for p in entries(path) if p.is_dir() and p.name.isdigit()]
                yield from (("in 01..12", p) for p in inner)
                if not inner:
                    yield "flat", path
            elif path.is_dir():
                skipped.add(path.name, "this folder's name is no number of a clip")

    def _clip(self, name: str, folder: Path, where: str, dims: Sequence[str], skipped: Skipped) -> Clip:
        for inner in (p for p in entries(folder) if p.is_dir()):
            skipped.add(f"{where}/{inner.name}", "a sub-folder of a clip; only its own pictures are read")
        numbers = [number for number, _ in numbered(folder)]
        file = folder / f"{folder.name}.json"
        if not file.is_file():
            raise DataError(f"there is no {file.name} with its labels")
        content, frames = _frames(file)
        lost = sorted(set(frames) - set(numbers))
        if lost:
            names = some(f"{n:05d}" for n in lost)
            skipped.add(f"{where}/{file.name}", f"{len(lost)} labels have no picture: {names}")
        bare = [n for n in numbers if n not in frames]
        if bare:
            names = some(f"{n:05d}" for n in bare)
            skipped.add(where, f"{len(bare)} pictures have no label, they are unknown: {names}")
        times = (np.array(numbers, np.float64) - numbers[0]) / self.fps
        columns = []
        for dim in dims:
            given = np.array([_number(frames.get(n, {}).get(dim)) for n in numbers])
            column, outside = as_labels(given, self.label_range)
            if outside:
                skipped.add(f"{where}/{file.name}", f"{outside} labels of {dim} are outside -10..10")
            columns.append(column)
        values = np.stack(columns, 1) if columns else np.empty((len(times), 0))
        if dims and not np.isfinite(values).any():
            raise DataError(f"{file.name} has no label for {' or '.join(dims)}")
        boxes = _box_file(times, [frames.get(n, {}).get("landmarks") for n in numbers])
        actor = " ".join(str(content.get("actor") or "").split()).casefold()
        return Clip(
            name,
            actor or f"actor-of-{name}",
            {"face": Source(folder, boxes, 0.0, 1 / self.fps)},
            Labels(times, values.astype(np.float32), tuple(dims)),
            session="" if actor else UNKNOWN_PEOPLE,
        )


def _frames(file: Path) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """The content of a label file, and its frames by number."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as fault:
        raise DataError(f"{file.name} is no JSON in UTF-8 ({fault}); copy it again") from fault
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, dict) or not all(isinstance(f, dict) for f in frames.values()):
        raise DataError(f"{file.name} has no mapping 'frames' of one mapping per picture")
    stems = {
        key: key.removesuffix(Path(key).suffix) if Path(key).suffix in SUFFIXES else key for key in frames
    }
    odd = [key for key, stem in stems.items() if not stem.isdigit()]
    if odd:
        raise DataError(f"{file.name} names frames that are no number: {some(map(repr, odd))}")
    return content, {int(stem): frames[key] for key, stem in stems.items()}


def _number(value: Any) -> float:
    """NaN for all that is no finite number: null, "?", true."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return np.nan
    return float(value) if np.isfinite(value) else np.nan


def _box_file(times: np.ndarray, landmarks: Sequence[Any]) -> Path | None:
    """The tight boxes of the landmarks as a file `time_s,x0,y0,x1,y1` in the cache; None if there is none."""
    boxes = [_box(points) for points in landmarks]
    if not any(boxes):
        return None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time_s", "x0", "y0", "x1", "y1"])
    for time_s, box in zip(times.tolist(), boxes, strict=True):
        writer.writerow([time_s, *box] if box else [time_s, "", "", "", ""])
    return kept(text.getvalue().encode(), "boxes", ".csv", "face boxes")


def _box(points: Any) -> list[float] | None:
    try:
        xy = np.array(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        return None
    if len(xy) < 2 or not np.isfinite(xy).all() or not (np.ptp(xy, axis=0) > 0).all():
        return None
    return [*xy.min(axis=0).tolist(), *xy.max(axis=0).tolist()]
