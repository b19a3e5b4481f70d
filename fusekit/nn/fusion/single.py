"""Fusion `none`: one modality, filled up to the slot that the sequence predictor expects (spec 1.7)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusekit.contracts import Fusion, State, Trace
from fusekit.errors import RecipeError
from fusekit.nn.fusion.masking import blank_absent, empty_rows


class SingleModality(Fusion):
    """`(B, T, D)` of one modality -> `[f ; 0]`, `(B, T, 2 D)`: P^T is the same in all variants (spec 1.7).

    Args:
        in_dims: exactly one modality.
        compact: leave the zeros out, `out_dim` = D (262,144 fewer parameters in an LSTM of 256).
        standardise: features of each step to mean 0 and variance 1 first: whether an ordering of models hangs
            on one modality being louder.

    Raises:
        RecipeError: there are several modalities.
    """

    def __init__(
        self, in_dims: Mapping[str, int], *, compact: bool = False, standardise: bool = False
    ) -> None:
        super().__init__()
        if len(in_dims) != 1:
            raise RecipeError(
                f"fusion none takes one modality, the recipe has {len(in_dims)}: {', '.join(in_dims)}. "
                "Use {name: concat} or {name: gmu}."
            )
        self.names, self.standardise = tuple(in_dims), standardise
        self.pad = 0 if compact else next(iter(in_dims.values()))
        self.out_dim = next(iter(in_dims.values())) + self.pad
        self.empty = nn.Parameter(torch.zeros(self.out_dim))

    def forward(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`{m: (B, T, D)}`, `present (B, T, 1)` -> `(B, T, out_dim)`, {}, {}."""
        (f,) = blank_absent(feats, present, self.names, self.standardise)
        return empty_rows(nn.functional.pad(f, (0, self.pad)), present, self.empty), {}, {}
