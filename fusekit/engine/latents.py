"""Latents of whole clips: encoder and quadrant head, a stretch of steps at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fusekit.batch import to_float
from fusekit.contracts import Degradation, Latent
from fusekit.engine.runtime import Runtime
from fusekit.errors import RunError


class ClipSource(Protocol):
    """One clip on the step grid, as the data room makes it."""

    @property
    def name(self) -> str: ...

    times: np.ndarray
    target: np.ndarray
    known: np.ndarray
    present: np.ndarray

    def __len__(self) -> int: ...

    def inputs(self, modality: str, steps: np.ndarray) -> np.ndarray: ...


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

    @property
    def name(self) -> str:
        return f"{self.clip.name} (damaged)"

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
    """`{m: Latent}` of a clip's T steps, computed in chunks of steps; rows of absent steps are zero.

    Raises:
        RunError: an encoder gives NaN or infinite values.
    """
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
            made = torch.cat([p.z for p in pieces]).float()
            check_finite(made, m, clip, steps)
            z[rows] = made
            if pieces[0].quadrant is not None:
                quadrant[rows] = torch.cat([p.quadrant for p in pieces if p.quadrant is not None])
        found[m] = Latent(z=z, quadrant=quadrant)
    return found


def check_finite(z: Tensor, modality: str, clip: ClipSource, steps: np.ndarray) -> None:
    """Latents `(n, ...)` of a clip's steps `(n,)` must be numbers.

    Raises:
        RunError: NaN or infinite values; says of which modality, in which clip, at which second.
    """
    odd = ~torch.isfinite(z.flatten(1)).all(1)
    if odd.any():
        first = float(clip.times[steps[int(odd.nonzero()[0])]])
        raise RunError(
            f"the encoder of {modality} gives NaN or infinite values at {int(odd.sum())} of {len(z)} steps "
            f"of clip '{clip.name}', first at {first:.2f} s. Nothing can be predicted from those: see "
            "whether the input there is sound, and whether the encoder has diverged in training (try a lower "
            "`lr`, `clip_grad`, or train.precision=float32)."
        )


def fits_half(z: Tensor) -> Tensor:
    """`(N, ...)` -> `(N,)` bool: rows whose largest magnitude is a normal float16, 6.1e-5 to 65,504, or 0."""
    top = z.flatten(1).abs().amax(1)
    half = torch.finfo(torch.float16)
    return (top == 0) | ((top >= half.tiny) & (top <= half.max))


def rounded(z: Tensor) -> Tensor:
    """`(N, ...)` -> the same in float32, as a cache keeps it: rounded to float16, but for rows that float16
    cannot hold. A rule of each row alone, so that cached and live latents agree."""
    z = z.float()
    fits = fits_half(z).view(-1, *[1] * (z.dim() - 1))
    return torch.where(fits, z.half().float(), z)


def stored(latents: Mapping[str, Latent]) -> dict[str, Latent]:
    """The same latents after the cache's rounding, so that live and cached predictions agree."""
    return {m: Latent(z=rounded(v.z), quadrant=v.quadrant) for m, v in latents.items()}
