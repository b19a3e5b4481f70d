"""P^T with attention over the last states (paper eqs. 9-12, spec 1.6; scores after Luong et al. 2015)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from fusekit.contracts import State
from fusekit.errors import RecipeError
from fusekit.nn.init import paper_init
from fusekit.nn.temporal.lstm import StateLSTM


class LuongLSTM(StateLSTM):
    """LSTM fed with `[x_t ; CV_t]`, CV_t = sum_i a_i S_i over the last `memory` states S_i = [h_i ; c_i].

    a = softmax over the states present of a score of the query S_(t-1) and S_i; at the first step there is
    none and CV = 0. The query is the previous state, because attention precedes the update (spec 7 no. 11);
    CV is not divided by n (no. 12).

    Args:
        in_dim: width of the fused features.
        dim: H, width of h and of c.
        memory: how many past states are kept, n.
        score: `location` w.S_i (eq. 11; 2H weights); `pair` w.[S_(t-1) ; S_i] + b (eq. 10 as printed; equal
            to `location` after the softmax, half its weights are dead; for the paper's counts); `dot`
            S_(t-1).S_i; `general` S_(t-1)' W S_i; `concat` v.tanh(W [S_(t-1) ; S_i]).
        project_context: pass CV through a linear layer of 2H -> 2H (reading C of spec 2.2).
    """

    def __init__(
        self,
        in_dim: int,
        *,
        dim: int = 256,
        memory: int = 8,
        score: Literal["location", "pair", "dot", "general", "concat"] = "location",
        project_context: bool = False,
    ) -> None:
        super().__init__(in_dim, dim)
        if memory < 1:
            raise RecipeError(f"temporal luong-lstm: memory must be at least 1 state, found {memory}")
        self.memory = memory
        self.score = score
        width = 2 * dim
        if score == "location":
            self.weigh: nn.Module = nn.Linear(width, 1, bias=False)
        elif score == "pair":
            self.weigh = nn.Linear(2 * width, 1)
        elif score == "general":
            self.weigh = nn.Linear(width, width, bias=False)
        elif score == "concat":
            self.weigh = nn.Sequential(
                nn.Linear(2 * width, dim, bias=False), nn.Tanh(), nn.Linear(dim, 1, bias=False)
            )
        else:
            self.weigh = nn.Identity()
        self.context = nn.Linear(width, width) if project_context else nn.Identity()
        for part in (self.weigh, self.context):
            paper_init(part)

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        """Zero h, c and an empty history: `history (B, memory, 2 H)`, newest last, `filled (B, memory)`."""
        state = dict(super().init_state(batch, device, dtype))
        state["history"] = torch.zeros(batch, self.memory, 2 * self.out_dim, device=device, dtype=dtype)
        state["filled"] = torch.zeros(batch, self.memory, device=device, dtype=torch.bool)
        return state

    def _scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """`(B, 2 H)`, `(B, n, 2 H)` -> `(B, n)`."""
        if self.score == "location":
            return self.weigh(keys).squeeze(-1)
        if self.score in ("dot", "general"):
            return (self.weigh(keys) * query[:, None]).sum(-1)
        return self.weigh(torch.cat([query[:, None].expand_as(keys), keys], dim=-1)).squeeze(-1)

    def slot(self, state: State) -> tuple[Tensor, Tensor]:
        """Context vector `(B, 2 H)` and weights `(B, memory)`, 0 where there is no state yet."""
        history, filled = state["history"], state["filled"]
        query = torch.cat([state["h"], state["c"]], dim=-1)
        scores = self._scores(query, history).float()
        # A finite floor keeps the softmax defined for the empty history, whose weights are then set to 0.
        weights = scores.masked_fill(~filled, torch.finfo(scores.dtype).min).softmax(dim=-1) * filled
        context = (weights[..., None].to(history.dtype) * history).sum(dim=1)
        return self.context(context), weights

    def advance(self, state: State, h: Tensor, c: Tensor) -> State:
        """Append S_t to the history and drop the oldest."""
        newest = torch.cat([h, c], dim=-1)[:, None].to(state["history"].dtype)
        return {
            "h": h,
            "c": c,
            "history": torch.cat([state["history"][:, 1:], newest], dim=1),
            "filled": torch.cat([state["filled"][:, 1:], torch.ones_like(state["filled"][:, :1])], dim=1),
        }
