"""Media files become pictures with time stamps and mono sound, on one clock.

Time zero of a file is the earliest start among its video and its sound track, as players have it; negative
stamps (encoder priming that decoders drop) do not move it. Both tracks are placed on that clock, so sound
stays in step with the picture whatever offsets the container holds. Video is decoded from front to back only:
seeking misses frames on long groups of pictures. Sound is resampled by soxr "HQ" (linear phase, no delay,
single-threaded, the resampler behind `librosa.load`), so that the same file gives the same samples
everywhere.

A folder of numbered pictures is a video too, without sound or a clock of its own: whoever names it says when
its pictures are (`step_s`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile
import soxr
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from fusekit.data.pictures import decode, numbered, timed
from fusekit.errors import DataError

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff"})
REALIGN_S = 0.05
"""Sound packets that stand further than this from where the samples so far end are moved to their own
stamp."""


class Picture(NamedTuple):
    """One frame: `time_s`, how long it is shown `span_s`, and `rgb (H, W, 3)` uint8."""

    time_s: float
    span_s: float
    rgb: np.ndarray


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds, counted packet by packet (headers are often wrong). Zeros where a track is missing.

    Attributes:
        duration_s: end of the longer track. `video_s`, `audio_s`: end of each.
        fps: mean rate, frames / length of the video track.
    """

    duration_s: float
    has_video: bool
    has_audio: bool
    fps: float = 0.0
    frames: int = 0
    width: int = 0
    height: int = 0
    sample_rate: int = 0
    channels: int = 0
    video_s: float = 0.0
    audio_s: float = 0.0


def _checked(path: Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path in the manifest or corpus root.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy or download it again, or remove its row.")
    return path


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    path = _checked(path)
    try:
        # Only the file itself: a playlist inside it must not make us read other files or the network.
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            yield container
    except (av.error.FFmpegError, UnicodeDecodeError) as fault:
        raise DataError(
            f"{path}: cannot be decoded ({getattr(fault, 'strerror', None) or fault}). "
            "The file is damaged, cut short, or not a video or sound file: replace it or remove its row."
        ) from fault


def _video_track(container: InputContainer) -> VideoStream | None:
    """The first video track that is not the cover picture of a song."""
    return next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)


def _audio_track(container: InputContainer) -> AudioStream | None:
    return next(iter(container.streams.audio), None)


def _origin(container: InputContainer) -> float:
    """Seconds of the container's clock at which the file's time zero lies."""
    tracks = (_video_track(container), _audio_track(container))
    starts = [
        float(s.start_time * s.time_base) for s in tracks if s and s.start_time is not None and s.time_base
    ]
    return max(0.0, min(starts)) if starts else 0.0


def _frame_s(track: VideoStream) -> float:
    """Nominal spacing of frames, for those that carry no duration or stamp."""
    rate = track.average_rate or track.guessed_rate
    return 1.0 / float(rate) if rate else 0.04


def probe(path: Path | str) -> MediaInfo:
    """Read a file's packets without decoding them (about 30 ms per minute of video).

    Of a folder of pictures it tells their number and size: 0 for what only a clock could tell.

    Raises:
        DataError: missing, empty or undecodable file, or one with neither picture nor sound.
    """
    path = Path(path)
    if path.is_dir():
        files = numbered(path)
        height, width = decode(files[0][1]).shape[:2]
        return MediaInfo(0.0, True, False, frames=len(files), width=width, height=height)
    with _opened(path) as container:
        video, audio = _video_track(container), _audio_track(container)
        wanted = [s for s in (video, audio) if s is not None]
        if not wanted:
            raise DataError(f"{path}: holds neither a video nor a sound track.")
        ends = {s.index: 0.0 for s in wanted}
        firsts = {s.index: float("inf") for s in wanted}
        counts = {s.index: 0 for s in wanted}
        for packet in container.demux(wanted):
            if packet.size == 0:  # the flush at the end
                continue
            index = packet.stream.index
            counts[index] += 1
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.time_base is None:
                continue
            start = float(stamp * packet.time_base)
            firsts[index] = min(firsts[index], start)
            span = float(packet.duration * packet.time_base) if packet.duration else 0.0
            if span == 0.0 and isinstance(packet.stream, VideoStream):
                span = _frame_s(packet.stream)
            ends[index] = max(ends[index], start + span)
        origin = _origin(container)
        video_s = max(0.0, ends[video.index] - origin) if video else 0.0
        audio_s = max(0.0, ends[audio.index] - origin) if audio else 0.0
        frames = counts[video.index] if video else 0
        shown = ends[video.index] - firsts[video.index] if video else 0.0
        return MediaInfo(
            duration_s=max(video_s, audio_s),
            has_video=frames > 0,
            has_audio=audio is not None and counts[audio.index] > 0,
            fps=frames / shown if frames and shown > 0 else 0.0,
            frames=frames,
            width=video.codec_context.width if video else 0,
            height=video.codec_context.height if video else 0,
            sample_rate=audio.codec_context.sample_rate if audio else 0,
            channels=audio.codec_context.channels if audio else 0,
            video_s=video_s,
            audio_s=audio_s,
        )


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
    with _opened(path) as container:
        track = _video_track(container)
        if track is None:
            raise DataError(f"{path}: has no video track. Use it for a sound modality, or give a video file.")
        origin, spacing = _origin(container), _frame_s(track)
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
                time = float(frame.pts * frame.time_base) - origin
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


def read_audio(path: Path | str, rate: int = 22050) -> np.ndarray:
    """Sound of a file, all channels averaged: `(n,)` float32 at `rate` Hz; sample i is at `i / rate` seconds.

    The sound track of a video keeps its place on the video's clock: a late start is silence, a lead is cut.

    Raises:
        DataError: missing, empty, damaged file, no sound track, no sample in it, or samples that are not
            numbers.
    """
    path = _checked(Path(path))
    samples, own_rate = _sound_file(path) if path.suffix.lower() in SOUND_SUFFIXES else _sound_track(path)
    if len(samples) == 0:
        raise DataError(f"{path}: its sound track holds no sample. Replace the file or remove its row.")
    bad = np.flatnonzero(~np.isfinite(samples))
    if len(bad):
        raise DataError(
            f"{path}: {len(bad)} samples are not numbers, the first at {bad[0] / own_rate:.3f} s."
        )
    if own_rate != rate:
        samples = soxr.resample(samples, own_rate, rate, quality="HQ")
    return np.ascontiguousarray(samples, dtype=np.float32)


def _sound_file(path: Path) -> tuple[np.ndarray, int]:
    try:
        with soundfile.SoundFile(path) as file:
            blocks = [block.mean(axis=1) for block in file.blocks(1 << 18, dtype="float32", always_2d=True)]
            return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), file.samplerate
    except soundfile.LibsndfileError:
        return _sound_track(path)  # a container under a sound file's name; FFmpeg has the last word


def _sound_track(path: Path) -> tuple[np.ndarray, int]:
    with _opened(path) as container:
        track = _audio_track(container)
        if track is None:
            raise DataError(
                f"{path}: has no sound track. Leave its voice column empty, or give a file with sound."
            )
        origin, own_rate, length = _origin(container), track.codec_context.sample_rate, 0
        planar = av.AudioResampler(format="fltp")  # sample format only; rate and channels stay
        blocks: list[np.ndarray] = []
        for frame in container.decode(track):
            block = np.concatenate([part.to_ndarray().mean(axis=0) for part in planar.resample(frame)])
            due = length
            if frame.pts is not None and frame.time_base is not None:
                due = round((float(frame.pts * frame.time_base) - origin) * own_rate)
            if blocks and abs(due - length) <= REALIGN_S * own_rate:
                due = length  # stamps are often rounded to milliseconds: keep the samples gapless
            if due > length:
                blocks.append(np.zeros(due - length, np.float32))
                length = due
            block = block[max(0, length - due) :]
            blocks.append(block.astype(np.float32))
            length += len(block)
        return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), own_rate
