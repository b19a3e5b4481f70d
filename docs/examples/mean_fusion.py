"""Fusion `mean`: try it with  fusekit check avi-gas fusion=mean --plugin docs/examples/mean_fusion.py"""

import torch
from torch import nn

from fusekit.contracts import Fusion
from fusekit.hookspecs import hookimpl


class Mean(Fusion):
    """`{m: (B, T, D_m)}` -> `(B, T, dim)`: a linear layer each, then the mean of what is present."""

    def __init__(self, in_dims, *, dim: int = 512):
        super().__init__()
        self.names, self.out_dim = tuple(in_dims), dim
        self.layers = nn.ModuleDict({m: nn.Linear(width, dim, bias=False) for m, width in in_dims.items()})
        self.empty = nn.Parameter(torch.zeros(dim))

    def forward(self, feats, present, valid=None, state=None):
        there = present[..., None]
        seen = [self.layers[m](feats[m].masked_fill(~there[..., i, :], 0)) for i, m in enumerate(self.names)]
        share = there / there.sum(dim=-2, keepdim=True).clamp(min=1)
        fused = (share * torch.stack(seen, dim=-2)).sum(dim=-2)
        fused = torch.where(present.any(dim=-1, keepdim=True), fused, self.empty)
        return fused, {}, {"gate": share.squeeze(-1)}


@hookimpl
def register_components(register):
    register("fusion", "mean", f"{__name__}:Mean", "mean of the modalities that are present")


def conformance_cases():
    from fusekit.testing import Case

    return [Case("fusion", "mean", {"dim": 6})]
