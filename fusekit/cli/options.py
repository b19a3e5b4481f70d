"""Arguments and options that several commands share, and what they lead to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fusekit.errors import printable

if TYPE_CHECKING:
    from fusekit.recipe.schema import Recipe
    from fusekit.registry import Registry


class Device(StrEnum):
    """Where tensors live."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or a bundled name such as demo.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Changes to the recipe, e.g. train.seed=1 fusion=concat."),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file that offers components; may be repeated."),
]
DeviceName = Annotated[Device, typer.Option("--device", help="auto takes CUDA where there is one.")]
Json = Annotated[bool, typer.Option("--json", help="For machines: JSON on stdout, nothing else.")]


def tell(text: str) -> None:
    """A line on stderr, safe for the terminal whatever names it holds."""
    typer.echo(printable(text), err=True)


def load_registry(files: list[Path] | None) -> Registry:
    """All components; every plugin that had to be disabled is said on stderr."""
    from fusekit import plugins

    registry, statuses = plugins.load(files or [])
    for status in statuses:
        if status.state == "disabled":
            source = f" ({status.source})" if status.source else ""
            tell(f"fusekit: plugin {status.name}{source} is disabled: {status.reason}")
    return registry


def load_recipe(
    name: str,
    overrides: list[str] | None,
    registry: Registry,
    fold: int | None = None,
    seed: int | None = None,
) -> Recipe:
    """The recipe with overrides, `--fold` and `--seed`."""
    from fusekit.recipe.load import load

    extra = [f"split.fold={fold}"] if fold is not None else []
    extra += [f"train.seed={seed}"] if seed is not None else []
    return load(name, [*(overrides or []), *extra], registry)
