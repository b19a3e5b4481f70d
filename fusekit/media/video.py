"""Pictures of a video, one by one, upright, at their own times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from fusekit.errors import DataError, NoTrackError
from fusekit.media.container import (
    DAMAGED,
    announced_s,
    check_length,
    frame_s,
    frames,
    hole,
    opened,
    origin,
    video_track,
)
from fusekit.media.pictures import timed

MOST_PX = 8192 * 8192
"""Pixels of the largest picture that is read: twice those of 8K film."""
RAW = frozenset({"h261", "h263", "h264", "hevc", "mjpeg", "vc1", "obu"})
"""Formats of pictures alone, for which FFmpeg makes up 25 a second where their codec does not say."""
HOLE_S = 3600.0
"""A picture stands no longer than this: time stamps that leap further are damaged."""


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
    first = 0.0
    for count, picture in enumerate(_shown(path, stamped=step_s is None)):
        first = picture.time_s if count == 0 else first
        time, span = picture.time_s, picture.span_s
        if step_s is not None:
            time, span = (start_s if start_s is not None else first) + count * step_s, step_s
        elif start_s is not None:
            time = start_s + time - first
        yield Picture(time, span, picture.rgb)


def _shown(path: Path, *, stamped: bool) -> Iterator[Picture]:
    """Frames at the container's times; `stamped`: these count, so that they must make sense."""
    with opened(path) as container:
        track = video_track(container)
        if track is None:
            raise NoTrackError(
                f"{path}: has no video track. Use it for a sound modality, or give a video file."
            )
        if stamped and container.format.name in RAW and not track.codec_context.framerate:
            raise DataError(
                f"{path}: it tells no times of its pictures, nor how many there are in a second. Give the "
                "seconds between two in the manifest's column face_step_s (or of whichever modality), or put "
                "it into a film at its rate: `ffmpeg -r 25 -i FILE -c copy out.mkv`."
            )
        converter = VideoReformatter()
        count = damaged = 0
        waiting: Picture | None = None  # how long it is shown, only the next one tells
        for time, span, frame in _timed(path, container, track):
            if frame.width * frame.height > MOST_PX:
                raise DataError(
                    f"{path}: a picture of {frame.width} x {frame.height} pixels: damaged, or too "
                    "large to read. Replace the file, make it smaller, or remove its row."
                )
            # One thread: starting threads anew for each small picture takes longer than the conversion.
            rgb = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            if waiting is not None:
                if stamped:
                    hole(path, "video", waiting.time_s, time, HOLE_S)
                yield waiting._replace(span_s=time - waiting.time_s)
            waiting = Picture(time, span, _upright(rgb, frame))
            count += 1
            damaged += frame.is_corrupt
        if waiting is None:
            raise DataError(f"{path}: its video track holds no frame. Replace the file or remove its row.")
        end = max(waiting.time_s + waiting.span_s, _held_until(container, track))
        yield waiting._replace(span_s=end - waiting.time_s)
        check_length(path, "video", end + origin(container), announced_s(path, container, track))
    if damaged > DAMAGED * count:
        raise DataError(
            f"{path}: {damaged} of {count} frames are damaged. Replace the file or remove its row."
        )


def _timed(
    path: Path, container: InputContainer, track: VideoStream
) -> Iterator[tuple[float, float, VideoFrame]]:
    """`(time_s, span_s, frame)` in order of display."""
    zero, spacing = origin(container), frame_s(track)
    # AVI stores no display times: with B-frames its stamps are in coding order, but frames are evenly spaced.
    even = "avi" in container.format.name.split(",") and track.codec_context.has_b_frames > 0
    last, span = None, spacing
    for count, frame in enumerate(frames(path, container, track)):
        assert isinstance(frame, VideoFrame)
        if even:
            time = count * spacing
        elif frame.pts is None or frame.time_base is None:
            time = 0.0 if last is None else last + span  # a raw stream: each picture tells its length alone
        else:
            time = float(frame.pts * frame.time_base) - zero
            time = time if last is None else max(time, last)
        last = time
        span = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else spacing
        yield time, span, frame


def _held_until(container: InputContainer, track: VideoStream) -> float:
    """When the last picture ends, where only the file's own length tells: Matroska's blocks have none."""
    if "matroska" not in container.format.name.split(",") or not container.duration:
        return 0.0
    whole = container.duration / 1e6
    said = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", track.metadata.get("DURATION", ""))
    if said is not None:
        whole = min(whole, int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3]))
    elif len(container.streams) > 1:
        return 0.0
    return whole - origin(container)


def _upright(rgb: np.ndarray, frame: VideoFrame) -> np.ndarray:
    """Apply the display matrix: cameras store pictures lying or mirrored, with a note how to show them.

    The matrix sends the pixel (x, y) to (a x + c y, b x + d y); whichever of the eight ways to lay a picture
    is nearest is taken (QuickTime File Format, matrices; FFmpeg, `libavutil/display.h`).
    """
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None:
        return rgb
    a, b, _, c, d = (int(v) for v in np.frombuffer(matrix, np.int32)[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        rgb, right, down = rgb.transpose(1, 0, 2), c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(rgb[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
