"""Pictures of what the models saw: strips below traces, and small ones for the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Frames = Callable[[str, str, np.ndarray], np.ndarray | None]
"""`frames(clip, modality, times)`, times `(n,)` in seconds -> `(n, C, H, W)` in -1..1, or None.

Pictures whose channels are copies of one are spectrograms, low frequencies first, as in denoising triples.
"""


def to_rgb(pictures: np.ndarray) -> np.ndarray:
    """`(n, C, H, W)` in -1..1 -> `(n, H, W, 3)` uint8; spectrograms in colour, low frequencies at the bottom.

    Raises:
        ValueError: C is neither 1 nor 3.
    """
    pictures = np.asarray(pictures, dtype=np.float32)
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        raise ValueError(f"expected pictures (n, 1 or 3, H, W), got {pictures.shape}")
    share = np.clip((np.nan_to_num(pictures) + 1) / 2, 0, 1)
    if bool((share == share[:, :1]).all()):
        from matplotlib import colormaps

        coloured = colormaps["magma"](share[:, 0, ::-1])[..., :3]
        return np.round(coloured * 255).astype(np.uint8)
    return np.round(share.transpose(0, 2, 3, 1) * 255).astype(np.uint8)


def joined(pictures: np.ndarray, gap: int = 0) -> np.ndarray:
    """`(n, H, W, 3)` -> one row `(H, n W + (n - 1) gap, 3)`, white between the pictures."""
    pieces: list[np.ndarray] = []
    for picture in pictures:
        if pieces and gap:
            pieces.append(np.full((picture.shape[0], gap, 3), 255, np.uint8))
        pieces.append(picture)
    return np.concatenate(pieces, axis=1)


def draw_strip(axis: Axes, pictures: np.ndarray | None, labels: list[str], name: str) -> None:
    """A row of pictures `(n, C, H, W)` with a label below each; None: the axis says that there are none."""
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_yticks([])
    axis.set_ylabel(name)
    if pictures is None:
        axis.set_xticks([])
        axis.text(
            0.5, 0.5, "no pictures", ha="center", va="center", color="#6b6b6b", transform=axis.transAxes
        )
        return
    rgb = to_rgb(pictures)
    gap = max(1, rgb.shape[2] // 20)
    axis.imshow(joined(rgb, gap))
    centres = [rgb.shape[2] / 2 + number * (rgb.shape[2] + gap) for number in range(len(rgb))]
    axis.set_xticks(centres, labels, fontsize=8)
    axis.tick_params(length=0, pad=2)
