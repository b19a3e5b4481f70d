"""SEWA adapter, on look-alikes of its three releases: tiny films and sounds, labels with known values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from fusekit.contracts import Clip
from fusekit.data.corpora.sewa import SewaCorpus
from fusekit.data.folds import assign
from fusekit.data.labels import align
from fusekit.errors import DataError, RecipeError

VA = ("valence", "arousal")


def sound(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(4000) / 9) * 0.1, 8000)


def film(path: Path, frames: int = 10, rate: int = 20, heard: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        track = container.add_stream("pcm_s16le", rate=8000, layout="mono") if heard else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * i % 255, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None:
            block = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format="s16", layout="mono")
            block.sample_rate = 8000
            container.mux(track.encode(block))


def load(
    root: Path, modalities: tuple[str, ...] = ("face", "voice"), dims: tuple[str, ...] = VA, **options: Any
) -> tuple[SewaCorpus, dict[str, Clip], list[tuple[str, str]]]:
    corpus = SewaCorpus(root=root, **options)
    clips, rejected = corpus.load(modalities, dims)
    return corpus, {c.id: c for c in clips}, [(r.where, r.reason) for r in rejected]


# ---------------------------------------------------------------- native


def rated(
    folder: Path,
    dim: str,
    rows: Iterable[Sequence[Any]],
    source: str = "A",
    header: str = "frame,value",
    end: str = "",
) -> Path:
    path = folder / dim / f"{folder.name}_{dim.capitalize()}_{source}_Aligned.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n" + end)
    return path


def native(
    root: Path, name: str, session: str = "1", subject: str = "1", value: float = 0.5, frames: int = 10
) -> Path:
    folder = root / name
    film(folder / f"{name}.avi", frames)
    sound(folder / f"{name}.wav")
    for dim in VA:
        rated(folder, dim, [(i, value) for i in range(frames)])
    (folder / "metadata.ini").write_text(f"[Recording]\nSession_Number = {session}\nSubject ID = {subject}\n")
    return folder


def test_native_labels_are_timed_by_the_probed_rate(tmp_path: Path) -> None:
    folder = native(tmp_path, "SEW1")
    rated(folder, "valence", [(i, 0.1 * i) for i in range(10)], end="\n\n")
    rated(folder, "arousal", [(i, 1 - 0.1 * i) for i in range(10)], header="Frame_Number, Value")
    corpus, clips, rejected = load(tmp_path)
    clip = clips["SEW1"]
    assert rejected == []
    np.testing.assert_allclose(clip.labels.times, np.arange(10) / 20)
    np.testing.assert_allclose(clip.labels.values[:, 0], np.arange(10) / 10, atol=1e-7)
    np.testing.assert_allclose(clip.labels.values[:, 1], 1 - np.arange(10) / 10, atol=1e-7)
    assert {m: s.path.name for m, s in clip.sources.items()} == {"face": "SEW1.avi", "voice": "SEW1.wav"}
    assert (clip.subject, clip.session, clip.split) == ("subject-1", "session-1", "")
    assert corpus.label_range == (0, 1)
    # Midpoint 0.5: it is 0 on the common scale, and a tie is high.
    aligned = align(clip.labels, clip.labels.times, VA, corpus.label_range)
    np.testing.assert_allclose(aligned.target[[0, 5, 9], 0], [-1, 0, 0.8], atol=1e-6)
    assert aligned.quadrant[[0, 5, 9]].tolist() == [1, 0, 3]
    assert "native folders: 1 clips, rated from A" in corpus.describe()
    assert "20 frames/s in SEW1.avi" in corpus.describe()
    assert "labels 0..1" in corpus.describe()


def test_native_columns_of_several_raters(tmp_path: Path) -> None:
    folder = native(tmp_path, "SEW1")
    rows = [(0, 0.0, 0.0, 0.2), (1, 0.1, 0.1, 0.0), (2, 0.2, 0.2, 0.2)]
    for dim in VA:
        rated(folder, dim, rows, header="frame,r1,r2,r2")
    # Deviations of a, b (-1, 0, 1), of c (1, -2, 1) in units: as in the case by hand, c weighs nothing.
    expected = {"mean": [0.2 / 3, 0.2 / 3, 0.2], "ewe": [0, 0.1, 0.2], "first": [0, 0.1, 0.2]}
    for how, values in expected.items():
        corpus, clips, _ = load(tmp_path, gold=how)
        np.testing.assert_allclose(clips["SEW1"].labels.values[:, 0], values, atol=1e-7)
        assert f"gold standard {how} of {1 if how == 'first' else 3} value columns" in corpus.describe()
    extra = load(tmp_path)[1]["SEW1"].labels.extra
    assert extra["valence_column4"].tolist() == [0.2, 0, 0.2]
    rated(folder, "arousal", [(0, 0.1, 0.2), (1, 0.2, 0.1)], header="frame,r1,r2")
    corpus, _, _ = load(tmp_path, gold="ewe")
    assert "SEW1: no two raters of arousal agree" in corpus.describe()


def test_annotation_source_is_chosen_and_what_there_is_is_listed(tmp_path: Path) -> None:
    native(tmp_path, "SEW1")
    for dim in VA:
        rated(tmp_path / "SEW1", dim, [(i, 0.9) for i in range(10)], source="AV")
    native(tmp_path, "SEW2", session="2", subject="2")
    corpus, clips, rejected = load(tmp_path, annotation_source="AV")
    assert list(clips) == ["SEW1"]
    np.testing.assert_allclose(clips["SEW1"].labels.values, 0.9, atol=1e-6)
    assert "rated from AV" in corpus.describe()
    reason = "no valence/SEW2_Valence_AV_Aligned.csv; found: A: set corpus.annotation_source"
    assert rejected == [("SEW2", reason)]


def test_native_range_follows_the_values_and_sentinels_have_no_say(tmp_path: Path) -> None:
    folder = native(tmp_path, "SEW1", frames=200)
    values: list[Any] = [0.4] * 200
    values[3:6] = [-5, "NaN", ""]
    rated(folder, "valence", list(enumerate(values)))
    corpus, clips, rejected = load(tmp_path)
    assert corpus.label_range == (0, 1)
    labels = clips["SEW1"].labels
    assert np.isnan(labels.values[3:6, 0]).all()
    assert np.nanmean(labels.values[:, 0]) == pytest.approx(0.4)
    assert rejected == [
        ("SEW1 valence, column value", "2 labels hold no number"),
        ("SEW1 valence, column value", "1 labels are outside 0..1"),
    ]
    assert not align(labels, labels.times[3:6], VA, (0, 1)).known[:, 0].any()
    values[3] = -0.2  # one slip in 0..1
    rated(folder, "valence", list(enumerate(values)))
    corpus, clips, _ = load(tmp_path)
    assert corpus.label_range == (0, 1)
    assert np.isnan(clips["SEW1"].labels.values[3, 0])
    values[10:30] = [-0.5] * 20
    rated(folder, "valence", list(enumerate(values)))
    corpus, clips, _ = load(tmp_path)
    assert corpus.label_range == (-1, 1)
    assert "5 % of the values are below 0: taken for -1..1, not 0..1" in corpus.describe()
    assert "labels -1..1" in corpus.describe()
    assert clips["SEW1"].labels.values[10, 0] == -0.5


def test_frames_may_begin_anywhere_if_they_fit_the_video(tmp_path: Path) -> None:
    for name, first, rows in (("SEW1", 1, 10), ("SEW2", 300, 10), ("SEW3", 300, 50)):
        folder = native(tmp_path, name, session=name)
        for dim in VA:
            rated(folder, dim, [(first + i, i / 100) for i in range(rows) if i != 4])
    _, clips, rejected = load(tmp_path)
    expected = [i / 20 for i in range(10) if i != 4]
    for name in ("SEW1", "SEW2"):
        np.testing.assert_allclose(clips[name].labels.times, expected)
    assert [w for w, _ in rejected] == ["SEW3"]
    assert "its frames begin at 300 and are 49, the video has 10" in rejected[0][1]


def test_partners_are_never_divided(tmp_path: Path) -> None:
    for pair in range(1, 8):
        for partner in (1, 2):
            native(tmp_path, f"SEW{pair}S{partner}", session=str(pair), subject=str(2 * pair + partner))
    corpus, clips, _ = load(tmp_path)
    assert "groups that stay together: 7" in corpus.describe()
    assert "taken to count" not in corpus.describe()
    for fold in range(5):
        split = assign(list(clips.values()), folds=5, fold=fold)
        for part in ("train", "validation", "test"):
            assert all(
                (f"SEW{p}S1" in split.part(part)) == (f"SEW{p}S2" in split.part(part)) for p in range(1, 8)
            )


def test_subject_numbers_within_sessions_and_people_that_nobody_names(tmp_path: Path) -> None:
    for pair in range(1, 7):
        for partner in (1, 2):
            native(tmp_path, f"SEW{pair}S{partner}", session=str(pair), subject=str(partner))
    (tmp_path / "SEW1S1/metadata.ini").unlink()
    (tmp_path / "SEW2S1/metadata.ini").write_text("session = 2\n")
    (tmp_path / "SEW5S1/metadata.ini").write_text("[a]\nculture = German\n")
    corpus, clips, _ = load(tmp_path)
    assert clips["SEW3S2"].subject == "subject-3-2"
    assert clips["SEW2S1"].session == clips["SEW2S2"].session == "session-2"
    assert clips["SEW1S1"].session == clips["SEW5S1"].session == "people-unknown"
    said = corpus.describe()
    assert "fewer subject numbers than sessions: taken to count within each session" in said
    assert "2 clips whose metadata.ini tells no session stay together" in said
    assert "1 clips have a session and no subject number" in said


def test_native_reasons_to_leave_something_out(tmp_path: Path) -> None:
    native(tmp_path, "SEW10")
    native(tmp_path, "SEW9")
    silent = native(tmp_path, "SEW2", session="2")
    (silent / "SEW2.wav").unlink()
    film(silent / "SEW2.avi", heard=True)
    deaf = native(tmp_path, "SEW3", session="3")
    (deaf / "SEW3.wav").unlink()
    unseen = native(tmp_path, "SEW4", session="4")
    (unseen / "SEW4.avi").unlink()
    (unseen / "SEW4-Video.zip").write_bytes(b"PK")
    several = native(tmp_path, "SEW5", session="5")
    (several / "SEW5.avi").rename(several / "chat.avi")
    film(several / "advert.avi")
    headless = native(tmp_path, "SEW6", session="6")
    rated(headless, "valence", [(0, 1)], header="time,value")
    odd = native(tmp_path, "SEW7", session="7")
    rated(odd, "arousal", [(0, 0.2, ""), (1, 0.4, ""), (1, 0.6, ""), (2,)], header="frame,value,")
    blank = native(tmp_path, "SEW8", session="8")
    rated(blank, "valence", [(0, ""), (1, "NaN")])
    torn = native(tmp_path, "SEW11")
    (torn / "metadata.ini").write_text("[a\nb")
    (tmp_path / "SEW12").mkdir()
    (tmp_path / "SEW13-Audio.zip").write_bytes(b"PK")
    (tmp_path / "SEW_labels_valence_100Hz_gold_shifted.csv").write_text("filename,timestamp,value\n")
    corpus, clips, rejected = load(tmp_path)
    assert list(clips) == ["SEW2", "SEW3", "SEW7", "SEW9", "SEW10"]  # 10 after 9
    assert clips["SEW2"].sources["voice"].path.name == "SEW2.avi"
    assert set(clips["SEW3"].sources) == {"face"}
    np.testing.assert_allclose(clips["SEW7"].labels.values[:, 1], [0.2, 0.4], atol=1e-6)
    said = [f"{where}: {reason}" for where, reason in rejected]
    expected = [
        "SEW3: it goes on with face, no voice: no sound file, and SEW3.avi has no sound track",
        "SEW4: its labels count video frames, and there is no video",
        "SEW4/SEW4-Video.zip: it is still packed: unzip it",
        "SEW5: which of advert.avi, chat.avi is annotated? Keep one, or name it SEW5",
        "SEW6/valence/SEW6_Valence_A_Aligned.csv: its header has no column frame",
        "SEW7/arousal/SEW7_Arousal_A_Aligned.csv: 2 rows have not the 3 cells",
        "SEW7/arousal/SEW7_Arousal_A_Aligned.csv: column column3 holds no number",
        "SEW8: SEW8_Valence_A_Aligned.csv has no label",
        "SEW11: metadata.ini cannot be parsed",
        "SEW12: no face: there is no video; no voice: there is no sound file",
        "SEW13-Audio.zip: it is still packed",
        "SEW_labels_valence_100Hz_gold_shifted.csv: labels already shifted for the raters' lag",
    ]
    assert [e for e in expected if not any(e in text for text in said)] == []
    assert f"{len(rejected)} files, clips or rows not used" in corpus.describe()


# ---------------------------------------------------------------- AVEC releases


def released(
    root: Path,
    name: str,
    rows: Sequence[Sequence[Any]] | None = None,
    header: bool = False,
    media: bool = True,
) -> None:
    """One recording of an AVEC release; `rows` of (time, arousal, valence, liking), None: labels withheld."""
    if media:
        sound(root / "audio" / f"{name}.wav")
        film(root / "video" / f"{name}.avi", rate=25)
    (root / "labels").mkdir(parents=True, exist_ok=True)
    if rows is not None:
        text = ["name;timestamp;arousal;valence;liking"] if header else []
        text += [";".join([f"'{name}'", *map(str, row)]) for row in rows]
        (root / "labels" / f"{name}.csv").write_text("\n".join(text) + "\n\n")


ROWS = [(0.0, 0.1, -0.2, 0.3), (0.1, 0.2, -0.4, 0.3), (0.2, 0.3, -0.6, 0.3)]


@pytest.mark.parametrize(
    ("culture", "header", "said"),
    [
        ("", False, "AVEC 2017: 2 train, 1 validation"),
        ("DE_", False, "AVEC 2018 CES (no header): 2 train, 1 validation"),
        ("HU_", True, "AVEC 2019 CES (label files with a header): 2 train, 1 validation"),
    ],
)
def test_releases_are_told_apart_and_keep_their_partitions(
    tmp_path: Path, culture: str, header: bool, said: str
) -> None:
    for name in ("Train_10", "Train_2", "Devel_01"):
        released(tmp_path, name.replace("_", f"_{culture}"), ROWS, header)
    released(tmp_path, f"Test_{culture}01")
    (tmp_path / "audio_features_egemaps").mkdir()
    corpus, clips, rejected = load(tmp_path)
    assert list(clips) == [f"{p}_{culture}{n}" for p, n in (("Devel", "01"), ("Train", "2"), ("Train", "10"))]
    assert [c.split for c in clips.values()] == ["validation", "train", "train"]
    labels = clips[f"Train_{culture}2"].labels
    assert labels.times.tolist() == [0, 0.1, 0.2]
    np.testing.assert_allclose(labels.values, [[-0.2, 0.1], [-0.4, 0.2], [-0.6, 0.3]], atol=1e-7)
    assert rejected == [(f"Test_{culture}01", "the organisers withheld the labels of Test")]
    assert corpus.label_range == (-1, 1)
    assert said in corpus.describe()
    assert "pairs are not named" in corpus.describe()
    assert "labels -1..1" in corpus.describe()
    assert "25 frames/s" in corpus.describe()
    split = assign(list(clips.values()))
    assert split.part("test") == ()
    assert len(load(tmp_path, dims=("liking",))[1]) == 3


def test_labels_of_test_are_used_where_somebody_has_them(tmp_path: Path) -> None:
    released(tmp_path, "Train_DE_01", ROWS, header=True)
    released(tmp_path, "Test_CN_01", ROWS)
    released(tmp_path, "Test_HU_02", [(0.0, "NaN", "?", 0), (0.1, "", "nan", 0)])
    corpus, clips, rejected = load(tmp_path)
    assert clips["Test_CN_01"].split == "test"
    assert rejected == [("Test_HU_02", "the organisers withheld the labels of Test")]
    assert "AVEC 2018 and 2019 CES mixed" in corpus.describe()
    assert "cultures CN, DE" in corpus.describe()


def test_names_in_any_case(tmp_path: Path) -> None:
    released(tmp_path / "avec", "Train_DE_01", ROWS)
    (tmp_path / "avec/labels").rename(tmp_path / "avec/LABELS")
    (tmp_path / "avec/audio/Train_DE_01.wav").rename(tmp_path / "avec/audio/train_de_01.WAV")
    (tmp_path / "avec/video").rename(tmp_path / "avec/recordings_Video")
    clips = load(tmp_path / "avec")[1]
    assert {m: s.path.name for m, s in clips["Train_DE_01"].sources.items()} == {
        "face": "Train_DE_01.avi",
        "voice": "train_de_01.WAV",
    }
    folder = native(tmp_path / "native", "SEW1")
    (folder / "valence").rename(folder / "Valence")
    (folder / "arousal/SEW1_Arousal_A_Aligned.csv").rename(folder / "arousal/sew1_arousal_a_aligned.CSV")
    assert list(load(tmp_path / "native")[1]) == ["SEW1"]


def test_release_rows_that_are_no_labels(tmp_path: Path) -> None:
    rows = [(0.0, -5, 0.5, 0), (0.1, "?", 0.5, 0), (0.1, 0, 0, 0), (0.2, "NaN", -5, 0), (0.3, 0.25, 0.5, 0)]
    released(tmp_path, "Train_DE_01", rows)
    path = tmp_path / "labels/Train_DE_01.csv"
    path.write_text(path.read_text() + "'Train_DE_02';0.4;1;1;1\n'Train_DE_01';0.5;1\n\n  \n")
    _, clips, rejected = load(tmp_path)
    labels = clips["Train_DE_01"].labels
    np.testing.assert_allclose(labels.times, [0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(labels.values[:, 0], np.float32([0.5, 0.5, np.nan, 0.5]))
    np.testing.assert_array_equal(labels.values[:, 1], np.float32([np.nan, np.nan, np.nan, 0.25]))
    assert [reason for _, reason in rejected] == [
        "2 rows have not the 5 cells, or times that go back",
        "1 rows are named for another recording",
        "2 labels are outside -1..1",
    ]


def test_release_reasons_to_leave_something_out(tmp_path: Path) -> None:
    released(tmp_path, "Train_01", ROWS)
    released(tmp_path, "Train_02", ROWS, media=False)
    released(tmp_path, "Train_03")
    released(tmp_path, "Train_04", ROWS)
    (tmp_path / "audio/Train_04.wav").write_bytes(b"")
    released(tmp_path, "Devel_05", [("a", "b")])
    (tmp_path / "labels/Devel_06.csv").write_text("name;time;power\n'Devel_06';0;1\n")
    sound(tmp_path / "audio/Devel_06.wav")
    (tmp_path / "labels/readme.csv").write_text("x")
    (tmp_path / "labels/SEW_labels_arousal_100Hz_gold_shifted.csv").write_text("filename,timestamp,value\n")
    _, clips, rejected = load(tmp_path)
    assert list(clips) == ["Train_01", "Train_04"]
    said = [f"{where}: {reason}" for where, reason in rejected]
    expected = [
        "Train_02: no face: there is no video; no voice: there is no sound file",
        "Train_03: there is no labels/Train_03.csv",
        "Train_04: it goes on with face, no voice: Train_04.wav is empty (zero bytes)",
        "labels/Devel_05.csv: 1 rows have not the 5 cells",
        "Devel_05: no row has valence or arousal",
        "Devel_06: labels/Devel_06.csv has columns name, time, power, and none for valence, arousal",
        "labels/readme.csv: its name is none of Train_, Devel_, Test_ and a number",
        "labels/SEW_labels_arousal_100Hz_gold_shifted.csv: labels already shifted",
    ]
    assert [e for e in expected if not any(e in text for text in said)] == []


# ---------------------------------------------------------------- faults


def test_faults_say_what_to_do(tmp_path: Path) -> None:
    corpus = SewaCorpus(root=tmp_path)
    with pytest.raises(DataError, match="no 'ecg': set modalities.ecg.source"):
        corpus.load(("ecg",), VA)
    with pytest.raises(DataError, match="no 'power': set target.dims"):
        corpus.load(("face",), ("power",))
    with pytest.raises(DataError, match=r"no clip of SEWA can be used. Expected: <name>/valence"):
        corpus.load(("face",), VA)
    with pytest.raises(DataError, match="set corpus.root"):
        SewaCorpus(root=tmp_path / "gone").load(("face",), VA)
    options: dict[str, Any]
    for options in ({"gold": "median"}, {"annotation_source": "AVV"}):
        with pytest.raises(RecipeError, match=f"sewa: {next(iter(options))} is one of"):
            SewaCorpus(root=tmp_path, **options)
    released(tmp_path, "Train_DE_01", ROWS, media=False)
    (tmp_path / "audio_features_egemaps").mkdir()
    with pytest.raises(DataError, match=r"features \(audio_features_egemaps\) and no recordings"):
        corpus.load(("face",), VA)
    native(tmp_path, "SEW1")
    with pytest.raises(DataError, match="different ranges: set corpus.root to one of them"):
        corpus.load(("face",), VA)


def test_damaged_films_and_labels_that_are_all_outside(tmp_path: Path) -> None:
    native(tmp_path / "n", "SEW1")
    (native(tmp_path / "n", "SEW2") / "SEW2.avi").write_bytes(b"no film")
    native(tmp_path / "n", "SEW3", value=7)
    (native(tmp_path / "n", "SEW4") / "arousal/SEW4_Arousal_A_Aligned.csv").write_text("frame,value\n")
    _, clips, rejected = load(tmp_path / "n")
    assert list(clips) == ["SEW1"]
    reasons = dict(rejected)
    assert "SEW2.avi: cannot be decoded" in reasons["SEW2"]
    assert reasons["SEW3 valence, column value"] == "10 labels are outside 0..1"
    assert "no frame has a label for valence and arousal" in reasons["SEW3"]
    assert "has no row of labels" in reasons["SEW4"]
    assert load(tmp_path / "n", dims=())[1]["SEW3"].labels is None
    released(tmp_path / "a", "Train_01", ROWS)
    (tmp_path / "a/video/Train_01.avi").write_bytes(b"no film")
    assert "Train_01.avi cannot be read" in load(tmp_path / "a")[0].describe()  # and told when it is prepared
