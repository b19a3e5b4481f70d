"""Does a file end where its own structure says that it ends?

Containers tell how long they, or their parts, are; what a decoder finds in a file that was cut short looks
like a shorter recording, so it is asked here, before anything is decoded. A length that was never filled in
(a recorder that crashed, a stream that was written into a pipe) is no length.

Sources: the layouts of RIFF, RF64 (EBU Tech 3306), W64, AIFF, AU, CAF, ISO base media (ISO/IEC 14496-12),
FLV, ASF, Ogg (RFC 3533), MXF (SMPTE ST 377-1), GIF89a, MPEG-1 and -2 systems (ISO/IEC 13818-1).
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from fusekit.media.ebml import JOINED, matroska

UNKNOWN_FROM = 0x7FFF_0000
"""32-bit lengths from here on, in files that are shorter, are what writers put in who do not know the
length."""
TAIL_BYTES = 1 << 17
MORE_BYTES = 1 << 14
"""So much behind the end of a WAV's sound that is no chunk is sound, too."""
Data = mmap.mmap


def unsound(path: Path) -> str | None:
    """What is wrong with the file's outer structure, as the end of a sentence; None: nothing."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for magic, at, check in _KINDS:
            if data[at : at + len(magic)] == magic:
                return check(data)
        return _transport(data) if data[:1] == b"G" or data[4:5] == b"G" else None


def has_stale_length(path: Path) -> bool:
    """A WAV whose sound goes on after the length in its header, which was written before the recording
    ended."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
            return False
        end = _wave_end(data)
        rest = data[end : end + MORE_BYTES] if end is not None else b""
        return len(rest) == MORE_BYTES and any(rest) and not re.fullmatch(rb"[ -~]{4}", rest[:4])


def is_unfinished(path: Path) -> bool:
    """A RIFF file (AVI) whose length was never filled in: other numbers in its header are no better."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != b"RIFF" or len(head) < 8:
        return False
    length = int(struct.unpack_from("<I", head, 4)[0])
    return length == 0 or (length >= UNKNOWN_FROM and length > path.stat().st_size)


def cut(end: int, data: Data) -> str | None:
    """The sentence where something should reach to byte `end`."""
    if end <= len(data):
        return None
    return f"it is cut short: by its own structure it goes on to byte {end}, and it ends at {len(data)}"


def _joined_by(magic: bytes, at: int, data: Data) -> str | None:
    return JOINED if data[at : at + len(magic)] == magic else None


def _riff(data: Data) -> str | None:
    order = ">" if data[:4] == b"RIFX" else "<"
    kind = data[8:12]
    if kind == b"WAVE":
        end = _wave_end(data)
        if end is None:
            return None
        return cut(end, data) or _joined_by(data[:4], end + end % 2, data) or _joined_by(data[:4], end, data)
    end, first = 0, True
    while data[end : end + 4] == data[:4]:  # films over a gigabyte are several of these
        if not first and data[end + 8 : end + 12] != b"AVIX":
            return JOINED
        length = int(struct.unpack_from(f"{order}I", data, end + 4)[0]) if end + 8 <= len(data) else 0
        end, first = end + 8 + length, False
        if length == 0 or (length >= UNKNOWN_FROM and end > len(data)):
            return None
    return cut(end - 1, data)  # the last byte of padding may be missing


def _wave_end(data: Data) -> int | None:
    """Where the sound of a WAV ends by its header; None: it does not say."""
    order = ">" if data[:4] == b"RIFX" else "<"
    at, long = 12, None
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int(struct.unpack_from(f"{order}I", data, at + 4)[0])
        if name == b"ds64" and at + 24 <= len(data):
            long = int(struct.unpack_from("<Q", data, at + 16)[0])
        if name == b"data":
            if length == 0xFFFF_FFFF and long is not None:
                return at + 8 + long if 0 < long < 1 << 62 else None
            unknown = length == 0 or (length >= UNKNOWN_FROM and at + 8 + length > len(data))
            return None if unknown else at + 8 + length
        at += 8 + length + length % 2
    return None


def _aiff(data: Data) -> str | None:
    length = int(struct.unpack_from(">I", data, 4)[0])
    end = 8 + length
    if length == 0 or (length >= UNKNOWN_FROM and end > len(data)):
        return None
    return cut(end - 1, data) or _joined_by(b"FORM", end, data)


def _w64(data: Data) -> str | None:
    length = int(struct.unpack_from("<Q", data, 16)[0])
    if not 0 < length < 1 << 62:
        return None
    return cut(length - 8, data) or _joined_by(data[:8], length, data)


def _au(data: Data) -> str | None:
    start, length = struct.unpack_from(">II", data, 4)
    if length in (0, 0xFFFF_FFFF):
        return None
    return cut(start + length, data) or _joined_by(b".snd", start + length, data)


def _caf(data: Data) -> str | None:
    at = 8
    while at + 12 <= len(data):
        length = int(struct.unpack_from(">q", data, at + 4)[0])
        if data[at : at + 4] == b"caff":
            return JOINED
        if length < 0:  # unknown: to the end of the file
            return None
        at += 12 + length
    return cut(at, data)


def _boxes(data: Data) -> str | None:
    at, seen = 0, False
    while at + 8 <= len(data):
        length, name = int(struct.unpack_from(">I", data, at)[0]), data[at + 4 : at + 8]
        if name == b"ftyp":
            if seen:
                return JOINED
            seen = True
        if length == 1 and at + 16 <= len(data):
            length = int(struct.unpack_from(">Q", data, at + 8)[0])
        if length < 8 or not re.fullmatch(rb"[ -~\xa9]{4}", name):
            return None  # to the end of the file, or something that was put behind it
        at += length
    return cut(at, data) if at > len(data) else None


def _flv(data: Data) -> str | None:
    at = int(struct.unpack_from(">I", data, 5)[0]) + 4
    while at + 11 <= len(data) and data[at] & 0x1F in (8, 9, 18):
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")
    # Some writers leave the last back pointer out.
    fault = cut(at - 4, data) or _joined_by(b"FLV", at, data)
    if fault is None and at + 11 <= len(data):
        return f"it is damaged at byte {at}, where no tag of its format stands"
    return fault


def _asf(data: Data) -> str | None:
    facts = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
    at = data.find(facts, 0, 1 << 16)
    if at < 0 or at + 92 > len(data):
        return None
    length, flags = struct.unpack_from("<Q", data, at + 40)[0], struct.unpack_from("<I", data, at + 88)[0]
    if flags & 1 or length == 0:  # bit 0: a live stream
        return None
    return cut(int(length), data) or _joined_by(data[:8], int(length), data)


def _ogg(data: Data) -> str | None:
    """Pages from the first to the last; what comes behind the last page of a stream is no part of it."""
    at, ended = 0, False
    while data[at : at + 4] == b"OggS":
        if at + 27 > len(data) or at + 27 + data[at + 26] > len(data):
            return cut(at + 28, data) or cut(len(data) + 1, data)
        end = at + 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        if end <= len(data) and _page_sum(data[at:end]) != data[at + 22 : at + 26]:
            # Decoders leave such a page out, and not all of them leave a hole in its place.
            return f"it is damaged between bytes {at} and {end}, where the sum does not fit"
        at, ended = end, bool(data[at + 5] & 4)
    rest = len(data) - at
    if rest > 0 and (not ended or data.find(b"OggS", at) >= 0):
        return (
            f"it is damaged at byte {at}, where no page of its format stands"
            if rest >= 4
            else cut(at + 28, data)
        )
    return cut(at, data)


def _page_sum(page: bytes) -> bytes:
    """CRC-32 of an Ogg page as RFC 3533 has it: bits from the top, begun at 0; zlib's is the mirror image."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRROR)
    return (zlib.crc32(mirrored, 0xFFFF_FFFF) ^ 0xFFFF_FFFF).to_bytes(4, "big").translate(_MIRROR)


def _mxf(data: Data) -> str | None:
    """Keys, lengths and values, one after the other, with one header (SMPTE ST 377-1)."""
    at, footed = 0, False
    while at + 17 <= len(data):
        if data[at : at + 4] != _MXF[:4]:
            return None if footed else f"it is damaged at byte {at}, where no key of its format stands"
        footed = footed or (data[at : at + 13] == _MXF[:13] and data[at + 13] == 4)
        if at and data[at : at + 14] == _MXF:
            return JOINED
        length, size = data[at + 16], 0
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at + 17 : at + 17 + size], "big")
        at += 17 + size + length
    return cut(at, data)


def _gif(data: Data) -> str | None:
    ended = data[-TAIL_BYTES:].rstrip(b"\0").endswith(b";")  # its trailer
    return None if ended else "it is cut short: the mark that ends it is not there"


def _tta(data: Data) -> str | None:
    """True Audio: a table of the sizes of all frames."""
    rate, samples = struct.unpack_from("<II", data, 10)
    count = -(-samples // max(1, 256 * rate // 245))
    if 26 + 4 * count > len(data):
        return cut(26 + 4 * count, data)
    end = 26 + 4 * count + sum(struct.unpack_from(f"<{count}I", data, 22))
    return cut(end, data) or (JOINED if data.find(b"TTA1", end) >= 0 else None)  # a tag may be between


def _voc(data: Data) -> str | None:
    at = int(struct.unpack_from("<H", data, 20)[0])
    while at + 4 <= len(data) and data[at]:
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "little")
    return cut(at, data) or _joined_by(b"Creative Voice File", at + 1, data)


def _program(data: Data) -> str | None:
    """MPEG program stream: the packets after the last pack header but a few."""
    at = data.rfind(b"\0\0\1\xba", 0, max(4, len(data) - (TAIL_BYTES >> 1)))
    at = max(at, 0)
    while at + 6 <= len(data) and data[at : at + 3] == b"\0\0\1":
        code = data[at + 3]
        if code == 0xB9:
            at += 4
        elif code == 0xBA:
            two = data[at + 4] >> 6 == 1
            at += 14 + (data[at + 13] & 7 if at + 13 < len(data) else 0) if two else 12
        elif code >= 0xBB:
            at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
        else:
            return None
    rest = data[at : at + 6]
    begun = 0 < len(rest) < 6 and b"\0\0\1".startswith(rest[:3])
    return cut(at + 6 if begun else at, data)


def _transport(data: Data) -> str | None:
    """MPEG transport stream: whole packets of one size (188; 192 with time codes, 204 with parity)."""
    for size, offset in ((188, 0), (192, 4), (204, 0)):
        marks = data[offset : offset + 16 * size : size]
        if len(marks) >= 3 and set(marks) == {0x47}:
            whole = len(data) - len(data) % size
            more = data[whole + offset : whole + offset + 1] == b"G"
            tail = data[-8 * size :]
            if not more and not any(set(tail[at::size][:-1]) == {0x47} for at in range(size)):
                return "it ends in bytes that are no packets of its format"
            return cut(whole + size, data) if more else None
    return None


_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_MXF = bytes.fromhex("060e2b34020501010d0102010102")
_KINDS: tuple[tuple[bytes, int, Callable[[Data], str | None]], ...] = (
    *((magic, 0, _riff) for magic in (b"RIFF", b"RIFX", b"RF64", b"BW64")),
    (b"FORM", 0, _aiff),
    (b"riff\x2e\x91\xcf\x11", 0, _w64),
    (b".snd", 0, _au),
    (b"caff", 0, _caf),
    *((name, 4, _boxes) for name in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof")),
    (b"\x1a\x45\xdf\xa3", 0, matroska),
    (b"OggS", 0, _ogg),
    (b"FLV", 0, _flv),
    (_MXF, 0, _mxf),
    (b"GIF8", 0, _gif),
    (b"TTA1", 0, _tta),
    (b"Creative Voice File", 0, _voc),
    (bytes.fromhex("3026b2758e66cf11"), 0, _asf),
    (b"\0\0\1\xba", 0, _program),
)
