"""Bases and values of the networks: encoder, quadrant head, projector, fusion, temporal head, loss.

Shapes: B batch, T steps, M modalities, K target dimensions, N = B*T rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

State = Mapping[str, Tensor]
"""Carried state of a causal part: leaves `(B, ...)` of fixed shape, so that one step exports."""

Trace = dict[str, Tensor]
"""What a part shows of itself: `gate (B, T, M)`, `attention (B, T, memory)` (newest last, 0 where unused)."""


@dataclass
class Latent:
    """What an encoder and its quadrant head know of N rows; exactly what the latent cache stores.

    Attributes:
        z: `(N, D)` or `(N, C, H, W)`.
        affect: `(N, 2)` coarse valence, arousal on the scale -1..1, or None.
        logits: `(N, 4)` quadrant logits, or None.
        realness: `(N,)` critic score, or None.
        quadrant: `(N,)` int64 without gradient, 0 V+ A+, 1 V- A+, 2 V- A-, 3 V+ A-, or None.
    """

    z: Tensor
    affect: Tensor | None = None
    logits: Tensor | None = None
    realness: Tensor | None = None
    quadrant: Tensor | None = None


class Encoder(nn.Module):
    """`__init__(raw_shape, *, ...)`. Window `(N, *raw)` float -> latent.

    Attributes:
        out_shape: shape of one latent, `(D,)` or `(C, H, W)`.
        trained: True if it comes with weights learned elsewhere, so that a stage may freeze it at once.
    """

    out_shape: tuple[int, ...]
    trained: bool = False

    def encode(self, x: Tensor) -> Tensor:
        """`(N, *raw)` -> `(N, *out_shape)`."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x)


class DenoisingEncoder(Encoder):
    """An encoder that also decodes, so that it can be trained to undo damage."""

    def decode(self, z: Tensor) -> Tensor:
        """`(N, *out_shape)` -> `(N, *raw)` in -1..1."""
        raise NotImplementedError


class QuadrantHead(nn.Module):
    """Coarse first step: the circumplex quadrant. `__init__(raw_shape, latent_shape, *, conditioning=...)`.

    Attributes:
        reads: "latent" or "reconstruction" (then the builder decodes first).
        critic: True if `judge` scores real against fake, for the adversarial objective.
        conditioning: how the projector uses Q: "channel", "vector" or "none" (spec 1.4).
    """

    reads: ClassVar[str] = "latent"
    critic: ClassVar[bool] = False
    conditioning: str

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        """Reconstruction `(N, *raw)` (None if it reads the latent), latent -> Latent, same z, `quadrant`."""
        raise NotImplementedError


class Projector(nn.Module):
    """`__init__(latent_shape, conditioning, *, ...)`. Latent (with its quadrant) -> `(N, out_dim)`."""

    out_dim: int

    def forward(self, latent: Latent) -> Tensor:
        raise NotImplementedError


class Fusion(nn.Module):
    """`__init__(in_dims: dict[str, int], *, ...)`. Features of named modalities -> one vector per step.

    Attributes:
        out_dim: width of the fused features.
        names: modalities in the recipe's order; `present[..., i]` belongs to `names[i]`.
    """

    out_dim: int
    names: tuple[str, ...]

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        """Zero state for `batch` rows; empty for a fusion without memory."""
        return {}

    def forward(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`{m: (B, T, D_m)}`, `present (B, T, M)` -> `(B, T, out_dim)`, state, trace (`gate (B, T, M)`)."""
        raise NotImplementedError


class Temporal(nn.Module):
    """`__init__(in_dim, *, ...)`. `(B, T, D)` -> `(B, T, out_dim)`, state explicit in and out.

    Attributes:
        memory: how many past states one output looks at through attention (0: none).
        causal: False if an output depends on later steps; such a head cannot stream.
    """

    out_dim: int
    memory: int = 0
    causal: ClassVar[bool] = True

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        """State at the start of a stream."""
        return {}

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`(B, T, D)`, `valid (B, T)` -> `(B, T, out_dim)`, new state, trace.

        Invalid steps leave the state alone.
        """
        raise NotImplementedError


class Loss(nn.Module):
    """`__init__(*, ...)`. Named function of prediction, target and mask; smaller is better.

    `correlates`: True if it is no mean over samples, as correlations are none. (With several devices every
    loss is given the samples of them all.)
    """

    correlates: ClassVar[bool] = False

    def forward(
        self, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """`(N, K)`, `(N, K)`, `(N, K)` bool, `(N, K)` weights of mean 1 (None: 1) -> scalar."""
        raise NotImplementedError


@dataclass
class Tail:
    """What follows the projectors: fusion, temporal head, head. Shared, or one per modality in stage 1."""

    fusion: Fusion
    temporal: Temporal
    head: nn.Module
