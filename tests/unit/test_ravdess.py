"""RAVDESS adapter: look-alike trees of both layouts, and the real recordings where they are at hand."""

import os
from pathlib import Path

import pytest

from fusekit.contracts import Source
from fusekit.data.corpora.ravdess import AFFECT, EMOTIONS, RavdessCorpus
from fusekit.data.folds import assign
from fusekit.errors import DataError

VA = ("valence", "arousal")
SHARED = Path(os.environ.get("FUSEKIT_SHARED_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def load(root, *modalities, **options):
    corpus = RavdessCorpus(root=str(root), **options)
    clips, rejected = corpus.load(modalities or ("face", "voice"), VA)
    return corpus, {c.id: c for c in clips}, rejected


def test_sound_and_videos_of_one_trial_are_one_clip_in_step(tmp_path):
    touch(
        tmp_path,
        "Actor_01/03-01-05-01-02-01-01.wav",
        "Video_Speech_Actor_01/Actor_01/01-01-05-01-02-01-01.mp4",
        "Video_Speech_Actor_01/Actor_01/02-01-05-01-02-01-01.mp4",
        "Actor_02/03-01-08-02-01-02-02.wav",
        "Actor_03/02-01-04-02-01-02-03.MP4",
    )
    corpus, clips, rejected = load(tmp_path)
    assert list(clips) == ["01-04-02-01-02-03", "01-05-01-02-01-01", "01-08-02-01-02-02"]
    both = clips["01-05-01-02-01-01"]
    video = Source(tmp_path / "Video_Speech_Actor_01/Actor_01/01-01-05-01-02-01-01.mp4")
    assert both.sources == {"face": video, "voice": video}
    assert set(clips["01-08-02-01-02-02"].sources) == {"voice"}
    assert set(clips["01-04-02-01-02-03"].sources) == {"face"}
    assert [(r.where, "same as the video with sound" in r.reason) for r in rejected] == [("1 files", True)]
    assert "published folders: 3 trials of 3 actors" in corpus.describe()
    alone = load(tmp_path, "voice")[1]
    assert alone["01-05-01-02-01-01"].sources["voice"].path.suffix == ".wav"
    assert len(alone) == 2


def test_no_performance_is_in_two_parts(tmp_path):
    names = [
        f"{m}-01-0{e}-01-0{s}-01-{a:02d}"
        for m in ("01", "03")
        for e in (1, 5)
        for s in (1, 2)
        for a in range(1, 11)
    ]
    touch(tmp_path, *[f"Actor_{n[-2:]}/{n}.{'wav' if n[:2] == '03' else 'mp4'}" for n in names])
    clips = list(load(tmp_path)[1].values())
    assert len(clips) == 40
    split = assign(clips, folds=5, fold=2)
    actor = {c.id: c.subject for c in clips}
    assert {actor[i] for i in split.test}.isdisjoint(actor[i] for i in split.train + split.validation)
    assert all(c.split == "" for c in clips)


def test_targets_follow_the_stated_convention(tmp_path):
    touch(tmp_path, *[f"Actor_01/03-01-{e:02d}-0{2 if e == 5 else 1}-01-01-01.wav" for e in range(1, 9)])
    clips = load(tmp_path)[1].values()
    expected = {
        "neutral": ((0, 0), -1),
        "calm": ((0.5, -0.5), 3),
        "happy": ((0.5, 0.5), 0),
        "sad": ((-0.5, -0.5), 2),
        "angry": ((-0.5, 0.5), 1),
        "fearful": ((-0.5, 0.5), 1),
        "disgust": ((-0.5, 0.5), 1),
        "surprised": ((0.5, 0.5), 0),
    }
    seen = {}
    for c in clips:
        assert c.labels.times.tolist() == [0]
        seen[c.labels.extra["emotion"][0]] = (tuple(c.labels.values[0].tolist()), int(c.labels.quadrant[0]))
        assert c.labels.extra["intensity"][0] == ("strong" if c.id[3:5] == "05" else "normal")
    assert seen == expected
    assert tuple(AFFECT) == EMOTIONS


def test_one_actor_is_split_by_statement_and_must_be_allowed(tmp_path):
    touch(tmp_path, *[f"Actor_07/03-01-03-01-0{s}-0{r}-07.wav" for s in (1, 2) for r in (1, 2)])
    clips = load(tmp_path)[1]
    assert {i: c.split for i, c in clips.items()} == {
        "01-03-01-01-01-07": "train",
        "01-03-01-01-02-07": "validation",
        "01-03-01-02-01-07": "test",
        "01-03-01-02-02-07": "test",
    }
    with pytest.raises(DataError, match=r"subject actor-07 is in two splits.*subject_dependent=true"):
        assign(list(clips.values()))
    assert assign(list(clips.values()), subject_dependent=True).subject_dependent


def test_what_is_skipped_is_said(tmp_path):
    touch(
        tmp_path,
        "Actor_01/03-01-05-01-02-01-01.wav",
        "copy/03-01-05-01-02-01-01.wav",
        "Actor_01/03-02-05-01-02-01-01.wav",
        "Actor_01/03-02-04-01-02-01-01.wav",
        "Actor_01/03-01-09-01-02-01-01.wav",
        "Actor_01/03-01-05-01-02-01-25.wav",
        "Actor_01/holiday.wav",
        "notes.txt",
    )
    (tmp_path / "Actor_01/03-01-06-01-02-01-01.wav").touch()
    corpus, clips, rejected = load(tmp_path)
    assert len(clips) == 1
    reasons = {r.where: r.reason for r in rejected}
    assert "zero bytes" in reasons["Actor_01/03-01-06-01-02-01-01.wav"]
    assert "same recording as Actor_01" in reasons["copy/03-01-05-01-02-01-01.wav"]
    assert "emotion 09" in reasons["Actor_01/03-01-09-01-02-01-01.wav"]
    assert "actor 25" in reasons["Actor_01/03-01-05-01-02-01-25.wav"]
    assert "song" in reasons["2 files"]
    assert "not RAVDESS names" in reasons["1 files"]
    assert "7 files or rows not used" in corpus.describe()


def excerpt(root, *rows):
    header = "clip,emotion,intensity,statement,repetition,actor,face_crop,audio,full_frame"
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n")


def test_the_excerpt_knows_when_its_crops_were_taken(tmp_path):
    touch(tmp_path, "crop/a.avi", "sound/a.wav", "crop/b.avi", "sound/b.wav", "full/b.mp4")
    excerpt(
        tmp_path,
        "01-01-03-01-01-01-05,happy,normal,1,1,5,crop/a.avi,sound/a.wav,",
        "01-01-05-01-01-02-05,angry,normal,1,2,5,crop/b.avi,sound/b.wav,full/b.mp4",
        "01-01-04-01-01-02-05,sad,normal,1,2,5,crop/gone.avi,sound/gone.wav,",
        "rubbish,sad,normal,1,2,5,crop/gone.avi,sound/gone.wav,",
    )
    corpus, clips, rejected = load(tmp_path)
    assert clips["01-03-01-01-01-05"].sources == {
        "face": Source(tmp_path / "crop/a.avi", None, 0.1, 0.24),
        "voice": Source(tmp_path / "sound/a.wav"),
    }
    assert "excerpt with labels.csv, crops: 2 trials of 1 actor;" in corpus.describe()
    text = "\n".join(f"{r.where}: {r.reason}" for r in rejected)
    assert "labels.csv row 4:" in text
    assert "gone.avi does not exist" in text
    assert "labels.csv row 5: 'rubbish' is not a RAVDESS name" in text

    _, clips, rejected = load(tmp_path, faces="full-frame")
    assert list(clips) == ["01-05-01-01-02-05"]
    assert clips["01-05-01-01-02-05"].sources["voice"].path == tmp_path / "full/b.mp4"
    assert any("without a full-frame video" in r.reason and r.where == "2 files" for r in rejected)


def test_faults_say_what_to_set(tmp_path):
    corpus = RavdessCorpus(root=str(tmp_path / "gone"))
    with pytest.raises(DataError, match="set corpus.root"):
        corpus.load(("voice",), VA)
    touch(tmp_path, "readme.txt")
    with pytest.raises(DataError, match="Unpack the archives"):
        RavdessCorpus(root=str(tmp_path)).load(("voice",), VA)
    with pytest.raises(DataError, match="no 'ecg'"):
        RavdessCorpus(root=str(tmp_path)).load(("ecg",), VA)
    with pytest.raises(DataError, match="no 'dominance'"):
        RavdessCorpus(root=str(tmp_path)).load(("voice",), ("dominance",))


def real(name):
    root = SHARED / name
    if not root.is_dir():
        pytest.skip(f"{root} is not here (set FUSEKIT_SHARED_DATA)")
    return root


def test_the_real_excerpt_of_one_actor():
    root = real("ravdess_actor05_av")
    corpus, clips, rejected = load(root)
    assert len(clips) == 60
    assert not rejected
    assert {c.subject for c in clips.values()} == {"actor-05"}
    parts = [c.split for c in clips.values()]
    assert [parts.count(p) for p in ("train", "validation", "test")] == [15, 15, 30]
    quadrants = [int(c.labels.quadrant[0]) for c in clips.values()]
    assert [quadrants.count(q) for q in (-1, 0, 1, 2, 3)] == [4, 16, 24, 8, 8]
    assert all(set(c.sources) == {"face", "voice"} for c in clips.values())
    assert len(load(root, faces="full-frame")[1]) == 14


def test_the_real_voices_of_24_actors():
    _, clips, rejected = load(real("ravdess_24actors_speech16k"), "voice")
    assert (len(clips), len({c.subject for c in clips.values()})) == (380, 24)
    assert not rejected
    splits = [assign(list(clips.values()), fold=k) for k in range(5)]
    assert sorted(i for s in splits for i in s.test) == sorted(clips)
    assert all(len(s.subjects["test"]) in (4, 5) and len(s.subjects["validation"]) >= 3 for s in splits)
