"""Rules of every network on memory, devices and surroundings: each rejects a part that breaks it."""

from __future__ import annotations

import os
import random
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from broken_parts import MEMORY, findings, named
from sound_parts import Layer, Linear, Mean, Plain, Sound
from torch import Tensor, nn

from fusekit.contracts import Latent


class FirstBatch(Plain):
    """Centres by the mean of the first batch that it ever saw."""

    mean: Any = None

    def encode(self, x: Tensor) -> Tensor:
        self.mean = x.detach().mean() if self.mean is None else self.mean
        return super().encode(x - self.mean)


class RunsOn(Plain):
    """A running mean that moves in eval mode too."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__(raw_shape)
        self.register_buffer("mean", torch.zeros(()))

    def encode(self, x: Tensor) -> Tensor:
        y = super().encode(x - self.mean)
        self.mean.mul_(0.9).add_(0.1 * x.detach().mean())
        return y


class Warms(Linear):
    """Warms up over its first hundred calls."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * min(1.0, self.calls / 100)


class Remembers(Sound):
    """Carries its state by itself, from call to call."""

    last: Any = None

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> Any:
        if state is None and self.last is not None and len(self.last) == len(x):
            state = {"h": self.last}
        found = super().forward(x, valid, context, state)
        self.last = found[1]["h"].detach()
        return found


class Shows(Mean):
    """Keeps its gate to look at."""

    def forward(self, *args: Any, **named: Any) -> Any:
        found = super().forward(*args, **named)
        self.gate = found[2]["gate"]
        return found


class Logs(Linear):
    """A number of each call in a list."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(float(x.mean()))
        return super().forward(x)


KEPT: list[Tensor] = []


class Drops(Linear):
    """Drops its output into a list of the module's."""

    def forward(self, x: Tensor) -> Tensor:
        KEPT.append(super().forward(x))
        return KEPT[-1]


class Late(Linear):
    """Makes a layer when it is first called: no optimiser knows of it."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "more"):
            self.more = nn.Linear(x.shape[-1], x.shape[-1])
        return super().forward(self.more(x))


class Scaled(Linear):
    """A plain tensor beside the weights, drawn when it is made."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.scale = torch.rand(in_dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.scale.to(x))


class Positions(Linear):
    """A drawn buffer that is not saved."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.register_buffer("scale", torch.rand(in_dim), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.scale)


class Measures(Linear):
    """Looks at its weights when it is made."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.gain = float(self.layer.weight.detach().norm())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.gain


class OnCPU(Layer):
    """Makes a tensor on the way and does not say where."""

    def forward(self, latent: Latent) -> Tensor:
        return super().forward(latent) * torch.linspace(0.5, 1.5, self.out_dim)


class Prints(Linear):
    """Tells what it reads."""

    def forward(self, x: Tensor) -> Tensor:
        print("shape", tuple(x.shape))  # noqa: T201 - what it does wrong
        return super().forward(x)


class Seeds(Linear):
    """The same weights each time, and the same draws for everybody after it."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        torch.manual_seed(0)
        super().__init__(in_dim, out_dim)


class SeedsAll(Linear):
    """As a script would."""

    def forward(self, x: Tensor) -> Tensor:
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002 - what it does wrong
        return super().forward(x)


class Doubles(Linear):
    """Sets the whole process to float64."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        torch.set_default_dtype(torch.float64)


class NoGradient(Linear):
    """Turns gradients off, and not on again."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            torch.set_grad_enabled(False)
        return super().forward(x)


class Moves(Linear):
    """Goes elsewhere."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        os.chdir("/")


class Widens(Linear):
    """A default that all share, and that grows."""

    def __init__(self, in_dim: int, out_dim: int, *, widths: list[int] = [4]) -> None:  # noqa: B006
        super().__init__(in_dim, out_dim)
        widths.append(out_dim)


class Word(Linear):
    """A default that its annotation forbids."""

    def __init__(self, in_dim: int, out_dim: int, *, width: str = 4) -> None:  # type: ignore[assignment]
        super().__init__(in_dim, out_dim)


class Common(Linear):
    """One layer for all."""

    kept: ClassVar[dict[int, nn.Module]] = {}

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.layer = self.kept.setdefault(in_dim, self.layer)  # type: ignore[assignment]


class Numpy(Linear):
    """Noise of numpy's generator while it trains: a resumed run draws other noise."""

    def forward(self, x: Tensor) -> Tensor:
        noise = np.random.default_rng().normal(size=x.shape) if self.training else np.zeros(x.shape)
        return super().forward(x + torch.from_numpy(noise).to(x))


class Centres(Plain):
    """Less the batch's mean, while it trains."""

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x - x.mean(0) if self.training else x)


class TenRows(Plain):
    """Ten rows at a time, and forgets the rest."""

    def encode(self, x: Tensor) -> Tensor:
        y = super().encode(x)
        return torch.cat([y[:10], y[10:] * 0 + y[:1].detach()])


class Faint(Plain):
    """Answers so small that a fixed tolerance sees nothing, and mixes rows."""

    def encode(self, x: Tensor) -> Tensor:
        return 1e-6 * super().encode(x - x.mean(0))


class Frozen(Plain):
    """Says that nothing of it is to be learned."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__(raw_shape)
        self.down.requires_grad_(False)


class Untrained(Plain):
    """Says that its weights come from elsewhere, and draws them."""

    trained = True


class SkipsAcross(Plain):
    """Keeps for `decode` what `encode` saw, as a U-Net would."""

    def encode(self, x: Tensor) -> Tensor:
        self.skip = x
        return super().encode(x)

    def decode(self, z: Tensor) -> Tensor:
        return (super().decode(z) + self.skip).clamp(-1, 1)


BROKEN = [
    ("encoder", Frozen, "learns", "`down.weight`, `down.bias` is frozen"),
    ("encoder", Untrained, "learns", "it says that it is `trained`, but its weights are drawn"),
    ("encoder", SkipsAcross, "keeps-nothing", "it keeps tensors of its last call in `skip`"),
    ("encoder", FirstBatch, "keeps-nothing", "it keeps tensors of its last call in `mean`"),
    ("encoder", RunsOn, "history", "calls in eval mode change its `mean`"),
    ("head", Warms, "history", "in eval mode, after calls on other data, `prediction` differs"),
    ("temporal", Remembers, "history", "after calls on other data, `summary`, `state.h` differs"),
    ("temporal", Remembers, "keeps-nothing", "it keeps tensors of its last call in `last`"),
    ("fusion", Shows, "keeps-nothing", "it keeps tensors of its last call in `gate`"),
    ("head", Logs, "keeps-nothing", "`seen` grows with every call: 1, 2, 3"),
    ("head", Drops, "keeps-nothing", "something outside it keeps the tensors of its last call"),
    ("head", Late, "keeps-nothing", "calling it changes which tensors its state dict holds: `more.bias`"),
    ("head", Scaled, "opens", "`prediction` differs: `scale` is not in its state dict"),
    ("head", Positions, "opens", "`prediction` differs: `scale` is not in its state dict"),
    ("head", Measures, "opens", "`prediction` differs: `gain` is not in its state dict"),
    ("projector", OnCPU, "device", "on a GPU it meets a tensor that was left on the CPU (line"),
    ("head", Prints, "surroundings", "it prints 'shape (4, 5, 5)'"),
    ("head", Seeds, "surroundings", "it seeds torch's generator"),
    ("head", SeedsAll, "surroundings", "it seeds random's generator"),
    ("head", SeedsAll, "surroundings", "it seeds numpy's generator"),
    ("head", Doubles, "surroundings", "it changes torch's default type for the whole process"),
    ("head", NoGradient, "surroundings", "it changes whether torch records gradients"),
    ("head", Moves, "surroundings", "it changes the current folder for the whole process"),
    ("head", Widens, "arguments", "making it changes the default of widths to [4, 2, 2]"),
    ("head", Word, "arguments", "width: its own default 4 does not fit its annotation"),
    ("head", Common, "arguments", "two of them share layer.weight, layer.bias"),
    ("head", Numpy, "repeats", "in training mode: two calls from one seed of torch's generator differ"),
    ("encoder", Centres, "rows", "in training mode: other content in row 1 changes `latent`"),
    ("encoder", TenRows, "rows", "with 12 rows: row 10 as a batch of its own gives `latent`"),
    ("encoder", Faint, "rows", "other content in row 1 changes `latent` in rows 0, 2 and 3"),
]


@pytest.mark.parametrize(("kind", "cls", "rule", "sentence"), BROKEN, ids=named)
def test_parts_that_remember_or_disturb(kind: str, cls: type, rule: str, sentence: str) -> None:
    found = findings(kind, cls, rule)
    assert any(sentence in seen for _, seen in found), found


def test_a_sound_head_passes() -> None:
    assert findings("head", Linear) == []


def test_dropout_and_batch_norm_are_no_finding() -> None:
    class Both(Plain):
        """Dropout, and batch norm, which mixes rows while it trains."""

        def __init__(self, raw_shape: tuple[int, ...]) -> None:
            super().__init__(raw_shape)
            self.norm, self.drop = nn.BatchNorm1d(768), nn.Dropout(0.5)

        def encode(self, x: Tensor) -> Tensor:
            return self.down(nn.functional.dropout(self.drop(self.norm(x.flatten(1))), 0.2, self.training))

    assert findings("encoder", Both) == []


def test_what_it_changed_is_set_back() -> None:
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_every_rule_of_memory_has_rejected_a_part() -> None:
    assert {rule for _, _, rule, _ in BROKEN} >= MEMORY
