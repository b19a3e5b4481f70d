"""Prediction of whole clips and their scores (spec 3.6, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from fusekit.contracts import Latent, State
from fusekit.engine.latents import ClipSource
from fusekit.engine.metrics import Moments
from fusekit.engine.runtime import Runtime

States = Literal["last", "carry"]


@dataclass
class ClipPrediction:
    """What a model says of one clip of T steps.

    Attributes:
        prediction: `(T, K)` float32 on the common scale.
        trace: `gate (T, M)`, `attention (T, memory)` where the model has them.
    """

    prediction: np.ndarray
    trace: dict[str, np.ndarray]


def predict_clip(
    model: Any, latents: dict[str, Latent], present: np.ndarray, runtime: Runtime, states: States, steps: int
) -> ClipPrediction:
    """Latents of T rows, `present (T, M)` -> prediction per step.

    Args:
        states: `last`: at each step the last `steps` steps from zero state; `carry`: state carried from the
            clip's start.
    """
    return predict_pieces(model, [latents], present, runtime, (states,), steps)[states]


@torch.no_grad()
def predict_pieces(
    model: Any,
    pieces: Iterable[dict[str, Latent]],
    present: np.ndarray,
    runtime: Runtime,
    ways: Sequence[States],
    steps: int,
) -> dict[States, ClipPrediction]:
    """Latents of a clip, piece after piece, `present (T, M)` -> prediction by each way of handling states.

    Equal to all pieces at once: the last fused vectors, or the state, go from one to the next. A temporal
    head that needs all steps (`causal` False) gets them all where the state is carried.
    """
    model.eval()
    mask = torch.from_numpy(present).to(runtime.device)
    known: dict[States, _Way] = {"last": _Last(model, steps), "carry": _Carry(model)}
    found: dict[States, list[ClipPrediction]] = {way: [] for way in ways}
    begin = 0
    for latents in pieces:
        with runtime.autocast():
            size = len(next(iter(latents.values())).z)
            fused, gates = model.fused(latents, mask[begin : begin + size])
            for way in ways:
                found[way] += [_on_host(*said) for said in known[way].predict(fused, gates)]
        begin += size
    with runtime.autocast():
        for way in ways:
            found[way] += [_on_host(*said) for said in known[way].rest()]
    return {way: _joined(parts) for way, parts in found.items()}


Said = tuple[Tensor, Mapping[str, Tensor]]


class _Way(Protocol):
    """A way of handling states: what it says of the steps so far, and of those it kept back."""

    def predict(self, fused: Tensor, gates: Mapping[str, Tensor]) -> list[Said]: ...

    def rest(self) -> list[Said]: ...


class _Last:
    """At every step the last `steps` fused vectors, from zero state."""

    def __init__(self, model: Any, steps: int) -> None:
        self.model, self.steps = model, steps
        self.before: Tensor | None = None

    def predict(self, fused: Tensor, gates: Mapping[str, Tensor]) -> list[Said]:
        whole = fused if self.before is None else torch.cat([self.before, fused])
        prediction, trace = self.model.last(whole, len(whole) - len(fused), self.steps)
        self.before = whole[max(len(whole) - self.steps + 1, 0) :]
        return [(prediction, {**gates, **trace})]

    def rest(self) -> list[Said]:
        return []


class _Carry:
    """The state carried from the clip's start."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.causal = getattr(model.temporal, "causal", True)
        self.state: State | None = None
        self.kept: list[tuple[Tensor, Mapping[str, Tensor]]] = []

    def predict(self, fused: Tensor, gates: Mapping[str, Tensor]) -> list[Said]:
        if not self.causal:
            self.kept.append((fused, gates))
            return []
        prediction, self.state, trace = self.model.carry(fused, self.state)
        return [(prediction, {**gates, **trace})]

    def rest(self) -> list[Said]:
        if not self.kept:
            return []
        prediction, _, trace = self.model.carry(torch.cat([fused for fused, _ in self.kept]), None)
        gates = {k: torch.cat([g[k] for _, g in self.kept]) for k in self.kept[0][1]}
        return [(prediction, {**gates, **trace})]


def _on_host(prediction: Tensor, trace: Mapping[str, Tensor]) -> ClipPrediction:
    shown = {k: v.float().cpu().numpy() for k, v in trace.items()}
    return ClipPrediction(prediction.float().cpu().numpy(), shown)


def _joined(parts: Sequence[ClipPrediction]) -> ClipPrediction:
    return ClipPrediction(
        np.concatenate([p.prediction for p in parts]),
        {k: np.concatenate([p.trace[k] for p in parts]) for k in parts[0].trace},
    )


def predict_clips(
    model: Any,
    clips: Sequence[ClipSource],
    latents: Callable[[int], Iterable[dict[str, Latent]]],
    runtime: Runtime,
    states: States,
    steps: int,
) -> list[ClipPrediction]:
    """Every clip in turn; `latents(i)` gives those of clip i, piece after piece."""
    return [
        predict_pieces(model, latents(i), clip.present, runtime, (states,), steps)[states]
        for i, clip in enumerate(clips)
    ]


def score_clips(
    clips: Sequence[ClipSource], predictions: Sequence[ClipPrediction], dims: Sequence[str]
) -> dict[str, Any]:
    """RMSE, COR, CCC, ICC per dimension and mean, all steps of all clips together, ddof 0."""
    moments = Moments(dims)
    for clip, found in zip(clips, predictions, strict=True):
        moments.update(
            torch.from_numpy(found.prediction), torch.from_numpy(clip.target), torch.from_numpy(clip.known)
        )
    return moments.compute()
