"""Every rule of fusions rejects a part that breaks it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from broken_parts import findings, named, unproven
from sound_parts import Mean
from torch import Tensor

from fusekit.contracts import (
    State,
)


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


class AllOrNothing(Mean):
    """0 / 0 where nothing is present in the whole batch."""

    def share(self, present: Tensor) -> Tensor:
        return super().share(present) * (present.sum() / present.sum())


class Loud(Mean):
    """A gate that adds up to the number of modalities."""

    def forward(self, *args: Any, **named: Any) -> Any:
        fused, state, trace = super().forward(*args, **named)
        return fused, state, {"gate": trace["gate"] * len(self.names)}


class Ghost(Mean):
    """Shows a share for who is absent."""

    def forward(self, feats: Any, present: Tensor, valid: Any = None, state: Any = None) -> Any:
        fused, state, _ = super().forward(feats, present, valid, state)
        return fused, state, {"gate": torch.full(present.shape, 1 / present.shape[-1])}


class ByHand(Mean):
    """Knows one modality by its name."""

    def seen(self, name: str, x: Tensor, there: Tensor) -> Tensor:
        return super().seen(name, x, there) * (2.0 if name == "voice" else 1.0)


class InOrder(Mean):
    """Takes the features as they come."""

    def forward(self, feats: Any, present: Tensor, valid: Any = None, state: Any = None) -> Any:
        feats = dict(zip(self.names, (x[..., :3] for x in feats.values()), strict=True))
        return super().forward(feats, present, valid, state)

    def __init__(self, in_dims: dict[str, int]) -> None:
        super().__init__(dict.fromkeys(in_dims, 3))


class DropsInPlace(Mean):
    """Drops modalities while it trains, in the mask that others read too."""

    def forward(self, feats: Any, present: Tensor, valid: Any = None, state: Any = None) -> Any:
        if self.training:
            present[1::2, :, 0] = False
        return super().forward(feats, present, valid, state)


class Quiet(Mean):
    """Multiplies while it trains, and is careful else."""

    def seen(self, name: str, x: Tensor, there: Tensor) -> Tensor:
        return self.layers[name](x) * there if self.training else super().seen(name, x, there)


FUSIONS = [
    (AllOrNothing, "all-absent", "a batch with nothing present: `trace.gate`"),
    (Loud, "gate", "it holds 0 to 3"),
    (Ghost, "gate", "a modality that is absent has a share of up to 0.333"),
    (ByHand, "names", "modalities called m0, m1, m2 are fused otherwise than face, voice, ecg"),
    (InOrder, "names", "are fused otherwise"),
    (RunningMean, "stateless", "it has the state `sum`, which the model does not hand on"),
    (DropsInPlace, "repeats", "in training mode: it changes its input `present` in place"),
    (Quiet, "absent", "in training mode: NaN in absent content changes `fused`"),
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
