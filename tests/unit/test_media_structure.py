"""Files whose pages, keys or tags are lost on the way; clocks without stamps, or that wrap; known answers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from test_media_claims import RATE, picture, pitches, steps, write

from fusekit.errors import DataError
from fusekit.media import probe, read_audio, read_video


def film(path: Path, codec: str, rate: int, count: int, pixels: str = "yuv420p") -> Path:
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=rate, options={"bf": "0"})
        track.width, track.height, track.pix_fmt = 64, 48, pixels
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(4 * i), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def sound(path: Path, codec: str, rate: int = 48000) -> Path:
    return write(path, None, [steps(4, rate)], rate=rate, sound_codec=codec)


def vorbis(path: Path) -> Path:
    soundfile.write(path, steps(4), 44100, format="OGG", subtype="VORBIS")
    return path


def lost(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(len(data) // 5) + data[len(data) * 7 // 10 :]


def blank_end(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10] + bytes(len(data) * 4 // 10)


def cut(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def joined(data: bytes) -> bytes:
    return data * 2


def padded(data: bytes) -> bytes:
    return data + bytes(3000)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "ogg": lambda folder: vorbis(folder / "a.ogg"),
    "opus": lambda folder: sound(folder / "a.opus", "libopus"),
    "flv": lambda folder: film(folder / "a.flv", "flv", 25, 50),
    "mxf": lambda folder: film(folder / "a.mxf", "mpeg2video", 25, 50),
    "gif": lambda folder: film(folder / "a.gif", "gif", 25, 50, "rgb8"),
    "tta": lambda folder: sound(folder / "a.tta", "tta"),
    "voc": lambda folder: sound(folder / "a.voc", "pcm_u8", 20000),
    "ts": lambda folder: write(folder / "a.ts", [picture(3 * i) for i in range(50)], [steps(2)]),
}


def length_s(path: Path) -> float:
    if not probe(path).has_video:
        return len(read_audio(path, RATE)) / RATE
    last = list(read_video(path))[-1]
    return last.time_s + last.span_s


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *((kind, lost) for kind in ("ogg", "opus", "flv", "mxf")),
        *((kind, blank_end) for kind in ("ogg", "opus", "flv", "mxf", "ts")),
        *((kind, cut) for kind in ("mxf", "gif", "tta", "voc")),
        *((kind, joined) for kind in ("mxf", "tta", "voc")),
    ],
)
def test_what_is_lost_on_the_way_is_a_fault(
    tmp_path: Path, kind: str, change: Callable[[bytes], bytes]
) -> None:
    path = MAKERS[kind](tmp_path)
    assert length_s(path) == pytest.approx(4 if kind in ("ogg", "opus", "tta", "voc") else 2, abs=0.06)
    path.write_bytes(change(path.read_bytes()))
    said = "several files are joined" if change is joined else "it is damaged|cut short|no packets"
    with pytest.raises(DataError, match=said):
        length_s(path)


@pytest.mark.parametrize("kind", ["ogg", "mxf", "gif", "tta", "voc", "ts"])
def test_padding_behind_the_end_is_no_fault(tmp_path: Path, kind: str) -> None:
    path = MAKERS[kind](tmp_path)
    whole = length_s(path)
    path.write_bytes(path.read_bytes() + bytes(100) if kind == "ts" else padded(path.read_bytes()))
    assert length_s(path) == pytest.approx(whole)


def test_flac_without_its_beginning_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, steps(4), 44100)
    whole = path.read_bytes()
    path.write_bytes(whole[len(whole) // 3 :])
    with pytest.raises(DataError, match="its beginning is lost|cannot be decoded"):
        read_audio(path)


def test_a_transport_stream_whose_clock_begins_again_keeps_its_beginning(tmp_path: Path) -> None:
    """Its 33 bits of 90 kHz end at 95,443.7 s, two seconds into this one."""
    options = {"output_ts_offset": "95440.3"}
    path = write(tmp_path / "a.ts", [picture(2 * i) for i in range(100)], [steps(4)], options=options)
    assert pitches(read_audio(path, RATE))[:4] == [400, 500, 600, 700]
    times = [shown.time_s for shown in read_video(path)]
    np.testing.assert_allclose(times, times[0] + np.arange(100) / 25, atol=1e-3)
    assert 0 <= times[0] < 0.1
    assert probe(path).video_s == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("rate", [10, 50])
def test_a_raw_stream_has_the_rate_that_its_codec_says(tmp_path: Path, rate: int) -> None:
    path = film(tmp_path / "a.h264", "libx264", rate, 40)
    shown = list(read_video(path))
    np.testing.assert_allclose([p.time_s for p in shown], np.arange(40) / rate, atol=1e-6)
    assert probe(path).video_s == pytest.approx(40 / rate)


def test_a_raw_stream_that_tells_no_rate_is_a_fault_until_somebody_does(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mjpeg", "mjpeg", 10, 12, "yuvj420p")
    with pytest.raises(DataError, match="tells no times of its pictures.*face_step_s"):
        next(read_video(path))
    assert [p.time_s for p in read_video(path, step_s=0.1)] == pytest.approx([i / 10 for i in range(12)])
