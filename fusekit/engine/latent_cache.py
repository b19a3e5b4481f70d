"""Where stage 2 reads its latents: encoded once and kept in memory or on disk (spec 3.1), or anew."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fusekit.batch import to_float
from fusekit.contracts import Latent
from fusekit.engine.latents import PIECE, ClipSource, check_finite, fits_half, latent_pieces, rounded
from fusekit.engine.runtime import Runtime
from fusekit.errors import RunError

_PIECE = 256  # rows copied at once
Place = Literal["memory", "disk", "live"]


class LatentCache:
    """Z and Q of every step of a list of clips.

    Z of a modality is float16, or float32 from the first step on whose values float16 cannot hold (`rounded`
    says which). A step at which a modality is absent holds zeros; its content is never read.

    Args:
        model: of `branches`; clips: on the step grid.
        folder: keep Z in an unnamed file there, which goes when this process ends; None: in memory.
        chunk: steps encoded at once. progress: told (steps done, steps in all).

    Attributes:
        offsets: `(clips,)` first row of each clip. place: where Z is.

    Raises:
        RunError: the file does not fit on the disk, or an encoder gives NaN or infinite values.
    """

    def __init__(
        self,
        model: Any,
        clips: Sequence[ClipSource],
        runtime: Runtime,
        *,
        folder: Path | None = None,
        chunk: int = 64,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.names: tuple[str, ...] = model.names
        self.place: Place = "memory" if folder is None else "disk"
        self.sizes = [len(c) for c in clips]
        self.offsets = np.concatenate([[0], np.cumsum(self.sizes)])[:-1].astype(np.int64)
        self.z: dict[str, Tensor] = {}
        self.quadrant: dict[str, Tensor] = {}
        total, done = sum(self.sizes), 0
        for number, clip in enumerate(clips):
            begin = int(self.offsets[number])
            for found in latent_pieces(model, clip, runtime, chunk=chunk):
                for m, latent in found.items():
                    if m not in self.z:
                        self.z[m] = _room((total, *latent.z.shape[1:]), torch.float16, folder)
                        self.quadrant[m] = torch.zeros(total, dtype=torch.int64)
                    self._keep(m, begin, latent, folder)
                begin += len(next(iter(found.values())).z)
            done += len(clip)
            if progress is not None:
                progress(done, total)

    def _keep(self, m: str, begin: int, latent: Latent, folder: Path | None) -> None:
        z = rounded(latent.z).cpu()
        if self.z[m].dtype == torch.float16 and not fits_half(z).all():
            self.z[m] = _widened(self.z[m], begin, folder)
        self.z[m][begin : begin + len(z)] = z
        if latent.quadrant is not None:
            self.quadrant[m][begin : begin + len(z)] = latent.quadrant.cpu()

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


class LiveLatents:
    """The same, nothing kept: a row is encoded each time it is asked for, and rounded as a cache rounds."""

    def __init__(self, model: Any, clips: Sequence[ClipSource], runtime: Runtime, *, chunk: int = 64) -> None:
        self.names: tuple[str, ...] = model.names
        self.place: Place = "live"
        self.model, self.clips, self.runtime, self.chunk = model, clips, runtime, chunk
        self.sizes = [len(c) for c in clips]
        self.offsets = np.concatenate([[0], np.cumsum(self.sizes)])[:-1].astype(np.int64)

    @torch.no_grad()
    def take(self, rows: np.ndarray, device: torch.device | str) -> dict[str, Latent]:
        """Flat rows `(N,)` -> `{m: Latent}` of N rows on `device`, float32; of equal rows one is encoded."""
        unique, back = np.unique(rows, return_inverse=True)
        which = np.searchsorted(self.offsets, unique, side="right") - 1
        found = {}
        for column, m in enumerate(self.names):
            branch = self.model.branches[m]
            branch.encoder.eval()  # whoever trains the rest has set the whole model to train
            branch.quadrant.eval()
            z = torch.zeros(len(unique), *branch.encoder.out_shape, device=self.runtime.device)
            quadrant = torch.zeros(len(unique), dtype=torch.int64, device=self.runtime.device)
            for number in np.unique(which):
                at = np.flatnonzero(which == number)
                steps = unique[at] - self.offsets[number]
                here = self.clips[number].present[steps, column]
                for first in range(0, int(here.sum()), self.chunk):
                    mine = np.flatnonzero(here)[first : first + self.chunk]
                    x = torch.from_numpy(np.ascontiguousarray(self.clips[number].inputs(m, steps[mine])))
                    with self.runtime.autocast():
                        latent = branch.latent(to_float(x.to(self.runtime.device)))
                    into = torch.from_numpy(at[mine]).to(self.runtime.device)
                    check_finite(latent.z, m, self.clips[number], steps[mine])
                    z[into] = rounded(latent.z)
                    if latent.quadrant is not None:
                        quadrant[into] = latent.quadrant
            index = torch.from_numpy(back.reshape(-1)).to(self.runtime.device)
            found[m] = Latent(z=z[index].to(device), quadrant=quadrant[index].to(device))
        return found

    def clip(self, number: int, device: torch.device | str) -> dict[str, Latent]:
        """All steps of one clip."""
        begin = int(self.offsets[number])
        return self.take(np.arange(begin, begin + self.sizes[number]), device)


Latents = LatentCache | LiveLatents


def _widened(narrow: Tensor, rows: int, folder: Path | None) -> Tensor:
    """The same in float32, the first `rows` copied, a piece at a time: memory may not hold them all."""
    wide = _room(tuple(narrow.shape), torch.float32, folder)
    for begin in range(0, rows, _PIECE):
        end = min(begin + _PIECE, rows)
        wide[begin:end] = narrow[begin:end]
    return wide


def _room(shape: tuple[int, ...], dtype: torch.dtype, folder: Path | None) -> Tensor:
    if folder is None:
        return torch.zeros(shape, dtype=dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Taken now: a full disk would later end the process while it writes into the mapping.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, max(size, 1))
            kind = torch.empty(0, dtype=dtype).numpy().dtype
            return torch.from_numpy(np.memmap(file, kind, "r+", shape=shape))
    except OSError as error:
        raise RunError(
            f"no room for {gigabytes(size)} of latents in '{folder}': {error.strerror or error}. Free "
            "some, let FUSEKIT_CACHE name another disk, or set FUSEKIT_LATENT_DISK_GB lower: they are then "
            "encoded anew each time."
        ) from error


def gigabytes(size: int) -> str:
    """As messages say it."""
    return f"{size / 1e9:.1f} GB"


def cached_pieces(latents: Latents, number: int, device: torch.device | str) -> Iterator[dict[str, Latent]]:
    """The steps of one clip in order, as `latent_pieces` gives them, from where they are kept."""
    begin, end = int(latents.offsets[number]), int(latents.offsets[number]) + latents.sizes[number]
    for first in range(begin, end, PIECE):
        yield latents.take(np.arange(first, min(first + PIECE, end)), device)
