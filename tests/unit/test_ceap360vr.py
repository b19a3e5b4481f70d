"""Adapter of CEAP-360VR, on a look-alike of the excerpt and of the release's own annotation files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusekit.data.corpora.ceap360vr import CeapCorpus
from fusekit.data.folds import assign
from fusekit.data.labels import align
from fusekit.data.readers.features import Features
from fusekit.errors import DataError

ALL = ("head", "gaze", "luminance")
VA = ("valence", "arousal")
TRACE = [(0.15, 5.0, 5.0), (0.3, 9.0, 1.0), (0.4, 7.0, 3.0)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "cache"))


def lines(path: Path, header: str, rows: list[tuple[Any, ...]]) -> None:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return look_alike(tmp_path / "ceap")


def look_alike(folder: Path) -> Path:
    """Three participants, two videos; P2 has no fixation in V1."""
    folder.mkdir()
    people, videos = ("P1", "P2", "P10"), ("V1", "V2")
    pairs = [(p, v) for p in people for v in videos]
    lines(
        folder / "annotations_transformed.csv",
        "participant,video,time_s,valence,arousal",
        [(p, v, *row) for p, v in pairs for row in TRACE],
    )
    heads = [(1, 0.0, 179.0), (2, 0.0, -179.0), (3, 3.0, -179.0), (5, 3.0, -179.0)]
    lines(
        folder / "head_scanpath.csv",
        "participant,video,id,pitch,yaw",
        [(p, v, *row) for p, v in pairs for row in heads],
    )
    lines(
        folder / "gaze_fixations.csv",
        "participant,video,start_frame,end_frame,pitch,yaw",
        [
            (p, v, *row)
            for p, v in pairs
            for row in ((0, 9, 1.0, 90.0), (22, 28, 2.0, 0.0))
            if (p, v) != ("P2", "V1")
        ],
    )
    lines(
        folder / "VideoLuminance.csv",
        "Frame,V0,V1,V2",
        [(i, 0, 100 + i, 50 if i < 3 else "") for i in range(5)],
    )
    info = [{"VideoID": v, "FrameRate": r} for v, r in (("V0", 30), ("V1", 25), ("V2", 30))]
    (folder / "VideoInfo.json").write_text(json.dumps({"VideoInfo": info}))
    return folder


def test_clips_labels_and_people(root: Path) -> None:
    corpus = CeapCorpus(root=root)
    clips, rejected = corpus.load(ALL, VA)
    assert [c.id for c in clips] == ["P01-V1", "P01-V2", "P02-V1", "P02-V2", "P10-V1", "P10-V2"]
    assert [c.subject for c in clips] == ["P1", "P1", "P2", "P2", "P10", "P10"]
    assert [(r.where, r.reason) for r in rejected] == [("P02-V1", "has no gaze")]
    labels = clips[0].labels
    assert labels is not None
    assert labels.times.tolist() == [0.15, 0.3, 0.4]
    found = align(labels, np.array([0.0, 0.2, 0.35, 0.9]), VA, corpus.label_range)
    np.testing.assert_allclose(found.target, [[0, 0], [0, 0], [1, -1], [0.5, -0.5]])
    assert found.known[:, 0].tolist() == [False, True, True, True]
    assert "6 clips of 3 participants and 2 videos" in corpus.describe()
    assert "folds divide no participant; videos are in all parts" in corpus.describe()


def test_the_head_turns_the_short_way_and_knows_no_later_sample(root: Path) -> None:
    clips, _ = CeapCorpus(root=root).load(("head",), VA)
    stream = Features(width=4).prepare(clips[0].sources["head"])
    np.testing.assert_allclose(stream["times"], [0.4, 0.6, 1.0])
    pitch, sine, cosine, speed = stream["values"].T
    np.testing.assert_allclose(pitch, [0, 3, 3])
    np.testing.assert_allclose(sine, np.sin(np.radians(-179)), atol=1e-5)
    np.testing.assert_allclose(cosine, np.cos(np.radians(-179)), atol=1e-5)
    np.testing.assert_allclose(speed, [10, 15, 0], atol=1e-4)  # 2 degrees, 3 degrees in 0.2 s; a gap of 0.4 s


def test_a_fixation_is_known_when_it_is_over_and_frames_have_their_video_s_rate(root: Path) -> None:
    clips, _ = CeapCorpus(root=root).load(("gaze", "luminance"), VA)
    by_id = {c.id: c for c in clips}
    for video, rate in (("V1", 25), ("V2", 30)):
        stream = Features(width=4).prepare(by_id[f"P01-{video}"].sources["gaze"])
        np.testing.assert_allclose(stream["times"], [10 / rate, 29 / rate], atol=1e-6)
        np.testing.assert_allclose(stream["values"][0], [1, 1, 0, 10 / rate], atol=1e-5)
    light = Features(width=1).prepare(by_id["P01-V1"].sources["luminance"])
    np.testing.assert_allclose(light["times"], np.arange(5) / 25)
    assert light["values"][:, 0].tolist() == [100, 101, 102, 103, 104]
    assert len(Features(width=1).prepare(by_id["P01-V2"].sources["luminance"])["times"]) == 3
    # One file for everybody: it tells the video, not the participant.
    assert by_id["P01-V1"].sources["luminance"] == by_id["P10-V1"].sources["luminance"]


def test_the_release_s_own_annotations_give_the_same(root: Path) -> None:
    before, _ = CeapCorpus(root=root).load(ALL, VA)
    (root / "annotations_transformed.csv").unlink()
    folder = root / "3_AnnotationData" / "Transformed"
    folder.mkdir(parents=True)
    rows = [{"TimeStamp": t, "Valence": v, "Arousal": a} for t, v, a in TRACE]
    for person in ("P1", "P2", "P10"):
        videos = [{"VideoID": v, "TimeStamp_Valence_Arousal": rows} for v in ("V1", "V2")]
        content = {
            "ContinuousAnnotation_TransData": [
                {"ParticipantID": person, "Video_Annotation_TransData": videos}
            ]
        }
        (folder / f"{person}_Annotation_TransData.json").write_text(json.dumps(content))
    after, _ = CeapCorpus(root=root).load(ALL, VA)
    assert [(c.id, c.sources) for c in after] == [(c.id, c.sources) for c in before]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a.labels.values, b.labels.values)
    (folder / "P1_Annotation_TransData.json").write_text('{"something": 1}')
    with pytest.raises(DataError, match="not in the form of the release's annotations"):
        CeapCorpus(root=root).load(ALL, VA)


def test_labels_that_cannot_be_are_unknown_and_times_that_are_none_are_told(root: Path) -> None:
    head, rows = "participant,video,time_s,valence,arousal", [(0.1, 5, 5), (0.2, 99, 5), (0.3, 1, 9)]
    lines(root / "annotations_transformed.csv", head, [("P1", "V1", *row) for row in rows])
    (clip,), rejected = CeapCorpus(root=root).load(("head",), VA)
    assert [(r.where, r.reason) for r in rejected] == [("P01-V1", "1 labels are outside 1..9")]
    assert clip.labels is not None
    np.testing.assert_array_equal(clip.labels.values, np.float32([[5, 5], [np.nan, 5], [1, 9]]))
    (root / "annotations_transformed.csv").unlink()
    row = {"TimeStamp": float("nan"), "Valence": 5, "Arousal": 5}
    videos = [{"VideoID": "V1", "TimeStamp_Valence_Arousal": [row]}]
    content = {
        "ContinuousAnnotation_TransData": [{"ParticipantID": "P1", "Video_Annotation_TransData": videos}]
    }
    (root / "P1_Annotation_TransData.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="times of its annotations do not increase"):
        CeapCorpus(root=root).load(("head",), VA)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_fold_divides_no_participant(root: Path, fold: int) -> None:
    clips, _ = CeapCorpus(root=root).load(ALL, VA)
    split = assign(clips, folds=3, fold=fold, validation=0.3)
    parts = [{c.split("-")[0] for c in split.part(p)} for p in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [1, 1, 1]
    assert len(parts[0] | parts[1] | parts[2]) == 3


def test_videos_are_kept_together_instead_on_request(root: Path) -> None:
    corpus = CeapCorpus(root=root, keep_together="videos")
    clips, _ = corpus.load(ALL, VA)
    assert [c.subject for c in clips] == ["V1", "V2"] * 3
    assert "folds divide no video; participants are in all parts" in corpus.describe()


def test_what_is_wrong_is_said(root: Path, tmp_path: Path) -> None:
    corpus = CeapCorpus(root=root)
    with pytest.raises(DataError, match="has head, gaze, luminance, no 'face'"):
        corpus.load(("face",), VA)
    with pytest.raises(DataError, match="no such folder"):
        CeapCorpus(root=tmp_path / "gone").load(ALL, VA)
    info = root / "VideoInfo.json"
    whole = info.read_text()
    for content, said in (
        ("[]", "does not tell each VideoID"),
        ("{", "no JSON"),
        ('{"VideoInfo": []}', "rate of V1"),
        ('{"VideoInfo": [{"VideoID": "V1", "FrameRate": 0}]}', "FrameRate of V1 is 0"),
        ('{"VideoInfo": [{"VideoID": "V1", "FrameRate": NaN}]}', "FrameRate of V1 is nan"),
    ):
        info.write_text(content)
        with pytest.raises(DataError, match=said):
            corpus.load(ALL, VA)
    assert len(corpus.load(("head",), VA)[0]) == 6
    info.write_text(whole)
    luminance = (root / "VideoLuminance.csv").read_text()
    (root / "VideoLuminance.csv").write_text(luminance + "5,1\n")
    with pytest.raises(DataError, match="line 7 has 2 cells, the header has 4"):
        corpus.load(("luminance",), VA)
    (root / "VideoLuminance.csv").write_text(luminance)
    lines(root / "head_scanpath.csv", "participant,video,id,pitch,yaw", [("P1", "V1", 1, "?", 0)])
    with pytest.raises(DataError, match="line 2 must hold numbers in id, pitch, yaw"):
        corpus.load(("head",), VA)
    lines(root / "head_scanpath.csv", "participant,id,pitch,yaw", [("P1", 1, 1, 0)])
    with pytest.raises(DataError, match="no column video"):
        corpus.load(("head",), VA)
    rows = [("P1", "V1", t, 5, 5) for t in (0.1, 0.1)]
    lines(root / "annotations_transformed.csv", "participant,video,time_s,valence,arousal", rows)
    with pytest.raises(
        DataError, match=r"no clip of CEAP-360VR can be used.*times of its annotations do not"
    ):
        corpus.load(("gaze",), VA)
    (root / "annotations_transformed.csv").unlink()
    with pytest.raises(DataError, match="there are no annotations. Expected"):
        corpus.load(("gaze",), VA)


def test_the_published_excerpt(shared_data: Path) -> None:
    folder = shared_data / "ceap360vr"
    if not folder.is_dir():
        pytest.skip("CEAP-360VR is not among the shared data")
    corpus = CeapCorpus(root=folder)
    clips, rejected = corpus.load(ALL, VA)
    assert (len(clips), rejected) == (192, [])
    assert len({c.subject for c in clips}) == 24
    assert all(set(c.sources) == set(ALL) for c in clips)
    assert len({c.sources["luminance"].path for c in clips}) == 8
