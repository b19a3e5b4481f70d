"""A folder of numbered pictures stands for a video: corpora cut into frames (AFEW-VA) come like this."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fusekit.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
_NUMBER = re.compile(r"\d+$")


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """`(number, file)` of every picture in a folder, in order of the number that ends its name.

    The number is a picture's place in time, so that one that is missing leaves a gap and moves no other.
    Other files, hidden ones and sub-folders are passed over.

    Raises:
        DataError: no such folder, no picture in it, a name without a number, or a number twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures. Check the path in the corpus root.")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        number = _NUMBER.search(path.stem)
        if number is None:
            raise DataError(
                f"{path}: this picture's name ends in no number, so its place in time is not known. "
                "Take it out of the folder, or name it as the others are."
            )
        other = found.setdefault(int(number.group()), path)
        if other is not path:
            raise DataError(f"{folder}: {other.name} and {path.name} have the same number; remove one.")
    if not found:
        raise DataError(f"{folder}: holds no picture ({', '.join(sorted(SUFFIXES))}).")
    return sorted(found.items())


def timed(folder: Path, start_s: float, step_s: float | None) -> Iterator[tuple[float, float, np.ndarray]]:
    """`(time_s, span_s, rgb)` of every picture, the first at `start_s`; each stands until the next one.

    Raises:
        DataError: no `step_s`; see also `numbered` and `decode`.
    """
    if step_s is None:
        raise DataError(f"{folder}: a folder of pictures does not tell their times. Give its step_s.")
    files = numbered(folder)
    first = files[0][0]
    following = [number for number, _ in files[1:]] + [files[-1][0] + 1]
    for (number, path), after in zip(files, following, strict=True):
        yield start_s + (number - first) * step_s, (after - number) * step_s, decode(path)


def decode(path: Path) -> np.ndarray:
    """A picture file -> `(H, W, 3)` uint8 RGB.

    Raises:
        DataError: it is empty, damaged or no picture.
    """
    content = np.fromfile(path, np.uint8)
    # OpenCV raises on an empty buffer and returns None for any other that it cannot read.
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if picture is None:
        what = "cannot be decoded" if len(content) else "is empty (0 bytes)"
        raise DataError(f"{path}: this picture {what}. Copy it again, or remove it: a gap may be.")
    return np.ascontiguousarray(picture[:, :, ::-1])
