"""Fusion `gmu`: gated multimodal unit (Arevalo et al. 2017; paper eqs. 5-8; spec 1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from fusekit.contracts import Fusion, State, Trace
from fusekit.errors import RecipeError
from fusekit.nn.fusion.masking import blank_absent, empty_rows, shares
from fusekit.nn.init import paper_init


class GMU(Fusion):
    """`{m: (B, T, D_m)}` -> `(B, T, dim)`, a gated mean of tanh features; trace `gate (B, T, M)`, sum 1.

    Two modalities, as in the paper: h_m = tanh(W_m f_m), g = sigmoid(w [f_1; f_2]), g h_1 + (1 - g) h_2, no
    biases; 262,656 parameters at 256 -> 512. For M modalities the gate is softmax([w_1 f; ...; w_(M-1) f; 0])
    with f = [f_1; ...; f_M], which for M = 2 is that sigmoid. An absent modality gets gate 0 and its content
    is not read; a step with nothing present yields a learned vector.

    Args:
        in_dims: width of each modality; the first one's gate is the paper's g.
        dim: width of the fused features.
        gate: `scalar`, one gate per step (needed by the paper's threshold analysis), or `vector`, one per
            unit; the trace then holds the mean over units.
        standardise: features of each step to mean 0 and variance 1 first: whether an ordering of models hangs
            on one modality being louder.

    Raises:
        RecipeError: there is only one modality, so nothing to gate.
    """

    def __init__(
        self,
        in_dims: Mapping[str, int],
        *,
        dim: int = 512,
        gate: Literal["scalar", "vector"] = "scalar",
        standardise: bool = False,
    ) -> None:
        super().__init__()
        if len(in_dims) < 2:
            raise RecipeError(
                f"fusion gmu weighs two or more modalities; the recipe has {', '.join(in_dims)}. "
                "Use {name: none}."
            )
        if dim < 1:
            raise RecipeError(f"fusion gmu: dim must be at least 1, found {dim}")
        self.names, self.standardise = tuple(in_dims), standardise
        self.out_dim = dim
        self.units = dim if gate == "vector" else 1
        self.hidden = nn.ModuleDict({m: nn.Linear(d, dim, bias=False) for m, d in in_dims.items()})
        self.gate = nn.Linear(sum(in_dims.values()), self.units * (len(in_dims) - 1), bias=False)
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
        seen = blank_absent(feats, present, self.names, self.standardise)
        hidden = torch.stack(
            [self.hidden[m](x).tanh() for m, x in zip(self.names, seen, strict=True)], dim=-2
        )
        logits = self.gate(torch.cat(seen, dim=-1)).unflatten(-1, (len(self.names) - 1, self.units))
        logits = torch.cat([logits, logits.new_zeros(*logits.shape[:-2], 1, self.units)], dim=-2)
        gate = shares(logits, present)
        fused = empty_rows((gate * hidden).sum(dim=-2), present, self.empty)
        return fused, {}, {"gate": gate.mean(dim=-1)}
