"""A small encoder of words that needs no download."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusekit.contracts import Encoder
from fusekit.errors import RecipeError


class HashedWordsEncoder(Encoder):
    """`(N, L)` numbers of words, 0 = padding -> `(N, 2 * dim)`: embeddings, their neighbours, pooled.

    Each number has a row of a table by its remainder (feature hashing, Weinberger et al. 2009): no vocabulary
    is needed, any tokens will do. A convolution over three words lets neighbours change a word's meaning
    ("not good"); the words' mean by learned attention and their maximum are the latent. A window without
    words gives zeros.

    Args:
        raw_shape: `(L,)`.
        buckets: rows of the table; different words may share one.
        dim: width of an embedding.
        dropout: share of the words, and then of the latent's entries, that training leaves out.

    Raises:
        RecipeError: sizes that cannot be, or a window that is no row of numbers.
    """

    def __init__(
        self, raw_shape: tuple[int, ...], *, buckets: int = 16384, dim: int = 32, dropout: float = 0.3
    ) -> None:
        super().__init__()
        if len(raw_shape) != 1:
            raise RecipeError(
                f"encoder hashed-words reads windows of numbers of words, (L,), not {tuple(raw_shape)}; the "
                "reader `transcript` makes such"
            )
        if buckets < 2 or dim < 1 or not 0 <= dropout < 1:
            raise RecipeError(
                "encoder hashed-words: buckets must be at least 2, dim at least 1, dropout from 0 to below 1"
            )
        self.buckets = buckets
        self.table = nn.Embedding(buckets, dim)
        nn.init.normal_(self.table.weight, std=0.1)  # small beside what is learned: words are seen seldom
        self.near = nn.Conv1d(dim, dim, 3, padding=1)
        self.score = nn.Linear(dim, 1, bias=False)  # a bias would cancel in the softmax
        self.dropout = nn.Dropout(dropout)
        self.out_shape = (2 * dim,)

    def encode(self, x: Tensor) -> Tensor:
        """`(N, L)` float or integer numbers -> `(N, 2 * dim)`."""
        numbers = x.long()
        there = numbers > 0
        if self.training and self.dropout.p:
            there = there & (torch.rand(x.shape, device=x.device) >= self.dropout.p)
        here = there[..., None]
        words = self.table(numbers % self.buckets).masked_fill(~here, 0)
        words = words + nn.functional.gelu(self.near(words.mT).mT)
        empty = ~there.any(dim=1, keepdim=True)
        # Where there is nothing the softmax runs over all places, and its result is filled below.
        scores = self.score(words).squeeze(-1).masked_fill(~(there | empty), float("-inf"))
        mean = (scores.softmax(dim=1)[..., None] * words).sum(dim=1)
        most = words.masked_fill(~here, float("-inf")).amax(dim=1)
        pooled = torch.cat([mean, most], dim=1).masked_fill(empty, 0)
        return self.dropout(pooled)
