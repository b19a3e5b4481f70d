"""The tracker with scripted detectors: what it follows, holds, passes over and forgets; the margin rule."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit.contracts import Detector
from fusekit.data.faces import DETECTED, HELD, NONE, FaceTracker, crop, grown

TEXTURE = np.random.default_rng(0).integers(40, 255, (40, 40, 3)).astype(np.uint8)
SCENE = np.random.default_rng(1).integers(40, 200, (200, 300, 3)).astype(np.uint8)


def frame(x: float, y: float = 60) -> np.ndarray:
    """A patch of texture at (x, y) on a random scene."""
    rgb = SCENE.copy()
    rgb[round(y) : round(y) + 40, round(x) : round(x) + 40] = TEXTURE
    return rgb


class Scripted(Detector):
    """Answers with the next of `boxes` (None: nothing found); remembers the hints it was given."""

    def __init__(self, boxes: list[list[float] | None]) -> None:
        self.boxes, self.hints, self.calls = list(boxes), [], 0

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        self.hints.append(None if near is None else near.copy())
        box = self.boxes[min(self.calls, len(self.boxes) - 1)]
        self.calls += 1
        return np.zeros((0, 5)) if box is None else np.array([[*box, 1.0]])


class Shifted(Scripted):
    to_tight: ClassVar[tuple[float, float, float, float]] = (0.1, 0.25, -0.1, 0.05)


def box_at(x: float, y: float = 60, size: float = 40) -> list[float]:
    return [x, y, x + size, y + size]


def test_detects_now_and_then_and_follows_between() -> None:
    detector = Scripted([box_at(50), box_at(70)])
    tracker = FaceTracker(detector, every_s=0.2, smooth_s=0)
    states = []
    for index in range(6):
        sighting = tracker.update(frame(50 + 4 * index), index * 0.04)
        states.append(sighting.state)
        assert sighting.box is not None
        np.testing.assert_allclose(sighting.box, box_at(50 + 4 * index), atol=0.8)
    assert states == [DETECTED, HELD, HELD, HELD, HELD, DETECTED]
    assert detector.calls == 2
    assert detector.hints[0] is None
    np.testing.assert_allclose(detector.hints[1], box_at(66), atol=0.8)


def test_lost_between_detections_looks_again_at_once() -> None:
    detector = Scripted([box_at(50), box_at(80, 70)])
    tracker = FaceTracker(detector, every_s=10, smooth_s=0)
    tracker.update(frame(50), 0.0)
    elsewhere = np.random.default_rng(5).integers(40, 255, SCENE.shape).astype(np.uint8)
    sighting = tracker.update(elsewhere, 0.04)
    assert sighting.state == DETECTED
    assert detector.calls == 2


def test_holds_for_a_while_then_lets_go() -> None:
    tracker = FaceTracker(Scripted([box_at(50), None]), every_s=0, hold_s=0.5, smooth_s=0)
    states = [tracker.update(frame(50), round(0.1 * i, 3)).state for i in range(8)]
    assert states == [DETECTED, HELD, HELD, HELD, HELD, HELD, NONE, NONE]


def test_another_face_is_passed_over_until_the_first_is_gone() -> None:
    detector = Scripted([box_at(30), box_at(200)])
    tracker = FaceTracker(detector, every_s=0, hold_s=0.3, smooth_s=0)
    seen = [tracker.update(frame(30), round(0.1 * i, 3)) for i in range(6)]
    assert [s.state for s in seen] == [DETECTED, HELD, HELD, HELD, DETECTED, DETECTED]
    np.testing.assert_allclose(seen[3].box, box_at(30), atol=0.5)
    np.testing.assert_allclose(seen[4].box, box_at(200), atol=0.5)
    assert detector.hints[4] is None


def test_size_jump_is_another_face() -> None:
    tracker = FaceTracker(Scripted([box_at(50), box_at(20, 20, 120)]), every_s=0, smooth_s=0)
    tracker.update(frame(50), 0.0)
    assert tracker.update(frame(50), 0.1).state == HELD


def test_no_face_is_held_through_black() -> None:
    detector = Scripted([box_at(50), box_at(60)])
    tracker = FaceTracker(detector, every_s=10)
    tracker.update(frame(50), 0.0)
    assert tracker.update(np.zeros_like(SCENE), 0.04) == (None, NONE)
    assert detector.calls == 1
    assert tracker.update(frame(60), 0.08).state == DETECTED
    assert detector.hints[1] is None


def test_tight_box_of_the_detector() -> None:
    tracker = FaceTracker(Shifted([[100, 40, 180, 140]]))
    np.testing.assert_allclose(tracker.update(frame(50), 0.0).box, [108, 65, 172, 145])


def test_smoothing_halves_jitter_and_follows_moves() -> None:
    rng = np.random.default_rng(0)
    noisy = [box_at(50 + n, 60) for n in rng.normal(0, 0.4, 100)] + [box_at(75, 60)] * 3
    tracker = FaceTracker(Scripted(noisy), every_s=0, smooth_s=0.2)
    lefts = [tracker.update(frame(50), i * 0.04).box[0] for i in range(103)]
    assert np.std(lefts[20:100]) < 0.25
    assert lefts[100] == pytest.approx(75, abs=1)  # a move of half a face is followed at once


def test_frames_alone_decide() -> None:
    """Same frames, same answers; a later frame changes none before it."""
    boxes = [box_at(50 + i) for i in range(20)]
    frames = [frame(50 + i) for i in range(20)]
    short, long = (FaceTracker(Scripted(boxes)) for _ in range(2))
    first = [short.update(f, i * 0.05) for i, f in enumerate(frames[:10])]
    second = [long.update(f, i * 0.05) for i, f in enumerate(frames)]
    for a, b in zip(first, second, strict=False):
        assert a.state == b.state
        np.testing.assert_array_equal(a.box, b.box)


def test_box_partly_out_of_view_is_followed() -> None:
    tracker = FaceTracker(Scripted([box_at(-15, 60)]), every_s=10, smooth_s=0)
    scene = frame(0)
    tracker.update(scene, 0.0)
    moved = np.roll(scene, 6, axis=1)
    np.testing.assert_allclose(tracker.update(moved, 0.04).box, box_at(-9), atol=0.8)


def test_margin_rule() -> None:
    """Spec 4.1: an eighth of width and height on each side, clipped to the picture."""
    assert grown(np.array([40.0, 40, 120, 80]), 1 / 8, (200, 300)).tolist() == [30, 35, 130, 85]
    assert grown(np.array([4.0, 180, 84, 220]), 1 / 8, (200, 300)).tolist() == [0, 175, 94, 200]
    assert grown(np.array([400.0, 10, 500, 60]), 1 / 8, (200, 300)) is None
    assert grown(np.array([40.0, 40, 120, 80]), 0.4, (200, 300)).tolist() == [8, 24, 152, 96]


@given(
    st.floats(-100, 400), st.floats(-100, 300), st.floats(0.1, 300), st.floats(0.1, 300), st.floats(0, 0.6)
)
def test_grown_box_lies_in_view(x: float, y: float, width: float, height: float, margin: float) -> None:
    box = grown(np.array([x, y, x + width, y + height]), margin, (200, 300))
    if box is not None:
        assert 0 <= box[0] < box[2] <= 300
        assert 0 <= box[1] < box[3] <= 200
        assert crop(SCENE, box, 16).shape == (16, 16, 3)


def test_crop_stretches_the_box_to_a_square() -> None:
    rgb = np.zeros((100, 200, 3), np.uint8)
    rgb[20:60, 40:80, 0] = 250
    rgb[20:60, 80:120, 2] = 250
    picture = crop(rgb, np.array([40, 20, 120, 60]), 32)
    assert picture.shape == (32, 32, 3)
    assert (picture[:, :15, 0] == 250).all()
    assert (picture[:, 17:, 2] == 250).all()
    assert (crop(rgb, np.array([40, 20, 120, 60]), 160)[:, :70, 0] == 250).all()
