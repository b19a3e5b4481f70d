"""The demo corpus's faces: valence moves shapes, not brightness; boxes hold the face; damage grows with
strength.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusekit.data.synthetic.faces import Face, Motion
from fusekit.data.synthetic.picture_damage import PictureDamage
from fusekit.data.synthetic.schedules import FACE_KINDS, FACE_UNSEEN, Stretch
from fusekit.data.synthetic.settings import SIZE

FRAMES = 24


def scene(seed: int, valence: float = 0.0, arousal: float = 0.0) -> tuple[Face, Motion, np.ndarray]:
    face, rng = Face(np.random.default_rng(seed)), np.random.default_rng(seed + 100)
    flat = np.zeros(FRAMES)
    motion = Motion.draw(rng, flat + valence, flat + arousal, flat + 0.2, flat)
    return face, motion, face.boxes(motion, rng)


def pictures(face: Face, motion: Motion, seed: int = 0) -> np.ndarray:
    return np.stack(list(face.frames(motion, np.ones(FRAMES), np.random.default_rng(seed))))


def test_pictures_are_colour_frames_of_the_stated_size_and_repeat():
    face, motion, boxes = scene(0)
    first = pictures(face, motion)
    assert first.shape == (FRAMES, SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, pictures(face, motion))
    assert not np.array_equal(first, pictures(face, motion, seed=1))


def test_boxes_are_inside_the_picture_and_large_enough():
    for seed in range(12):
        _, _, boxes = scene(seed)
        assert boxes.min() > 0
        assert boxes.max() < SIZE
        assert (boxes[:, 2:] - boxes[:, :2]).min() > 40


def test_cues_follow_valence_and_arousal_at_half_strength():
    rng = np.random.default_rng(0)
    n = 4000
    valence, arousal = rng.uniform(-0.9, 0.9, (2, n))
    motion = Motion.draw(rng, valence, arousal, np.zeros(n), np.zeros(n))
    main = [np.polyfit(valence, cue, 1)[0] for cue in (motion.curve, motion.brow_tilt, motion.cheek)]
    half = [np.polyfit(arousal, cue, 1)[0] for cue in (motion.open, motion.brow_raise)]
    assert np.mean(half) / np.mean(main) == pytest.approx(0.5, abs=0.1)
    assert abs(np.corrcoef(arousal, motion.curve)[0, 1]) < 0.1
    assert abs(np.corrcoef(valence, motion.light[0])[0, 1]) < 0.1


def test_valence_moves_shapes_but_not_brightness():
    brighter, moved = [], []
    for seed in range(12):
        face, motion, boxes = scene(seed)
        full = np.ones(FRAMES)
        sad, glad = (
            pictures(
                face, replace(motion, curve=v * full, brow_tilt=v * full, cheek=v * full, blink=0 * full)
            ).astype(float)
            for v in (-0.8, 0.8)
        )
        x0, y0, x1, y1 = boxes.mean(axis=0).astype(int)
        brighter.append((glad - sad)[:, y0:y1, x0:x1].mean())
        moved.append(np.abs(glad - sad)[:, y0:y1, x0:x1].mean())
    # Drifts of light change the mean by about 10 %, more than ten grey levels.
    assert abs(np.mean(brighter)) < 2.5
    assert np.mean(moved) > 5


def test_an_absent_face_leaves_the_room():
    face, motion, boxes = scene(3)
    present = np.ones(FRAMES)
    present[10:] = 0
    shown = list(face.frames(motion, present, np.random.default_rng(0)))
    x0, y0, x1, y1 = boxes[5].astype(int)
    # The room is out of focus: only the face has edges.
    edges = [np.abs(np.diff(shown[k][y0:y1, x0:x1].astype(float), n=2, axis=0)) for k in (5, 15)]
    assert (edges[0] > 40).mean() > 0.02
    assert (edges[1] > 40).mean() < 0.002


@pytest.mark.parametrize("kind", [*FACE_KINDS, FACE_UNSEEN])
def test_damage_grows_with_strength_until_little_is_left(kind):
    face, motion, boxes = scene(4)
    clean = pictures(face, motion)
    x0, y0, x1, y1 = boxes[0].astype(int)
    left = []
    for strength in (1, 2, 3):
        damage = PictureDamage(Stretch("face", 0, FRAMES, kind, strength), np.random.default_rng(7))
        spoilt = np.stack([damage(p, b) for p, b in zip(clean, boxes, strict=True)])
        assert spoilt.dtype == np.uint8
        assert spoilt.shape == clean.shape
        fine = [np.diff(p[0, y0:y1, x0:x1].astype(float), axis=0).ravel() for p in (clean, spoilt)]
        left.append(np.corrcoef(*fine)[0, 1])
    assert left[0] > left[1] > left[2] - 0.02
    assert left[0] > 0.2
    assert left[2] < 0.1
