"""Objective `supervised`: the sequence predictor on windows of a fixed length (spec 3.1 step 3, 3.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fusekit.contracts import Latent, Loss
from fusekit.engine.evaluation import States, predict_clips, score_clips
from fusekit.engine.latent_cache import Latents, cached_pieces
from fusekit.engine.latents import ClipSource, latent_pieces
from fusekit.engine.objective import Objective, Rngs, WindowSource, pooled_loss
from fusekit.engine.runtime import Runtime


@dataclass(frozen=True)
class SupervisedSettings:
    """What a recipe says of this objective.

    Attributes:
        freeze: parts of every branch that keep their weights, of `encoder`, `quadrant`, `projector`.
        presence_dropout: chance that a present modality is hidden from a whole window (never all of them).
        degraded: share of windows in which one modality is read from the cache of damaged copies.
        clip_grad: largest gradient norm, or None.
        states, steps: how validation predicts; see `predict_clip`.
    """

    batch_size: int
    lr: float
    betas: tuple[float, float]
    freeze: tuple[str, ...] = ()
    presence_dropout: float = 0.0
    degraded: float = 0.0
    clip_grad: float | None = None
    states: States = "last"
    steps: int = 8
    seed: int = 0


@dataclass(frozen=True)
class Caches:
    """Latents of the training clips, of the validation clips, and of damaged copies of the former, if any."""

    train: Latents
    validation: Latents
    degraded: Latents | None = None


class Supervised(Objective):
    """Loss summed over the steps of a window, correlations at each step across the batch; zero state at its
    start (spec 3.6).

    With encoder and quadrant head frozen, training and validation read cached latents of clean inputs; else
    the whole model runs on the inputs, and a quadrant head with logits adds its cross-entropy.

    Args:
        model: the whole model. train: windows. train_clips, validation_clips: the clips behind them.
        weights: `(N, K)` targets -> frequency weights of mean 1, or None. quadrant_weights: `(4,)`, or None.
        progress: told (steps done, steps in all) while latents are computed.
    """

    def __init__(
        self,
        model: Any,
        train: WindowSource,
        caches: Caches | None,
        validation_clips: Sequence[ClipSource],
        loss: Loss,
        settings: SupervisedSettings,
        runtime: Runtime,
        rngs: Rngs,
        dims: Sequence[str],
        *,
        weights: Callable[[Tensor], Tensor] | None = None,
        quadrant_weights: Tensor | None = None,
    ) -> None:
        self.model, self.train, self.caches, self.validation_clips = model, train, caches, validation_clips
        self.loss, self.settings, self.runtime, self.rngs, self.dims = loss, settings, runtime, rngs, dims
        self.weights = weights
        self.quadrant_weights = None if quadrant_weights is None else quadrant_weights.to(runtime.device)
        self.modules = {"model": model}
        frozen = {
            id(p)
            for b in model.branches.values()
            for f in settings.freeze
            for p in getattr(b, f).parameters()
        }
        self.trained = [p for p in model.parameters() if id(p) not in frozen]
        for p in model.parameters():
            p.requires_grad_(id(p) not in frozen)
        self.optimizers = {"model": runtime.adam(self.trained, settings.lr, settings.betas)}

    def batches(self, epoch: int) -> list[np.ndarray]:
        """This process's share of every batch of an epoch."""
        s, r = self.settings, self.runtime
        return list(self.train.batches(s.batch_size, s.seed, epoch, r.rank, r.world))

    def step(self, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """One update."""
        return self.update(indices, epoch)

    def update(self, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """What `step` does; by itself for whoever only tries it."""
        cached = self.caches is not None
        batch = self.train.collate(indices, () if cached else None)
        clips = batch.clip.numpy()  # read before it is on a device that would have to be waited for
        batch = batch.to(self.runtime.device)
        present = self._hide(batch.present, indices, epoch)
        self.model.train()
        for branch in self.model.branches.values():
            for part in self.settings.freeze:
                getattr(branch, part).eval()  # frozen means its running statistics too, and no dropout
        with self.runtime.autocast():
            if cached:
                latents = self._cached_rows(clips, indices, epoch)
            else:
                latents = self.model.latents(batch.inputs, batch.present)
            prediction, _, _ = self.model.predict(latents, present, batch.valid, context=batch.context)
        known = batch.known & batch.valid[..., None]
        weight = None if self.weights is None else self.weights(batch.target)
        steps = prediction.shape[1]
        each = [
            pooled_loss(
                self.loss,
                self.runtime,
                prediction[:, t].float(),
                batch.target[:, t],
                known[:, t],
                None if weight is None else weight[:, t],
            )
            for t in range(steps)
        ]
        total = torch.stack(each).sum()
        losses = {"loss": total.detach() / steps}
        for m, latent in latents.items():
            if latent.logits is not None and "quadrant" not in self.settings.freeze:
                truth = torch.where(present[..., self.model.names.index(m)], batch.quadrant, -1).flatten()
                logits, truth = self.runtime.gather(latent.logits.float()), self.runtime.gather(truth)
                term = _cross_entropy(logits, truth, self.quadrant_weights)
                total = total + steps * term
                losses[f"quadrant_{m}"] = term.detach()
        optimizer = self.optimizers["model"]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.runtime.average_gradients(self.trained)
        if self.settings.clip_grad is not None:
            torch.nn.utils.clip_grad_norm_(self.trained, self.settings.clip_grad)
        optimizer.step()
        return losses

    def _cached_rows(self, clips: np.ndarray, indices: np.ndarray, epoch: int) -> dict[str, Latent]:
        """Latents of the windows' steps; in a share of the windows one modality is of the damaged copy."""
        assert self.caches is not None
        cache, damaged = self.caches.train, self.caches.degraded
        rows, _ = self.train.rows(indices)
        flat = (cache.offsets[clips][:, None] + rows).reshape(-1)
        latents = cache.take(flat, self.runtime.device)
        if damaged is None:
            return latents
        share = self.settings.degraded / len(cache.names)
        draws = np.array([rng.random() for rng in self.rngs(epoch, indices, "degraded")])
        for i, m in enumerate(cache.names):
            chosen = np.repeat((draws >= i * share) & (draws < (i + 1) * share), rows.shape[1])
            if chosen.any():
                copy = damaged.take(flat[chosen], self.runtime.device)[m]
                into = torch.from_numpy(chosen).to(self.runtime.device)
                latents[m].z[into] = copy.z
                if copy.quadrant is not None and latents[m].quadrant is not None:
                    latents[m].quadrant[into] = copy.quadrant  # type: ignore[index]
        return latents

    def _hide(self, present: Tensor, indices: np.ndarray, epoch: int) -> Tensor:
        """Presence dropout per window and modality; a window that would lose all it has keeps all."""
        p = self.settings.presence_dropout
        if p == 0 or present.shape[-1] < 2:
            return present
        draws = np.stack([rng.random(present.shape[-1]) for rng in self.rngs(epoch, indices, "presence")])
        kept = present & torch.from_numpy(draws >= p).to(present.device)[:, None]
        return torch.where(kept.any(dim=(1, 2), keepdim=True), kept, present)

    def validate(self) -> dict[str, Any]:
        """Scores on whole validation clips, predicted as the recipe's evaluation says."""

        def latents(i: int) -> Iterator[dict[str, Latent]]:
            if self.caches is not None:
                return cached_pieces(self.caches.validation, i, self.runtime.device)
            return latent_pieces(self.model, self.validation_clips[i], self.runtime)

        found = predict_clips(
            self.model,
            self.validation_clips,
            latents,
            self.runtime,
            self.settings.states,
            self.settings.steps,
        )
        return score_clips(self.validation_clips, found, self.dims)


def _cross_entropy(logits: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """Weighted mean over the rows that have a quadrant (-1: none); 0 if no row has one.

    A zero that carries a gradient, not an absent term: every process must average the same gradients.
    """
    weights = logits.new_ones(logits.shape[1]) if weights is None else weights
    known = truth >= 0
    truth = truth.clamp(min=0)
    share = weights[truth] * known
    return (cross_entropy(logits, truth, reduction="none") * share).sum() / share.sum().clamp(min=1e-12)
