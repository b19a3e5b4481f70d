"""A fusion and a temporal head of one's own, composed, trained and streamed in Python: docs/python.md."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fusekit.contracts import Encoder, Fusion, State, Tail, Temporal, Trace
from fusekit.engine.losses import CCCLoss
from fusekit.nn.heads import LinearHead
from fusekit.nn.model import Branch, Model
from fusekit.nn.projectors import LinearProjector
from fusekit.nn.quadrants import NoQuadrant


class PrecisionFusion(Fusion):
    """`{m: (B, T, D_m)}` -> `(B, T, dim)`: each modality says a value and how sure it is of it.

    A product of Gaussians of values v_m and precisions p_m with a prior of precision 1 around a learned
    vector v_0: (v_0 + sum p_m v_m) / (1 + sum p_m). What is absent has precision 0.
    """

    def __init__(self, in_dims: Mapping[str, int], *, dim: int = 32) -> None:
        super().__init__()
        self.names, self.out_dim = tuple(in_dims), dim
        self.value = nn.ModuleDict({m: nn.Linear(width, dim) for m, width in in_dims.items()})
        self.precision = nn.ModuleDict({m: nn.Linear(width, 1) for m, width in in_dims.items()})
        self.prior = nn.Parameter(torch.zeros(dim))

    def forward(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`{m: (B, T, D_m)}`, `present (B, T, M)` -> `(B, T, dim)`, {}, `{"gate": (B, T, M)}`."""
        total, precisions = self.prior, []
        for i, m in enumerate(self.names):
            there = present[..., i, None]
            x = feats[m].masked_fill(~there, 0)  # a fill, not a product: 0 x NaN is NaN
            sure = nn.functional.softplus(self.precision[m](x)) * there
            total = total + sure * self.value[m](x)
            precisions.append(sure)
        sure = torch.cat(precisions, dim=-1)
        whole = sure.sum(dim=-1, keepdim=True)
        return total / (1 + whole), {}, {"gate": sure / whole.clamp(min=1e-6)}


class LeakyMemory(Temporal):
    """`(B, T, D)` -> `(B, T, dim)`: leaky integrators h <- a h + (1 - a) tanh(W x), each with its own a."""

    def __init__(self, in_dim: int, *, dim: int = 16) -> None:
        super().__init__()
        self.out_dim = dim
        self.drive = nn.Linear(in_dim, dim)
        self.leak = nn.Parameter(torch.linspace(-3, 3, dim))  # a = sigmoid(leak): from quick to slow

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        return {"h": torch.zeros(batch, self.out_dim, device=device, dtype=dtype)}

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`(B, T, D)`, `valid (B, T)` -> `(B, T, dim)`, state `h (B, dim)`, {}."""
        if state is None:
            state = self.init_state(len(x), x.device, x.dtype)
        h, keep = state["h"], self.leak.sigmoid()
        driven = self.drive(x.masked_fill(~valid[..., None], 0)).tanh()
        summary = []
        for t in range(x.shape[1]):
            h = torch.where(valid[:, t, None], keep * h + (1 - keep) * driven[:, t], h)
            summary.append(h)
        return torch.stack(summary, dim=1), {"h": h}, {}


class Dense(Encoder):
    """`(N, D)` -> `(N, width)`."""

    def __init__(self, raw_shape: tuple[int, ...], *, width: int = 16) -> None:
        super().__init__()
        self.out_shape = (width,)
        self.layer = nn.Linear(raw_shape[0], width)

    def encode(self, x: Tensor) -> Tensor:
        return self.layer(x).relu()


def compose(raw_shapes: Mapping[str, tuple[int, ...]]) -> Model:
    """Branches and tail; every width comes from the part before."""
    branches = {}
    for name, shape in raw_shapes.items():
        encoder = Dense(shape)
        quadrant = NoQuadrant(shape, encoder.out_shape)
        projector = LinearProjector(encoder.out_shape, quadrant.conditioning, dim=16)
        branches[name] = Branch(encoder, quadrant, projector)
    fusion = PrecisionFusion({name: branch.projector.out_dim for name, branch in branches.items()})
    temporal = LeakyMemory(fusion.out_dim)
    return Model(branches, Tail(fusion, temporal, LinearHead(temporal.out_dim, 2)))


SHAPES = {"pulse": (6,), "skin": (4,)}


def synthetic(batch: int, steps: int, seed: int) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """Inputs `{m: (B, T, D)}`, `present (B, T, M)`, `valid (B, T)`, target `(B, T, 2)`, drawn from a seed."""
    g = torch.Generator().manual_seed(seed)
    target = (torch.randn(batch, steps, 2, generator=g) / 2).cumsum(dim=1).tanh()
    present = torch.rand(batch, steps, len(SHAPES), generator=g) < 0.8
    lengths = torch.randint(steps // 2, steps + 1, (batch, 1), generator=g)
    inputs = {}
    for i, (name, (width,)) in enumerate(SHAPES.items()):
        mixing = torch.randn(2, width, generator=torch.Generator().manual_seed(i))
        x = target @ mixing + torch.randn(batch, steps, width, generator=g) / 2
        inputs[name] = x.masked_fill(~present[..., i, None], torch.nan)  # what a sensor says while off
    return inputs, present, torch.arange(steps) < lengths, target


def run(
    model: Model, inputs: Mapping[str, Tensor], present: Tensor, valid: Tensor, state: State | None = None
) -> tuple[Tensor, State, Trace]:
    """Windows -> prediction `(B, T, 2)`, state, trace."""
    return model.predict(model.latents(inputs, present), present, valid, state)


def train(model: Model, updates: int = 150) -> None:
    """Adam on new windows at every update; padded steps have no part in the loss."""
    loss, optimizer = CCCLoss(), torch.optim.Adam(model.parameters(), lr=1e-2)
    for update in range(updates):
        inputs, present, valid, target = synthetic(16, 12, seed=update)
        prediction, _, _ = run(model, inputs, present, valid)
        known = torch.ones_like(target[valid], dtype=torch.bool)
        error = loss(prediction[valid], target[valid], known)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()


@torch.no_grad()
def ccc(model: Model) -> float:
    """Mean concordance on windows that no training saw."""
    inputs, present, valid, target = synthetic(64, 12, seed=10_000)
    prediction, _, _ = run(model, inputs, present, valid)
    known = torch.ones_like(target[valid], dtype=torch.bool)
    return 1 - CCCLoss()(prediction[valid], target[valid], known).item()


@torch.no_grad()
def stream(model: Model, inputs: Mapping[str, Tensor], present: Tensor) -> Iterator[Tensor]:
    """One step `(B, 2)` after the other, as they arrive; the state is all that is kept."""
    state = None
    for t in range(present.shape[1]):
        here = present[:, t : t + 1]
        now = {name: x[:, t : t + 1] for name, x in inputs.items()}
        prediction, state, _ = run(model, now, here, torch.ones_like(here[..., 0]), state)
        yield prediction[:, 0]


def main() -> None:
    torch.manual_seed(0)
    model = compose(SHAPES)
    before = ccc(model)
    train(model)
    print(f"CCC on unseen windows: {before:.2f} before training, {ccc(model):.2f} after")


if __name__ == "__main__":
    main()
