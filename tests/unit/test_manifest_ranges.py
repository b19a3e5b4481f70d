"""Ranges of labels, columns, names and stimuli of a manifest: each row has its own, nothing is guessed."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit.contracts import Clip, Labels, Source
from fusekit.data.corpora.manifest import ManifestCorpus
from fusekit.data.folds import assign
from fusekit.data.label_ranges import check_range, on_common_scale, range_fault, scale, unscale
from fusekit.data.manifest import Manifest, read_manifest
from fusekit.data.manifest_columns import modality_columns
from fusekit.data.names import alike, composed, existing, tidied
from fusekit.data.stimuli import shared_media
from fusekit.errors import DataError

VA = ("valence", "arousal")


def manifest(
    folder: Path, header: str, *rows: str, modalities: tuple[str, ...] = ("face",), dims: tuple[str, ...] = VA
) -> Manifest:
    for name in "abc":
        (folder / f"{name}.mp4").write_bytes(name.encode() * 9)
        (folder / f"{name}.csv").write_text(f"time_s,valence,arousal\n0,0.2,0.6\n1,{ord(name) / 200},1\n")
    (folder / "manifest.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_manifest(folder / "manifest.csv", modalities, dims)


# ---------------------------------------------------------------- ranges

RANGED = "clip,subject,labels,face,label_min,label_max"


def test_a_range_in_one_row_is_that_row_s(tmp_path: Path) -> None:
    found = manifest(tmp_path, RANGED, "a,a,a.csv,a.mp4,0,1", "b,b,b.csv,b.mp4,,", "c,c,c.csv,c.mp4,-5,5")
    assert not found.rejected
    assert found.label_range == (-1, 1)
    for clip, low, high in zip(found.clips, (0, -1, -5), (1, 1, 5), strict=True):
        assert clip.labels is not None
        wanted = [0.2, 0.6]
        np.testing.assert_allclose(
            clip.labels.values[0], [2 * (v - low) / (high - low) - 1 for v in wanted], atol=1e-6
        )
    corpus = ManifestCorpus(path=tmp_path / "manifest.csv")
    corpus.load(("face",), VA)
    assert corpus.describe().endswith(
        "3 clips, labels 0..1 in 1 clip, -1..1 in 1 clip, -5..5 in 1 clip, each mapped to -1..1"
    )


def test_rows_without_a_range_among_others_that_state_one_are_told(tmp_path: Path) -> None:
    found = manifest(tmp_path, RANGED, "a,a,a.csv,a.mp4,0,1", "b,b,b.csv,b.mp4,,", "c,c,c.csv,c.mp4,,")
    (text,) = found.doubts
    assert text.startswith("2 of 3 rows (first row 3, clip b) leave the range of their labels empty")
    assert "row 2 states 0..1" in text
    for rows in (
        ("a,a,a.csv,a.mp4,0,1", "b,b,b.csv,b.mp4,-1,1"),
        ("a,a,a.csv,a.mp4,-1,1", "b,b,b.csv,b.mp4,,"),
    ):
        assert manifest(tmp_path, RANGED, *rows).doubts == ()


def test_one_range_of_all_rows_is_the_corpus_s_own(tmp_path: Path) -> None:
    found = manifest(tmp_path, RANGED, "a,a,a.csv,a.mp4,0,5", "b,b,b.csv,b.mp4,0.0,5")
    assert found.label_range == (0, 5)
    assert found.clips[0].labels is not None
    assert found.clips[0].labels.values[0].tolist() == [np.float32(0.2), np.float32(0.6)]


def test_a_dimension_may_have_a_range_of_its_own(tmp_path: Path) -> None:
    header = "clip,subject,labels,face,label_min,label_max,arousal_min,arousal_max"
    found = manifest(tmp_path, header, "a,a,a.csv,a.mp4,0,1,0,2", "b,b,b.csv,b.mp4,0,1,,")
    first, second = (clip.labels.values[0] for clip in found.clips if clip.labels is not None)
    np.testing.assert_allclose(first, [-0.6, -0.4], atol=1e-6)
    np.testing.assert_allclose(second, [-0.6, 0.2], atol=1e-6)
    assert found.ranges == "valence 0..1 and arousal 0..2 in 1 clip, 0..1 in 1 clip"


@pytest.mark.parametrize("cells", ["inf,1", "0,nan", "1,0", "1,1", "0,", "x,1", "0,1e300", "1e9,1000000001"])
def test_what_is_no_range_leaves_its_row_out(tmp_path: Path, cells: str) -> None:
    found = manifest(tmp_path, RANGED, f"a,a,a.csv,a.mp4,{cells}", "b,b,b.csv,b.mp4,,")
    assert [c.id for c in found.clips] == ["b"]
    assert "label_min" in found.rejected[0].reason
    assert found.label_range == (-1, 1)


def test_a_corpus_s_range_is_checked() -> None:
    assert check_range((0, 1), "x") == (0, 1)
    for bad in ((-np.inf, np.inf), (0, np.nan), (1, 0), (0, 0), (-1e300, 1e300)):
        with pytest.raises(DataError, match="mine: the label range"):
            check_range(bad, "mine")


@given(
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_mapping_to_the_common_scale_is_undone_by_unscale(
    low: float, width: float, shares: list[float]
) -> None:
    own = (low, low + width)
    if range_fault(own):
        return
    values = np.array([[low + share * width] for share in shares])
    mapped = on_common_scale(Labels(np.arange(len(shares)), values, ("valence",)), {"valence": own}).values
    np.testing.assert_array_equal(mapped, scale(values, own))
    assert (np.abs(mapped) <= 1 + 1e-6).all()
    np.testing.assert_allclose(unscale(mapped, own), values, rtol=1e-4, atol=1e-4 * width)


# ---------------------------------------------------------------- columns


def test_columns_of_other_modalities_are_welcome_and_slips_are_told(tmp_path: Path) -> None:
    header = "clip,subject,labels,face,face_boxes,openface,age,label_mean,face_notes"
    found = manifest(tmp_path, header, "a,a,a.csv,gone.mp4,,a.mp4,30,.5,x", modalities=("openface",))
    assert [c.id for c in found.clips] == ["a"]
    for slip, meant in (
        ("openface_boxs", "openface_boxes"),
        ("openface_start", "openface_start_s"),
        ("openface_box", "openface_boxes"),
        ("opneface_boxes", "openface_boxes"),
        ("Labels", "labels"),
        ("lable_min", "label_min"),
        ("label-max", "label_max"),
        ("valance_min", "valence_min"),
        ("sessoin", "session"),
        ("openface step s", "openface_step_s"),
    ):
        header = f"clip,subject,openface,{slip}" + ("" if slip == "Labels" else ",labels")
        with pytest.raises(DataError, match=f"column '{slip}' is unknown; did you mean '{meant}'"):
            manifest(tmp_path, header, "a,a,a.mp4,,a.csv", modalities=("openface",))


def test_without_a_recipe_only_columns_of_files_are_modalities(tmp_path: Path) -> None:
    header = "clip,subject,labels,face,face_boxes,age,note,valence_min,valence_max,ratio"
    manifest(tmp_path, header, "a,a,a.csv,a.mp4,,30,calm,0,1,4.5", "b,b,b.csv,gone.mp4,,31,loud,0,1,1.25")
    assert modality_columns(tmp_path / "manifest.csv") == ["face"]


# ---------------------------------------------------------------- names

NFC, NFD = (unicodedata.normalize(form, "Jörg") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("on_disk", [NFC, NFD])
@pytest.mark.parametrize("typed", [NFC, NFD])
def test_names_and_paths_have_one_form(tmp_path: Path, on_disk: str, typed: str) -> None:
    (tmp_path / on_disk).mkdir()
    (tmp_path / on_disk / f"{on_disk}.mp4").write_bytes(b"film")
    row = f"{typed},{typed},a.csv,{typed}/{typed}.mp4,{typed}"
    found = manifest(tmp_path, "clip,subject,labels,face,session", row, f"c,{NFC},c.csv,c.mp4,{NFC}")
    assert not found.rejected
    assert {(c.subject, c.session) for c in found.clips} == {(NFC, NFC)}
    clip = next(c for c in found.clips if c.id == NFC)
    assert clip.sources["face"].path.read_bytes() == b"film"


def test_a_file_that_is_not_there_stays_so(tmp_path: Path) -> None:
    assert existing(tmp_path / "no" / "such.mp4") == tmp_path / "no" / "such.mp4"
    assert composed(NFD) == NFC


def test_one_id_in_two_forms_is_refused() -> None:
    clips = [Clip(name, name, {}, None) for name in (NFD, NFC)]
    with pytest.raises(DataError, match="in different Unicode forms"):
        tidied(clips)
    assert [c.subject for c in tidied(clips[:1])] == [NFC]


def test_names_that_differ_by_case_or_spaces_alone_are_told() -> None:
    names = ("anna", "Anna", "ANNA", "ben", "b en", "cleo", "cl\u200beo", "dan", "eve 1", "eve 2")
    notes = alike([Clip(str(i), name, {}, None) for i, name in enumerate(names)])
    assert len(notes) == 3
    assert (
        "'ANNA' (clip 2), 'Anna' (clip 1), 'anna' (clip 0) differ by case or spaces alone" in notes[0].reason
    )
    assert alike([Clip("a", "anna", {}, None), Clip("b", "anna", {}, None)]) == []


# ---------------------------------------------------------------- stimuli


def test_a_stimulus_may_be_watched_by_several_people(tmp_path: Path) -> None:
    header = "clip,subject,labels,face"
    rows = [f"{name}{k},{name},{name}.csv,film{k}-{name}.mp4" for name in "abc" for k in range(2)]
    for name in "abc":
        for k in range(2):
            (tmp_path / f"film{k}-{name}.mp4").write_bytes(bytes([k]) * 50)
    found = manifest(tmp_path, header, *rows)
    # Both films of one viewer have the same labels here, and other content.
    assert (len(found.clips), found.rejected) == (6, [])
    split = assign(found.clips, folds=3, validation=0.5)
    for subject in "abc":
        assert (
            len({p for p in ("train", "validation", "test") for c in split.part(p) if c[0] == subject}) == 1
        )
    (note,) = shared_media(split, found.clips)
    assert "2 contents are in train and validation and test" in note.reason
    twin = manifest(tmp_path, header, *rows, "d,d,a.csv,film0-a.mp4")
    assert [r.where for r in twin.rejected] == ["manifest.csv row 8 (clip d)"]
    assert "and its labels are the same: remove one" in twin.rejected[0].reason
    again = manifest(tmp_path, header, *rows, "d,a,c.csv,film0-a.mp4")  # a copy of one's own by mistake
    assert "(clip a0, subject a), and its subject is the same: remove one" in again.rejected[0].reason


def test_nothing_is_shared_where_content_differs(tmp_path: Path) -> None:
    clips = []
    for i in range(6):
        (tmp_path / f"{i}.bin").write_bytes(bytes([i]) * 10)
        clips.append(Clip(str(i), str(i), {"m": Source(tmp_path / f"{i}.bin")}, None))
    assert shared_media(assign(clips, folds=3), clips) == []
