"""CEAP-360VR: valence and arousal traced while watching 360-degree videos (Xue et al., IEEE TMM 2021)."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fusekit.contracts import Clip, Corpus, Labels, Rejected, Source
from fusekit.data.cache import kept
from fusekit.data.corpora.layout import Skipped, as_labels, check_request, natural, nothing_usable
from fusekit.data.delimited import as_cell, as_number, read_table
from fusekit.data.labels import AROUSAL, VALENCE
from fusekit.errors import DataError

LAYOUT = (
    "annotations_transformed.csv or P1_Annotation_TransData.json ..., head_scanpath.csv, gaze_fixations.csv, "
    "VideoLuminance.csv and VideoInfo.json, in any sub-folder"
)
MODALITIES = ("head", "gaze", "luminance")
_DIGITS = re.compile(r"\d+")
HEAD_STEP_S = 0.2  # 299 samples of a minute
_DIMS = (VALENCE, AROUSAL)

Rows = dict[tuple[str, str], list[dict[str, float]]]
"""Rows of numbers by participant and video."""


class CeapCorpus(Corpus):
    """CEAP-360VR: modalities `head`, `gaze`, `luminance`; valence and arousal from 1 to 9, midpoint 5.

    A clip is one participant watching one video of a minute; labels are the joystick's traces
    (`Transformed`), irregular, about 8 per second. The tables that the reader `features` opens are kept in
    the cache folder:

    - `head`: `pitch` (degrees), `yaw_sin`, `yaw_cos`, `speed` (degrees/s since the sample before), 5 Hz;
    - `gaze`: `pitch`, `yaw_sin`, `yaw_cos`, `duration_s` of each fixation, at the time it ended;
    - `luminance`: of each frame. It belongs to the video and is **the same for all participants**.

    Args:
        root: folder of the release, or of an excerpt with the files named above.
        keep_together: what a fold never divides. `participants`: nobody is in two parts, but every video is
            in all of them, so what others felt at this moment of this video can be learnt from whatever tells
            the video, above all from its luminance. `videos`: no video is in two parts, but everybody is in
            all of them; the clip's subject is then its video.
    """

    modalities = MODALITIES
    label_range = (1.0, 9.0)

    def __init__(
        self, *, root: Path, keep_together: Literal["participants", "videos"] = "participants"
    ) -> None:
        self.root = Path(root).expanduser()
        self.keep_together = keep_together
        self._found = "not read yet"

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        check_request("CEAP-360VR", self.root, modalities, dims, (MODALITIES, _DIMS))
        skipped = Skipped()
        traces = self._traces()
        tables = self._tables(modalities, {person for person, _ in traces})
        clips: list[Clip] = []
        for person, video in sorted(traces, key=lambda key: (natural(key[0]), natural(key[1]))):
            name = f"{_DIGITS.sub(lambda found: found[0].zfill(2), person)}-{video}"
            own = {m: tables[m, person, video] for m in modalities if (m, person, video) in tables}
            missing = [m for m in modalities if m not in own]
            if missing:
                skipped.add(name, f"has no {' and no '.join(missing)}")
            rows = traces[person, video]
            times = np.array([row["time_s"] for row in rows], np.float64)
            if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                skipped.add(name, "the times of its annotations do not increase")
            elif own:
                given = np.array([[row[dim] for dim in dims] for row in rows]).reshape(len(rows), len(dims))
                values, outside = as_labels(given, self.label_range)
                if outside:
                    skipped.add(name, f"{outside} labels are outside 1..9")
                labels = Labels(times, values.astype(np.float32), tuple(dims))
                subject = person if self.keep_together == "participants" else video
                clips.append(Clip(name, subject, {m: Source(path) for m, path in own.items()}, labels))
        if not clips:
            raise nothing_usable("CEAP-360VR", self.root, LAYOUT, skipped)
        people, videos = {p for p, _ in traces}, {v for _, v in traces}
        self._found = f"{len(clips)} clips of {len(people)} participants and {len(videos)} videos"
        return sorted(clips, key=lambda c: c.id), skipped.rows

    def describe(self) -> str:
        shared = "participants" if self.keep_together == "videos" else "videos"
        return (
            f"CEAP-360VR ({self._found}; CC BY-NC-SA), labels 1..9, folds divide no "
            f"{self.keep_together.removesuffix('s')}; {shared} are in all parts"
        )

    def _traces(self) -> Rows:
        flat = self._find("annotations_transformed.csv")
        if flat is not None:
            return _by_clip(flat, ("time_s", *_DIMS))
        files = sorted(self.root.rglob("P*_Annotation_TransData.json"), key=lambda p: natural(p.name))
        if not files:
            raise DataError(f"{self.root}: there are no annotations. Expected: {LAYOUT}")
        found: Rows = {}
        for file in files:
            found.update(_annotations(file))
        return found

    def _tables(self, modalities: Sequence[str], people: Collection[str]) -> dict[tuple[str, str, str], Path]:
        """Table by modality, participant and video."""
        rates = self._rates() if {"gaze", "luminance"} & set(modalities) else {}
        found: dict[tuple[str, str, str], Path] = {}
        if "head" in modalities:
            for (person, video), rows in _by_clip(
                self._need("head_scanpath.csv"), ("id", "pitch", "yaw")
            ).items():
                found["head", person, video] = _head(rows)
        fixations: Rows = {}
        if "gaze" in modalities:
            columns = ("start_frame", "end_frame", "pitch", "yaw")
            fixations = _by_clip(self._need("gaze_fixations.csv"), columns)
        for (person, video), rows in fixations.items():
            found["gaze", person, video] = _gaze(rows, _rate(rates, video))
        if "luminance" in modalities:
            path = self._need("VideoLuminance.csv")
            header, lines = read_table(path)
            for number, line in lines:
                if len(line) != len(header):
                    raise DataError(
                        f"{path}: line {number} has {len(line)} cells, the header has {len(header)}"
                    )
            for column, video in enumerate(header[1:], 1):
                cells = [(as_number(line[0]), as_number(line[column])) for _, line in lines]
                frames = [[n / _rate(rates, video), x] for n, x in cells if n is not None and x is not None]
                table = _table(("luminance",), frames)
                found.update({("luminance", person, video): table for person in people})
        return found

    def _rates(self) -> dict[str, float]:
        path = self._need("VideoInfo.json")
        content = _json(path)
        try:
            rates = {str(v["VideoID"]): float(v["FrameRate"]) for v in content["VideoInfo"]}
        except (KeyError, TypeError, ValueError) as fault:
            raise DataError(f"{path}: it does not tell each VideoID's FrameRate ({fault!r})") from fault
        for video, rate in rates.items():
            if not 0 < rate < math.inf:
                raise DataError(f"{path}: the FrameRate of {video} is {rate:g}, and must be above 0")
        return rates

    def _find(self, name: str) -> Path | None:
        return next(iter(sorted(self.root.rglob(name))), None)

    def _need(self, name: str) -> Path:
        path = self._find(name)
        if path is None:
            raise DataError(f"{self.root}: there is no {name} in it. Expected: {LAYOUT}")
        return path


def _by_clip(path: Path, columns: Sequence[str]) -> Rows:
    header, lines = read_table(path)
    lost = [name for name in ("participant", "video", *columns) if name not in header]
    if lost:
        raise DataError(f"{path}: there is no column {' and no '.join(lost)}")
    at = {name: header.index(name) for name in header}
    found: Rows = {}
    for line, cells in lines:
        numbers = {name: as_cell(cells[at[name]]) if len(cells) == len(header) else None for name in columns}
        # A word for a missing number is a gap; times among them are told by whoever needs them.
        known = {name: x for name, x in numbers.items() if x is not None and not math.isinf(x)}
        if len(known) < len(columns):
            raise DataError(f"{path}: line {line} must hold numbers in {', '.join(columns)}")
        found.setdefault((cells[at["participant"]], cells[at["video"]]), []).append(known)
    return found


def _annotations(path: Path) -> Rows:
    """One participant's file of the release."""
    found: Rows = {}
    try:
        for person in _json(path)["ContinuousAnnotation_TransData"]:
            for video in person["Video_Annotation_TransData"]:
                found[str(person["ParticipantID"]), str(video["VideoID"])] = [
                    {
                        "time_s": float(row["TimeStamp"]),
                        VALENCE: float(row["Valence"]),
                        AROUSAL: float(row["Arousal"]),
                    }
                    for row in video["TimeStamp_Valence_Arousal"]
                ]
    except (KeyError, TypeError, ValueError) as fault:
        raise DataError(f"{path}: not in the form of the release's annotations ({fault!r})") from fault
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as fault:
        raise DataError(f"{path}: this is no JSON in UTF-8 ({fault}); copy it again") from fault


def _head(rows: Sequence[Mapping[str, float]]) -> Path:
    number, pitch, yaw = (np.array([row[name] for row in rows]) for name in ("id", "pitch", "yaw"))
    turned = (np.diff(yaw) + 180) % 360 - 180  # from 179 to -179 degrees is a turn of 2
    moved = np.hypot(np.diff(pitch), turned * np.cos(np.radians(pitch[1:])))
    speed = moved / (np.diff(number) * HEAD_STEP_S)
    # A sample counts at its end, and the first one has no speed.
    columns = (number[1:] * HEAD_STEP_S, pitch[1:], *_direction(yaw[1:]), speed)
    return _table(("pitch", "yaw_sin", "yaw_cos", "speed"), np.stack(columns, axis=1).tolist())


def _gaze(rows: Sequence[Mapping[str, float]], rate: float) -> Path:
    start, end, pitch, yaw = (
        np.array([row[name] for row in rows]) for name in ("start_frame", "end_frame", "pitch", "yaw")
    )
    # Known only when the fixation is over: its last frame's end.
    columns = ((end + 1) / rate, pitch, *_direction(yaw), (end + 1 - start) / rate)
    return _table(("pitch", "yaw_sin", "yaw_cos", "duration_s"), np.stack(columns, axis=1).tolist())


def _direction(yaw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine: the angle itself jumps where one turns round."""
    return np.sin(np.radians(yaw)), np.cos(np.radians(yaw))


def _rate(rates: Mapping[str, float], video: str) -> float:
    if video not in rates:
        raise DataError(f"CEAP-360VR: VideoInfo.json does not tell the frame rate of {video}")
    return rates[video]


def _table(names: Sequence[str], rows: Sequence[Sequence[float]]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time_s", *names])
    writer.writerows([round(value, 6) for value in row] for row in rows)
    return kept(text.getvalue().encode(), "tables", ".csv", "feature tables")
