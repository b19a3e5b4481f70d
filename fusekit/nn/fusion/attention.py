"""Fusion `attention`: modalities weighed by a learned score (Hori et al., ICCV 2017)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusekit.contracts import Fusion, State, Trace
from fusekit.errors import RecipeError
from fusekit.nn.fusion.masking import blank_absent, empty_rows, shares
from fusekit.nn.init import paper_init


class Attention(Fusion):
    """`{m: (B, T, D_m)}` -> `(B, T, dim)`, a weighted mean of projections; trace `gate (B, T, M)`, sum 1.

    For two or more modalities: d_m = W_m f_m + b_m, score e_m = w . tanh(V_m f_m + c_m), weights = softmax
    of the scores over the modalities that are present, output sum of weight x d_m. The attentional fusion of
    Hori et al., "Attention-based multimodal fusion for video description" (ICCV 2017), without the state of
    their decoder, which a fusion per step does not have. Unlike in `gmu`, a modality's score reads that
    modality alone, and its projection is linear. An absent modality gets weight 0 and its content is not
    read; a step with nothing present yields a learned vector.

    Args:
        in_dims: width of each modality.
        dim: width of the fused features.
        score_dim: width of the hidden layer that the scores are read from.

    Raises:
        RecipeError: there is only one modality, so nothing to weigh.
    """

    def __init__(self, in_dims: Mapping[str, int], *, dim: int = 128, score_dim: int = 64) -> None:
        super().__init__()
        if len(in_dims) < 2:
            raise RecipeError(
                f"fusion attention weighs two or more modalities; the recipe has {', '.join(in_dims)}. "
                "Use {name: none}."
            )
        if min(dim, score_dim) < 1:
            raise RecipeError(
                f"fusion attention: dim and score_dim must be at least 1, found {dim} and {score_dim}"
            )
        self.names = tuple(in_dims)
        self.out_dim = dim
        self.value = nn.ModuleDict({m: nn.Linear(d, dim) for m, d in in_dims.items()})
        self.key = nn.ModuleDict({m: nn.Linear(d, score_dim) for m, d in in_dims.items()})
        self.score = nn.Linear(score_dim, 1, bias=False)  # a bias would cancel in the softmax
        self.empty = nn.Parameter(torch.zeros(dim))
        paper_init(self)

    def forward(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`{m: (B, T, D_m)}`, `present (B, T, M)` -> `(B, T, dim)`, {}, `{"gate": (B, T, M)}`."""
        seen = dict(zip(self.names, blank_absent(feats, present, self.names), strict=True))
        values = torch.stack([self.value[m](x) for m, x in seen.items()], dim=-2)
        keys = torch.stack([self.key[m](x) for m, x in seen.items()], dim=-2)
        weights = shares(self.score(keys.tanh()), present)
        fused = empty_rows((weights * values).sum(dim=-2), present, self.empty)
        return fused, {}, {"gate": weights[..., 0]}
