"""A plugin file of parts that train, and then go wrong late or in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusekit.contracts import Degradation, Encoder, Fusion, Latent, QuadrantHead, State, Temporal, Trace
from fusekit.hookspecs import Register, hookimpl

PARTS = {
    "fusion": {"stateful": "Stateful", "mixing": "Mixing", "peeking": "Peeking", "narrow": "Narrow"},
    "head": {"narrow": "NarrowHead", "dividing": "Dividing", "averaging": "Averaging"},
    "temporal": {"forgetful": "Forgetful", "drawn": "DrawnSteps", "unmasked": "Unmasked"},
    "encoder": {
        "drawn": "Drawn",
        "counting": "Counting",
        "told": "Told",
        "askew": "Askew",
        "hidden": "Hidden",
    },
    "quadrant": {"boastful": "Boastful", "by-name": "ByProperty"},
    "degradation": {"wide": "Wide"},
}


@hookimpl
def register_components(register: Register) -> None:
    for kind, named in PARTS.items():
        for name, cls in named.items():
            register(kind, f"odd-{name}", f"{__name__}:{cls}", "goes wrong")


class Mean(Fusion):
    """The mean of what is present, of equally wide modalities."""

    def __init__(self, in_dims: Mapping[str, int]) -> None:
        super().__init__()
        self.names, self.out_dim = tuple(in_dims), next(iter(in_dims.values()))
        self.linear = nn.Linear(self.out_dim, self.out_dim)

    def mean(self, feats: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = torch.stack([feats[m] for m in self.names], dim=2).masked_fill(~present[..., None], 0.0)
        return self.linear(x.sum(2) / present.sum(2, keepdim=True).clamp(min=1))

    def forward(
        self, feats: Mapping[str, Tensor], present: Tensor, valid: Any = None, state: Any = None
    ) -> tuple[Tensor, State, Trace]:
        return self.mean(feats, present), {}, {}


class Narrow(Mean):
    """As it should be: as wide as one modality, which the solo tail is not."""


class Stateful(Mean):
    """A running mean that the model never hands back."""

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        return {"mean": torch.zeros(batch, self.out_dim, device=device, dtype=dtype)}

    def forward(
        self, feats: Mapping[str, Tensor], present: Tensor, valid: Any = None, state: Any = None
    ) -> tuple[Tensor, State, Trace]:
        fused = self.mean(feats, present)
        return fused, {"mean": fused.mean(1)}, {}


class Mixing(Mean):
    """Looks across the steps of whatever window it gets."""

    def forward(
        self, feats: Mapping[str, Tensor], present: Tensor, valid: Any = None, state: Any = None
    ) -> tuple[Tensor, State, Trace]:
        fused = self.mean(feats, present)
        return fused + fused.mean(1, keepdim=True), {}, {}


class Peeking(Mean):
    """Reads what is said to be absent."""

    def forward(
        self, feats: Mapping[str, Tensor], present: Tensor, valid: Any = None, state: Any = None
    ) -> tuple[Tensor, State, Trace]:
        return self.mean(feats, torch.ones_like(present)), {}, {}


class NarrowHead(nn.Linear):
    """Fits the width of `Narrow` alone."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(8, out_dim)


class Dividing(nn.Module):
    """Scales every half of the columns by its own spread, which padded columns do not have."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        halves = x.unflatten(-1, (2, -1))
        return self.linear((halves / halves.square().mean(-1, keepdim=True).sqrt()).flatten(-2))


class Averaging(nn.Linear):
    """Means over the steps of a window; at evaluation there is one step."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(-2, keepdim=True) if x.dim() == 3 else x)


class Forgetful(Temporal):
    """A sum over time that begins anew whenever it is called."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> tuple[Any, ...]:
        return x.masked_fill(~valid[..., None], 0.0).cumsum(1), {}, {}


class Unmasked(Temporal):
    """Reads padding as if it were steps; all at once, as it says."""

    causal = False

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> tuple[Any, ...]:
        return x + x.sum(1, keepdim=True), {}, {}


class DrawnSteps(Temporal):
    """A random projection that is not among its weights."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim, self.projection = in_dim, torch.randn(in_dim, in_dim)

    def forward(self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None) -> tuple[Any, ...]:
        return x @ self.projection.to(x.device), {}, {}


class Told(Encoder):
    """As it should be: what it holds beside its weights is computed."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.out_shape = (6,)
        self.linear = nn.Linear(int(np.prod(raw_shape)), 6)
        self.scale = torch.linspace(0.5, 1, 6)

    def encode(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) * self.scale.to(x.device)


class Drawn(Told):
    """A plain attribute drawn at random."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__(raw_shape)
        self.scale = torch.rand(6)


class Counting(Told):
    """A plain attribute that changes as it is trained."""

    def encode(self, x: Tensor) -> Tensor:
        if self.training and not x.is_meta:
            self.scale = self.scale * 0.9
        return super().encode(x)


class Hidden(Told):
    """Layers in a list: torch does not know of them, so they neither learn nor are kept."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__(raw_shape)
        self.more = [nn.Linear(6, 6)]

    def encode(self, x: Tensor) -> Tensor:
        return self.more[0](super().encode(x))


class Askew(Told):
    """Another width than it declares."""

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x)[:, :5]


class Boastful(QuadrantHead):
    """A critic by another name than fusekit's."""

    critic = True

    def __init__(
        self, raw_shape: tuple[int, ...], latent_shape: tuple[int, ...], *, conditioning: str = "vector"
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        self.linear = nn.Linear(int(np.prod(latent_shape)), 3)

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        quadrant = self.linear(z.flatten(1)).detach().argmax(1)
        return Latent(z=z, quadrant=quadrant)


class ByProperty(Boastful):
    """A critic whose being one is decided when it is made."""

    critic = property(lambda self: True)  # type: ignore[assignment]


class Wide(Degradation):
    """Damage of another shape than its input."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return torch.cat([x, x], dim=-1)
