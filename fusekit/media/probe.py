"""What a file holds, counted packet by packet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from fusekit.errors import DataError
from fusekit.media.container import audio_track, chosen, frame_s, opened, origin, packets, video_track
from fusekit.media.pictures import decode, numbered


@dataclass(frozen=True)
class Track:
    """`kind` "video", "audio" or another word; `codec` ("" where no decoder knows it); `read`: is it the one
    that `read_video` or `read_audio` takes."""

    kind: str
    codec: str
    read: bool


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds, counted packet by packet (headers are often wrong). Zeros where a track is missing.

    Attributes:
        duration_s: end of the longer track. `video_s`, `audio_s`: end of each.
        fps: mean rate, frames / length of the video track.
        tracks: all there are, in the file's order.
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
    tracks: tuple[Track, ...] = ()


def probe(path: Path | str) -> MediaInfo:
    """Read a file's packets without decoding them (about 30 ms per minute of video).

    Of a folder of pictures it tells their number and size: 0 for what only a clock could tell.

    Raises:
        DataError: missing, empty or undecodable file, one that is cut short by its own structure, or one with
            neither picture nor sound.
    """
    path = Path(path)
    if path.is_dir():
        files = numbered(path)
        height, width = decode(files[0][1]).shape[:2]
        return MediaInfo(0.0, True, False, frames=len(files), width=width, height=height)
    with opened(path) as container:
        video, audio = video_track(container), audio_track(container)
        wanted = chosen(container)
        if not wanted:
            raise DataError(f"{path}: holds neither a video nor a sound track.")
        ends = {s.index: 0.0 for s in wanted}
        firsts = {s.index: float("inf") for s in wanted}
        counts = {s.index: 0 for s in wanted}
        stamped: set[int] = set()
        for packet, _ in packets(container):
            if packet.size == 0:  # the flush at the end
                continue
            index = packet.stream.index
            counts[index] += 1
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.time_base is None or (stamp is None and index in stamped):
                continue
            if stamp is not None:
                stamped.add(index)
            # A raw stream has no stamps: each of its pictures tells its length alone.
            start = ends[index] if stamp is None else float(stamp * packet.time_base)
            firsts[index] = min(firsts[index], start)
            span = float(packet.duration * packet.time_base) if packet.duration else 0.0
            if span == 0.0 and isinstance(packet.stream, VideoStream):
                span = frame_s(packet.stream)
            ends[index] = max(ends[index], start + span)
        zero = origin(container)
        video_s = max(0.0, ends[video.index] - zero) if video else 0.0
        audio_s = max(0.0, ends[audio.index] - zero) if audio else 0.0
        frames = counts[video.index] if video else 0
        shown = ends[video.index] - firsts[video.index] if video else 0.0
        seen = video.codec_context if video else None
        heard = audio.codec_context if audio else None
        return MediaInfo(
            duration_s=max(video_s, audio_s),
            has_video=frames > 0,
            has_audio=audio is not None and counts[audio.index] > 0,
            fps=frames / shown if frames and shown > 0 else 0.0,
            frames=frames,
            width=seen.width if seen else 0,
            height=seen.height if seen else 0,
            sample_rate=heard.sample_rate if heard else 0,
            channels=heard.channels if heard else 0,
            video_s=video_s,
            audio_s=audio_s,
            tracks=_tracks(container, {s.index for s in wanted}),
        )


def _tracks(container: InputContainer, read: set[int]) -> tuple[Track, ...]:
    return tuple(
        Track(s.type, s.codec_context.name if s.codec_context else "", s.index in read)
        for s in container.streams
    )
