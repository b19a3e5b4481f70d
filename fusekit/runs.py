"""A run: recipe, data, parts and engine in one directory that can be resumed and opened again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusekit import build
from fusekit.contracts import Clip, Corpus, Loss, Reader, Rejected
from fusekit.data import folds
from fusekit.data.labels import FrequencyWeights, quadrant_weights
from fusekit.data.sampling import sample_rngs
from fusekit.data.steps import ClipSteps, build_steps, shuffle_labels
from fusekit.data.store import PreparedStore, prepare_clips
from fusekit.data.windows import Windows
from fusekit.engine.adversarial import Adversarial, AdversarialSettings
from fusekit.engine.checkpoint import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from fusekit.engine.files import replace_file
from fusekit.engine.latents import ClipSource, DegradedClip, LatentCache
from fusekit.engine.loop import fit
from fusekit.engine.objective import Objective, Phase
from fusekit.engine.progress import BarProgress
from fusekit.engine.runtime import Runtime
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.errors import RecipeError, RunError
from fusekit.nn.model import Model
from fusekit.provenance import boxed, provenance
from fusekit.recipe.load import load as load_recipe
from fusekit.recipe.schema import Recipe, Stage
from fusekit.registry import Registry

Count = Callable[..., None]


@dataclass
class Data:
    """Clips of a recipe on its step grid, by part of the split."""

    corpus: Corpus
    readers: dict[str, Reader]
    clips: list[Clip]
    split: folds.Split
    rejected: list[Rejected]
    steps: dict[str, list[ClipSteps]]


def load_data(
    recipe: Recipe,
    registry: Registry,
    parts: Sequence[str],
    *,
    split: folds.Split | None = None,
    count: Count | None = None,
) -> Data:
    """Corpus -> split -> prepared store -> step grid, for the named parts alone; others' media stay unread.

    Raises:
        DataError: the corpus is missing, or nothing of it can be used.
    """
    corpus = build.build_corpus(recipe, registry)
    readers = build.build_readers(recipe, registry)
    columns = {m: v.source or m for m, v in recipe.modalities.items()}
    clips, rejected = corpus.load(sorted(set(columns.values())), recipe.target.dims)
    clips = [
        replace(c, sources={m: c.sources[column] for m, column in columns.items() if column in c.sources})
        for c in clips
    ]
    s = recipe.split
    if split is None:
        split = folds.assign(
            clips,
            folds=s.folds,
            fold=s.fold,
            validation=s.validation,
            seed=s.seed,
            subject_dependent=s.subject_dependent,
        )
    else:
        folds.verify(split, clips)
    wanted = {i for p in parts for i in split.part(p)}
    streams, bad = prepare_clips([c for c in clips if c.id in wanted], readers, PreparedStore(), count)
    rejected += bad
    gone = {r.where for r in bad}
    steps: dict[str, list[ClipSteps]] = {}
    for part in parts:
        mine = [c for c in clips if c.id in split.part(part) and c.id not in gone]
        if not mine:
            raise RunError(_no_clip(part, split, clips, rejected))
        steps[part], odd = build_steps(
            mine, streams, readers, recipe.target.dims, recipe.target.step_hz, corpus.label_range
        )
        rejected += odd
    return Data(corpus, readers, clips, split, rejected, steps)


def _no_clip(part: str, split: folds.Split, clips: Sequence[Clip], rejected: Sequence[Rejected]) -> str:
    if not split.part(part):
        return f"the split has no {part} part ({split.how})."
    reasons = (
        "; ".join(f"{r.where}: {r.reason.rstrip('.')}" for r in rejected[:3])
        or "none is in the corpus any more"
    )
    more = f" (and {len(rejected) - 3} more)" if len(rejected) > 3 else ""
    return f"no usable clip is left in the {part} part of the split ({split.how}). {reasons}{more}"


def _seen(recipe: Recipe, data: Data) -> None:
    """Every modality must be present at some labelled step, or there is nothing that it could learn from."""
    adversarial = any(s.objective == "adversarial" for s in recipe.stages)
    for part in ("train", "validation") if adversarial else ("train",):
        for column, m in enumerate(data.readers):
            if not any((s.present[:, column] & s.known.any(axis=1)).any() for s in data.steps[part]):
                how = "no file, no face found, or digital silence"
                raise RunError(
                    f"modality {m} is present at no labelled step of the {part} clips ({how}). See what its "
                    f"reader finds, give other files, or leave modalities.{m} out of the recipe."
                )


def train(
    recipe: Recipe,
    registry: Registry,
    *,
    run_dir: Path,
    device: str = "auto",
    resume: bool = False,
    plugins: Sequence[str] = (),
    branches_from: Path | None = None,
) -> None:
    """Train a recipe into `run_dir`; with `resume`, go on where it stopped.

    Args:
        branches_from: a run whose trained adversarial stage is taken over, encoders, quadrant heads and
            projectors of the modalities that this recipe has, instead of training that stage again (the paper
            trains it per modality, and fusion after it). Its training clips must be this run's.

    Raises:
        FusekitError: anything the user can mend; nothing half-written is left.
        KeyboardInterrupt: state saved.
    """
    build.check(recipe, registry)
    if recipe.preset == "table11":
        raise RecipeError(
            "preset table11 only counts parameters as the paper's Table 11 prints them; it cannot be "
            "trained. Use `fusekit check` with it, or another preset."
        )
    runtime = Runtime(device, recipe.train.precision)
    with BarProgress(silent=not runtime.is_main) as progress:
        stored = run_dir / "splits.json"
        split = folds.Split.from_json(read_json(stored)) if resume and stored.exists() else None
        data = load_data(
            recipe, registry, ("train", "validation"), split=split, count=progress.counter("preparing clips")
        )
        for r in data.rejected:
            progress.say(f"left out {r.where}: {r.reason}")
        _seen(recipe, data)
        if runtime.is_main and not resume:
            _begin(run_dir, recipe, data, str(runtime.device), plugins, branches_from)
        runtime.wait()
        model = _fresh_model(recipe, registry, data.readers, runtime)
        if resume:
            branches_from = _remembered(run_dir)
        if branches_from is not None:
            take_branches(model, recipe, data.split, branches_from)
        phases = plan(recipe, registry, model, data, runtime, progress)
        if branches_from is not None:
            phases = [phase for phase in phases if phase.objective != "adversarial"]
        folder = run_dir / "checkpoints"
        going_on = resume and (folder / "last.safetensors").exists()
        fit(phases, model, runtime, folder, recipe.train.seed, progress, resume=going_on)
    if runtime.is_main:
        save_checkpoint(
            folder / "best.safetensors", with_prefix("model", model.state_dict()), {"recipe": recipe.name}
        )
    runtime.wait()


def _fresh_model(recipe: Recipe, registry: Registry, readers: dict[str, Reader], runtime: Runtime) -> Model:
    torch.manual_seed(recipe.train.seed)
    model = build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()}).to(
        runtime.device
    )
    runtime.broadcast(model)
    return model


def take_branches(model: Model, recipe: Recipe, split: folds.Split, run: Path) -> None:
    """Load the branches that another run's adversarial stage left.

    Raises:
        RunError: there is no such stage, it was trained on other clips, or its branches do not fit.
    """
    names = [s.name for s in recipe.stages if s.objective == "adversarial"]
    path = run / "checkpoints" / f"{names[-1] if names else 'latent'}.safetensors"
    theirs = folds.Split.from_json(read_json(run / "splits.json")) if path.is_file() else None
    if theirs is None:
        raise RunError(f"'{run}' has no finished adversarial stage ('{path.name}') to take branches from.")
    if theirs.train != split.train:
        raise RunError(
            f"the branches in '{run}' were trained on other clips than this run's training clips; test "
            "subjects could be among them. Use the same corpus, split and fold."
        )
    tensors, _ = load_checkpoint(path)
    for m in model.names:
        load_weights(
            model.branches[m], without_prefix(f"model.branches.{m}", tensors), f"{path} for modality {m}"
        )


def _remembered(run_dir: Path) -> Path | None:
    path = read_json(run_dir / "provenance.json").get("branches_from")
    return None if path is None else Path(path)


def _begin(
    run_dir: Path,
    recipe: Recipe,
    data: Data,
    device: str,
    plugins: Sequence[str],
    branches_from: Path | None,
) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the folder '{run_dir}': {error.strerror or error}. Name another by --run."
        ) from error
    write_json(run_dir / "splits.json", data.split.to_json())
    facts = provenance(data.clips, device, recipe.train.seed, plugins)
    facts["corpus"] = data.corpus.describe()
    facts["branches_from"] = None if branches_from is None else str(branches_from.resolve())
    facts["label_range"] = list(data.corpus.label_range)
    facts["boxes"] = boxed([c for c in data.clips if c.id in data.split.train], data.readers)
    facts["left_out"] = [{"where": r.where, "reason": r.reason} for r in data.rejected]
    write_json(run_dir / "provenance.json", facts)
    # Last: a directory with a recipe is a run.
    write_text(run_dir / "recipe.yaml", recipe.to_yaml())


def plan(
    recipe: Recipe, registry: Registry, model: Model, data: Data, runtime: Runtime, progress: BarProgress
) -> list[Phase]:
    """The recipe's stages as phases.

    An adversarial stage has one per modality, a supervised stage one per window length.
    """
    steps = data.steps["train"]
    if recipe.target.shuffle:
        # Validation labels too: the best epoch chosen on true ones would let the truth in by the back door.
        shuffled = {part: shuffle_labels(clips, recipe.train.seed) for part, clips in data.steps.items()}
        steps, data = shuffled["train"], replace(data, steps=shuffled)
    weights = None
    if recipe.train.weighting != "none":
        fitted = FrequencyWeights.fit(
            np.concatenate([s.target for s in steps]),
            np.concatenate([s.known for s in steps]),
            recipe.train.weighting,
        )
        weights = fitted.weights
    caches: dict[str, Caches] = {}
    phases: list[Phase] = []
    for number, stage in enumerate(recipe.stages):
        loss = build.build_loss(stage, registry)
        every = stage.validate_every
        if stage.objective == "adversarial":
            for column, m in enumerate(model.names):
                make = partial(
                    _adversarial,
                    recipe,
                    registry,
                    stage,
                    number,
                    model,
                    data,
                    steps,
                    m,
                    column,
                    loss,
                    weights,
                    runtime,
                )
                phases.append(
                    Phase(f"{stage.name} {m}", stage.name, stage.objective, 1, stage.epochs, every, make)
                )
        else:
            for window in stage.windows:
                make = partial(
                    _supervised,
                    recipe,
                    registry,
                    stage,
                    number,
                    window,
                    model,
                    data,
                    steps,
                    loss,
                    weights,
                    runtime,
                    caches,
                    progress,
                )
                name = f"{stage.name} {window} steps"
                phases.append(Phase(name, stage.name, stage.objective, window, stage.epochs, every, make))
    return phases


def _adversarial(
    recipe: Recipe,
    registry: Registry,
    stage: Stage,
    number: int,
    model: Model,
    data: Data,
    steps: list[ClipSteps],
    modality: str,
    column: int,
    loss: Loss,
    weights: Any,
    runtime: Runtime,
) -> Objective:
    torch.manual_seed(recipe.train.seed + 1 + column)
    alone = build.solo(recipe, registry, model, modality).to(runtime.device)
    runtime.broadcast(alone)
    reader = data.readers[modality]
    augmentation = None
    if stage.augment:
        from fusekit.data.augmentation import augmentation_for

        # Without denoising the occlusion grid is one more choice of the augmentation (spec 4.5).
        without_damage = recipe.modalities[modality].degradation is None
        augmentation = augmentation_for(reader.medium, occlusion=without_damage)
    return Adversarial(
        alone,
        Windows(_where_present(steps, column), 1, frames_hz=stage.frames_hz),
        Windows(_where_present(data.steps["validation"], column), 1, frames_hz=stage.frames_hz),
        loss,
        AdversarialSettings(
            batch_size=stage.batch_size,
            lr=stage.lr,
            betas=stage.betas,
            gan=stage.gan,
            critic_steps=stage.critic_steps,
            lambdas=stage.lambdas,
            seed=recipe.train.seed,
        ),
        runtime,
        _rngs(recipe.train.seed, number, column),
        recipe.target.dims,
        degradation=build.build_degradations(recipe, registry)[modality],
        augmentation=augmentation,
        weights=weights,
    )


def _where_present(steps: Sequence[ClipSteps], column: int) -> list[ClipSteps]:
    """Steps without this modality count as unlabelled, so that no window of them is made."""
    return [
        replace(s, known=s.known & s.present[:, column : column + 1], present=s.present)
        for s in steps
        if (s.known & s.present[:, column : column + 1]).any()
    ]


def _degraded(
    recipe: Recipe, registry: Registry, steps: Sequence[ClipSteps], number: int
) -> list[DegradedClip]:
    """The clips with the recipe's degradations over their inputs: always the same damage for a seed."""
    degradations = build.build_degradations(recipe, registry)

    def rngs(clip: int) -> Callable[[int, str], np.random.Generator]:
        return lambda stretch, m: sample_rngs(recipe.train.seed, clip, [stretch], f"{number}/copy/{m}")[0]

    return [DegradedClip(s, degradations, rngs(i)) for i, s in enumerate(steps)]


def _supervised(
    recipe: Recipe,
    registry: Registry,
    stage: Stage,
    number: int,
    window: int,
    model: Model,
    data: Data,
    steps: list[ClipSteps],
    loss: Loss,
    weights: Any,
    runtime: Runtime,
    caches: dict[str, Caches],
    progress: BarProgress,
) -> Objective:
    frozen = {"encoder", "quadrant"} <= set(stage.freeze)
    if frozen and stage.name not in caches:
        caches.clear()
        copies = _degraded(recipe, registry, steps, number) if stage.degraded else None

        def cache(what: str, clips: Sequence[ClipSource]) -> LatentCache:
            return LatentCache(model, clips, runtime, progress=progress.counter(f"latents, {what}"))

        caches[stage.name] = Caches(
            cache("training", steps),
            cache("validation", data.steps["validation"]),
            None if copies is None else cache("damaged copies", copies),
        )
    quadrants = np.concatenate([s.quadrant for s in steps])
    return Supervised(
        model,
        Windows(steps, window),
        caches.get(stage.name),
        data.steps["validation"],
        loss,
        SupervisedSettings(
            batch_size=stage.batch_size,
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
        runtime,
        _rngs(recipe.train.seed, number, window),
        recipe.target.dims,
        weights=weights,
        quadrant_weights=quadrant_weights(quadrants) if (quadrants >= 0).any() else None,
    )


def _rngs(seed: int, stage: int, what: int) -> Any:
    def rngs(epoch: int, indices: Any, purpose: str) -> Any:
        return sample_rngs(seed, epoch, indices, f"{stage}/{what}/{purpose}")

    return rngs


@dataclass
class Run:
    """A finished (or unfinished) run, opened for evaluation or prediction."""

    folder: Path
    recipe: Recipe
    registry: Registry
    runtime: Runtime
    readers: dict[str, Reader]
    model: Model

    def split(self) -> folds.Split:
        """The stored split."""
        return folds.Split.from_json(read_json(self.folder / "splits.json"))

    def data(self, parts: Sequence[str], count: Count | None = None) -> Data:
        """Clips of the named parts, prepared as training did."""
        return load_data(self.recipe, self.registry, parts, split=self.split(), count=count)


def open_run(folder: Path, registry: Registry, device: str = "auto") -> Run:
    """Recipe, readers and best weights of a run.

    Raises:
        RunError: there is no run, or it has no weights yet.
    """
    if not (folder / "recipe.yaml").is_file():
        raise RunError(
            f"'{folder}' is no run: it has no recipe.yaml. Runs are made by `fusekit train RECIPE --run DIR`."
        )
    if not (folder / "checkpoints" / "best.safetensors").is_file():
        raise RunError(f"the run '{folder}' has not finished; go on with `fusekit train --resume {folder}`.")
    recipe = load_recipe(folder / "recipe.yaml")
    runtime = Runtime(device, recipe.train.precision)
    readers = build.build_readers(recipe, registry)
    path = folder / "checkpoints" / "best.safetensors"
    tensors, _ = load_checkpoint(path)
    # On the meta device: no weights are drawn, and none are fetched from a hub, only to be replaced.
    with torch.device("meta"):
        model = build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()})
    load_weights(model, without_prefix("model", tensors), str(path), assign=True)
    return Run(folder, recipe, registry, runtime, readers, model.to(runtime.device).eval())


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically.

    Raises:
        RunError: it cannot be written (full disk, no permission); the old one is still whole.
    """
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise RunError(
            f"cannot write '{path}': {error.strerror or error}. Free some space, or use another folder."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically; raises like `write_text`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file of a run holds.

    Raises:
        RunError: it is missing, or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"the run is not whole: there is no '{path}'. Put it back, or train anew in another folder."
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(
            f"'{path}' cannot be read ({error}); was it edited or cut short? Put a whole copy back."
        ) from error
