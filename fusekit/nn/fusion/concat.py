"""Fusion `concat`: features side by side (paper eq. 4)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusekit.contracts import Fusion, State, Trace
from fusekit.nn.fusion.masking import blank_absent, empty_rows


class Concat(Fusion):
    """`{m: (B, T, D_m)}` -> `(B, T, sum D_m)`, zeros for what is absent (paper eq. 4).

    Args:
        in_dims: width of each modality; its order is the order of the concatenation.
        standardise: features of each step to mean 0 and variance 1 first: whether an ordering of models hangs
            on one modality being louder.
    """

    def __init__(self, in_dims: Mapping[str, int], *, standardise: bool = False) -> None:
        super().__init__()
        self.names, self.standardise = tuple(in_dims), standardise
        self.out_dim = sum(in_dims.values())
        self.empty = nn.Parameter(torch.zeros(self.out_dim))

    def forward(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`{m: (B, T, D_m)}`, `present (B, T, M)` -> `(B, T, out_dim)`, {}, {}."""
        fused = torch.cat(blank_absent(feats, present, self.names, self.standardise), dim=-1)
        return empty_rows(fused, present, self.empty), {}, {}
