"""AFEW-VA adapter, on look-alikes of both layouts: small pictures, whole-number labels, landmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fusekit.contracts import Source
from fusekit.data.check import check_corpus
from fusekit.data.corpora.afew_va import AfewVaCorpus
from fusekit.data.detectors import BoxTrack
from fusekit.data.folds import assign
from fusekit.data.labels import align
from fusekit.data.readers.face_video import FaceVideo
from fusekit.data.store import PreparedStore
from fusekit.errors import DataError, FusekitError, RecipeError
from fusekit.media import probe, read_audio, read_video
from fusekit.media.pictures import numbered
from fusekit.provenance import data_hash

VA = ("valence", "arousal")
FACE = [[10 + i % 10, 8 + i // 10] for i in range(68)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def picture(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.full((24, 32, 3), (level, 100, 200), np.uint8)
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])


def clip(
    folder: Path, labels: list[tuple[Any, Any]], actor: str | None = "Ann Actor", frames: Any = None
) -> dict[str, Any]:
    """Pictures 0, 1, ... (or `frames`) and their labels `(valence, arousal)`; returns what the json holds."""
    for number in range(len(labels)) if frames is None else frames:
        picture(folder / f"{number:05d}.png", 40 + number)
    content: dict[str, Any] = {
        "video_id": folder.name,
        "frames": {
            f"{i:05d}": {"valence": v, "arousal": a, "landmarks": FACE} for i, (v, a) in enumerate(labels)
        },
    }
    if actor is not None:
        content["actor"] = actor
    write(folder, content)
    return content


def write(folder: Path, content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{folder.name}.json").write_text(content if isinstance(content, str) else json.dumps(content))


def load(root: Path, **options: Any) -> tuple[AfewVaCorpus, dict[str, Any], dict[str, str]]:
    corpus = AfewVaCorpus(root=root, **options)
    clips, rejected = corpus.load(("face",), VA)
    return corpus, {c.id: c for c in clips}, {r.where: r.reason for r in rejected}


def test_the_published_folders_and_a_flat_copy_give_the_same_clips(tmp_path: Path) -> None:
    for root, first, second in (("nested", "01/001", "12/600"), ("flat", "001", "600")):
        clip(tmp_path / root / first, [(-2, 3), (-1, 4), (10, -10)])
        clip(tmp_path / root / second, [(0, 0)], actor="Ben")
    for root, variant in (("nested", "2 clips in 01..12"), ("flat", "2 clips flat")):
        corpus, clips, rejected = load(tmp_path / root)
        assert list(clips) == ["001", "600"]
        assert rejected == {}
        assert variant in corpus.describe()
        assert "25 frames/s taken (not stored)" in corpus.describe()
        labels = clips["001"].labels
        assert labels.values.tolist() == [[-2, 3], [-1, 4], [10, -10]]
        np.testing.assert_allclose(labels.times, [0, 0.04, 0.08])
        assert (clips["001"].subject, clips["600"].subject) == ("ann actor", "ben")
        assert corpus.label_range == (-10, 10)
        aligned = align(labels, labels.times, VA, corpus.label_range)
        np.testing.assert_allclose(aligned.target, [[-0.2, 0.3], [-0.1, 0.4], [1, -1]], atol=1e-6)
        assert aligned.quadrant.tolist() == [1, 1, 3]


def test_clips_and_frames_are_in_order_of_number(tmp_path: Path) -> None:
    for name in ("2", "10", "001"):
        clip(tmp_path / name, [(i - 5, 0) for i in range(11)])
    folder = tmp_path / "2"
    for i in range(11):  # a re-pack without leading zeros: 10 sorts before 2 by name
        (folder / f"{i:05d}.png").rename(folder / f"{i}.png")
    _, clips, _ = load(tmp_path)
    assert list(clips) == ["001", "002", "010"]
    assert [n for n, _ in numbered(folder)] == list(range(11))
    assert clips["002"].labels.values[:, 0].tolist() == [i - 5 for i in range(11)]
    reds = [int(p.rgb[0, 0, 0]) for p in read_video(folder, 0, 0.04)]
    assert reds == [40 + i for i in range(11)]


def test_the_rate_is_an_option_that_is_told(tmp_path: Path) -> None:
    clip(tmp_path / "001", [(1, 1)] * 3)
    corpus, clips, _ = load(tmp_path, fps=20)
    assert clips["001"].labels.times.tolist() == [0, 0.05, 0.1]
    assert clips["001"].sources["face"].step_s == 0.05
    assert "20 frames/s" in corpus.describe()
    with pytest.raises(RecipeError, match="fps is 0"):
        AfewVaCorpus(root=tmp_path, fps=0)


def test_missing_frames_leave_gaps_and_move_nothing(tmp_path: Path) -> None:
    clip(tmp_path / "001", [(i, -i) for i in range(6)], frames=[0, 1, 4, 5, 6])
    _, clips, rejected = load(tmp_path)
    labels, source = clips["001"].labels, clips["001"].sources["face"]
    np.testing.assert_allclose(labels.times, [0, 0.04, 0.16, 0.2, 0.24])
    assert labels.values[:4, 0].tolist() == [0, 1, 4, 5]
    assert np.isnan(labels.values[4]).all()
    assert "2 labels have no picture: 00002, 00003" in rejected["001/001.json"]
    assert "1 pictures have no label, they are unknown: 00006" in rejected["001"]
    shown = list(read_video(source.path, source.start_s, source.step_s))
    np.testing.assert_allclose([p.time_s for p in shown], labels.times)
    np.testing.assert_allclose([p.span_s for p in shown], [0.04, 0.12, 0.04, 0.04, 0.04])
    known = align(labels, np.array([0.0, 0.04, 0.24]), VA, (-10, 10)).known
    assert known[:, 0].tolist() == [True, True, False]  # an unlabelled frame does not inherit a label


def test_what_is_no_label_never_counts(tmp_path: Path) -> None:
    clip(tmp_path / "001", [(5, 5), (None, 1), (-99, 2), ("?", 3), (float("nan"), 4), (True, 11)])
    clips, rejected = AfewVaCorpus(root=tmp_path).load(("face",), VA)
    values = clips[0].labels.values
    assert np.isnan(values[1:, 0]).all()
    np.testing.assert_array_equal(values[:, 1], [5, 1, 2, 3, 4, np.nan])
    assert np.nanmean(values[:, 0]) == 5
    assert [(r.where, r.reason) for r in rejected] == [
        ("001/001.json", "1 labels of valence are outside -10..10"),
        ("001/001.json", "1 labels of arousal are outside -10..10"),
    ]


def test_an_actor_is_never_split_and_leaks_are_counted(tmp_path: Path) -> None:
    for i in range(1, 13):
        actor = None if i > 10 else "Ann  Actor " if i == 3 else "ann actor" if i == 4 else f"Actor {i % 5}"
        clip(tmp_path / f"{i:03d}", [(1, 1)], actor=actor)
    corpus, clips, _ = load(tmp_path)
    assert clips["003"].subject == clips["004"].subject == "ann actor"
    assert clips["011"].session == clips["012"].session != ""
    assert "6 actors" in corpus.describe()
    assert "8 clips share their actor with another" in corpus.describe()
    assert "2 clips name no actor and stay together" in corpus.describe()
    for fold in range(5):
        split = assign(list(clips.values()), folds=5, fold=fold)
        for part in ("train", "validation", "test"):
            inside = set(split.part(part))
            for a in clips.values():
                for b in clips.values():
                    if a.subject == b.subject or (a.session and a.session == b.session):
                        assert (a.id in inside) == (b.id in inside)


def test_every_reason_to_leave_something_out(tmp_path: Path) -> None:
    clip(tmp_path / "01/001", [(1, 1)])
    clip(tmp_path / "001", [(2, 2)])
    clip(tmp_path / "01/002", [(None, None)])
    for name, content in {"003": "no json", "004": {"frames": [1]}, "005": {"frames": {"a": {}}}}.items():
        picture(tmp_path / "01" / name / "00000.png", 9)
        write(tmp_path / "01" / name, content)
    picture(tmp_path / "01/006/00000.png", 9)
    write(tmp_path / "01/007", {"frames": {"00000": {"valence": 1, "arousal": 1}}})
    picture(tmp_path / "01/001/cropped/00000.png", 9)
    (tmp_path / "02.zip").write_bytes(b"PK")
    (tmp_path / "extras").mkdir()
    corpus, clips, rejected = load(tmp_path)
    assert list(clips) == ["001"]
    expected = {
        "001": "clip 001 is there already",
        "01/001/cropped": "a sub-folder of a clip; only its own pictures are read",
        "01/002": "no label for valence or arousal",
        "01/003": "003.json is no JSON",
        "01/004": "no mapping 'frames'",
        "01/005": "names frames that are no number: 'a'",
        "01/006": "there is no 006.json",
        "01/007": "holds no picture",
        "02.zip": "still packed: unzip it",
        "extras": "no number of a clip",
    }
    assert {where: text for where, text in expected.items() if text not in rejected.get(where, "")} == {}
    assert set(rejected) == set(expected)
    assert f"{len(rejected)} folders, files or labels not used" in corpus.describe()


def test_sound_and_other_requests_are_refused(tmp_path: Path) -> None:
    corpus = AfewVaCorpus(root=tmp_path)
    with pytest.raises(DataError, match="pictures and no sound"):
        corpus.load(("face", "voice"), VA)
    with pytest.raises(DataError, match="no 'dominance': set target.dims"):
        corpus.load(("face",), ("dominance",))
    with pytest.raises(DataError, match=r"no clip of AFEW-VA can be used. Expected: 01/001/00000.png"):
        corpus.load(("face",), VA)
    with pytest.raises(DataError, match="set corpus.root"):
        AfewVaCorpus(root=tmp_path / "gone").load(("face",), VA)


def test_landmarks_become_face_boxes(tmp_path: Path) -> None:
    content = clip(tmp_path / "001", [(1, 1)] * 3)
    content["frames"]["00001"]["landmarks"] = []
    write(tmp_path / "001", content)
    _, clips, _ = load(tmp_path)
    boxes = clips["001"].sources["face"].boxes
    track = BoxTrack.read(boxes)
    assert track.at(0.0).tolist() == [10, 8, 19, 14]
    assert track.at(0.04) is None
    assert load(tmp_path)[1]["001"].sources["face"].boxes == boxes
    for frame in content["frames"].values():
        frame["landmarks"] = [[0, 0]] * 68
    write(tmp_path / "001", content)
    assert load(tmp_path)[1]["001"].sources["face"].boxes is None


def test_the_reader_and_the_store_take_a_folder_for_a_video(tmp_path: Path) -> None:
    clip(tmp_path / "001", [(1, 1)] * 5)
    corpus, clips, _ = load(tmp_path)
    reader = FaceVideo(size=16, margin=0)
    store = PreparedStore(tmp_path / "store")
    source = clips["001"].sources["face"]
    stream = store.get(reader, source)
    assert stream["frames"].shape == (5, 16, 16, 3)
    np.testing.assert_allclose(stream["times"], np.arange(5) * 0.04)
    assert stream["duration_s"].tolist() == pytest.approx([0.2])
    assert reader.present(stream, np.array([0.0, 0.16, 0.2])).tolist() == [True, True, False]
    np.testing.assert_array_equal(reader.windows(stream, np.array([0.12]))[0, :, 8, 8], [43, 100, 200])
    key, facts = store.key(reader, source), data_hash(clips.values())
    assert PreparedStore(tmp_path / "store").key(reader, source) == key
    picture(tmp_path / "001/00002.png", 222)
    assert PreparedStore(tmp_path / "store").key(reader, source) != key
    (tmp_path / "001/00004.png").unlink()
    assert data_hash(clips.values()) != facts
    found = check_corpus(AfewVaCorpus(root=tmp_path), ("face",), VA, {"face": ["video"]})
    assert (found.clips, found.duration_s) == (1, pytest.approx(0.16))


def test_a_folder_of_pictures_is_a_video_without_a_clock(tmp_path: Path) -> None:
    for number in (3, 4, 7):
        picture(tmp_path / "f" / f"f{number}.png", number)
    info = probe(tmp_path / "f")
    assert (info.frames, info.width, info.height, info.has_video, info.has_audio) == (3, 32, 24, True, False)
    shown = [(p.time_s, p.span_s) for p in read_video(tmp_path / "f", 1.0, 0.5)]
    assert shown == [(1.0, 0.5), (1.5, 1.5), (3.0, 0.5)]
    with pytest.raises(DataError, match="does not tell their times"):
        list(read_video(tmp_path / "f"))
    with pytest.raises(DataError, match="no such file"):
        read_audio(tmp_path / "f")
    (tmp_path / "f/f4.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"f4.png: this picture cannot be decoded"):
        list(read_video(tmp_path / "f", 0, 1))
    (tmp_path / "f/f4.png").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        FaceVideo(detector="whole").prepare(Source(tmp_path / "f", None, 0, 1))
    picture(tmp_path / "f/4.png", 1)
    with pytest.raises(DataError, match="have the same number"):
        numbered(tmp_path / "f")
    picture(tmp_path / "g/cover.png", 1)
    with pytest.raises(DataError, match=r"cover.png: this picture's name ends in no number"):
        numbered(tmp_path / "g")
    (tmp_path / "h").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        numbered(tmp_path / "h")
    with pytest.raises(DataError, match="no such folder"):
        numbered(tmp_path / "i")


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, cache: Path) -> None:
    clip(tmp_path / "001", [(1, 1)])
    cache.write_text("a file where the folder should be")
    with pytest.raises(FusekitError, match="face boxes cannot be written .* FUSEKIT_CACHE"):
        load(tmp_path)
