"""Several processes, one per device, for `fusekit train --devices N`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from fusekit.errors import DeviceError, LostProcessError
from fusekit.signals import Stopped, for_worker, raised

GRACE_S = 3.0  # when one process has failed, the others usually fail of themselves; then they are ended


def is_worker() -> bool:
    """Whether this process was started by `launch`."""
    return "LOCAL_RANK" in os.environ


def launch(devices: int, words: Sequence[str], device: str) -> int:
    """Run `python -m fusekit WORDS...` in `devices` processes that train one model; 0, or a failed one's
    exit code.

    On CUDA each process takes one GPU; on the CPU they share the cores (gloo), which is for tests of the
    protocol. Only the first process speaks; what another one said is shown if that one alone failed. Ctrl-C,
    SIGTERM and SIGHUP reach them all.

    Raises:
        DeviceError: fewer GPUs than asked for. Stopped: after such a signal, once all have ended.
    """
    import torch

    found = torch.cuda.device_count()
    on_cuda = device == "cuda" or (device == "auto" and found > 0)
    if on_cuda and found < devices:
        raise DeviceError(
            f"--devices {devices} was asked for, but torch sees {found} CUDA device(s) here. Use fewer, or "
            "--device cpu."
        )
    environment = dict(os.environ)
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    environment |= {"WORLD_SIZE": str(devices), "LOCAL_WORLD_SIZE": str(devices)}
    if not on_cuda:
        environment["ACCELERATE_USE_CPU"] = "true"
        environment.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // devices, 1)))
    with tempfile.TemporaryFile() as said, raised():
        workers: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(devices):
                workers.append(_start(words, environment, rank, said if rank else None))
            stop = _wait(workers)
            ended = [(i, w.returncode) for i, w in enumerate(workers) if (w.poll() or 0) < 0]
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                    worker.wait()
        if stop is not None:
            raise stop
        code = _code(workers)
        if code and (workers[0].returncode <= 0 or workers[0].returncode == LostProcessError.exit_code):
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace"))
        for rank, number in ended:
            sys.stderr.write(f"fusekit: {_ended(rank, devices, -number)}\n")
        return code


def _start(
    words: Sequence[str], environment: dict[str, str], rank: int, said: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C at the terminal reaches this process alone, which passes it on once.
    return subprocess.Popen(
        [sys.executable, "-m", "fusekit", *words],
        env={**for_worker(environment), "RANK": str(rank), "LOCAL_RANK": str(rank)},
        stdout=said,
        stderr=said,
        start_new_session=True,
    )


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> Stopped | None:
    """Until all have ended, or one has failed and had its `GRACE_S`; the signal that came meanwhile.

    It is passed on, and the workers may take their time to save; a second Ctrl-C does not wait.
    """
    stop: Stopped | None = None
    failed_at: float | None = None
    while any(worker.poll() is None for worker in workers):
        try:
            time.sleep(0.05)
        except Stopped as asked:
            if stop is not None:
                if asked.number == signal.SIGINT:
                    break
                continue
            stop = asked
            for worker in workers:
                if worker.poll() is None:
                    worker.send_signal(asked.number)
        if failed_at is None and any(worker.poll() for worker in workers):
            failed_at = time.monotonic()
        if failed_at is not None and stop is None and time.monotonic() - failed_at > GRACE_S:
            break
    return stop


def _ended(rank: int, devices: int, number: int) -> str:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    why = ", as the system does to a process when memory is full" if name == "SIGKILL" else ""
    return (
        f"process {rank + 1} of {devices} was ended by {name}{why}. The run is as it was last saved; go on "
        "with `fusekit train --resume` and its folder."
    )


def _code(workers: Sequence[subprocess.Popen[bytes]]) -> int:
    """The first process's exit code if it failed of itself, else that of another; 128 + n: ended by signal
    n."""
    own = [worker.returncode for worker in workers if worker.returncode > 0]
    told = [
        code for code in own if code != LostProcessError.exit_code
    ]  # who only lost another knows no cause
    ended = [128 - worker.returncode for worker in workers if worker.returncode < 0]
    return next(iter([*told, *ended, *own]), 0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
