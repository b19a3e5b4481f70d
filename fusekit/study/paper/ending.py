"""When the runs of a study are done: what they cost, its tables, figures and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fusekit import build
from fusekit.recipe.load import load
from fusekit.registry import Registry
from fusekit.runs.files import read_json, write_json
from fusekit.study.jobs.plan import Job
from fusekit.study.paper.complexity import measure
from fusekit.study.paper.exports import to_html, write_tables
from fusekit.study.paper.figures import draw_study
from fusekit.study.paper.layout import PaperTable
from fusekit.study.paper.report import write_study_report
from fusekit.study.paper.results import load_results
from fusekit.study.paper.seen import RunFrames, draw_denoised

Say = Callable[[str], None]


def finish(
    folder: Path,
    jobs: Sequence[Job],
    registry: Registry,
    *,
    device: str = "auto",
    printed: bool = False,
    pictures: bool = True,
    say: Say = lambda _: None,
) -> list[PaperTable]:
    """Write `complexity.json`, `tables/`, `figures/` and `report.html` of a study; return its tables.

    A model is clocked once, when it is new.

    Args:
        folder: of the study. jobs: its runs, finished or not. printed: the paper's rows beside ours.
        pictures: of clips, in the report and figures 3, 4 and 6; False where their licence keeps faces in.

    Raises:
        RunError: no run is finished, or a file of one is damaged.
    """
    results = load_results(folder)
    recipes = {job.model: load(job.recipe, job.changes) for job in reversed(jobs)}
    recipes = {model.name: recipes[model.name] for model in results.models}
    path = folder / "complexity.json"
    measured = read_json(path) if path.is_file() else {}
    new = {name: recipe for name, recipe in recipes.items() if name not in measured}  # a study may grow
    if new:
        say("clocking the models")
        write_json(path, measured | measure(new, registry, device))
    say("tables")
    tables = write_tables(results, folder, printed)
    say("figures")
    frames = RunFrames(results, registry) if pictures else None
    if pictures:
        draw_denoised(results, registry, device)
    # The paper's figures 1 and 2 show its fused model; another study's, the one with most modalities.
    shown = max(recipes, key=lambda name: (name == "AVi-GaS", len(recipes[name].modalities)))
    parts = build.check(recipes[shown], registry).parts
    draw_study(results, folder / "figures", frames, (parts, recipes[shown]), denoised=pictures)
    say("report")
    write_study_report(results, [to_html(table) for table in tables], [], frames)
    return tables
