"""Heads: summary -> target dimensions."""

from __future__ import annotations

from torch import Tensor, nn

from fusekit.nn.init import paper_init


class LinearHead(nn.Module):
    """`(B, T, H)` -> `(B, T, K)`, linear with bias, not squashed (spec 1.6: 514 parameters at H 256, K 2)."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_dim, out_dim)
        paper_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, H)` -> `(B, T, K)`."""
        return self.layer(x)
