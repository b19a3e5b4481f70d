"""Where latents are kept, chosen by what it costs on this machine.

Z of the full-size generator is 128 KB a step in float16, an hour at 25 Hz 11.5 GB: what fits is kept in
memory, else on disk; where neither has the room, or encoding is quicker than reading, nothing is kept.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from fusekit.contracts import Latent
from fusekit.engine.latent_cache import LatentCache, Latents, LiveLatents, Place, gigabytes
from fusekit.engine.latents import ClipSource
from fusekit.engine.runtime import Runtime
from fusekit.errors import RunError

BUDGET = "FUSEKIT_LATENT_DISK_GB"
NEIGHBOURS = "FUSEKIT_NEIGHBOURS"
"""How many processes of one study share this machine; the study tells its workers, nobody else needs it."""
_SHARE = 0.5  # of what is free: others live on this machine too
_TRIED = 64  # steps that are encoded to see how long it takes
_WRITTEN = 32 << 20  # bytes that are written to see how long it takes


@dataclass(frozen=True)
class Costs:
    """What decides where latents are kept.

    Attributes:
        steps: of all clips. reads: how many rows the stage will ask for in all. row_bytes: of a step's Z.
        encode_s, disk_s: to encode a step; to write, or read, one on the disk.
        memory, disk: bytes that may be used.
    """

    steps: int
    reads: int
    row_bytes: int
    encode_s: float
    disk_s: float
    memory: int
    disk: int

    def seconds(self) -> dict[Place, float]:
        """What each place with the room for it would take over the whole stage; reading memory is free."""
        size = self.steps * self.row_bytes
        found: dict[Place, float] = {}
        if size <= self.memory:
            found["memory"] = self.steps * self.encode_s
        if size <= self.disk:
            found["disk"] = self.steps * (self.encode_s + self.disk_s) + self.reads * self.disk_s
        return found | {"live": self.reads * self.encode_s}

    def best(self) -> Place:
        """The quickest; of equals the first of memory, disk, live."""
        seconds = self.seconds()
        return min(seconds, key=lambda place: seconds[place])


def latents_for(
    model: Any,
    clips: Sequence[ClipSource],
    runtime: Runtime,
    *,
    reads: int,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Latents:
    """Latents of all steps, kept where that is quickest.

    Args:
        reads: rows that will be asked for, those asked for twice counted twice.
        folder: for a cache on disk; within FUSEKIT_LATENT_DISK_GB, or half of what is free there.
        say: told what was chosen and why, in a line.
    """
    steps = sum(map(len, clips))
    row_bytes = sum(2 * int(np.prod(b.encoder.out_shape)) for b in model.branches.values())
    sharing = runtime.world * int(os.environ.get(NEIGHBOURS, "1"))  # each process keeps its own
    size, memory = steps * row_bytes, free_memory() // sharing
    if size <= memory and reads >= steps:  # nothing can be quicker
        say(f"{steps:,} steps, {gigabytes(size)} of latents in memory")
        return LatentCache(model, clips, runtime, progress=progress)
    disk = free_disk(folder) // sharing
    costs = Costs(steps, reads, row_bytes, *_tried(model, clips, runtime, folder), memory, disk)
    place = costs.best()
    said = ", ".join(f"{p} {s:,.0f} s" for p, s in costs.seconds().items())
    say(
        f"{steps:,} steps, {gigabytes(size)} of latents, {gigabytes(memory)} of memory and "
        f"{gigabytes(costs.disk)} of disk to spare; expected: {said}; chosen: {place}"
    )
    if place == "live":
        return LiveLatents(model, clips, runtime)
    return LatentCache(model, clips, runtime, folder=folder if place == "disk" else None, progress=progress)


def free_memory() -> int:
    """Bytes of memory that latents may take: half of what is free, also by the limit of a container."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, max(limit - used, 0))
    except (OSError, ValueError):  # no such limit ("max"), or another system
        pass
    return int(free * _SHARE)


def free_disk(folder: Path) -> int:
    """Bytes on the disk that latents may take.

    Raises:
        RunError: FUSEKIT_LATENT_DISK_GB is no number.
    """
    found = next(p for p in (folder, *folder.parents) if p.exists())
    free = int(psutil.disk_usage(str(found)).free * _SHARE)
    named = os.environ.get(BUDGET)
    if named is None:
        return free
    try:
        return min(free, int(float(named) * 1e9))
    except ValueError as error:
        raise RunError(f"{BUDGET} is {named!r}, not a number of gigabytes, as in {BUDGET}=200.") from error


def _tried(model: Any, clips: Sequence[ClipSource], runtime: Runtime, folder: Path) -> tuple[float, float]:
    """Seconds to encode a step, and to write one's Z to the disk."""
    few = LiveLatents(model, clips, runtime)
    rows = np.arange(min(_TRIED, sum(few.sizes)))
    taken: dict[str, Latent] = {}
    for _ in range(2):  # the first time also warms up
        began = time.perf_counter()
        taken = few.take(rows, "cpu")
        encode_s = (time.perf_counter() - began) / len(rows)
    data = b"".join(latent.z.half().numpy().tobytes() for latent in taken.values())
    data *= max(1, _WRITTEN // max(len(data), 1))
    found = next(p for p in (folder, *folder.parents) if p.exists())
    row_bytes = sum(latent.z[0].numel() * 2 for latent in taken.values())
    with tempfile.TemporaryFile(dir=found) as file:
        began = time.perf_counter()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        per_byte = (time.perf_counter() - began) / len(data)
    return encode_s, per_byte * row_bytes
