"""What all fusion operators do with absent modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor


def blank_absent(feats: Mapping[str, Tensor], present: Tensor, names: Sequence[str]) -> list[Tensor]:
    """`{m: (B, T, D_m)}`, `present (B, T, M)` -> list in the order of `names`, zero where absent.

    A fill, not a product: content of an absent modality may be NaN, and 0 x NaN is NaN.
    """
    return [feats[m].masked_fill(~present[..., i, None], 0.0) for i, m in enumerate(names)]


def empty_rows(fused: Tensor, present: Tensor, empty: Tensor) -> Tensor:
    """`(B, T, D)`: rows with nothing present become the learned vector `empty (D,)`."""
    nothing = ~present.any(dim=-1, keepdim=True)
    return fused.masked_fill(nothing, 0.0) + nothing.to(fused.dtype) * empty.to(fused.dtype)
