"""Several processes, one per device, for `fusekit train --devices N`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from fusekit.errors import DeviceError


def is_worker() -> bool:
    """Whether this process was started by `launch`."""
    return "LOCAL_RANK" in os.environ


def launch(devices: int, words: Sequence[str], device: str) -> int:
    """Run `python -m fusekit WORDS...` in `devices` processes that train one model; the exit code of the first to fail.

    On CUDA each process takes one GPU; on the CPU they share the cores (gloo), which is for tests of the protocol.

    Raises:
        DeviceError: fewer GPUs than asked for.
    """
    import torch

    found = torch.cuda.device_count()
    on_cuda = device == "cuda" or (device == "auto" and found > 0)
    if on_cuda and found < devices:
        raise DeviceError(f"--devices {devices} was asked for, but torch sees {found} CUDA device(s) here.")
    environment = dict(os.environ)
    if not on_cuda:
        environment["ACCELERATE_USE_CPU"] = "true"
        environment.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // devices, 1)))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(devices)),
        *("-m", "fusekit", *words),
    ]
    return subprocess.run(command, env=environment, check=False).returncode
