"""JSON of a run in another shape, and a checkpoint's header: told with file and key, never stumbled over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from fusekit.engine.checkpoint import load_checkpoint
from fusekit.engine.keeper import Position
from fusekit.errors import RunError
from fusekit.runs.files import read_json
from fusekit.runs.shapes import digest_of


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("provenance.json", [], "expected a mapping"),
        ("provenance.json", {"readers": {"face": 3}}, "readers: 'face': expected mapping, found 3"),
        ("provenance.json", {"boxes": "face"}, "boxes: expected list of string"),
        ("provenance.json", {"label_range": [1]}, "label_range: expected two numbers"),
        ("provenance.json", {"label_range": [0, "9"]}, "label_range: entry 2: expected float"),
        ("provenance.json", {"distributions": {"fusekit-ecg": None}}, "distributions: 'fusekit-ecg'"),
        ("splits.json", {"train": {"a": 1}}, "train: expected list of string"),
        ("splits.json", {"train": ["a"], "subjects": {"test": [3]}}, "subjects.test: entry 1"),
        ("metrics.json", {"test": {"ccc": {"mean": "high"}}}, "test.ccc: 'mean'"),
        ("metrics.json", {"baselines": {"ridge": []}}, "baselines: 'ridge': expected mapping"),
        ("looks.json", {}, "expected list"),
        ("provenance.json", {"columns": 3}, "columns: expected mapping, found 3"),
        ("metrics.jsonl", {"stage": "s", "epoch": 1}, "has no window, train, validation"),
        ("metrics.jsonl", {"validation": {"ccc": [1]}}, "validation.ccc: expected mapping"),
        ("data.json", [], "expected a mapping"),
        ("data.json", {"training": {}}, "has no labels"),
        (
            "data.json",
            {"test": {"labels": {}, "presence": {}, "notes": [{"where": "s1"}], "left_out": []}},
            "notes: an entry has no reason",
        ),
        (
            "provenance.json",
            {
                "columns": {"au": ["brow", "smile"]},
                "digests": {"columns": digest_of({"au": ["smile", "brow"]})},
            },
            "columns had other values when the run began",
        ),
        ("study.json", {"name": "s"}, "has no corpus, models, folds, seeds, dims"),
    ],
)
def test_another_shape_is_told(tmp_path: Path, name: str, value: Any, said: str) -> None:
    (tmp_path / name).write_text(json.dumps(value))
    with pytest.raises(RunError) as caught:
        read_json(tmp_path / name)
    assert said in str(caught.value)
    assert str(caught.value).endswith("Was it edited? Put a whole copy back.")


def test_what_is_new_in_a_file_is_left_alone(tmp_path: Path) -> None:
    value = {"readers": {"face": {"size": 3}}, "later": [1], "label_range": [-1, 1]}
    (tmp_path / "provenance.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "provenance.json") == value


@pytest.mark.parametrize("text", ["[" * 100_000, "\ud800".encode("utf-8", "surrogatepass"), "{", ""])
def test_what_is_no_json_is_told(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "looks.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunError, match="cannot be read"):
        read_json(tmp_path / "looks.json")


@pytest.mark.parametrize("header", ["[]", "3", '{"format": "new"}', "[" * 100_000])
def test_a_header_of_another_shape_is_told(tmp_path: Path, header: str) -> None:
    import numpy as np

    save_file({"w": np.zeros(1)}, tmp_path / "best.safetensors", metadata={"fusekit": header})
    with pytest.raises(RunError, match="cannot be read"):
        load_checkpoint(tmp_path / "best.safetensors")


@pytest.mark.parametrize(
    "saved", [[], {"phase": "0"}, {"batch": 1.5}, {"where": 1}, {"sums": []}, {"lines": True}]
)
def test_a_position_of_another_shape_is_told(saved: Any) -> None:
    with pytest.raises(RunError, match="put a whole copy back"):
        Position.from_json(saved, Path("last.safetensors"))


def test_a_position_comes_back() -> None:
    assert Position.from_json({"phase": 1, "best_score": None}, Path("x")) == Position(phase=1)
    assert Position.from_json({"best_score": 1}, Path("x")).best_score == 1
