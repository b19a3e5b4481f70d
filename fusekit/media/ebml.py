"""Matroska and WebM: are the elements of the file whole, one after the other, to its end?

Sources: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

from __future__ import annotations

import mmap

HEADER, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
TOP = frozenset(
    {
        CLUSTER,
        0x114D9B74,  # SeekHead
        0x1549A966,  # Info
        0x1654AE6B,  # Tracks
        0x1C53BB6B,  # Cues
        0x1941A469,  # Attachments
        0x1043A770,  # Chapters
        0x1254C367,  # Tags
        0xEC,  # Void
        0xBF,  # CRC-32
    }
)
INSIDE = frozenset({0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0x5854, 0xAF, 0xEC, 0xBF})
"""Of a cluster: its time, blocks and groups of them, position, previous size, silent tracks, encrypted
blocks."""
JOINED = (
    "several files are joined in one, of which a decoder reads the first alone. Split them, or join them anew"
)


def matroska(data: mmap.mmap) -> str | None:
    """What is wrong with the structure, as the end of a sentence; None: it is whole."""
    start, _, length, _ = element(data, 0)
    start, identity, length, _ = element(data, start + (length or 0))
    if identity != SEGMENT:
        return None  # the decoder has the last word
    end = len(data) if length is None else start + length
    if end > len(data):
        return _cut(end, len(data))
    at, in_cluster = start, False
    while at < end:
        start, identity, length, whole = element(data, at)
        if not whole:
            return _cut(at + 12, len(data)) if at + 12 > len(data) else f"it is damaged at byte {at}"
        if identity == CLUSTER and length is None:
            at, in_cluster = start, True
            continue
        if identity in (HEADER, SEGMENT):
            return JOINED
        if identity not in (TOP | INSIDE if in_cluster else TOP) or length is None:
            return f"it is damaged at byte {at}, where no element of its format stands"
        if (
            identity == CLUSTER
            and (damage := _inside(data, start, min(start + length, len(data)))) is not None
        ):
            return f"it is damaged at byte {damage}, where no element of its format stands"
        in_cluster = in_cluster and identity not in TOP - INSIDE
        at = start + length
        if at > len(data):
            return _cut(at, len(data))
    return JOINED if element(data, end)[1] == HEADER else None


def _inside(data: mmap.mmap, at: int, end: int) -> int | None:
    """Where a cluster's children stop making sense; None: nowhere."""
    while at < end:
        start, identity, length, whole = element(data, at)
        if not whole or identity not in INSIDE or length is None:
            return at
        at = start + length
    return None


def element(data: mmap.mmap, at: int) -> tuple[int, int, int | None, bool]:
    """`(start of its content, id, length or None where it is unknown, whether a head stands there)`."""
    head = data[at : at + 12]
    wide = 9 - head[0].bit_length() if head and head[0] else 0
    if not 1 <= wide <= 4 or len(head) <= wide or not head[wide]:
        return at, 0, 0, False
    size = 9 - head[wide].bit_length()
    if len(head) < wide + size:
        return at, 0, 0, False
    value = int.from_bytes(head[wide : wide + size], "big") & ((1 << 7 * size) - 1)
    unknown = value == (1 << 7 * size) - 1
    return at + wide + size, int.from_bytes(head[:wide], "big"), None if unknown else value, True


def _cut(end: int, size: int) -> str:
    return f"it is cut short: by its own structure it goes on to byte {end}, and it ends at {size}"
