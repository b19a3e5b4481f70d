"""Latents of whole clips: encoder and quadrant head, a stretch of steps at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

    def release(self) -> None: ...


PIECE = 64
"""Steps whose latents are held at once: those of the full-size generator take 256 KB a step."""
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

    def release(self) -> None:
        """As of the clean clip."""
        self.clip.release()


def clip_latents(model: Any, clip: ClipSource, runtime: Runtime, *, chunk: int = 64) -> dict[str, Latent]:
    """`{m: Latent}` of a clip's T steps, computed in chunks of steps; rows of absent steps are zero.

    All of them at once, which memory must hold: `latent_pieces` gives them one after the other.

    Raises:
        RunError: an encoder gives NaN or infinite values.
    """
    (whole,) = latent_pieces(model, clip, runtime, chunk=chunk, piece=len(clip))
    return whole


def latent_pieces(
    model: Any, clip: ClipSource, runtime: Runtime, *, chunk: int = 64, piece: int = PIECE
) -> Iterator[dict[str, Latent]]:
    """A clip's latents in order, `piece` steps at a time (fewer in the last), each `{m: Latent}`.

    Which steps an encoder sees together does not depend on `piece`: how many rows are computed at once moves
    the last bit, and the rounding to float16 makes a visible step of it.

    Args:
        chunk: steps encoded at once, of those at which the modality is present.

    Raises:
        RunError: an encoder gives NaN or infinite values.
    """
    model.eval()
    encoded = {m: _Encoded(model, clip, runtime, column, m, chunk) for column, m in enumerate(model.names)}
    for begin in range(0, len(clip), piece):
        found = {m: rows.upto(begin, min(begin + piece, len(clip))) for m, rows in encoded.items()}
        clip.release()
        yield found


class _Encoded:
    """One modality of a clip, encoded chunk by chunk as far as somebody asks."""

    def __init__(
        self, model: Any, clip: ClipSource, runtime: Runtime, column: int, modality: str, chunk: int
    ) -> None:
        self.branch, self.clip, self.runtime, self.modality = (
            model.branches[modality],
            clip,
            runtime,
            modality,
        )
        self.steps, self.chunk = np.flatnonzero(clip.present[:, column]), chunk
        self.done = 0  # steps of those above that are encoded
        self.z: list[Tensor] = []
        self.quadrant: list[Tensor] = []

    @torch.no_grad()
    def upto(self, begin: int, end: int) -> Latent:
        """The latents of steps `begin` to `end`, the first of which must be the end of the call before."""
        device = self.runtime.device
        z = torch.zeros(end - begin, *self.branch.encoder.out_shape, device=device)
        quadrant = torch.zeros(end - begin, dtype=torch.int64, device=device)
        first, last = np.searchsorted(self.steps, (begin, end))
        while self.done < last:
            self._encode()
        if last > first:
            rows = torch.from_numpy(self.steps[first:last] - begin).to(device)
            z[rows], rest = _cut(self.z, int(last - first))
            self.z = [rest]
            if self.quadrant:
                quadrant[rows], rest = _cut(self.quadrant, int(last - first))
                self.quadrant = [rest]
        return Latent(z=z, quadrant=quadrant)

    def _encode(self) -> None:
        steps = self.steps[self.done : self.done + self.chunk]
        x = torch.from_numpy(np.ascontiguousarray(self.clip.inputs(self.modality, steps)))
        with self.runtime.autocast():
            latent = self.branch.latent(to_float(x.to(self.runtime.device)))
        z = latent.z.float()
        check_finite(z, self.modality, self.clip, steps)
        self.z.append(z)
        if latent.quadrant is not None:
            self.quadrant.append(latent.quadrant)
        self.done += len(steps)


def _cut(rows: list[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The first `count` rows, and the others."""
    whole = torch.cat(rows)
    return whole[:count], whole[count:].clone()


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
