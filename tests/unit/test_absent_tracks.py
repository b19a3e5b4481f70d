"""A film without sound, named for the voice, is a clip without a voice, in training as in prediction."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from fusekit.contracts import Clip, Source
from fusekit.data.readers.face_video import FaceVideo
from fusekit.data.readers.mel_spectrogram import MelSpectrogram
from fusekit.data.store import PreparedStore, prepare_clips
from fusekit.errors import NoTrackError
from fusekit.media import read_audio


def film(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        track = out.add_stream("mpeg4", rate=10)
        track.width = track.height = 64
        track.pix_fmt = "yuv420p"
        for k in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * k, np.uint8), format="rgb24")
            out.mux(track.encode(frame))
        out.mux(track.encode())
    return path


def test_a_silent_film_lacks_its_voice_and_keeps_its_face(tmp_path: Path) -> None:
    silent = film(tmp_path / "silent.mp4")
    readers = {"face": FaceVideo(detector="whole", size=32), "voice": MelSpectrogram()}
    clips = [
        Clip("a", "a", {"face": Source(silent), "voice": Source(silent)}, None),
        Clip("b", "b", {"voice": Source(silent)}, None),
    ]
    notes: list = []
    streams, rejected = prepare_clips(clips, readers, PreparedStore(tmp_path / "store"), notes=notes)
    assert list(streams["a"]) == ["face"]
    assert [r.where for r in rejected] == ["b"]  # nothing is left of it
    assert "voice is absent" in rejected[0].reason
    assert [n.where for n in notes] == ["a"]
    assert "silent.mp4: has no sound track" in notes[0].reason
    with pytest.raises(NoTrackError):
        read_audio(silent)


def test_a_damaged_film_still_loses_its_clip(tmp_path: Path) -> None:
    silent = film(tmp_path / "silent.mp4")
    (tmp_path / "cut.mp4").write_bytes(silent.read_bytes()[:200])
    clips = [Clip("a", "a", {"face": Source(silent), "voice": Source(tmp_path / "cut.mp4")}, None)]
    readers = {"face": FaceVideo(detector="whole", size=32), "voice": MelSpectrogram()}
    streams, rejected = prepare_clips(clips, readers, PreparedStore(tmp_path / "store"))
    assert not streams
    assert [r.where for r in rejected] == ["a"]
