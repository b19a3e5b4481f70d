"""Objective `adversarial`: G, D and P of one modality trained together (spec 3.1, 3.2; paper eq. 13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.nn.functional import softplus as log_loss

from fusekit.batch import to_float
from fusekit.contracts import Degradation, Latent, Loss
from fusekit.engine.metrics import Moments
from fusekit.engine.objective import Objective, Rngs, WindowSource, pooled_loss
from fusekit.engine.runtime import Runtime

PENALTY = 10.0  # of the critic's gradient (Gulrajani et al. 2017, WGAN-GP)


@dataclass(frozen=True)
class AdversarialSettings:
    """What a recipe's stage says of this objective.

    Attributes:
        gan: Wasserstein critic with gradient penalty, or the log form of eq. 13 (non-saturating for G).
        critic_steps: updates of D per update of G and P.
        lambdas: weights of D's, G's and P's terms.
        g_weights: weights of the score, the reconstruction and the affect within G's terms.
        reconstruction: the pass of G that is compared with the clean input: G(n), G(G(n)), or both.
        warmup: epochs, the first of all, in which G alone learns, by the reconstruction.
    """

    batch_size: int
    lr: float
    betas: tuple[float, float]
    gan: Literal["wgan-gp", "log"] = "wgan-gp"
    critic_steps: int = 1
    lambdas: tuple[float, float, float] = (0.25, 0.25, 0.5)
    g_weights: tuple[float, float, float] = (1.0, 10.0, 1.0)
    reconstruction: Literal["first", "second", "both"] = "second"
    warmup: int = 0
    seed: int = 0


class Adversarial(Objective):
    """G undoes damage, D tells real from fake and estimates affect, P predicts from (Z, Q).

    With x clean, n damaged, y = (V, A) and s, a the outputs of D:

    - L_D = mean s(G(n)) - mean s(x) + L_afc(a(x), y) + 10 GP, GP on the line between x and G(n), in float32
    - L_G = -mean s(G(n)) + 10 R + L_afc(a(G(n)), y), with other weights by `g_weights`
    - R = mean |x - G(G(n))| as in the precursor's code, which nothing ties to G(n) itself; by
      `reconstruction` mean |x - G(n)|, as the paper's text has it ("G estimates the cleaned
      reconstruction"), or the mean of both
    - L_P = L_afc(P(Z, Q), y), whose gradient reaches G's encoder through Z

    summed with `lambdas`; one optimiser per network. Without degradation n = x (Vi, Au). In the epochs of
    the `warmup` R is all there is, and D and P stay as they are.

    Args:
        model: a model of this one modality: its branch (shared with the whole model) and a tail of its own.
        train, validation: windows of one step in which the modality is present.
        degradation: damage of the inputs; augmentation: applied before it, with the same contract; None: not
            applied.
        dims: names of the target dimensions.
        weights: `(N, K)` targets -> `(N, K)` frequency weights of mean 1, or None.
        rngs: one generator per window; see `Rngs`.
    """

    def __init__(
        self,
        model: Any,
        train: WindowSource,
        validation: WindowSource,
        loss: Loss,
        settings: AdversarialSettings,
        runtime: Runtime,
        rngs: Rngs,
        dims: Sequence[str],
        *,
        degradation: Degradation | None = None,
        augmentation: Degradation | None = None,
        weights: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.model, self.train, self.validation = model, train, validation
        self.loss, self.settings, self.runtime, self.rngs = loss, settings, runtime, rngs
        self.dims = dims
        self.degradation, self.augmentation, self.weights = degradation, augmentation, weights
        (self.modality,) = model.names
        self.branch = model.branches[self.modality]
        self.modules = {"model": model}
        model.requires_grad_(True)  # a phase before may have frozen parts of it
        predictor = nn.ModuleList([self.branch.projector, model.fusion, model.temporal, model.head])
        self.networks: dict[str, nn.Module] = {
            "d": self.branch.quadrant,
            "g": self.branch.encoder,
            "p": predictor,
        }
        self.optimizers = {
            name: runtime.adam(network.parameters(), settings.lr, settings.betas)
            for name, network in self.networks.items()
        }

    def batches(self, epoch: int) -> list[np.ndarray]:
        """This process's share of every batch of an epoch."""
        s, r = self.settings, self.runtime
        return list(self.train.batches(s.batch_size, s.seed, epoch, r.rank, r.world))

    def step(self, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """One update of D; of G and P too, every `critic_steps`-th batch."""
        return self.update(indices, epoch)

    def update(self, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """What `step` does; by itself for whoever only tries it."""
        batch = self.train.collate(indices, (self.modality,)).to(self.runtime.device)
        clean = to_float(batch.inputs[self.modality][:, 0])
        if self.augmentation is not None:
            clean = self.augmentation(clean, self.rngs(epoch, indices, "augment"))
        damaged = clean
        if self.degradation is not None:
            damaged = self.degradation(clean, self.rngs(epoch, indices, "degrade"))
        target, known = batch.target[:, 0], batch.known[:, 0]
        weight = None if self.weights is None else self.weights(target)
        labels = (target, known, weight)
        mix = [rng.random() for rng in self.rngs(epoch, indices, "penalty")]
        self.model.train()
        if epoch < self.settings.warmup:
            return self._warmup_step(clean, damaged)
        both = (self._critic_updates() + 1) % self.settings.critic_steps == 0
        # D's update leaves G as it is, so the pass that D judges is also the first pass of G's own update.
        with self.runtime.autocast(), torch.set_grad_enabled(both):
            z = self.branch.encoder.encode(damaged)
            cleaned = self.branch.encoder.decode(z)
        u = torch.tensor(mix, dtype=torch.float32, device=clean.device)
        losses = self._critic_step(clean, cleaned.detach(), labels, u)
        if both:
            losses |= self._generator_step(clean, z, cleaned, labels, batch.context)
        return losses

    def _warmup_step(self, clean: Tensor, damaged: Tensor) -> dict[str, Tensor]:
        with self.runtime.autocast():
            cleaned = self.branch.encoder.decode(self.branch.encoder.encode(damaged))
            difference = self._difference(clean, cleaned)
        self._update(("g",), difference)
        return {"g_reconstruction": self.settings.g_weights[1] * difference.detach()}

    def _difference(self, clean: Tensor, cleaned: Tensor) -> Tensor:
        """R of the class: what is left of the damage after the passes that the settings name."""
        encoder, which = self.branch.encoder, self.settings.reconstruction
        if which == "first":
            return l1_loss(cleaned.float(), clean)
        second = l1_loss(encoder.decode(encoder.encode(cleaned)).float(), clean)
        return second if which == "second" else (l1_loss(cleaned.float(), clean) + second) / 2

    def _afc(self, prediction: Tensor, labels: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        return pooled_loss(self.loss, self.runtime, prediction, *labels)

    def _critic_step(
        self, clean: Tensor, fake: Tensor, labels: tuple[Tensor, Tensor, Tensor | None], mix: Tensor
    ) -> dict[str, Tensor]:
        critic = self.branch.quadrant
        with self.runtime.autocast():
            real_score, affect = critic.judge(clean)
            fake_score, _ = critic.judge(fake)
        real_score, fake_score, affect = real_score.float(), fake_score.float(), affect.float()
        losses = {"d_affect": self._afc(affect, labels)}
        if self.settings.gan == "wgan-gp":
            losses["d_source"] = fake_score.mean() - real_score.mean()
            losses["d_penalty"] = PENALTY * self._penalty(clean, fake.float(), mix)
        else:
            losses["d_source"] = (log_loss(-real_score) + log_loss(fake_score)).mean()
        self._update(("d",), self.settings.lambdas[0] * torch.stack([*losses.values()]).sum())
        return {name: value.detach() for name, value in losses.items()}

    def _critic_updates(self) -> int:
        # The optimiser's own count is in the checkpoint, so a resumed run keeps the rhythm of critic_steps.
        return max((int(state["step"]) for state in self.optimizers["d"].state.values()), default=0)

    def _penalty(self, clean: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        """mean (||grad D(x_hat)|| - 1)^2, x_hat = u x + (1 - u) G(n); always in float32."""
        u = mix.view(-1, *[1] * (clean.dim() - 1))  # one draw per sample, whatever the window's shape
        with torch.autocast(clean.device.type, enabled=False):
            between = (u * clean + (1 - u) * fake).requires_grad_(True)
            score, _ = self.branch.quadrant.judge(between)
            (gradient,) = torch.autograd.grad(score.sum(), between, create_graph=True)
            # The small constant keeps the root's slope finite where the gradient vanishes.
            return ((gradient.flatten(1).square().sum(1) + 1e-12).sqrt() - 1).square().mean()

    def _generator_step(
        self,
        clean: Tensor,
        z: Tensor,
        cleaned: Tensor,
        labels: tuple[Tensor, Tensor, Tensor | None],
        context: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        critic = self.branch.quadrant
        critic.requires_grad_(False)  # G's loss passes through D without training it
        with self.runtime.autocast():
            judged: Latent = critic(cleaned, z)
            difference = self._difference(clean, cleaned)
            ones = torch.ones(len(z), 1, dtype=torch.bool, device=z.device)
            prediction, _, _ = self.model.predict(
                {self.modality: judged}, ones[..., None], ones, context=context
            )
        critic.requires_grad_(True)
        assert judged.realness is not None  # a critic gives both
        assert judged.affect is not None
        score = judged.realness.float()
        source, _, affect = self.settings.g_weights
        losses = {
            "g_source": source
            * (-score.mean() if self.settings.gan == "wgan-gp" else log_loss(-score).mean()),
            "g_reconstruction": self.settings.g_weights[1] * difference,
            "g_affect": affect * self._afc(judged.affect.float(), labels),
            "p": self._afc(prediction[:, 0].float(), labels),
        }
        _, g, p = self.settings.lambdas
        total = g * (losses["g_source"] + losses["g_reconstruction"] + losses["g_affect"]) + p * losses["p"]
        self._update(("g", "p"), total)
        return {name: value.detach() for name, value in losses.items()}

    def _update(self, names: tuple[str, ...], total: Tensor) -> None:
        for name in names:
            self.optimizers[name].zero_grad(set_to_none=True)
        total.backward()
        for name in names:
            self.runtime.average_gradients(self.networks[name].parameters())
            self.optimizers[name].step()

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Scores of P on clean validation windows."""
        self.model.eval()
        moments = Moments(self.dims)
        for indices in self.validation.batches(4 * self.settings.batch_size, None):
            batch = self.validation.collate(indices, (self.modality,)).to(self.runtime.device)
            # The batch's presence has a column per modality of the recipe, this model one modality: its
            # windows are those in which it is there.
            here = torch.ones(len(indices), 1, 1, dtype=torch.bool, device=self.runtime.device)
            with self.runtime.autocast():
                prediction, _, _ = self.model(replace(batch, present=here))
            moments.update(prediction[:, 0].float(), batch.target[:, 0], batch.known[:, 0])
        return moments.compute()
