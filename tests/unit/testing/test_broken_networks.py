"""Every rule of networks and losses rejects a part that breaks it; rivals' defects are among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from fusekit.contracts import (
    DenoisingEncoder,
    Encoder,
    Fusion,
    Latent,
    Loss,
    Projector,
    QuadrantHead,
    State,
    Temporal,
)
from fusekit.registry import Kind
from fusekit.testing import CHECKS, Case, ConformanceError


def findings(kind: str, cls: type, **case: Any) -> list[tuple[str, str]]:
    return [(f.rule.name, f.seen) for f in CHECKS[Kind(kind)].findings(Case(kind, "part", **case), cls)]


# ---------------------------------------------------------------- temporal heads


class Sound(Temporal):
    """`(B, T, D)` -> `(B, T, 6)`: a GRU over time that keeps every rule."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = 6
        self.cell = nn.GRUCell(in_dim, 6)

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        return {"h": torch.zeros(batch, 6, device=device, dtype=dtype)}

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> Any:
        h, outputs = (state or self.init_state(len(x), x.device, x.dtype))["h"], []
        x = self.blank(x, valid)
        for t in range(x.shape[1]):
            h = self.keep(valid[:, t, None], self.cell(x[:, t], h), h)
            outputs.append(h)
        return torch.stack(outputs, 1), {"h": h}, {}

    def blank(self, x: Tensor, valid: Tensor) -> Tensor:
        return x.masked_fill(~valid[..., None], 0.0)

    def keep(self, valid: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return torch.where(valid, new, old)


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
        filled[valid] = nn.functional.linear(x, torch.eye(x.shape[2], dtype=x.dtype))[valid]
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


TEMPORALS = [
    (BatchAxis, "rows", "its recurrence runs over the batch axis, not over time"),
    (BothWays, "causal", "declared causal, but other content from step 1 on changes steps before it"),
    (PadsGradient, "padding", "NaN in padding changes the gradient of `cell.weight_ih`"),
    (PadsState, "padding", "padding after the end changes `state.h`"),
    (Forgets, "streams", "step by step, with its state handed on, `summary` differs"),
    (Grows, "streams", "a step cannot be exported"),
    (Wider, "shapes", "the output for 5 steps is (4, 5, 6), declared is (4, 5, 7)"),
    (Unlooked, "shapes", "memory is 3, and the trace has no attention"),
    (Dead, "learns", "no answer depends on `spare.weight`, `spare.bias`: nothing is learned"),
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


@pytest.mark.parametrize(("cls", "rule", "sentence"), TEMPORALS, ids=lambda v: getattr(v, "__name__", None))
def test_broken_temporal_heads(cls: type, rule: str, sentence: str) -> None:
    assert any(name == rule and sentence in seen for name, seen in findings("temporal", cls)), findings(
        "temporal", cls
    )


def test_a_sound_temporal_head_passes() -> None:
    assert findings("temporal", Sound, exports=True) == []


def test_what_a_case_declares_is_checked() -> None:
    assert findings("temporal", Branches) == []
    assert [name for name, _ in findings("temporal", Branches, exports=True)] == ["exports"]
    assert findings("temporal", Dead, unused=("spare.*",)) == []
    assert findings("temporal", Float32, bf16=False) == []


# ---------------------------------------------------------------- fusions


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


FUSIONS = [
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


@pytest.mark.parametrize(("cls", "rule", "sentence"), FUSIONS, ids=lambda v: getattr(v, "__name__", None))
def test_broken_fusions(cls: type, rule: str, sentence: str) -> None:
    found = findings("fusion", cls)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_fusion_passes() -> None:
    assert findings("fusion", Mean, exports=True) == []


# ---------------------------------------------------------------- one window at a time


class Plain(DenoisingEncoder):
    """`(N, 3, 16, 16)` -> `(N, 4)` and back; keeps every rule."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.raw, self.out_shape = raw_shape, (4,)
        self.down, self.up = nn.Linear(768, 4), nn.Linear(4, 768)

    def encode(self, x: Tensor) -> Tensor:
        return self.down(x.flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        return self.up(z).tanh().unflatten(1, self.raw)


class BatchStatistics(Plain):
    """Standardises over the batch."""

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x - x.mean(0, keepdim=True))


class Squeezes(Plain):
    """A batch of one loses its axis."""

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x).squeeze()

    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z if z.dim() == 2 else z[None])


class Unbounded(Plain):
    """Reconstructs beyond -1..1."""

    def decode(self, z: Tensor) -> Tensor:
        return self.up(z).unflatten(1, self.raw)


class OtherShape(Plain):
    """Declares another latent."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__(raw_shape)
        self.out_shape = (4, 1, 1)


class TwoFaced(Encoder):
    """`forward` is not `encode`."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.out_shape, self.down = (4,), nn.Linear(768, 4)

    def encode(self, x: Tensor) -> Tensor:
        return self.down(x.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x).relu()


class Refuses(Plain):
    """A traceback instead of a sentence."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        raise KeyError("width")


class Critic(QuadrantHead):
    """Quadrant by sign; keeps every rule."""

    reads: ClassVar[str] = "reconstruction"
    critic: ClassVar[bool] = True

    def __init__(
        self, raw_shape: tuple[int, ...], latent_shape: tuple[int, ...], *, conditioning: str = "channel"
    ) -> None:
        super().__init__()
        self.conditioning, self.out = conditioning, nn.Linear(768, 3)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.out(x.flatten(1))
        return y[:, 0], y[:, 1:]

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        assert x is not None
        score, affect = self.judge(x)
        return Latent(z=z, affect=affect, realness=score, quadrant=self.quadrant(affect))

    def quadrant(self, affect: Tensor) -> Tensor | None:
        return (affect.detach() < 0).long() @ torch.tensor([1, 2])


class FloatQuadrant(Critic):
    """Real numbers, with a gradient."""

    def quadrant(self, affect: Tensor) -> Tensor:
        return affect.sigmoid().sum(1)


class Fifth(Critic):
    """A quadrant that does not exist."""

    def quadrant(self, affect: Tensor) -> Tensor:
        return torch.full((len(affect),), 4)


class Silent(Critic):
    """Promises Q and gives none."""

    def quadrant(self, affect: Tensor) -> None:
        return None


class Layer(Projector):
    """`(N, 8, 4, 4)` and its quadrant -> `(N, 5)`; keeps every rule."""

    def __init__(self, latent_shape: tuple[int, ...], conditioning: str) -> None:
        super().__init__()
        self.out_dim, self.uses = 5, conditioning != "none"
        self.out = nn.Linear(128 + self.uses, 5)

    def forward(self, latent: Latent) -> Tensor:
        z = latent.z.flatten(1)
        return self.out(torch.cat([z, latent.quadrant[:, None].to(z)], 1) if self.uses else z)  # type: ignore[index]


class Unconditioned(Layer):
    """Takes Q and does not use it."""

    def forward(self, latent: Latent) -> Tensor:
        return self.out(nn.functional.pad(latent.z.flatten(1), (0, int(self.uses))))


class Wordless(Layer):
    """Refuses a conditioning without a word."""

    def __init__(self, latent_shape: tuple[int, ...], conditioning: str) -> None:
        super().__init__(latent_shape, conditioning)
        if conditioning == "none":
            raise ValueError


class ByTime(nn.Module):
    """A head that normalises over the steps."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).softmax(1)


class Otherwise(nn.Module):
    """Another function once compiled."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (2.0 if torch.compiler.is_compiling() else 1.0)


ROWS = [
    ("encoder", BatchStatistics, "rows", "other content in row 1 changes `latent` in rows 0, 2 and 3"),
    ("encoder", Squeezes, "rows", "row 0 as a batch of its own"),
    ("encoder", Unbounded, "shapes", "the reconstruction leaves -1..1"),
    ("encoder", OtherShape, "shapes", "the latent is (4, 4), declared is (4, 4, 1, 1)"),
    ("encoder", TwoFaced, "shapes", "`forward` answers otherwise than `encode`"),
    ("encoder", Refuses, "refusal", "it cannot be made: it raised KeyError: 'width'"),
    ("quadrant", FloatQuadrant, "shapes", "quadrant holds torch.float32, not int64"),
    ("quadrant", FloatQuadrant, "shapes", "quadrant carries a gradient"),
    ("quadrant", Fifth, "shapes", "quadrant holds 4; quadrants are 0 to 3"),
    ("quadrant", Silent, "shapes", "conditioning is 'channel', yet it gives no quadrant"),
    ("projector", Unconditioned, "shapes", "conditioning channel: the quadrant changes nothing"),
    ("projector", Wordless, "shapes", "it raised ValueError"),
    ("head", ByTime, "shapes", "other content at step 2 changes step 0"),
]


@pytest.mark.parametrize(
    ("kind", "cls", "rule", "sentence"), ROWS, ids=lambda v: getattr(v, "__name__", None) or None
)
def test_broken_parts_of_one_window(kind: str, cls: type, rule: str, sentence: str) -> None:
    found = findings(kind, cls)
    assert any(name == rule and sentence in seen for name, seen in found), found


@pytest.mark.parametrize(("kind", "cls"), [("encoder", Plain), ("quadrant", Critic), ("projector", Layer)])
def test_sound_parts_of_one_window_pass(kind: str, cls: type) -> None:
    assert findings(kind, cls) == []


@pytest.mark.slow
def test_what_compiles_is_compared() -> None:
    assert findings("head", Otherwise) == []
    assert findings("head", Otherwise, compiles=True) == [("compiles", "compiled, it answers otherwise")]


# ---------------------------------------------------------------- losses


class Squared(Loss):
    """Mean squared error of what is known; keeps every rule."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        difference = (prediction - target).masked_fill(~known, 0.0)
        w = 1.0 if weight is None else weight.masked_fill(~known, 0.0)
        return (w * difference**2).sum() / known.sum().clamp(min=1)


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


LOSSES = [
    (RivalCCC, "perfect", "a perfect prediction costs 0.5 at n = 2, 0.2 at n = 5, 0.02 at n = 50"),
    (RivalCCC, "unknown", "NaN in place of unknown entries changes the value"),
    (RivalCCC, "degenerate", "a single sample: the value is nan"),
    (LeavesMask, "unknown", "NaN in place of unknown entries changes the value"),
    (NoMask, "unknown", "50 in place of unknown entries changes the value"),
    (PerDimension, "scalar", "it is (2,), not a scalar"),
    (Neighbours, "order", "the same samples in another order cost"),
    (Root, "correlates", "correlates is False, but a batch costs"),
    (Root, "degenerate", "a perfect prediction: the gradient is not finite"),
    (Uphill, "learns", "steps against its gradient cost"),
    (Upward, "perfect", "a prediction off by 0.2 costs"),
    (Shrinks, "perfect", "a perfect prediction costs"),
    (Detached, "scalar", "its gradient with respect to the prediction is 0"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), LOSSES, ids=lambda v: getattr(v, "__name__", None))
def test_broken_losses(cls: type, rule: str, sentence: str) -> None:
    found = findings("loss", cls)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_a_sound_loss_passes() -> None:
    assert findings("loss", Squared) == []


def test_one_error_lists_every_finding() -> None:
    with pytest.raises(ConformanceError) as caught:
        CHECKS[Kind.LOSS](Case("loss", "rival-ccc"), RivalCCC)
    text = str(caught.value)
    assert text.startswith("loss-rival-ccc breaks ")
    assert text.count("\n  - ") == len(caught.value.findings) >= 4
    assert {"perfect", "unknown", "degenerate"} <= {f.rule.name for f in caught.value.findings}
    assert "(docs/design.md, Where the networks leave the authors' code)" in text
