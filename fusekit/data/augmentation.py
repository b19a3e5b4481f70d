"""Augmentation of stage-1 training pictures, clean and damaged copy alike (spec 4.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fusekit.contracts import Degradation
from fusekit.data.degradation import occlusion_grid


class FaceAugmentation(Degradation):
    """`(N, C, H, W)` in -1..1 -> the same shape (spec 4.5). It comes before any damage.

    One of {nothing, horizontal flip, rotation within +-45 degrees}, equally likely; then with probability 1/2
    a crop of 50-100 % of the area, aspect .5-1.5 (width over height, before clipping to the picture), resized
    back. What a rotation uncovers is black. Bilinear.

    Args:
        occlusion: the white grid is a fourth choice (stages that train without degradation).
    """

    def __init__(self, *, occlusion: bool = False) -> None:
        self.occlusion = occlusion

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        draws = np.stack([rng.random(7) for rng in rngs])
        choice = (draws[:, 0] * (4 if self.occlusion else 3)).astype(int)
        out = x.clone()
        flipped = torch.from_numpy(choice == 1).to(x.device)
        out[flipped] = x[flipped].flip(-1)
        if self.occlusion:
            covered = torch.from_numpy(choice == 3).to(x.device)
            out[covered] = x[covered].masked_fill(occlusion_grid(*x.shape[-2:]).to(x.device), 1.0)
        turn, crop = choice == 2, draws[:, 2] < 0.5
        moved = np.flatnonzero(turn | crop)
        if len(moved) == 0:
            return out
        theta = _rotation(np.where(turn, (draws[:, 1] - 0.5) * np.pi / 2, 0), x.shape) @ _crop(
            crop, draws[:, 3:]
        )
        at = torch.from_numpy(moved).to(x.device)
        grid = F.affine_grid(
            torch.from_numpy(theta[moved, :2].astype(np.float32)).to(x.device),
            [len(moved), *x.shape[1:]],
            align_corners=False,
        )
        # Outside the picture grid_sample gives 0: shift so that this is black.
        sampled = F.grid_sample(out[at].float() + 1, grid, mode="bilinear", align_corners=False) - 1
        out[at] = sampled.to(x.dtype)
        return out


def augmentation_for(medium: str, occlusion: bool = False) -> Degradation | None:
    """The augmentation of a reader's medium, or None: it would break a spectrogram's axes (spec 4.5)."""
    return FaceAugmentation(occlusion=occlusion) if medium == "video" else None


def _rotation(angle: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """`(n,)` radians -> `(n, 3, 3)` in coordinates where the picture spans -1..1 both ways."""
    ratio = shape[-2] / shape[-1]
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    rows = [[cos, -sin * ratio, zero], [sin / ratio, cos, zero], [zero, zero, one]]
    return np.moveaxis(np.array(rows), -1, 0)


def _crop(chosen: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """`(n,)` bool and four uniform draws (area, aspect, x, y) -> `(n, 3, 3)`; identity where not chosen."""
    area, aspect = 0.5 + 0.5 * draws[:, 0], 0.5 + draws[:, 1]
    width = np.where(chosen, np.minimum(np.sqrt(area * aspect), 1), 1)
    height = np.where(chosen, np.minimum(np.sqrt(area / aspect), 1), 1)
    matrix = np.zeros((len(draws), 3, 3))
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = width, height, 1
    matrix[:, 0, 2] = (1 - width) * (2 * draws[:, 2] - 1)
    matrix[:, 1, 2] = (1 - height) * (2 * draws[:, 3] - 1)
    return matrix
