"""What goes together in a recipe, and what does not: combinations that neither types nor ranges tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch

from fusekit.contracts import DenoisingEncoder
from fusekit.data.labels import AROUSAL, VALENCE
from fusekit.nn.model import Branch, Model
from fusekit.recipe.schema import Recipe, Stage

# What each objective reads of a stage; a key that it would ignore is a fault.
SUPERVISED_ONLY = ("windows", "freeze", "degraded", "clip_grad")
ADVERSARIAL_ONLY = (
    *("frames_hz", "critic_steps", "gan", "lambdas", "g_weights", "reconstruction", "warmup", "augment"),
)


def misfits(recipe: Recipe) -> list[str]:
    """Keys of a recipe that do not go together, before anything is made."""
    faults = []
    adversarial = [s for s in recipe.stages if s.objective == "adversarial"]
    for name, modality in recipe.modalities.items():
        if hasattr(torch.nn.ModuleDict(), name):  # torch keeps branches by name, among its own attributes
            faults.append(
                f"{recipe.at(f'modalities.{name}')}: torch has a use of its own for the name '{name}'; give "
                f"the modality another, e.g. {name}_stream, and `source: {name}`."
            )
        if modality.quadrant.name == "discriminator" and recipe.stages and not _trains(adversarial, name):
            none = f"none that trains {name}" if adversarial else "none"
            faults.append(
                f"{modality.quadrant.where}: modalities.{name}.quadrant: a discriminator learns in an "
                f"adversarial stage, and the recipe has {none}. Add one, or use {{name: classifier}} or "
                "{name: none}."
            )
    if recipe.stages and recipe.stages[-1].apart:
        last = len(recipe.stages) - 1
        key = "objective" if recipe.stages[last].objective == "adversarial" else "modalities"
        what = "an adversarial stage" if key == "objective" else "a stage of named modalities"
        faults.append(
            f"{recipe.at(f'stages.{last}.{key}')}: stage '{recipe.stages[last].name}' leaves fusion, "
            f"temporal and head untrained, as {what} has stand-ins of its own. End with a stage "
            f"of objective supervised{'' if key == 'objective' else ' and no `modalities`'}."
        )
    if adversarial and recipe.target.dims != (VALENCE, AROUSAL):
        faults.append(
            f"{recipe.at('target.dims')}: an adversarial stage's critic estimates {VALENCE} and {AROUSAL} in "
            f"this order, found [{', '.join(recipe.target.dims)}]. Write dims: [{VALENCE}, {AROUSAL}], or "
            "train with objective supervised alone."
        )
    defaults = {f.name: f.default for f in fields(Stage)}
    for i, stage in enumerate(recipe.stages):
        ignored = SUPERVISED_ONLY if stage.objective == "adversarial" else ADVERSARIAL_ONLY
        faults += [
            f"{recipe.at(f'stages.{i}.{key}')}: objective {stage.objective} does not read it; "
            f"take it out of stage '{stage.name}'."
            for key in ignored
            if getattr(stage, key) != defaults[key]
        ]
        if stage.degraded and not stage.reads_latents:
            faults.append(
                f"{recipe.at(f'stages.{i}.degraded')}: damaged copies are of cached latents, and only frozen "
                "encoders are cached; add `freeze: [encoder, quadrant]`."
            )
        if stage.degraded and not any(m.damage or m.degradation for m in recipe.modalities.values()):
            faults.append(
                f"{recipe.at(f'stages.{i}.degraded')}: no modality says what damages its copies; add "
                "`damage` (or `degradation`) to one."
            )
    return faults


def _trains(stages: Sequence[Stage], modality: str) -> bool:
    return any(stage.trains(modality) for stage in stages)


def stage_faults(recipe: Recipe, model: Model, modality: str) -> list[str]:
    """What the stages ask of a modality's parts and these are not."""
    faults = _frozen_faults(recipe, model.branches[modality], modality)
    if not _trains([s for s in recipe.stages if s.objective == "adversarial"], modality):
        return faults
    branch, at = model.branches[modality], recipe.modalities[modality]
    if not isinstance(branch.encoder, DenoisingEncoder):
        faults.append(
            f"{at.encoder.where}: modalities.{modality}.encoder: objective adversarial needs an encoder that "
            f"decodes, and {at.encoder.name} does not. Use {{name: denoising-generator}}, name the "
            "modalities that the stage trains (`modalities: [...]`), or train with objective supervised "
            "alone."
        )
    if not branch.quadrant.critic:
        faults.append(
            f"{at.quadrant.where}: modalities.{modality}.quadrant: objective adversarial needs a head that "
            f"tells real from fake, and {at.quadrant.name} does not. Use {{name: discriminator}}, or name "
            "the modalities that the stage trains (`modalities: [...]`)."
        )
    return faults


def _frozen_faults(recipe: Recipe, branch: Branch, modality: str) -> list[str]:
    """Parts frozen before anything has trained them, where stages before trained other modalities alone."""
    faults = []
    for i, stage in enumerate(recipe.stages):
        before = recipe.stages[:i]
        if not before or not stage.trains(modality) or _trains(before, modality):
            continue
        for part in stage.freeze:
            held: Any = getattr(branch, part)
            if getattr(held, "trained", False) or not any(True for _ in held.parameters()):
                continue
            faults.append(
                f"{recipe.at(f'stages.{i}.freeze')}: stage '{stage.name}' freezes the {part} of {modality}, "
                "which no stage before it trains and which comes without trained weights. Train it first, "
                f"in a stage {{name: {modality}_alone, objective: supervised, modalities: [{modality}], "
                "...}, or freeze less."
            )
    return faults
