"""A run that was killed or interrupted and gone on with ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.numpy import load_file

TRAIN = ("train", "tiny.yaml", "--run", "run", "--device", "cpu")
LINES = 16  # of the journal of a whole run


def lines(run: Path) -> list[dict[str, Any]]:
    """The journal but for the seconds; a line that is being written does not count."""
    journal = run / "metrics.jsonl"
    whole = [x for x in journal.read_text().splitlines(True) if x.endswith("\n")] if journal.exists() else []
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in whole]


def stop(process: subprocess.Popen[str], number: signal.Signals, after: int) -> tuple[str, int]:
    """Send a signal once the journal has `after` lines; stderr, and the lines there were at the end."""
    deadline = time.monotonic() + 120
    while len(lines(Path("run"))) < after:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    done = len(lines(Path("run")))
    assert done < LINES  # or nothing was interrupted
    return stderr, done


def same_as_uninterrupted(run: Path, whole: Path) -> None:
    for name in sorted(p.name for p in (whole / "checkpoints").iterdir()):
        ours, theirs = (load_file(folder / "checkpoints" / name) for folder in (run, whole))
        assert ours.keys() == theirs.keys()
        assert [k for k in theirs if ours[k].tobytes() != theirs[k].tobytes()] == [], name
    assert lines(run) == lines(whole)
    assert (run / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    ours, theirs = (json.loads((f / "metrics.json").read_text()) for f in (run, whole))
    # The ridge baseline is fitted anew, and a BLAS of several threads adds up in any order: not bit for bit.
    assert _numbers(ours.pop("baselines")) == pytest.approx(_numbers(theirs.pop("baselines")), rel=1e-6)
    for metrics, folder in ((ours, run.absolute().parent), (theirs, whole.parent)):
        corpus = metrics.pop("corpus")  # each has its own copy
        assert corpus == f"manifest {folder}/corpus/manifest.csv, 8 clips, labels -1..1"
    assert ours == theirs
    names = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert not [name for name in names if "partial" in name]


def test_a_killed_process_loses_nothing(shop: Any, trained: SimpleNamespace) -> None:
    """Killed in the first stage, then in the second; gone on with by a process of its own, as a user does."""
    process = shop.process(*TRAIN)
    stop(process, signal.SIGKILL, after=3)
    assert process.returncode == -signal.SIGKILL
    assert not Path("run/checkpoints/best.safetensors").exists()
    process = shop.process("train", "--resume", "run", "--device", "cpu")
    stop(process, signal.SIGKILL, after=6)
    process = shop.process("train", "--resume", "run", "--device", "cpu")
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert "latent face" not in stderr  # done before
    same_as_uninterrupted(Path("run"), trained.folder)
    assert stdout == trained.stdout
    assert Path("run/report.html").is_file()


@pytest.mark.usefixtures("no_figures")
def test_ctrl_c_saves_and_says_how_to_go_on(shop: Any, trained: SimpleNamespace) -> None:
    process = shop.process(*TRAIN)
    stderr, done = stop(process, signal.SIGINT, after=5)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.endswith("\nGo on with: fusekit train --resume run\nInterrupted.\n")
    result = shop.run("train", "--resume", "run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert len(lines(Path("run"))) == LINES > done
    same_as_uninterrupted(Path("run"), trained.folder)


@pytest.mark.usefixtures("no_figures")
def test_a_process_killed_at_its_very_beginning(shop: Any, trained: SimpleNamespace) -> None:
    process = shop.process(*TRAIN)
    deadline = time.monotonic() + 120
    while not Path("run/recipe.yaml").exists():  # the last file that a run begins with
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=60)
    assert shop.run("train", "--resume", "run", "--device", "cpu").exit_code == 0
    same_as_uninterrupted(Path("run"), trained.folder)


@pytest.mark.usefixtures("no_figures")
def test_a_finished_run_is_only_scored_again(shop: Any, trained: SimpleNamespace) -> None:
    shop.adopt(trained.folder)
    result = shop.run("train", "--resume", "run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "epoch" not in result.stderr
    same_as_uninterrupted(Path("run"), trained.folder)


@pytest.mark.usefixtures("no_figures")
def test_a_run_goes_on_and_is_scored_from_any_folder(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recipe says `path: corpus/manifest.csv`, which the other folder does not have."""
    short = ("stages.latent.epochs=1", "stages.sequence.epochs=1", "stages.sequence.windows=[2]")
    run = shop.train(*short, recipe="face")
    scored = json.loads((run / "metrics.json").read_text())["validation"]
    (run / "metrics.json").unlink()
    (run / "checkpoints" / "best.safetensors").unlink()
    monkeypatch.chdir(tmp_path)
    result = shop.run("train", "--resume", str(run), "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert json.loads((run / "metrics.json").read_text())["validation"] == scored
    result = shop.run("evaluate", str(run), "--final", "--device", "cpu")
    assert result.exit_code == 0, result.output
    shutil.rmtree(shop.folder / "corpus")
    assert f"{shop.folder}/corpus/manifest.csv: no such file" in shop.fault("evaluate", str(run))


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in _numbers(value[key])]
    return [] if value is None else [float(value)]
