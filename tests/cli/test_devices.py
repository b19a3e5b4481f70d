"""`--devices 2 --device cpu`: two processes train one model, speak with one voice and stop together."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

TWO = ("--device", "cpu", "--devices", "2")


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_two_processes_train_what_one_does(shop: Any) -> None:
    words = ("stages.latent.epochs=1", "train.presence_dropout=0.3")
    process = shop.process("train", "tiny.yaml", *words, "--run", "two", *TWO)
    one = shop.train(*words, run="one")
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert stderr.count("sequence 4 steps epoch 6/6") == 1  # one of them speaks
    assert "next: fusekit evaluate two --final" in stdout
    for name in ("latent", "best", "last"):
        ours, theirs = (load_file(Path(f, "checkpoints", f"{name}.safetensors")) for f in ("two", one))
        assert ours.keys() == theirs.keys()
        apart = {k: float(np.abs(ours[k] - theirs[k]).max()) for k in theirs if theirs[k].size}
        assert max(apart.values()) < 1e-5, max(apart, key=apart.__getitem__)
    texts = [Path(f, "metrics.jsonl").read_text() for f in ("two", "one")]
    journals = [[json.loads(line) for line in text.splitlines()] for text in texts]
    assert len(journals[0]) == len(journals[1]) == 14
    for ours, theirs in zip(*journals, strict=True):
        assert ours["step"] == theirs["step"]
        for name in {"loss", "p", "d_affect"} & theirs["train"].keys():  # of the global batch
            assert ours["train"][name] == pytest.approx(theirs["train"][name], abs=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_ctrl_c_stops_both_and_one_goes_on(shop: Any) -> None:
    process = shop.process("train", "tiny.yaml", "stages.sequence.epochs=12", "--run", "run", *TWO)
    journal = Path("run/metrics.jsonl")
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_text().count("\n") < 6:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert stderr.endswith("\nGo on with: fusekit train --resume run\nInterrupted.\n")
    assert stderr.count("Interrupted.") == 1
    assert shop.run("train", "--resume", "run", "--device", "cpu").exit_code == 0
    assert Path("run/metrics.jsonl").read_text().count("\n") == 4 + 2 * 12


@pytest.mark.slow
def test_a_fault_is_one_paragraph_of_one_process(shop: Any, cli: Any) -> None:
    Path("corpus/manifest.csv").unlink()
    process = shop.process("train", "tiny.yaml", "--run", "run", *TWO)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert stdout == ""
    assert cli.paragraph(stderr).startswith(f"fusekit: {shop.folder}/corpus/manifest.csv: no such file.")
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_a_killed_process_ends_the_run_with_a_sentence_and_one_goes_on(shop: Any) -> None:
    process = shop.process("train", "tiny.yaml", "stages.sequence.epochs=9", "--run", "run", *TWO)
    journal = Path("run/metrics.jsonl")
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_text().count("\n") < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = next(c for c in psutil.Process(process.pid).children() if c.environ()["RANK"] == "1")
    second.kill()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 137, stderr
    assert "Traceback" not in stderr
    assert "gloo" not in stderr
    assert "fusekit: another process of this run has ended" in stderr
    assert "fusekit: process 2 of 2 was ended by SIGKILL" in stderr
    assert shop.run("train", "--resume", "run", "--device", "cpu").exit_code == 0
