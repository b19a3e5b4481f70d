"""Tables: what is written is read again in every format; gaps, text like numbers, half-written files."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusekit.errors import DataError, MissingExtraError, RunError
from fusekit.study.table import (
    attention_of,
    clips_of,
    dims_of,
    modalities_of,
    of_clip,
    read_journal,
    read_table,
    write_table,
)


def table() -> dict[str, np.ndarray]:
    return {
        "clip": np.array(["007", "007", 'a,"b"', "é"]),
        "time_s": np.array([0.04, 0.0, 1 / 3, 1e-9]),
        "valence": np.array([0.1, -1.0, np.nan, 1e6], dtype=np.float32),
        "valence_true": np.array([np.nan, 0.25, 0.0, -0.5]),
        "present_face": np.array([True, False, True, True]),
        "attention_2": np.arange(4.0),
        "attention_10": np.arange(4.0) + 10,
        "face_kind": np.array(["", "blur", "", ""]),
        "gate_voice": np.full(4, np.nan),
    }


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "deep" / f"t.{suffix}"
    write_table(path, table())
    back = read_table(path)
    assert list(back) == list(table())
    for name, values in table().items():
        if values.dtype.kind == "U":
            assert back[name].tolist() == values.tolist()
        else:
            assert back[name].dtype == np.float64
            assert np.array_equal(back[name].astype(values.dtype), values, equal_nan=values.dtype.kind == "f")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_csv_is_plain(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", table())
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0].startswith("clip,time_s,valence,valence_true,present_face")
    assert lines[1] == "007,0.04,0.1,,1,0.0,10.0,,"


NO_FORMULAS = ['=HYPERLINK("x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "＝1+1", "'=1", "''@x", "=1\n2", "'-5"]
WORDS = ["-5", "+1e3", "'quoted'", "a=b", "", "é", "-.5"]


def test_a_spreadsheet_finds_no_formula_and_a_name_is_read_back(tmp_path: Path) -> None:
    names = NO_FORMULAS + WORDS
    columns = {"clip": np.array(names), "=cmd()": np.array(names), "valence": -np.ones(len(names))}
    write_table(tmp_path / "t.csv", columns)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["clip", "'=cmd()", "valence"]
    for name, (clip, extra, valence) in zip(names, rows, strict=True):
        assert clip == extra == (f"'{name}" if name in NO_FORMULAS else name)
        assert valence == "-1.0"
    back = read_table(tmp_path / "t.csv")
    assert list(back) == ["clip", "=cmd()", "valence"]
    assert back["clip"].tolist() == back["=cmd()"].tolist() == names


@given(st.lists(st.text("'=+-@\t 5e.＝x", max_size=6), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_read_back(tmp_path: Path, names: list[str]) -> None:
    write_table(tmp_path / "t.csv", {"clip": np.array(names), "time_s": np.arange(len(names))})
    assert read_table(tmp_path / "t.csv")["clip"].tolist() == names


def test_json_is_strict(tmp_path: Path) -> None:
    write_table(tmp_path / "t.json", table())
    rows = json.loads((tmp_path / "t.json").read_text(), parse_constant=pytest.fail)
    assert rows[0]["valence"] == 0.1
    assert rows[2]["valence"] is None


def test_questions_to_a_table() -> None:
    t = table()
    assert clips_of(t) == ["007", 'a,"b"', "é"]
    assert of_clip(t, "007")["time_s"].tolist() == [0.0, 0.04]
    assert dims_of(t) == ["valence"]
    assert modalities_of(t, "present_") == ["face"]
    assert attention_of(t)[0].tolist() == [0, 10]
    assert attention_of({"clip": t["clip"]}) is None
    with pytest.raises(DataError, match="no clip 'x'"):
        of_clip(t, "x")


def test_faults_say_what_and_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"\.csv, \.parquet, \.json"):
        write_table(tmp_path / "t.xlsx", table())
    (tmp_path / "ragged.csv").write_text("clip,valence\na,1\nb\n")
    with pytest.raises(DataError, match="ragged.csv:3: 1 cells under 2"):
        read_table(tmp_path / "ragged.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="empty"):
        read_table(tmp_path / "empty.csv")
    (tmp_path / "bad.json").write_text('[{"a": 1}, {"b": 2}]')
    with pytest.raises(DataError, match="same columns"):
        read_table(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="differ in length"):
        write_table(tmp_path / "t.csv", {"a": [1, 2], "b": [1]})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_table(tmp_path / "file" / "t.csv", table())


def test_a_failed_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    write_table(path, {"a": [1]})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="No space left"):
        write_table(path, {"a": [2]})
    assert path.read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"fusekit-multimodal\[parquet\]"):
        write_table(tmp_path / "t.parquet", table())


def test_journal_leaves_out_the_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rest = '"stage": "s", "window": 1, "train": {}, "validation": null}\n'
    path.write_text(f'{{"epoch": 1, {rest}{{"epoch": 2, {rest}{{"epo')
    assert [entry["epoch"] for entry in read_journal(path)] == [1, 2]
    path.write_text(f'{{"epoch": 1, {rest}{{"epo\n{{"epoch": 3, {rest}')
    with pytest.raises(RunError, match=r"metrics\.jsonl:2"):
        read_journal(path)
    with pytest.raises(RunError, match="no journal"):
        read_journal(tmp_path / "none")
