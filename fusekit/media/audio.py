"""Sound of a file or of a video's track: mono, resampled, on the file's clock, in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame

from fusekit.errors import DataError, NoTrackError
from fusekit.media.claims import header_s
from fusekit.media.container import (
    SHORT_S,
    announced_s,
    audio_track,
    check_length,
    checked,
    frames,
    hole,
    opened,
    origin,
)
from fusekit.media.ebml import JOINED

BLOCK = 1 << 16
"""Samples of a block, about; memory does not grow with the length of a file."""
REALIGN_S, DRIFT_S = 0.05, 0.5
"""Sound whose stamp stands further than the first from where the samples so far end is moved to its stamp;
than the second, where the stamp may be a guess."""
HOLE_S = 600.0
"""A stretch without sound, inside a track or before it, is silence up to this long."""
HOLES = 20
"""All such stretches together last no longer than that and so many times the sound."""
RATES_HZ = (1000, 768_000)
"""Rates beyond these are damage: nobody records sound so."""
MOST_CHANNELS = 64
"""More are damage, too."""


def read_audio(path: Path | str, rate_hz: int = 22050, start_s: float = 0.0) -> np.ndarray:
    """Sound of a file, all channels averaged: `(n,)` float32 at `rate_hz` Hz; sample i is at `i / rate_hz`
    seconds.

    The sound track of a video keeps its place on the video's clock: a late start is silence, a lead is cut.

    Args:
        start_s: seconds of the clip's clock at which the file's own clock begins: silence before it, or,
            below 0, sound that is cut off.

    Raises:
        DataError: missing, empty, damaged file, no sound track, no sample in it, or samples that are not
            numbers.
    """
    blocks = list(audio_blocks(path, rate_hz, start_s))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def audio_blocks(path: Path | str, rate_hz: int = 22050, start_s: float = 0.0) -> Iterator[np.ndarray]:
    """The same samples block by block: `(k,)` float32 each, equal to those of `read_audio` when joined."""
    path = checked(Path(path))
    lead = round(start_s * rate_hz)
    yield from _silence(max(0, lead))
    skipped = max(0, -lead)
    for block in _gathered(_resampled(path, rate_hz)):
        rest = block[skipped:]
        skipped -= len(block) - len(rest)
        if len(rest):
            yield rest


def _silence(count: int) -> Iterator[np.ndarray]:
    for begin in range(0, count, BLOCK):
        yield np.zeros(min(BLOCK, count - begin), np.float32)


def _gathered(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    waiting: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= BLOCK:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _resampled(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    """A stretch of one rate after the other, each with a resampler of its own."""
    stream: soxr.ResampleStream | None = None
    rate, given, done = 0, 0, 0.0  # of this stretch: its rate and samples; seconds before it
    total = 0
    for own_rate, block in _track(path):
        if own_rate != rate:
            if rate:
                done += given / rate
                end = _flushed(stream, round(done * rate_hz) - total)
                total += len(end)
                yield end
            rate, given = own_rate, 0
            stream = None if rate == rate_hz else soxr.ResampleStream(rate, rate_hz, 1, quality="HQ")
        given += len(block)
        made = block if stream is None else stream.resample_chunk(block)
        total += len(made)
        yield made
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _flushed(stream: soxr.ResampleStream | None, count: int) -> np.ndarray:
    """The end of a stretch, `count` samples long, so that the next one begins in its place."""
    rest = np.zeros(0, np.float32)
    if stream is not None:
        rest = stream.resample_chunk(rest, last=True)
    return np.pad(rest[: max(0, count)], (0, max(0, count - len(rest))))


def _track(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """`(rate, samples)` mono float32 from the file's time zero on, gapless."""
    with opened(path) as container:
        track = audio_track(container)
        if track is None:
            raise NoTrackError(
                f"{path}: has no sound track. Leave its voice column empty, or give a file with sound."
            )
        zero, rate, length, done = origin(container), 0, 0, 0.0
        heard, silent_s = False, 0.0
        after: int | None = None  # the stamp that the next frame has if it only continues this one
        mono = _Mono()
        for frame in frames(path, container, track):
            assert isinstance(frame, AudioFrame)
            if frame.sample_rate != rate:
                if not RATES_HZ[0] <= frame.sample_rate <= RATES_HZ[1]:
                    raise DataError(
                        f"{path}: its sound has {frame.sample_rate} samples a second by its header, which is "
                        "damaged. Replace the file or remove its row."
                    )
                done += length / rate if rate else 0.0
                rate, length = frame.sample_rate, 0
            if frame.layout.nb_channels > MOST_CHANNELS:
                raise DataError(
                    f"{path}: its sound has {frame.layout.nb_channels} channels by its header, which is "
                    "damaged. Replace the file or remove its row."
                )
            block = mono(frame)
            due = length
            if frame.pts is not None and frame.time_base is not None:
                due = round((float(frame.pts * frame.time_base) - zero - done) * rate)
            # Behind a change of rate stamps may only be the one before plus a length at the old rate.
            guessed = False
            if done > 0 and after is not None and frame.pts is not None:
                guessed = abs(frame.pts - after) <= 2
            if heard and abs(due - length) <= (DRIFT_S if guessed else REALIGN_S) * rate:
                due = length  # stamps are often rounded to milliseconds: keep the samples gapless
            after = frame.pts + frame.duration if frame.pts is not None and frame.duration else None
            if due > length:
                hole(path, "sound", done + length / rate, done + due / rate, HOLE_S)
                silent_s += (due - length) / rate
                if silent_s > HOLE_S + HOLES * (done + due / rate - silent_s):
                    raise DataError(
                        f"{path}: its time stamps leave {silent_s:.0f} s without sound before second "
                        f"{done + due / rate:.0f}: they are damaged. Replace the file, or remove its row."
                    )
                yield from ((rate, silence) for silence in _silence(due - length))
                length = due
            block = block[max(0, length - due) :]
            _check_numbers(path, block, done + length / rate, rate)
            length += len(block)
            heard = heard or len(block) > 0
            yield rate, block
        if not heard or not (length or done):
            raise DataError(f"{path}: its sound track holds no sample. Replace the file or remove its row.")
        found = done + length / rate + zero
        check_length(path, "sound", found, announced_s(path, container, track))
        claimed = header_s(path)
        check_length(path, "sound", found, claimed, counted=True)
        if claimed is not None and container.format.name == "flac" and found > claimed + SHORT_S:
            raise DataError(f"{path}: {JOINED}. Or remove its row.")


def _check_numbers(path: Path, block: np.ndarray, begin_s: float, rate: int) -> None:
    bad = np.flatnonzero(~np.isfinite(block))
    if len(bad):
        raise DataError(
            f"{path}: {len(bad)} samples are not numbers, the first at {begin_s + bad[0] / rate:.3f} s."
        )


class _Mono:
    """Frames of any sample format -> `(n,)` float32, the mean of their channels, which may change on the
    way."""

    def __init__(self) -> None:
        self._kind: tuple[str, int, int] | None = None
        self._packed = av.AudioResampler(format="flt")  # sample format only; rate and channels stay

    def __call__(self, frame: AudioFrame) -> np.ndarray:
        channels = frame.layout.nb_channels
        kind = (frame.format.name, channels, frame.sample_rate)
        if kind != self._kind:
            self._kind, self._packed = kind, av.AudioResampler(format="flt")
        # Interleaved: planes of more than eight channels lie where PyAV does not look.
        parts = [p.to_ndarray().reshape(-1, channels).mean(axis=1) for p in self._packed.resample(frame)]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
