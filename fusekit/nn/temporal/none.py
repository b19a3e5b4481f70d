"""Temporal head `none`: every step for itself."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fusekit.contracts import State, Temporal, Trace


class NoTemporal(Temporal):
    """`(B, T, D)` -> the same `(B, T, D)`; no state."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`(B, T, D)` -> `(B, T, D)`, {}, {}."""
        return x, {}, {}
