"""Every rule of temporal heads, and every one of networks, rejects a part that breaks it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from broken_parts import MEMORY, findings, named, unproven
from sound_parts import Sound
from torch import Tensor, nn

from fusekit.contracts import (
    State,
    Temporal,
)
from fusekit.testing.kit import FIRST


class BatchAxis(Temporal):
    """A rival's: an LSTM without batch_first, so that clips follow one another."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim, self.lstm = 6, nn.LSTM(in_dim, 6)

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        return self.lstm(x.masked_fill(~valid[..., None], 0))[0], {}, {}


class BothWays(BatchAxis):
    """Bidirectional, and says it is causal."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.lstm = nn.LSTM(in_dim, 3, batch_first=True, bidirectional=True)


class PadsGradient(Sound):
    """Computes with padding and drops the result: 0 x NaN in the gradient."""

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return x


class PadsState(Sound):
    """Moves its state at padding too."""

    def keep(self, valid: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return new


class Forgets(Sound):
    """Starts anew with every call."""

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        return super().forward(x, valid)


class Grows(Sound):
    """A state as long as the sequence."""

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        y, _, trace = super().forward(x, valid, context, None if state is None else {"h": state["h"][:, -1]})
        return y, {"h": y}, trace


class Wider(Sound):
    """Declares a width that it does not have."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.out_dim = 7


class Unlooked(Sound):
    """Declares a memory and shows no attention."""

    memory = 3


class Dead(Sound):
    """Has a layer that nothing calls."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.spare = nn.Linear(3, 3)


class Cuts(Sound):
    """Detaches what it reads: no encoder before it learns."""

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return super().blank(x, valid).detach()


class Cancels(Sound):
    """A bias that cancels in a softmax: its gradient is rounding."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.score = nn.Linear(in_dim, 1)
        self.level = nn.Parameter(torch.zeros(1))

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        x = super().blank(x, valid)
        return (
            x
            * torch.cat([self.score(x) + self.level, self.level.expand(*x.shape[:2], 1)], -1).softmax(-1)[
                ..., :1
            ]
        )


class Draws(Sound):
    """Dropout that does not stop in eval mode."""

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return nn.functional.dropout(super().blank(x, valid), 0.3, training=True)


class InPlace(Sound):
    """Blanks its input where it stands."""

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return x.mul_(0.5) if not x.requires_grad else x * 0.5


class Counts(Sound):
    """Learns a mean outside the state dict."""

    mean: Any = 0.0

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        x = super().blank(x, valid)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * float(x.detach().mean())
        return x - self.mean


class Hides(Sound):
    """A random buffer that is not saved."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.register_buffer("noise", torch.randn(in_dim), persistent=False)

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return super().blank(x, valid) + self.noise


class Shares(Sound):
    """Two names for one memory."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.again = self.cell


class Elsewhere(Sound):
    """Names a device."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.cell = self.cell.to_empty(device="cpu")
        for p in self.cell.parameters():
            nn.init.normal_(p)


class Float32(Sound):
    """Writes what autocast made bf16 into a buffer of the input's type."""

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        x, filled = super().blank(x, valid), torch.zeros_like(x)
        filled[valid] = nn.functional.linear(x, torch.eye(x.shape[2]).to(x))[valid]
        return filled


class Logarithm(Sound):
    """log(0) of a constant 0."""

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return super().blank(x, valid).abs().log()


class Branches(Sound):
    """What it does depends on what it reads: no export."""

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return super().blank(x, valid) if x.sum() > 0 else super().blank(x, valid).clone()


class NoTuple(Sound):
    """Returns the summary alone."""

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        return super().forward(x, valid, context, state)[0]


class Shortest(Sound):
    """Scales by the length of the batch's shortest clip."""

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        summary, state, trace = super().forward(x, valid, context, state)
        return summary / valid.sum(1).min(), state, trace


class OneStep(Sound):
    """Looks at each step alone."""

    def keep(self, valid: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return torch.where(valid, new, old) * 0

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        x = self.blank(x, valid)
        return self.cell(x.flatten(0, 1)).unflatten(0, x.shape[:2]), {}, {}


class Bag(Temporal):
    """The mean of the steps so far, in any order."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim, self.layer = 6, nn.Linear(in_dim, 6)

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        y = self.layer(x.masked_fill(~valid[..., None], 0)).double()
        return y.cumsum(1).div(valid.cumsum(1).clamp(min=1)[..., None]).float(), {}, {}


class Attends(Sound):
    """Looks at its last three steps; the oldest come last."""

    memory = 3
    backwards, scale = True, 1.0

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        summary, state, _ = super().forward(x, valid, context, state)
        steps = torch.arange(x.shape[1], device=x.device)[:, None]
        there = torch.arange(2, -1, -1, device=x.device)[None] <= steps
        weights = there / there.sum(1, keepdim=True) * self.scale
        weights = weights.flip(1) if self.backwards else weights
        return summary, state, {"attention": weights.expand(len(x), -1, -1)}


class Heavy(Attends):
    """Weights that add up to 2."""

    backwards, scale = False, 2.0


class Fixed(Sound):
    """A state for a batch of eight, on the CPU."""

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        return {"h": torch.zeros(max(batch, 8), 6)}

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        state = state or {"h": self.init_state(len(x))["h"][: len(x)]}
        return super().forward(x, valid, context, state)


class Overwrites(Sound):
    """Writes the new state over the one it was handed."""

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        summary, after, trace = super().forward(x, valid, context, state)
        if state is not None and not state["h"].requires_grad:
            state["h"].copy_(after["h"])
        return summary, after, trace


class Sixty(Sound):
    """Knows sixty-four positions."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim)
        self.places = nn.Parameter(torch.randn(64, in_dim))

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return super().blank(x + self.places[: x.shape[1]], valid)


class Chunks(Sound):
    """Starts anew every thirty-two steps."""

    def keep(self, valid: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return super().keep(valid, new, old)

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        if x.shape[1] <= 32:
            return super().forward(x, valid, context, state)
        first, _, _ = super().forward(x[:, :32], valid[:, :32], context, state)
        rest, state, _ = self.forward(x[:, 32:], valid[:, 32:], context)
        return torch.cat([first, rest], 1), state, {}


TEMPORALS = [
    (OneStep, "order-of-time", "changes nothing at the last: it has no memory"),
    (Bag, "order-of-time", "time reversed before the last step changes nothing at the last"),
    (Attends, "attention", "at step 0 a weight of 1 lies on what was before the first step"),
    (Heavy, "attention", "weights are"),
    (Fixed, "states", "init_state(3) gives `h` (8, 6): the first axis is not the batch"),
    (Fixed, "states", "init_state of torch.float64 gives `h` as torch.float32"),
    (Fixed, "states", "init_state leaves `h` on the CPU"),
    (Overwrites, "states", "it changes the state `h` that it is handed in place"),
    (Sixty, "shapes", "with 12 rows of 70 steps: it raised RuntimeError"),
    (Sixty, "padding", "two steps of padding in front change the summary of valid steps"),
    (Chunks, "streams", "with 12 rows of 40 steps: step by step"),
    (Shortest, "rows", "other content in row 1 changes `summary` in rows 0, 2 and 3"),
    (BatchAxis, "rows", "its recurrence runs over the batch axis, not over time"),
    (BothWays, "causal", "declared causal, but other content from step 1 on changes steps before it"),
    (PadsGradient, "padding", "NaN in padding after the end changes the gradient of `cell.weight_ih`"),
    (PadsState, "padding", "two steps of padding after the end change `state.h`"),
    (Forgets, "streams", "step by step, with its state handed on, `summary` differs"),
    (Grows, "streams", "a step cannot be exported"),
    (Wider, "shapes", "the output for 5 steps is (4, 5, 6), declared is (4, 5, 7)"),
    (Unlooked, "shapes", "memory is 3, and the trace has no attention"),
    (Dead, "learns", "no answer depends on `spare.weight`, `spare.bias`: nothing is learned"),
    (Cuts, "learns", "no gradient reaches its input `x`"),
    (Cancels, "learns", "no answer depends on `level`"),
    (Draws, "repeats", "two calls in eval mode differ in `summary`"),
    (InPlace, "repeats", "it changes its input `x` in place"),
    (Counts, "state-dict", "something that answers depend on is not in the state dict"),
    (Hides, "state-dict", "something that answers depend on is not in the state dict"),
    (Shares, "state-dict", "safetensors refuses its state dict"),
    (Elsewhere, "meta", "`cell.weight_ih`"),
    (Float32, "bf16", "it raised RuntimeError"),
    (Logarithm, "finite", "input of 0 everywhere: `summary`, `state.h` is not finite"),
    (NoTuple, "rows", "forward must return (summary, state, trace), got Tensor"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), TEMPORALS, ids=named)
def test_broken_temporal_heads(cls: type, rule: str, sentence: str) -> None:
    found = findings("temporal", cls, rule)
    assert any(sentence in seen for _, seen in found), found


def test_a_sound_temporal_head_passes() -> None:
    assert findings("temporal", Sound, exports=True) == []


def test_what_a_case_declares_is_checked() -> None:
    assert findings("temporal", Branches) == []
    assert [name for name, _ in findings("temporal", Branches, exports=True)] == ["exports"]
    assert findings("temporal", Dead, unused=("spare.*",)) == []
    assert findings("temporal", Float32, bf16=False) == []


def test_every_rule_of_temporal_heads_and_networks_has_rejected_a_part() -> None:
    tried = [("temporal", rule) for _, rule, _ in TEMPORALS] + [("temporal", "exports")]
    # What binds every kind, and torch.compile: in test_broken_windows.
    assert set(unproven(tried, "temporal", whole=True)) == {*FIRST, *MEMORY, "compiles"}
