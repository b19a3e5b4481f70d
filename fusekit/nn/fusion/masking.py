"""What all fusion operators do with absent modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import layer_norm


def blank_absent(
    feats: Mapping[str, Tensor], present: Tensor, names: Sequence[str], standardise: bool = False
) -> list[Tensor]:
    """`{m: (B, T, D_m)}`, `present (B, T, M)` -> list in the order of `names`, zero where absent.

    A fill, not a product: content of an absent modality may be NaN, and 0 x NaN is NaN.

    Args:
        standardise: mean 0 and variance 1 over the units of each step (layer norm without weights), so that
            no modality is louder than another.
    """
    blank = [feats[m].masked_fill(~present[..., i, None], 0.0) for i, m in enumerate(names)]
    return [layer_norm(x, x.shape[-1:]) for x in blank] if standardise else blank  # zeros stay zeros


def empty_rows(fused: Tensor, present: Tensor, empty: Tensor) -> Tensor:
    """`(B, T, D)`: rows with nothing present become the learned vector `empty (D,)`."""
    nothing = ~present.any(dim=-1, keepdim=True)
    return fused.masked_fill(nothing, 0.0) + nothing.to(fused.dtype) * empty.to(fused.dtype)


def shares(logits: Tensor, present: Tensor) -> Tensor:
    """`(B, T, M, U)`, `present (B, T, M)` -> softmax over the modalities that are present; 0 for the others.

    With nothing present all are 0: a finite floor, not -inf, keeps the softmax finite there.
    """
    there = present[..., None]
    return logits.masked_fill(~there, torch.finfo(logits.dtype).min).softmax(dim=-2) * there
