"""Fuzz fusekit for a while, and say what was tried and what went wrong.

    python tests/fuzz/watch.py --seconds 3600 --seed 7

A worker damages and opens files; this keeps an eye on it: an input that hangs, kills the process or takes
more than 2 GiB is a fault like any traceback, and the worker goes on behind it.
"""

from __future__ import annotations

import argparse
import collections
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

WORKER = Path(__file__).with_name("worker.py")
LIMIT_BYTES = 2 << 30
SILENCE_S = 30
START_S = 240


@dataclass
class Tally:
    """What was tried: results by target, and the faults."""

    seed: int
    results: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_bytes: int = 0

    def fault(self, target: str, number: int, text: str) -> None:
        again = f"python tests/fuzz/worker.py FOLDER --seed {self.seed} --only {target}:{number}"
        self.faults.append(f"{again}\n{text}")

    def report(self) -> str:
        targets = sorted({target for target, _ in self.results})
        rows = []
        for target in targets:
            found = {r: self.results[target, r] for r in ("opened", "told", "fault")}
            rows.append(f"{target:>10}: " + ", ".join(f"{n} {r}" for r, n in found.items()))
        total = sum(self.results.values())
        rows.append(
            f"{total} inputs, {len(self.faults)} faults, slowest {self.slowest_s:.1f} s, "
            f"peak {self.peak_bytes >> 20} MiB"
        )
        return "\n".join([*rows, *self.faults])


@dataclass
class Watch:
    """A row of workers in one folder, each going on behind the input that ended the one before."""

    folder: Path
    seconds: float
    tally: Tally
    inputs: int
    next: int = 0
    end: float | None = None
    at: tuple[str, int] | None = None
    heard: float = 0.0

    def run(self) -> None:
        """Until the time is up, which begins when the first worker is ready."""
        while self.next < self.inputs and (self.end is None or time.monotonic() < self.end):
            left = self.seconds if self.end is None else self.end - time.monotonic()
            words = [f"--seconds={left}", f"--seed={self.tally.seed}", f"--start={self.next}"]
            words.append(f"--inputs={self.inputs}")
            with (self.folder / "stderr.txt").open("wb") as errors:
                worker = subprocess.Popen(
                    [sys.executable, str(WORKER), str(self.folder), *words],
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
            try:
                trouble = self._follow(worker)
            finally:
                worker.kill()
                worker.wait()
            if trouble and self.at is None:
                said = (self.folder / "stderr.txt").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the worker itself: {trouble}\n{said}")
            if trouble:
                assert self.at is not None
                self.tally.results[self.at[0], "fault"] += 1
                self.tally.fault(*self.at, trouble)

    def _follow(self, worker: subprocess.Popen[str]) -> str:
        """One worker to its end; what ended it before its time, or nothing."""
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_listen, args=(worker, lines), daemon=True).start()
        process = psutil.Process(worker.pid)
        ready, self.at, self.heard = False, None, time.monotonic()
        while True:
            try:
                line = lines.get(timeout=0.2)
            except queue.Empty:
                line = ""
            if line is None:
                code = worker.wait()
                return f"the process died with code {code}" if code or not ready else ""
            if line:
                ready = True
                self._note(json.loads(line))
                continue
            size = _resident(process)
            self.tally.peak_bytes = max(self.tally.peak_bytes, size)
            silent = time.monotonic() - self.heard
            if size > LIMIT_BYTES:
                return f"the process holds {size >> 20} MiB"
            if silent > (SILENCE_S if ready else START_S):
                return f"nothing for {silent:.0f} s, and no signal ends it"

    def _note(self, told: dict[str, Any]) -> None:
        self.heard = time.monotonic()
        if "ready" in told:
            self.end = self.end or self.heard + self.seconds
        elif "begin" in told:
            target, number = told["begin"]
            self.at, self.next = (target, number), number + 1
        else:
            target, number = told["done"]
            self.at = None
            self.tally.results[target, told["result"]] += 1
            self.tally.slowest_s = max(self.tally.slowest_s, told["seconds"])
            if told["fault"]:
                self.tally.fault(target, number, told["fault"])


def _listen(worker: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        lines.put(line)
    lines.put(None)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def fuzz(folder: Path, seconds: float, seed: int, inputs: int = 10**9) -> Tally:
    """Damage and open files for some seconds, or so many, in a folder of one's own."""
    tally = Tally(seed)
    Watch(folder, seconds, tally, inputs).run()
    return tally


def main() -> None:
    """By hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = fuzz(Path(folder), options.seconds, options.seed)
    print(tally.report())
    raise SystemExit(bool(tally.faults))


if __name__ == "__main__":
    main()
