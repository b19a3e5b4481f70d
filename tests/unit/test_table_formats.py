"""Tables of known programs, times in known units, and rows that do not count: what was written is what is
read, and the rest is absent or a fault."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.data.label_file import read_labels
from fusekit.data.readers.features import Features
from fusekit.errors import DataError, RecipeError


def read(path: Path, text: str, **arguments: Any) -> dict[str, np.ndarray]:
    path.write_text(text, encoding="utf-8")
    return Features(**arguments).prepare(Source(path))


OPENFACE = """\
frame, face_id, timestamp, confidence, success, AU12_r, AU04_r
1, 0, 0.000, 0.98, 1, 2.5, 0.1
2, 0, 0.033, 0.00, 0, 0.0, 0.0
3, 0, 0.067, 0.97, 1, 1.5, 0.3
"""


def test_openface_rows_without_success_are_absent(tmp_path: Path) -> None:
    for arguments in ({"width": 2}, {"width": 2, "columns": ("AU12_r", "AU04_r")}):
        stream = read(tmp_path / "t.csv", OPENFACE, format="openface", **arguments)
        assert stream["times"].tolist() == [0.0, 0.033, 0.067]
        assert stream["complete"].tolist() == [True, False, True]
        np.testing.assert_allclose(stream["values"], [[2.5, 0.1], [0, 0], [1.5, 0.3]])
        assert Features(width=2).doubts(stream) == ()
    strict = read(tmp_path / "t.csv", OPENFACE, width=2, format="openface", valid=("confidence", 0.975))
    assert strict["complete"].tolist() == [True, False, False]
    bare = read(tmp_path / "t.csv", OPENFACE, width=1, columns=("AU12_r",), rate_hz=30)  # told, not guessed
    said = " ".join(Features(width=1).doubts(bare))
    assert "success is below 0.5" in said
    assert "'timestamp' looks like times" in said


def test_valid_is_a_column_and_its_least_value_or_several(tmp_path: Path) -> None:
    text = "time_s,good,sure,a\n0,1,.9,1\n1,1,.2,2\n2,0,.9,3\n3,,.9,4\n"
    both = read(tmp_path / "t.csv", text, width=1, valid={"good": 1, "sure": 0.5})
    assert both["complete"].tolist() == [True, False, False, False]
    one = read(tmp_path / "t.csv", text, width=1, columns=("a",), valid=("sure", 0.5))
    assert one["complete"].tolist() == [True, False, True, True]
    with pytest.raises(DataError, match="no column 'god'; did you mean 'good'"):
        read(tmp_path / "t.csv", text, width=1, valid=("god", 1))


def test_openface_of_several_faces_asks_for_one(tmp_path: Path) -> None:
    text = "frame,face_id,timestamp,confidence,success,AU01_r\n1,0,0,.9,1,1\n1,1,0,.9,1,2\n"
    with pytest.raises(DataError, match=r"column face_id tells several: keep the rows of one"):
        read(tmp_path / "t.csv", text, width=1, format="openface")


def test_py_feat_counts_frames_and_a_frame_without_a_face_is_absent(tmp_path: Path) -> None:
    text = (
        ",frame,FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,AU01,happiness,input,approx_time\n"
        "0,0,1,2,3,4,.99,.5,.25,v.mp4,00:00\n1,12,,,,,,,,v.mp4,00:00\n2,24,1,2,3,4,.99,.75,.5,v.mp4,00:01\n"
    )
    stream = read(tmp_path / "t.csv", text, width=2, format="py-feat", rate_hz=24)
    assert stream["times"].tolist() == [0, 0.5, 1]
    assert stream["complete"].tolist() == [True, False, True]
    assert stream["values"][[0, 2]].tolist() == [[0.5, 0.25], [0.75, 0.5]]
    with pytest.raises(RecipeError, match="'frame' counts frames, so set rate_hz"):
        Features(width=2, format="py-feat")


def test_mediapipe_s_blendshapes_are_timed_in_milliseconds_and_zeros_are_no_face(tmp_path: Path) -> None:
    text = "timestamp_ms,_neutral,jawOpen,handedness\n0,.1,.5,1\n40,0,0,0\n80,.2,.25,1\n"
    stream = read(tmp_path / "t.csv", text, width=2, format="mediapipe")
    np.testing.assert_allclose(stream["times"], [0, 0.04, 0.08])
    assert stream["complete"].tolist() == [True, False, True]
    assert Features(width=2).columns_in(stream) == ("_neutral", "jawOpen")


def test_opensmile_of_the_program_and_of_the_python_package(tmp_path: Path) -> None:
    program = "name;frameTime;Loudness_sma3;F0\n'unknown';0.000;0.5;120\n'unknown';0.010;0.25;121\n"
    package = (
        "file,start,end,Loudness_sma3,F0\n"
        "a.wav,0 days 00:00:00,0 days 00:00:00.020000,0.5,120\n"
        "a.wav,0 days 00:00:00.010000,0 days 00:01:00.030000,0.25,121\n"
    )
    for text, times in ((program, [0, 0.01]), (package, [0.02, 60.03])):
        stream = read(tmp_path / "t.csv", text, width=2, format="opensmile")
        np.testing.assert_allclose(stream["times"], times)
        assert stream["values"].tolist() == [[0.5, 120], [0.25, 121]]


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("frames", 25)])
def test_the_unit_of_times_changes_no_window(tmp_path: Path, unit: str, per_s: float) -> None:
    rows = [(k / 25, k) for k in range(50)]
    plain = read(tmp_path / "s.csv", "time_s,a\n" + "".join(f"{t!r},{a}\n" for t, a in rows), width=1)
    text = "stamp,a\n" + "".join(f"{t * per_s:.12g},{a}\n" for t, a in rows)
    other = read(tmp_path / "t.csv", text, width=1, time="stamp", time_unit=unit, rate_hz=25)
    np.testing.assert_allclose(other["times"], plain["times"], atol=1e-9)
    np.testing.assert_array_equal(other["values"], plain["values"])


def test_a_named_column_of_times_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'stamp' of times"):
        read(tmp_path / "t.csv", "time_s,a\n0,1\n", width=1, time="stamp")
    with pytest.raises(DataError, match="is it 'timestamp'\\? Then set the reader's time=timestamp"):
        read(tmp_path / "t.csv", "timestamp,a\n0,1\n1,2\n", width=2)
    np.save(tmp_path / "t.npy", np.ones((3, 1)))
    with pytest.raises(DataError, match="stamp is wanted by name"):
        Features(width=1, time="stamp").prepare(Source(tmp_path / "t.npy"))


# ---------------------------------------------------------------- cells without a number

MISSING = [
    "",
    "NA",
    "na",
    "N/A",
    "#N/A",
    "nan",
    "NaN",
    "-nan",
    "nan(ind)",
    "-nan(ind)",
    "-1.#IND",
    "null",
    "None",
]


@pytest.mark.parametrize("word", MISSING)
def test_a_word_for_a_missing_number_makes_the_row_absent(tmp_path: Path, word: str) -> None:
    stream = read(tmp_path / "t.csv", f"time_s,a,b\n0,1,2\n1,{word},3\n2,4,5\n", width=2)
    assert stream["complete"].tolist() == [True, False, True]
    (tmp_path / "l.csv").write_text(f"time_s,valence,quadrant,k\n0,.5,0,1\n1,{word},{word},{word}\n")
    labels = read_labels(tmp_path / "l.csv", ("valence",), (-1, 1))
    assert labels.values[0, 0] == np.float32(0.5)
    assert np.isnan(labels.values[1, 0])
    assert labels.quadrant is not None
    assert labels.quadrant.tolist() == [0, -1]
    assert labels.extra["k"][0] == 1
    assert np.isnan(labels.extra["k"][1])


@pytest.mark.parametrize("word", ["x", "?", "1_000", "12:30", "50%", "--", "1.2.3"])
def test_any_other_word_among_numbers_is_a_fault_with_row_and_column(tmp_path: Path, word: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv: line 3, column 'b': '{re.escape(word)}' is no number"):
        read(tmp_path / "t.csv", f"time_s,a,b\n0,1,2\n1,2,{word}\n", width=2)
    (tmp_path / "l.csv").write_text(f"time_s,valence\n0,.5\n1,{word}\n")
    with pytest.raises(
        DataError, match=rf"l\.csv: line 3, column valence: '{re.escape(word)}' is no finite number"
    ):
        read_labels(tmp_path / "l.csv", ("valence",), (-1, 1))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    holes=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8),
    word=st.sampled_from(MISSING),
)
def test_a_row_counts_where_no_cell_is_missing(tmp_path: Path, holes: list[list[bool]], word: str) -> None:
    rows = [",".join([str(k), *(word if hole else "1" for hole in row)]) for k, row in enumerate(holes)]
    stream = read(tmp_path / "t.csv", "\n".join(["time_s,a,b,c", *rows]), width=3)
    assert stream["complete"].tolist() == [not any(row) for row in holes]
