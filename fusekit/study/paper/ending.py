"""When the runs of a study are done: what they cost, its tables, figures and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fusekit.recipe.load import load
from fusekit.registry import Registry
from fusekit.runs.files import write_json
from fusekit.study.jobs.plan import Job
from fusekit.study.paper.complexity import measure
from fusekit.study.paper.exports import write_tables
from fusekit.study.paper.layout import PaperTable
from fusekit.study.paper.results import load_results

Say = Callable[[str], None]


def finish(
    folder: Path,
    jobs: Sequence[Job],
    registry: Registry,
    *,
    device: str = "auto",
    printed: bool = False,
    say: Say = lambda _: None,
) -> list[PaperTable]:
    """Write `complexity.json` (once), `tables/`, `figures/` and `report.html` of a study; return its tables.

    Args:
        folder: of the study. jobs: its runs, finished or not. printed: the paper's rows beside ours.

    Raises:
        RunError: no run is finished, or a file of one is damaged.
    """
    results = load_results(folder)
    if not (folder / "complexity.json").is_file():
        say("clocking the models")
        recipes = {job.model: load(job.recipe, job.changes) for job in reversed(jobs)}
        names = [model.name for model in results.models]
        write_json(folder / "complexity.json", measure({n: recipes[n] for n in names}, registry, device))
    say("tables")
    return write_tables(results, folder, printed)
