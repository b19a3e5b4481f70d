"""What is drawn into a video: the face box; below the picture a strip with circumplex dial, values, gate bar.

The strip stands below, not upon, the picture: in a close-up every corner may hold a part of the face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from fusekit.study.canvas import ABSENT_COLOUR, MODALITY_COLOURS

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PAPER, _DISC = 18, (44, 44, 44)
_INK, _FAINT = (255, 255, 255), (120, 120, 120)
_TRAIL, _POINT = (86, 180, 233), (240, 228, 66)
_STRIP = 0.32
"""Height of the strip as a share of the picture's shorter side."""

Colour = tuple[int, int, int]


@dataclass
class Scene:
    """What one frame shows.

    Attributes:
        point: valence, arousal on the common scale, or None where the recipe lacks one of them.
        trail: `(n, 2)` earlier points, oldest first.
        texts: lines beside the dial.
        present: modality -> is it there; gate: modality -> its share, empty without a gate.
        box: `(4,)` face box in pixels of the frame.
    """

    point: np.ndarray | None
    trail: np.ndarray
    texts: Sequence[str]
    present: Mapping[str, bool]
    gate: Mapping[str, float] = field(default_factory=dict)
    box: np.ndarray | None = None


def draw(frame: np.ndarray, scene: Scene) -> np.ndarray:
    """`(H, W, 3)` uint8 RGB -> a copy with `scene` drawn in, `(H + strip, W, 3)`."""
    height, width = frame.shape[:2]
    unit = min(height, width)
    strip = round(_STRIP * unit)
    whole = np.full((height + strip, width, 3), _PAPER, np.uint8)
    picture, below = whole[:height], whole[height:]
    picture[:] = frame
    if scene.box is not None:
        x0, y0, x1, y1 = (round(float(v)) for v in scene.box)
        stroke = max(2, unit // 180)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), (0, 0, 0), stroke + 2, cv2.LINE_AA)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), _rgb(MODALITY_COLOURS[0]), stroke, cv2.LINE_AA)
    pad = max(3, strip // 16)
    left = pad
    if scene.point is not None:
        radius = strip // 2 - pad
        _dial(below, (left + radius, strip // 2), radius, scene.point, scene.trail)
        left += 2 * radius + 2 * pad
    _values(below, (left, pad, width - pad, strip - pad), scene)
    return whole


def _dial(
    strip: np.ndarray, centre: tuple[int, int], radius: int, point: np.ndarray, trail: np.ndarray
) -> None:
    """Unit circle, valence to the right, arousal up; a point outside of it is drawn on its rim."""
    x, y = centre
    cv2.circle(strip, centre, radius, _DISC, -1, cv2.LINE_AA)
    cv2.line(strip, (x - radius, y), (x + radius, y), _FAINT, 1)
    cv2.line(strip, (x, y - radius), (x, y + radius), _FAINT, 1)
    cv2.circle(strip, centre, radius, _INK, 1, cv2.LINE_AA)
    size = radius / 120
    _write(strip, "V", (x + radius - round(24 * size), y - 3), size, _INK)
    _write(strip, "A", (x + 3, y - radius + round(28 * size)), size, _INK)
    spots = [_on_dial(p, centre, radius) for p in (*trail, point)]
    for i, (a, b) in enumerate(zip(spots, spots[1:], strict=False), start=1):
        fresh = i / (len(spots) - 1)
        colour = [round(fresh * c + (1 - fresh) * d) for c, d in zip(_TRAIL, _DISC, strict=True)]
        cv2.line(strip, a, b, colour, 1 + radius // 50, cv2.LINE_AA)
    cv2.line(strip, centre, spots[-1], _INK, 1 + radius // 40, cv2.LINE_AA)
    cv2.circle(strip, spots[-1], max(3, radius // 12), _POINT, -1, cv2.LINE_AA)


def _on_dial(point: np.ndarray, centre: tuple[int, int], radius: int) -> tuple[int, int]:
    v, a = point / max(1.0, float(np.hypot(*point)))
    return round(centre[0] + float(v) * radius), round(centre[1] - float(a) * radius)


def _values(strip: np.ndarray, area: tuple[int, int, int, int], scene: Scene) -> None:
    """Numbers; below them a bar that the modalities share by their gate, or equally where there is none."""
    x0, y0, x1, y1 = area
    line = (y1 - y0) / (len(scene.texts) + 1.4)
    size = line / 48
    for i, text in enumerate(scene.texts, start=1):
        _write(strip, text, (x0, round(y0 + (i - 0.3) * line)), size, _INK)
    y0, begin = round(y0 + (len(scene.texts) + 0.2) * line), float(x0)
    for i, (m, here) in enumerate(scene.present.items()):
        share = scene.gate[m] if scene.gate else 1 / len(scene.present)
        end = begin + share * (x1 - x0)
        bar = (round(begin), y0, round(end), y1)
        begin = end
        if bar[2] > bar[0]:
            colour = _rgb(MODALITY_COLOURS[i % len(MODALITY_COLOURS)] if here else ABSENT_COLOUR)
            cv2.rectangle(strip, bar[:2], (bar[2] - 1, bar[3]), colour, -1)
            _inside(strip, f"{m} {share:.0%}" if scene.gate else m if here else f"no {m}", bar, size)
    absent = [m for m, here in scene.present.items() if not here]
    if absent and scene.gate:
        text = "no " + ", no ".join(absent)
        width, _ = _size(text, size)
        _write(strip, text, (x1 - width, round(area[1] + 0.7 * line)), size, _POINT)


def _inside(strip: np.ndarray, text: str, bar: tuple[int, int, int, int], size: float) -> None:
    """Black text on a bar `x0, y0, x1, y1`, if it fits."""
    width, height = _size(text, size)
    if width + 6 <= bar[2] - bar[0]:
        _write(strip, text, (bar[0] + 4, (bar[1] + bar[3] + height) // 2), size, (0, 0, 0))


def _write(strip: np.ndarray, text: str, where: tuple[int, int], size: float, colour: Colour) -> None:
    cv2.putText(strip, text, where, _FONT, size, colour, _weight(size), cv2.LINE_AA)


def _size(text: str, size: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, size, _weight(size))
    return width, height


def _weight(size: float) -> int:
    return max(1, round(1.8 * size))


def _rgb(code: str) -> Colour:
    """`#rrggbb` -> RGB."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)
