"""P^T: one LSTM whose second input slot carries the previous state, or a mean of the last (spec 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fusekit.contracts import State, Temporal, Trace
from fusekit.errors import RecipeError


class StateLSTM(Temporal):
    """Base of both LSTM heads: input `[x_t ; slot_t]`, state S_t = [h_t ; c_t], output h_t (paper eq. 9).

    Subclasses say what fills the slot (2 H wide) from the carried state. Invalid steps leave the state alone.
    """

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise RecipeError(f"temporal: dim must be at least 1, found {dim}")
        self.out_dim = dim
        self.cell = nn.LSTMCell(in_dim + 2 * dim, dim)

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        """Zero h and c, `(B, H)` each."""
        zeros = torch.zeros(batch, self.out_dim, device=device, dtype=dtype)
        return {"h": zeros, "c": zeros.clone()}

    def slot(self, state: State) -> tuple[Tensor, Tensor | None]:
        """State -> `(B, 2 H)` for the input and the attention weights `(B, memory)` or None."""
        raise NotImplementedError

    def advance(self, state: State, h: Tensor, c: Tensor) -> State:
        """State after a step that gave `h`, `c`."""
        return {"h": h, "c": c}

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`(B, T, D)`, `valid (B, T)` -> `(B, T, H)`, state, trace (`attention (B, T, memory)` where there is
        any)."""
        if state is None:
            state = self.init_state(x.shape[0], x.device, x.dtype)
        outputs, weights = [], []
        everywhere = bool(valid.all()) if not torch.compiler.is_exporting() else True
        if not everywhere:
            # Padding is computed and thrown away; blank, as a NaN would reach the gradients as 0 x NaN.
            x = x.masked_fill(~valid[..., None], 0.0)
        for t in range(x.shape[1]):
            slot, weight = self.slot(state)
            h, c = self.cell(torch.cat([x[:, t], slot.to(x.dtype)], dim=-1), (state["h"], state["c"]))
            after = self.advance(state, h, c)
            if not everywhere:
                keep = valid[:, t]
                after = {k: _choose(keep, after[k], state[k]) for k in after}
            state = after
            outputs.append(h)
            if weight is not None:
                weights.append(weight)
        trace = {"attention": torch.stack(weights, dim=1)} if weights else {}
        return torch.stack(outputs, dim=1), state, trace


def _choose(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(keep.view(-1, *[1] * (new.dim() - 1)), new, old)


class LSTM(StateLSTM):
    """LSTM fed with `[x_t ; S_(t-1)]` (paper eq. 9); 1,312,768 parameters at 512 -> 256.

    Args:
        in_dim: width of the fused features.
        dim: H, width of h and of c.
    """

    def __init__(self, in_dim: int, *, dim: int = 256) -> None:
        super().__init__(in_dim, dim)

    def slot(self, state: State) -> tuple[Tensor, Tensor | None]:
        """S_(t-1) = [h ; c]."""
        return torch.cat([state["h"], state["c"]], dim=-1), None
