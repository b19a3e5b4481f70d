"""Detectors: where faces are in one frame. Stateless, so that a frame's answer depends on the frame and the
hint alone.

Haar is what the installed wheel offers offline and is a weak detector: it wants frontal faces. Its search is
widened by equalising dark pictures, by retries on the tilted picture, and by a close look around the last box
first.
"""

from __future__ import annotations

import csv
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from fusekit.contracts import Detector
from fusekit.errors import DataError

_NONE = np.zeros((0, 5))
TILTS = ((0.0, 25.0, -25.0), (45.0, -45.0))
"""Degrees by which the picture is turned in search of a tilted head (the cascade itself tolerates some 13):
the first three are compared and the surest wins, the others are tried where those find nothing."""
_NEAR_PX = 96


def ranked(boxes: np.ndarray, shape: tuple[int, ...], near: np.ndarray | None) -> np.ndarray:
    """`(n, 5)` boxes, best first: nearest to `near` where it is given, else large and central ones.

    Nearness counts distance of centres in widths of `near` plus the difference of size in octaves.
    """
    if len(boxes) < 2:
        return boxes
    width = boxes[:, 2] - boxes[:, 0]
    centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
    if near is not None:
        size = near[2] - near[0]
        away = np.linalg.norm(centre - (near[:2] + near[2:4]) / 2, axis=1) / size
        return boxes[np.argsort(away + np.abs(np.log2(width / size)), kind="stable")]
    half = np.array([shape[1], shape[0]]) / 2
    off = np.linalg.norm((centre - half) / half, axis=1)
    return boxes[np.argsort(-width * (1.5 - off), kind="stable")]


class Haar(Detector):
    """OpenCV's frontal-face cascade (alt2), offline, within the opencv-python-headless wheel.

    Source: Viola and Jones 2001; cascade by R. Lienhart, shipped with OpenCV. `to_tight` was found as told in
    benchmarks/faces.py.

    Args:
        min_face: smallest face sought, as a share of the picture's shorter side.
        tilted: also search the picture turned by +-25 and, where that finds nothing, +-45 degrees (three to
            five times the time).
        work_px: the picture is searched at this length of its shorter side at most.
    """

    to_tight: ClassVar[tuple[float, float, float, float]] = (0.13, 0.26, -0.13, 0.0)

    def __init__(self, *, min_face: float = 0.12, tilted: bool = True, work_px: int = 360) -> None:
        self.min_face, self.work_px = min_face, work_px
        self.tilts: tuple[tuple[float, ...], ...] = TILTS if tilted else ((0.0,),)

    @cached_property
    def _cascade(self) -> cv2.CascadeClassifier:
        folder = Path(cv2.__file__).parent / "data"
        return cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name != "_cascade"
        }  # cannot be pickled

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """`(H, W, 3)` uint8 RGB -> `(n, 5)`: x0, y0, x1, y1, score in pixels; best first."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        side = min(grey.shape)
        scale = min(1.0, self.work_px / side)
        if scale < 1.0:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        hint = None if near is None else np.asarray(near[:4], np.float64) * scale
        found = _NONE
        if hint is not None:
            found = self._around(grey, hint)
        if not len(found):
            found = self._whole(grey)
        found = ranked(found, grey.shape, hint)
        found[:, :4] /= scale
        return found

    def _around(self, grey: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Search the neighbourhood of the last box; a face is expected there, so weak evidence is enough."""
        size = near[2] - near[0]
        x0, y0 = np.maximum(np.floor(near[:2] - 0.3 * size), 0).astype(int)
        x1, y1 = np.ceil(near[2:4] + 0.3 * size).astype(int)
        part = grey[y0:y1, x0:x1]
        if min(part.shape, default=0) < 24:
            return _NONE.copy()
        scale = min(1.0, _NEAR_PX / size)
        if scale < 1.0:
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = self._surest(_levelled(part), 0.75 * size * scale, 1.33 * size * scale, 1.1, 2)
        found[:, :4] = found[:, :4] / scale + (x0, y0, x0, y0)
        return found

    def _whole(self, grey: np.ndarray) -> np.ndarray:
        return self._surest(_levelled(grey), self.min_face * min(grey.shape), float(min(grey.shape)), 1.1, 3)

    def _surest(self, grey: np.ndarray, least: float, most: float, step: float, votes: int) -> np.ndarray:
        """Faces at all tilts; of those that overlap, the one of which the cascade is surest."""
        for tilts in self.tilts:
            found = np.concatenate([self._search(grey, tilt, least, most, step, votes) for tilt in tilts])
            if len(found):
                return _apart(found[np.argsort(-found[:, 4], kind="stable")])
        return _NONE.copy()

    def _search(
        self, grey: np.ndarray, tilt: float, least: float, most: float, step: float, votes: int
    ) -> np.ndarray:
        turn = None
        if tilt:
            height, width = grey.shape
            reach = float(np.hypot(height, width))
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 1.0)
            turn[:, 2] += reach / 2 - width / 2, reach / 2 - height / 2
            side = round(reach)
            grey = cv2.warpAffine(grey, turn, (side, side), flags=cv2.INTER_LINEAR)
        hits, _, weights = self._cascade.detectMultiScale3(
            grey,
            scaleFactor=step,
            minNeighbors=votes,
            minSize=(max(20, int(least)),) * 2,
            maxSize=(int(np.ceil(most)),) * 2,
            outputRejectLevels=True,
        )
        if len(hits) == 0:
            return _NONE
        boxes = np.asarray(hits, np.float64)
        centre, half = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:] / 2
        if turn is not None:
            # The tight box sits lower than this one, along the tilted face: turn its centre back, then step
            #     up again.
            lower = (
                np.array([self.to_tight[0] + self.to_tight[2], self.to_tight[1] + self.to_tight[3]]) * half
            )
            centre = (centre + lower - turn[:, 2]) @ np.linalg.inv(turn[:, :2]).T - lower
        return np.column_stack([centre - half, centre + half, np.ravel(weights)])


def _apart(boxes: np.ndarray) -> np.ndarray:
    """`(n, 5)` best first -> without those whose centre lies inside a better one."""
    kept: list[np.ndarray] = []
    for box in boxes:
        x, y = (box[:2] + box[2:4]) / 2
        if not any(k[0] <= x <= k[2] and k[1] <= y <= k[3] for k in kept):
            kept.append(box)
    return np.array(kept)


def _levelled(grey: np.ndarray) -> np.ndarray:
    """Stretched to full range (pictures at a tenth of the light keep some 25 levels), then equalised
    locally."""
    low, high = np.percentile(grey, (1, 99))
    if high - low >= 1:
        grey = np.clip((grey - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    return cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4)).apply(grey)


class YuNet(Detector):
    """YuNet, a small face network run by OpenCV, from a model file that the user provides.

    Source: Wu et al. 2023, "YuNet: a tiny millisecond-level face detector". Its boxes follow WIDER FACE
    (hairline to chin); `to_tight` takes off the forehead, a quarter of the height in faces of average
    proportion (not measured here, for want of the model file).

    Args:
        model: path of `face_detection_yunet_*.onnx` (OpenCV model zoo, MIT).
        least_score: confidence from which a face counts.
    """

    to_tight: ClassVar[tuple[float, float, float, float]] = (0.0, 0.25, 0.0, 0.0)

    def __init__(self, *, model: Path, least_score: float = 0.6) -> None:
        if not Path(model).is_file():
            raise DataError(
                f"yunet: {model}: no such model file. Give the path of face_detection_yunet_*.onnx."
            )
        self.model, self.least_score = model, least_score
        self._net = self._load()

    def _load(self) -> cv2.FaceDetectorYN:
        try:
            return cv2.FaceDetectorYN.create(str(self.model), "", (320, 320), self.least_score)
        except cv2.error as fault:
            raise DataError(
                f"yunet: {self.model}: OpenCV cannot read it as a YuNet model ({fault.err})."
            ) from fault

    def files(self) -> tuple[Path]:
        """The model file."""
        return (Path(self.model),)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(YuNet, model=self.model, least_score=self.least_score), ()

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """`(H, W, 3)` uint8 RGB -> `(n, 5)`: x0, y0, x1, y1, score in pixels; best first."""
        self._net.setInputSize((frame.shape[1], frame.shape[0]))
        found: np.ndarray | None = self._net.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1]
        if found is None:  # OpenCV's way of saying: no face
            return _NONE.copy()
        faces = found.astype(np.float64)
        boxes = np.column_stack([faces[:, :2], faces[:, :2] + faces[:, 2:4], faces[:, -1]])
        return ranked(boxes, frame.shape, near)


class Whole(Detector):
    """The picture is a face crop already: the box is the whole frame."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """`(H, W, 3)` uint8 RGB -> `(1, 5)`."""
        return np.array([[0.0, 0.0, frame.shape[1], frame.shape[0], 1.0]])


class GivenBoxes(Detector):
    """The corpus gives the boxes (`Source.boxes`); of its own, this detector finds nothing."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """Always `(0, 5)`."""
        return _NONE.copy()


class BoxTrack:
    """Face boxes over time from a CSV `time_s,x0,y0,x1,y1` in pixels; a row without numbers (or NaN): no
    face.

    A row holds until the next one; the last row, and any row before a gap, for two typical spacings.
    """

    def __init__(self, times: np.ndarray, boxes: np.ndarray) -> None:
        self.times, self.boxes = times, boxes
        self.hold_s = 2.0 * float(np.median(np.diff(times))) if len(times) > 1 else np.inf

    @classmethod
    def read(cls, path: Path) -> BoxTrack:
        """Raises DataError: no such file, no row, a wrong column, a value that is no number, times that go
        back."""
        path = Path(path)
        if not path.is_file():
            raise DataError(
                f"{path}: no such file of face boxes. Check the corpus, or choose another detector."
            )
        wanted = ["time_s", "x0", "y0", "x1", "y1"]
        rows: list[list[float]] = []
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            missing = [name for name in wanted if name not in (table.fieldnames or [])]
            if missing:
                raise DataError(
                    f"{path}: column {', '.join(missing)} is missing; the header is time_s,x0,y0,x1,y1."
                )
            for row in table:
                try:
                    rows.append([float(row[name] or "nan") for name in wanted])
                except ValueError as fault:
                    raise DataError(
                        f"{path}:{table.line_num}: {fault}; every cell is a number or empty."
                    ) from fault
                if not np.isfinite(rows[-1][0]) or (len(rows) > 1 and rows[-1][0] <= rows[-2][0]):
                    raise DataError(
                        f"{path}:{table.line_num}: time_s must be a number and larger than the row before."
                    )
        if not rows:
            raise DataError(f"{path}: holds no row.")
        table_ = np.array(rows)
        return cls(table_[:, 0], table_[:, 1:])

    def at(self, time_s: float) -> np.ndarray | None:
        """`(4,)` box shown at `time_s`, or None."""
        row = int(np.searchsorted(self.times, time_s, side="right")) - 1
        if row < 0 or time_s - self.times[row] > self.hold_s:
            return None
        x0, y0, x1, y1 = self.boxes[row]
        return self.boxes[row] if x1 > x0 and y1 > y0 else None  # NaN compares false
