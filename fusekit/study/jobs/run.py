"""Working through a study's runs, several at a time; interrupted and begun again, nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO, Any

import torch

import fusekit
from fusekit.engine.latent_choice import NEIGHBOURS
from fusekit.errors import RunError
from fusekit.registry import Registry
from fusekit.runs.files import read_json
from fusekit.signals import deferred, exit_code, for_worker, raised
from fusekit.study.jobs.agreement import disagreement
from fusekit.study.jobs.plan import Job, same_recipe

GRACE_S = 60.0  # a worker saves its state after Ctrl-C; then it is ended
TRIES = 3  # of a run whose process ends; each goes on where the one before stopped

Told = Callable[[Job, dict[str, Any], int, int], None]
"""Called with a run that ended, its answer, how many are done and how many there are."""


@dataclass
class Worker:
    """A process that trains one run at a time; `gone`: it has ended."""

    process: subprocess.Popen[str]
    log: IO[str]
    number: int
    job: Job | None = None
    gone: bool = False

    def give(self, job: Job) -> None:
        """Hand it its next run."""
        assert self.process.stdin is not None
        self.job = job
        with suppress(BrokenPipeError):  # it has ended: its answer, the end of its output, says so
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
    lost: Callable[[Job, str], None] = lambda *_: None,
) -> Outcome:
    """Train and score every run that is not done yet.

    Args:
        logs: folder for what the workers say.
        workers: how many runs at a time; on CUDA they take the GPUs in turn, on the CPU they share the cores.
        told, started: for whoever watches. lost: told how the process of a run ended; the run is taken up
            again by another one.

    Raises:
        RunError: a run's folder holds a run of another recipe, or two that are done were trained on other
            data.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP; every run that was at work has saved its state.
    """
    for job in jobs:
        if (Path(job.folder) / "recipe.yaml").is_file() and not same_recipe(job, registry):
            raise RunError(
                f"'{job.folder}' holds a run of another recipe than {job} has now. Name another folder for "
                "the study, or move that run away."
            )
    outcome = Outcome(done=[job for job in jobs if is_done(job)])
    for i, job in enumerate(outcome.done):
        if odd := disagreement(job, outcome.done[:i]):
            raise RunError(f"{job}: {odd}")
    waiting = [job for job in jobs if job not in outcome.done]
    if not waiting:
        return outcome
    logs.mkdir(parents=True, exist_ok=True)
    size = min(workers, len(waiting))
    pool: list[Worker] = []
    ended: Counter[Job] = Counter()
    with DefaultSelector() as selector:

        def begin(number: int) -> Worker:
            worker = _start(number, size, device, plugins, logs)
            assert worker.process.stdout is not None
            selector.register(worker.process.stdout, EVENT_READ, worker)
            return worker

        try:
            with raised():
                for number in range(size):
                    pool.append(begin(number))
                _hand_out(pool, waiting, outcome, started, begin)
                while any(worker.job for worker in pool):
                    for key, _ in selector.select():
                        worker = key.data
                        job, answer = worker.job, _answer(worker)
                        worker.job = None
                        if answer is None:  # killed, or asked to stop by somebody else: the others go on
                            selector.unregister(key.fileobj)
                            worker.log.close()
                            worker.gone = True
                            if job is None:
                                continue
                            ended[job] += 1
                            if ended[job] < TRIES:
                                waiting.insert(0, job)
                                lost(job, _ending(worker))
                                continue
                            answer = {"fault": _given_up(worker, ended[job])}
                        if "fault" not in answer and (odd := disagreement(job, outcome.done)):
                            answer = {"fault": odd}
                        if "fault" in answer:
                            outcome.faults[job] = answer["fault"]
                        else:
                            outcome.done.append(job)
                        told(job, answer, len(outcome.done), len(jobs))
                    _hand_out(pool, waiting, outcome, started, begin)
            for job in waiting:
                outcome.faults[job] = "not begun, as a run failed whose first stage it needs"
        except KeyboardInterrupt as stop:
            _interrupt(pool, exit_code(stop) - 128)
            raise
        finally:
            for worker in pool:
                worker.process.kill()
                worker.process.wait()
                worker.log.close()
    return outcome


def _start(number: int, workers: int, device: str, plugins: Sequence[str], logs: Path) -> Worker:
    environment = for_worker(dict(os.environ))
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
    return Worker(process, log, number)


def _hand_out(
    pool: list[Worker],
    waiting: list[Job],
    outcome: Outcome,
    started: Callable[[Job], None],
    begin: Callable[[int], Worker],
) -> None:
    """Give every idle worker a run whose first stage is there; one that is gone is replaced for it."""
    done = {job.folder for job in outcome.done}
    for number, worker in enumerate(pool):
        if worker.job is not None:
            continue
        ready = next((job for job in waiting if done.issuperset(job.branches)), None)
        if ready is None:
            return
        waiting.remove(ready)
        if worker.gone:
            worker = pool[number] = begin(number)
        worker.give(ready)
        started(ready)


def _answer(worker: Worker) -> dict[str, Any] | None:
    """What a worker says of its run; None: it has ended, or is about to, and the run is not done."""
    assert worker.process.stdout is not None
    line = worker.process.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line.endswith("\n") else {"interrupted": True}
    if "interrupted" not in answer:
        return answer
    try:
        worker.process.wait(GRACE_S)
    except subprocess.TimeoutExpired:  # it holds the run's lock
        worker.process.kill()
        worker.process.wait()
    return None


def _ending(worker: Worker) -> str:
    code = worker.process.returncode
    if code >= 0:
        return f"its process ended with status {code}"
    return f"its process was ended by signal {-code}"


def _given_up(worker: Worker, times: int) -> str:
    return (
        f"{_ending(worker)}, as {times} times in a row; the end of '{worker.log.name}' may say why (signal 9 "
        "is mostly a lack of memory: try fewer --jobs). Begin the study again: it goes on where it stopped."
    )


def _interrupt(pool: Sequence[Worker], number: int) -> None:
    """Let the runs at work save their state; a second Ctrl-C does not wait."""
    busy = [worker for worker in pool if worker.job is not None]
    for worker in busy:
        worker.process.send_signal(number)
    end = time.monotonic() + GRACE_S
    with deferred() as asked:
        while any(worker.process.poll() is None for worker in busy) and time.monotonic() < end:
            try:
                time.sleep(0.05)
            except KeyboardInterrupt:
                return
            if signal.SIGINT in asked:
                return
