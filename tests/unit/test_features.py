"""Reader `features`: tables of every kind against what was written, times, gaps, windows, clear faults."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.data import feature_table
from fusekit.data.manifest import read_manifest
from fusekit.data.readers.features import Features
from fusekit.data.steps import build_steps
from fusekit.data.store import PreparedStore, prepare_clips
from fusekit.errors import DataError, MissingExtraError, RecipeError


def table(path: Path, rows: list[list[Any]], header: tuple[str, ...] = ("time_s", "a", "b")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    files.write_table(pyarrow.table(columns), path)
    return path


# ---------------------------------------------------------------- times


def test_the_latest_row_at_or_before_a_step_is_in_force(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[0.1, 1, 10], [0.3, 2, 20], [1.0, 3, 30]])
    reader = Features(width=2, hold_s=1.0)
    stream = reader.prepare(Source(file))
    times = np.array([0.0, 0.1, 0.29, 0.1 * 3, 0.9, 1.0, 2.0, 2.1])
    assert reader.windows(stream, times)[:, 0].tolist() == [0, 1, 1, 2, 2, 3, 3, 3]
    assert reader.present(stream, times).tolist() == [False, *[True] * 6, False]
    assert reader.windows(stream, times).dtype == np.float32
    assert (reader.raw_shape, reader.lookahead_s) == ((2,), 0.0)
    assert float(stream["duration_s"][0]) == pytest.approx(1.0 + 0.45)


def test_without_a_column_of_times_rows_are_counted(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(tmp_path / "t.npy", values)
    reader = Features(width=3, rate_hz=1)
    stream = reader.prepare(Source(tmp_path / "t.npy"))
    np.testing.assert_array_equal(reader.windows(stream, np.arange(4.0)), values)
    assert float(stream["duration_s"][0]) == 4
    half = reader.prepare(Source(tmp_path / "t.npy", start_s=2.0, step_s=0.5))  # the corpus knows better
    assert half["times"].tolist() == [2, 2.5, 3, 3.5]
    with pytest.raises(DataError, match=r"no column time_s.*rate_hz"):
        Features(width=3).prepare(Source(tmp_path / "t.npy"))


def test_the_manifest_shifts_and_respaces_a_table(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[5.0, 1, 1], [5.5, 2, 2], [7.0, 3, 3]])
    reader = Features(width=2, rate_hz=100)

    def times(**given: float) -> list[float]:
        return reader.prepare(Source(file, **given))["times"].tolist()

    assert times() == [5, 5.5, 7]
    assert times(start_s=1.0) == [1, 1.5, 3]
    assert times(step_s=2.0) == [5, 7, 9]
    assert times(start_s=0.0, step_s=2.0) == [0, 2, 4]


def test_one_row_lasts_as_long_as_it_is_held(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[0.0, 1, 2]])
    for held, lasts in ((None, 1.0), (30.0, 30.0)):
        assert Features(width=2, hold_s=held).prepare(Source(file))["duration_s"].tolist() == [lasts]


def test_a_row_with_a_gap_is_absent_and_the_one_before_does_not_return(tmp_path: Path) -> None:
    rows = [[0, 1, 1], [1, "", 2], [2, "nan", 3], [3, "inf", 4], [4, 1e300, 5], [5, 6, 6]]
    reader = Features(width=2)
    stream = reader.prepare(Source(table(tmp_path / "t.csv", rows)))
    times = np.arange(6.0) + 0.5
    assert reader.present(stream, times).tolist() == [True, False, False, False, False, True]
    assert reader.windows(stream, times).tolist() == [[1, 1], [0, 0], [0, 0], [0, 0], [0, 0], [6, 6]]


# ---------------------------------------------------------------- kinds of files


def test_all_kinds_of_files_hold_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 2)).astype(np.float32)
    times = np.cumsum(rng.uniform(0.1, 1, 7))
    rows = [[t, "word", *row] for t, row in zip(times.tolist(), values.tolist(), strict=True)]
    text = table(tmp_path / "t.CSV", rows, ("time_s", "who", "a", "b"))
    columns = {"a": values[:, 0], "who": ["word"] * 7, "time_s": times, "b": values[:, 1]}
    binary = parquet(tmp_path / "t.parquet", columns)
    np.save(tmp_path / "t.npy", values)
    found = [feature_table.read_features(f) for f in (text, binary, tmp_path / "t.npy")]
    for one in found:
        np.testing.assert_array_equal(one.values, values)
    for one in found[:2]:
        np.testing.assert_allclose(one.times, times)
        assert (one.names, one.words) == (("a", "b"), ("who",))
    assert found[2].times is None


def test_columns_are_taken_by_name_in_the_order_asked_for(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[0, 1, 2], [1, 3, 4]])
    reader = Features(width=2, columns=("b", "a"))
    assert reader.prepare(Source(file))["values"].tolist() == [[2, 1], [4, 3]]
    assert reader.settings() != Features(width=2).settings()
    with pytest.raises(DataError, match="no column 'aa'; did you mean 'a'"):
        Features(width=1, columns=("aa",)).prepare(Source(file))
    words = table(tmp_path / "w.csv", [[0, 1, "x"]])
    with pytest.raises(DataError, match="column 'b' holds something else than numbers"):
        Features(width=1, columns=("b",)).prepare(Source(words))


def test_parquet_counts_nulls_as_gaps_and_whole_numbers_as_numbers(tmp_path: Path) -> None:
    file = parquet(
        tmp_path / "t.parquet", {"a": [1, None, 3], "b": [0.5, 1.5, 2.5], "c": [True, False, True]}
    )
    reader = Features(width=3, rate_hz=2)
    stream = reader.prepare(Source(file))
    assert stream["values"].tolist() == [[1, 0.5, 1], [0, 0, 0], [3, 2.5, 1]]
    assert stream["complete"].tolist() == [True, False, True]


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(feature_table, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fusekit-multimodal\[parquet\]'"):
        feature_table.read_features(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"time_s,a\n0,1\n0,2\n", "does not follow 0; sort the rows"),
        ("t.csv", b"time_s,a\n0,1\n,2\n", r"column time_s \(row 2\) must hold seconds"),
        ("t.csv", b"time_s,a\nx,1\n", "column time_s must hold seconds"),
        ("t.csv", b"0,1\n1,2\n", "first row is all numbers"),
        ("t.csv", b"time_s,a\n0,1,2\n", "line 2 has 3 cells, the header has 2"),
        ("t.csv", b"time_s,a\n", "there is no row"),
        ("t.csv", b"time_s\n1\n", "no column but time_s"),
        ("t.csv", b"time_s,a,b,c\n0,1,2,x\n", r"2 columns of numbers \(a, b\), and words in c; .*width is 1"),
        ("t.csv", b"\xff\xfe\x00", "not a CSV text file"),
        ("t.npy", b"\x93NUMPY\x01\x00", "not an NPY file of numbers, or it is damaged"),
        ("t.npy", b"no array", "not an NPY file of numbers, or it is damaged"),
        ("t.parquet", b"no table at all", "not a Parquet file, or it is damaged"),
        ("t.txt", b"1", r"features are read from \.csv, \.npy or \.parquet"),
        ("t.csv", b"", "zero bytes"),
    ],
)
def test_faults_name_the_file_and_say_what_to_do(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: .*{said}"):
        Features(width=1, rate_hz=1).prepare(Source(tmp_path / name))
    with pytest.raises(DataError, match="no such file"):
        Features(width=1).prepare(Source(tmp_path / "gone.csv"))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([[object()]]), allow_pickle=True)
    np.savez(tmp_path / "z.npz", a=np.ones((2, 1)))
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    np.save(tmp_path / "c.npy", np.ones((2, 1), complex))
    np.save(tmp_path / "v.npy", np.ones(3))
    np.save(tmp_path / "s.npy", np.zeros(3, [("a", float)]))
    for name, said in {
        "o": "not an NPY file of numbers",
        "z": "an archive of several arrays",
        "c": "found complex128",
        "v": r"of shape \(3,\)",
        "s": "found",
    }.items():
        with pytest.raises(DataError, match=said):
            Features(width=1, rate_hz=1).prepare(Source(tmp_path / f"{name}.npy"))
    with pytest.raises(DataError, match="no column names to choose a from"):
        Features(width=1, columns=("a",)).prepare(Source(tmp_path / "v.npy"))


def test_arguments_that_do_not_fit_are_refused() -> None:
    for arguments, said in (
        ({"width": 0}, "width must be at least 1"),
        ({"width": 2, "columns": ("a",)}, "they must agree"),
        ({"width": 2, "columns": ("a", "a")}, "they must agree"),
        ({"width": 1, "rate_hz": 0.0}, "rate_hz must be above 0"),
        ({"width": 1, "hold_s": -1.0}, "hold_s must be above 0"),
        ({"width": 1, "window_s": 0.0}, "window_s must be above 0"),
    ):
        with pytest.raises(RecipeError, match=said):
            Features(**arguments)  # type: ignore[arg-type]


# ---------------------------------------------------------------- windows


def test_a_line_has_its_mean_deviation_and_slope(tmp_path: Path) -> None:
    times = np.arange(20) * 0.25
    np.save(tmp_path / "t.npy", np.stack([3 * times + 1, np.full(20, 7.0)], 1))
    reader = Features(width=2, rate_hz=4, window_s=1.0)
    stream = reader.prepare(Source(tmp_path / "t.npy"))
    got = reader.windows(stream, np.array([0.0, 3.1]))
    seen = 3 * np.array([2.25, 2.5, 2.75, 3.0]) + 1
    assert reader.raw_shape == (6,)
    np.testing.assert_allclose(got[0], [1, 7, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(got[1], [seen.mean(), 7, seen.std(), 0, 3, 0], atol=1e-5)


def test_statistics_leave_incomplete_rows_out(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[0, 1, 1], [1, "", 100], [2, 5, 5], [3, "", 1]])
    reader = Features(width=2, window_s=10.0)
    stream = reader.prepare(Source(file))
    np.testing.assert_allclose(reader.windows(stream, np.array([2.0]))[0], [3, 3, 2, 2, 2, 2])
    assert not reader.windows(stream, np.array([3.0])).any()
    assert reader.present(stream, np.arange(4.0)).tolist() == [True, False, True, False]


def test_a_window_of_next_to_nothing_holds_its_own_row_and_a_slope_beyond_float32_is_absent(
    tmp_path: Path,
) -> None:
    file = table(tmp_path / "t.csv", [[0, 3, 4], [0.001, -3, 4]])
    stream = Features(width=2, window_s=1e-7).prepare(Source(file))
    assert stream["values"].tolist() == [[3, 4, 0, 0, 0, 0], [-3, 4, 0, 0, 0, 0]]
    file = table(tmp_path / "t.csv", [[0, 3e38, 4], [0.001, -3e38, 4]])
    stream = Features(width=2, window_s=1).prepare(Source(file))
    assert stream["complete"].tolist() == [True, False]
    assert np.isfinite(stream["values"]).all()


def test_a_calendar_s_times_are_a_fault_unless_the_manifest_says_the_start(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", [[1.7e9, 1, 2], [1.7e9 + 0.5, 3, 4]])
    with pytest.raises(DataError, match=r"t.csv: its last row stands at 1700000000 s.*<modality>_start_s"):
        Features(width=2).prepare(Source(file))
    assert Features(width=2).prepare(Source(file, start_s=0.0))["times"].tolist() == [0.0, 0.5]
    assert Features(width=2).prepare(Source(file, step_s=0.5, start_s=0.0))["duration_s"] == 1.0


def test_an_npy_that_is_an_archive_s_beginning_or_tells_a_size_it_has_not(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = (10**13, 4)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    for content in (b"PK\x03\x04 no archive", header.getvalue()):
        (tmp_path / "t.npy").write_bytes(content)
        with pytest.raises(DataError, match=r"t.npy: this is not an NPY file of numbers, or it is damaged"):
            feature_table.read_features(tmp_path / "t.npy")


rows_of = st.lists(
    st.tuples(
        st.floats(0.01, 2.0),
        st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)),
        st.floats(-1e6, 1e6, width=32),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of, window=st.one_of(st.none(), st.floats(0.1, 5.0)), later=rows_of)
def test_any_table_reads_back_and_never_looks_ahead(
    tmp_path: Path, rows: list[Any], window: float | None, later: list[Any]
) -> None:
    """Against a plain search for the row in force; rows that follow change nothing before them."""

    def written(rows: list[Any]) -> tuple[np.ndarray, list[list[Any]]]:
        times = np.cumsum([gap for gap, _, _ in rows])
        cells = [
            [repr(float(t)), "" if a is None else a, b] for t, (_, a, b) in zip(times, rows, strict=True)
        ]
        return times, cells

    times, cells = written(rows)
    reader = Features(width=2, window_s=window, hold_s=1.0)
    stream = reader.prepare(Source(table(tmp_path / "t.csv", cells)))
    asked = np.concatenate([times, times + 0.005, times - 0.005, times + 1.1])
    present, windows = reader.present(stream, asked), reader.windows(stream, asked)
    assert windows.shape == (len(asked), *reader.raw_shape)
    assert np.isfinite(windows).all()
    for i, t in enumerate(asked):
        earlier = [k for k in range(len(rows)) if times[k] <= t + 1e-6]
        k = earlier[-1] if earlier else -1
        there = k >= 0 and rows[k][1] is not None and t - times[k] <= 1.0 + 1e-6
        assert present[i] == there
        if there and window is None:
            assert windows[i].tolist() == [rows[k][1], rows[k][2]]
        np.testing.assert_array_equal(reader.windows(stream, asked[i : i + 1])[0], windows[i])
    _, more = written([*rows, *later])
    longer = reader.prepare(Source(table(tmp_path / "l.csv", more)))
    past = asked[asked < times[-1] + 0.005]
    np.testing.assert_array_equal(reader.windows(longer, past), reader.windows(stream, past))
    np.testing.assert_array_equal(reader.present(longer, past), reader.present(stream, past))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=80).map(lambda t: t.encode("utf-8"))))
@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_garbage_is_a_fault_or_a_table_never_a_crash(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"g{suffix}"
    file.write_bytes(content)
    try:
        found = feature_table.read_features(file)
    except DataError as fault:
        assert file.name in str(fault)  # noqa: PT017 - refusing is right, naming the file is not optional
    else:
        assert found.values.dtype == np.float32
        assert not np.isinf(found.values).any()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 200))
def test_a_file_cut_short_is_a_fault(tmp_path: Path, cut: int) -> None:
    whole = io.BytesIO()
    np.save(whole, np.ones((9, 2), np.float32))
    content = whole.getvalue()
    (tmp_path / "t.npy").write_bytes(content[: min(cut, len(content) - 1)])
    with pytest.raises(DataError):
        feature_table.read_features(tmp_path / "t.npy")


def test_a_manifest_of_tables_becomes_steps(tmp_path: Path) -> None:
    for name in ("one", "two"):
        table(tmp_path / f"{name}.csv", [[0, 1, 2], [0.5, 3, 4], [1.5, "", 6]])
        (tmp_path / f"{name}_labels.csv").write_text("time_s,valence\n0,0.5\n1,-0.5\n")
    (tmp_path / "manifest.csv").write_text(
        "clip,subject,labels,pulse\none,a,one_labels.csv,one.csv\ntwo,b,two_labels.csv,two.csv\n"
    )
    manifest = read_manifest(tmp_path / "manifest.csv", ("pulse",), ("valence",))
    readers = {"pulse": Features(width=2)}
    streams, bad = prepare_clips(manifest.clips, readers, PreparedStore(tmp_path / "store"))
    steps, rejected = build_steps(manifest.clips, streams, readers, ("valence",), 2.0, (-1, 1))
    assert (bad, rejected) == ([], [])
    assert steps[0].present[:, 0].tolist() == [True, True, True, False, False]
    assert steps[0].inputs("pulse", np.array([0, 2])).tolist() == [[1, 2], [3, 4]]
    assert readers["pulse"].pooled(steps[0].inputs("pulse", np.arange(2))).tolist() == [[1, 2], [3, 4]]
