"""Cached latents: encoder and quadrant head run once over every clean step for stage 2 (spec 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fusekit.batch import to_float
from fusekit.contracts import Degradation, Latent
from fusekit.engine.runtime import Runtime


class ClipSource(Protocol):
    """One clip on the step grid, as the data room makes it."""

    times: np.ndarray
    target: np.ndarray
    known: np.ndarray
    present: np.ndarray

    def __len__(self) -> int: ...

    def inputs(self, modality: str, steps: np.ndarray) -> np.ndarray: ...


class LatentCache:
    """Z (float16) and Q of every step of a list of clips, in memory.

    A step at which a modality is absent holds zeros; its content is never read.

    Attributes:
        offsets: `(clips,)` first row of each clip.
    """

    def __init__(
        self,
        model: Any,
        clips: Sequence[ClipSource],
        runtime: Runtime,
        *,
        chunk: int = 64,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.names: tuple[str, ...] = model.names
        sizes = [len(c) for c in clips]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64)
        self.sizes = sizes
        self.z: dict[str, Tensor] = {}
        self.quadrant: dict[str, Tensor] = {}
        total, done = sum(sizes), 0
        for number, clip in enumerate(clips):
            found = clip_latents(model, clip, runtime, chunk=chunk)
            begin = int(self.offsets[number])
            for m, latent in found.items():
                if m not in self.z:
                    self.z[m] = torch.zeros(total, *latent.z.shape[1:], dtype=torch.float16)
                    self.quadrant[m] = torch.zeros(total, dtype=torch.int64)
                self.z[m][begin : begin + len(clip)] = latent.z.to("cpu", torch.float16)
                if latent.quadrant is not None:
                    self.quadrant[m][begin : begin + len(clip)] = latent.quadrant.cpu()
            done += len(clip)
            if progress is not None:
                progress(done, total)

    def take(self, rows: np.ndarray, device: torch.device | str) -> dict[str, Latent]:
        """Flat rows `(N,)` -> `{m: Latent}` of N rows on `device`, float32."""
        index = torch.from_numpy(np.ascontiguousarray(rows))
        return {
            m: Latent(z=self.z[m][index].to(device).float(), quadrant=self.quadrant[m][index].to(device))
            for m in self.names
        }

    def clip(self, number: int, device: torch.device | str) -> dict[str, Latent]:
        """All steps of one clip."""
        begin = int(self.offsets[number])
        return self.take(np.arange(begin, begin + self.sizes[number]), device)


STRETCH = 8
"""Steps over which the damage of a copy stays the same: as long as the paper's longest window."""


class DegradedClip:
    """A clip whose inputs are damaged, in stretches of 8 steps, each by a draw of its own.

    Args:
        clip: the clean one. degradations: per modality, None: left as it is.
        rngs: (stretch number, modality) -> generator; called anew for each step, so that a stretch draws
            the same.
    """

    def __init__(
        self,
        clip: ClipSource,
        degradations: Mapping[str, Degradation | None],
        rngs: Callable[[int, str], np.random.Generator],
    ) -> None:
        self.clip, self.degradations, self.rngs = clip, degradations, rngs
        self.times, self.target, self.known, self.present = clip.times, clip.target, clip.known, clip.present

    def __len__(self) -> int:
        return len(self.clip)

    def inputs(self, modality: str, steps: np.ndarray) -> np.ndarray:
        """`(n,)` step indices -> `(n, *raw)` float32."""
        x = to_float(torch.from_numpy(np.ascontiguousarray(self.clip.inputs(modality, steps))))
        degradation = self.degradations[modality]
        if degradation is not None and len(steps):
            x = degradation(x, [self.rngs(int(step) // STRETCH, modality) for step in steps])
        return x.numpy()


@torch.no_grad()
def clip_latents(model: Any, clip: ClipSource, runtime: Runtime, *, chunk: int = 64) -> dict[str, Latent]:
    """`{m: Latent}` of a clip's T steps, computed in chunks of steps; rows of absent steps are zero."""
    model.eval()
    found: dict[str, Latent] = {}
    for column, m in enumerate(model.names):
        steps = np.flatnonzero(clip.present[:, column])
        pieces: list[Latent] = []
        for begin in range(0, len(steps), chunk):
            x = torch.from_numpy(np.ascontiguousarray(clip.inputs(m, steps[begin : begin + chunk])))
            with runtime.autocast():
                pieces.append(model.branches[m].latent(to_float(x.to(runtime.device))))
        rows = torch.from_numpy(steps).to(runtime.device)
        z = torch.zeros(len(clip), *model.branches[m].encoder.out_shape, device=runtime.device)
        quadrant = torch.zeros(len(clip), dtype=torch.int64, device=runtime.device)
        if pieces:
            z[rows] = torch.cat([p.z for p in pieces]).float()
            if pieces[0].quadrant is not None:
                quadrant[rows] = torch.cat([p.quadrant for p in pieces if p.quadrant is not None])
        found[m] = Latent(z=z, quadrant=quadrant)
    return found


def stored(latents: Mapping[str, Latent]) -> dict[str, Latent]:
    """The same latents after the cache's rounding to float16, so that live and cached predictions agree."""
    return {m: Latent(z=v.z.half().float(), quadrant=v.quadrant) for m, v in latents.items()}
