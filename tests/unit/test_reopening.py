"""What a run keeps of a network, and whether the network comes back from it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fusekit.contracts import opening, reopened, unsaved, weights_follow


class Positions(nn.Module):
    """As Swin and models with rotary positions: a buffer that is computed, and not kept with the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("steps", torch.arange(3.0), persistent=False)
        self.wave = torch.linspace(0, 1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.wave + self.steps


class Drawn(Positions):
    """Its plain attribute is drawn anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.wave = torch.randn(3)


def test_what_a_constructor_computes_comes_back() -> None:
    first, x = Positions(), torch.randn(4, 3)
    again = reopened(Positions, first.state_dict())
    assert torch.equal(again(x), first(x))
    assert not again.training


def test_what_a_constructor_draws_does_not_and_its_place_is_known() -> None:
    first, x = Drawn(), torch.randn(4, 3)
    assert not torch.equal(reopened(Drawn, first.state_dict())(x), first(x))
    assert set(unsaved(first)) == {"steps", "wave"}


def test_to_open_draws_nothing_from_the_caller_s_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    reopened(Drawn, _state())
    assert torch.equal(torch.rand(2), expected)


def _state() -> dict[str, torch.Tensor]:
    return {"linear.weight": torch.ones(3, 3), "linear.bias": torch.zeros(3)}


def test_weights_follow_while_opening_and_on_the_meta_device_alone() -> None:
    assert not weights_follow()
    with opening():
        assert weights_follow()
    with pytest.raises(ZeroDivisionError), opening():
        1 / 0  # noqa: B018
    assert not weights_follow()
    with torch.device("meta"):
        assert weights_follow()


def test_everything_outside_the_state_dict_is_found() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    first = module[0]
    first.table = {"a": [torch.zeros(2)], "b": (np.ones(2), 0.25)}
    first.holder = SimpleNamespace(inner=torch.ones(1))
    first.mine = [nn.Linear(1, 1)]  # a list: torch registers nothing of it
    first.alias, first.view = first.weight, first.weight.detach()[:1]  # saved with the weight
    first.words, first.back, first.function = ["a", 1, None], SimpleNamespace(), torch.relu
    first.back.again = first.back
    module[1].register_buffer("lazy", None, persistent=False)
    own = {k: v for k, v in unsaved(module).items() if k not in ("1.eps", "1.momentum")}
    assert set(own) == {
        "0.table.a.0",
        "0.table.b.0",
        "0.table.b.1",
        "0.holder.inner",
        "0.mine.0.weight",
        "0.mine.0.bias",
    }
    assert own["0.table.b.1"] == 0.25


def test_on_the_meta_device_weights_are_still_told_from_what_is_not_saved() -> None:
    with torch.device("meta"):
        module = Positions()
        module.alias = [module.linear.weight]
    assert set(unsaved(module)) == {"steps", "wave"}


def test_a_state_that_a_run_cannot_keep_is_told() -> None:
    class Extra(Positions):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 3}

    with pytest.raises(TypeError, match="'_extra_state' in the state dict is no tensor"):
        reopened(Extra, Extra().state_dict())
    with pytest.raises(RuntimeError, match="unknown"):
        reopened(Positions, _state() | {"unknown": torch.ones(1)})
