"""ECG and transcripts of the demo corpus as files: made when asked for, beside unchanged faces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from racing_makers import kill_one_then_race_two

from fusekit.data.corpora.demo import DemoCorpus
from fusekit.data.synthetic import clips as synthetic_clips
from fusekit.data.synthetic import stream_writing, streams, writing
from fusekit.data.synthetic.settings import DemoSettings
from fusekit.data.synthetic.transcripts import Cue
from fusekit.errors import DataError

TINY = DemoSettings(subjects=3, seconds=12.0, seed=5)
FINGERPRINTS = json.loads(Path(__file__).with_name("demo_fingerprints.json").read_text(encoding="utf-8"))
"""Of faces, voices and labels as they were before there were ECG and transcripts, by `seed/subject`."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path))
    return tmp_path


def tiny() -> DemoCorpus:
    return DemoCorpus(subjects=3, seconds=12, seed=5)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def fingerprint(settings: DemoSettings, subject: int) -> dict[str, float]:
    """Sums that any other random draw would change, and no rounding of the last bit."""
    clip = synthetic_clips.render(settings, subject)
    ramp = np.arange(len(clip.times)) + 1.0
    kinds = sum(
        ord(letter) * r for kind, r in zip(clip.columns["face_kind"], ramp, strict=True) for letter in kind
    )
    kinds += sum(
        ord(letter) * r for kind, r in zip(clip.columns["voice_kind"], ramp, strict=True) for letter in kind
    )
    numbers = [name for name in writing.SCHEDULE if not name.endswith("kind")]
    return {
        "labels": float(ramp @ (clip.valence + 2 * clip.arousal)),
        "schedule": float(sum((k + 1) * ramp @ clip.columns[name] for k, name in enumerate(numbers)) + kinds),
        "boxes": float(np.nansum(ramp[:, None] * clip.boxes)),
        "sound": float(np.sum(np.abs(clip.sound.astype(np.float64)) * (1 + np.arange(len(clip.sound)) % 7))),
        "pictures": float(
            sum(r * p.astype(np.float64).sum() for r, p in zip(ramp, clip.pictures(), strict=True))
        ),
    }


@pytest.mark.parametrize("key", FINGERPRINTS)
def test_faces_voices_and_labels_are_what_they_were_before(key):
    subjects, seconds, seed, subject = (int(part) for part in key.split("/"))
    got = fingerprint(DemoSettings(subjects, float(seconds), seed), subject)
    assert got == pytest.approx(FINGERPRINTS[key], rel=1e-6)


def test_a_recipe_without_them_gets_the_corpus_as_before(cache):
    clips, _ = tiny().load(["face", "voice"], ["valence", "arousal"])
    assert set(clips[0].labels.extra) == set(writing.SCHEDULE)
    assert tiny().streams_folder.exists() is False


def test_streams_complete_a_corpus_that_is_there_and_leave_it_untouched(cache):
    before, _ = tiny().load(["face", "voice"], ["valence", "arousal"])
    was = state(tiny().folder)
    clips, rejected = tiny().load(["face", "voice", "ecg", "text"], ["valence", "arousal"])
    assert state(tiny().folder) == was
    assert rejected == []
    for old, new in zip(before, clips, strict=True):
        assert (new.id, new.subject, new.split) == (old.id, old.subject, old.split)
        assert list(new.sources) == ["face", "voice", "ecg", "text"]
        assert new.sources["face"].path.samefile(old.sources["face"].path)
        assert new.sources["face"].boxes.samefile(old.sources["face"].boxes)
        assert np.array_equal(new.labels.values, old.labels.values)
        assert set(new.labels.extra) == set(stream_writing.STREAM_SCHEDULE)
        for name, column in old.labels.extra.items():
            assert np.array_equal(new.labels.extra[name], column)


def test_text_alone_draws_no_face_and_is_made_once(cache, monkeypatch):
    clips, _ = tiny().load(["text"], ["valence"])
    assert not tiny().folder.exists()
    assert list(clips[0].sources) == ["text"]
    monkeypatch.setattr(stream_writing, "render", lambda *_: pytest.fail("made again"))
    tiny().load(["ecg"], ["arousal"])


def test_files_hold_what_was_drawn(cache):
    clips, _ = tiny().load(["ecg", "text"], ["valence", "arousal"])
    for i, clip in enumerate(clips):
        drawn = streams.render(TINY, i)
        lines = clip.sources["ecg"].path.read_text().splitlines()
        assert lines[0] == "time_s,ecg"
        table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
        assert np.allclose(table[:, 0], np.arange(3000) / 250)
        assert np.allclose(table[:, 1], drawn.ecg, atol=6e-4)
        peaks = np.genfromtxt(
            tiny().streams_folder / "r_peaks" / f"{clip.id}.csv", delimiter=",", skip_header=1
        )
        inside = (drawn.beats.seconds >= 0) & (drawn.beats.seconds < 12)
        assert np.allclose(peaks[:, 0], drawn.beats.seconds[inside], atol=1e-4)
        assert np.array_equal(peaks[:, 1], drawn.beats.extra[inside])
        blocks = clip.sources["text"].path.read_text().split("\n\n")[:-1]
        assert [block.splitlines()[2] for block in blocks] == [cue.text for cue in drawn.cues]
        assert np.array_equal(clip.labels.extra["ecg_damage"], drawn.columns["ecg_damage"])
        assert np.array_equal(clip.labels.extra["text_present"], drawn.columns["text_present"])


def test_srt_is_written_as_players_read_it():
    cues = [Cue(0.0, 1.25, "it was fine"), Cue(3661.5004, 3662.0, "well")]
    assert stream_writing.srt(cues) == (
        "1\n00:00:00,000 --> 00:00:01,250\nit was fine\n\n2\n01:01:01,500 --> 01:01:02,000\nwell\n\n"
    )


def test_a_modality_that_is_not_there_is_named(cache):
    with pytest.raises(DataError, match="did you mean 'ecg'"):
        tiny().load(["egc"], ["valence"])


_SCRIPT = """
import sys
from pathlib import Path
from fusekit.data.synthetic.settings import DemoSettings
from fusekit.data.synthetic.stream_writing import make_streams
make_streams(DemoSettings(6, 120.0, 5), Path(sys.argv[1]), "demo-x")
"""


def test_a_killed_maker_and_two_at_once_leave_one_whole_folder(tmp_path):
    folder = tmp_path / "demo-x-streams1"
    kill_one_then_race_two(_SCRIPT, folder, "*.making-*/corpus/ecg/*")
    assert {len(list((folder / part).iterdir())) for part in ("ecg", "text", "r_peaks", "labels")} == {6}
