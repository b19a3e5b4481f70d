"""From frames in order to one steady face box per frame: detection now and then, tracking between, smoothing.

Everything here is causal: what a frame gets depends on it and earlier frames alone, so that a live stream and
a prepared file agree exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fusekit.contracts import Detector

NONE, DETECTED, HELD = 0, 1, 2
"""What is known of a frame's face: not there, found in this frame, followed or held from an earlier one."""
BLACK = 12
"""A frame without a brighter value shows nothing: padding, or a covered lens. No face is held through it."""
_PATCH_PX = 48
_ALIKE = 0.6


class Sighting(NamedTuple):
    """`box (4,)` tight face box x0, y0, x1, y1 in pixels (None where `state` is NONE)."""

    box: np.ndarray | None
    state: int


class FaceTracker:
    """Feed frames in order; one object per clip.

    Between detections the face is followed by matching its patch in the neighbourhood (normalised
    correlation). A detection far from a face that was seen within `hold_s` is another person and is passed
    over.

    Args:
        detector: finds boxes; its `to_tight` is applied here.
        every_s: time between detections while the face is followed well; 0: detect in every frame.
        hold_s: how long after the last detection the face still counts as seen.
        smooth_s: time constant of the box against jitter; fast moves are followed at once. 0: no smoothing.
    """

    def __init__(
        self, detector: Detector, *, every_s: float = 0.2, hold_s: float = 1.0, smooth_s: float = 0.1
    ) -> None:
        self.detector, self.every_s, self.hold_s, self.smooth_s = detector, every_s, hold_s, smooth_s
        self._box: np.ndarray | None = None  # as the detector draws it, unsmoothed
        self._steady: np.ndarray | None = None
        self._patch: np.ndarray | None = None
        self._seen_s = self._tried_s = self._time_s = -np.inf

    def update(self, rgb: np.ndarray, time_s: float) -> Sighting:
        """`(H, W, 3)` uint8 frame shown at `time_s` -> where its face is."""
        elapsed, self._time_s = time_s - self._time_s, time_s
        if int(rgb.max()) <= BLACK:
            self._box = self._steady = self._patch = None
            self._tried_s = -np.inf
            return Sighting(None, NONE)
        if self._box is not None and time_s - self._seen_s > self.hold_s + 1e-6:
            self._box = self._steady = self._patch = None
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        state = NONE
        if time_s - self._tried_s >= self.every_s - 1e-6:
            state = self._detect(rgb, grey, time_s)
        if state == NONE and self._box is not None:
            state = HELD
            # Lost between detections: look again now rather than at the next turn.
            if (
                not self._follow(grey)
                and self._tried_s < time_s
                and self._detect(rgb, grey, time_s) == DETECTED
            ):
                state = DETECTED
        tight = self.tight
        return Sighting(None, NONE) if tight is None else Sighting(self._smooth(tight, elapsed), state)

    def _detect(self, rgb: np.ndarray, grey: np.ndarray, time_s: float) -> int:
        self._tried_s = time_s
        found = self.detector.detect(rgb, self._box)
        for row in found:
            if self._box is None or _same_face(row, self._box):
                self._box = row[:4].astype(np.float64)
                self._seen_s = time_s
                self._patch = self._cut_patch(grey)
                return DETECTED
        return NONE

    def _cut_patch(self, grey: np.ndarray) -> np.ndarray | None:
        assert self._box is not None
        (x0, y0), (x1, y1) = _inside(self._box, grey.shape)
        scale = _PATCH_PX / max(self._box[2] - self._box[0], 1.0)
        if min(x1 - x0, y1 - y0) * scale < 8:
            return None
        return cv2.resize(grey[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)

    def _follow(self, grey: np.ndarray) -> bool:
        """Move the box to where its patch is found in this frame; False if it is not."""
        if self._patch is None or self._box is None:
            return False
        width = self._box[2] - self._box[0]
        scale = _PATCH_PX / max(width, 1.0)
        reach = 0.3 * width
        (x0, y0), (x1, y1) = _inside(self._box + (-reach, -reach, reach, reach), grey.shape)
        region = cv2.resize(grey[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if region.shape[0] < self._patch.shape[0] or region.shape[1] < self._patch.shape[1]:
            return False
        score = cv2.matchTemplate(region, self._patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(score)
        if not best >= _ALIKE:
            return False
        inner = _inside(self._box, grey.shape)[0]  # the patch began inside the picture
        dx = (column + _peak(score[row], column)) / scale + x0 - inner[0]
        dy = (row + _peak(score[:, column], row)) / scale + y0 - inner[1]
        self._box = self._box + (dx, dy, dx, dy)
        return True

    @property
    def tight(self) -> np.ndarray | None:
        """`(4,)` tight box of the last frame before smoothing, or None."""
        if self._box is None:
            return None
        width, height = self._box[2] - self._box[0], self._box[3] - self._box[1]
        return self._box + np.array(self.detector.to_tight) * (width, height, width, height)

    def _smooth(self, tight: np.ndarray, elapsed: float) -> np.ndarray:
        width = float(tight[2] - tight[0])
        if self._steady is None or self.smooth_s == 0:
            self._steady = tight
        else:
            moved = float(np.abs(tight - self._steady).max()) / max(width, 1.0)
            share = max(1.0 - float(np.exp(-elapsed / self.smooth_s)), min(1.0, 4.0 * moved))
            self._steady = self._steady + share * (tight - self._steady)
        return self._steady


def _same_face(row: np.ndarray, last: np.ndarray) -> bool:
    """A centre at most one width away, and neither twice as large nor half as large."""
    size = last[2] - last[0]
    away = np.linalg.norm((row[:2] + row[2:4] - last[:2] - last[2:4]) / 2)
    return bool(away <= size and 0.5 <= (row[2] - row[0]) / size <= 2.0)


def _inside(box: np.ndarray, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Whole-pixel corners of `box` clipped to a picture of `shape (H, W)`; may be empty."""
    x0, x1 = (int(v) for v in np.clip(np.round(box[[0, 2]]), 0, shape[1]))
    y0, y1 = (int(v) for v in np.clip(np.round(box[[1, 3]]), 0, shape[0]))
    return (x0, y0), (x1, y1)


def _peak(scores: np.ndarray, at: int) -> float:
    """Offset in -0.5..0.5 of the top of the parabola through the best score and its neighbours."""
    if not 0 < at < len(scores) - 1:
        return 0.0
    before, top, after = (float(s) for s in scores[at - 1 : at + 2])
    bend = before - 2 * top + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def grown(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> np.ndarray | None:
    """Tight box grown on each side by `margin` of its width / height, in whole pixels, clipped to the picture
    (spec 4.1).

    Returns:
        `(4,)` int x0, y0, x1, y1, or None where less than 2 pixels remain in view.
    """
    box = np.asarray(box, np.float64)
    dx, dy = margin * (box[2] - box[0]), margin * (box[3] - box[1])
    (x0, y0), (x1, y1) = _inside(box + (-dx, -dy, dx, dy), shape)
    return np.array([x0, y0, x1, y1]) if min(x1 - x0, y1 - y0) >= 2 else None


def crop(rgb: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """`(H, W, 3)` uint8 and a whole-pixel box inside it -> `(size, size, 3)`; the aspect is not kept (spec
    4.1)."""
    x0, y0, x1, y1 = (int(v) for v in box)
    smaller = min(x1 - x0, y1 - y0) >= size  # area averaging against moire, but it is blocky when enlarging
    return cv2.resize(
        rgb[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
