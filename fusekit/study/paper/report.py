"""One HTML file that shows a whole study: tables that sort, figures, learning curves, a browser of clips.

Everything is inside the file; its content security policy forbids the browser any request.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusekit.runs.files import read_json
from fusekit.study.page import render
from fusekit.study.paper.browser import browser_data
from fusekit.study.paper.pictures import Frames
from fusekit.study.paper.results import Results
from fusekit.study.table import read_journal, write_bytes


def write_study_report(
    results: Results, tables_html: Sequence[str], notes: Sequence[str], frames: Frames | None = None
) -> Path:
    """Write `<study>/report.html`, and return its path.

    Figures are those that `draw_study` left in `<study>/figures`.

    Args:
        results: the study.
        tables_html: elements `<table class="paper-table">`, put in as they are: whoever made them escaped
            what they say. A cell's `data-sort` is what it sorts by, else its text.
        notes: sentences about how it was made and what is missing; what `draw_study` left out is added.
        frames: pictures of a clip at given times, for the clip browser.

    Raises:
        DataError: the file cannot be written; RunError: a journal or the captions are damaged.
    """
    from markupsafe import Markup

    figures = results.folder / "figures"
    captions = read_json(figures / "captions.json") if (figures / "captions.json").is_file() else {}
    browser = browser_data(results, frames)
    curves = _curves(results)
    page = render(
        "study.html.j2",
        {"browser": browser, "curves": curves},
        inside={
            "css": ("report.css", "study.css"),
            "script": ("packed.js", "study_tables.js", "study_lines.js", "study_curves.js", "study_clips.js"),
        },
        name=results.name,
        corpus=results.corpus,
        facts=_facts(results),
        missing=[f"{m}, fold {f}, seed {s}" for m, f, s in results.missing()],
        tables=[Markup(table) for table in tables_html],
        figures=_figures(figures, captions.get("figures", {})),
        curves=bool(curves["runs"]),
        clips=bool(browser["clips"]),
        clips_note=_clips_note(browser),
        notes=list(dict.fromkeys([*notes, *captions.get("left_out", [])])),
    )
    path = results.folder / "report.html"
    write_bytes(path, page.encode())
    return path


def _facts(results: Results) -> list[str]:
    finished = len(results.runs)
    planned = finished + len(results.missing())
    return [
        f"{len(results.models)} models",
        f"{len(results.folds)} folds" if len(results.folds) != 1 else f"fold {results.folds[0]}",
        f"{len(results.seeds)} seeds" if len(results.seeds) != 1 else f"seed {results.seeds[0]}",
        f"{finished} of {planned} runs finished",
    ]


def _figures(folder: Path, captions: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    figures = []
    for number, words in sorted(captions.items(), key=lambda item: int(item[0])):
        path = folder / f"figure{number}.png"
        if path.is_file():
            data = base64.b64encode(path.read_bytes()).decode()
            figures.append({"number": number, **words, "data": data})
    return figures


def _clips_note(browser: dict[str, Any]) -> str:
    note = f"{browser['rule']}. Of every model the first seed that is finished for the clip's fold."
    if browser["thinned"]:
        note += " Long clips are thinned for drawing; the CCC is of every step."
    if not browser["pictures"]:
        note += " Without pictures: none were handed in, or the media are not here."
    return note


def _curves(results: Results) -> dict[str, Any]:
    """Validation CCC by epoch through the last stage, its windows one after another, of every run."""
    runs = []
    for number, model in enumerate(results.models):
        for run in results.of(model.name):
            journal = run.folder / "metrics.jsonl"
            entries = read_journal(journal) if journal.is_file() else []
            last = [e for e in entries if e["stage"] == entries[-1]["stage"]]
            points = [(i, _finite(e)) for i, e in enumerate(last, start=1) if e["validation"]]
            if points:
                x, y = (list(values) for values in zip(*points, strict=True))
                runs.append({"model": number, "fold": run.fold, "seed": run.seed, "x": x, "y": y})
    return {"runs": runs}


def _finite(entry: dict[str, Any]) -> float | None:
    value = entry["validation"]["ccc"].get("mean")
    return round(float(value), 4) if value is not None and math.isfinite(value) else None
