"""Media containers: opened, faults told by name, tracks chosen, and where their clock begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from fusekit.errors import DataError

REALIGN_S = 0.05
"""Sound packets that stand further than this from where the samples so far end are moved to their own
stamp."""


def checked(path: Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path in the manifest or corpus root.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy or download it again, or remove its row.")
    return path


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    path = checked(path)
    try:
        # Only the file itself: a playlist inside it must not make us read other files or the network.
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            yield container
    except (av.error.FFmpegError, UnicodeDecodeError) as fault:
        raise DataError(
            f"{path}: cannot be decoded ({getattr(fault, 'strerror', None) or fault}). "
            "The file is damaged, cut short, or not a video or sound file: replace it or remove its row."
        ) from fault


def video_track(container: InputContainer) -> VideoStream | None:
    """The first video track that is not the cover picture of a song."""
    return next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)


def audio_track(container: InputContainer) -> AudioStream | None:
    return next(iter(container.streams.audio), None)


def origin(container: InputContainer) -> float:
    """Seconds of the container's clock at which the file's time zero lies."""
    tracks = (video_track(container), audio_track(container))
    starts = [
        float(s.start_time * s.time_base) for s in tracks if s and s.start_time is not None and s.time_base
    ]
    return max(0.0, min(starts)) if starts else 0.0


def frame_s(track: VideoStream) -> float:
    """Nominal spacing of frames, for those that carry no duration or stamp."""
    rate = track.average_rate or track.guessed_rate
    return 1.0 / float(rate) if rate else 0.04
