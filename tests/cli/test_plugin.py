"""`fusekit plugin check`: what an author sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fusekit.cli.app import app

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "mean_fusion.py"
runner = CliRunner()

BROKEN = """
from torch import nn
from fusekit.hookspecs import hookimpl
from fusekit.testing import Case

class ByTime(nn.Module):
    "Normalises over time."
    def __init__(self, in_dim, out_dim):
        super().__init__()
        self.layer = nn.Linear(in_dim, out_dim)
    def forward(self, x):
        return self.layer(x).softmax(1)

@hookimpl
def register_components(register):
    register("head", "by-time", f"{__name__}:ByTime", "normalises over time")
    register("head", "forgotten", f"{__name__}:ByTime", "has no case")

def conformance_cases():
    return [Case("head", "by-time", excused={"meta": "a reason"})]
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "by_time.py"
    path.write_text(BROKEN)
    return path


def test_a_sound_plugin_passes() -> None:
    result = runner.invoke(app, ["plugin", "check", str(EXAMPLE)])
    assert result.exit_code == 0, result.output
    assert "fusion mean" in result.stdout
    assert "All of it keeps the contracts." in result.stdout


def test_findings_are_sentences_and_the_exit_code_is_2(broken: Path) -> None:
    result = runner.invoke(app, ["plugin", "check", str(broken)])
    assert result.exit_code == 2
    assert "head by-time: shapes: other content at step 2 changes step 0" in result.stdout
    assert "each step for itself. (docs/plugins.md, Kinds)" in result.stdout
    assert "head 'forgotten' has no case" in result.stdout
    assert "head by-time: not checked: meta: a reason" in result.stdout


def test_json_holds_the_same(broken: Path) -> None:
    result = runner.invoke(app, ["plugin", "check", str(broken), "--json"])
    assert result.exit_code == 2
    said = json.loads(result.stdout)
    assert said["passes"] is False
    rows = {row["component"]: row for row in said["components"]}
    assert [f["rule"] for f in rows["head forgotten"]["findings"]] == ["case"]
    assert rows["head by-time"]["excused"] == {"meta": "a reason"}
    assert "shapes" in [f["rule"] for f in rows["head by-time"]["findings"]]


def test_a_target_that_is_not_there_is_one_paragraph() -> None:
    result = runner.invoke(app, ["plugin", "check", "fusekit-nowhere"])
    assert result.exit_code == 2
    assert result.stderr.startswith("fusekit: no installed package and no plugin is called 'fusekit-nowhere'")
