"""Every rule of losses rejects a part that breaks it; a rival's loss is among them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from broken_parts import findings, named, unproven
from sound_parts import Squared
from torch import Tensor

from fusekit.contracts import (
    Loss,
)
from fusekit.registry import Kind
from fusekit.testing import CHECKS, Case, ConformanceError

# A variance over n - 1 of one sample: torch warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:var:UserWarning")


class RivalCCC(Loss):
    """A rival's: covariance over n, variances over n - 1, so that a perfect prediction costs 1/n."""

    correlates: ClassVar[bool] = True

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        p, y = prediction, target
        covariance = ((p - p.mean(0)) * (y - y.mean(0))).mean(0)
        return (1 - 2 * covariance / (p.var(0) + y.var(0) + (p.mean(0) - y.mean(0)) ** 2)).mean()


class LeavesMask(Squared):
    """Multiplies by the mask."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        w = 1.0 if weight is None else weight.masked_fill(~known, 0.0)
        return (w * known * (prediction - target) ** 2).sum() / known.sum().clamp(min=1)


class NoMask(Squared):
    """Counts what is not known."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction, target, torch.ones_like(known), weight)


class Unweighted(Squared):
    """Takes weights and leaves them."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction, target, known)


class Overwrites(Squared):
    """Fills the target where it stands."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        target[~known] = 0.0
        return super().forward(prediction, target, known, weight)


class PerDimension(Squared):
    """A vector."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return (prediction - target).masked_fill(~known, 0.0).square().mean(0)


class Neighbours(Squared):
    """Charges differences of neighbours in the batch."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        d = (prediction - target).masked_fill(~known, 0.0)
        return super().forward(prediction, target, known, weight) + (d[1:] * d[:-1]).sum().abs()


class Root(Squared):
    """The root of the mean, which is no mean: devices would train another loss; and its slope at 0."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction, target, known, weight).sqrt()


class Upward(Squared):
    """Larger is better."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return -super().forward(prediction, target, known, weight)


class Uphill(Squared):
    """A gradient of the wrong sign."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        cost = super().forward(prediction, target, known, weight)
        return 2 * cost.detach() - cost


class Shrinks(Squared):
    """Likes predictions that are half as large."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction, target / 2, known, weight)


class Detached(Squared):
    """No gradient."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction.detach() + 0 * prediction.nan_to_num(), target, known, weight)


class TwoDims(Squared):
    """Valence and arousal, and no more."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction[:, :2], target[:, :2], known[:, :2], None)


class ByName(Squared):
    """Takes columns 0 and 1, of which there may be none."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction, target, known, weight) + 0 * prediction[0, 1]


class FiveOnly(Squared):
    """For five dimensions alone, and says so."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        if prediction.shape[1] != 5:
            raise ValueError("this loss takes five dimensions")
        return super().forward(prediction, target, known, weight)


class Summed(Squared):
    """A sum: a larger batch weighs more."""

    correlates: ClassVar[bool] = True

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction, target, known, weight) * known.sum()


class Floored(Squared):
    """Nobody has no weight."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        weight = None if weight is None else weight.clamp(min=0.2)
        return super().forward(prediction, target, known, weight)


class Scaled(Squared):
    """Over the largest error it has met."""

    largest = 0.0

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        worst = float((prediction - target).masked_fill(~known, 0).detach().abs().max())
        self.largest = max(self.largest, worst)
        return super().forward(prediction, target, known, weight) / max(self.largest, 1.0)


class FillsMask(Squared):
    """Works in the mask."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        cost = super().forward(prediction, target, known, weight)
        known[0] = False
        return cost


class Fisher(Squared):
    """The hyperbolic arc tangent, which ends at 1."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        return super().forward(prediction.atanh(), target.atanh(), known, weight)


LOSSES = [
    (TwoDims, "dimensions", "5 dimensions: the prediction of dimension 2 changes nothing in it"),
    (ByName, "dimensions", "1 dimensions: it raised IndexError"),
    (Summed, "weights", "a larger batch weighs more"),
    (Floored, "weights", "samples of weight 0 have a gradient"),
    (Scaled, "leaves-alone", "after other batches the same one costs"),
    (FillsMask, "leaves-alone", "it changes the mask in place"),
    (Fisher, "extremes", "predictions of up to 30: value nan"),
    (RivalCCC, "perfect", "a perfect prediction costs 0.5 at n = 2, 0.2 at n = 5, 0.02 at n = 50"),
    (RivalCCC, "unknown", "NaN in place of unknown entries changes the value"),
    (RivalCCC, "degenerate", "a single sample: the value is nan"),
    (LeavesMask, "unknown", "NaN in place of unknown entries changes the value"),
    (NoMask, "unknown", "50 in place of unknown entries changes the value"),
    (Unweighted, "scalar", "weights from 0 to 2 change nothing"),
    (Overwrites, "unknown", "it changes the target in place"),
    (PerDimension, "scalar", "it is (2,), not a scalar"),
    (Neighbours, "order", "the same samples in another order cost"),
    (Root, "correlates", "correlates is False, but a batch costs"),
    (Root, "degenerate", "a perfect prediction: the gradient is not finite"),
    (Uphill, "learns", "steps against its gradient cost"),
    (Upward, "perfect", "a prediction off by 0.2 costs"),
    (Shrinks, "perfect", "a perfect prediction costs"),
    (Detached, "scalar", "its gradient with respect to the prediction is 0"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), LOSSES, ids=named)
def test_broken_losses(cls: type, rule: str, sentence: str) -> None:
    found = findings("loss", cls, rule)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_loss_passes() -> None:
    assert findings("loss", Squared) == []


def test_a_loss_of_five_dimensions_says_so_in_its_case() -> None:
    assert findings("loss", FiveOnly, out_dim=5) == []
    assert findings("loss", FiveOnly, dims=tuple("abcde")) == []
    assert "`out_dim` or `dims` says how many" in findings("loss", FiveOnly, "dimensions")[0][1]


def test_one_error_lists_every_finding() -> None:
    with pytest.raises(ConformanceError) as caught:
        CHECKS[Kind.LOSS](Case("loss", "rival-ccc"), RivalCCC)
    text = str(caught.value)
    assert text.startswith("loss-rival-ccc breaks ")
    assert text.count("\n  - ") == len(caught.value.findings) >= 4
    assert {"perfect", "unknown", "degenerate"} <= {f.rule.name for f in caught.value.findings}
    assert "(docs/design.md, Where the networks leave the authors' code)" in text


def test_every_rule_of_losses_has_rejected_a_part() -> None:
    assert unproven([("loss", rule) for _, rule, _ in LOSSES], "loss") == []
