"""The demo corpus as files: what is written decodes to what was drawn, once, also when makers race or die."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from racing_makers import kill_one_then_race_two

from fusekit.data.corpora.demo import DemoCorpus
from fusekit.data.synthetic import sound_damage, spectra, writing
from fusekit.data.synthetic.clips import render
from fusekit.data.synthetic.settings import RATE_HZ, DemoSettings
from fusekit.errors import DataError, RecipeError

TINY = DemoSettings(subjects=3, seconds=12.0, seed=5)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSEKIT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def loaded(cache):
    corpus = DemoCorpus(subjects=3, seconds=12, seed=5)
    clips, rejected = corpus.load(["face", "voice"], ["valence", "arousal"])
    return corpus, clips, rejected


def decoded(path: Path) -> tuple[np.ndarray, np.ndarray, list[float]]:
    with av.open(str(path)) as media:
        frames = list(media.decode(video=0))
    with av.open(str(path)) as media:
        sound = np.concatenate([f.to_ndarray()[0] for f in media.decode(audio=0)])
    return np.stack([f.to_ndarray(format="rgb24") for f in frames]), sound, [float(f.time) for f in frames]


def test_clips_have_media_boxes_labels_and_splits(loaded):
    corpus, clips, rejected = loaded
    assert rejected == []
    assert [c.id for c in clips] == ["s01", "s02", "s03"]
    assert [c.split for c in clips] == ["train", "validation", "test"]
    assert len({c.subject for c in clips}) == 3
    for clip in clips:
        assert clip.sources["face"].path == clip.sources["voice"].path
        assert clip.sources["face"].boxes is not None
        assert clip.labels.dims == ("valence", "arousal")
        assert clip.labels.values.shape == (150, 2)
        assert set(clip.labels.extra) == set(writing.SCHEDULE)
    assert "3 synthetic subjects" in corpus.describe()


def test_files_decode_to_what_was_drawn(loaded):
    _, clips, _ = loaded
    drawn = render(TINY, 0)
    pictures, sound, times = decoded(clips[0].sources["face"].path)
    assert np.allclose(times, drawn.times)
    close = [np.abs(a.astype(float) - b).mean() for a, b in zip(pictures, drawn.pictures(), strict=True)]
    assert np.mean(np.array(close)[drawn.columns["face_damage"] == 0]) < 8
    assert abs(len(sound) - len(drawn.sound)) < 1024
    n = min(len(sound), len(drawn.sound))
    error = np.mean((sound[:n] - drawn.sound[:n]) ** 2) / np.mean(drawn.sound**2)
    assert error < 0.01  # a shift by a single sample would exceed it
    assert np.allclose(clips[0].labels.values[:, 0], drawn.valence, atol=1e-4)


def test_absence_survives_the_coding(loaded):
    _, clips, _ = loaded
    for i, clip in enumerate(clips):
        drawn = render(TINY, i)
        boxes = np.genfromtxt(clip.sources["face"].boxes, delimiter=",", skip_header=1)
        assert np.array_equal(np.isnan(boxes[:, 1:]).all(axis=1), drawn.columns["face_present"] == 0)
        assert np.isfinite(boxes[drawn.columns["face_present"] == 1]).all()
        _, sound, _ = decoded(clip.sources["voice"].path)
        for stretch in drawn.stretches:
            if stretch.modality == "voice" and stretch.absent:
                part = sound_damage.samples(stretch)
                assert not drawn.sound[part].any()
                # A coder's window reaches over the edge; inside, silence is still digital.
                assert not sound[part.start + 2048 : part.stop - 2048].any()


def test_damage_does_not_shift_the_decibels_of_the_file():
    for i in range(3):
        clip = render(TINY, i)
        damaged = np.zeros(len(clip.sound), bool)
        for stretch in clip.stretches:
            if stretch.modality == "voice" and not stretch.absent:
                damaged[sound_damage.samples(stretch)] = True
        clean = spectra.mel_power(np.where(damaged, 0, clip.sound)).max()
        assert spectra.mel_power(np.where(damaged, clip.sound, 0)).max() < clean
        assert np.abs(clip.sound).max() <= 1


def test_the_same_seed_gives_the_same_content_in_any_order_and_number():
    alone, among = render(TINY, 1), render(DemoSettings(subjects=3, seconds=12.0, seed=5), 1)
    assert np.array_equal(alone.sound, among.sound)
    assert np.array_equal(alone.boxes, among.boxes, equal_nan=True)
    assert all(np.array_equal(a, b) for a, b in zip(alone.pictures(), among.pictures(), strict=True))
    other = render(DemoSettings(subjects=3, seconds=12.0, seed=6), 1)
    assert not np.array_equal(alone.sound, other.sound)
    assert not np.array_equal(next(alone.pictures()), next(other.pictures()))


def test_loading_again_makes_nothing(loaded, monkeypatch):
    corpus, clips, _ = loaded
    before = clips[0].sources["face"].path.stat().st_mtime_ns
    monkeypatch.setattr(writing, "_run_workers", lambda *_: pytest.fail("made again"))
    again, _ = DemoCorpus(subjects=3, seconds=12, seed=5).load(["voice"], ["arousal"])
    assert again[0].sources["voice"].path.stat().st_mtime_ns == before
    assert list(again[0].sources) == ["voice"]
    assert again[0].labels.values.shape == (150, 1)


def test_a_corpus_that_was_changed_since_is_refused(loaded, tmp_path, monkeypatch):
    corpus = loaded[0]
    shutil.copytree(corpus.folder, tmp_path / corpus.folder.name)
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path))
    labels = corpus.folder / "labels" / "s02.csv"
    labels.write_text("\n".join(labels.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match=r"labels/s02.csv is not as it was made.*Delete the folder"):
        corpus.load(["voice"], ["arousal"])
    (corpus.folder / "media" / "s01.mp4").unlink()
    with pytest.raises(DataError, match=r"\(and 1 more\) is not as it was made"):
        corpus.load(["voice"], ["arousal"])
    (corpus.folder / "contents.json").unlink()  # one of before these were kept
    assert len(corpus.load(["voice"], ["arousal"])[0]) == 2


_SCRIPT = """
import sys
import shutil
from pathlib import Path
from fusekit.data.synthetic.settings import DemoSettings
from fusekit.data.synthetic.writing import make
make(DemoSettings(3, 12.0, 5), Path(sys.argv[1]))
"""


def test_a_killed_maker_and_two_at_once_leave_one_whole_corpus(tmp_path):
    folder = tmp_path / "demo-x"
    kill_one_then_race_two(_SCRIPT, folder, "demo-x.making-*/corpus/media/*")
    assert len(list((folder / "media").iterdir())) == 3
    _, sound, times = decoded(folder / "media" / "s01.mp4")
    assert len(times) == 150
    assert len(sound) > 11 * RATE_HZ


def test_a_place_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="FUSEKIT_CACHE"):
        writing.make(TINY, tmp_path / "file" / "demo-x")


def test_a_failing_worker_is_reported_and_leaves_nothing(tmp_path):
    broken = DemoSettings(subjects=3, seconds=-1.0)
    with pytest.raises(DataError, match="cannot be made"):
        writing.make(broken, tmp_path / "demo-x")
    assert {p.name for p in tmp_path.iterdir()} <= {"demo-x.lock"}


@pytest.mark.parametrize("options", [{"subjects": 2}, {"seconds": 5}, {"seed": -1}])
def test_options_that_cannot_work_are_named(options):
    with pytest.raises(RecipeError, match=next(iter(options))):
        DemoCorpus(**options)
