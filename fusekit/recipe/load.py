"""From a file or a bundled name, and overrides, to a `Recipe`; or to one error that lists every fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusekit.errors import RecipeError
from fusekit.recipe.arguments import component_faults
from fusekit.recipe.faults import Fault, error
from fusekit.recipe.fill import fill
from fusekit.recipe.hints import show
from fusekit.recipe.interpolate import interpolate
from fusekit.recipe.merge import merge, parse_overrides
from fusekit.recipe.nodes import Node, read
from fusekit.recipe.requires import requirement_faults, wanted
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry, nearest

PRESETS = Path(__file__).parent / "presets"

_PACKAGE = Path(__file__).parents[1]
RECIPES = next((p for p in (_PACKAGE / "_recipes", _PACKAGE.parent / "recipes") if p.is_dir()), None)
"""Where recipes lie that come with fusekit: in the installed package, or in the checkout beside it."""


def load(path_or_name: str | Path, overrides: Sequence[str] = (), registry: Registry | None = None) -> Recipe:
    """Read a recipe.

    In this order: `extends` (the base first), overrides, `${...}`, then the preset under all of it.

    Args:
        path_or_name: a YAML file, or the name of a recipe that comes with fusekit, e.g. "demo".
        overrides: `key.path=value`, as typed on the command line.
        registry: with it, what the recipe `requires` must be there, and an error also lists what is wrong
            with the components that the recipe names. (A recipe without such faults is held against it by
            `fusekit.build.check`.)

    Raises:
        RecipeError: lists every fault with its place, key and the nearest name.
    """
    file = find(path_or_name)
    faults: list[Fault] = []
    files: list[Path] = []
    root = _read(file, files, faults)
    changes = parse_overrides(overrides, faults)
    if root is None:
        raise error(str(path_or_name), faults)
    if changes is not None:
        root = merge(root, changes, faults)
    root = interpolate(root, faults)
    root.value.setdefault("name", Node(file.stem, _shown(file), 1))
    preset = _preset(root, faults)
    recipe, components = fill(root, preset, tuple(_shown(path) for path in files), faults)
    missing = requirement_faults(wanted(root), registry) if registry is not None else []
    if recipe is None or faults or missing:
        faults += component_faults(components, registry, missing) if registry is not None else []
        raise error(str(path_or_name), faults)
    return recipe


def bundled() -> dict[str, Path]:
    """Recipes that come with fusekit, by name."""
    found = {path.stem: path for path in RECIPES.glob("*.yaml")} if RECIPES else {}
    return dict(sorted(found.items()))


def find(path_or_name: str | Path, names: Mapping[str, Path] | None = None, what: str = "recipe") -> Path:
    """The file that is meant; an existing file goes before a bundled name.

    Args:
        names: bundled files by name, by default recipes; what: what they are, for messages.

    Raises:
        RecipeError: neither exists.
    """
    path = Path(path_or_name)
    names = bundled() if names is None else names
    if path.is_file():
        return path
    if str(path_or_name) in names:
        return names[str(path_or_name)]
    fault = (
        f"a folder, not a {what}"
        if path.is_dir()
        else f"no such {what} file, and none of that name is bundled"
    )
    raise RecipeError(
        f"{path_or_name}: {fault}.{nearest(path.stem, names)}\n  bundled: {', '.join(names) or 'none'}"
    )


def _read(file: Path, chain: list[Path], faults: list[Fault]) -> Node | None:
    """One file laid over what it extends; `chain` collects the files, the first read first."""
    chain.append(file)
    shown = _shown(file)
    node = read(file, shown, faults)
    if node is None:
        return None
    if not isinstance(node.value, dict):
        found = "nothing" if node.value is None else show(node.plain())
        faults.append(
            Fault(shown, "", f"expected a mapping of keys such as corpus, modalities, stages; found {found}")
        )
        return None
    extends = node.value.pop("extends", None)
    if extends is None:
        return node
    base = _base(file, extends, chain, faults)
    root = _read(base, chain, faults) if base else None
    return merge(root, node, faults) if root else None


def _base(file: Path, extends: Node, chain: Sequence[Path], faults: list[Fault]) -> Path | None:
    """What `extends` names: a path relative to the file, or a bundled name."""
    if not isinstance(extends.value, str):
        message = f"expected a file or the name of a bundled recipe, found {show(extends.plain())}"
        faults.append(Fault(extends.where, "extends", message))
        return None
    relative = file.parent / extends.value
    base = relative if relative.is_file() else bundled().get(extends.value)
    if base is None:
        message = (
            f"no file {relative}, and no bundled recipe of that name.{nearest(extends.value, bundled())}"
        )
        faults.append(Fault(extends.where, "extends", message))
    elif base.resolve() in [path.resolve() for path in chain]:
        circle = " -> ".join(_shown(path) for path in (*chain, base))
        faults.append(Fault(extends.where, "extends", f"goes in a circle: {circle}"))
        return None
    return base


def _preset(root: Node, faults: list[Fault]) -> dict[str, dict[str, Any]]:
    """`{"kind/name": {argument: value}}` of the preset that the recipe names."""
    node = root.value.get("preset")
    name = node.value if node else "default"
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if name not in known:
        closest = nearest(name, known) if isinstance(name, str) else ""
        faults.append(Fault(node.where, "preset", f"{show(name)} is not one of {', '.join(known)}.{closest}"))
        return {}
    file = PRESETS / f"{name}.yaml"
    tree = read(file, str(file), faults)
    return dict(tree.plain() or {}) if tree else {}


def _shown(path: Path) -> str:
    """Relative to the current folder where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except ValueError:
        return str(path)
