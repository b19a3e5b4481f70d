"""`fusekit train` and `fusekit evaluate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fusekit.cli.options import Device, DeviceName, Overrides, Plugins, load_recipe, load_registry

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
    plugin: Plugins = None,
) -> None:
    """Train a recipe and leave a run: checkpoints, metrics, predictions, figures and a report.

    \b
    Examples:
      fusekit train demo
      fusekit train demo fusion=concat train.seed=3 --run runs/concat
      fusekit train my.yaml corpus.root=/data/ravdess --fold 2 --device cuda
      fusekit train --resume runs/demo-20260131-101500
    """
    from fusekit.errors import RecipeError

    if resume is not None:
        if recipe is not None or run is not None or fold is not None or seed is not None:
            raise RecipeError(
                "a resumed run keeps its own recipe, folder, fold and seed: give --resume RUN alone."
            )
        run, going_on = _existing(resume), True
        loaded = load_recipe(str(run / "recipe.yaml"), None)
    elif recipe is None:
        raise RecipeError("train needs a RECIPE: a file or a bundled name, e.g. `fusekit train demo`.")
    else:
        loaded, going_on = load_recipe(recipe, overrides, fold, seed), False
        run = _fresh(run, loaded.name)
    if devices > 1 and not _is_child():
        _launch(devices, run, going_on)
        return
    from fusekit.runs import train as start

    try:
        start(
            loaded,
            load_registry(plugin),
            run_dir=run,
            device=device.value,
            resume=going_on,
            plugins=[str(file) for file in plugin or []],
        )
    except KeyboardInterrupt:
        if (run / "recipe.yaml").is_file():
            typer.echo(f"\nGo on with: fusekit train --resume {run}", err=True)
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
    from fusekit.runs import evaluate as score

    score(_existing(run), load_registry(plugin), final=final, device=device.value)


def _is_child() -> bool:
    """True in a process that `--devices N` started."""
    return "LOCAL_RANK" in os.environ


def _fresh(run: Path | None, name: str) -> Path:
    """The folder of a new run."""
    from datetime import datetime

    from fusekit.errors import RunError

    folder = run or Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    if folder.exists() and not folder.is_dir():
        raise RunError(f"--run {folder} is a file. Name a folder, or leave --run out.")
    if (folder / "recipe.yaml").is_file() and not _is_child():
        raise RunError(
            f"{folder} already holds a run. Go on with it, `fusekit train --resume {folder}`, or name "
            "another folder."
        )
    return folder


def _existing(run: Path) -> Path:
    from fusekit.errors import RunError

    if not (run / "recipe.yaml").is_file():
        what = "it has no recipe.yaml" if run.is_dir() else "there is no such folder"
        raise RunError(f"{run} is not a run: {what}. `fusekit train RECIPE --run {run}` makes one.")
    return run


def _launch(devices: int, run: Path, resume: bool) -> None:
    """Start the same command once per device, in the same run directory."""
    import subprocess

    words = sys.argv[1:] if resume or "--run" in sys.argv else [*sys.argv[1:], "--run", str(run)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    code = subprocess.run([sys.executable, *launcher, "-m", "fusekit", *words], check=False).returncode
    if code:
        raise typer.Exit(code)
