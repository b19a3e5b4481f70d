"""Who a drawn face is, and the layers of a subject that do not change from frame to frame.

Canonical coordinates: the head's centre is (0, 0), the chin (0, 1), x to the viewer's right, y down. Layers
are drawn at twice the resolution of the picture and come down with it, so edges are soft.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fusekit.data.synthetic.settings import SIZE

CANVAS = 256
UNIT = 76.0
"""Canvas pixels per canonical unit; the picture has about half as many."""
CENTRE = np.array([128.0, 112.0])

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Identity:
    """What makes a subject look like no other; nothing here depends on valence or arousal."""

    skin: np.ndarray
    hair: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    shirt: np.ndarray
    walls: np.ndarray
    head_width: float
    jaw: float
    hairline: float
    hair_length: float
    fringe: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_open: float
    brow_y: float
    brow_thick: float
    brow_tilt: float
    nose_width: float
    nose_length: float
    mouth_y: float
    mouth_width: float
    mouth_curve: float
    lip_thick: float
    beard: float
    glasses: bool
    light: tuple[float, float]


def identity(rng: np.random.Generator) -> Identity:
    """A subject drawn at random. Colours vary a lot, geometry by a few per cent of the head."""

    def spread(mean: float, std: float) -> float:
        return float(mean + std * np.clip(rng.standard_normal(), -1.6, 1.6))

    tone = rng.uniform(0.05, 0.85)
    skin = np.array([246, 208, 178]) * (1 - tone) + np.array([118, 76, 54]) * tone + rng.normal(0, 6, 3)
    hairs = np.array(
        [[36, 28, 26], [92, 58, 34], [196, 152, 88], [150, 70, 38], [150, 150, 152], [60, 44, 40]]
    )
    irises = np.array([[86, 54, 30], [70, 110, 150], [84, 120, 78], [110, 92, 60]])
    skin = np.clip(skin, 20, 255)
    lips = skin * np.array([0.80, 0.50, 0.52]) + rng.normal(0, 8, 3) + np.array([20, 0, 6])
    return Identity(
        skin=skin,
        hair=np.clip(hairs[rng.integers(len(hairs))] + rng.normal(0, 8, 3), 0, 255),
        lips=np.clip(lips, 0, 255),
        iris=irises[rng.integers(len(irises))] + rng.normal(0, 6, 3),
        shirt=rng.uniform(40, 220, 3),
        walls=rng.uniform(60, 215, (2, 3)),
        head_width=spread(0.76, 0.04),
        jaw=spread(0.22, 0.10),
        hairline=spread(-0.66, 0.05),
        hair_length=float(rng.choice([0.0, 0.0, 0.45, 0.95])),
        fringe=spread(0.0, 0.08),
        eye_x=spread(0.32, 0.015),
        eye_y=spread(-0.10, 0.02),
        eye_width=spread(0.205, 0.012),
        eye_open=spread(0.0, 0.12),
        brow_y=spread(-0.40, 0.02),
        brow_thick=spread(0.075, 0.015),
        brow_tilt=spread(0.0, 0.14),
        nose_width=spread(0.13, 0.02),
        nose_length=spread(0.30, 0.03),
        mouth_y=spread(0.57, 0.025),
        mouth_width=spread(0.30, 0.02),
        mouth_curve=spread(0.0, 0.12),
        lip_thick=spread(0.05, 0.012),
        beard=float(rng.choice([0.0, 0.0, 0.0, 0.2, 0.4])),
        glasses=bool(rng.random() < 0.15),
        light=(spread(0.0, 0.6), spread(-0.3, 0.3)),
    )


def outline(who: Identity, points: int = 96) -> np.ndarray:
    """`(points, 2)` head outline in canonical units, from the viewer's right side through the chin."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    narrow = 1 - who.jaw * np.clip(y, 0, None) ** 1.5
    return np.stack([who.head_width * np.sign(x) * np.abs(x) ** 0.92 * narrow, y], axis=1)


def head_layer(who: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Head, hair, ears and neck: `(CANVAS, CANVAS, 3)` uint8 and its opacity `(CANVAS, CANVAS)` float32."""
    y, x = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
    x, y = (x - CENTRE[0]) / UNIT, (y - CENTRE[1]) / UNIT
    head = _filled([outline(who)])
    ears = np.maximum(*(_ellipse(x - side * who.head_width * 0.98, y - 0.02, 0.11, 0.2) for side in (-1, 1)))
    neck = _soft(np.maximum(np.abs(x) - 0.36 + 0.04 * np.cos(3 * y), 0.3 - y)) * _soft(y - 1.8)
    long = _ellipse(x, y + 0.05, who.head_width * 1.2, 1.17) * _soft(y - who.hair_length)
    back = long if who.hair_length > 0 else np.zeros_like(x)
    cap = _ellipse(x, y + 0.06, who.head_width * 1.1, 1.1)
    hairline = who.hairline + 0.32 * (x / who.head_width) ** 2 + who.fringe * np.sin(3 * x + 1.0)
    cap = cap * _soft(y - hairline)

    skin = np.broadcast_to(who.skin.astype(np.float32), (*x.shape, 3))
    bulge = np.sqrt(np.clip(1 - 0.75 * ((x / who.head_width) ** 2 + y**2), 0.02, 1))
    shade = 0.80 + 0.24 * bulge + 0.07 * (who.light[0] * x / who.head_width + who.light[1] * y)
    cheeks = sum(_ellipse(x - side * 0.40, y - 0.28, 0.22, 0.18, soft=0.2) for side in (-1, 1))
    picture = np.zeros((*x.shape, 3), np.float32)
    strands = 0.9 + 0.14 * np.sin(26 * np.arctan2(x, y + 1.4) + 2 * np.sin(5 * y))[..., None]
    picture = _over(picture, who.hair * strands * 0.8, back)
    picture = _over(picture, skin * 0.72, neck)
    picture = _over(picture, skin * 0.86, ears)
    face = skin * shade[..., None]
    face = _over(face, face * np.array([1.02, 0.86, 0.84], np.float32), 0.6 * np.clip(cheeks, 0, 1))
    stubble = who.beard * np.clip((y - 0.22 - 0.25 * np.cos(2.2 * x)) / 0.3, 0, 1)
    face = _over(face, 0.4 * face + 0.6 * who.hair, stubble)
    picture = _over(picture, face, head)
    picture = _over(picture, who.hair * strands, cap)
    opacity = np.clip(np.maximum.reduce([head, ears, neck, back, cap]), 0, 1)
    return np.clip(picture, 0, 255).astype(np.uint8), opacity.astype(np.float32)


def room_layers(who: Identity, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The room without and with the subject's shoulders: two pictures `(SIZE, SIZE, 3)` uint8."""
    big = 2 * SIZE
    y, x = np.mgrid[0:big, 0:big].astype(np.float32) / big
    blend = np.clip(0.5 + rng.uniform(-1, 1) * (x - 0.5) + rng.uniform(-1, 1) * (y - 0.5), 0, 1)[..., None]
    room = np.clip(who.walls[0] * blend + who.walls[1] * (1 - blend), 0, 255).astype(np.uint8)
    for _ in range(4):
        corner, size = rng.integers(0, big, 2), rng.integers(20, 90, 2)
        colour = tuple(float(c) for c in np.clip(who.walls[rng.integers(2)] + rng.normal(0, 35, 3), 0, 255))
        cv2.rectangle(room, tuple(map(int, corner)), tuple(map(int, corner + size)), colour, -1)
    room = cv2.GaussianBlur(room, (0, 0), 4)
    worn = room.copy()
    shirt = tuple(float(c) for c in who.shirt)
    cv2.ellipse(
        worn,
        (big // 2, int(big * 1.14)),
        (int(big * 0.42), int(big * 0.38)),
        0,
        0,
        360,
        shirt,
        -1,
        cv2.LINE_AA,
    )
    return _halved(room), _halved(worn)


def fixed(points: np.ndarray) -> np.ndarray:
    """Canonical `(n, 2)` -> canvas coordinates as OpenCV's fixed-point integers with 4 fractional bits."""
    return np.rint(points * (16 * UNIT) + 16 * CENTRE).astype(np.int32)


def _filled(polygons: list[np.ndarray]) -> np.ndarray:
    mask = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.fillPoly(mask, [fixed(p) for p in polygons], 255, cv2.LINE_AA, 4)
    return (mask / 255).astype(np.float32)


def _soft(distance: np.ndarray, soft: float = 0.015) -> np.ndarray:
    """Signed distance (negative inside) -> opacity."""
    return np.clip(0.5 - distance / (2 * soft), 0, 1)


def _ellipse(x: np.ndarray, y: np.ndarray, a: float, b: float, soft: float = 0.015) -> np.ndarray:
    radius = np.sqrt((x / a) ** 2 + (y / b) ** 2)
    return _soft((radius - 1) * min(a, b), soft)


def _over(below: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return below + (colour - below) * opacity[..., None]


def _halved(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
