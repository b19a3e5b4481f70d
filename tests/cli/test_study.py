"""`fusekit study` by real workers on a tiny corpus: nothing is done twice, Ctrl-C is survived."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

STUDY = """\
models:
  Vi-DeS: face.yaml
  Au-DeS: {recipe: tiny.yaml, changes: [modalities.face=null, fusion=none]}
  AVi-GaS: tiny.yaml
changes:
  all: [split.given=false, split.folds=2, stages.latent.epochs=1, stages.sequence.epochs=1]
folds: [0, 1]
"""


@pytest.fixture
def study(shop: Any) -> Any:
    Path("mine.yaml").write_text(STUDY)
    return shop


def runs(folder: str = "out") -> dict[str, Any]:
    found = {p.parent.name: json.loads(p.read_text()) for p in Path(folder, "runs").glob("*/looks.json")}
    return {name: len(looks) for name, looks in sorted(found.items())}


def test_a_study_interrupted_and_begun_again_repeats_nothing(study: Any) -> None:
    words = ("study", "mine.yaml", "--out", "out", "--device", "cpu", "--jobs", "1")
    process = study.process(*words)
    end = time.monotonic() + 240
    while not runs() and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "Go on by the same command: what is done is kept." in stderr
    before = {p: p.stat().st_mtime_ns for p in Path("out").rglob("best.safetensors")}
    assert 1 <= len(before) < 6

    process = study.process(*words[:-1], "2")
    _, stderr = process.communicate(timeout=500)
    assert process.returncode == 0, stderr
    assert list(runs().values()) == [1] * 6  # every test part was read once
    assert len(runs()) == 6
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())
    taken = {
        p.parent.name: json.loads(p.read_text())["branches_from"]
        for p in Path("out").rglob("provenance.json")
    }
    assert taken["vi-des-f0-s0"] == []
    assert [Path(run).name for run in taken["avi-gas-f1-s0"]] == ["vi-des-f1-s0", "au-des-f1-s0"]
    stages = Path("out/runs/avi-gas-f0-s0/metrics.jsonl").read_text()
    assert "adversarial" not in stages
    splits = [json.loads(Path(f"out/runs/{m}-f0-s0/splits.json").read_text()) for m in ("vi-des", "avi-gas")]
    assert splits[0] == splits[1]

    out = Path("out")
    assert json.loads((out / "complexity.json").read_text()).keys() == {"Vi-DeS", "Au-DeS", "AVi-GaS"}
    assert {p.name for p in (out / "tables").glob("*.csv")} >= {
        "table01-02.csv",
        "table11.csv",
        "table12-13.csv",
    }
    drawn = json.loads((out / "figures" / "captions.json").read_text())
    assert set(drawn["figures"]) == {
        "1",
        "2",
        "4",
        "7",
        "8",
    }  # the others show De or CaS, which this study has not
    assert all(
        (out / "figures" / f"figure{n}.{kind}").is_file() for n in drawn["figures"] for kind in ("png", "pdf")
    )
    report = (out / "report.html").read_text()
    assert "data:image/" in report
    assert "Figure 3 (" in report  # and why it is not there
    assert '"pictures": true' in report

    again = study.process(*words, "--no-pictures")
    _, stderr = again.communicate(timeout=120)
    assert again.returncode == 0, stderr
    assert list(runs().values()) == [1] * 6
    assert "test CCC" not in stderr
    report = (out / "report.html").read_text()
    assert '"pictures": false' in report
    assert "Figure 4 (denoising) is left out: no pictures of clips were asked for" in report
    assert not (out / "figures" / "figure4.png").exists()


def test_a_wrong_study_leaves_no_folder(study: Any) -> None:
    said = study.fault("study", "mine.yaml", "models.AVi-GaS.changes=[fusion.dimm=1]", "--out", "out")
    assert "models.AVi-GaS: " in said
    assert not Path("out").exists()


def test_a_run_that_cannot_be_made_is_told_and_the_others_are(study: Any) -> None:
    words = ("changes.voice=[modalities.voice.source=sound]", "folds=[0]", "--out", "out", "--device", "cpu")
    process = study.process("study", "mine.yaml", *words)
    _, stderr = process.communicate(timeout=400)
    assert process.returncode == 2
    assert "2 of 3 runs could not be made:" in stderr
    assert "there is no column 'sound' for that modality" in " ".join(stderr.split())
    assert "AVi-GaS fold 0 seed 0: not begun, as a run failed whose first stage it needs" in stderr
    assert list(runs()) == ["vi-des-f0-s0"]
