"""Adapter of CMU-MOSI's features, on a look-alike: rows sorted by label, as published, and back in order."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusekit.contracts import Source
from fusekit.data.corpora.mosi import MosiCorpus
from fusekit.data.folds import assign
from fusekit.data.readers.features import Features
from fusekit.data.steps import build_steps
from fusekit.data.store import PreparedStore, prepare_clips
from fusekit.errors import DataError

ALL = ("text", "audio", "video")
# video, its number, its utterances' labels by utterance number
VIDEOS = {
    "train": [("aa_x", {1: 1, 2: 0, 10: 1}), ("bb", {3: 0, 4: 0}), ("cc", {1: 1})],
    "test": [("dd", {1: 0, 2: 1})],
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "cache"))


def write(path: Path, rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)


def number(video: str, utterance: int) -> float:
    """What tells a row: a number of its own."""
    return ord(video[0]) * 100 + utterance


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return look_alike(tmp_path / "mosi")


def look_alike(folder: Path) -> Path:
    """Transcripts sorted as text (1, 10, 2), tables by label (1 first), as the published files are."""
    said = sorted(
        (f"{video}_{n}", label) for part in VIDEOS.values() for video, own in part for n, label in own.items()
    )
    write(folder / "transcripts.csv", [[name, "WORDS, AND MORE", 1, label] for name, label in said])
    line = {name: i for i, (name, _) in enumerate(said)}
    for part, videos in VIDEOS.items():
        rows = [(label, line[f"{v}_{n}"], number(v, n)) for v, own in videos for n, label in own.items()]
        rows.sort(key=lambda row: (-row[0], row[1]))
        write(folder / f"text_{part}.csv", [[i, x, x + 0.25] for _, i, x in rows])
        write(folder / "audio" / f"audio_{part}0.csv", [[-x, label] for label, _, x in rows])
        write(folder / "video" / f"video_{part}0.csv", [[x / 2, x, 0, label] for label, _, x in rows])
    return folder


def test_utterances_are_in_their_order_with_their_own_rows(root: Path) -> None:
    corpus = MosiCorpus(root=root)
    clips, rejected = corpus.load(ALL, ("sentiment",))
    assert rejected == []
    assert [(c.id, c.subject, c.split) for c in clips] == [
        ("aa_x", "aa_x", "train"), ("bb", "bb", "train"), ("cc", "cc", "train"), ("dd", "dd", "test"),
    ]  # fmt: skip
    first = clips[0].labels
    assert first is not None
    assert first.extra["utterance"].tolist() == ["aa_x_1", "aa_x_2", "aa_x_10"]
    assert first.values[:, 0].tolist() == [1, 0, 1]
    assert first.times.tolist() == [0, 1, 2]
    for clip, numbers in zip(clips, ([1, 2, 10], [3, 4], [1], [1, 2]), strict=True):
        own = np.array([number(clip.id, n) for n in numbers])
        for m, expected in (("text", own), ("audio", -own), ("video", own / 2)):
            np.testing.assert_allclose(np.load(clip.sources[m].path)[:, 0], expected)
    assert "3 train videos, 1 test videos, 8 utterances" in corpus.describe()
    assert corpus.label_range == (0, 1)


def test_the_reader_and_the_step_grid_see_one_utterance_per_step(root: Path, tmp_path: Path) -> None:
    corpus = MosiCorpus(root=root)
    clips, _ = corpus.load(("video", "audio"), ("sentiment",))
    readers = {"audio": Features(width=1), "video": Features(width=3)}
    streams, bad = prepare_clips(clips, readers, PreparedStore(tmp_path / "store"))
    steps, rejected = build_steps(clips, streams, readers, ("sentiment",), 1.0, corpus.label_range)
    assert (bad, rejected) == ([], [])
    assert [len(s) for s in steps] == [3, 2, 1, 2]
    assert steps[0].target[:, 0].tolist() == [1, -1, 1]
    assert all(s.known.all() and s.present.all() for s in steps)
    assert steps[0].inputs("audio", np.arange(3))[:, 0].tolist() == [-9701, -9702, -9710]


def test_the_corpus_s_own_split_is_kept_and_validation_comes_out_of_training(root: Path) -> None:
    clips, _ = MosiCorpus(root=root).load(ALL, ("sentiment",))
    split = assign(clips)
    assert split.test == ("dd",)
    assert set(split.train) | set(split.validation) == {"aa_x", "bb", "cc"}
    assert split.validation


def test_rows_that_cannot_be_told_apart_are_refused(root: Path) -> None:
    audio = root / "audio" / "audio_train0.csv"
    rows = list(csv.reader(audio.open()))
    write(audio, rows[::-1])
    with pytest.raises(DataError, match=r"audio_train0.csv: its labels .* nobody knows which utterance"):
        MosiCorpus(root=root).load(ALL, ("sentiment",))
    clips, _ = MosiCorpus(root=root).load(("text",), ("sentiment",))  # the other tables are not read
    assert len(clips) == 4
    write(audio, rows[:-1])
    with pytest.raises(DataError, match="its labels"):
        MosiCorpus(root=root).load(("audio",), ("sentiment",))
    text = root / "text_train.csv"
    rows = list(csv.reader(text.open()))
    for line, said in (
        ("99", "a line of transcripts.csv"),
        (rows[1][0], "none of them twice"),
        ("x", "no number"),
        ("nan", "a line of transcripts.csv"),
        ("1e300", "a line of transcripts.csv"),
        ("0.5", "a line of transcripts.csv"),
    ):
        write(text, [[line, *rows[0][1:]], *rows[1:]])
        with pytest.raises(DataError, match=said):
            MosiCorpus(root=root).load(("text",), ("sentiment",))


def test_what_is_not_there_is_said(root: Path) -> None:
    corpus = MosiCorpus(root=root)
    with pytest.raises(DataError, match="has text, audio, video, no 'face'"):
        corpus.load(("face",), ("sentiment",))
    with pytest.raises(DataError, match="has sentiment, no 'valence'"):
        corpus.load(("text",), ("valence",))
    (root / "video" / "video_test0.csv").unlink()
    with pytest.raises(DataError, match=r"video_test0.csv: no such file. Expected in"):
        corpus.load(ALL, ("sentiment",))
    write(root / "transcripts.csv", [["no number", "", 1, 1]] * 9)
    with pytest.raises(DataError, match="no name video_utterance"):
        corpus.load(("text",), ("sentiment",))
    write(root / "transcripts.csv", [["a_1", "", 1, "yes"]] * 9)
    with pytest.raises(DataError, match="'yes' is neither 0 nor 1"):
        corpus.load(("text",), ("sentiment",))


def test_the_published_folder(shared_data: Path) -> None:
    folder = shared_data / "mosi_utterance_features"
    if not folder.is_dir():
        pytest.skip("CMU-MOSI's features are not among the shared data")
    clips, _ = MosiCorpus(root=folder).load(ALL, ("sentiment",))
    count = {part: [len(c.labels.times) for c in clips if c.split == part] for part in ("train", "test")}
    assert {part: (len(n), sum(n)) for part, n in count.items()} == {"train": (62, 1447), "test": (31, 752)}
    # Rows of audio belong to the videos that the text's row numbers name: a speaker sounds like himself.
    rows = [np.load(c.sources["audio"].path) for c in clips]
    every = np.concatenate(rows)
    spread = every.std(0)
    z = [(r - every.mean(0)) / spread for r in rows]
    between = sum(len(r) * np.square(r.mean(0)).sum() for r in z) / sum(np.square(r).sum() for r in z)
    assert between > 0.5  # .04 for rows dealt at random
    reader = Features(width=73)
    assert reader.prepare(Source(clips[0].sources["audio"].path, step_s=1.0))["complete"].all()
