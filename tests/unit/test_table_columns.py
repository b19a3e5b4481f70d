"""Feature tables go by the names of their columns: any order is the same, other names are a fault."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from fusekit.contracts import Clip, Source, Stream
from fusekit.data.columns import agree, doubts
from fusekit.data.readers.features import Features
from fusekit.data.readers.mel_spectrogram import MelSpectrogram
from fusekit.errors import DataError, RecipeError

NAMES = ("smile", "brow", "jaw")
ROWS = np.random.default_rng(3).normal(size=(20, 3)).astype(np.float32)


def write(path: Path, names: tuple[str, ...] = NAMES, mark: str = ",", pad: str = "") -> Path:
    """The same numbers under the same names, in any order of columns."""
    order = [NAMES.index(name) for name in names if name in NAMES]
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, delimiter=mark)
        out.writerow(["time_s", *(pad + name for name in names)])
        out.writerows([k / 10, *row[order].tolist()] for k, row in enumerate(ROWS))
    return path


def prepared(reader: Features, paths: dict[str, Path]) -> tuple[list[Clip], dict[str, dict[str, Stream]]]:
    clips = [Clip(name, name, {"au": Source(path)}, None) for name, path in sorted(paths.items())]
    return clips, {c.id: {"au": reader.prepare(c.sources["au"])} for c in clips}


@pytest.mark.parametrize("names", list(itertools.permutations(NAMES)))
@pytest.mark.parametrize("window_s", [None, 0.35])
def test_any_order_of_columns_gives_the_same_windows(
    tmp_path: Path, names: tuple[str, ...], window_s: float | None
) -> None:
    reader = Features(width=3, window_s=window_s)
    clips, streams = prepared(reader, {"a": write(tmp_path / "a.csv"), "b": write(tmp_path / "b.csv", names)})
    found = agree(clips, streams, {"au": reader})
    assert (found.names, found.rejected, found.notes) == ({"au": NAMES}, [], [])
    times = np.arange(20) / 10
    first, second = (reader.windows(streams[c]["au"], times) for c in "ab")
    np.testing.assert_allclose(first, second, rtol=1e-6)
    np.testing.assert_allclose(
        first[:, :3] if window_s is None else first[0:1, :3],
        ROWS if window_s is None else ROWS[:1],
        rtol=1e-6,
    )


def test_a_reader_that_knows_the_training_s_names_reads_files_by_them(tmp_path: Path) -> None:
    reader = Features(width=3)
    reader.select(NAMES)  # as a run that is opened does
    stream = reader.prepare(Source(write(tmp_path / "t.csv", ("jaw", "smile", "brow"))))
    np.testing.assert_allclose(reader.windows(stream, np.arange(20) / 10), ROWS, rtol=1e-6)
    with pytest.raises(
        DataError, match=r"t\.csv: its columns are not those of the training: it lacks 'jaw' and has 'lip'"
    ):
        reader.prepare(Source(write_other(tmp_path / "t.csv")))


def write_other(path: Path) -> Path:
    path.write_text("time_s,smile,brow,lip\n0,1,2,3\n1,2,3,4\n")
    return path


def test_the_columns_of_most_clips_count_and_others_are_left_out(tmp_path: Path) -> None:
    reader = Features(width=3)
    tables = {"a": write_other(tmp_path / "a.csv"), "b": write(tmp_path / "b.csv", ("jaw", "brow", "smile"))}
    clips, streams = prepared(reader, {**tables, "c": write(tmp_path / "c.csv")})
    found = agree(clips, streams, {"au": reader})
    assert found.names == {"au": ("jaw", "brow", "smile")}
    (left,) = found.rejected
    assert left.where == "a"
    assert "a.csv: its columns are not those of most other clips: it lacks 'jaw' and has 'lip'" in left.reason


def test_kept_names_go_before_what_the_clips_say(tmp_path: Path) -> None:
    reader = Features(width=3)
    clips, streams = prepared(reader, {"a": write(tmp_path / "a.csv", ("jaw", "brow", "smile"))})
    agree(clips, streams, {"au": reader}, {"au": NAMES})
    np.testing.assert_allclose(reader.windows(streams["a"]["au"], np.arange(20) / 10), ROWS, rtol=1e-6)
    older = Features(width=3)  # of a run that kept no names: each file's own order, as it was
    assert agree(clips, streams, {"au": older}, {}).names == {}
    assert older.names == ()


def test_tables_without_names_go_by_width_and_a_mixture_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", ROWS)
    reader = Features(width=3, rate_hz=10)
    paths = {"a": write(tmp_path / "a.csv"), "b": tmp_path / "b.npy"}
    clips, streams = prepared(reader, paths)
    found = agree(clips, streams, {"au": reader})
    assert found.names == {"au": NAMES}
    assert not found.rejected
    assert "1 of 2 tables name no columns (first clip b)" in found.notes[0].reason
    clips, streams = prepared(Features(width=3, rate_hz=10), {"b": paths["b"]})
    assert agree(clips, streams, {"au": Features(width=3)}).names == {"au": ()}
    clips, streams = prepared(Features(width=3), {"a": paths["a"]})
    assert (
        "the tables of the training name no columns"
        in agree(clips, streams, {"au": Features(width=3)}, {"au": ()}).notes[0].reason
    )


def test_readers_without_columns_have_none_to_select() -> None:
    reader = MelSpectrogram()
    assert reader.columns_in({}) == ()
    assert reader.doubts({}) == ()
    reader.select(())
    with pytest.raises(RecipeError, match="MelSpectrogram names no columns"):
        reader.select(("a",))


# ---------------------------------------------------------------- marks between cells


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("pad", ["", "  "])
def test_cells_may_be_parted_by_commas_semicolons_or_tabs(tmp_path: Path, mark: str, pad: str) -> None:
    stream = Features(width=3).prepare(Source(write(tmp_path / "t.csv", mark=mark, pad=pad)))
    np.testing.assert_allclose(stream["values"], ROWS)
    assert Features(width=3).columns_in(stream) == NAMES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time_s;a\n0,0;1\n0,1;2\n", r"line 2, column 'time_s': '0,0' has a decimal comma"),
        ("time_s;a\n0.0;0,5\n0.1;0,6\n", r"line 2, column 'a': '0,5' has a decimal comma; write .* 0\.5$"),
        ("time_s,a\n0,0,0,5\n0,1,0,6\n", "line 2 has 4 cells, the header has 2; .*decimal commas"),
        ('time_s,a\n0,"1,5"\n', "line 2, column 'a': '1,5' has a decimal comma"),
        ("time_s;a,b\n0;1,2\n", "commas or semicolons could part this header"),
        ("time_s;a,b\n0;1\n1;2,3\n", "1 columns of numbers|could part|'2,3' has a decimal comma"),
        ("time_s,a,A , a\n0,1,2,3\n", "column 'a' is there twice"),
    ],
)
def test_a_doubtful_mark_or_name_is_a_fault(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        Features(width=1).prepare(Source(tmp_path / "t.csv"))


def test_names_that_hold_another_mark_are_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s;a,b;c\n0;1;2\n1;3;4\n")
    reader = Features(width=2)
    assert reader.columns_in(reader.prepare(Source(tmp_path / "t.csv"))) == ("a,b", "c")
    (tmp_path / "t.csv").write_text('time_s,"a;b",c\n0,1,2\n1,3,4\n')
    assert reader.columns_in(reader.prepare(Source(tmp_path / "t.csv"))) == ("a;b", "c")


def test_a_counter_without_a_name_in_front_is_no_feature(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",time_s,a\n0,0.0,1\n1,0.5,2\n")  # as pandas writes it
    assert Features(width=1).prepare(Source(tmp_path / "t.csv"))["values"].tolist() == [[1], [2]]
    (tmp_path / "t.csv").write_text(",time_s,a\n5,0.0,1\n1,0.5,2\n")
    with pytest.raises(DataError, match="column 1 of the header has no name"):
        Features(width=1).prepare(Source(tmp_path / "t.csv"))


def test_doubts_are_told_once_for_all_clips(tmp_path: Path) -> None:
    text = "time_s,success,a\n0,1,1\n1,0,0\n"
    paths = {}
    for name in "ab":
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text(text)
    reader = Features(width=1, columns=("a",))
    clips, streams = prepared(reader, paths)
    (note,) = doubts(clips, streams, {"au": reader})
    assert note.where == "modality au"
    assert "rows whose success is below 0.5 count like any other" in note.reason
    assert note.reason.endswith("(2 clips, first a)")
