"""`fusekit study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusekit.cli.options import Device, DeviceName, Plugins, load_registry, tell
from fusekit.errors import printable

if TYPE_CHECKING:
    from fusekit.study.jobs.plan import Job
    from fusekit.study.jobs.run import Outcome


def study(
    study_file: Annotated[
        str, typer.Argument(metavar="STUDY", help="A YAML file, or a bundled name such as demo-small.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes to the study, e.g. seeds=[0,1,2] folds=[0]."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write here.  [default: studies/STUDY]")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time.  [default: one per GPU, or per core of the CPU]"),
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Show the paper's printed rows beside ours.")
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option("--pictures/--no-pictures", help="Show what the clips show, in figures and report."),
    ] = True,
    device: DeviceName = Device.AUTO,
    plugin: Plugins = None,
) -> None:
    """Train and test many recipes in every fold with every seed; leave tables, figures and one report.

    Begun again, a study goes on where it stopped: nothing that is done is done twice. A run's test labels are
    read once, when it is trained.

    \b
    Examples:
      fusekit study demo-small
      fusekit study demo-small seeds=[0,1,2] --out studies/three-seeds --jobs 4
      fusekit study my-study.yaml --paper
    """
    from fusekit.errors import RunError
    from fusekit.recipe.study import load_study
    from fusekit.runs.training import claimed
    from fusekit.study.jobs.plan import plan_jobs, write_plan
    from fusekit.study.jobs.run import default_workers, run_jobs
    from fusekit.study.paper.ending import finish
    from fusekit.study.paper.exports import print_table

    registry = load_registry(plugin)
    loaded, file = load_study(study_file, changes or [])
    folder = (out or Path("studies") / loaded.name).absolute()
    planned = plan_jobs(loaded, file, folder, registry)
    with claimed(folder):
        write_plan(loaded, file, folder, registry)
        watch = _Watch(len(planned))
        try:
            with watch.progress:
                outcome = run_jobs(
                    planned,
                    registry,
                    folder / "logs",
                    workers=jobs or default_workers(device.value),
                    device=device.value,
                    plugins=[str(path.absolute()) for path in plugin or []],
                    told=watch.told,
                    started=watch.started,
                    lost=watch.lost,
                )
        except KeyboardInterrupt:
            typer.echo("\nGo on by the same command: what is done is kept.", err=True)
            raise
        if outcome.done:
            tables = finish(
                folder, planned, registry, device=device.value, printed=paper, pictures=pictures, say=tell
            )
            for table in tables:
                print_table(table)
            for what in ("tables", "figures", "report.html"):
                typer.echo(f"{what.removesuffix('.html')}: {folder / what}")
    if outcome.faults:
        raise RunError(_failed(outcome, len(planned)))


def _failed(outcome: Outcome, planned: int) -> str:
    lines = [f"  {job}: {fault}" for job, fault in outcome.faults.items()]
    return "\n".join([f"{len(lines)} of {planned} runs could not be made:", *lines])


class _Watch:
    """A bar over all runs, the names of those at work beside it; without a terminal a line per run."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("[bold]runs"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[now]}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self.progress.add_task("runs", total=total, now="")
        self._now: list[Job] = []

    def started(self, job: Job) -> None:
        self._now.append(job)
        self._show()

    def told(self, job: Job, answer: dict[str, Any], done: int, total: int) -> None:
        self._now.remove(job)
        if "fault" in answer:
            text = f"{job}: {answer['fault']}"
        else:
            ccc = "-" if answer["ccc"] is None else f"{answer['ccc']:.3f}"
            text = f"{job}: test CCC {ccc} ({done} of {total}, {answer['seconds']:.0f} s)"
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
        self.progress.update(self._task, completed=done, total=total)
        self._show()

    def lost(self, job: Job, how: str) -> None:
        self._now.remove(job)
        text = f"{job}: {how}; the run is taken up again where it stopped"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._show()

    def _show(self) -> None:
        self.progress.update(self._task, now=", ".join(map(str, self._now)))
