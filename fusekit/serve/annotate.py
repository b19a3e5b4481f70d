"""A copy of a video with what the model sees and says drawn in, in step with its sound.

Frames keep their own times, variable rates included, and stand upright. Sound packets are copied as they
are where an MP4 file can hold them; other sound is encoded again as AAC, mono.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from fusekit.data.labels import scale
from fusekit.engine.files import partial_file, remove_left_parts
from fusekit.errors import DataError
from fusekit.media import audio_blocks, probe, read_video
from fusekit.media.container import audio_track, open_file, origin
from fusekit.serve.overlay import Scene, draw
from fusekit.serve.predictor import FilePrediction

CLOCK = 90_000
"""Ticks a second of the written video: common rates and milliseconds are whole numbers of it."""
READABLE_PX = 320
"""Small pictures are enlarged by a whole number towards this shorter side, so that the values can be read."""
TRAIL_S = 2.0
AAC_HZ = 48_000
AAC_BLOCK = 1024
COPIED = frozenset({"aac", "alac", "mp3", "opus", "ac3", "eac3"})
_CLEAN = frozenset({"mp4", "mov", "matroska"})
"""Containers whose packets carry their headers apart, as MP4 wants them."""

Progress = Callable[[int, int], None]


def annotate(found: FilePrediction, out: Path, progress: Progress | None = None) -> Path:
    """Write `out`, an MP4: `found`'s video with face box, needle and gate drawn in, and its sound.

    A reader sees the old file or the new one, never a part.

    Raises:
        DataError: there is no video, it is damaged, or `out` cannot be written.
    """
    if found.video is None:
        raise DataError(f"{found.file} has no picture to draw into; --video needs a video file.")
    partial = partial_file(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_left_parts(out)
        with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            _write(container, found, progress)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(out)
    except (OSError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot write the video '{out}': {reason}.") from error
    finally:
        if partial.is_file():
            partial.unlink()
    return out


def scene_at(found: FilePrediction, time_s: float) -> Scene:
    """What is known at `time_s`: the latest step at or before it, and the face box of the latest frame."""
    row = max(int(np.searchsorted(found.times, time_s + 1e-3, side="right")) - 1, 0)
    point, trail = None, np.zeros((0, 2))
    if {"valence", "arousal"} <= set(found.dims):
        columns = [found.dims.index("valence"), found.dims.index("arousal")]
        begin = int(np.searchsorted(found.times, found.times[row] - TRAIL_S))
        trail = scale(found.prediction[begin : row + 1, columns], found.label_range).astype(np.float64)
        trail, point = trail[:-1], trail[-1]
    gate = found.trace.get("gate")
    return Scene(
        point=point,
        trail=trail,
        texts=[f"{dim} {value:+.2f}" for dim, value in zip(found.dims, found.prediction[row], strict=True)],
        present={m: bool(found.present[row, i]) for i, m in enumerate(found.modalities)},
        gate={} if gate is None else {m: float(gate[row, i]) for i, m in enumerate(found.modalities)},
        box=None if found.face is None else found.face.at(time_s),
    )


def _write(container: Any, found: FilePrediction, progress: Progress | None) -> None:
    assert found.video is not None
    info = probe(found.video)
    video: Any = None
    sound: Iterator[tuple[float, Any]] = iter(())
    waiting: tuple[float, Any] | None = None
    last_tick = -1
    for number, picture in enumerate(read_video(found.video)):
        scene = scene_at(found, picture.time_s)
        frame = _drawn(picture.rgb, scene)
        if video is None:
            # Both tracks must be there before the first packet is written.
            video = _video_track(container, frame, info.fps)
            sound = _sound(container, found)
            waiting = next(sound, None)
        encoded = av.VideoFrame.from_ndarray(frame, format="rgb24")
        # Two frames may carry one stamp; a track may not.
        last_tick = max(round(picture.time_s * CLOCK), last_tick + 1)
        encoded.pts, encoded.time_base = last_tick, Fraction(1, CLOCK)
        container.mux(video.encode(encoded))
        while waiting is not None and waiting[0] <= picture.time_s:
            container.mux(waiting[1])
            waiting = next(sound, None)
        if progress is not None:
            progress(min(number + 1, info.frames), info.frames)
    container.mux(video.encode(None))
    while waiting is not None:
        container.mux(waiting[1])
        waiting = next(sound, None)


def _video_track(container: Any, frame: np.ndarray, fps: float) -> Any:
    rate = Fraction(fps or 25.0).limit_denominator(1001)
    track = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
    track.height, track.width = frame.shape[:2]
    track.pix_fmt = "yuv420p"
    track.codec_context.time_base = Fraction(1, CLOCK)
    return track


def _drawn(rgb: np.ndarray, scene: Scene) -> np.ndarray:
    """`(H, W, 3)` -> enlarged if it is tiny, with `scene` drawn in; both sides even, as H.264 wants."""
    times = max(1, round(READABLE_PX / min(rgb.shape[:2])))
    if times > 1:
        rgb = cv2.resize(rgb, None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR)
        scene = replace(scene, box=None if scene.box is None else scene.box * times)
    frame = draw(rgb, scene)
    return cv2.copyMakeBorder(frame, 0, frame.shape[0] % 2, 0, frame.shape[1] % 2, cv2.BORDER_REPLICATE)


def _sound(container: Any, found: FilePrediction) -> Iterator[tuple[float, Any]]:
    """The sound track, opened at once; packets with their times, in order."""
    if found.sound is None:
        return iter(())
    source = open_file(found.sound)
    kinds = set(source.format.name.split(","))
    track = audio_track(source)
    if (
        found.sound == found.video
        and track is not None
        and track.codec_context is not None
        and kinds & _CLEAN
        and track.codec_context.name in COPIED
    ):
        return _copied(source, track, container.add_stream_from_template(track))
    source.close()
    mono = container.add_stream("aac", rate=AAC_HZ, layout="mono")
    return _encoded(audio_blocks(found.sound, AAC_HZ), mono)


def _copied(source: Any, track: Any, target: Any) -> Iterator[tuple[float, Any]]:
    zero = Fraction(origin(source))
    with source:
        for packet in source.demux(track):
            if packet.dts is None:  # the flush at the end
                continue
            shift = round(zero / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = target
            yield float(packet.dts * packet.time_base), packet


def _encoded(blocks: Iterator[np.ndarray], track: Any) -> Iterator[tuple[float, Any]]:
    begin = 0
    for samples in blocks:
        for at in range(0, len(samples), AAC_BLOCK):
            piece = np.ascontiguousarray(samples[None, at : at + AAC_BLOCK])
            block = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = AAC_HZ, begin, Fraction(1, AAC_HZ)
            for packet in track.encode(block):
                yield begin / AAC_HZ, packet
            begin += piece.shape[1]
    for packet in track.encode(None):
        yield begin / AAC_HZ, packet
