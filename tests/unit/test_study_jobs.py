"""A study's workers that are killed or interrupted: their runs are redone, the others go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fusekit.errors import RunError
from fusekit.registry import Registry
from fusekit.signals import Stopped
from fusekit.study.jobs import run as jobs_module
from fusekit.study.jobs.plan import Job
from fusekit.study.jobs.run import Outcome, Worker, run_jobs

# A worker that does what its run's name says, and notes each try in the run's folder.
PROGRAM = """
import json, os, pathlib, signal, sys, time
for line in sys.stdin:
    job = json.loads(line)
    folder = pathlib.Path(job["folder"])
    folder.mkdir(exist_ok=True)
    (folder / "tries").open("a").write("x")
    first = len((folder / "tries").read_text()) == 1
    how = job["model"]
    answer = {"seconds": 1.0, "ccc": 0.5}
    if how == "always killed" or (how == "killed once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "half an answer" and first:
        os.write(1, b'{"seconds": 1')
        sys.exit(1)
    if how == "interrupted once" and first:
        answer = {"interrupted": True}
    if how == "long":
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            (folder / "saved").touch()
            answer = {"interrupted": True}
    print(json.dumps(answer), flush=True)
    if "interrupted" in answer:
        break
    if how == "then gone":
        break
"""
TERMINATED = """
import signal
def end(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, end)
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the workers that were started."""
    found: list[int] = []

    def start(number: int, workers: int, device: str, plugins: Sequence[str], logs: Path) -> Worker:
        found.append(number)
        process = subprocess.Popen(
            [sys.executable, "-c", TERMINATED + PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        return Worker(process, (logs / f"worker-{number}.txt").open("a"), number)

    monkeypatch.setattr(jobs_module, "_start", start)
    return found


def worked(folder: Path, *names: str, workers: int = 2, **told: Any) -> Outcome:
    jobs = [Job(name, 0, i, "x", (), str(folder / f"{i} {name}")) for i, name in enumerate(names)]
    return run_jobs(jobs, Registry(), folder / "logs", workers=workers, device="cpu", **told)


def tries(folder: Path) -> dict[str, int]:
    return {p.parent.name: len(p.read_text()) for p in folder.glob("*/tries")}


@pytest.mark.parametrize("how", ["killed once", "interrupted once", "half an answer"])
def test_a_run_whose_worker_ended_is_redone_and_the_others_go_on(
    tmp_path: Path, started: list[int], how: str
) -> None:
    lost: list[tuple[str, str]] = []
    told: list[tuple[str, int]] = []
    outcome = worked(
        tmp_path,
        *("well", how, "well"),
        lost=lambda job, why: lost.append((str(job), why)),
        told=lambda job, answer, done, total: told.append((str(job), done)),
    )
    assert outcome.faults == {}
    assert len(outcome.done) == 3
    assert tries(tmp_path) == {"0 well": 1, f"1 {how}": 2, "2 well": 1}
    status = {"killed once": "was ended by signal 9", "interrupted once": "ended with status 0"}
    assert lost == [(f"{how} fold 0 seed 1", f"its process {status.get(how, 'ended with status 1')}")]
    assert [done for _, done in told] == [1, 2, 3]
    assert len(started) <= 3  # replaced when there is a run for it


def test_a_run_that_kills_its_worker_each_time_is_given_up(tmp_path: Path, started: list[int]) -> None:
    outcome = worked(tmp_path, "always killed", "well", "well")
    assert [str(job) for job in outcome.done] == ["well fold 0 seed 1", "well fold 0 seed 2"]
    ((job, fault),) = outcome.faults.items()
    assert job.model == "always killed"
    assert "its process was ended by signal 9, as 3 times in a row" in fault
    assert tries(tmp_path)["0 always killed"] == 3


def test_a_worker_that_is_gone_between_two_runs_is_replaced(tmp_path: Path, started: list[int]) -> None:
    outcome = worked(tmp_path, "then gone", "then gone", "well", workers=1)
    assert (len(outcome.done), outcome.faults) == (3, {})
    assert len(started) <= 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_is_asked_to_stop_lets_its_runs_save(
    tmp_path: Path, started: list[int], number: signal.Signals
) -> None:
    def stop() -> None:
        end = time.monotonic() + 20
        while len(tries(tmp_path)) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(Stopped) as stopped:
        worked(tmp_path, "long", "long")
    assert stopped.value.number == number
    assert len(list(tmp_path.glob("*/saved"))) == 2


def held(folder: Path, *, labels: str = "l", voice: str = "v", size: int = 8) -> None:
    """What a run keeps of one clip."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = {"a": {"subject": "s", "labels": labels, "voice": voice}}
    (folder / "clips.json").write_text(json.dumps({"version": 2, "clips": clips}))
    (folder / "provenance.json").write_text(json.dumps({"readers": {"voice": {"size": size}}}))


def test_runs_on_other_data_do_not_come_into_one_table(tmp_path: Path, started: list[int]) -> None:
    for name, given in {
        "0 old": {},
        "1 alike": {},
        "2 read otherwise": {"voice": "other files", "size": 9},
        "3 relabelled": {"labels": "corrected"},
    }.items():
        held(tmp_path / name, **given)  # type: ignore[arg-type]
    (tmp_path / "0 old" / "metrics.json").write_text('{"test": {}}')
    names = ("old", "alike", "read otherwise", "relabelled")
    outcome = worked(tmp_path, *names)
    ((job, fault),) = outcome.faults.items()
    assert job.model == "relabelled"
    assert fault.startswith("its data are not those of old fold 0 seed 0: labels of clip a. Move the folder")
    assert len(outcome.done) == 3
    (tmp_path / "3 relabelled" / "metrics.json").write_text('{"test": {}}')
    with pytest.raises(RunError, match="relabelled fold 0 seed 3: its data are not those of old"):
        worked(tmp_path, *names)
