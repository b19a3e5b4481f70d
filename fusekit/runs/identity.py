"""Whether a run is still what it was: its recipe, its clips, the code that reads them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fusekit.data.content import digests, unfolded
from fusekit.data.folds import Split
from fusekit.errors import DataError, RunError
from fusekit.provenance import clip_digests, hash_of
from fusekit.recipe.load import load as load_recipe
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry
from fusekit.runs.data import Data
from fusekit.runs.files import read_json
from fusekit.runs.places import named_files, placeless

CLIPS = "clips.json"
"""What every clip held, in a run's folder: `{"version": 2, "clips": {id: {"labels" | modality: digest}}}`."""
VERSION = 2
_SHOWN = 4


def clips_of(data: Data, parts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Digests of what the clips of these parts hold: labels, subject, and each modality's files."""
    wanted = {i for part in parts for i in data.split.part(part)}
    return clip_digests([c for c in data.clips if c.id in wanted], data.content)


def facts_of(
    recipe: Recipe,
    registry: Registry,
    split: Split,
    clips: Mapping[str, Mapping[str, str]],
    plugins: Sequence[str],
) -> dict[str, Any]:
    """What provenance.json keeps, so that a change shows later: of data, recipe, split, and all files that
    the recipe names, or that `--plugin` does."""
    return {
        "data_sha256": hash_of(clips),
        "recipe": recipe.to_yaml(),
        "splits_sha256": _split_hash(split),
        "files": {key: _content(named) for key, named in named_files(recipe, registry).items()},
        "plugin_files": {Path(file).name: _content([Path(file)]) for file in plugins},
    }


def check_recipe(folder: Path, recipe: Recipe, registry: Registry) -> None:
    """Whether a run's recipe still says what it was trained by; another place of the same files is no change.

    Raises:
        RunError: not so; it names each key, and what it was.
    """
    kept = _facts(folder).get("recipe")
    if kept is None or kept == (folder / "recipe.yaml").read_text(encoding="utf-8"):
        return
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "recipe.yaml"
        file.write_text(kept, encoding="utf-8")
        was = _flat(yaml.safe_load(placeless(load_recipe(file), registry).to_yaml()))
    now = _flat(yaml.safe_load(placeless(recipe, registry).to_yaml()))
    odd = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    if odd:
        said = [f"{key} was {was.get(key, 'not there')}, is {now.get(key, 'not there')}" for key in odd]
        more = f" (and {len(odd) - _SHOWN} more)" if len(odd) > _SHOWN else ""
        raise RunError(
            f"'{folder / 'recipe.yaml'}' was changed since the run began: {'; '.join(said[:_SHOWN])}{more}. "
            "Write what it was (the whole text is under `recipe` in provenance.json), or train anew: "
            f"`fusekit train {folder / 'recipe.yaml'} --run NEW`."
        )


def check_split(folder: Path, split: Split) -> None:
    """Whether a run's split is the one that it began with.

    Raises:
        RunError: not so.
    """
    if _facts(folder).get("splits_sha256", _split_hash(split)) != _split_hash(split):
        raise RunError(
            f"'{folder / 'splits.json'}' was changed since the run began: clips that it trained on could be "
            "scored. Put the file back as it was, or train a new run."
        )


def check_clips(folder: Path, data: Data, parts: Sequence[str]) -> None:
    """Whether the clips of these parts hold what they held when the run began. A run of before this was kept
    does not say.

    Raises:
        RunError: not so; it names clips, and what of them differs.
    """
    if not (folder / CLIPS).is_file():
        return
    wanted = {i for part in parts for i in data.split.part(part)}
    was = {i: held for i, held in kept_clips(folder).items() if i in wanted}
    if odd := differing(was, clips_of(data, parts)):
        raise RunError(
            f"the clips or labels are not those that '{folder}' began with: {listed(odd)}. Put them back, or "
            "begin a new run."
        )


def kept_clips(folder: Path) -> dict[str, dict[str, str]]:
    """What the clips of a run held when it began; {}: it was not kept."""
    if not (folder / CLIPS).is_file():
        return {}
    found = read_json(folder / CLIPS)
    if found["version"] > VERSION:
        raise RunError(f"'{folder / CLIPS}' was written by a newer fusekit; update fusekit.")
    clips: dict[str, dict[str, str]] = found["clips"]
    return clips


def differing(
    was: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]], only: Sequence[str] = ()
) -> list[str]:
    """What differs, as "labels of clip a"; of all that the clips hold, or of some of it alone."""
    odd = []
    for i in sorted({**was, **now}):
        if i not in now:
            odd.append(f"clip {i} is gone")
        elif i not in was:
            odd.append(f"clip {i} is new")
        else:
            keys = only or [*dict.fromkeys([*was[i], *now[i]])]
            odd += [f"{key} of clip {i}" for key in keys if was[i].get(key) != now[i].get(key)]
    return odd


def listed(odd: Sequence[str]) -> str:
    """The first few."""
    more = f" (and {len(odd) - _SHOWN} more)" if len(odd) > _SHOWN else ""
    return "; ".join(odd[:_SHOWN]) + more


def changed_files(folder: Path, recipe: Recipe, registry: Registry, below: str = "") -> list[str]:
    """Files that a recipe names (weights, say) whose content is no longer what it was when the run in
    `folder` began, a sentence each; of all keys, or of those that begin with `below`."""
    was: dict[str, str] = _facts(folder).get("files", {})
    named = named_files(recipe, registry)
    return [
        f"{key}: {', '.join(map(str, named[key]))} holds something else than when '{folder}' began."
        for key, digest in was.items()
        if key in named and key.startswith(below) and _content(named[key]) != digest
    ]


def changed_code(folder: Path, registry: Registry) -> list[str]:
    """Plugins that are not those of the training, a sentence each."""
    facts = _facts(folder)
    versions = {p.distribution: p.version for p in registry.plugins if p.distribution}
    notes = [
        f"'{folder}' was trained with {name} {was}; {versions[name]} is installed."
        for name, was in facts.get("distributions", {}).items()
        if versions.get(name, was) != was
    ]
    now = {Path(p.source).name: Path(p.source) for p in registry.plugins if not p.distribution}
    return notes + [
        f"the plugin file {name} is not as it was when '{folder}' was trained."
        for name, was in facts.get("plugin_files", {}).items()
        if name in now and _content([now[name]]) != was
    ]


def _content(paths: Sequence[Path]) -> str:
    """Digest of files, and of all that is in folders; "" where something cannot be read."""
    lines = []
    try:
        for path in paths:
            files = unfolded([path])
            inside = [file.relative_to(path).as_posix() if path.is_dir() else "" for file in files]
            lines += [f"{name} {digest}" for name, digest in zip(inside, digests(files), strict=True)]
    except DataError:
        return ""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _split_hash(split: Split) -> str:
    return hashlib.sha256(json.dumps(split.to_json(), sort_keys=True).encode()).hexdigest()


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / "provenance.json"
    return read_json(path) if path.is_file() else {}


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    """`{"a.b.0.c": leaf}` of nested data; empty containers are leaves."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: dict[str, Any] = {}
    for key, item in items:
        found |= _flat(item, f"{at}.{key}" if at else str(key))
    return found if found or at == "" else {at: value}
