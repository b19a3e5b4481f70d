"""All commands in one place, and the one place where faults become messages and exit codes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fusekit import __version__
from fusekit.cli import data, doctor, parts, plugin, prediction, studies, training
from fusekit.errors import FusekitError, printable


class _Guarded(TyperGroup):
    """A fault that the user can mend is one paragraph on stderr and exit code 2, as for a wrong option."""

    def invoke(self, ctx: Any) -> Any:
        from fusekit.signals import begin_worker, exit_code, raised

        begin_worker()
        try:
            with raised():
                return super().invoke(ctx)
        except FusekitError as error:
            typer.echo(printable(f"fusekit: {error}"), err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as stop:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(exit_code(stop)) from None


app = typer.Typer(
    cls=_Guarded,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time that --help takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fusekit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Valence and arousal from face video, speech and whatever else you record: fusion models as recipes.

    \b
    Start here:
      fusekit train demo                        make a synthetic corpus, train on it
      fusekit evaluate runs/demo-... --final    score it on unseen subjects
      fusekit predict runs/demo-... clip.mp4    valence and arousal of your own file
      fusekit COMMAND --help                    what a command takes, with examples
    """


app.command(short_help="Train a recipe; leaves a run directory.")(training.train)
app.command(short_help="Score a run, with --final on its test subjects.")(training.evaluate)
app.command(short_help="Train and test many recipes, folds and seeds; tables and figures.")(studies.study)
app.command(short_help="Predict your own recordings.")(prediction.predict)
app.command(short_help="Check a recipe; parts, shapes, parameters.")(parts.check)
app.command("list", short_help="List components that recipes can name.")(parts.list_components)
app.command("plugins", short_help="List plugins: where from, what they offer, what failed.")(
    parts.list_plugins
)
app.command(short_help="Show one component: arguments, shapes, source.")(parts.show)
app.add_typer(data.app, name="data")
app.add_typer(plugin.app, name="plugin")
app.command(short_help="Versions, devices, folders, plugins.")(doctor.doctor)
