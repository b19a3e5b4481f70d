"""Random numbers of one sample, seeded by what it is and not by what came before it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence


class _Key(ISeedSequence):
    """Hands a ready Philox key over; the public `key=` argument does the same at three times the cost."""

    def __init__(self, key: np.ndarray) -> None:
        self.key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self.key


def sample_rngs(
    seed: int, epoch: int, indices: Sequence[int] | np.ndarray, salt: str
) -> list[np.random.Generator]:
    """One generator per sample by (seed, epoch, index, salt) alone, so that a resumed run draws the same.

    Philox is counter-based: generators of different keys are independent by construction.

    Args:
        seed: the run's; epoch: counted over the whole stage; indices: of the samples in their data set.
        salt: what the numbers are for.
    """
    text = f"{seed}/{epoch}/{salt}".encode()
    keys = np.empty((len(indices), 2), np.uint64)
    keys[:, 0] = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    keys[:, 1] = indices
    # numpy documents any ISeedSequence here, its stubs know SeedSequence alone.
    return [np.random.Generator(np.random.Philox(_Key(key))) for key in keys]  # type: ignore[arg-type]
