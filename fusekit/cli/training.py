"""`fusekit train` and `fusekit evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fusekit.cli.options import (
    Device,
    DeviceName,
    Overrides,
    Plugins,
    load_recipe,
    load_registry,
    tell,
)

if TYPE_CHECKING:
    from fusekit.registry import Registry
    from fusekit.runs import Run

RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory made by `fusekit train`.")]


def train(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A YAML file, or a bundled name such as demo.")
    ] = None,
    overrides: Overrides = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Write here.  [default: runs/RECIPE-TIME]")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Fold to test, the same as split.fold=K.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same as train.seed=N.")] = None,
    device: DeviceName = Device.AUTO,
    devices: Annotated[int, typer.Option(min=1, help="Processes, one per device.")] = 1,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run, by its own recipe.")
    ] = None,
    branches_from: Annotated[
        list[Path] | None,
        typer.Option(
            "--branches-from",
            metavar="RUN",
            help="Take the trained first stage of RUN instead of training it again; may be repeated: each "
            "modality comes from the first RUN that has it, one that none has is trained.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Begin only if no clip is left out and nothing about the data is odd."),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Train a recipe and leave a run: checkpoints, metrics, predictions, figures and a report.

    \b
    Examples:
      fusekit train demo
      fusekit train demo fusion=concat train.seed=3 --run runs/concat
      fusekit train demo fusion=concat --branches-from runs/demo --run runs/demo-concat
      fusekit train my.yaml corpus.root=/data/ravdess --fold 2 --device cuda
      fusekit train --resume runs/demo-20260131-101500
    """
    from fusekit.errors import RecipeError
    from fusekit.launch import is_worker, launch
    from fusekit.signals import exit_code

    if resume is not None:
        if any(given is not None for given in (recipe, run, fold, seed)) or branches_from:
            raise RecipeError(
                "--resume keeps the recipe, folder, fold, seed and branches of the run: give it alone."
            )
        folder = _existing(resume)
        registry = load_registry(plugin)
        loaded = load_recipe(str(folder / "recipe.yaml"), None, registry)
    elif recipe is None:
        raise RecipeError("train needs a RECIPE: a file or a bundled name, e.g. `fusekit train demo`.")
    else:
        registry = load_registry(plugin)
        loaded = load_recipe(recipe, overrides, registry, fold, seed)
        folder = run or _default_folder(loaded.name)
        if not is_worker():  # else the first process may already have begun the run
            _must_be_free(folder)
    try:
        if devices > 1 and not is_worker():
            named = run is not None or resume is not None
            words = [*sys.argv[1:], *([] if named else ["--run", str(folder)])]
            code = launch(devices, words, device.value)
            if code:
                raise typer.Exit(code)
        else:
            from fusekit.runs import train as start

            files = [str(file.absolute()) for file in plugin or []]
            going_on = resume is not None
            start(
                loaded,
                registry,
                run_dir=folder,
                device=device.value,
                resume=going_on,
                plugins=files,
                branches_from=branches_from or (),
                strict=strict,
            )
        if not is_worker():
            scored = _score(folder, registry, device, final=False)
            if scored.split().test:
                typer.echo(f"next: fusekit evaluate {folder} --final   # reads the test labels, once")
    except KeyboardInterrupt as stop:
        if is_worker():  # its parent says the rest
            raise typer.Exit(exit_code(stop)) from None
        if (folder / "recipe.yaml").is_file():
            typer.echo(f"\nGo on with: fusekit train --resume {folder}", err=True)
        raise


def evaluate(
    run: RunDir,
    final: Annotated[
        bool, typer.Option("--final", help="Read the test labels. Every such look is recorded in the run.")
    ] = False,
    device: DeviceName = Device.AUTO,
    plugin: Plugins = None,
) -> None:
    """Score a run: validation, and with --final the test subjects; write tables, figures and the report.

    \b
    Examples:
      fusekit evaluate runs/demo-20260131-101500
      fusekit evaluate runs/demo-20260131-101500 --final
    """
    _score(_existing(run), load_registry(plugin), device, final=final)


def _score(folder: Path, registry: Registry, device: Device, *, final: bool) -> Run:
    """Predictions, metrics, figures and report of a trained run; its metrics table on stdout."""
    from fusekit.runs import open_run
    from fusekit.study.assess import assess
    from fusekit.study.summary import show_metrics

    opened = open_run(folder, registry, device.value)
    show_metrics(assess(opened, final=final, say=tell))
    typer.echo(f"report: {folder / 'report.html'}")
    return opened


def _default_folder(recipe: str) -> Path:
    from datetime import datetime

    return Path("runs") / f"{recipe}-{datetime.now():%Y%m%d-%H%M%S}"


def _must_be_free(folder: Path) -> None:
    from fusekit.errors import RunError

    try:
        folder.exists()
    except OSError as error:
        raise RunError(f"--run: '{folder}' can be no folder: {error.strerror}.") from error
    if folder.exists() and not folder.is_dir():
        raise RunError(f"--run {folder} is a file. Name a folder, or leave --run out.")
    if (folder / "recipe.yaml").is_file():
        raise RunError(
            f"{folder} already holds a run. Go on with it, `fusekit train --resume {folder}`, or name "
            "another folder."
        )


def _existing(run: Path) -> Path:
    from fusekit.errors import RunError

    if not (run / "recipe.yaml").is_file():
        what = "it has no recipe.yaml" if run.is_dir() else "there is no such folder"
        raise RunError(f"{run} is not a run: {what}. `fusekit train RECIPE --run {run}` makes one.")
    return run
