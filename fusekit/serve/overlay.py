"""What is drawn into a frame: face box, circumplex dial with a trail, gate bar. Drawn with OpenCV, in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from fusekit.study.canvas import ABSENT_COLOUR, MODALITY_COLOURS

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _DIM, _NEEDLE = (255, 255, 255), (150, 150, 150), (255, 255, 255)
_SHADE = 0.45
"""How much of the picture shows through behind the dial and the bar."""


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


def draw(frame: np.ndarray, scene: Scene) -> None:
    """Draw `scene` into `frame (H, W, 3)` uint8 RGB."""
    height, width = frame.shape[:2]
    unit = min(height, width)
    pad = max(4, unit // 40)
    if scene.box is not None:
        x0, y0, x1, y1 = (round(float(v)) for v in scene.box)
        stroke = max(1, unit // 240)
        cv2.rectangle(frame, (x0, y0), (x1, y1), (0, 0, 0), stroke + 2, cv2.LINE_AA)
        cv2.rectangle(frame, (x0, y0), (x1, y1), _colour(MODALITY_COLOURS[0]), stroke, cv2.LINE_AA)
    left = pad
    if scene.point is not None:
        radius = round(0.14 * unit)
        centre = (left + radius, height - pad - radius)
        _dial(frame, centre, radius, scene.point, scene.trail)
        left += 2 * radius + pad
    _legend(frame, left, height - pad, width - pad, scene)


def _dial(
    frame: np.ndarray, centre: tuple[int, int], radius: int, point: np.ndarray, trail: np.ndarray
) -> None:
    """Unit circle, valence to the right, arousal up; a point outside of it is drawn on its rim."""
    x, y = centre
    part = frame[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
    dark = part.copy()
    cv2.circle(dark, (radius, radius), radius, (0, 0, 0), -1, cv2.LINE_AA)
    cv2.addWeighted(part, _SHADE, dark, 1 - _SHADE, 0, dst=part)
    cv2.circle(frame, centre, radius, _INK, 1, cv2.LINE_AA)
    cv2.line(frame, (x - radius, y), (x + radius, y), _DIM, 1)
    cv2.line(frame, (x, y - radius), (x, y + radius), _DIM, 1)
    size = radius / 130
    cv2.putText(frame, "V", (x + radius - round(26 * size) - 2, y - 3), _FONT, size, _INK, 1, cv2.LINE_AA)
    cv2.putText(frame, "A", (x + 3, y - radius + round(24 * size) + 4), _FONT, size, _INK, 1, cv2.LINE_AA)
    spots = [_on_dial(p, centre, radius) for p in (*trail, point)]
    for i, (a, b) in enumerate(zip(spots, spots[1:], strict=False), start=1):
        age = i / max(len(spots) - 1, 1)
        cv2.line(frame, a, b, tuple(round(age * c) for c in (240, 228, 66)), 1 + radius // 60, cv2.LINE_AA)
    cv2.line(frame, centre, spots[-1], _NEEDLE, 1 + radius // 40, cv2.LINE_AA)
    cv2.circle(frame, spots[-1], max(2, radius // 14), _colour("#D55E00"), -1, cv2.LINE_AA)
    cv2.circle(frame, spots[-1], max(2, radius // 14), _INK, 1, cv2.LINE_AA)


def _on_dial(point: np.ndarray, centre: tuple[int, int], radius: int) -> tuple[int, int]:
    v, a = point / max(1.0, float(np.hypot(*point)))
    return round(centre[0] + float(v) * radius), round(centre[1] - float(a) * radius)


def _legend(frame: np.ndarray, left: int, bottom: int, right: int, scene: Scene) -> None:
    """Numbers, and below them the gate as a bar that the modalities share, or the modalities that are there."""
    unit = min(frame.shape[:2])
    size = unit / 850
    line = round(34 * size) + 4
    rows = len(scene.texts) + 1
    top = bottom - rows * line - round(0.4 * line)
    span = min(right - left, round(0.62 * unit))
    part = frame[top:bottom, left : left + span]
    part[:] = (part * _SHADE).astype(np.uint8)
    inner, y = left + line // 3, top
    for text in scene.texts:
        y += line
        cv2.putText(frame, text, (inner, y - line // 4), _FONT, size, _INK, 1, cv2.LINE_AA)
    y0, y1 = y + line // 6, bottom - line // 5
    x, whole = float(inner), span - 2 * (line // 3)
    for i, (m, here) in enumerate(scene.present.items()):
        # Without a gate the modalities stand side by side: the bar then tells only which are there.
        share = scene.gate[m] if scene.gate else 1 / len(scene.present)
        colour = _colour(MODALITY_COLOURS[i % len(MODALITY_COLOURS)] if here else ABSENT_COLOUR)
        x0, x1 = round(x), round(x + whole * share)
        x += whole * share
        cv2.rectangle(frame, (x0, y0), (x1 - 1, y1), colour, -1) if x1 > x0 else None
        _fitting(frame, _label(m, here, scene.gate.get(m)), (x0, x1, y0, y1), size)
    absent = [m for m, here in scene.present.items() if not here]
    if scene.gate and absent:
        _fitting(frame, "no " + ", ".join(absent), (inner, inner + whole, y0, y1), size)


def _label(name: str, here: bool, gate: float | None) -> str:
    if gate is None:
        return name if here else f"no {name}"
    return f"{name} {gate:.0%}" if here else ""


def _fitting(frame: np.ndarray, text: str, area: tuple[int, int, int, int], size: float) -> None:
    """Text in black on the area `x0, x1, y0, y1`, if it fits."""
    x0, x1, y0, y1 = area
    (width, height), _ = cv2.getTextSize(text, _FONT, size, 1)
    if text and width + 4 <= x1 - x0:
        cv2.putText(frame, text, (x0 + 3, (y0 + y1 + height) // 2), _FONT, size, (0, 0, 0), 1, cv2.LINE_AA)


def _colour(code: str) -> tuple[int, int, int]:
    """`#rrggbb` -> RGB."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)
