"""Damage of words, as speech recognisers do it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fusekit.contracts import Degradation
from fusekit.errors import RecipeError


class RecognizerErrors(Degradation):
    """Numbers of words `(N, L)`, 0 = padding: words left out, mistaken for others, said twice.

    Of each damaged row a share of the words, drawn evenly from 0 to `rate`, is in error: half of these are
    left out, three in ten are replaced by another word of the same window, two in ten are doubled (of
    recognisers' errors substitutions are the most, but nothing here knows which words sound alike). The rest
    closes up; what no longer fits is cut from the front, as the reader cuts. At least one word stays.

    Args:
        probability: share of the rows that are damaged.
        rate: largest share of the words in error; 0.5 is what is left of speech in loud noise.

    Raises:
        RecipeError: one of them is not from 0 to 1.
    """

    def __init__(self, *, probability: float = 0.5, rate: float = 0.5) -> None:
        for what, value in (("probability", probability), ("rate", rate)):
            if not 0 <= value <= 1:
                raise RecipeError(
                    f"degradation recognizer-errors: {what} must be from 0 to 1, found {value:g}"
                )
        self.probability, self.rate = probability, rate

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        rows = x.detach().cpu().numpy()
        damaged = np.stack([self._row(row, rng) for row, rng in zip(rows, rngs, strict=True)])
        return torch.from_numpy(damaged).to(x.device, x.dtype)

    def _row(self, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        words = row[row > 0]
        share = self.rate * rng.random() if rng.random() < self.probability else 0.0
        if not len(words) or not share:
            return row.copy()
        wrong, kind = rng.random(len(words)) < share, rng.random(len(words))
        other = rng.permutation(words)
        times = np.where(wrong, np.where(kind < 0.5, 0, np.where(kind < 0.8, 1, 2)), 1)
        if not times.any():
            times[rng.integers(len(words))] = 1
        said = np.where(wrong & (kind >= 0.5) & (kind < 0.8), other, words)
        left = np.repeat(said, times)[-len(row) :]
        made = np.zeros_like(row)
        made[: len(left)] = left
        return made
