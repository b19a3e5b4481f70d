"""A plugin file with three toys that no part of fusekit knows: what the contracts must be able to carry.

- a one-dimensional modality: reader, denoising encoder, critic with quadrant
- a late (decision-level) fusion, with a head that leaves decisions alone
- a temporal head that follows each speaker of a dialogue by a state of its own (after DialogueRNN)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fusekit.contracts import (
    DenoisingEncoder,
    Fusion,
    Latent,
    QuadrantHead,
    Reader,
    Source,
    State,
    Stream,
    Temporal,
    Trace,
)
from fusekit.hookspecs import Register, hookimpl


@hookimpl
def register_components(register: Register) -> None:
    register("reader", "toy-series", f"{__name__}:SeriesReader", "stored series, one window per step")
    register("encoder", "toy-series", f"{__name__}:SeriesGenerator", "1-D denoising convolutions")
    register("quadrant", "toy-critic", f"{__name__}:SeriesCritic", "1-D critic with an affect estimate")
    register("fusion", "toy-late", f"{__name__}:LateMean", "mean of each modality's own decision")
    register("head", "toy-as-is", f"{__name__}:AsIs", "decisions are already predictions")
    register("temporal", "toy-speakers", f"{__name__}:Speakers", "one state per speaker")


class SeriesReader(Reader):
    """`(channels, length)` float32 per step, stored as such."""

    medium: ClassVar[str] = "audio"

    def __init__(self, *, channels: int = 2, length: int = 64, step_hz: float = 4.0) -> None:
        self.raw_shape, self.lookahead_s, self.step_hz = (channels, length), 0.0, step_hz

    def settings(self) -> dict[str, Any]:
        return {"raw_shape": list(self.raw_shape)}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.ones(len(times), bool)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return stream["series"][np.rint(times * self.step_hz).astype(int)]


class SeriesGenerator(DenoisingEncoder):
    """`(N, C, L)` -> `(N, width, L/4)` -> `(N, C, L)` in -1..1."""

    def __init__(self, raw_shape: tuple[int, ...], *, width: int = 6) -> None:
        super().__init__()
        channels, length = raw_shape
        self.out_shape = (width, length // 4)
        self.down = nn.Sequential(
            nn.Conv1d(channels, width, 8, 4, 2), nn.GELU(), nn.Conv1d(width, width, 3, 1, 1)
        )
        self.up = nn.Sequential(nn.ConvTranspose1d(width, channels, 8, 4, 2), nn.Tanh())

    def encode(self, x: Tensor) -> Tensor:
        return self.down(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.up(z)


class SeriesCritic(QuadrantHead):
    """`(N, C, L)` -> score, affect, quadrant by sign."""

    reads: ClassVar[str] = "reconstruction"
    critic: ClassVar[bool] = True

    def __init__(
        self, raw_shape: tuple[int, ...], latent_shape: tuple[int, ...], *, conditioning: str = "channel"
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        self.body = nn.Sequential(
            nn.Conv1d(raw_shape[0], 6, 8, 4, 2), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool1d(1)
        )
        self.out = nn.Linear(6, 3)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.out(self.body(x).flatten(1))
        return y[:, 0], y[:, 1:]

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        assert x is not None
        realness, affect = self.judge(x)
        low_v, low_a = (affect.detach() < 0).unbind(1)
        quadrant = torch.where(low_a, torch.where(low_v, 2, 3), torch.where(low_v, 1, 0))
        return Latent(z=z, affect=affect, realness=realness, quadrant=quadrant)


class LateMean(Fusion):
    """`{m: (B, T, D_m)}` -> `(B, T, targets)`: the mean of the decisions of those present."""

    def __init__(self, in_dims: Mapping[str, int], *, targets: int = 2) -> None:
        super().__init__()
        self.names, self.out_dim = tuple(in_dims), targets
        self.decide = nn.ModuleDict({m: nn.Linear(d, targets) for m, d in in_dims.items()})
        self.empty = nn.Parameter(torch.zeros(targets))

    def forward(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        decisions = torch.stack(
            [
                self.decide[m](feats[m].masked_fill(~present[..., i, None], 0.0)).masked_fill(
                    ~present[..., i, None], 0.0
                )
                for i, m in enumerate(self.names)
            ],
            dim=-2,
        )
        count = present.sum(-1, keepdim=True)
        mean = decisions.sum(-2) / count.clamp(min=1)
        return torch.where(count > 0, mean, self.empty.to(mean.dtype)), {}, {"decision": decisions}


class AsIs(nn.Identity):
    """`(B, T, K)` -> the same."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        assert in_dim == out_dim


class Speakers(Temporal):
    """`(B, T, D)`, `context["speaker"] (B, T)` -> `(B, T, dim)`: a GRU state per speaker, and one for the
    dialogue."""

    def __init__(self, in_dim: int, *, dim: int = 5, speakers: int = 3) -> None:
        super().__init__()
        self.out_dim, self.speakers = dim, speakers
        self.dialogue, self.own = nn.GRUCell(in_dim, dim), nn.GRUCell(in_dim + dim, dim)

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        zeros = torch.zeros(batch, self.speakers + 1, self.out_dim, device=device, dtype=dtype)
        return {"all": zeros}  # the last one is the dialogue's

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        if not context or "speaker" not in context:
            raise ValueError("temporal toy-speakers needs context['speaker'] (B, T)")
        speaker = context["speaker"]
        x = x.masked_fill(~valid[..., None], 0.0)  # a NaN in padding would reach the gradients as 0 x NaN
        everyone = (state or self.init_state(len(x), x.device, x.dtype))["all"]
        outputs = []
        for t in range(x.shape[1]):
            at = speaker[:, t, None, None].expand(-1, 1, self.out_dim)
            mine = everyone.gather(1, at)[:, 0]
            dialogue = self.dialogue(x[:, t], everyone[:, -1])
            own = self.own(torch.cat([x[:, t], dialogue], -1), mine)
            after = everyone.scatter(1, at, own[:, None])
            after = torch.cat([after[:, :-1], dialogue[:, None]], 1)
            everyone = torch.where(valid[:, t, None, None], after, everyone)
            outputs.append(own)
        return torch.stack(outputs, 1), {"all": everyone}, {}
