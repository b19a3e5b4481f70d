"""Sound of a file or of a video's track: mono, resampled, on the file's clock."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from fusekit.errors import DataError
from fusekit.media.container import REALIGN_S, audio_track, checked, opened, origin

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff"})


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
    path = checked(Path(path))
    samples, own_rate = _sound_file(path) if path.suffix.lower() in SOUND_SUFFIXES else _sound_track(path)
    if len(samples) == 0:
        raise DataError(f"{path}: its sound track holds no sample. Replace the file or remove its row.")
    bad = np.flatnonzero(~np.isfinite(samples))
    if len(bad):
        raise DataError(
            f"{path}: {len(bad)} samples are not numbers, the first at {bad[0] / own_rate:.3f} s."
        )
    if own_rate != rate_hz:
        samples = soxr.resample(samples, own_rate, rate_hz, quality="HQ")
    shift = round(start_s * rate_hz)
    silence = np.zeros(max(0, shift), np.float32)
    return np.concatenate([silence, samples[max(0, -shift) :]]).astype(np.float32, copy=False)


def _sound_file(path: Path) -> tuple[np.ndarray, int]:
    try:
        with soundfile.SoundFile(path) as file:
            blocks = [block.mean(axis=1) for block in file.blocks(1 << 18, dtype="float32", always_2d=True)]
            return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), file.samplerate
    except soundfile.LibsndfileError:
        return _sound_track(path)  # a container under a sound file's name; FFmpeg has the last word


def _sound_track(path: Path) -> tuple[np.ndarray, int]:
    with opened(path) as container:
        track = audio_track(container)
        if track is None:
            raise DataError(
                f"{path}: has no sound track. Leave its voice column empty, or give a file with sound."
            )
        zero, own_rate, length = origin(container), track.codec_context.sample_rate, 0
        planar = av.AudioResampler(format="fltp")  # sample format only; rate and channels stay
        blocks: list[np.ndarray] = []
        for frame in container.decode(track):
            block = np.concatenate([part.to_ndarray().mean(axis=0) for part in planar.resample(frame)])
            due = length
            if frame.pts is not None and frame.time_base is not None:
                due = round((float(frame.pts * frame.time_base) - zero) * own_rate)
            if blocks and abs(due - length) <= REALIGN_S * own_rate:
                due = length  # stamps are often rounded to milliseconds: keep the samples gapless
            if due > length:
                blocks.append(np.zeros(due - length, np.float32))
                length = due
            block = block[max(0, length - due) :]
            blocks.append(block.astype(np.float32))
            length += len(block)
        return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), own_rate
