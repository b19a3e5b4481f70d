"""Reader of faces: the tracked face box of every frame, cut out and resized (spec 4.1)."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fusekit.contracts import Detector, Reader, Source, Stream
from fusekit.data.content import digests
from fusekit.data.detectors import BoxTrack, GivenBoxes, Haar, Whole, YuNet
from fusekit.data.faces import DETECTED, NONE, FaceTracker, crop, grown
from fusekit.data.readers.pooling import grid_means
from fusekit.errors import DataError, RecipeError
from fusekit.media import probe, read_video
from fusekit.media.pictures import numbered

TOLERANCE_S = 0.00137
"""A frame whose stamp is this much after t still counts as shown at t: containers round stamps to
milliseconds. No round number, so that no stamp lies exactly on the limit."""
_OWN: dict[str, type[Detector]] = {"haar": Haar, "yunet": YuNet, "boxes": GivenBoxes, "whole": Whole}


class FaceVideo(Reader):
    """Video -> `(3, size, size)` uint8 RGB per step (0..255 stand for -1..1): the face in the latest frame at
    or before t.

    Source: spec 4.1 (Aspandi et al., AViGaS). The tight landmark box (the detector's box, mapped by its
    `to_tight`, or the corpus's own, `Source.boxes`) is grown by `margin` of its size on each side, clipped to
    the picture and resized without keeping the aspect. Causal: `lookahead_s` is 0.

    Args:
        size: side of the crop in pixels.
        detector: name of the detector; `boxes` demands boxes from the corpus, `whole` takes the frame as the
            crop.
        detector_args: its arguments, e.g. `{model: path}`.
        margin: 0.125 for 68-point boxes; the spec knows 0.4 for inner-face boxes and 0.5 in other loaders.
        every_s, hold_s, smooth_s: see `fusekit.data.faces.FaceTracker`.
        max_hz: keep only the frames that steps at k / max_hz show (saves time and disk where the recipe's
            step rate is below the frame rate). None: every frame.
    """

    medium: ClassVar[str] = "video"
    absence: ClassVar[str] = "no face is found"

    def __init__(
        self,
        *,
        size: int = 128,
        detector: str = "haar",
        detector_args: dict[str, Any] | None = None,
        margin: float = 0.125,
        every_s: float = 0.2,
        hold_s: float = 1.0,
        smooth_s: float = 0.1,
        max_hz: float | None = None,
    ) -> None:
        if (
            size < 1
            or margin < 0
            or min(every_s, hold_s, smooth_s) < 0
            or (max_hz is not None and max_hz <= 0)
        ):
            raise RecipeError("face-video: size and max_hz must be above 0, margin and the times at least 0")
        self.size, self.margin, self.max_hz = size, margin, max_hz
        self.detector, self.detector_args = detector, dict(detector_args or {})
        self.every_s, self.hold_s, self.smooth_s = every_s, hold_s, smooth_s
        self.raw_shape = (3, size, size)
        self.lookahead_s = 0.0
        self._finder: Detector | None = None

    def use_detector(self, detector: Detector) -> None:
        """Hand over the detector that `detector` and `detector_args` name (the builder knows plugins; this
        room does not)."""
        self._finder = detector

    def settings(self) -> dict[str, Any]:
        names = ("size", "detector", "detector_args", "margin", "every_s", "hold_s", "smooth_s", "max_hz")
        found = {name: getattr(self, name) for name in names}
        finder = self._found() if self.detector in _OWN else self._finder
        files = [] if finder is None else finder.files()
        return {**found, "detector_files": digests(files)} if files else found

    def files(self, source: Source) -> list[Path]:
        """The video, or every picture of its folder; and the boxes."""
        path = Path(source.path)
        pictures = [file for _, file in numbered(path)] if path.is_dir() else [path]
        return pictures if source.boxes is None else [*pictures, source.boxes]

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """Of the n kept frames: `frames (n, size, size, 3)` uint8 RGB, `times (n,)` seconds, `boxes (n, 4)`
        float32 pixels of the crop (NaN: none), `state (n,)` uint8 (0 no face, 1 detected, 2 followed or
        held); `duration_s (1,)`.
        """
        look = _Looker(self, None if source.boxes is None else BoxTrack.read(source.boxes))
        # Room for all frames at once: an hour of crops should not stand in memory twice.
        room = probe(source.path).frames
        frames = np.empty((max(1, room), self.size, self.size, 3), np.uint8)
        rows: list[tuple[float, np.ndarray, int]] = []

        def keep(time_s: float, rgb: np.ndarray) -> None:
            nonlocal frames
            if len(rows) == len(frames):
                frames = np.concatenate([frames, np.empty_like(frames)])
            _, frames[len(rows)], box, state = look(time_s, rgb)
            rows.append((time_s, box, state))

        held: tuple[float, np.ndarray] | None = None
        end_s = 0.0
        for picture in read_video(source.path, source.start_s, source.step_s):
            if held is not None and self.shows_step(held[0], picture.time_s):
                keep(*held)
            held, end_s = (picture.time_s, picture.rgb), picture.time_s + picture.span_s
        assert held is not None  # read_video raises when there is no frame
        keep(*held)
        times, boxes, state = zip(*rows, strict=True)
        return {
            "frames": frames[: len(rows)],
            "times": np.array(times, np.float64),
            "boxes": np.stack(boxes).astype(np.float32),
            "state": np.array(state, np.uint8),
            "duration_s": np.array([end_s]),
        }

    def shows_step(self, time_s: float, next_s: float) -> bool:
        """Is a frame, shown until `next_s`, the one that a step at some k / max_hz sees."""
        if self.max_hz is None:
            return True
        first, after = ((t - TOLERANCE_S) * self.max_hz for t in (time_s, next_s))
        return math.ceil(after) > math.ceil(first)

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """False before the first frame, after the end, and where no face was seen for longer than
        `hold_s`."""
        times = np.asarray(times, np.float64)
        row = self._row(stream, times)
        return (
            (row >= 0)
            & (times < float(stream["duration_s"][0]))
            & (stream["state"][np.maximum(row, 0)] != NONE)
        )

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, 3, size, size)` uint8; the last frame stands on after the end."""
        row = np.maximum(self._row(stream, times), 0)
        return np.ascontiguousarray(stream["frames"][row].transpose(0, 3, 1, 2))

    def pooled(self, windows: np.ndarray) -> np.ndarray:
        """`(n, 3, size, size)` -> `(n, 192)`: each colour's means over a grid of 8 x 8."""
        return grid_means(windows)

    def _row(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.searchsorted(stream["times"], np.asarray(times, np.float64) + TOLERANCE_S, side="right") - 1

    def tracker(self) -> FaceTracker:
        """A new tracker for one clip."""
        finder = self._found()
        if isinstance(finder, GivenBoxes):
            raise DataError(
                "face-video: `detector: boxes` needs face boxes from the corpus, and it gives none here."
            )
        every_s = 0.0 if isinstance(finder, Whole) else self.every_s
        return FaceTracker(finder, every_s=every_s, hold_s=self.hold_s, smooth_s=self.smooth_s)

    def _found(self) -> Detector:
        if self._finder is None:
            if self.detector not in _OWN:
                raise RecipeError(f"face-video: detector {self.detector!r} is none of {', '.join(_OWN)}.")
            self._finder = _OWN[self.detector](**self.detector_args)
        return self._finder


class _Looker:
    """Frames of one clip in order -> crop, box and state of each."""

    def __init__(self, reader: FaceVideo, given: BoxTrack | None = None) -> None:
        self.reader, self.given = reader, given
        self.tracker = reader.tracker() if given is None else None

    def __call__(self, time_s: float, rgb: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, int]:
        if self.given is not None:
            tight, state = self.given.at(time_s + TOLERANCE_S), DETECTED
        else:
            assert self.tracker is not None
            tight, state = self.tracker.update(rgb, time_s)
        box = None if tight is None else grown(tight, self.reader.margin, rgb.shape)
        size = self.reader.size
        if box is None:
            return time_s, np.zeros((size, size, 3), np.uint8), np.full(4, np.nan), NONE
        return time_s, crop(rgb, box, size), box, state


class LiveFace:
    """The same windows from frames that arrive one by one: `push`, then `window(t)`; equal to the prepared
    file's.

    Times must not go back, and with `max_hz` windows are asked for at k / max_hz only. One object per stream.
    """

    def __init__(self, reader: FaceVideo) -> None:
        self.reader = reader
        self._look = _Looker(reader)
        self._last: tuple[float, np.ndarray] | None = None  # not looked at yet: no step may need it
        self._seen: deque[tuple[float, np.ndarray, np.ndarray, int]] = deque()

    def push(self, rgb: np.ndarray, time_s: float) -> None:
        """`(H, W, 3)` uint8 frame shown from `time_s` on."""
        if self._last is not None:
            if time_s < self._last[0]:
                raise ValueError(
                    f"a frame at {time_s:.3f} s after one at {self._last[0]:.3f} s: times must not go back"
                )
            if self.reader.shows_step(self._last[0], time_s):
                self._seen.append(self._look(*self._last))
        self._last = (time_s, rgb)

    def window(self, time_s: float) -> np.ndarray:
        """`(3, size, size)` uint8: the face in the latest frame at or before `time_s`; zeros before the
        first."""
        seen = self._at(time_s)
        return (
            np.zeros(self.reader.raw_shape, np.uint8) if seen is None else seen[1].transpose(2, 0, 1).copy()
        )

    def present(self, time_s: float) -> bool:
        """Is a face seen in that frame (or was within `hold_s`)."""
        seen = self._at(time_s)
        return seen is not None and seen[3] != NONE

    def box(self, time_s: float) -> np.ndarray | None:
        """`(4,)` pixels of that crop, or None."""
        seen = self._at(time_s)
        return None if seen is None or seen[3] == NONE else seen[2]

    def _at(self, time_s: float) -> tuple[float, np.ndarray, np.ndarray, int] | None:
        if self._last is not None and self._last[0] <= time_s + TOLERANCE_S:
            self._seen.append(self._look(*self._last))
            self._last = None
        while len(self._seen) > 1 and self._seen[1][0] <= time_s + TOLERANCE_S:
            self._seen.popleft()
        return self._seen[0] if self._seen and self._seen[0][0] <= time_s + TOLERANCE_S else None
