"""A run opened again: its recipe, readers and best weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusekit import build
from fusekit.contracts import Reader, opening
from fusekit.data import folds
from fusekit.engine.checkpoint import load_checkpoint, load_weights, without_prefix
from fusekit.engine.runtime import Runtime
from fusekit.errors import RunError
from fusekit.nn.model import Model
from fusekit.recipe.arguments import component_faults
from fusekit.recipe.faults import Fault
from fusekit.recipe.load import load as load_recipe
from fusekit.recipe.requires import missing
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry
from fusekit.runs.data import Count, Data, load_data
from fusekit.runs.files import read_json
from fusekit.runs.identity import CLIPS, changed_code, check_clips, check_recipe, check_split


@dataclass
class Run:
    """A finished (or unfinished) run, opened for evaluation or prediction.

    Attributes:
        notes: what reads files otherwise than it did in training.
    """

    folder: Path
    recipe: Recipe
    registry: Registry
    runtime: Runtime
    readers: dict[str, Reader]
    model: Model
    notes: tuple[str, ...] = ()

    def split(self) -> folds.Split:
        """The stored split.

        Raises:
            RunError: it is not the one that the run began with.
        """
        split = folds.Split.from_json(read_json(self.folder / "splits.json"))
        check_split(self.folder, split)
        return split

    def data(self, parts: Sequence[str], count: Count | None = None) -> Data:
        """Clips of the named parts, prepared as training did.

        Raises:
            RunError: they hold something else than when the run began.
        """
        columns = kept_columns(self.folder)
        data = load_data(self.recipe, self.registry, parts, split=self.split(), columns=columns, count=count)
        check_clips(self.folder, data, parts)
        return data


def check_known(folder: Path, recipe: Recipe, registry: Registry) -> None:
    """Whether every component of a run is still to be had.

    Raises:
        RunError: not so; the message names the packages and the plugin files that the run was trained with.
    """
    path = folder / "provenance.json"
    facts = read_json(path) if path.is_file() else {}
    used = dict.fromkeys(recipe.requires, "") | facts.get("distributions", {})
    gone = [
        Fault(f"'{folder}' was trained with {name} {version}".rstrip(), "", fault)
        for name, version in used.items()
        if (fault := missing(name, registry))
    ]
    faults = component_faults([component for _, component in recipe.components()], registry, gone)
    if not faults:
        return
    files = facts.get("plugins", [])
    given = " ".join(f"--plugin {file}" for file in files)
    hint = f"\n  The run was trained with {given}; give that again." if files else ""
    raise RunError("\n".join(map(str, faults)) + hint)


def changed_readers(folder: Path, readers: Mapping[str, Reader]) -> list[str]:
    """Readers that no longer make of a file what they made of it when the run was trained, a sentence each: a
    tokenizer was exchanged in its folder, say, or another version of a plugin is installed."""
    path = folder / "provenance.json"
    stored: dict[str, dict[str, Any]] = read_json(path).get("readers", {}) if path.is_file() else {}
    notes = []
    for m, reader in readers.items():
        now = json.loads(json.dumps(reader.settings()))
        was = stored.get(m, now)  # a run of before this was kept does not say
        before = {"detector_files": now["detector_files"]} if "detector_files" in now else {}  # not kept once
        was = {**before, **was}
        odd = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        if odd:
            changes = ", ".join(f"{key} was {was.get(key)!r}, is {now.get(key)!r}" for key in odd)
            notes.append(f"{m} is read otherwise than when '{folder}' was trained: {changes}.")
    return notes


def kept_columns(folder: Path) -> dict[str, tuple[str, ...]]:
    """Names of feature tables' columns, in the order that a run was trained on; none where it is older than
    these are kept."""
    path = folder / "provenance.json"
    stored = read_json(path).get("columns", {}) if path.is_file() else {}
    return {m: tuple(map(str, names)) for m, names in stored.items()}


def select_columns(folder: Path, readers: Mapping[str, Reader]) -> list[str]:
    """Set each reader to the columns that the run was trained on; a note for each whose names it did not
    keep."""
    kept, notes = kept_columns(folder), []
    for m, reader in readers.items():
        if m in kept:
            reader.select(kept[m])
        elif type(reader).columns_in is not Reader.columns_in and not getattr(reader, "columns", None):
            notes.append(
                f"{m}: '{folder}' was trained before the names of tables' columns were kept, so that they "
                "come in the order of the training is taken on trust."
            )
    return notes


def run_id(folder: Path) -> str:
    """What a run and its checkpoints are known by; "" where it is older than this is kept.

    Raises:
        RunError: a run that keeps its clips' content, and so is no older one, has lost what it is known by.
    """
    path = folder / "provenance.json"
    facts = read_json(path) if path.is_file() else {}
    gone = [key for key in ("id", "digests") if not facts.get(key)]
    if gone and (folder / CLIPS).is_file():
        raise RunError(
            f"'{path}' has no {' and no '.join(gone)}, which tell whether it is as training left it; was it "
            "edited or lost? Put a whole copy back."
        )
    return str(facts.get("id", ""))


def open_run(folder: Path, registry: Registry, device: str = "auto") -> Run:
    """Recipe, readers and best weights of a run.

    Raises:
        RunError: there is no run, it has no weights yet, its recipe was changed, or a component of it is not
            installed (the message names the plugin files that it was trained with).
    """
    if not (folder / "recipe.yaml").is_file():
        raise RunError(
            f"'{folder}' is no run: it has no recipe.yaml. Runs are made by `fusekit train RECIPE --run DIR`."
        )
    if not (folder / "checkpoints" / "best.safetensors").is_file():
        raise RunError(f"the run '{folder}' has not finished; go on with `fusekit train --resume {folder}`.")
    recipe = load_recipe(folder / "recipe.yaml")
    runtime = Runtime(device, recipe.train.precision)
    check_known(folder, recipe, registry)
    check_recipe(folder, recipe, registry)
    readers = build.build_readers(recipe, registry)
    path = folder / "checkpoints" / "best.safetensors"
    tensors, _ = load_checkpoint(path, run_id(folder))
    with opening(recipe.train.seed):  # no weights are fetched from a hub, only to be replaced
        model = build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()})
    load_weights(model, without_prefix("model", tensors), str(path))
    notes = (
        *changed_readers(folder, readers),
        *select_columns(folder, readers),
        *changed_code(folder, registry),
    )
    return Run(folder, recipe, registry, runtime, readers, model.to(runtime.device).eval(), notes)
