"""Media containers: opened safely, faults told by name, tracks chosen as players do, packets on one clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fusekit.errors import DataError, FusekitError
from fusekit.media.claims import lacks_flac_header
from fusekit.media.ebml import JOINED
from fusekit.media.wholeness import has_stale_length, is_unfinished, unsound

DAMAGED = 0.1
"""More than this share of packets or frames that cannot be decoded makes a file a fault."""
SHORT_S, SHORT = 0.1, 0.02
"""A track that ends this long before a header says that counts samples, or this share of its length (and as
long) before one that does not, has lost its end."""
HOLD_ALL = (
    "3g2 3gp aac ac3 aiff amr amrnb amrwb ape asf au av1 avi caf dsf dts dtshd dv eac3 flac flv gif gxf h261 "
    "h263 h264 hevc iff ircam ivf m4v matroska mj2 mjpeg mov mp3 mp4 mpc mpc8 mpeg mpegts mpegvideo mxf "
    "nistsphere nsv nut obu ogg rm tak tta truehd vc1 voc w64 wav webm wtv wv yuv4mpegpipe"
)
"""Formats that hold their own pictures and sound. Playlists, lists of parts and the like name other files."""
_ODD = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_ASIDE = (
    Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.comment
    | Disposition.descriptions
)
_TELLING = {"mov", "avi", "ape", "tta", "wv", "tak", "mpc", "mpc8", "ivf", "w64", "aiff", "au", "caf", "dsf"}
"""Formats whose own headers tell the length of a track; of others FFmpeg guesses it."""
_BACK_S, _AHEAD_S = 0.1, 10.0


def checked(path: Path) -> Path:
    """The path of a file with something in it."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path in the manifest or corpus root.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy or download it again, or remove its row.")
    return path


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A media file, for reading from front to back.

    Raises:
        DataError: missing, empty, cut short, or anything that goes wrong, in whatever library, while it is
            read.
    """
    path = checked(path)
    try:
        if (fault := unsound(path)) is not None:
            advice = "" if fault == JOINED else " Copy or download it again, or remove its row."
            raise DataError(f"{path}: {fault}.{advice}")
        with open_file(path) as container:
            if container.format.name == "flac" and lacks_flac_header(path):
                raise DataError(
                    f"{path}: its beginning is lost, and with it the header that tells the rate of its "
                    "sound. Copy or download it again, or remove its row."
                )
            yield container
    except FusekitError:
        raise
    except Exception as fault:
        said = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
        raise DataError(
            f"{path}: cannot be decoded ({said}). The file is damaged, cut short, or not a video or sound "
            "file that holds its own data: replace it or remove its row."
        ) from fault


def open_file(path: Path) -> InputContainer:
    """The container of a file as FFmpeg opens it: only the file itself, as nothing in it may make us read
    other files or the network."""
    options = {"protocol_whitelist": "file", "format_whitelist": HOLD_ALL.replace(" ", ",")}
    with path.open("rb") as file:
        if file.read(12)[8:] == b"WAVE":
            options["max_size"] = "65536"  # packets of PCM are tiny otherwise, and each costs time
    if has_stale_length(path):
        options["ignore_length"] = "1"
    return av.open(f"file:{path}", options=options)


def video_track(container: InputContainer) -> VideoStream | None:
    """The track that players show: no cover picture; flagged default rather than not; the largest."""
    tracks = [s for s in container.streams.video if not s.disposition & _ODD]
    return max(tracks, key=lambda s: (*_rank(s), _area(s)), default=None)


def audio_track(container: InputContainer) -> AudioStream | None:
    """The track that players play: flagged default rather than not, no commentary; of most channels."""
    return max(container.streams.audio, key=lambda s: (*_rank(s), _channels(s)), default=None)


def _rank(track: Stream) -> tuple[bool, bool, bool]:
    known = track.codec_context is not None
    return known, bool(track.disposition & Disposition.default), not track.disposition & _ASIDE


def _area(track: VideoStream) -> int:
    return track.codec_context.width * track.codec_context.height if track.codec_context else 0


def _channels(track: AudioStream) -> int:
    return track.codec_context.channels if track.codec_context else 0


def chosen(container: InputContainer) -> list[Stream]:
    """The tracks that make the file's clock: those that are shown and heard."""
    return [s for s in (video_track(container), audio_track(container)) if s is not None]


def origin(container: InputContainer) -> float:
    """Seconds of the container's clock at which the file's time zero lies."""
    starts = [
        float(s.start_time * s.time_base)
        for s in chosen(container)
        if s.start_time is not None and s.time_base
    ]
    if not starts:
        return 0.0
    # Broadcast's clock begins again after 26.5 h, and FFmpeg counts down to that moment from below 0.
    wraps = bool(set(container.format.name.split(",")) & {"mpegts", "mpeg"})
    return min(starts) if wraps else max(0.0, min(starts))


def frame_s(track: VideoStream) -> float:
    """Nominal spacing of frames, for those that carry no duration or stamp."""
    rate = track.average_rate or track.guessed_rate
    return 1.0 / float(rate) if rate else 0.04


def packets(container: InputContainer) -> Iterator[tuple[Packet, bool]]:
    """Packets of the chosen tracks, and whether their track starts anew with this one: its stamps go on from
    where the tracks had come to."""
    tracks = chosen(container)
    clock = _Clock(Flags.ts_discont in Flags(container.format.flags))
    for packet in container.demux(tracks):
        yield packet, bool(packet.size) and clock.place(packet)


def frames(
    path: Path, container: InputContainer, track: VideoStream | AudioStream
) -> Iterator[VideoFrame | AudioFrame]:
    """Decoded frames of a track. Packets that cannot be decoded leave a hole, as in FFmpeg's own programs.

    Raises:
        DataError: no decoder for it, or too many such packets (at the end, or once there are many).
    """
    if track.codec_context is None:
        raise DataError(
            f"{path}: no decoder here knows how its {track.type} is coded. Convert the file with ffmpeg, or "
            "remove its row."
        )
    found = hurt = 0
    for packet, anew in packets(container):
        if packet.stream.index != track.index:
            continue
        if packet.size == 0 and packet.dts is not None:
            continue  # "the last picture stands"; given to the decoder it would mean the end
        found += packet.size > 0
        try:
            # What was decoded last must not run into what another encoder began.
            decoded: list[VideoFrame | AudioFrame] = [*track.decode(None)] if anew else []
            if anew:
                track.codec_context.flush_buffers()
            decoded += track.decode(packet)
        except av.error.FFmpegError as fault:
            if isinstance(fault, MemoryError):
                raise
            hurt += 1
            if hurt > max(100, DAMAGED * found):
                break
            continue
        yield from decoded
    if hurt > DAMAGED * found:
        raise DataError(
            f"{path}: {hurt} of {found} packets of its {track.type} cannot be decoded: the file is damaged. "
            "Replace it or remove its row."
        )


class _Clock:
    """Moves packets' stamps by one amount per stretch between restarts, the same for all tracks, so that what
    belonged together stays together.

    A restart is a decoding stamp that goes back; in formats for broadcast (`leaps`) one that leaps ahead,
    too. What comes next then begins where the longest track had ended.
    """

    def __init__(self, leaps: bool) -> None:
        self.leaps = leaps
        self._shifts = [0.0]
        self._tracks: dict[int, _Place] = {}
        self._end = -math.inf  # of all tracks so far, moved

    def place(self, packet: Packet) -> bool:
        """Move the packet's stamps; is it the first of its track after a restart."""
        if packet.stream.index not in self._tracks:
            self._tracks[packet.stream.index] = _Place(packet.stream, float(packet.time_base))
        track = self._tracks[packet.stream.index]
        span = packet.duration * track.tick if packet.duration else track.spacing
        anew = False
        if packet.dts is None:
            track.last = None if track.last is None else track.last + span
            shown = track.last
        else:
            stamp = packet.dts * track.tick
            shown = stamp if packet.pts is None else packet.pts * track.tick
            back = track.last is not None and stamp < track.last - _BACK_S
            leap = self.leaps and track.last is not None and stamp > track.last + _AHEAD_S
            track.last, anew = stamp, back or leap
            track.stretch += anew
            if track.stretch == len(self._shifts):
                self._shifts.append(self._end - shown)
        shift = self._shifts[track.stretch]
        if shown is not None:
            self._end = max(self._end, shown + span + shift)
        if shift:
            ticks = round(shift / track.tick)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return anew


class _Place:
    """Where the clock stands in one track: `last` the container's own decoding stamp in seconds."""

    def __init__(self, stream: Stream, tick: float) -> None:
        self.tick, self.stretch = tick, 0
        self.last: float | None = None
        self.spacing = frame_s(stream) if isinstance(stream, VideoStream) else 0.0


def announced_s(path: Path, container: InputContainer, track: Stream) -> float | None:
    """Seconds that a header of the file claims for a track; None where none does, and FFmpeg guesses."""
    names = set(container.format.name.split(","))
    if names & {"flac", "mp3"} or not names & _TELLING or is_unfinished(path):
        return None
    return float(track.duration * track.time_base) if track.duration and track.time_base else None


def check_length(
    path: Path, what: str, found_s: float, claimed_s: float | None, *, counted: bool = False
) -> None:
    """Hold what was decoded against what a header claims; `counted`: a number of samples.

    Raises:
        DataError: too much is missing.
    """
    if claimed_s is not None and found_s < claimed_s - (
        SHORT_S if counted else max(2.5 * SHORT_S, SHORT * claimed_s)
    ):
        raise DataError(
            f"{path}: the {what} is cut short at {found_s:.2f} s of the {claimed_s:.2f} s that its header "
            "announces. Copy or download it again, or remove its row."
        )


def hole(path: Path, what: str, from_s: float, to_s: float, most_s: float) -> None:
    """Refuse a leap of the time stamps that no recording makes.

    Raises:
        DataError: it is longer than `most_s`.
    """
    if to_s - from_s > most_s:
        raise DataError(
            f"{path}: the time stamps of its {what} leap from {from_s:.2f} s to {to_s:.2f} s: they are "
            "damaged. Replace the file, or remove its row."
        )
