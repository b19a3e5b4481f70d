"""Figures of a run: learning curves, denoising triples, traces with gate and attention, gate by damage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusekit.study.canvas import DIM_COLOURS, MODALITY_COLOURS, TRUTH, canvas, plain
from fusekit.study.gates import damaged_modalities
from fusekit.study.table import clips_of, read_journal, read_table
from fusekit.study.trace_figures import gate_by_damage, traces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["denoising_triples", "draw_run", "gate_by_damage", "learning_curves", "predictions_path", "traces"]

MAX_TRACES = 6
"""Clips whose traces `draw_run` draws; the report shows them all."""


def draw_run(run_dir: Path) -> list[Path]:
    """Every figure that a run directory's own files allow, into `run_dir/figures`.

    Learning curves; traces of the first clips, of the test split once it was read; gate by damage where the
    labels say what was damaged. Denoising needs pictures, so that whoever has the model calls
    `denoising_triples`.
    """
    folder = run_dir / "figures"
    drawn = []
    if (run_dir / "metrics.jsonl").is_file():
        drawn.append(learning_curves(run_dir / "metrics.jsonl", folder / "learning_curves.png"))
    path = predictions_path(run_dir)
    if path is None:
        return drawn
    table = read_table(path)
    if "split" in table and (table["split"] == "test").any():
        table = {name: values[table["split"] == "test"] for name, values in table.items()}
    for name, clip in _file_names(clips_of(table)[:MAX_TRACES]).items():
        drawn.append(traces(table, clip, folder / f"traces_{name}.png"))
    if damaged_modalities(table):
        drawn.append(gate_by_damage(table, folder / "gate_by_damage.png"))
    return drawn


def _file_names(clips: Sequence[str]) -> dict[str, str]:
    """`{name: clip}`, names that any file system takes; a number parts those that would be one."""
    names: dict[str, str] = {}
    for clip in clips:
        short = re.sub(r"[^A-Za-z0-9_.-]", "_", clip)[:100]
        number = next(n for n in range(1, len(clips) + 1) if _numbered(short, n) not in names)
        names[_numbered(short, number)] = clip
    return names


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def predictions_path(run_dir: Path) -> Path | None:
    """The run's predictions table in the format its recipe chose; None before there is one."""
    found = [p for p in (run_dir / "predictions.csv", run_dir / "predictions.parquet") if p.is_file()]
    return max(found, key=lambda p: p.stat().st_mtime, default=None)


def denoising_triples(
    pictures: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], path: Path, *, rows: int = 5
) -> Path:
    """Degraded, denoised and clean inputs side by side, as in the paper's figure 4.

    Args:
        pictures: per modality three arrays `(n, C, H, W)` in -1..1: degraded, denoised, clean. Pictures whose
            channels are copies of one are spectrograms: drawn in colour, low frequencies at the bottom.
            Series `(n, C, L)` are drawn as curves.
        rows: at most so many examples. The errors above the columns are over all n.
    """
    n = min(rows, max(len(clean) for _, _, clean in pictures.values()))
    with canvas(4.4 * len(pictures), 1.45 * n + 0.75) as (figure, save):
        parts = figure.subfigures(1, len(pictures), wspace=0.03, squeeze=False)[0]
        for part, (modality, triple) in zip(parts, pictures.items(), strict=True):
            degraded, denoised, clean = (np.asarray(x, dtype=np.float64) for x in triple)
            before, after = np.abs(degraded - clean).mean(), np.abs(denoised - clean).mean()
            part.suptitle(f"{plain(modality)}: mean |error| {before:.2f} → {after:.2f}", fontsize=10)
            grid = part.subplots(n, 3, squeeze=False)
            for axis, title in zip(grid[0], ("degraded", "denoised", "clean"), strict=True):
                axis.set_title(title, loc="center", fontsize=9)
            mono = bool((clean == clean[:, :1]).all())
            for i, j in np.ndindex(n, 3):
                grid[i, j].set_axis_off()
                if i < len(clean):
                    _picture(grid[i, j], (degraded, denoised, clean)[j][i], mono)
        return save(path)


def learning_curves(journal: Path, path: Path) -> Path:
    """Validation CCC and training losses by epoch, one column per phase of training, from `metrics.jsonl`.

    Raises:
        RunError: the journal is missing or damaged.
    """
    phases: dict[str, list[dict[str, Any]]] = {}
    for entry in read_journal(journal):
        name = entry.get("phase") or entry["stage"]
        phases.setdefault(f"{name} (window {entry['window']})", []).append(entry)
    phases = phases or {"no epoch yet": []}
    scored = [e["validation"]["ccc"] for entries in phases.values() for e in entries if e["validation"]]
    dims = list(dict.fromkeys(dim for ccc in scored for dim in ccc))
    with canvas(max(6.0, 3.3 * len(phases)), 5.0) as (figure, save):
        grid = figure.subplots(2, len(phases), squeeze=False, sharex="col")
        for (top, bottom), (name, entries) in zip(grid.T, phases.items(), strict=True):
            top.set_title(plain(name))
            bottom.set_xlabel("epoch")
            for k, dim in enumerate(dims):
                colour, width = (TRUTH, 2.2) if dim == "mean" else (DIM_COLOURS[k % len(DIM_COLOURS)], 1.3)
                points = [(e["epoch"], e["validation"]["ccc"].get(dim)) for e in entries if e["validation"]]
                _curve(top, points, dim, colour, width)
            for k, loss in enumerate(sorted({loss for e in entries for loss in e["train"]})):
                colour = (*DIM_COLOURS, *MODALITY_COLOURS)[k % 8]
                _curve(bottom, [(e["epoch"], e["train"].get(loss)) for e in entries], loss, colour, 1.3)
            if bottom.lines:
                bottom.legend(fontsize=7, ncols=2)
                bottom.xaxis.get_major_locator().set_params(integer=True)
        # One scale for the CCC of all phases: what a stage adds must be seen at a glance.
        shown = [y for axis in grid[0] for line in axis.lines for y in line.get_ydata() if np.isfinite(y)]
        low, high = min([*shown, 0.0]), max([*shown, 0.1])
        for axis in grid[0]:
            axis.set_ylim(low - 0.05 * (high - low), high + 0.08 * (high - low))
        grid[0, 0].set_ylabel("validation CCC")
        grid[1, 0].set_ylabel("training loss")
        if grid[0, -1].lines:
            grid[0, -1].legend(loc="lower right", fontsize=8)
        return save(path)


def _picture(axis: Axes, picture: np.ndarray, mono: bool) -> None:
    """`(C, H, W)` in -1..1, or a series `(C, L)`."""
    if picture.ndim == 2:
        axis.plot(picture.T, lw=0.6)
        axis.set_ylim(-1.05, 1.05)
    elif mono:
        axis.imshow(picture[0], vmin=-1, vmax=1, cmap="magma", origin="lower")
    else:
        axis.imshow(np.clip((picture.transpose(1, 2, 0) + 1) / 2, 0, 1))


def _curve(axis: Axes, points: list[tuple[int, float | None]], label: str, colour: str, width: float) -> None:
    """Non-finite values stand as null in the journal: a gap in the line."""
    x = [epoch for epoch, _ in points]
    y = [np.nan if value is None else value for _, value in points]
    axis.plot(x, y, color=colour, lw=width, marker="o" if len(x) < 12 else "", ms=3, label=plain(label))
