"""Detectors on a drawn face (the cascade takes it for one), on two of them, on nothing, and on real
recordings."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusekit.data.detectors import BoxTrack, GivenBoxes, Haar, Whole, YuNet, ranked
from fusekit.errors import DataError
from fusekit.media import read_video

SHARED = Path(os.environ.get("FUSEKIT_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
SPEAKERS = sorted((SHARED / "grid_lipnet").glob("**/*.mpg"))


def draw(canvas: np.ndarray, cx: float, cy: float, s: float = 1.0) -> np.ndarray:
    """Add a face to a copy of `(H, W, 3)`: jaw from cx-42 s to cx+42 s, brows from cy-19 s, chin at cy+65
    s."""
    big = cv2.resize(canvas, None, fx=2, fy=2)
    soft = big.copy()

    def oval(x: float, y: float, a: float, b: float, colour: tuple[int, int, int]) -> None:
        centre, axes = (
            (round(2 * (cx + x * s)), round(2 * (cy + y * s))),
            (round(2 * a * s), round(2 * b * s)),
        )
        cv2.ellipse(soft, centre, axes, 0, 0, 360, colour, -1)

    oval(0, -8, 52, 70, (60, 40, 30))
    oval(0, 5, 42, 60, (205, 165, 140))
    oval(0, -32, 32, 14, (215, 178, 152))
    for side in (-1, 1):
        oval(side * 18, -16, 12, 3, (70, 50, 40))
        oval(side * 18, -5, 12, 7, (150, 110, 95))
        oval(side * 18, -5, 9, 4, (235, 235, 235))
        oval(side * 18, -5, 4, 4, (30, 25, 25))
    oval(0, 6, 6, 16, (220, 182, 158))
    oval(0, 21, 10, 4, (165, 120, 102))
    oval(0, 38, 17, 5, (140, 60, 60))
    soft = cv2.GaussianBlur(soft, (0, 0), 3 * s)
    return cv2.resize(soft, (canvas.shape[1], canvas.shape[0]), interpolation=cv2.INTER_AREA)


def blank(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def tight(box: np.ndarray) -> np.ndarray:
    width, height = box[2] - box[0], box[3] - box[1]
    return box[:4] + np.array(Haar.to_tight) * (width, height, width, height)


@pytest.mark.parametrize(("cx", "cy", "s"), [(160, 125, 1.0), (90, 130, 0.6), (200, 110, 1.3)])
def test_tight_box_runs_from_brows_to_chin(cx: float, cy: float, s: float) -> None:
    found = Haar().detect(draw(blank(), cx, cy, s))
    assert found.shape == (1, 5)
    want = np.array([cx - 42 * s, cy - 19 * s, cx + 42 * s, cy + 65 * s])
    np.testing.assert_allclose(tight(found[0]), want, atol=9 * s)


def test_scale_of_the_picture_does_not_matter() -> None:
    frame = draw(blank(), 160, 125)
    large = cv2.resize(frame, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(Haar().detect(large)[0, :4] / 4, Haar().detect(frame)[0, :4], atol=6)


@pytest.mark.parametrize("light", [0.12, 0.3, 1.2])
def test_light_does_not_matter(light: float) -> None:
    frame = draw(blank(), 160, 125)
    found = Haar().detect(np.clip(frame * light, 0, 255).astype(np.uint8))
    np.testing.assert_allclose(found[0, :4], Haar().detect(frame)[0, :4], atol=6)


@pytest.mark.parametrize("angle", [-45, -30, -20, 20, 30, 45])
def test_tilted_face_keeps_its_middle(angle: float) -> None:
    frame = draw(blank(), 160, 125)
    turn = cv2.getRotationMatrix2D((160, 120), angle, 1.0)
    turned = cv2.warpAffine(frame, turn, (320, 240), borderMode=cv2.BORDER_REPLICATE)
    middle = turn @ (160, 148, 1)
    found = tight(Haar().detect(turned)[0])
    assert np.linalg.norm((found[:2] + found[2:]) / 2 - middle) < 10
    if abs(angle) > 25:
        assert len(Haar(tilted=False).detect(turned)) == 0


def test_two_faces_large_and_central_first_near_one_with_a_hint() -> None:
    frame = draw(draw(blank(240, 480), 140, 125, 1.0), 380, 125, 0.7)
    found = Haar().detect(frame)
    assert len(found) == 2
    assert abs((found[0, 0] + found[0, 2]) / 2 - 140) < 10
    small = found[1, :4]
    np.testing.assert_allclose(Haar().detect(frame, small + (6, 4, 6, 4))[0, :4], small, atol=8)


def test_hint_at_the_wrong_place_still_finds_the_face() -> None:
    frame = draw(blank(240, 480), 100, 125)
    found = Haar().detect(frame, np.array([350.0, 60, 450, 160]))
    assert abs((found[0, 0] + found[0, 2]) / 2 - 100) < 10
    assert len(Haar().detect(frame, np.array([1000.0, 900, 1100, 1000]))) == 1


@pytest.mark.parametrize(
    "frame", [blank(), np.zeros((100, 130, 3), np.uint8), np.full((24, 40, 3), 255, np.uint8)]
)
def test_nothing_is_found_in_nothing(frame: np.ndarray) -> None:
    assert Haar().detect(frame).shape == (0, 5)
    assert Haar().detect(frame, np.array([10.0, 10, 40, 40])).shape == (0, 5)


def test_detection_repeats_exactly_and_leaves_the_frame() -> None:
    frame, detector = draw(blank(), 150, 120), Haar()
    kept = frame.copy()
    first = detector.detect(frame)
    detector.detect(blank())
    np.testing.assert_array_equal(detector.detect(frame), first)
    np.testing.assert_array_equal(frame, kept)


def test_detector_travels_to_data_workers() -> None:
    frame, detector = draw(blank(), 150, 120), Haar(min_face=0.2)
    found = detector.detect(frame)
    copy = pickle.loads(pickle.dumps(detector))
    assert copy.min_face == 0.2
    np.testing.assert_array_equal(copy.detect(frame), found)


def test_ranking() -> None:
    boxes = np.array([[0.0, 0, 20, 20, 9], [100, 100, 130, 130, 1], [40, 40, 60, 60, 5]])
    assert ranked(boxes, (230, 230), None)[0, 0] == 100
    assert ranked(boxes, (230, 230), np.array([2.0, 0, 24, 20]))[:, 0].tolist() == [0, 40, 100]
    assert ranked(boxes[:0], (9, 9), None).shape == (0, 5)


def test_whole_and_given() -> None:
    assert Whole().detect(blank(24, 30)).tolist() == [[0, 0, 30, 24, 1]]
    assert GivenBoxes().detect(blank()).shape == (0, 5)


def test_yunet_without_its_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such model file"):
        YuNet(model=str(tmp_path / "face.onnx"))
    (tmp_path / "face.onnx").write_bytes(b"no model")
    with pytest.raises(DataError, match="cannot read it as a YuNet model"):
        YuNet(model=str(tmp_path / "face.onnx"))


def box_file(folder: Path, text: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text(text)
    return path


def test_box_track_holds_until_the_next_row(tmp_path: Path) -> None:
    track = BoxTrack.read(
        box_file(
            tmp_path,
            "time_s,x0,y0,x1,y1\n0.0,1,2,11,12\n0.1,2,2,12,12\n0.2,,,,\n0.3,nan,nan,nan,nan\n0.4,5,5,9,9\n",
        )
    )
    assert track.at(-0.01) is None
    assert track.at(0.0).tolist() == [1, 2, 11, 12]
    assert track.at(0.15).tolist() == [2, 2, 12, 12]
    assert track.at(0.2) is None
    assert track.at(0.35) is None
    assert track.at(0.55).tolist() == [5, 5, 9, 9]
    assert track.at(0.7) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("time,x0,y0,x1,y1\n", "column time_s is missing"),
        ("time_s,x0,y0,x1,y1\n", "holds no row"),
        ("time_s,x0,y0,x1,y1\n0,1,2,3,4\n0.1,1,b,3,4\n", "boxes.csv:3"),
        ("time_s,x0,y0,x1,y1\n0.1,1,2,3,4\n0.1,1,2,3,4\n", "boxes.csv:3: time_s must be"),
    ],
)
def test_faulty_box_files(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        BoxTrack.read(box_file(tmp_path, text))


def test_missing_box_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file of face boxes"):
        BoxTrack.read(tmp_path / "none.csv")


@pytest.mark.skipif(not SPEAKERS, reason="needs the shared recordings (GRID)")
def test_real_faces_are_found_without_a_hint() -> None:
    """One frame of each of 11 clips; benchmarks/faces.py measures all of them."""
    detector = Haar()
    for path in SPEAKERS:
        found = detector.detect(next(read_video(path)).rgb)
        assert len(found) >= 1, path.name
        x0, y0, x1, y1 = tight(found[0])
        assert 80 < x1 - x0 < 130  # of 360 x 288
        assert 120 < (x0 + x1) / 2 < 240
        assert y1 < 288
