"""Pictures of a video, one by one, upright, at their own times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter

from fusekit.errors import DataError
from fusekit.media.container import REALIGN_S, frame_s, opened, origin, video_track
from fusekit.media.pictures import timed


class Picture(NamedTuple):
    """One frame: `time_s`, how long it is shown `span_s`, and `rgb (H, W, 3)` uint8."""

    time_s: float
    span_s: float
    rgb: np.ndarray


def read_video(
    path: Path | str, start_s: float | None = None, step_s: float | None = None
) -> Iterator[Picture]:
    """Frames in order of display, upright, at the container's own times (variable rates included).

    Args:
        start_s, step_s: override the container: frame i is at `start_s + i * step_s`. One alone shifts or
            respaces what the container says. A folder of pictures needs `step_s`: the picture numbered n is
            at `start_s + (n - first number) * step_s`, and stands until the next one.

    Raises:
        DataError: missing, empty, damaged file, no video track, or no frame in it. A file damaged half-way
            raises when the damage is reached.
    """
    path = Path(path)
    if path.is_dir():
        yield from (Picture(*shown) for shown in timed(path, start_s or 0.0, step_s))
        return
    count = damaged = 0
    with opened(path) as container:
        track = video_track(container)
        if track is None:
            raise DataError(f"{path}: has no video track. Use it for a sound modality, or give a video file.")
        zero, spacing = origin(container), frame_s(track)
        # AVI stores no display times: with B-frames its stamps are in coding order, but frames are evenly
        #     spaced.
        even = "avi" in container.format.name.split(",") and track.codec_context.has_b_frames > 0
        last: float | None = None
        first: float | None = None
        converter = VideoReformatter()
        for frame in container.decode(track):
            if even:
                time = count * spacing
            elif frame.pts is None or frame.time_base is None:
                time = 0.0 if last is None else last + spacing
            else:
                time = float(frame.pts * frame.time_base) - zero
                time = time if last is None else max(time, last)
            first = time if first is None else first
            last = time
            span = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else spacing
            if step_s is not None:
                time, span = (start_s if start_s is not None else first) + count * step_s, step_s
            elif start_s is not None:
                time = start_s + time - first
            # One thread: starting threads anew for each small picture takes longer than the conversion.
            rgb = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            yield Picture(time, span, _upright(rgb, frame.rotation))
            count += 1
            damaged += frame.is_corrupt
        announced = float(track.duration * track.time_base) if track.duration and track.time_base else 0.0
    if count == 0:
        raise DataError(f"{path}: its video track holds no frame. Replace the file or remove its row.")
    assert last is not None
    if last + spacing < 0.9 * announced - REALIGN_S:
        raise DataError(
            f"{path}: the video is cut short at {last + spacing:.2f} s of the {announced:.2f} s that its "
            "header announces. Copy or download it again, or remove its row."
        )
    if damaged > 0.1 * count:
        raise DataError(
            f"{path}: {damaged} of {count} frames are damaged. Replace the file or remove its row."
        )


def _upright(rgb: np.ndarray, rotation: int) -> np.ndarray:
    turns = round(rotation / 90) % 4  # phones store portrait pictures lying, with a note to turn them
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb
