"""What ridge regression sees of pictures and spectrograms: means."""

from __future__ import annotations

import numpy as np

GRID = 8
"""A picture is pooled to GRID x GRID means per colour."""


def grid_means(windows: np.ndarray) -> np.ndarray:
    """`(n, C, H, W)` uint8 pictures (0..255 stand for -1..1) or float -> `(n, 64 C)`: means over 8 x 8 cells.

    Raises:
        ValueError: the pictures are smaller than that.
    """
    x = _scaled(windows)
    for axis in (2, 3):
        size = x.shape[axis]
        if size < GRID:
            raise ValueError(f"a picture of {size} pixels cannot be pooled to {GRID}")
        edges = np.arange(GRID + 1) * size // GRID
        shape = [1] * x.ndim
        shape[axis] = GRID
        x = np.add.reduceat(x, edges[:-1], axis=axis) / np.diff(edges).astype(np.float32).reshape(shape)
    return x.reshape(len(x), x.shape[1] * GRID * GRID)


def row_means(windows: np.ndarray) -> np.ndarray:
    """`(n, C, H, W)` spectrograms -> `(n, H)`: mean over time of the first channel (all are copies)."""
    return _scaled(windows)[:, 0].mean(axis=-1)


def _scaled(windows: np.ndarray) -> np.ndarray:
    if windows.dtype == np.uint8:
        return windows.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return windows.astype(np.float32)
