"""Processes that make one folder: one is killed half-way, then two set out at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fusekit


def kill_one_then_race_two(script: str, folder: Path, begun: str) -> None:
    """Run `script` with `folder` as its argument; it must leave that, whole, and nothing else but a lock.

    Args:
        begun: pattern beside `folder` of a file that tells that a maker is at work.
    """
    victim = _start(script, folder)
    deadline = time.monotonic() + 60
    while not list(folder.parent.glob(begun)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert not folder.exists()
    for maker in [_start(script, folder), _start(script, folder)]:
        assert maker.wait(timeout=120) == 0
    assert {p.name for p in folder.parent.iterdir()} - {f"{folder.name}.lock"} == {folder.name}


def _start(script: str, folder: Path) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(Path(fusekit.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", script, str(folder)], env=env, start_new_session=True)
