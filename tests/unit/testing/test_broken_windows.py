"""Every rule of parts that see one window or step at a time, and of every kind, rejects a part."""

from __future__ import annotations

import pytest
import torch
from broken_parts import findings, named, unproven
from sound_parts import Critic, Layer, Plain
from torch import Tensor, nn

from fusekit.contracts import (
    Encoder,
    Latent,
    QuadrantHead,
)
from fusekit.registry import Kind
from fusekit.testing.kit import FIRST


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


class HalfPrecision(Plain):
    """float16 whatever it reads."""

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x).half()

    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z.float())


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


class FloatQuadrant(Critic):
    """Real numbers, with a gradient."""

    def quadrant(self, affect: Tensor) -> Tensor:
        return affect.sigmoid().sum(1)


class Fifth(Critic):
    """A quadrant that does not exist."""

    def quadrant(self, affect: Tensor) -> Tensor:
        return torch.full((len(affect),), 4)


class Rescales(Critic):
    """Hands on another latent."""

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        return super().forward(x, 2 * z)


class Unteachable(Critic):
    """Judges through numpy: the generator learns nothing from it."""

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().judge(torch.from_numpy(x.detach().numpy()))


class Silent(Critic):
    """Promises Q and gives none."""

    def quadrant(self, affect: Tensor) -> None:
        return None


class Unconditioned(Layer):
    """Takes Q and does not use it."""

    def forward(self, latent: Latent) -> Tensor:
        return self.out(nn.functional.pad(latent.z.flatten(1), (0, int(self.uses))))


class Together(Layer):
    """Uses the sum of the batch's quadrants."""

    def forward(self, latent: Latent) -> Tensor:
        if self.uses and latent.quadrant is not None:
            together = latent.quadrant.sum().expand(len(latent.quadrant)) % 4
            latent = Latent(z=latent.z, quadrant=together)
        return super().forward(latent)


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


class Counting(nn.Module):
    """A head that adds the number of the step: in a stream every step is the first."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.arange(x.shape[1])[:, None]


class Undocumented(Layer):
    def forward(self, latent: Latent) -> Tensor:
        return super().forward(latent)


Undocumented.__doc__ = None


class Stranger:
    """No module at all."""


class Untyped(ByTime):
    """An argument that a recipe may set to anything, and one that nobody gives."""

    def __init__(self, in_dim: int, out_dim: int, depth: int = 1, *, width=3) -> None:  # type: ignore[no-untyped-def]
        super().__init__(in_dim, out_dim)


class Otherwise(nn.Module):
    """Another function once compiled."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (2.0 if torch.compiler.is_compiling() else 1.0)


class OneChannel(Plain):
    """Reads the first channel alone."""

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x[:, :1].expand_as(x))


class Clipped(Plain):
    """Leaves out the last columns."""

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(nn.functional.pad(x[..., :-2], (0, 2)))


class Unlikely(QuadrantHead):
    """The least likely quadrant."""

    def __init__(
        self, raw_shape: tuple[int, ...], latent_shape: tuple[int, ...], *, conditioning: str = "channel"
    ) -> None:
        super().__init__()
        self.conditioning, self.out = conditioning, nn.Linear(128, 4)

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        logits = self.out(z.flatten(1))
        return Latent(z=z, logits=logits, quadrant=logits.argmin(1))


class Softmax(Unlikely):
    """Probabilities where logits are wanted."""

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        p = self.out(z.flatten(1)).softmax(1)
        return Latent(z=z, logits=p, quadrant=p.argmax(1))


class Detaches(Unlikely):
    """Hands on a latent without its gradient."""

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        logits = self.out(z.flatten(1))
        return Latent(z=z.detach(), logits=logits, quadrant=logits.argmax(1))


class TwoTongues(Critic):
    """Judges otherwise than it says."""

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        latent = super().forward(x, z)
        assert latent.affect is not None
        return Latent(z=z, affect=2 * latent.affect, realness=latent.realness, quadrant=latent.quadrant)


class Thirds(Layer):
    """Takes the last two quadrants for one."""

    def forward(self, latent: Latent) -> Tensor:
        q = latent.quadrant
        return super().forward(Latent(z=latent.z, quadrant=None if q is None else q.clamp(max=2)))


class TwoWide(nn.Module):
    """A head of two dimensions, whatever is wanted."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_dim, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


ROWS = [
    ("encoder", OneChannel, "reads-all", "channel 1 of `x` (3, 16, 16) changes no answer"),
    ("encoder", Clipped, "reads-all", "the last 2 of 16 along the last axis of `x` change no answer"),
    ("quadrant", Unlikely, "agrees", "the quadrant is not that of the logits"),
    ("quadrant", Softmax, "agrees", "its logits are probabilities"),
    ("quadrant", Detaches, "agrees", "z comes back detached"),
    ("quadrant", TwoTongues, "agrees", "`judge` gives another affect"),
    ("projector", Thirds, "quadrants", "quadrants 2 and 3 give the same features"),
    ("head", TwoWide, "widths", "the output for 1 dimensions is (4, 5, 2), declared is (4, 5, 1)"),
    ("encoder", BatchStatistics, "rows", "other content in row 1 changes `latent` in rows 0, 2 and 3"),
    ("encoder", Squeezes, "rows", "row 0 as a batch of its own"),
    ("encoder", Unbounded, "shapes", "the reconstruction leaves -1..1"),
    ("encoder", OtherShape, "shapes", "the latent is (4, 4), declared is (4, 4, 1, 1)"),
    ("encoder", HalfPrecision, "shapes", "the latent holds torch.float16, not float32 like its input"),
    ("encoder", TwoFaced, "shapes", "`forward` answers otherwise than `encode`"),
    ("encoder", Refuses, "refusal", "it cannot be made: it raised KeyError: 'width'"),
    ("quadrant", FloatQuadrant, "shapes", "quadrant holds torch.float32, not int64"),
    ("quadrant", FloatQuadrant, "shapes", "quadrant carries a gradient"),
    ("quadrant", Fifth, "shapes", "quadrant holds 4; quadrants are 0 to 3"),
    ("quadrant", Rescales, "shapes", "z is not the encoder's, handed on as it is"),
    ("quadrant", Unteachable, "learns", "no gradient reaches its input `x`"),
    ("quadrant", Silent, "shapes", "conditioning is 'channel', yet it gives no quadrant"),
    ("projector", Unconditioned, "shapes", "conditioning channel: the quadrant changes nothing"),
    ("projector", Together, "rows", "other content in row 1 changes `features` in rows 0, 2 and 3"),
    ("projector", Wordless, "shapes", "it raised ValueError"),
    ("head", ByTime, "shapes", "other content at step 2 changes step 0"),
    ("head", Counting, "shapes", "the same steps in another order are predicted otherwise"),
    ("head", Untyped, "signature", "gives in_dim, out_dim by position, it takes in_dim, out_dim, depth"),
    ("head", Untyped, "signature", "width: without a type, a recipe's value cannot be checked"),
    ("head", Stranger, "class", "Stranger does not derive from torch's Module"),
    ("projector", Undocumented, "docstring", "Undocumented has no docstring of its own"),
]


@pytest.mark.parametrize(("kind", "cls", "rule", "sentence"), ROWS, ids=named)
def test_broken_parts_of_one_window(kind: str, cls: type, rule: str, sentence: str) -> None:
    found = findings(kind, cls, rule)
    assert any(name == rule and sentence in seen for name, seen in found), found


@pytest.mark.parametrize(("kind", "cls"), [("encoder", Plain), ("quadrant", Critic), ("projector", Layer)])
def test_sound_parts_of_one_window_pass(kind: str, cls: type) -> None:
    assert findings(kind, cls) == []


@pytest.mark.slow
def test_what_compiles_is_compared() -> None:
    assert findings("head", Otherwise) == []
    assert findings("head", Otherwise, compiles=True) == [("compiles", "compiled, it answers otherwise")]


def test_every_rule_of_these_kinds_has_rejected_a_part() -> None:
    tried = [(kind, rule) for kind, _, rule, _ in ROWS]
    assert unproven(tried, "encoder", "quadrant", "projector", "head") == []
    assert not set(FIRST) & set(unproven(tried, *Kind))
