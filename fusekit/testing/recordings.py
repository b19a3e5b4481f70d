"""Recordings made of a case's two: the ordinary one up to a second, the blank one from there on, and so on.

What a file holds after a moment must not be known before it; where content ends, begins or has a hole,
presence shows it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fusekit.contracts import Source
from fusekit.testing.subject import Subject

PLAIN = (".wav", ".npy", ".raw", ".dat", ".edf", ".bdf")
"""Files whose bytes are samples in order: two of one size can be joined anywhere."""
HEADER = 1024
"""Bytes in front of the samples, at most."""


@dataclass(frozen=True)
class Joined:
    """A recording of parts of two others.

    Attributes:
        source: of it. seconds: where one part gives way to the next, no later than it is.
    """

    source: Source
    seconds: tuple[float, ...]


def joined(
    subject: Subject, name: str, parts: Sequence[Source], shares: Sequence[float], duration_s: float
) -> Joined | None:
    """`parts[0]` up to `shares[0]` of the length, `parts[1]` up to `shares[1]`, ...

    None: such files cannot be joined.
    """
    paths = [part.path for part in parts]
    if any(path.is_dir() or path.suffix != paths[0].suffix for path in paths):
        return None
    data = [path.read_bytes() for path in paths]
    made = subject.inner(name) / paths[0].name
    lines = [_lines(one) for one in data]
    if all(lines) and len({len(one) for one in lines}) == 1:
        content, seconds = _of_lines(lines, shares, duration_s)
    elif paths[0].suffix.lower() in PLAIN and len({len(one) for one in data}) == 1:
        content, seconds = _of_bytes(data, shares, duration_s)
    else:
        return None
    made.write_bytes(content)
    return Joined(replace(parts[0], path=made), seconds)


def _lines(data: bytes) -> list[str]:
    try:
        return data.decode("utf-8").splitlines(keepends=True) if b"\0" not in data else []
    except UnicodeDecodeError:
        return []


def _of_lines(
    lines: Sequence[Sequence[str]], shares: Sequence[float], duration_s: float
) -> tuple[bytes, tuple[float, ...]]:
    n = len(lines[0])
    ends = [*(round(share * n) for share in shares), n]
    begins = [0, *ends[:-1]]
    text = "".join("".join(own[a:b]) for own, a, b in zip(lines, begins, ends, strict=True))
    margin = 3 * duration_s / n  # a header, and steps that are not even
    seconds = tuple(_time(lines[0][at], at / n * duration_s, margin) for at in ends[:-1])
    return text.encode(), seconds


def _time(line: str, guess: float, margin: float) -> float:
    """What a row says of its time, if it stands first and is near where it should be; else a little less."""
    first = line.replace(";", ",").replace("\t", ",").split(",")[0].strip()
    try:
        return float(first) if abs(float(first) - guess) <= margin else guess - margin
    except ValueError:
        return guess - margin


def _of_bytes(
    data: Sequence[bytes], shares: Sequence[float], duration_s: float
) -> tuple[bytes, tuple[float, ...]]:
    size = len(data[0])
    ends = [*(round(share * size) // 8 * 8 for share in shares), size]
    begins = [0, *ends[:-1]]
    content = b"".join(own[a:b] for own, a, b in zip(data, begins, ends, strict=True))
    return content, tuple((at - HEADER) / size * duration_s for at in ends[:-1])


def first_difference(a: np.ndarray, b: np.ndarray, rounding: float = 0.0) -> int:
    """Index of the first row in which two arrays of equal width differ; -1: none in what both have."""
    n = min(len(a), len(b))
    wide = np.abs(a[:n].astype(np.float64) - b[:n].astype(np.float64)).reshape(n, -1)
    odd = np.flatnonzero(~(wide <= rounding).all(axis=1))
    return int(odd[0]) if odd.size else -1


def beside(path: Path) -> list[Path]:
    """Files of a recording's folder."""
    return sorted(p for p in path.parent.rglob("*") if p.is_file())
