"""`fusekit plugin`: for those who write plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusekit.cli.options import load_registry

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="For authors of plugins.")


@app.callback()
def _group() -> None:
    """For authors of plugins.

    \b
    Example:
      fusekit plugin new skin
    """


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the modality, e.g. skin: the package is fusekit-skin.")
    ],
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="The folder that the package's folder is made in.")
    ] = Path(),
) -> None:
    """Write a package with a reader and an encoder that installs, passes the conformance kit and trains.

    \b
    Example:
      fusekit plugin new skin
    """
    from fusekit.authoring import write_plugin

    files = write_plugin(name, into, load_registry(None))
    folder = into / f"fusekit-{name}"
    typer.echo(f"Wrote {folder}, {len(files)} files. Next:\n")
    width = 44
    for command, why in (
        (f"cd {folder}", ""),
        ('pip install -e ".[test]"', "recipes find it from now on: `fusekit plugins` lists it"),
        ("pytest", "known answers, and the conformance kit"),
        ("python make_clips.py", "eight small recordings to try it on"),
        (f"fusekit train recipe.yaml --run runs/{name}", ""),
        (f"fusekit predict runs/{name} clips/hal.csv", ""),
    ):
        typer.echo(f"  {command:<{width}}  {'# ' + why if why else ''}".rstrip())
    typer.echo("\nThen make reader.py and encoder.py your own.")
