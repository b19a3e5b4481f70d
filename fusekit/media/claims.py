"""Lengths that headers of sound files claim and FFmpeg passes on mixed with guesses of its own: MP3, FLAC."""

from __future__ import annotations

import struct
from pathlib import Path

_RATES = (44100, 48000, 32000)
HEAD_BYTES = 4096


def header_s(path: Path) -> float | None:
    """Seconds by the header of an MP3 (Xing, Info, VBRI) or FLAC (STREAMINFO); None: it does not say."""
    head = _head(path)
    if head[:4] == b"fLaC" and len(head) >= 26:
        packed = int.from_bytes(head[18:26], "big")
        rate, samples = packed >> 44, packed & ((1 << 36) - 1)
        return samples / rate if rate and samples else None
    return _mp3(head)


def lacks_flac_header(path: Path) -> bool:
    """Frames of FLAC alone, without the header that tells their rate: the beginning is lost."""
    return _head(path)[:4] != b"fLaC"


def _head(path: Path) -> bytes:
    """The beginning of a file behind its ID3 tag."""
    with path.open("rb") as file:
        head = file.read(10)
        skip = 0
        if head[:3] == b"ID3" and len(head) == 10:
            for byte in head[6:10]:
                skip = skip << 7 | byte & 127
            skip += 10
        file.seek(skip)
        return file.read(HEAD_BYTES)


def _mp3(head: bytes) -> float | None:
    """Frames times their length, by the note that the first frame holds instead of sound."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, rate = head[1] >> 3 & 3, head[2] >> 2 & 3
    if version == 1 or rate == 3 or head[1] >> 1 & 3 != 1:  # layer III alone has such notes
        return None
    hertz = _RATES[rate] >> (0 if version == 3 else 1 if version == 2 else 2)
    length = 1152 if version == 3 else 576
    for word, at in ((b"Xing", 0), (b"Info", 0), (b"VBRI", 14)):
        found = head.find(word, 4, 64)
        if found < 0:
            continue
        if at:
            frames = struct.unpack_from(">I", head, found + at)[0]
        elif head[found + 7] & 1:
            frames = struct.unpack_from(">I", head, found + 8)[0]
        else:
            return None
        return float(frames) * length / hertz if frames else None
    return None
