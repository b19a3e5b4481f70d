"""The assembled model: branches (encoder, quadrant head, projector) per modality, one shared tail."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from fusekit.batch import Batch, to_float
from fusekit.contracts import DenoisingEncoder, Encoder, Latent, Projector, QuadrantHead, State, Tail, Trace


class Branch(nn.Module):
    """One modality from raw window to features: `(N, *raw)` -> Latent -> `(N, D)`."""

    def __init__(self, encoder: Encoder, quadrant: QuadrantHead, projector: Projector) -> None:
        super().__init__()
        self.encoder = encoder
        self.quadrant = quadrant
        self.projector = projector

    @property
    def needs_quadrant(self) -> bool:
        """Whether the projector reads Q, so that the quadrant head must run at inference."""
        return self.quadrant.conditioning != "none"

    def latent(self, x: Tensor) -> Latent:
        """`(N, *raw)` float -> Latent; Q (and for it the reconstruction) only where the projector reads it
        (spec 7 no. 9)."""
        z = self.encoder.encode(x)
        if not self.needs_quadrant:
            return Latent(z=z)
        reconstruction = None
        if self.quadrant.reads == "reconstruction":
            assert isinstance(self.encoder, DenoisingEncoder)  # the builder has checked it
            reconstruction = self.encoder.decode(z)
        return self.quadrant(reconstruction, z)


class Model(nn.Module):
    """Branches by modality and their shared tail.

    Attributes:
        names: modalities in the recipe's order, the order of `present`'s last axis.

    `context` goes to the temporal head as it is: named tensors `(B, T, ...)`, or `(T, ...)` of one clip.
    """

    branches: Mapping[str, Branch]

    def __init__(self, branches: Mapping[str, Branch], tail: Tail) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)  # type: ignore[assignment]  # it is one in all but name
        self.fusion, self.temporal, self.head = tail.fusion, tail.temporal, tail.head
        self.names = tuple(branches)

    def latents(self, inputs: Mapping[str, Tensor], present: Tensor) -> dict[str, Latent]:
        """`{m: (B, T, *raw)}`, `present (B, T, M)` -> `{m: Latent}` of N = B*T rows: what stage 2 caches."""
        found = {}
        for i, m in enumerate(self.names):
            x = to_float(rearrange(inputs[m], "b t ... -> (b t) ..."))
            found[m] = self.branches[m].latent(_blank(x, present[..., i]))
        return found

    def features(self, latents: Mapping[str, Latent], shape: tuple[int, int]) -> dict[str, Tensor]:
        """Latents of N = B*T rows -> `{m: (B, T, D_m)}`, `shape` = (B, T)."""
        b, t = shape
        return {
            m: rearrange(self.branches[m].projector(latents[m]), "(b t) d -> b t d", b=b, t=t)
            for m in self.names
        }

    def sequence(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor,
        state: State | None = None,
        context: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """Features -> prediction `(B, T, K)`, state, trace (`gate`, `attention` where parts give them)."""
        fused, _, trace = self.fusion(feats, present, valid)
        y, state, more = self.temporal(fused, valid, context, state)
        return self.head(y), state, {**trace, **more}

    def predict(
        self,
        latents: Mapping[str, Latent],
        present: Tensor,
        valid: Tensor,
        state: State | None = None,
        context: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """Latents of N = B*T rows, `present (B, T, M)`, `valid (B, T)` -> prediction `(B, T, K)`, state,
        trace."""
        feats = self.features(latents, (present.shape[0], present.shape[1]))
        return self.sequence(feats, present, valid, state, context)

    def forward(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State, Trace]:
        """A batch of raw windows -> prediction `(B, T, K)`, state, trace."""
        latents = self.latents(batch.inputs, batch.present)
        return self.predict(latents, batch.present, batch.valid, state, batch.context)

    def predict_last(
        self,
        latents: Mapping[str, Latent],
        present: Tensor,
        steps: int,
        context: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Trace]:
        """One clip, T rows, `present (T, M)` -> prediction `(T, K)` and trace `(T, ...)` of the last `steps`
        steps.

        The default evaluation: at every step the last `steps` steps from zero state (spec 3.6). A buffer of
        as many fused vectors, so it streams exactly. The fusion must be stateless (`fusekit check` refuses
        others).
        """
        fused, gates = self.fused(latents, present)
        prediction, trace = self.last(fused, 0, steps, context)
        return prediction, {**gates, **trace}

    def predict_carry(
        self, latents: Mapping[str, Latent], present: Tensor, context: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Trace]:
        """One clip, T rows, `present (T, M)` -> prediction `(T, K)`, trace `(T, ...)`; state carried from the
        clip's start."""
        fused, gates = self.fused(latents, present)
        prediction, _, trace = self.carry(fused, None, context)
        return prediction, {**gates, **trace}

    def fused(self, latents: Mapping[str, Latent], present: Tensor) -> tuple[Tensor, Trace]:
        """T rows of one clip, `present (T, M)` -> fused vectors `(T, D)`, the fusion's trace `(T, ...)`."""
        fused, _, trace = self.fusion(
            self.features(latents, (1, len(present))), present[None], torch.ones_like(present[None, :, 0])
        )
        return fused[0], {k: v[0] for k, v in trace.items()}

    def last(
        self, fused: Tensor, before: int, steps: int, context: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Trace]:
        """`(before + T, D)` vectors -> prediction `(T, K)`, trace `(T, ...)` of the last T of them, each from
        the last `steps` vectors and zero state.

        Args:
            before: vectors that only precede: `steps` - 1, or fewer where the clip begins.
        """
        index = torch.arange(before, len(fused), device=fused.device)[:, None]
        index = index + torch.arange(1 - steps, 1, device=fused.device)
        # Steps before the clip's start come first in a window and are invalid: the state stays zero.
        rows = index.clamp(min=0)
        y, _, trace = self.temporal(fused[rows], index >= 0, {k: v[rows] for k, v in (context or {}).items()})
        return self.head(y[:, -1]), {k: v[:, -1] for k, v in trace.items()}

    def carry(
        self, fused: Tensor, state: State | None, context: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, State, Trace]:
        """`(T, D)` vectors of one clip, the state after those before -> prediction `(T, K)`, state, trace."""
        valid = torch.ones(1, len(fused), dtype=torch.bool, device=fused.device)
        own = {k: v[None] for k, v in (context or {}).items()}
        y, state, trace = self.temporal(fused[None], valid, own, state)
        return self.head(y[0]), state, {k: v[0] for k, v in trace.items()}


def _blank(x: Tensor, present: Tensor) -> Tensor:
    """`(N, ...)`, `present (B, T)` with N = B*T -> zeros where absent.

    The fusion hides absent features anyway, but a NaN would reach the encoder's gradients as 0 x NaN.
    """
    return x.masked_fill(~present.flatten().view(-1, *[1] * (x.dim() - 1)), 0.0)
