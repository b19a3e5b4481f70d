"""The stages of a recipe as phases, and the objective of each, made when its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusekit import build
from fusekit.contracts import Loss
from fusekit.data.augmentation import augmentation_for
from fusekit.data.cache import cache_dir
from fusekit.data.labels import FrequencyWeights, quadrant_weights
from fusekit.data.sampling import sample_rngs
from fusekit.data.steps import ClipSteps, shuffle_labels
from fusekit.data.windows import Windows
from fusekit.engine.adversarial import Adversarial, AdversarialSettings
from fusekit.engine.latent_cache import Latents
from fusekit.engine.latent_choice import latents_for
from fusekit.engine.latents import ClipSource, DegradedClip
from fusekit.engine.objective import Objective, Phase
from fusekit.engine.progress import BarProgress
from fusekit.engine.runtime import Runtime
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.errors import RecipeError
from fusekit.nn.model import Model
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry
from fusekit.runs.data import Data


def plan(
    recipe: Recipe,
    registry: Registry,
    model: Model,
    data: Data,
    runtime: Runtime,
    progress: BarProgress,
    taken: Collection[str] = (),
) -> list[Phase]:
    """The recipe's stages as phases.

    An adversarial stage has one per modality, those `taken` from other runs apart; a supervised stage has one
    per window length, or one per modality that it names.
    """
    if recipe.target.shuffle:
        # Validation labels too: the best epoch chosen on true ones would let the truth in by the back door.
        shuffled = {part: shuffle_labels(clips, recipe.train.seed) for part, clips in data.steps.items()}
        data = replace(data, steps=shuffled)
    maker = ObjectiveMaker(recipe, registry, model, data, runtime, progress, _weights(recipe, data))
    phases: list[Phase] = []
    for number, stage in enumerate(recipe.stages):
        loss = build.build_loss(stage, registry)
        every, falls = stage.validate_every, stage.lr_schedule
        if stage.objective == "adversarial":
            for m in (m for m in model.names if stage.trains(m) and m not in taken):
                make = partial(maker.adversarial, number, loss, m)
                name = f"{stage.name} {m}"
                epochs = stage.warmup + stage.epochs
                phases.append(
                    Phase(name, stage.name, stage.objective, 1, epochs, every, make, falls, stage.warmup)
                )
        elif stage.apart:
            for m in filter(stage.trains, model.names):
                clips = _of_modality(data.steps["train"], model.names.index(m), m)
                _check_windows(recipe, number, clips, stage.windows[0], runtime, f" of {m}")
                make = partial(maker.alone, number, loss, m)
                name = f"{stage.name} {m}"
                phases.append(
                    Phase(
                        name, stage.name, stage.objective, stage.windows[0], stage.epochs, every, make, falls
                    )
                )
        else:
            for window in stage.windows:
                _check_windows(recipe, number, data.steps["train"], window, runtime)
                make = partial(maker.supervised, number, loss, window)
                name = f"{stage.name} {window} steps"
                phases.append(
                    Phase(name, stage.name, stage.objective, window, stage.epochs, every, make, falls)
                )
    return phases


def _check_windows(
    recipe: Recipe, number: int, clips: Sequence[ClipSteps], window: int, runtime: Runtime, whose: str = ""
) -> None:
    """Stage `number` must find enough to train on: told before the stages ahead of it take their hours."""
    found = len(Windows(clips, window))
    if found < max(2, runtime.world):
        raise RecipeError(
            f"{recipe.at(f'stages.{number}.windows')}: the training clips hold {found} windows of {window} "
            f"steps{whose}, too few to train on. Write shorter windows, or use longer clips."
        )


def _weights(recipe: Recipe, data: Data) -> Callable[[Tensor], Tensor] | None:
    """Frequency weights of the training labels, as the recipe wants them."""
    if recipe.train.weighting == "none":
        return None
    steps = data.steps["train"]
    fitted = FrequencyWeights.fit(
        np.concatenate([s.target for s in steps]),
        np.concatenate([s.known for s in steps]),
        recipe.train.weighting,
    )
    return fitted.weights


@dataclass(frozen=True)
class ObjectiveMaker:
    """What every objective of a run is made of, and the making: the matchmaking of data, nets and engine.

    Attributes:
        model: the whole model, which the objectives train in turn.
        data: the parts `train` and `validation`, with the labels to train on.
        weights: `(N, K)` targets -> frequency weights of mean 1, or None.
        caches: latents by stage's name, those of the running stage alone: its window lengths share them.
    """

    recipe: Recipe
    registry: Registry
    model: Model
    data: Data
    runtime: Runtime
    progress: BarProgress
    weights: Callable[[Tensor], Tensor] | None
    caches: dict[str, Caches] = field(default_factory=dict)

    def adversarial(self, number: int, loss: Loss, modality: str) -> Objective:
        """One modality's phase of the recipe's stage `number`."""
        recipe, stage = self.recipe, self.recipe.stages[number]
        column = self.model.names.index(modality)
        torch.manual_seed(recipe.train.seed + 1 + column)
        alone = build.solo(recipe, self.registry, self.model, modality).to(self.runtime.device)
        self.runtime.broadcast(alone)
        augmentation = None
        if stage.augment:
            # Without denoising the occlusion grid is one more choice of the augmentation (spec 4.5).
            without_damage = recipe.modalities[modality].degradation is None
            augmentation = augmentation_for(self.data.readers[modality].medium, occlusion=without_damage)
        train, validation = (_where_present(self.data.steps[p], column) for p in ("train", "validation"))
        return Adversarial(
            alone,
            Windows(train, 1, frames_hz=stage.frames_hz),
            Windows(validation, 1, frames_hz=stage.frames_hz),
            loss,
            AdversarialSettings(
                batch_size=stage.batch(1),
                lr=stage.lr,
                betas=stage.betas,
                gan=stage.gan,
                critic_steps=stage.critic_steps,
                lambdas=stage.lambdas,
                g_weights=stage.g_weights,
                reconstruction=stage.reconstruction,
                warmup=stage.warmup,
                seed=recipe.train.seed,
            ),
            self.runtime,
            _rngs(recipe.train.seed, number, column),
            recipe.target.dims,
            degradation=build.build_degradations(recipe, self.registry)[modality],
            augmentation=augmentation,
            weights=self.weights,
        )

    def supervised(self, number: int, loss: Loss, window: int) -> Objective:
        """One window length's phase of the recipe's stage `number`."""
        return self._supervised(
            self.model, self.data.steps, self._caches(number), number, loss, window, str(window)
        )

    def alone(self, number: int, loss: Loss, modality: str) -> Objective:
        """One modality's phase of a supervised stage that names its modalities."""
        column = self.model.names.index(modality)
        torch.manual_seed(self.recipe.train.seed + 1 + column)
        model = build.solo(self.recipe, self.registry, self.model, modality).to(self.runtime.device)
        self.runtime.broadcast(model)
        steps = {part: _of_modality(clips, column, modality) for part, clips in self.data.steps.items()}
        window = self.recipe.stages[number].windows[0]
        return self._supervised(model, steps, None, number, loss, window, modality)

    def _supervised(
        self,
        model: Model,
        parts: Mapping[str, Sequence[ClipSteps]],
        caches: Caches | None,
        number: int,
        loss: Loss,
        window: int,
        what: str,
    ) -> Objective:
        recipe, stage = self.recipe, self.recipe.stages[number]
        quadrants = np.concatenate([s.quadrant for s in parts["train"]])
        return Supervised(
            model,
            Windows(parts["train"], window),
            caches,
            parts["validation"],
            loss,
            SupervisedSettings(
                batch_size=stage.batch(window),
                lr=stage.lr,
                betas=stage.betas,
                freeze=stage.freeze,
                presence_dropout=recipe.train.presence_dropout,
                degraded=stage.degraded,
                clip_grad=stage.clip_grad,
                states=recipe.evaluation.states,
                steps=window,
                seed=recipe.train.seed,
            ),
            self.runtime,
            _rngs(recipe.train.seed, number, what),
            recipe.target.dims,
            weights=self.weights,
            quadrant_weights=quadrant_weights(quadrants) if (quadrants >= 0).any() else None,
        )

    def _caches(self, number: int) -> Caches | None:
        """Latents for a stage that leaves encoder and quadrant head as they are; None for any other."""
        stage = self.recipe.stages[number]
        if not stage.reads_latents:
            return None
        if stage.name not in self.caches:
            self.caches.clear()
            copies = self._degraded(number) if stage.degraded else None
            # Windows do not overlap: an epoch reads every step once, and of the copies its share.
            epochs = stage.epochs * len(stage.windows)
            validations = -(-stage.epochs // stage.validate_every) * len(stage.windows)
            self.caches[stage.name] = Caches(
                self._cache("training", self.data.steps["train"], epochs),
                self._cache("validation", self.data.steps["validation"], validations),
                None if copies is None else self._cache("damaged copies", copies, epochs * stage.degraded),
            )
        return self.caches[stage.name]

    def _cache(self, what: str, clips: Sequence[ClipSource], times: float) -> Latents:
        """Latents of clips whose every step will be read so many times."""
        return latents_for(
            self.model,
            clips,
            self.runtime,
            reads=round(times * sum(map(len, clips))),
            folder=cache_dir() / "latents",
            progress=self.progress.counter(f"latents, {what}"),
            say=lambda text: self.progress.say(f"latents, {what}: {text}"),
        )

    def _degraded(self, number: int) -> list[DegradedClip]:
        """The training clips with the recipe's damage over their inputs: always the same for a seed."""
        damages = build.build_damages(self.recipe, self.registry)

        def rngs(clip: int) -> Callable[[int, str], np.random.Generator]:
            return lambda stretch, m: sample_rngs(
                self.recipe.train.seed, clip, [stretch], f"{number}/copy/{m}"
            )[0]

        return [DegradedClip(s, damages, rngs(i)) for i, s in enumerate(self.data.steps["train"])]


def _where_present(steps: Sequence[ClipSteps], column: int) -> list[ClipSteps]:
    """Steps without this modality count as unlabelled, so that no window of them is made."""
    return [
        replace(s, known=s.known & s.present[:, column : column + 1], present=s.present)
        for s in steps
        if (s.known & s.present[:, column : column + 1]).any()
    ]


def _of_modality(steps: Sequence[ClipSteps], column: int, modality: str) -> list[ClipSteps]:
    """The same with this modality alone, unlabelled where it is absent."""
    return [
        replace(s, present=s.present[:, column : column + 1], readers={modality: s.readers[modality]})
        for s in _where_present(steps, column)
    ]


def _rngs(seed: int, stage: int, what: int | str) -> Any:
    def rngs(epoch: int, indices: Any, purpose: str) -> Any:
        return sample_rngs(seed, epoch, indices, f"{stage}/{what}/{purpose}")

    return rngs
