"""The metrics table of a run on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fusekit.errors import printable
from fusekit.study.terminal import print_table

METRICS = ("ccc", "rmse", "cor", "icc")
Models = Mapping[str, Mapping[str, Any]]
"""Scores of a run and its baselines, by name."""


def show_metrics(metrics: Mapping[str, Any], console: Console | None = None) -> None:
    """CCC, RMSE, COR and ICC of the model and its baselines, for each part of the split that was scored."""
    console = console or Console()
    for part in ("validation", "test"):
        if part not in metrics:
            continue
        own = metrics[part]
        dims = [d for d in own["ccc"] if d != "mean"]
        scored = f"{own['clips']} clips of {own['subjects']} subjects, {own['n']} steps"
        title = f"{metrics['recipe']} on {part}: {scored}"
        rows = {"this run": own} | {n: b[part] for n, b in metrics.get("baselines", {}).items() if part in b}
        if _wide(rows, dims) <= console.width:
            _print_wide(console, title, rows, dims)
        else:
            _print_turned(console, title, rows, dims)
        if "gate" in own:
            gate = own["gate"]
            by = ", ".join(f"{_cell(v)} at strength {k}" for k, v in gate["auc_by_strength"].items())
            unseen = (
                f"; {_cell(gate['auc_unseen'])} on kinds of damage unseen in training"
                if "auc_unseen" in gate
                else ""
            )
            console.print(
                f"  gate, AUC of one modality's damage against the other's: {by}{unseen}", highlight=False
            )
        for m, errors in own.get("denoising", {}).items():
            harm = "" if errors["denoised"] < errors["degraded"] else ": it does not denoise"
            console.print(
                f"  {m}, mean |error| of degraded inputs and of what is made of them: "
                f"{_cell(errors['degraded'])}, {_cell(errors['denoised'])}{harm}",
                highlight=False,
            )
        if "clip_quadrant" in own:
            q = own["clip_quadrant"]
            test = (
                f"permutation p cannot be tested: {q['untested']}"
                if q.get("untested")
                else f"permutation p = {_p(q['permutation_p'])}, labels permuted {q['permuted']}"
            )
            console.print(
                f"  quadrant of clips: UAR {_cell(q['uar'])}, chance {_cell(q['chance'])} ({q['n']} clips, "
                f"{q['left_out']} without a quadrant left out); {test}",
                highlight=False,
            )
    notes = [
        f"pooling: {metrics['pooling']}; ddof {metrics['ddof']}; states: {metrics['states']}, "
        f"{metrics['steps']} steps"
    ]
    if "read_at" in metrics.get("test", {}):
        notes.append(f"test labels read at {metrics['test']['read_at']}")
    if metrics.get("subject_dependent"):
        notes.append("SUBJECT-DEPENDENT: the same subjects are in training and test")
    if metrics.get("shuffled_labels"):
        notes.append("CONTROL: trained on shuffled labels")
    if str(metrics.get("corpus", "")).startswith("demo"):
        notes.append(
            "synthetic corpus: these scores say that the parts work, not how well people's affect is read"
        )
    for note in notes:
        console.print(Text(f"  {printable(note)}", "dim"))


def _print_wide(console: Console, title: str, rows: Models, dims: Sequence[str]) -> None:
    """A row per metric, a column per dimension and model: narrow enough for two dimensions and 80 columns."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", min_width=4, no_wrap=True)
    for i, name in enumerate(rows):
        for k, dim in enumerate((*dims, "mean")):
            head = (printable(name) if k == 0 else "") + "\n" + _short(dim)
            width = 8 if k == 0 else 6  # a wider gap between models than between dimensions
            style = "bold" if i == 0 else ""
            table.add_column(Text(head), justify="right", style=style, min_width=width, no_wrap=True)
    for metric in METRICS:
        values = (_cell(r[metric][d]) for r in rows.values() for d in (*dims, "mean"))
        table.add_row(metric.upper(), *values)
    console.print(table)


def _wide(rows: Models, dims: Sequence[str]) -> int:
    first = max(cell_len(_short(dims[0])) if dims else 0, 8)
    return 6 + sum(
        max(first, cell_len(name)) + sum(max(6, cell_len(_short(d))) for d in (*dims[1:], "mean"))
        for name in rows
    )


def _print_turned(console: Console, title: str, rows: Models, dims: Sequence[str]) -> None:
    """A table per model, a row per dimension: for many dimensions, or long names."""
    console.print(Text(printable(title), "bold"))
    for name, scores in rows.items():
        cells = [[dim, *(_cell(scores[metric][dim]) for metric in METRICS)] for dim in (*dims, "mean")]
        print_table([name, *(metric.upper() for metric in METRICS)], cells, console=console)


def _short(dim: str) -> str:
    return {"valence": "V", "arousal": "A"}.get(dim, printable(dim))


def _cell(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"
