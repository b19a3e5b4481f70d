"""Output that nobody can take: a full device is told in a sentence, exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fusekit

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("words", [["--version"], ["list"], ["show", "gmu"]], ids=" ".join)
def test_a_full_device_is_told(words: list[str]) -> None:
    path = os.pathsep.join([str(Path(fusekit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fusekit", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
    assert done.returncode == 2
    assert done.stderr == "fusekit: the output cannot be written: No space left on device.\n"
