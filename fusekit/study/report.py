"""One HTML file that shows a whole run: scores beside baselines, traces, figures, recipe, provenance.

Everything is inside the file, plotly.js too; its content security policy forbids the browser any request.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusekit.errors import RunError
from fusekit.runs.files import read_json
from fusekit.study.figures import predictions_path
from fusekit.study.page import render
from fusekit.study.report_data import data_section
from fusekit.study.report_traces import trace_data
from fusekit.study.table import read_table, write_bytes

METRICS = ("ccc", "rmse", "cor", "icc")
"""In the order of the table: the CCC is what a run is judged by."""

TITLES = {
    "denoising": (
        "Denoising",
        "Degraded validation inputs, what the encoder makes of them, and the clean ones. The errors of many "
        "more of them are under Scores.",
    ),
    "gate_by_damage": (
        "Gate under damage",
        "The gate should leave a modality that is damaged, the more the stronger the damage. Boxes: "
        "quartiles, median; whiskers: the middle 90 % of steps. AUC, per strength: steps with the other "
        "modality damaged against steps with this one damaged; 0.5 is chance.",
    ),
    "learning_curves": ("Learning curves", "Black: mean of the dimensions, by which the best epoch is kept."),
}
"""Figures shown under a title of their own, in this order; traces are interactive instead."""


def write_report(run_dir: Path) -> Path:
    """Write `run_dir/report.html` from what the run directory holds, and return its path.

    Needs `recipe.yaml` and `metrics.json`; shows predictions, figures, provenance and looks where they are
    there.

    Raises:
        RunError: `run_dir` is not a run, or it was not scored yet.
    """
    recipe = run_dir / "recipe.yaml"
    if not recipe.is_file():
        raise RunError(f"'{run_dir}' is not a run: it has no recipe.yaml.")
    if not (run_dir / "metrics.json").is_file():
        raise RunError(
            f"the run '{run_dir}' has no scores yet. Finish it with `fusekit train --resume {run_dir}`."
        )
    metrics = read_json(run_dir / "metrics.json")
    predictions = predictions_path(run_dir)
    traces = trace_data(read_table(predictions)) if predictions else {"clips": []}
    page = _render(
        name=str(metrics.get("recipe") or run_dir.name),
        corpus=metrics.get("corpus", ""),
        facts=_facts(metrics),
        warnings=_warnings(metrics),
        headline=_headline(metrics),
        metrics=METRICS,
        columns=_columns(metrics),
        rows=_rows(metrics),
        how=_how(metrics),
        also=_also(metrics),
        traces=traces,
        traces_note=_traces_note(traces, metrics),
        figures=_figures(run_dir / "figures"),
        data_found=data_section(run_dir),
        blocks=_blocks(run_dir, metrics),
    )
    path = run_dir / "report.html"
    write_bytes(path, page.encode())
    return path


def _render(*, traces: dict[str, Any], **values: Any) -> str:
    import plotly.offline
    from markupsafe import Markup

    plotly_js = Markup(plotly.offline.get_plotlyjs()) if traces["clips"] else ""
    inside = {"css": ("report.css",), "script": ("packed.js", "report.js")}
    return render("report.html.j2", traces, inside=inside, plotly=plotly_js, traces=traces, **values)


def _parts(metrics: Mapping[str, Any]) -> list[str]:
    """Parts that were scored, the one that counts most first."""
    return [part for part in ("test", "validation") if isinstance(metrics.get(part), dict)]


def _columns(metrics: Mapping[str, Any]) -> list[str]:
    parts = _parts(metrics)
    if not parts:
        raise RunError("metrics.json holds neither validation nor test scores.")
    return list(metrics[parts[0]]["ccc"])


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    columns = _columns(metrics)
    part = _parts(metrics)[0]
    scores = metrics[part]
    figures = [
        {
            "label": f"CCC {dim}",
            "value": _number(scores["ccc"][dim]),
            "note": f"RMSE {_number(scores['rmse'][dim])}",
            "colour": str(k % 4),
        }
        for k, dim in enumerate(columns[:-1])
    ]
    for name, by_part in metrics.get("baselines", {}).items():
        value = by_part.get(part, {}).get("ccc", {}).get("mean")
        above = _difference(scores["ccc"]["mean"], value)
        note = f"this run is {above}" if above else "no correlation: it never moves"
        figures.append({"label": f"baseline {name}", "value": _number(value), "note": note, "colour": ""})
    return {
        "part": part,
        "mean": _number(scores["ccc"]["mean"]),
        "size": _size(scores),
        "figures": figures,
    }


def _size(scores: Mapping[str, Any]) -> str:
    words = (("n", "steps"), ("clips", "clips"), ("subjects", "subjects"))
    return ", ".join(f"{scores[key]:,} {word}" for key, word in words if key in scores)


def _rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = _columns(metrics)

    def row(kind: str, part: str, by: str, scores: Mapping[str, Any]) -> dict[str, Any]:
        cells = [[_number(scores.get(metric, {}).get(column)) for column in columns] for metric in METRICS]
        return {"kind": kind, "part": part, "by": by, "cells": cells}

    rows = []
    for part in _parts(metrics):
        rows.append(row("model", part, "this run", metrics[part]))
        for key, scores in metrics.get("also", {}).items():
            if key.startswith(f"{part}_") and "ccc" in scores:
                rows.append(row("also", "", _also_name(key.removeprefix(f"{part}_")), scores))
        for name, by_part in metrics.get("baselines", {}).items():
            if part in by_part:
                rows.append(row("baseline", "", f"baseline {name}", by_part[part]))
    return rows


def _also_name(key: str) -> str:
    return {
        "per_clip": "mean of each clip's own",
        "carry": "state carried through the clip",
        "last": "last steps from zero state",
    }.get(key, key.replace("_", " "))


def _how(metrics: Mapping[str, Any]) -> str:
    states = {
        "last": f"at every step the model reads the last {metrics.get('steps')} steps from zero state",
        "carry": "the model's state is carried from each clip's start",
    }.get(str(metrics.get("states")), f"states: {metrics.get('states')}")
    subjects = (
        "Subject-dependent: the same people are in training and in what is scored"
        if metrics.get("subject_dependent")
        else "No subject of the scored clips was in training"
    )
    return (
        f"Pooling: {metrics.get('pooling')}. Population variances (ddof {metrics.get('ddof')}); RMSE on the "
        f"scale {metrics.get('range')}; {states}. {subjects}. – means undefined: predictions or labels are "
        "constant."
    )


def _also(metrics: Mapping[str, Any]) -> list[str]:
    """Further findings, a sentence each."""
    lines = []
    for part in _parts(metrics):
        left_out = metrics.get("also", {}).get(f"{part}_per_clip", {}).get("constant_labels", {})
        if any(left_out.values()):
            text = ", ".join(f"{n} in {dim}" for dim, n in left_out.items())
            lines.append(f"Clips of {part} whose labels never move have no correlation of their own: {text}.")
        quadrant = metrics[part].get("clip_quadrant")
        if quadrant:
            test = (
                f"permutation p cannot be tested ({quadrant['untested']})"
                if quadrant.get("untested")
                else f"permutation p = {_number(quadrant.get('permutation_p'), 4)} "
                f"({quadrant.get('permuted', 'between clips')})"
            )
            lines.append(
                f"Quadrant of each clip of {part}: UAR {_number(quadrant['uar'])} over {quadrant['n']} "
                f"clips, accuracy {_number(quadrant['accuracy'])}, chance {_number(quadrant.get('chance'))}, "
                f"{test}."
            )
        gate = metrics[part].get("gate")
        if gate:
            by = ", ".join(f"{_number(v)} at strength {k}" for k, v in gate["auc_by_strength"].items())
            unseen = gate.get("auc_unseen")
            more = f"; {_number(unseen)} on kinds that training never had" if unseen is not None else ""
            lines.append(f"Gate on {part}: tells which modality is damaged with AUC {by}{more}.")
        for m, errors in metrics[part].get("denoising", {}).items():
            lines.append(_denoising(part, m, errors))
    return lines


def _denoising(part: str, modality: str, errors: Mapping[str, Any]) -> str:
    def change(of: Mapping[str, Any]) -> str:
        worse = "" if of["denoised"] < of["degraded"] else " (does not denoise)"
        return f"{_number(of['degraded'])} → {_number(of['denoised'])}{worse}"

    kinds = ", ".join(f"{kind} {change(of)}" for kind, of in errors["by_kind"].items())
    return (
        f"Denoising of {modality} on {part}, mean |error| against the clean inputs on −1..1 over "
        f"{errors['rows']} degraded ones: {change(errors)}{'; by kind: ' if kinds else ''}{kinds}. Clean "
        f"inputs come back within {_number(errors['clean'])}."
    )


def _facts(metrics: Mapping[str, Any]) -> list[str]:
    facts = [f"seed {metrics['seed']}"] if "seed" in metrics else []
    return [*facts, str(metrics["split"])] if metrics.get("split") else facts


def _warnings(metrics: Mapping[str, Any]) -> list[str]:
    found = []
    if metrics.get("subject_dependent"):
        found.append("Subject-dependent split")
    if metrics.get("shuffled_labels"):
        found.append("Control run: labels were shuffled")
    return found


def _traces_note(traces: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    if not traces["clips"]:
        return ""
    note = "Black or white: truth; colour: prediction. Drag to zoom, double click to go back."
    if metrics.get("label_range"):
        note += f" In the labels' own range {metrics['label_range']}."
    if traces["left_out"]:
        note += f" {traces['left_out']} further clips are in the predictions table only."
    if traces["thinned"]:
        note += " Long clips are thinned for drawing; the scores are of every step."
    return note


def _figures(folder: Path) -> list[dict[str, str]]:
    found = sorted(p for p in folder.glob("*.png") if not p.name.startswith("traces"))
    known = [p for stem in TITLES for p in found if p.stem == stem]
    figures = []
    for path in known + [p for p in found if p not in known]:
        title, note = TITLES.get(path.stem, (path.stem.replace("_", " ").capitalize(), ""))
        data = base64.b64encode(path.read_bytes()).decode()
        figures.append({"title": title, "note": note, "alt": f"{title} (figures/{path.name})", "data": data})
    return figures


def _blocks(run_dir: Path, metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    blocks = [{"title": "Recipe, resolved", "text": (run_dir / "recipe.yaml").read_text(encoding="utf-8")}]
    named = (
        ("provenance.json", "Provenance: versions, seeds, data hash, state of the code"),
        ("looks.json", "Looks at the test labels"),
        ("splits.json", "Split"),
    )
    for name, title in named:
        if (run_dir / name).is_file():
            blocks.append({"title": title, "text": _pretty(read_json(run_dir / name))})
    blocks.append({"title": "All scores", "text": _pretty(metrics)})
    return blocks


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _number(value: Any, digits: int = 3) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def _difference(value: Any, other: Any) -> str:
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in (value, other)):
        return ""
    return f"{abs(value - other):.3f} {'above' if value >= other else 'below'}"
