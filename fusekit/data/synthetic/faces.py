"""The picture of one subject over time: expression, pose, light.

Valence (main) and arousal (half strength) show in shape alone. Light, colour and exposure drift on their
own, the head moves, eyes blink and the mouth moves with the syllables that are spoken: nuisance, most of it
faster than 0.3 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from fusekit.data.synthetic import signals
from fusekit.data.synthetic.drawing import (
    CENTRE,
    UNIT,
    Identity,
    fixed,
    head_layer,
    identity,
    outline,
    room_layers,
)
from fusekit.data.synthetic.settings import FRAME_HZ, SIZE

BLINK_S = 0.24
BLINKS_PER_S = 0.35
SENSOR_NOISE = 3.0
_ARC = np.linspace(-1, 1, 13)
_ALONG = np.stack([_ARC, np.zeros(13)], axis=1)
_DOME = np.stack([np.zeros(13), 1 - _ARC**2], axis=1)
_BROW = np.linspace(0, 1, 5)
_BROW_ARCH = np.sin(np.pi * _BROW)


@dataclass(frozen=True)
class Motion:
    """Everything that moves, one row per frame `(frames,)`.

    `curve`, `brow_tilt`, `cheek` follow valence; `open`, `brow_raise` follow arousal at half strength; the
    rest is nuisance.
    """

    curve: np.ndarray
    brow_tilt: np.ndarray
    cheek: np.ndarray
    open: np.ndarray
    brow_raise: np.ndarray
    blink: np.ndarray
    mouth: np.ndarray
    spread: np.ndarray
    gaze: np.ndarray
    pose: np.ndarray
    light: np.ndarray

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        valence: np.ndarray,
        arousal: np.ndarray,
        mouth: np.ndarray,
        spread: np.ndarray,
    ) -> Motion:
        """Cues of `(frames,)` latents; `mouth` 0..1 and `spread` -1..1 are the visemes of the voice."""
        frames = len(valence)
        curve, brow_tilt, cheek = _limited(signals.expressed(rng, valence, signals.MAIN, 3))
        opening, brow_raise = _limited(signals.expressed(rng, arousal, signals.HALF, 2))
        return cls(
            curve, brow_tilt, cheek, opening, brow_raise, _blinks(rng, frames), mouth, spread,
            gaze=_wander(rng, frames, 2, slow=0.022, fast=0.012),
            pose=_wander(rng, frames, 6, slow=1.0, fast=0.3),
            light=_wander(rng, frames, 6, slow=1.0, fast=0.1),
        )  # fmt: skip


class Face:
    """One subject before the camera."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.who: Identity = identity(rng)
        self._head, self._opacity = head_layer(self.who)
        self._room, self._worn = room_layers(self.who, rng)
        self._place = rng.normal(0, [3.0, 2.0, 0.03, 2.0])
        grain = rng.normal(0, SENSOR_NOISE, (SIZE + 64, SIZE + 64)).astype(np.float32)
        self._grain = cv2.merge([grain] * 3)
        self._grid = np.linspace(-1, 1, SIZE, dtype=np.float32)

    def boxes(self, motion: Motion, rng: np.random.Generator) -> np.ndarray:
        """`(frames, 4)` tight landmark boxes in pixels, as 68 points would give them: jaw line to brows.

        They tremble by half a pixel, as every tracker's do.
        """
        line = outline(self.who)
        jaw = line[line[:, 1] > -0.1]
        boxes = []
        for k in range(len(motion.curve)):
            yaw, pitch = _turn(motion, k)
            brows = np.concatenate([self._brow(motion, k, side) for side in (-1, 1)]) + [yaw, pitch]
            points = np.concatenate([jaw, brows]) @ self._pose(motion, k)[:, :2].T * UNIT + self._origin(
                motion, k
            )
            boxes.append([*points.min(axis=0), *points.max(axis=0)])
        return np.array(boxes) + rng.normal(0, 0.5, (len(boxes), 4))

    def frames(self, motion: Motion, present: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Pictures `(SIZE, SIZE, 3)` uint8 RGB, one per frame; no face where `present (frames,)` is 0."""
        for k in range(len(motion.curve)):
            picture = self._compose(motion, k) if present[k] else self._room
            yield self._exposed(picture, motion.light[:, k], rng.integers(0, 64, 2))

    def _compose(self, motion: Motion, k: int) -> np.ndarray:
        layer = self._head.copy()
        turn = np.array(_turn(motion, k))
        self._nose(layer, turn)
        self._mouth(layer, motion, k, turn)
        for side in (-1, 1):
            self._eye(layer, motion, k, side, turn)
            _stroke(layer, self._brow(motion, k, side) + turn, self.who.hair * 0.8, self.who.brow_thick)
        if self.who.glasses:
            self._rims(layer, turn)
        matrix = self._pose(motion, k)
        matrix[:, 2] = self._origin(motion, k) - matrix[:, :2] @ CENTRE
        head = cv2.warpAffine(
            layer, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        opacity = cv2.warpAffine(self._opacity, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        return cv2.blendLinear(head, self._worn, opacity, 1 - opacity)

    def _pose(self, motion: Motion, k: int) -> np.ndarray:
        """2 x 3 matrix from canvas to picture; the last column is filled in by the caller."""
        scale = 0.54 * (1 + self._place[2] + 0.03 * motion.pose[2, k])
        roll = np.deg2rad(self._place[3] + 4.0 * motion.pose[3, k])
        turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        return np.concatenate([turn, np.zeros((2, 1))], axis=1)

    def _origin(self, motion: Motion, k: int) -> np.ndarray:
        """Picture position of the head's centre."""
        return np.array([SIZE / 2, SIZE * 0.46]) + self._place[:2] + [3.5, 2.0] * motion.pose[:2, k]

    def _exposed(self, picture: np.ndarray, light: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Light: level, two gradients, colour; then the camera's grain."""
        gain = 1 + 0.10 * light[0] + 0.08 * light[1] * self._grid + (0.08 * light[2] * self._grid)[:, None]
        gain = gain.astype(np.float32)
        gains = cv2.merge([gain * np.float32(1 + 0.04 * channel) for channel in light[3:6]])
        grain = self._grain[shift[0] : shift[0] + SIZE, shift[1] : shift[1] + SIZE]
        lit = cv2.add(cv2.multiply(picture, gains, dtype=cv2.CV_32F), grain)
        return cv2.add(lit, np.zeros_like(lit), dtype=cv2.CV_8U)  # rounds and saturates

    def _eye(self, layer: np.ndarray, motion: Motion, k: int, side: int, turn: np.ndarray) -> None:
        who = self.who
        middle = np.array([side * who.eye_x, who.eye_y]) + turn
        width = who.eye_width * (1 - 0.5 * side * turn[0])
        opening = np.clip(0.58 + 0.50 * motion.open[k] + 0.4 * who.eye_open, 0.10, 1.3)
        opening = float(opening * (1 - motion.blink[k]))
        upper = _bow(width, -0.17 * opening) + middle
        lower = _bow(width, (0.08 - 0.06 * motion.cheek[k]) * min(1.0, 3 * opening)) + middle
        socket = _bow(1.12 * width, -0.23) + middle + [0, 0.02]
        pouch = _bow(1.12 * width, 0.17) + middle - [0, 0.02]
        _fill(layer, np.concatenate([upper, lower[::-1]]), np.array([238.0, 238, 234]))
        iris = middle + motion.gaze[:, k] + [0, -0.008]
        _disc(layer, iris, 0.085, who.iris)
        _disc(layer, iris, 0.04, np.array([16.0, 14, 16]))
        _disc(layer, iris + [0.03, -0.035], 0.016, np.array([250.0, 250, 250]))
        # The lids are painted last, over what of the iris sticks out.
        _fill(layer, np.concatenate([upper, socket[::-1]]), who.skin * 0.90)
        _fill(layer, np.concatenate([lower, pouch[::-1]]), who.skin * 0.97)
        _stroke(layer, upper, who.skin * 0.22, 0.028)
        _stroke(layer, lower, who.skin * 0.62, 0.014)

    def _brow(self, motion: Motion, k: int, side: int) -> np.ndarray:
        """`(5, 2)` from the nose outwards. Frown: inner end down and in. Arousal lifts the whole brow."""
        who = self.who
        tilt = motion.brow_tilt[k] + who.brow_tilt
        x = side * (who.eye_x - 0.17 + 0.02 * tilt + 0.40 * _BROW)
        height = who.brow_y - 0.09 * motion.brow_raise[k] - 0.05 * _BROW_ARCH
        return np.stack([x, height - 0.085 * tilt * (1 - 1.6 * _BROW)], axis=1)

    def _nose(self, layer: np.ndarray, turn: np.ndarray) -> None:
        who = self.who
        tip = np.array([0, who.eye_y + 0.10 + who.nose_length]) + 1.5 * turn
        bridge = np.array([[-0.05, who.eye_y + 0.02], [-0.06, who.eye_y + 0.18]]) + turn
        wings = np.stack([_ARC * who.nose_width, -0.05 * np.abs(_ARC) ** 3 + 0.02], axis=1) + tip
        _stroke(layer, np.concatenate([bridge, wings[:1]]), who.skin * 0.82, 0.02)
        _stroke(layer, wings, who.skin * 0.62, 0.028)

    def _mouth(self, layer: np.ndarray, motion: Motion, k: int, turn: np.ndarray) -> None:
        who = self.who
        curve = motion.curve[k] + who.mouth_curve
        width = who.mouth_width * (1 + 0.06 * curve + 0.14 * motion.spread[k]) * (1 - 0.08 * motion.mouth[k])
        # Half of the bend lifts the corners, half lowers the middle: the mouth as a whole stays where it is.
        middle = np.array([0, who.mouth_y - 0.085 * curve]) + turn
        opening = 0.15 * motion.mouth[k]
        upper = _bow(width, 0.17 * curve - 0.4 * opening) + middle
        lower = _bow(width, 0.17 * curve + 0.9 * opening) + middle
        fold = np.array(
            [[who.nose_width * 1.3, who.mouth_y - 0.22], [width * 1.22, who.mouth_y - 0.085 * curve]]
        )
        for side in (-1, 1):
            _stroke(layer, fold * [side, 1] + turn, who.skin * 0.82, 0.018)
        _fill(layer, np.concatenate([upper, lower[::-1]]), np.array([70.0, 22, 26]))
        if opening > 0.04:
            teeth = upper[3:-3] + [0, 0.3 * opening]
            _fill(layer, np.concatenate([upper[3:-3], teeth[::-1]]), np.array([232.0, 228, 220]))
        _stroke(layer, lower + [0, 0.4 * who.lip_thick], who.lips * 1.04, who.lip_thick * 1.2)
        _stroke(layer, upper - [0, 0.3 * who.lip_thick], who.lips * 0.92, who.lip_thick)

    def _rims(self, layer: np.ndarray, turn: np.ndarray) -> None:
        angle = np.linspace(0, 2 * np.pi, 25)
        ring = np.stack([np.cos(angle) * 0.27, np.sin(angle) * 0.23], axis=1)
        for side in (-1, 1):
            _stroke(
                layer,
                ring + [side * self.who.eye_x * 1.03, self.who.eye_y + 0.02] + turn,
                np.full(3, 40.0),
                0.024,
            )
        _stroke(
            layer, np.array([[-0.07, self.who.eye_y], [0.07, self.who.eye_y]]) + turn, np.full(3, 40.0), 0.024
        )


def _bow(width: float, height: float) -> np.ndarray:
    """`(13, 2)` arc from left to right, `height` down (negative: up) in the middle, 0 at its ends."""
    return width * _ALONG + height * _DOME


def _turn(motion: Motion, k: int) -> tuple[float, float]:
    """Yaw and pitch as a shift of the features over the head, in canonical units."""
    return 0.05 * float(motion.pose[4, k]), 0.03 * float(motion.pose[5, k])


def _limited(cues: np.ndarray) -> np.ndarray:
    """A face cannot bend without end: cues saturate softly beyond +-1.6."""
    return 1.6 * np.tanh(cues / 1.6)


def _wander(rng: np.random.Generator, frames: int, rows: int, slow: float, fast: float) -> np.ndarray:
    """`(rows, frames)` nuisance: a drift of periods up to 20 s and a fast tremor."""
    return np.stack([
        slow * signals.drift(rng, frames, 20.0)
        + fast * signals.band_noise(rng, frames, FRAME_HZ, signals.FAST_BAND_HZ)
        for _ in range(rows)
    ])  # fmt: skip


def _blinks(rng: np.random.Generator, frames: int) -> np.ndarray:
    """`(frames,)` 0 open .. 1 shut; each blink lasts `BLINK_S`, independent of everything."""
    times = np.arange(frames) / FRAME_HZ
    starts = rng.uniform(0, frames / FRAME_HZ, rng.poisson(BLINKS_PER_S * frames / FRAME_HZ))
    shut = np.zeros(frames)
    for start in starts:
        phase = (times - start) / BLINK_S
        shut = np.maximum(shut, np.where((phase > 0) & (phase < 1), np.sin(np.pi * np.clip(phase, 0, 1)), 0))
    return shut


def _rgb(colour: np.ndarray) -> tuple[float, ...]:
    return tuple(min(c, 255.0) for c in colour.tolist())


def _fill(layer: np.ndarray, points: np.ndarray, colour: np.ndarray) -> None:
    cv2.fillPoly(layer, [fixed(points)], _rgb(colour), cv2.LINE_AA, 4)


def _stroke(layer: np.ndarray, points: np.ndarray, colour: np.ndarray, thick: float) -> None:
    cv2.polylines(layer, [fixed(points)], False, _rgb(colour), max(1, round(thick * UNIT)), cv2.LINE_AA, 4)


def _disc(layer: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    at = fixed(centre[None])[0]
    cv2.circle(layer, (int(at[0]), int(at[1])), round(radius * UNIT * 16), _rgb(colour), -1, cv2.LINE_AA, 4)
