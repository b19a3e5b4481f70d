"""Damage of pictures: the face is there, in its box, but tells less; at strength 3 next to nothing."""

from __future__ import annotations

import cv2
import numpy as np

from fusekit.data.synthetic.schedules import Stretch
from fusekit.data.synthetic.settings import SIZE

BLUR_PX = (1.4, 3.2, 9.0)
NOISE_KEPT = (0.90, 0.60, 0.10)
"""Share of the picture's contrast that survives noise."""
NOISE_LEVEL = (11.0, 30.0, 72.0)
COVER_SHARE = (0.24, 0.52, 1.10)
"""Height of what covers the face, as a share of the box's."""
MOSAIC_PX = (4, 8, 20)


class PictureDamage:
    """One stretch of damage; draws what stays the same over the stretch once."""

    def __init__(self, stretch: Stretch, rng: np.random.Generator) -> None:
        self._kind, self._level = stretch.kind, stretch.strength - 1
        self._rng = rng
        self._colour = rng.uniform(30, 220, 3)
        self._weave = rng.uniform(0.2, 0.9, 2)
        self._from_below = bool(rng.random() < 0.6)
        self._tilt = float(rng.uniform(-12, 12))

    def __call__(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        """`(SIZE, SIZE, 3)` uint8 and its face box `(4,)` -> damaged copy."""
        kinds = {"blur": self._blur, "noise": self._noise, "cover": self._cover, "mosaic": self._mosaic}
        return kinds[self._kind](picture, box)

    def _blur(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(picture, (0, 0), BLUR_PX[self._level], borderType=cv2.BORDER_REPLICATE)

    def _noise(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Grain of two sizes over a washed-out picture, new in every frame."""
        kept, level = NOISE_KEPT[self._level], NOISE_LEVEL[self._level]
        grain = self._rng.standard_normal((SIZE, SIZE, 3), np.float32)
        clumps = self._rng.standard_normal((SIZE // 4, SIZE // 4, 3), np.float32)
        grain += 1.2 * cv2.resize(clumps, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        mean = picture.mean(axis=(0, 1))
        return np.clip(mean + (picture - mean) * kept + level * grain, 0, 255).astype(np.uint8)

    def _cover(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        """A woven cloth before the face, from the chin up or from the brows down; it trembles."""
        x0, y0, x1, y1 = box
        width, height = (x1 - x0) * 1.3, (y1 - y0) * COVER_SHARE[self._level]
        middle_y = y1 + 3 - height / 2 if self._from_below else y0 - 3 + height / 2
        centre = np.array([(x0 + x1) / 2, middle_y]) + self._rng.normal(0, 0.8, 2)
        middle = (float(centre[0]), float(centre[1]))
        corners = cv2.boxPoints((middle, (float(width), float(height)), self._tilt))
        mask = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        weave = 1 + 0.18 * np.sin(self._weave[0] * x) * np.sin(self._weave[1] * y)
        cloth = self._colour * weave[..., None]
        opacity = (mask / 255)[..., None]
        return np.clip(picture * (1 - opacity) + cloth * opacity, 0, 255).astype(np.uint8)

    def _mosaic(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        cells = max(1, round(SIZE / MOSAIC_PX[self._level]))
        small = cv2.resize(picture, (cells, cells), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
