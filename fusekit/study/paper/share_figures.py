"""What is left above a threshold, and how good it is there: figures 5 and 7 of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusekit.study.canvas import DIM_COLOURS, canvas
from fusekit.study.paper.choice import (
    LONGEST_S,
    excerpt,
    first_gate,
    gated,
    ranked,
    same_rows,
    sequence_pairs,
)
from fusekit.study.paper.results import Results, Scored
from fusekit.study.paper.shares import (
    DELTA_THRESHOLDS,
    GATE_THRESHOLDS,
    Kept,
    delta_wa,
    gate_mask,
    kept,
)
from fusekit.study.paper.traces import DELTA, SCALE, compare, finish, mean_spread
from fusekit.study.table import Table, attention_of, of_clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

SHADES = ("#d0d7de", "#8fb3cc", "#3f7fa8", "#0b3c5d")
"""From the loosest threshold to the strictest."""
METRICS = ("rmse", "cor", "ccc")

Mask = Callable[[Table, float], np.ndarray]


@dataclass(frozen=True)
class Block:
    """One model of such a figure.

    Attributes:
        runs: of the model that the mask is taken from.
        base: runs of the model it is compared with, on the same steps; may be empty.
        clip: of `runs[0]`, the example.
        judged: steps that could be kept at all.
    """

    name: str
    base_name: str
    runs: list[Scored]
    base: list[Scored]
    clip: str
    mask: Mask
    judged: Callable[[Table], np.ndarray]
    thresholds: tuple[float, ...]
    labels: tuple[str, ...]


def draw_delta_shares(results: Results, *paths: Path) -> str:
    """Figure 5: per modality, an example of the steps that each Δ^Wa threshold keeps, the share of all steps,
    and RMSE, COR and CCC there, with and without the sequence (the mask is that of the attention).

    Returns:
        The caption.

    Raises:
        MissingModelsError: no modality has both models; DataError: a file cannot be written.
    """

    def spread(table: Table) -> np.ndarray:
        attention = attention_of(table)
        assert attention is not None  # `sequence_pairs` has looked
        return delta_wa(attention)

    blocks = [
        Block(
            name, base, results.of(name), results.of(base),
            clip=ranked(results.of(name)[0].table, mean_spread)[0],
            mask=lambda table, threshold: np.nan_to_num(spread(table), nan=-1.0) >= threshold,
            judged=lambda table: np.isfinite(spread(table)),
            thresholds=DELTA_THRESHOLDS,
            labels=tuple(f"≥ {t:g} %" if t else "all" for t in DELTA_THRESHOLDS),
        )
        for base, name in sequence_pairs(results)
    ]  # fmt: skip
    how = "the clip with the largest mean Δ^Wa; shares are of the steps with at least two states"
    return _draw(results, blocks, DELTA, how, paths)


def draw_gate_shares(results: Results, *paths: Path) -> str:
    """Figure 7: an example of the steps that each T_ZG keeps, the share of all steps, and the scores there.

    Kept are steps whose gate of the first modality is below T or above 1 - T. Returns and raises as
    `draw_delta_shares`.
    """
    name = gated(results)
    runs = results.of(name)
    modality, _ = first_gate(runs[0].table)
    clip = ranked(runs[0].table, lambda rows: float(np.nanstd(first_gate(rows)[1])))[0]
    block = Block(
        name, "", runs, [], clip,
        mask=lambda table, threshold: gate_mask(first_gate(table)[1], threshold),
        judged=lambda table: np.isfinite(first_gate(table)[1]),
        thresholds=GATE_THRESHOLDS,
        labels=tuple("all" if t >= 0.5 else f"{t:g}" for t in GATE_THRESHOLDS),
    )  # fmt: skip
    how = f"the clip whose gate varies most; kept: gate of {modality} below T_ZG or above 1 − T_ZG"
    return _draw(results, [block], r"$T_{ZG}$", how, paths)


def _draw(results: Results, blocks: Sequence[Block], words: str, how: str, paths: Sequence[Path]) -> str:
    tall = 1.0 * len(results.dims) + 3.3
    with canvas(12.4, tall * len(blocks) + 0.6) as (figure, save):
        parts = figure.subfigures(len(blocks), 1, hspace=0.03, squeeze=False)[:, 0]
        for part, block in zip(parts, blocks, strict=True):
            beside = f" (grey: {block.base_name} on the same steps)" if block.base else ""
            part.suptitle(block.name + beside, fontsize=11, fontweight="bold", x=0.01, ha="left")
            above, below = part.subfigures(2, 1, height_ratios=[1.0 * len(results.dims) + 1.2, 1.9])
            _example(above, results, block)
            _panels(below, results, block, words)
        first = blocks[0].runs[0]
        clips = ", ".join(f"{b.name}: clip {b.clip}" for b in blocks)
        pooled = f"mean of {len(blocks[0].runs)} runs (folds and seeds), each of them a dot"
        caption = (
            f"{results.corpus}. Example of fold {first.fold}, seed {first.seed}, {clips}: {how}; at most "
            f"{LONGEST_S:g} s. Below: {pooled}. {SCALE}"
        )
        return finish(figure, caption, save, paths)


def _example(part: SubFigure, results: Results, block: Block) -> None:
    """The clip's traces, and below them a strip per threshold."""
    count = len(results.dims)
    rows = excerpt(of_clip(block.runs[0].table, block.clip))
    *traces, strips = part.subplots(count + 1, 1, sharex=True, height_ratios=[1.0] * count + [0.95])
    for k, (axis, dim) in enumerate(zip(traces, results.dims, strict=True)):
        compare(axis, dim, {block.name: rows}, k)
        axis.set_ylabel(dim)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, borderaxespad=0, fontsize=8.5)
    time = rows["time_s"]
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    for number, threshold in enumerate(block.thresholds):
        mask = block.mask(rows, threshold)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
        spans = [(time[a], (b - a) * step) for a, b in edges.reshape(-1, 2)]
        strips.broken_barh(spans, (number - 0.4, 0.8), color=SHADES[number % len(SHADES)], lw=0)
    strips.set_yticks(range(len(block.thresholds)), block.labels, fontsize=8)
    strips.set_ylim(len(block.thresholds) - 0.5, -0.5)
    strips.set_ylabel("kept")
    strips.grid(visible=False)
    strips.set_xlim(time[0], max(time[-1], time[0] + step))
    strips.set_xlabel("time [s]", labelpad=1)
    part.align_ylabels()


def _panels(part: SubFigure, results: Results, block: Block, words: str) -> None:
    """Share kept and scores by threshold, over all runs."""
    axes: list[Axes] = list(part.subplots(1, 1 + len(METRICS)))
    own = [_by_threshold(run.table, run.table, results, block) for run in block.runs]
    base = [
        _by_threshold(other.table, run.table, results, block)
        for run in block.runs
        for other in block.base
        if (other.fold, other.seed) == (run.fold, run.seed) and same_rows(other.table, run.table)
    ]
    places = np.arange(len(block.thresholds))
    shares = np.array([[100 * at.share for at in run] for run in own])
    means = shares.mean(0)
    axes[0].bar(places, means, color=SHADES, width=0.75)
    axes[0].plot(places, shares.T, ".", color="#333333", ms=4, alpha=0.6)
    for x, mean, top in zip(places, means, shares.max(0), strict=True):
        axes[0].text(float(x), top + 3, f"{mean:.0f} %", ha="center", fontsize=8.5)
    axes[0].set_ylim(0, 118)
    axes[0].set_yticks([0, 50, 100])
    axes[0].set_title("share kept [%]")
    for axis, metric in zip(axes[1:], METRICS, strict=True):
        for k, dim in enumerate(results.dims):
            style = {"ls": "-" if k == 0 else "--", "marker": "os^D"[k % 4]}
            if base:
                _line(axis, places, base, metric, dim, "#a6a6a6", style, "")
            _line(axis, places, own, metric, dim, DIM_COLOURS[k % len(DIM_COLOURS)], style, dim)
        axis.set_title(metric.upper())
        axis.margins(x=0.08, y=0.15)
    axes[1].legend(
        loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, borderaxespad=0, fontsize=8.5, columnspacing=1.2
    )
    for axis in axes:
        axis.set_xticks(places, block.labels, fontsize=8.5)
        axis.set_xlabel(words)


def _line(
    axis: Axes,
    x: np.ndarray,
    runs: list[list[Kept]],
    metric: str,
    dim: str,
    colour: str,
    style: dict,
    name: str,
) -> None:
    """The runs' mean as a line, each run a dot; a threshold that leaves nothing in every run is a gap."""
    values = np.array(
        [[np.nan if at.scores is None else at.scores[metric][dim] for at in run] for run in runs], dtype=float
    )
    known = np.isfinite(values)
    mean = np.where(known.any(0), np.nansum(values, 0) / np.maximum(known.sum(0), 1), np.nan)
    axis.plot(x, values.T, ".", color=colour, ms=3, alpha=0.45)
    axis.plot(x, mean, color=colour, lw=1.7, ms=5, label=name, **style)


def _by_threshold(table: Table, own: Table, results: Results, block: Block) -> list[Kept]:
    """What each threshold leaves of `table`; the masks are those of `own`, the attention or gate model."""
    judged = block.judged(own)
    masks = [block.mask(own, threshold) & judged for threshold in block.thresholds]
    return [kept(table, results.dims, mask, judged) for mask in masks]
