"""The reader of faces: which frame a step sees, what counts as present, and the live form against the
file."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fusekit.contracts import Detector, Source
from fusekit.data.readers.face_video import TOLERANCE_S, FaceVideo, LiveFace
from fusekit.errors import DataError, RecipeError
from fusekit.media import read_video

SHARED = Path(os.environ.get("FUSEKIT_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
RAVDESS = SHARED / "ravdess_actor05_av"
needs_ravdess = pytest.mark.skipif(not RAVDESS.is_dir(), reason="needs the shared recordings (RAVDESS)")


def write(path: Path, frames: list[np.ndarray], times_ms: list[int] | None = None) -> Source:
    """Lossless video, 25 frames per second unless told."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "bgr0"
        video.codec_context.time_base = Fraction(1, 1000)
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = (times_ms[index] if times_ms else 40 * index), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return Source(path)


def shades(count: int) -> list[np.ndarray]:
    """Frame i is of one value, 20 + i."""
    return [np.full((48, 64, 3), 20 + i, np.uint8) for i in range(count)]


class Corner(Detector):
    """A face of 20 x 16 pixels at the upper left, in frames brighter than 30."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        return np.array([[8.0, 8, 28, 24, 1]]) if frame.max() > 30 else np.zeros((0, 5))


def whole(**options: object) -> FaceVideo:
    return FaceVideo(size=8, detector="whole", **options)  # type: ignore[arg-type]


def test_step_sees_the_latest_frame(tmp_path: Path) -> None:
    times = [0, 40, 100, 130, 300, 333]
    reader = whole()
    stream = reader.prepare(write(tmp_path / "vfr.mkv", shades(6), times))
    asked = np.array([0.0, 0.039, 0.0395, 0.04, 0.099, 0.2, 0.3, 0.332, 5.0])
    windows = reader.windows(stream, asked)
    assert windows.shape == (9, 3, 8, 8)
    assert windows.dtype == np.uint8
    # one millisecond of grace: containers round, a step at 1/30 s must see the frame stamped 33 ms and the
    # reverse
    assert (windows[:, 0, 0, 0] - 20).tolist() == [0, 1, 1, 1, 2, 3, 4, 5, 5]
    assert reader.lookahead_s == 0


def test_presence_ends_with_the_film(tmp_path: Path) -> None:
    reader = whole()
    stream = reader.prepare(write(tmp_path / "a.mkv", shades(10)))
    assert stream["duration_s"][0] == pytest.approx(0.4)
    assert reader.present(stream, np.array([-0.1, 0.0, 0.38, 0.4, 1.0])).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]
    stream = reader.prepare(Source(tmp_path / "a.mkv", start_s=0.1, step_s=0.24))
    assert stream["duration_s"][0] == pytest.approx(2.5)
    assert reader.present(stream, np.array([0.05, 0.1, 2.4, 2.6])).tolist() == [False, True, True, False]
    assert reader.windows(stream, np.array([0.33, 0.34]))[:, 0, 0, 0].tolist() == [20, 21]


def test_crop_follows_the_margin_rule(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(40, 255, (48, 64, 3)).astype(np.uint8)
    reader = FaceVideo(size=20, margin=0.25)
    reader.use_detector(Corner())
    stream = reader.prepare(write(tmp_path / "a.mkv", [rgb] * 3))
    assert stream["boxes"].tolist() == [[3, 4, 33, 28]] * 3
    assert stream["state"].tolist() == [1, 2, 2]
    reader = FaceVideo(size=16, margin=0, every_s=0)
    reader.use_detector(Corner())
    rgb[8:24, 8:28] = (200, 100, 50)
    stream = reader.prepare(write(tmp_path / "b.mkv", [rgb]))
    assert (reader.windows(stream, np.zeros(1))[0] == np.array([200, 100, 50])[:, None, None]).all()


def test_no_face_is_absent(tmp_path: Path) -> None:
    bright, dark = np.full((48, 64, 3), 90, np.uint8), np.full((48, 64, 3), 25, np.uint8)
    reader = FaceVideo(size=8, every_s=0, hold_s=0.2)
    reader.use_detector(Corner())
    stream = reader.prepare(write(tmp_path / "a.mkv", [dark] * 5 + [bright] * 5 + [dark] * 10))
    assert stream["state"].tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [0] * 5
    assert np.isnan(stream["boxes"][0]).all()
    assert reader.present(stream, np.arange(20) / 25).tolist() == [False] * 5 + [True] * 10 + [False] * 5


def test_boxes_of_the_corpus_are_taken_as_they_are(tmp_path: Path) -> None:
    frames = [np.random.default_rng(i).integers(40, 255, (48, 64, 3)).astype(np.uint8) for i in range(4)]
    (tmp_path / "boxes.csv").write_text(
        "time_s,x0,y0,x1,y1\n0,8,8,24,24\n0.04,16,8,32,24\n0.08,,,,\n0.12,50,30,66,46\n"
    )
    source = Source(write(tmp_path / "a.mkv", frames).path, boxes=tmp_path / "boxes.csv")
    for detector in ("boxes", "haar"):
        stream = FaceVideo(size=16, detector=detector).prepare(source)
        assert stream["state"].tolist() == [1, 1, 0, 1]
        np.testing.assert_array_equal(
            stream["boxes"][[0, 1, 3]], [[6, 6, 26, 26], [14, 6, 34, 26], [48, 28, 64, 48]]
        )
    with pytest.raises(DataError, match="needs face boxes from the corpus"):
        FaceVideo(detector="boxes").prepare(Source(source.path))


def test_thinned_frames_are_those_that_steps_see(tmp_path: Path) -> None:
    gaps = np.random.default_rng(0).integers(10, 120, 79)
    source = write(tmp_path / "vfr.mkv", shades(80), [0, *np.cumsum(gaps).tolist()])
    full, thin = whole(), whole(max_hz=5)
    all_frames, few = full.prepare(source), thin.prepare(source)
    times = np.arange(0, float(all_frames["duration_s"][0]), 0.2)
    np.testing.assert_array_equal(full.windows(all_frames, times), thin.windows(few, times))
    np.testing.assert_array_equal(full.present(all_frames, times), thin.present(few, times))
    assert len(few["times"]) <= len(times) + 1 < len(all_frames["times"])


@pytest.mark.parametrize("max_hz", [None, 10.0])
def test_live_equals_prepared(tmp_path: Path, max_hz: float | None) -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(40, 255, (60, 120, 3)).astype(np.uint8)
    frames = [np.roll(scene, i // 2, axis=1) for i in range(30)] + [np.zeros_like(scene)] * 5 + [scene] * 5

    class Moving(Corner):
        def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
            shift = float(frame[0, 0].sum() % 5)  # depends on the frame alone
            return np.array([[8 + shift, 8, 28 + shift, 24, 1]])

    reader = FaceVideo(size=16, max_hz=max_hz)
    reader.use_detector(Moving())
    source = write(tmp_path / "a.mkv", frames, [i * 37 for i in range(40)])
    stream = reader.prepare(source)
    times = np.arange(0, 40 * 0.037, 0.1)
    windows, present = reader.windows(stream, times), reader.present(stream, times)
    live, step = LiveFace(reader), 0
    for picture in read_video(source.path):
        while step < len(times) and times[step] + TOLERANCE_S < picture.time_s:
            np.testing.assert_array_equal(live.window(times[step]), windows[step])
            assert live.present(times[step]) == present[step]
            step += 1
        live.push(picture.rgb, picture.time_s)
    assert step >= 14
    assert not present.all()
    with pytest.raises(ValueError, match="must not go back"):
        live.push(frames[0], 0.1)


def test_live_before_the_first_frame() -> None:
    live = LiveFace(whole())
    assert not live.present(0.0)
    assert live.box(0.0) is None
    assert live.window(0.0).shape == (3, 8, 8)
    live.push(np.full((10, 12, 3), 99, np.uint8), 0.5)
    assert not live.present(0.2)
    assert live.present(0.5)
    assert live.box(0.6).tolist() == [0, 0, 12, 10]


def test_settings_are_the_key_and_options_are_checked() -> None:
    assert FaceVideo(size=64).settings() != FaceVideo().settings()
    assert FaceVideo(detector="whole").settings() != FaceVideo().settings()
    with pytest.raises(RecipeError, match="'nose' is none of haar, yunet, boxes, whole"):
        FaceVideo(detector="nose").tracker()
    with pytest.raises(RecipeError, match="above 0"):
        FaceVideo(size=0)


@needs_ravdess
def test_ravdess_crops_at_their_true_times() -> None:
    """The container says 5 per second; frames were taken every 0.24 s from 0.1 s on and padded with black."""
    path = next((RAVDESS / "face_crop_5fps").glob("01-01-04-01-02-01-05*"))
    reader = FaceVideo(detector="whole")
    wrong, right = reader.prepare(Source(path)), reader.prepare(Source(path, start_s=0.1, step_s=0.24))
    assert wrong["times"][-1] == pytest.approx(2.8)
    np.testing.assert_allclose(right["times"], 0.1 + 0.24 * np.arange(15))
    assert right["state"].tolist() == [1] * 13 + [0, 0]
    assert reader.present(right, np.array([0.2, 2.9, 3.1, 3.3, 3.6])).tolist() == [
        True,
        True,
        True,
        False,
        False,
    ]


@needs_ravdess
def test_ravdess_face_is_found_and_streams() -> None:
    path = RAVDESS / "full_frame_360p" / "01-01-01-01-02-01-05.mp4"
    reader = FaceVideo(max_hz=5)
    stream = reader.prepare(Source(path))
    assert (stream["state"] > 0).all()
    times = np.arange(15) / 5
    assert reader.present(stream, times).all()
    live, step, windows = LiveFace(reader), 0, reader.windows(stream, times)
    for picture in read_video(path):
        while step < len(times) and times[step] + TOLERANCE_S < picture.time_s:
            np.testing.assert_array_equal(live.window(times[step]), windows[step])
            step += 1
        live.push(picture.rgb, picture.time_s)
    assert step >= 14
