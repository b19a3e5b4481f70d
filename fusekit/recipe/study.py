"""What a study file says: models, folds and seeds; its dataclasses are its schema, as a recipe's are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusekit.recipe.faults import Fault, error
from fusekit.recipe.fill import fill_with
from fusekit.recipe.load import RECIPES, find
from fusekit.recipe.merge import merge, parse_overrides
from fusekit.recipe.nodes import Node, read
from fusekit.recipe.schema import Component


@dataclass(frozen=True, kw_only=True)
class StudyModel:
    """One model of a study.

    Attributes:
        recipe: a file, as seen from the study file, or the name of a bundled recipe.
        changes: `key.path=value`, for this model alone.
    """

    recipe: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """A whole study: every model in every fold with every seed.

    Attributes:
        models: by the name that tables show, in their order. A bare word is the model's recipe.
        corpus: takes the place of every recipe's own.
        changes: `key.path=value` under "all" for every model, under a modality's name for those that have it.
        folds: folds to test, one after the other (`split.fold`).
        seeds: of training (`train.seed`).
    """

    name: str
    models: dict[str, StudyModel]
    corpus: Component | None = None
    changes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    seeds: tuple[int, ...] = (0,)

    def common(self) -> tuple[str, ...]:
        """What is changed in every model's recipe."""
        corpus = (
            ()
            if self.corpus is None
            else (f"corpus={_flow({'name': self.corpus.name, **self.corpus.args})}",)
        )
        return (*corpus, *self.changes.get("all", ()))


def load_study(path_or_name: str | Path, overrides: Sequence[str] = ()) -> tuple[Study, Path]:
    """A study, and the file it was read from.

    Args:
        path_or_name: a YAML file, or the name of a study that comes with fusekit, e.g. "demo-small".
        overrides: `key.path=value`, e.g. `seeds=[0,1,2]`.

    Raises:
        RecipeError: lists every fault with its place, key and the nearest name.
    """
    file = find(path_or_name, bundled_studies(), "study")
    faults: list[Fault] = []
    root = read(file, str(file), faults)
    changes = parse_overrides(overrides, faults)
    if root is None or not isinstance(root.value, dict):
        faults += (
            [] if root is None else [Fault(str(file), "", "expected a mapping with models, folds, seeds")]
        )
        raise error(str(path_or_name), faults)
    root = _long(root) if changes is None else merge(_long(root), _long(changes), faults)
    root.value.setdefault("name", Node(file.stem, str(file), 1))
    study = fill_with(Study, root, faults)
    if study is not None:
        faults += [Fault(root.value.get(key, root).where, key, text) for key, text in _broken(study)]
    if study is None or faults:
        raise error(str(path_or_name), faults)
    return study, file


def bundled_studies() -> dict[str, Path]:
    """Studies that come with fusekit, by name."""
    return {path.stem: path for path in sorted((RECIPES / "studies").glob("*.yaml"))} if RECIPES else {}


def _flow(data: dict[str, Any]) -> str:
    """Plain data as YAML in one line."""
    return json.dumps(data, ensure_ascii=False)


def _long(root: Node) -> Node:
    """`Vi: vi` below `models` -> `Vi: {recipe: vi}`."""
    models = root.value.get("models")
    if models is None or not isinstance(models.value, dict):
        return root
    named = {
        name: Node({"recipe": node}, node.file, node.line) if isinstance(node.value, str) else node
        for name, node in models.value.items()
    }
    return Node({**root.value, "models": Node(named, models.file, models.line)}, root.file, root.line)


def _broken(study: Study) -> list[tuple[str, str]]:
    found = []
    if not study.models:
        found.append(("models", "at least one is needed"))
    lower = [name.lower() for name in study.models]
    for name in study.models:
        if not name or not all(c.isalnum() or c in "-_+." for c in name):
            found.append(
                ("models", f"'{name}' cannot name a folder: use letters, digits, '-', '_', '+' and '.'")
            )
        if lower.count(name.lower()) > 1:
            found.append(("models", f"'{name}' is there twice, as case does not count"))
    for key, numbers in (("folds", study.folds), ("seeds", study.seeds)):
        if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
            found.append((key, f"must name each once, from 0 on, found {list(numbers)}"))
    return found
