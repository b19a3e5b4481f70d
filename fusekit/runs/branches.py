"""Branches of one run in another: an adversarial stage knows nothing of what follows, so models share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusekit.data import folds
from fusekit.engine.checkpoint import load_checkpoint, load_weights, without_prefix
from fusekit.errors import RunError
from fusekit.nn.model import Model
from fusekit.recipe.load import load as load_recipe
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry
from fusekit.runs.data import Data
from fusekit.runs.files import read_json
from fusekit.runs.identity import changed_files, check_recipe, differing, kept_clips, listed
from fusekit.runs.run import changed_readers, run_id


def branch_settings(recipe: Recipe, modality: str) -> dict[str, Any]:
    """All that a recipe says of how its adversarial stage makes one modality's branch.

    Branches of two runs may stand in for one another where this is equal, and the clips are the same.
    """
    own = recipe.modalities[modality]
    stages = [s for s in recipe.stages if s.objective == "adversarial" and s.trains(modality)]
    return {
        "reader": own.reader,
        "degradation": own.degradation,
        "encoder": own.encoder,
        "quadrant": own.quadrant,
        "projector": own.projector,
        "stages": [replace(s, modalities=None) for s in stages],  # what else they train changes nothing
        "dims": recipe.target.dims,
        "step_hz": recipe.target.step_hz,
        "shuffle": recipe.target.shuffle,
        "weighting": recipe.train.weighting,
    }


def take_branches(
    model: Model,
    recipe: Recipe,
    data: Data,
    clips: Mapping[str, Mapping[str, str]],
    registry: Registry,
    runs: Sequence[Path],
) -> set[str]:
    """Load the branches that other runs' adversarial stages left.

    Args:
        clips: what this run's clips hold (`fusekit.runs.identity.clips_of`).

    Each modality comes from the first run that has it, made as this recipe says.

    Returns:
        The modalities that were found; the others have to be trained.

    Raises:
        RunError: no run has such a stage for any modality; it was trained on other clips, other content of
            them, or by other settings, or its branch does not fit.
    """
    paths = {run: _finished(run) for run in runs}
    theirs = {run: load_recipe(run / "recipe.yaml") for run in runs}
    taken = set()
    for m in model.names:
        having = [run for run in runs if m in theirs[run].modalities]
        # One that no adversarial stage of this recipe trains is made here, whatever others made of it.
        if not having or not branch_settings(recipe, m)["stages"]:
            continue
        differing = {run: _differing(recipe, theirs[run], m) for run in having}
        run = next((run for run in having if not differing[run]), having[0])
        _same_clips(run, data.split)
        _same_content(run, data, clips, m)
        if differing[run]:
            raise RunError(
                f"the branch of {m} in '{run}' was made by another recipe: {', '.join(differing[run])} "
                "differ. Use one that agrees, or train the stage here."
            )
        check_recipe(run, theirs[run], registry)
        changed = [
            *changed_readers(run, {m: data.readers[m]}),
            *changed_files(run, recipe, registry, f"modalities.{m}."),
        ]
        if changed:
            raise RunError(f"the branch of {m}: {' '.join(changed)} Train the stage here.")
        tensors, _ = load_checkpoint(paths[run], run_id(run))
        branch = without_prefix(f"model.branches.{m}", tensors)
        load_weights(model.branches[m], branch, f"{paths[run]} for modality {m}")
        taken.add(m)
    if not taken:
        named = ", ".join(f"'{run}'" for run in runs)
        raise RunError(f"no run of {named} has any of the modalities {', '.join(model.names)}.")
    return taken


def _differing(mine: Recipe, theirs: Recipe, modality: str) -> list[str]:
    """What two recipes say differently of how a modality's branch is made."""
    one, other = branch_settings(mine, modality), branch_settings(theirs, modality)
    return [what for what in one if one[what] != other[what]]


def remembered(run_dir: Path) -> list[Path]:
    """The runs whose branches a run began with."""
    named: list[str] | str | None = read_json(run_dir / "provenance.json").get("branches_from")
    return [Path(run) for run in ([named] if isinstance(named, str) else named or [])]


def _finished(run: Path) -> Path:
    """The checkpoint that a run's (last) adversarial stage left."""
    recipe = load_recipe(run / "recipe.yaml") if (run / "recipe.yaml").is_file() else None
    names = [s.name for s in recipe.stages if s.objective == "adversarial"] if recipe else []
    path = run / "checkpoints" / f"{names[-1] if names else 'latent'}.safetensors"
    if not names or not path.is_file():
        raise RunError(f"'{run}' has no finished adversarial stage ('{path.name}') to take branches from.")
    return path


def _same_clips(run: Path, split: folds.Split) -> None:
    theirs = folds.Split.from_json(read_json(run / "splits.json"))
    if (theirs.train, theirs.validation) != (split.train, split.validation):
        raise RunError(
            f"the branches in '{run}' were trained and chosen on other clips than this run's training and "
            "validation clips; test subjects could be among them. Use the same corpus, split and fold."
        )


def _same_content(run: Path, data: Data, clips: Mapping[str, Mapping[str, str]], modality: str) -> None:
    """Labels, subjects and files of the modality must be what the branch was trained and chosen on."""
    theirs = kept_clips(run)  # a run of before this was kept does not say
    wanted = {*data.split.train, *data.split.validation}
    was = {i: held for i, held in theirs.items() if i in wanted}
    now = {i: clips[i] for i in was if i in clips}
    if odd := differing(was, now, only=("subject", "labels", modality)):
        raise RunError(
            f"the branch of {modality} in '{run}' was trained on other data: {listed(odd)}. Train "
            "the stage here."
        )
