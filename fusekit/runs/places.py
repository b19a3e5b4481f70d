"""What of a recipe says where files are: it may change as long as these hold the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fusekit.recipe.arguments import paths
from fusekit.recipe.schema import Component, Recipe
from fusekit.registry import Kind, Registry


def placeless(recipe: Recipe, registry: Registry) -> Recipe:
    """The recipe without what only says where files are; equal for recipes that mean the same elsewhere."""

    def change(kind: Kind, component: Component) -> Component:
        cls = registry.load(registry.get(kind, component.name, component.where))
        names = paths(component, cls)
        args = {key: value for key, value in component.args.items() if key not in names}
        named = component.args.get("detector") if kind is Kind.READER else None
        if isinstance(named, str) and isinstance(component.args.get("detector_args"), dict):
            detector = Component(named, component.args["detector_args"], "", component.file, component.line)
            args["detector_args"] = change(Kind.DETECTOR, detector).args
        return replace(component, args=args)

    return recipe.changed(change)


def named_files(recipe: Recipe, registry: Registry) -> dict[str, list[Path]]:
    """Files and folders that a recipe names, by key, those of the corpus apart: weights, tokenizers, ...

    A detector's are not among them: they are part of its reader's settings.
    """
    found: dict[str, list[Path]] = {}
    for kind, component in recipe.components():
        if kind is not Kind.CORPUS:
            named = paths(component, registry.load(registry.get(kind, component.name, component.where)))
            found |= {f"{component.path}.{key}": files for key, files in named.items()}
    return found
