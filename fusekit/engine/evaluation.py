"""Prediction of whole clips and their scores (spec 3.6, 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from fusekit.contracts import Latent
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


@torch.no_grad()
def predict_clip(
    model: Any, latents: dict[str, Latent], present: np.ndarray, runtime: Runtime, states: States, steps: int
) -> ClipPrediction:
    """Latents of T rows, `present (T, M)` -> prediction per step.

    Args:
        states: `last`: at each step the last `steps` steps from zero state; `carry`: state carried from the
            clip's start.
    """
    model.eval()
    mask = torch.from_numpy(present).to(runtime.device)
    with runtime.autocast():
        if states == "last":
            prediction, trace = model.predict_last(latents, mask, steps)
        else:
            prediction, trace = model.predict_carry(latents, mask)
    return ClipPrediction(
        prediction.float().cpu().numpy(), {k: v.float().cpu().numpy() for k, v in trace.items()}
    )


def predict_clips(
    model: Any,
    clips: Sequence[ClipSource],
    latents: Callable[[int], dict[str, Latent]],
    runtime: Runtime,
    states: States,
    steps: int,
) -> list[ClipPrediction]:
    """Every clip in turn; `latents(i)` gives those of clip i."""
    return [
        predict_clip(model, latents(i), clip.present, runtime, states, steps) for i, clip in enumerate(clips)
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
