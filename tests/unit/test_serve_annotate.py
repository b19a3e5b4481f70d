"""The annotated copy: same frames at the same times, same sound, drawings where they belong."""

import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fusekit.errors import DataError
from fusekit.media import probe, read_audio, read_video
from fusekit.serve.annotate import annotate, scene_at
from fusekit.serve.overlay import Scene, draw
from fusekit.serve.predictor import FaceTrack, FilePrediction

RATE = 44100
EVEN = tuple(i / 25 for i in range(50))
UNEVEN = tuple(np.round(np.cumsum(np.r_[0, np.tile([0.02, 0.05, 0.04, 0.11], 8)]), 3))


def chirp(seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * (200 + 300 * t) * t)).astype(np.float32)


def recording(
    path: Path,
    times: Sequence[float] = EVEN,
    *,
    size: tuple[int, int] = (240, 320),
    codecs: tuple[str, str | None] = ("libx264", "aac"),
    start_s: float = 0.0,
    channels: int = 1,
) -> Path:
    """Grey frames that darken with their number; a chirp. Both tracks begin at `start_s`."""
    layout = ("mono", "stereo")[channels - 1]
    with av.open(str(path), "w") as out:
        picture = out.add_stream(codecs[0], rate=25)
        picture.height, picture.width = size
        picture.pix_fmt = "yuv420p"
        track = out.add_stream(codecs[1], rate=RATE, layout=layout) if codecs[1] else None
        tick = Fraction(1, 25)
        if codecs[0] == "libx264":
            tick = picture.codec_context.time_base = Fraction(1, 1000)
            picture.codec_context.options = {"crf": "10", "bf": "2"}
        for i, t in enumerate(times):
            grey = np.full((*size, 3), 230 - 3 * (i % 60), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = round((t + start_s) / tick), tick
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        if track is not None:
            samples = np.repeat(np.round(chirp(times[-1] + 0.04) * 32767).astype(np.int16), channels)[None]
            for begin in range(0, samples.shape[1], 1152 * channels):
                piece = samples[:, begin : begin + 1152 * channels]
                block = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
                block.sample_rate, block.time_base = RATE, Fraction(1, RATE)
                block.pts = begin // channels + round(start_s * RATE)
                out.mux(track.encode(block))
            out.mux(track.encode(None))
    return path


def prediction(video: Path, steps: int = 20, hz: float = 10) -> FilePrediction:
    """Valence runs from -1 to 1, arousal stays at .5; the face is seen until 1 s."""
    info = probe(video)
    frames = np.arange(0, steps / hz, 0.04)
    boxes = np.tile([80.0, 40.0, 200.0, 180.0], (len(frames), 1))
    boxes[frames >= 1.0] = np.nan
    return FilePrediction(
        file=str(video),
        times=np.arange(steps) / hz,
        dims=("valence", "arousal"),
        prediction=np.stack([np.linspace(-1, 1, steps), np.full(steps, 0.5)], 1).astype(np.float32),
        label_range=(-1.0, 1.0),
        modalities=("face", "voice"),
        present=np.stack([np.arange(steps) / hz < 1, np.ones(steps, bool)], 1),
        trace={"gate": np.tile([0.25, 0.75], (steps, 1)).astype(np.float32)},
        video=video,
        sound=video if info.has_audio else None,
        face=FaceTrack(frames, boxes),
    )


def codecs_of(path: Path) -> list[str]:
    with av.open(str(path)) as file:
        return [s.codec_context.name for s in file.streams]


def lag(a: np.ndarray, b: np.ndarray) -> int:
    """Samples by which `b` is later than `a`."""
    n = min(len(a), len(b))
    spectrum = np.fft.rfft(b[:n], 2 * n) * np.conj(np.fft.rfft(a[:n], 2 * n))
    peak = int(np.argmax(np.fft.irfft(spectrum)))
    return peak if peak < n else peak - 2 * n


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(p) for p in file.demux(audio=0) if p.size]


@pytest.mark.parametrize(
    ("name", "times", "start_s"),
    [("a.mp4", EVEN, 0.0), ("a.mkv", UNEVEN, 0.0), ("late.mkv", EVEN, 1.0)],
    ids=["even", "variable rate", "clock starts at 1 s"],
)
def test_frames_keep_their_times_and_sound_is_copied(
    tmp_path: Path, name: str, times: Sequence[float], start_s: float
) -> None:
    source = recording(tmp_path / name, times, start_s=start_s, channels=2)
    out = annotate(prediction(source), tmp_path / "out.mp4")
    own, copy = list(read_video(source)), list(read_video(out))
    np.testing.assert_allclose([p.time_s for p in copy], [p.time_s for p in own], atol=1e-3)
    for a, b in zip(own, copy, strict=True):
        middle = (slice(5, 35), slice(5, 315))  # above the box: the picture itself
        assert abs(int(a.rgb[middle].mean()) - int(b.rgb[middle].mean())) <= 3
    assert codecs_of(out) == ["h264", "aac"]
    assert packets(out) == packets(source)
    assert abs(lag(read_audio(source), read_audio(out))) <= 1


def test_sound_that_mp4_should_not_hold_is_encoded_again(tmp_path: Path) -> None:
    source = recording(tmp_path / "a.mpg", codecs=("mpeg1video", "mp2"))
    out = annotate(prediction(source), tmp_path / "out.mp4")
    assert codecs_of(out) == ["h264", "aac"]
    a, b = read_audio(source), read_audio(out)
    assert abs(lag(a, b)) <= 1
    n = min(len(a), len(b))
    assert np.corrcoef(a[:n], b[:n])[0, 1] > 0.99
    np.testing.assert_allclose(
        [p.time_s for p in read_video(out)], [p.time_s for p in read_video(source)], atol=1e-3
    )


def test_silent_odd_and_tiny_pictures(tmp_path: Path) -> None:
    source = recording(tmp_path / "a.mkv", EVEN[:5], size=(62, 94), codecs=("ffv1", None))
    found = replace(prediction(source), face=FaceTrack(np.zeros(1), np.array([[10.0, 10.0, 50.0, 50.0]])))
    out = annotate(found, tmp_path / "out.mp4")
    (first, *rest) = list(read_video(out))
    assert len(rest) == 4
    assert codecs_of(out) == ["h264"]
    height, width = first.rgb.shape[:2]
    assert width == 5 * 94
    assert height > 5 * 62
    # The box grew with the picture.
    assert green(first.rgb)[5 * 20 : 5 * 40, 5 * 10 - 3 : 5 * 10 + 4].any(axis=1).all()


def test_lying_pictures_stand_upright(tmp_path: Path) -> None:
    source = recording(tmp_path / "a.mp4", EVEN[:5])
    data = bytearray(source.read_bytes())
    matrix = data.index(b"tkhd") + 44
    numbers = [0, 0x10000, 0, -0x10000, 0, 0, 240 << 16, 0, 0x40000000]  # a quarter turn clockwise
    data[matrix : matrix + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    source.write_bytes(data)
    upright = next(read_video(source)).rgb
    assert upright.shape == (320, 240, 3)
    out = annotate(prediction(source), tmp_path / "out.mp4")
    copy = next(read_video(out)).rgb
    assert copy.shape[1] == 240
    assert copy.shape[0] > 320


def test_nothing_half_written(tmp_path: Path) -> None:
    source, out = recording(tmp_path / "a.mp4", EVEN[:10]), tmp_path / "out.mp4"
    out.write_text("old")
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(os.urandom(4000))
    with pytest.raises(DataError, match="noise.mp4"):
        annotate(replace(prediction(source), video=noise, sound=None), out)
    assert out.read_text() == "old"
    with pytest.raises(DataError, match="cannot write"):
        annotate(prediction(source), source / "in-a-file.mp4")
    with pytest.raises(DataError, match="has no picture"):
        annotate(replace(prediction(source), video=None), out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "noise.mp4", "out.mp4"]


def test_scene_is_the_latest_step_and_never_a_later_one(tmp_path: Path) -> None:
    found = prediction(recording(tmp_path / "a.mp4"))
    scene = scene_at(found, 0.99)
    assert scene.texts == [f"valence {found.prediction[9, 0]:+.2f}", "arousal +0.50"]
    assert scene.point is not None
    np.testing.assert_allclose(scene.point, found.prediction[9])
    assert len(scene.trail) == 9
    assert scene.present == {"face": True, "voice": True}
    assert scene.box is not None
    later = scene_at(found, 1.5)
    assert later.present == {"face": False, "voice": True}
    assert later.box is None
    wider = scene_at(replace(found, label_range=(-2.0, 2.0)), 0.99)
    assert wider.point == pytest.approx(found.prediction[9] / 2)
    assert scene_at(replace(found, dims=("valence", "dominance")), 0).point is None


def yellow(rgb: np.ndarray) -> np.ndarray:
    return (rgb.astype(int) - [240, 228, 66]).__abs__().max(axis=2) < 40


def green(rgb: np.ndarray) -> np.ndarray:
    return (rgb.astype(int) - [0, 158, 115]).__abs__().max(axis=2) < 60


@pytest.mark.parametrize(
    ("point", "where"),
    [
        ((1, 0), (0, 1)),
        ((-1, 0), (0, -1)),
        ((0, 1), (-1, 0)),
        ((0, -1), (1, 0)),
        ((3, 0), (0, 1)),
        ((0, 0), (0, 0)),
    ],
)
def test_needle_points_to_valence_right_and_arousal_up(
    point: tuple[float, float], where: tuple[int, int]
) -> None:
    frame = np.full((360, 480, 3), 200, np.uint8)
    drawn = draw(frame, Scene(np.array(point, float), np.zeros((0, 2)), (), {"face": True}))
    strip = drawn[360:]
    rows, columns = np.nonzero(yellow(strip))
    middle, radius = len(strip) / 2, len(strip) / 2 - 7
    assert (rows.mean() - middle) / radius == pytest.approx(where[0], abs=0.1)
    assert (columns.mean() - 7 - radius) / radius == pytest.approx(where[1], abs=0.1)
    np.testing.assert_array_equal(drawn[:360], frame)  # nothing covers the picture
    assert (frame == 200).all()  # and the input is left alone


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_gate_bar_shows_the_shares(share: float) -> None:
    gate = {"face": share, "voice": 1 - share}
    scene = Scene(None, np.zeros((0, 2)), ("x",), {"face": True, "voice": True}, gate)
    strip = draw(np.zeros((360, 480, 3), np.uint8), scene)[360:]
    bar = strip[len(strip) - 12]  # below the writing
    face = green(bar[None]).sum()
    voice = ((bar.astype(int) - [230, 159, 0]).__abs__().max(axis=1) < 60).sum()
    assert face / (face + voice) == pytest.approx(share, abs=0.03)
