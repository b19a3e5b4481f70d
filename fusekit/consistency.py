"""What goes together in a recipe, and what does not: combinations that neither types nor ranges tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch

from fusekit.contracts import DenoisingEncoder
from fusekit.data.augmentation import augmentation_for
from fusekit.data.labels import AROUSAL, VALENCE
from fusekit.nn.model import Branch, Model
from fusekit.recipe.schema import Recipe, Stage

# What each objective reads of a stage; a key that it would ignore is a fault.
SUPERVISED_ONLY = ("windows", "freeze", "degraded", "clip_grad")
ADVERSARIAL_ONLY = (
    *("frames_hz", "critic_steps", "gan", "lambdas", "g_weights", "reconstruction", "warmup", "augment"),
)


def misfits(recipe: Recipe, critics: Collection[str]) -> list[str]:
    """Keys of a recipe that do not go together, before anything is made.

    Args:
        critics: modalities whose quadrant head is a critic.
    """
    faults = []
    adversarial = [s for s in recipe.stages if s.objective == "adversarial"]
    for name in recipe.modalities:
        if hasattr(torch.nn.ModuleDict(), name):  # torch keeps branches by name, among its own attributes
            faults.append(
                f"{recipe.at(f'modalities.{name}')}: torch has a use of its own for the name '{name}'; give "
                f"the modality another, e.g. {name}_stream, and `source: {name}`."
            )
        if name in critics:
            faults += _untaught(recipe, name)
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


def _untaught(recipe: Recipe, modality: str) -> list[str]:
    """A critic that no stage teaches: its quadrants would be those of its first, random weights."""
    adversarial = [s for s in recipe.stages if s.objective == "adversarial"]
    if not recipe.stages or _trains(adversarial, modality):
        return []
    none = f"none that trains {modality}" if adversarial else "none"
    quadrant = recipe.modalities[modality].quadrant
    return [
        f"{quadrant.where}: modalities.{modality}.quadrant: a {quadrant.name} learns in an adversarial "
        f"stage, as every critic does, and the recipe has {none}. Add one, or use {{name: classifier}} or "
        "{name: none}."
    ]


def _trains(stages: Sequence[Stage], modality: str) -> bool:
    return any(stage.trains(modality) for stage in stages)


def stage_faults(recipe: Recipe, model: Model, modality: str) -> list[str]:
    """What the stages ask of a modality's parts and these are not."""
    faults = _frozen_faults(recipe, model.branches[modality], modality)
    if model.branches[modality].quadrant.critic:
        faults += _untaught(recipe, modality)
    elif model.branches[modality].needs_quadrant:
        faults += _always_frozen(recipe, model.branches[modality], modality)
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


def _always_frozen(recipe: Recipe, branch: Branch, modality: str) -> list[str]:
    """A quadrant head that the projector reads and that no stage trains."""
    head: Any = branch.quadrant
    stages = [s for s in recipe.stages if s.trains(modality)]
    untouched = stages and all("quadrant" in s.freeze for s in stages)
    if not untouched or getattr(head, "trained", False) or not any(True for _ in head.parameters()):
        return []
    at = recipe.modalities[modality].quadrant
    return [
        f"{at.where}: modalities.{modality}.quadrant: every stage freezes {at.name}, so that its quadrants, "
        "which the projector reads, would stay those of random weights. Train it in a stage before, or use "
        "{name: none}."
    ]


def unused(recipe: Recipe, model: Model, media: Mapping[str, str]) -> list[str]:
    """What a recipe says that nothing will read, a sentence each.

    Args:
        media: `{modality: medium of its reader}`.
    """
    notes = []
    degraded = [s for s in recipe.stages if s.degraded > 0]
    for name, modality in recipe.modalities.items():
        taught = [s for s in recipe.stages if s.objective == "adversarial" and s.trains(name)]
        if modality.damage and not degraded:
            notes.append(
                f"modalities.{name}.damage is not used: no stage has a `degraded` above 0, whose copies it "
                "would damage"
            )
        if modality.degradation and not taught and (modality.damage or not degraded):
            notes.append(
                f"modalities.{name}.degradation is not used: no adversarial stage trains {name}"
                + ("" if modality.damage else ", and no stage has a `degraded` above 0")
            )
        if degraded and not (modality.damage or modality.degradation):
            notes.append(
                f"{name} says no `damage` (nor `degradation`): its share of the `degraded` windows of stage "
                f"'{degraded[0].name}' stays undamaged"
            )
        for stage in taught:
            occlusion = modality.degradation is None
            if stage.augment and augmentation_for(media[name], occlusion=occlusion) is None:
                notes.append(
                    f"stage '{stage.name}': `augment` changes nothing of {name}, whose medium is "
                    f"{media[name]}: pictures alone are augmented"
                )
        first = next((s for s in recipe.stages if s.trains(name)), None)
        encoder = model.branches[name].encoder
        frozen = first and all("encoder" in s.freeze for s in recipe.stages if s.trains(name))
        if frozen and not encoder.trained and list(encoder.parameters()):
            notes.append(f"the encoder of {name} is frozen in every stage: its random weights never learn")
    for stage in recipe.stages:
        if stage.epochs == 0:
            notes.append(f"stage '{stage.name}' has 0 epochs: it trains nothing")
    # The recipe that a run keeps writes every default out.
    usual = next(f.default for f in fields(recipe.train) if f.name == "presence_dropout")
    if len(recipe.modalities) == 1 and recipe.train.presence_dropout not in (0, usual):
        notes.append("train.presence_dropout is not used: a recipe of one modality has none to hide")
    return notes
