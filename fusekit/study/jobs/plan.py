"""From a study to its runs, in an order in which each one's first stage is there when it is needed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from fusekit import build
from fusekit.errors import RecipeError, RunError
from fusekit.recipe.load import bundled, load
from fusekit.recipe.schema import Recipe
from fusekit.recipe.study import Study, StudyModel
from fusekit.registry import Registry
from fusekit.runs.branches import branch_settings
from fusekit.runs.files import read_json, write_json
from fusekit.study.paper.results import run_folder


@dataclass(frozen=True)
class Job:
    """One run of a study.

    Attributes:
        recipe: as `fusekit.recipe.load` takes it, with `changes`.
        folder: of the run.
        branches: folders of the runs whose adversarial stages it takes over; empty: it trains its own.
    """

    model: str
    fold: int
    seed: int
    recipe: str
    changes: tuple[str, ...]
    folder: str
    branches: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.model} fold {self.fold} seed {self.seed}"


def plan_jobs(study: Study, file: Path, folder: Path, registry: Registry) -> list[Job]:
    """All runs of a study, those first that others take their branches from.

    Of the models of one fold and seed, the first that has a modality made in one way trains it; every later
    one takes it over (the paper trains stage 1 per modality).

    Raises:
        RecipeError: what is wrong with any model's recipe, all of it.
    """
    _check(study, file, registry)
    jobs: list[Job] = []
    for seed in study.seeds:
        for fold in study.folds:
            owners: list[tuple[dict[str, Any], str]] = []
            for name, model in study.models.items():
                recipe, changes = _recipe(study, model, file, fold, seed)
                at = str(run_folder(folder, name, fold, seed))
                # One that no adversarial stage trains is every run's own.
                made = [m for m in (_made(recipe, name) for name in recipe.modalities) if m["stages"]]
                found = [next((run for how, run in owners if how == mine), None) for mine in made]
                branches = tuple(dict.fromkeys(run for run in found if run))
                owners += [(mine, at) for mine, run in zip(made, found, strict=True) if run is None]
                jobs.append(Job(name, fold, seed, _source(model, file), changes, at, branches))
    return sorted(jobs, key=lambda job: bool(job.branches))  # stable: owners first, else in order


def write_plan(study: Study, file: Path, folder: Path, registry: Registry) -> None:
    """Leave study.json, by which the folder is known as a study; a folder of another study is refused.

    Raises:
        RunError: the folder holds another study; RecipeError: a recipe is wrong, or the models disagree on
            corpus, dimensions or steps, so that no table could compare them.
    """
    recipes = {
        name: _recipe(study, model, file, study.folds[0], study.seeds[0])[0]
        for name, model in study.models.items()
    }
    first = next(iter(recipes.values()))
    for name, recipe in recipes.items():
        for what in ("corpus", "target.dims", "target.step_hz"):
            if attrgetter(what)(recipe) != attrgetter(what)(first):
                raise RecipeError(f"{file}: models.{name}: its {what} is not that of {next(iter(recipes))}.")
    plan: dict[str, Any] = {
        "name": study.name,
        "corpus": build.build_corpus(first, registry).describe(),
        "dims": list(first.target.dims),
        "label_range": None,  # the corpus knows it once it is read: each run has it
        "step_hz": first.target.step_hz,
        "models": [
            {"name": n, "recipe": study.models[n].recipe, "modalities": list(r.modalities)}
            for n, r in recipes.items()
        ],
        "folds": list(study.folds),
        "seeds": list(study.seeds),
        "study": _facts(study),
    }
    path = folder / "study.json"
    if path.is_file() and not _grown(read_json(path).get("study"), plan["study"]):
        raise RunError(
            f"'{folder}' holds another study, or this one before its file was changed. Name another "
            "folder with --out, or undo the change."
        )
    write_json(path, plan)


def _facts(study: Study) -> dict[str, Any]:
    """A study as plain data, by which it is known again."""
    facts: dict[str, Any] = json.loads(json.dumps({**asdict(study), "corpus": None}))
    return {**facts, "changes": {**facts["changes"], "all": list(study.common())}}


def _grown(before: dict[str, Any] | None, now: dict[str, Any]) -> bool:
    """Whether it is the same study with, at most, more folds, seeds or models."""
    if before is None or before["name"] != now["name"] or before["changes"] != now["changes"]:
        return False
    kept = all(now["models"].get(name) == model for name, model in before["models"].items())
    return kept and all(set(before[key]) <= set(now[key]) for key in ("folds", "seeds"))


def same_recipe(job: Job, registry: Registry) -> bool:
    """Whether the run that lies in a job's folder was begun from the job's recipe."""
    wanted = build.anchor(load(job.recipe, job.changes), registry)
    return load(Path(job.folder) / "recipe.yaml") == wanted


def _check(study: Study, file: Path, registry: Registry) -> None:
    faults = []
    for name, model in study.models.items():
        try:
            recipe, _ = _recipe(study, model, file, study.folds[0], study.seeds[0], registry)
            build.check(recipe, registry)
            for fold in study.folds:
                _recipe(study, model, file, fold, study.seeds[0])
        except RecipeError as error:
            faults.append(f"models.{name}: {error}")
    if faults:
        raise RecipeError(f"{file}: " + "\n".join(faults))


def _recipe(
    study: Study, model: StudyModel, file: Path, fold: int, seed: int, registry: Registry | None = None
) -> tuple[Recipe, tuple[str, ...]]:
    """A model's recipe in a fold with a seed, and the changes that make it so."""
    source = _source(model, file)
    # Which modalities it has decides what is changed; its own changes may take one away.
    modalities = load(source, (*study.common(), *model.changes)).modalities
    own = [text for key, texts in study.changes.items() if key in modalities for text in texts]
    changes = (*study.common(), *own, *model.changes, f"split.fold={fold}", f"train.seed={seed}")
    return load(source, changes, registry), changes


def _source(model: StudyModel, file: Path) -> str:
    beside = file.parent / model.recipe
    return str(beside) if beside.is_file() else model.recipe if model.recipe in bundled() else str(beside)


def _made(recipe: Recipe, modality: str) -> dict[str, Any]:
    """Equal where two models' branches are made in the same way from the same clips."""
    source = recipe.modalities[modality].source or modality
    settings = branch_settings(recipe, modality)
    return {
        **settings,
        "modality": modality,
        "source": source,
        "corpus": recipe.corpus,
        "split": recipe.split,
    }
