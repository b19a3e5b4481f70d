"""Parts that keep every rule of their kind; the broken ones beside them derive from these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fusekit.contracts import (
    DenoisingEncoder,
    Fusion,
    Latent,
    Loss,
    Projector,
    QuadrantHead,
    State,
    Temporal,
)


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
        low_v, low_a = (affect.detach() < 0).unbind(1)
        return torch.where(low_a, torch.where(low_v, 2, 3), torch.where(low_v, 1, 0))


class Layer(Projector):
    """`(N, 8, 4, 4)` and its quadrant -> `(N, 5)`; keeps every rule."""

    def __init__(self, latent_shape: tuple[int, ...], conditioning: str) -> None:
        super().__init__()
        self.out_dim, self.uses = 5, conditioning != "none"
        self.out = nn.Linear(128 + self.uses, 5)

    def forward(self, latent: Latent) -> Tensor:
        z = latent.z.flatten(1)
        return self.out(torch.cat([z, latent.quadrant[:, None].to(z)], 1) if self.uses else z)  # type: ignore[index]


class Linear(nn.Module):
    """`(B, T, D)` -> `(B, T, K)`; keeps every rule."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Squared(Loss):
    """Mean squared error of what is known; keeps every rule."""

    def forward(self, prediction: Tensor, target: Tensor, known: Tensor, weight: Any = None) -> Tensor:
        difference = (prediction - target).masked_fill(~known, 0.0)
        w = 1.0 if weight is None else weight.masked_fill(~known, 0.0)
        return (w * difference**2).sum() / known.sum().clamp(min=1)
