"""Working through a study's runs, several at a time; interrupted and begun again, nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO, Any

import torch

import fusekit
from fusekit.engine.latent_choice import NEIGHBOURS
from fusekit.errors import RunError
from fusekit.launch import raised_on_termination
from fusekit.registry import Registry
from fusekit.runs.files import read_json
from fusekit.study.jobs.plan import Job, same_recipe

GRACE_S = 60.0  # a worker saves its state after Ctrl-C; then it is ended

Told = Callable[[Job, dict[str, Any], int, int], None]
"""Called with a run that ended, its answer, how many are done and how many there are."""


@dataclass
class Worker:
    """A process that trains one run at a time."""

    process: subprocess.Popen[str]
    log: IO[str]
    job: Job | None = None

    def give(self, job: Job) -> None:
        """Hand it its next run."""
        assert self.process.stdin is not None
        self.job = job
        self.process.stdin.write(json.dumps(asdict(job)) + "\n")
        self.process.stdin.flush()


@dataclass
class Outcome:
    """What became of a study's runs.

    Attributes:
        done: finished runs, those of earlier times too; faults: why others are not, by run.
    """

    done: list[Job] = field(default_factory=list)
    faults: dict[Job, str] = field(default_factory=dict)


def is_done(job: Job) -> bool:
    """Whether its test labels have been read."""
    path = Path(job.folder) / "metrics.json"
    return path.is_file() and "test" in read_json(path)


def default_workers(device: str) -> int:
    """One per GPU; on the CPU one per core, up to eight: small nets gain little from a second core."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, min(os.cpu_count() or 1, 8))


def run_jobs(
    jobs: Sequence[Job],
    registry: Registry,
    logs: Path,
    *,
    workers: int,
    device: str,
    plugins: Sequence[str] = (),
    told: Told = lambda *_: None,
    started: Callable[[Job], None] = lambda _: None,
) -> Outcome:
    """Train and score every run that is not done yet.

    Args:
        logs: folder for what the workers say.
        workers: how many runs at a time; on CUDA they take the GPUs in turn, on the CPU they share the cores.
        told, started: for whoever watches.

    Raises:
        RunError: a run's folder holds a run of another recipe.
        KeyboardInterrupt: after Ctrl-C; every run that was at work has saved its state.
    """
    for job in jobs:
        if (Path(job.folder) / "recipe.yaml").is_file() and not same_recipe(job, registry):
            raise RunError(
                f"'{job.folder}' holds a run of another recipe than {job} has now. Name another folder for "
                "the study, or move that run away."
            )
    outcome = Outcome(done=[job for job in jobs if is_done(job)])
    waiting = [job for job in jobs if job not in outcome.done]
    if not waiting:
        return outcome
    logs.mkdir(parents=True, exist_ok=True)
    pool: list[Worker] = []
    selector = DefaultSelector()
    try:
        with raised_on_termination():
            for number in range(min(workers, len(waiting))):
                worker = _start(number, min(workers, len(waiting)), device, plugins, logs)
                pool.append(worker)
                assert worker.process.stdout is not None
                selector.register(worker.process.stdout, EVENT_READ, worker)
            _hand_out(pool, waiting, outcome, started)
            while any(worker.job for worker in pool):
                for key, _ in selector.select():
                    worker = key.data
                    job, answer = worker.job, _answer(worker)
                    if "fault" in answer:
                        outcome.faults[job] = answer["fault"]
                    else:
                        outcome.done.append(job)
                    worker.job = None
                    told(job, answer, len(outcome.done), len(jobs))
                _hand_out(pool, waiting, outcome, started)
        for job in waiting:
            outcome.faults[job] = "not begun, as a run failed whose first stage it needs"
    except KeyboardInterrupt:
        _interrupt(pool)
        raise
    finally:
        selector.close()
        for worker in pool:
            worker.process.kill()
            worker.process.wait()
            worker.log.close()
    return outcome


def _start(number: int, workers: int, device: str, plugins: Sequence[str], logs: Path) -> Worker:
    environment = dict(os.environ)
    home = str(Path(fusekit.__file__).parents[1])
    environment[NEIGHBOURS] = str(workers)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environment.get("PYTHONPATH")]))
    if device != "cpu" and torch.cuda.is_available():
        environment["CUDA_VISIBLE_DEVICES"] = str(number % torch.cuda.device_count())
    else:
        environment.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))
    log = (logs / f"worker-{number}.txt").open("a", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fusekit.study.jobs.work", device, *plugins],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        bufsize=1,
        # A session of its own: Ctrl-C at the terminal reaches this process alone, which passes it on once.
        start_new_session=True,
    )
    return Worker(process, log)


def _hand_out(
    pool: Sequence[Worker], waiting: list[Job], outcome: Outcome, started: Callable[[Job], None]
) -> None:
    done = {job.folder for job in outcome.done}
    for worker in pool:
        if worker.job is not None:
            continue
        ready = next((job for job in waiting if done.issuperset(job.branches)), None)
        if ready is None:
            return
        waiting.remove(ready)
        worker.give(ready)
        started(ready)


def _answer(worker: Worker) -> dict[str, Any]:
    assert worker.process.stdout is not None
    line = worker.process.stdout.readline()
    if line:
        answer: dict[str, Any] = json.loads(line)
        return answer
    code = worker.process.wait()
    raise RunError(
        f"the process that trained {worker.job} ended with status {code}; the end of '{worker.log.name}' "
        "says more. Begin the study again: it goes on where it stopped."
    )


def _interrupt(pool: Sequence[Worker]) -> None:
    """Let the runs at work save their state; a second Ctrl-C does not wait."""
    busy = [worker for worker in pool if worker.job is not None]
    for worker in busy:
        worker.process.send_signal(signal.SIGINT)
    end = time.monotonic() + GRACE_S
    for worker in busy:
        try:
            worker.process.wait(max(end - time.monotonic(), 0.1))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            return
