"""`check_corpus` on real little files: counts, coverage, quadrants, and every kind of bad clip."""

import json

import numpy as np
import pytest
import soundfile

from fusekit.contracts import Clip, Corpus, Labels, Source
from fusekit.data.check import check_corpus
from fusekit.errors import DataError

VA = ("valence", "arousal")


class Fixed(Corpus):
    label_range = (0.0, 1.0)

    def __init__(self, clips):
        self.clips = clips

    def load(self, modalities, dims):
        return self.clips, []

    def describe(self):
        return "a fixed corpus"


def sound(path, seconds):
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, int(8000 * seconds)), 8000)
    return Source(path)


def labels(values, seconds):
    values = np.array(values, np.float32)
    return Labels(np.linspace(0, seconds, len(values), endpoint=False), values, VA)


def test_what_a_corpus_holds(tmp_path):
    high, low = [[0.9, 0.9]] * 20, [[0.1, 0.2]] * 20
    gap = [[np.nan, 0.5]] * 10
    clips = [
        Clip("a", "s1", {"voice": sound(tmp_path / "a.wav", 2)}, labels(high, 2), split="train"),
        Clip("b", "s2", {"voice": sound(tmp_path / "b.wav", 2)}, labels(low[:10] + gap, 2), split="test"),
        Clip("c", "s2", {"voice": sound(tmp_path / "c.wav", 2)}, labels(low, 2), split="train"),
    ]
    found = check_corpus(Fixed(clips), ("face", "voice"), VA, {"face": ["video"], "voice": ["audio"]})
    assert (found.clips, found.subjects, found.kept) == (3, 2, ["a", "b", "c"])
    assert found.duration_s == pytest.approx(6, abs=0.01)
    assert found.sources == {"face": 0, "voice": 3}
    assert list(found.parts) == ["train", "test"]
    assert found.parts["train"].quadrants == [0.5, 0, 0.5, 0]
    assert found.parts["test"].labelled == {"valence": 0.5, "arousal": 1.0}
    assert found.parts["test"].no_quadrant == 0.5
    (note,) = (note for note in found.notes if note.kind == "split")
    assert note.where == "subject s2"
    assert "clip b is test, clip c is train" in note.reason
    assert json.loads(json.dumps(found.to_dict()))["parts"]["train"]["clips"] == 2


def test_bad_clips_are_left_out_with_their_reason(tmp_path):
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(3000))
    (tmp_path / "empty.wav").touch()
    good = labels([[0.5, 0.5]], 1)
    clips = [
        Clip("good", "s1", {"voice": sound(tmp_path / "good.wav", 1)}, good),
        Clip("noise", "s2", {"voice": Source(tmp_path / "noise.wav")}, good),
        Clip("empty", "s3", {"voice": Source(tmp_path / "empty.wav")}, good),
        Clip("gone", "s4", {"voice": Source(tmp_path / "gone.wav")}, good),
        Clip(
            "late",
            "s5",
            {"voice": sound(tmp_path / "late.wav", 1)},
            Labels(np.array([7.0, 8]), np.ones((2, 2)), VA),
        ),
        Clip("deaf", "s6", {"face": sound(tmp_path / "deaf.wav", 1)}, good),
    ]
    found = check_corpus(Fixed(clips), ("face", "voice"), VA, {"face": ["video"], "voice": ["audio"]})
    assert found.kept == ["good"]
    reasons = {r.where: r.reason for r in found.rejected}
    assert set(reasons) == {"noise", "empty", "gone", "late", "deaf"}
    assert "noise.wav" in reasons["noise"]
    assert "0 bytes" in reasons["empty"]
    assert "no such file" in reasons["gone"]
    assert "no labelled step" in reasons["late"]
    assert "no video track" in reasons["deaf"]
    with pytest.raises(DataError, match="a fixed corpus: no clip can be used. deaf:"):
        check_corpus(Fixed(clips[1:]), ("face", "voice"), VA, {"face": ["video"]})


def test_a_file_that_two_modalities_share_must_hold_the_tracks_of_both(tmp_path):
    clips = [Clip("a", "s1", {"media": sound(tmp_path / "a.wav", 1)}, labels([[0.5, 0.5]], 1))]
    assert check_corpus(Fixed(clips), ("media",), VA, {"media": ["audio"]}).kept == ["a"]
    for both in (["video", "audio"], ["audio", "video"]):
        with pytest.raises(DataError, match="a.wav: there is no video track in it"):
            check_corpus(Fixed(clips), ("media",), VA, {"media": both})


def test_labels_that_end_far_from_the_media_are_noted(tmp_path):
    clips = [
        Clip("short", "s1", {"voice": sound(tmp_path / "1.wav", 4)}, labels([[0.5, 0.5]] * 10, 1)),
        Clip("long", "s2", {"voice": sound(tmp_path / "2.wav", 1)}, labels([[0.5, 0.5]] * 100, 10)),
        Clip("held", "s3", {"voice": sound(tmp_path / "3.wav", 4)}, labels([[0.5, 0.5]], 1)),
    ]
    found = check_corpus(Fixed(clips), ("voice",), VA).notes
    notes = {n.where: n.reason for n in found if n.kind == "labels"}
    assert set(notes) == {"short", "long"}
    assert "3.10 s before" in notes["short"]
    assert "8.90 s after" in notes["long"]


class Lines:
    """A reader of its own kind of file: one second a line."""

    def prepare(self, source):
        if not source.path.is_file():
            raise DataError(f"{source.path}: no such file")
        return {"duration_s": np.array([float(len(source.path.read_text().splitlines()))])}


def test_files_that_are_no_media_are_read_by_their_reader(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    good = labels([[0.5, 0.5]] * 3, 3)
    clips = [
        Clip("a", "s1", {"text": Source(tmp_path / "a.txt")}, good),
        Clip("gone", "s2", {"text": Source(tmp_path / "gone.txt")}, good),
    ]
    found = check_corpus(Fixed(clips), ("text",), VA, {"text": ["text"]}, readers={"text": [Lines()]})
    assert found.kept == ["a"]
    assert found.duration_s == 3
    assert "gone.txt: no such file" in found.rejected[0].reason


def test_without_a_recipe_an_unknown_kind_of_file_counts_beside_media_only(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    text, good = Source(tmp_path / "a.txt"), labels([[0.5, 0.5]], 1)
    both = [Clip("a", "s1", {"voice": sound(tmp_path / "a.wav", 2), "text": text}, good)]
    assert check_corpus(Fixed(both), ("voice", "text"), VA, {"voice": ["audio"]}).duration_s == pytest.approx(
        2
    )
    with pytest.raises(DataError, match="only a recipe says how to read it: fusekit data check RECIPE"):
        check_corpus(Fixed([Clip("a", "s1", {"text": text}, good)]), ("text",), VA, {})
