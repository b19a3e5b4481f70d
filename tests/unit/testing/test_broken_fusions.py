"""Every rule of fusions rejects a part that breaks it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from broken_parts import findings, named, unproven
from torch import Tensor, nn

from fusekit.contracts import (
    Fusion,
    State,
)


class Mean(Fusion):
    """`{m: (B, T, D_m)}` -> `(B, T, 6)`: mean of what is present; keeps every rule."""

    def __init__(self, in_dims: dict[str, int]) -> None:
        super().__init__()
        self.names, self.out_dim = tuple(in_dims), 6
        self.layers = nn.ModuleDict({m: nn.Linear(d, 6, bias=False) for m, d in in_dims.items()})
        self.empty = nn.Parameter(torch.zeros(6))

    def forward(self, feats: Any, present: Tensor, valid: Any = None, state: Any = None) -> Any:
        seen = torch.stack(
            [self.seen(m, feats[m], present[..., i, None]) for i, m in enumerate(self.names)], -2
        )
        share = self.share(present)
        fused = (share[..., None] * seen).sum(-2)
        return self.fill(fused, present), {}, {"gate": share}

    def seen(self, name: str, x: Tensor, there: Tensor) -> Tensor:
        return self.layers[name](x.masked_fill(~there, 0.0))

    def share(self, present: Tensor) -> Tensor:
        return present / present.sum(-1, keepdim=True).clamp(min=1)

    def fill(self, fused: Tensor, present: Tensor) -> Tensor:
        return torch.where(present.any(-1, keepdim=True), fused, self.empty)


class Multiplies(Mean):
    """0 x NaN is NaN."""

    def seen(self, name: str, x: Tensor, there: Tensor) -> Tensor:
        return self.layers[name](x) * there


class Trusts(Mean):
    """A rival's zeros at test time: whatever stands in the place of the absent is read."""

    def seen(self, name: str, x: Tensor, there: Tensor) -> Tensor:
        return self.layers[name](x)

    def share(self, present: Tensor) -> Tensor:
        return torch.full_like(present, 1 / present.shape[-1], dtype=torch.float32)


class Zeros(Mean):
    """Nothing present gives zeros."""

    def fill(self, fused: Tensor, present: Tensor) -> Tensor:
        return fused + 0 * self.empty


class OnlyFirst(Mean):
    """Reads the first modality alone."""

    def seen(self, name: str, x: Tensor, there: Tensor) -> Tensor:
        return super().seen(name, x if name == self.names[0] else torch.zeros_like(x), there)


class Sorted(Mean):
    """Names in the order of the alphabet, presence in the recipe's."""

    def __init__(self, in_dims: dict[str, int]) -> None:
        super().__init__(dict(sorted(in_dims.items())))


class OverTime(Mean):
    """Centres over the steps of the clip."""

    def fill(self, fused: Tensor, present: Tensor) -> Tensor:
        return super().fill(fused - fused.mean(1, keepdim=True), present)


class Narrow(Mean):
    """A gate of one column."""

    def forward(self, *args: Any, **named: Any) -> Any:
        fused, state, trace = super().forward(*args, **named)
        return fused, state, {"gate": trace["gate"][..., :1]}


class Nameless(Mean):
    """A rival's: no attribute says how wide its output is."""

    def __init__(self, in_dims: dict[str, int]) -> None:
        super().__init__(in_dims)
        del self.out_dim


class RunningMean(Mean):
    """Remembers, and counts padding in."""

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        return {"sum": torch.zeros(batch, 6)}

    def forward(self, feats: Any, present: Tensor, valid: Any = None, state: Any = None) -> Any:
        fused, _, trace = super().forward(feats, present)
        total = (state or self.init_state(len(fused)))["sum"][:, None] + (fused + 1).cumsum(1)
        return total, {"sum": total[:, -1]}, trace


class Crowd(Mean):
    """Weights by how often a modality is present in the whole batch."""

    def share(self, present: Tensor) -> Tensor:
        return super().share(present) * present.float().mean((0, 1))


FUSIONS = [
    (Crowd, "rows", "other content in row 1 changes `fused` in rows 0, 2 and 3"),
    (Multiplies, "absent", "NaN in absent content changes `fused`"),
    (Trusts, "absent", "the gradient reaches absent content of 'face'"),
    (Zeros, "empty", "is fixed, no parameter moves it"),
    (OnlyFirst, "reads-all", "the content of 'voice' changes nothing"),
    (OnlyFirst, "learns", "no answer depends on `layers.voice.weight`, `layers.ecg.weight`"),
    (Sorted, "shapes", "names is ('ecg', 'face', 'voice'), given were ('face', 'voice', 'ecg')"),
    (OverTime, "steps", "step by step, with its state handed on, `fused` differs"),
    (Narrow, "shapes", "`trace.gate` has 1 columns for 3 modalities"),
    (Nameless, "shapes", "no attribute 'out_dim'"),
    (RunningMean, "padding", "padding after the end changes `state.sum`"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), FUSIONS, ids=named)
def test_broken_fusions(cls: type, rule: str, sentence: str) -> None:
    found = findings("fusion", cls, rule)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_fusion_passes() -> None:
    assert findings("fusion", Mean, exports=True) == []


def test_every_rule_of_fusions_has_rejected_a_part() -> None:
    assert unproven([("fusion", rule) for _, rule, _ in FUSIONS], "fusion") == []
