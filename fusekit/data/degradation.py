"""Artificial damage that a denoising encoder learns to undo (spec 4.3 for pictures, 4.4 for spectrograms).

With probability 1/2 nothing is done, else one of the kinds, equally likely, at one of its strengths, equally
likely. Lengths are stated for pictures of 128 pixels and scale with the picture. Values are clipped, never
wrapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import log2
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fusekit.contracts import Degradation
from fusekit.errors import RecipeError

NOMINAL_PX = 128
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as image libraries convert to grey


class PictureDegradation(Degradation):
    """Six kinds of damage to pictures `(N, 3, H, W)` in -1..1 (spec 4.3).

    Down-sampling (halved 1, 2 or 3 times and resized back), Gaussian blur (sigma 1, 3, 5 px at 128), Gaussian
    noise (variance .001, .005, .01 on a 0..1 scale), brightness (factor .75, 1.25, 1.5 on a 0..1 scale),
    grey-scale, and a white grid (cells of H//7 by W//12 px, a rectangle of half the cell's sides in each).

    Args:
        probability: share of the rows that are damaged.
        severity: multiples of the strengths, of which each damaged row draws one; the spec's are 1. Sigma and
            the noise's deviation grow by it, the brightness is taken to its power, down-sampling halves log2
            of it (rounded down) more often; grey and the grid stay what they are. Beyond 1 it is for teaching
            a fusion that a modality may tell nothing (`damage` of a modality), hardly for denoising.

    Raises:
        RecipeError: a severity is below 1.
    """

    kinds: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "down-sample": (1, 2, 3),
        "blur": (1, 3, 5),
        "noise": (0.001, 0.005, 0.01),
        "brightness": (0.75, 1.25, 1.5),
        "grey": (1,),
        "occlusion": (1,),
    }
    grid_value: ClassVar[float] = 1.0

    def __init__(self, *, probability: float = 0.5, severity: tuple[float, ...] = (1.0,)) -> None:
        if not severity or min(severity) < 1:
            shown = ", ".join(f"{s:g}" for s in severity)
            raise RecipeError(
                f"degradation: severity lists multiples of 1 or more, as in [1, 4], found [{shown}]"
            )
        if not 0 <= probability <= 1:
            raise RecipeError(f"degradation: probability must be from 0 to 1, found {probability:g}")
        self.probability, self.severity = probability, tuple(severity)

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        draws = np.stack([rng.random(4) for rng in rngs])
        names = list(self.kinds)
        damaged, kind = self._fates(draws)
        count = np.array([len(self.kinds[name]) for name in names])[kind]
        strength = (draws[:, 2] * count).astype(int)
        severity = (draws[:, 3] * len(self.severity)).astype(int)
        out = x.clone()
        for k, s, v in sorted(set(zip(kind[damaged], strength[damaged], severity[damaged], strict=True))):
            rows = np.flatnonzero(damaged & (kind == k) & (strength == s) & (severity == v))
            name = names[k]
            at = torch.from_numpy(rows).to(x.device)
            harder = _harder(name, self.kinds[name][s], self.severity[v])
            out[at] = self.damage(x[at], name, harder, [rngs[i] for i in rows.tolist()])
        return out

    def drawn(self, rngs: Sequence[np.random.Generator]) -> list[str]:
        names = list(self.kinds)
        damaged, kind = self._fates(np.stack([rng.random(4) for rng in rngs]))
        return [names[k] if hit else "" for hit, k in zip(damaged, kind, strict=True)]

    def _fates(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First draws `(N, 4)` -> who is damaged `(N,)` bool, and the number of the kind `(N,)`."""
        return draws[:, 0] < self.probability, (draws[:, 1] * len(self.kinds)).astype(int)

    def damage(self, x: Tensor, kind: str, strength: float, rngs: Sequence[np.random.Generator]) -> Tensor:
        """One kind of damage at one of its strengths to every row of `x (N, C, H, W)`."""
        height, width = x.shape[-2:]
        if kind in ("down-sample", "blur"):
            rows, columns = (_matrix(kind, strength, size).to(x.device) for size in (height, width))
            return (rows @ x.float() @ columns.T).to(x.dtype)
        if kind == "noise":
            noise = np.stack([rng.standard_normal(x.shape[1:], np.float32) for rng in rngs])
            scaled = torch.from_numpy(noise).to(x.device) * (
                2 * strength**0.5
            )  # the range -1..1 is twice 0..1
            return (x + scaled).clamp(-1, 1).to(x.dtype)
        if kind == "brightness":
            return ((x + 1) * strength - 1).clamp(-1, 1)
        if kind == "grey":
            luma = torch.tensor(_LUMA, device=x.device, dtype=x.dtype)
            return torch.einsum("nchw,c->nhw", x, luma)[:, None].expand_as(x)
        return x.masked_fill(occlusion_grid(height, width).to(x.device), self.grid_value)


class SpectrogramDegradation(PictureDegradation):
    """Damage to spectrograms `(N, C, mels, columns)` in -1..1 whose C channels are copies (spec 4.4; ours).

    Down-sampling, blur, noise, brightness (a level change) and the grid at the strengths of pictures. The
    grid is filled
    with the floor, -1: a mask in time and frequency. One channel is damaged and replicated.

    Args:
        probability: share of the rows that are damaged.
        severity: as for pictures.
    """

    kinds = {name: s for name, s in PictureDegradation.kinds.items() if name != "grey"}
    grid_value = -1.0

    def damage(self, x: Tensor, kind: str, strength: float, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().damage(x[:, :1], kind, strength, rngs).expand_as(x)


def _harder(kind: str, strength: float, severity: float) -> float:
    """A strength of a kind, made `severity` times as hard."""
    if kind == "down-sample":
        return strength + log2(severity)
    if kind == "noise":  # its strength is a variance
        return strength * severity**2
    return strength**severity if kind == "brightness" else strength * severity


def occlusion_grid(height: int, width: int) -> Tensor:
    """`(H, W)` bool: rectangles of half a cell's sides at the upper left of each cell of H//7 by W//12 px."""
    cell_h, cell_w = max(height // 7, 2), max(width // 12, 2)
    rows = torch.arange(height) % cell_h < cell_h // 2
    columns = torch.arange(width) % cell_w < cell_w // 2
    return rows[:, None] & columns[None]


@lru_cache(maxsize=64)
def _matrix(kind: str, strength: float, size: int) -> Tensor:
    """`(size, size)`: what down-sampling or blur does along one axis. Both are linear and separable, so that
    two products per picture do all of it."""
    eye = torch.eye(size)[None]
    if kind == "down-sample":
        small = F.interpolate(eye, size=max(size // 2 ** int(strength), 1), mode="area")
        return F.interpolate(small, size=size, mode="linear", align_corners=False)[0].T.contiguous()
    sigma = strength * size / NOMINAL_PX
    reach = max(int(np.ceil(3 * sigma)), 1)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    matrix = torch.zeros(size, size)
    for offset, weight in zip(offsets.tolist(), (weights / weights.sum()).tolist(), strict=True):
        source = (torch.arange(size) + offset).clamp(0, size - 1)  # the edge goes on outside
        matrix[torch.arange(size), source] += weight
    return matrix
