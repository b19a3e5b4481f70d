"""Training a recipe into a run's directory, from its beginning or from where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from fusekit import build
from fusekit.contracts import Reader
from fusekit.data import folds
from fusekit.data.folds import PARTS
from fusekit.engine.checkpoint import save_checkpoint, with_prefix
from fusekit.engine.loop import fit
from fusekit.engine.progress import BarProgress
from fusekit.engine.runtime import Runtime
from fusekit.errors import DataError, RecipeError, RunError
from fusekit.nn.model import Model
from fusekit.provenance import boxed, data_hash, hash_of, provenance
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry
from fusekit.runs.branches import remembered, take_branches
from fusekit.runs.data import Data, check_seen, load_data
from fusekit.runs.files import read_json, write_json, write_text
from fusekit.runs.findings import odd, told, write_findings
from fusekit.runs.identity import (
    CLIPS,
    VERSION,
    changed_files,
    check_clips,
    check_recipe,
    check_split,
    clips_of,
    facts_of,
)
from fusekit.runs.plan import plan
from fusekit.runs.run import changed_readers, check_known, kept_columns, run_id
from fusekit.runs.shapes import SEALED, digest_of

LOCK = ".lock"


def train(
    recipe: Recipe,
    registry: Registry,
    *,
    run_dir: Path,
    device: str = "auto",
    resume: bool = False,
    plugins: Sequence[str] = (),
    branches_from: Sequence[Path] = (),
    strict: bool = False,
) -> None:
    """Train a recipe into `run_dir`; with `resume`, go on where it stopped.

    Args:
        branches_from: runs whose trained adversarial stages are taken over, encoders, quadrant heads and
            projectors, instead of training that stage again (the paper trains it per modality, and fusion
            after it); each modality from the first run that has it, one that none has is trained. Their
            training and validation clips must be this run's, and their modalities and adversarial stages what
            this recipe says.
        strict: begin only if no clip is left out and nothing about the data is odd.

    Raises:
        FusekitError: anything the user can mend; nothing half-written is left.
        KeyboardInterrupt: state saved.
    """
    if resume:
        check_known(run_dir, recipe, registry)
        check_recipe(run_dir, recipe, registry)
    checked = build.check(recipe, registry, dry=not resume)
    if recipe.preset == "table11":
        raise RecipeError(
            "preset table11 only counts parameters as the paper's Table 11 prints them; it cannot be "
            "trained. Use `fusekit check` with it, or another preset."
        )
    recipe = build.anchor(recipe, registry)  # a run can be resumed and evaluated from any folder
    runtime = Runtime(device, recipe.train.precision)
    with ExitStack() as stack, BarProgress(silent=not runtime.is_main) as progress:
        for note in checked.unused:
            progress.say(f"note: {note}")
        stored = run_dir / "splits.json"
        split = folds.Split.from_json(read_json(stored)) if resume and stored.exists() else None
        if split is not None:
            check_split(run_dir, split)
        data = load_data(
            recipe,
            registry,
            ("train", "validation"),
            split=split,
            columns=kept_columns(run_dir) if resume else None,
            count=progress.counter("preparing clips"),
        )
        for line in told(data.rejected, data.findings["training"].notes):
            progress.say(line)
        if strict and (counted := odd(data.rejected, data.findings["training"].notes)):
            raise DataError(f"{counted}, and --strict allows none; `fusekit data check` explains them.")
        check_seen(recipe, data)
        clips = clips_of(data, PARTS)
        model = _fresh_model(recipe, registry, data.readers, runtime)
        if resume:
            branches_from = remembered(run_dir)
        taken = take_branches(model, recipe, data, clips, registry, branches_from) if branches_from else set()
        phases = plan(recipe, registry, model, data, runtime, progress, taken)
        # Only now, when nothing of the recipe is left to refuse.
        if runtime.is_main:
            stack.enter_context(claimed(run_dir))
            if resume:
                _as_begun(run_dir, recipe, registry, data, clips)
            else:
                used = build.distributions(recipe, registry)
                facts = provenance(data.clips, str(runtime.device), recipe.train.seed, plugins, used)
                facts |= facts_of(recipe, registry, data.split, clips, plugins)
                facts["branches_from"] = [str(run.resolve()) for run in branches_from]
                _begin(run_dir, recipe, data, clips, facts)
        runtime.wait()
        folder = run_dir / "checkpoints"
        going_on = resume and (folder / "last.safetensors").exists()
        run = run_id(run_dir)
        fit(phases, model, runtime, folder, recipe.train.seed, progress, resume=going_on, run=run)
        if runtime.is_main:
            best = with_prefix("model", model.state_dict())
            save_checkpoint(
                folder / "best.safetensors", best, {"recipe": recipe.name, **({"run": run} if run else {})}
            )
    runtime.wait()


def _fresh_model(recipe: Recipe, registry: Registry, readers: dict[str, Reader], runtime: Runtime) -> Model:
    torch.manual_seed(recipe.train.seed)
    model = build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()}).to(
        runtime.device
    )
    runtime.broadcast(model)
    return model


@contextmanager
def claimed(run_dir: Path) -> Iterator[None]:
    """A run (or study) for this process alone: two would write into one journal. The lock lies in its folder,
    so that it holds for whoever reaches the folder, from any cache and any machine that shares it; when its
    process ends, however it does, nothing holds it any more. Where nothing was begun it is removed, with a
    folder that was made for it (which a fault leaves: its message names it).

    Raises:
        RunError: another process has it, or the lock cannot be written.
    """
    path = run_dir / LOCK
    lock = FileLock(path, timeout=0)
    made = not run_dir.exists()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the folder '{run_dir}': {error.strerror or error}. Name another by --run."
        ) from error
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(
            f"another process is at work in '{run_dir}'. Wait for it, or name another folder."
        ) from error
    except OSError as error:
        raise RunError(
            f"cannot lock the run by '{path}': {error.strerror or error}. Free some space there, or name "
            "another folder."
        ) from error
    with lock:
        try:
            yield
        except BaseException:
            made = False
            raise
        finally:
            if [file.name for file in run_dir.iterdir()] == [LOCK]:
                path.unlink()
                if made:
                    run_dir.rmdir()


def _as_begun(
    run_dir: Path,
    recipe: Recipe,
    registry: Registry,
    data: Data,
    clips: Mapping[str, Mapping[str, str]],
) -> None:
    began = str(read_json(run_dir / "provenance.json").get("data_sha256", ""))
    check_clips(run_dir, data, PARTS)
    # A run of before its clips were kept one by one knows them by names and sizes.
    if began and began != (hash_of(clips) if began.startswith("2:") else data_hash(data.clips)):
        raise RunError(
            f"the clips or labels are not those that '{run_dir}' began with (data_sha256 in its "
            "provenance.json). Put them back, or begin a new run."
        )
    changed = [*changed_readers(run_dir, data.readers), *changed_files(run_dir, recipe, registry)]
    if changed:
        raise RunError(" ".join(changed) + " Put back what it was, or begin a new run.")


def _begin(
    run_dir: Path,
    recipe: Recipe,
    data: Data,
    clips: Mapping[str, Mapping[str, str]],
    facts: dict[str, Any],
) -> None:
    if (run_dir / "recipe.yaml").exists():  # begun by another process since the command line looked
        raise RunError(f"'{run_dir}' already holds a run. Name another by --run.")
    write_json(run_dir / "splits.json", data.split.to_json())
    write_findings(run_dir, data)
    write_json(run_dir / CLIPS, {"version": VERSION, "clips": clips})
    facts["corpus"] = data.corpus.describe()
    facts["label_range"] = list(data.corpus.label_range)
    facts["readers"] = {m: reader.settings() for m, reader in data.readers.items()}
    facts["columns"] = {m: list(names) for m, names in data.columns.items()}
    facts["spacings_s"] = data.spacings_s
    facts["boxes"] = boxed([c for c in data.clips if c.id in data.split.train], data.readers)
    facts["left_out"] = [{"where": r.where, "reason": r.reason} for r in data.rejected]
    facts["digests"] = {key: digest_of(facts[key]) for key in SEALED}
    facts["id"] = digest_of(facts)[:16]
    write_json(run_dir / "provenance.json", facts)
    # Last: a directory with a recipe is a run.
    write_text(run_dir / "recipe.yaml", recipe.to_yaml())
