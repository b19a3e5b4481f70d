"""What is left above a threshold, and how good it is there: figures 5 and 7 of the paper.

Shares and scores are those of the tables: `fusekit.study.paper.protocol`, scale -1..1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusekit.engine.metrics import METRICS
from fusekit.study.canvas import DIM_COLOURS, canvas
from fusekit.study.paper.analyses import (
    GATE_THRESHOLDS,
    LEAST_SHARE,
    SPREADS,
    attention_spread,
    gate_mask,
    gate_of,
)
from fusekit.study.paper.choice import (
    LONGEST_S,
    MissingModelsError,
    excerpt,
    gate_spread,
    gated,
    mean_spread,
    ranked,
    sequence_pairs,
)
from fusekit.study.paper.protocol import Kept, complete_seeds, kept_steps, model_scores, over_seeds
from fusekit.study.paper.results import Results, Scored
from fusekit.study.paper.traces import DELTA, OTHER, SCALE, compare, finish
from fusekit.study.table import of_clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

SHADES = ("#d0d7de", "#8fb3cc", "#3f7fa8", "#0b3c5d")
"""From the loosest threshold to the strictest."""
SHOWN = ("rmse", "cor", "ccc")


@dataclass(frozen=True)
class Block:
    """One model of such a figure.

    Attributes:
        name: of the model whose attention or gate decides. base: of the one it is compared with, or "".
        clip: the example, of its first run.
        quantity: run -> `(N,)`, what is compared with a threshold.
        keeps: `{label: rule}` of the thresholds, the loosest first; `(N,)` -> `(N,)` bool.
    """

    name: str
    base: str
    clip: str
    quantity: Callable[[Scored], np.ndarray | None]
    keeps: dict[str, Callable[[np.ndarray], np.ndarray]]


def draw_delta_shares(results: Results, *paths: Path) -> str:
    """Figure 5: per modality, an example of the steps that each threshold of attention spread keeps, their
    share of all steps, and RMSE, COR and CCC there, with and without the sequence (the mask is that of the
    attention).

    Returns:
        The caption.

    Raises:
        MissingModelsError: no modality has both models, of no seed all folds are finished; RunError: their
            steps differ; DataError: a file cannot be written.
    """
    keeps = {"all": np.ones_like} | {f"≥ {t:g} %": _at_least(t) for t in SPREADS}
    blocks = [
        Block(name, base, ranked(results.of(name)[0].table, mean_spread)[0], attention_spread, keeps)
        for base, name in sequence_pairs(results)
    ]
    return _draw(results, blocks, DELTA, "the clip with the largest mean ΔWa", paths)


def draw_gate_shares(results: Results, *paths: Path) -> str:
    """Figure 7: an example of the steps that each T_ZG keeps, their share of all steps, and the scores there.

    Kept are steps whose gate is below T or above 1 - T. Returns and raises as `draw_delta_shares`.
    """
    name = gated(results)
    first = results.of(name)[0]
    if gate_of(first) is None:
        raise MissingModelsError(f"T_ZG needs a gate between two modalities, and {name} weighs more")
    keeps = {"all": _gate(0.5)} | {f"{t:g}": _gate(t) for t in GATE_THRESHOLDS}
    block = Block(name, "", ranked(first.table, gate_spread)[0], gate_of, keeps)
    how = "the clip whose gate varies most; kept: a gate below T_ZG or above 1 − T_ZG"
    return _draw(results, [block], r"$T_{ZG}$", how, paths)


def _at_least(threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    # Steps with fewer than two states have no spread: NaN is never at or above a threshold.
    return lambda spread: spread >= threshold


def _gate(threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda gate: gate_mask(gate, threshold)


def _draw(results: Results, blocks: Sequence[Block], words: str, how: str, paths: Sequence[Path]) -> str:
    for block in blocks:
        if not complete_seeds(results, block.name):
            raise MissingModelsError(f"of no seed all folds of {block.name} are finished")
    tall = 1.0 * len(results.dims) + 3.3
    with canvas(12.4, tall * len(blocks) + 0.6) as (figure, save):
        parts = figure.subfigures(len(blocks), 1, hspace=0.03, squeeze=False)[:, 0]
        for part, block in zip(parts, blocks, strict=True):
            beside = f" (grey: {block.base} on the same steps)" if block.base else ""
            part.suptitle(block.name + beside, fontsize=11, fontweight="bold", x=0.01, ha="left")
            above, below = part.subfigures(2, 1, height_ratios=[1.0 * len(results.dims) + 1.2, 1.9])
            _example(above, results, block)
            _panels(below, results, block, words)
        first = results.of(blocks[0].name)[0]
        clips = ", ".join(f"{b.name}: clip {b.clip}" for b in blocks)
        pooled = "; ".join(f"{b.name}: {_seeds(complete_seeds(results, b.name))}" for b in blocks)
        caption = (
            f"{results.corpus}. Example of fold {first.fold}, seed {first.seed}, {clips}: {how}; at most "
            f"{LONGEST_S:g} s. {SCALE} Below: share of all test steps, and the scores there as in the "
            f"tables (scale -1..1; {pooled}); below {100 * LEAST_SHARE:g} % no score."
        )
        return finish(figure, caption, save, paths)


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"mean over {len(seeds)} seeds, each a dot" if len(seeds) > 1 else f"seed {seeds[0]}"


def _example(part: SubFigure, results: Results, block: Block) -> None:
    """The clip's traces, and below them a strip per threshold."""
    count = len(results.dims)
    run = results.of(block.name)[0]
    rows = excerpt(of_clip(run.table, block.clip))
    values = block.quantity(replace(run, table=rows))
    assert values is not None  # whoever made the block has looked
    *traces, strips = part.subplots(count + 1, 1, sharex=True, height_ratios=[1.0] * count + [0.95])
    for k, (axis, dim) in enumerate(zip(traces, results.dims, strict=True)):
        compare(axis, dim, {block.name: rows}, k)
        axis.set_ylabel(dim)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, borderaxespad=0, fontsize=8.5)
    time = rows["time_s"]
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    for number, keep in enumerate(block.keeps.values()):
        mask = keep(values).astype(bool)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
        spans = [(time[a], (b - a) * step) for a, b in edges.reshape(-1, 2)]
        strips.broken_barh(spans, (number - 0.4, 0.8), color=SHADES[number % len(SHADES)], lw=0)
    strips.set_yticks(range(len(block.keeps)), list(block.keeps), fontsize=8)
    strips.set_ylim(len(block.keeps) - 0.5, -0.5)
    strips.set_ylabel("kept")
    strips.grid(visible=False)
    strips.set_xlim(time[0], max(time[-1], time[0] + step))
    strips.set_xlabel("time [s]", labelpad=1)
    part.align_ylabels()


def _panels(part: SubFigure, results: Results, block: Block, words: str) -> None:
    """Share kept and scores by threshold."""
    axes: list[Axes] = list(part.subplots(1, 1 + len(SHOWN)))
    seeds = complete_seeds(results, block.name)
    kept = [_kept(results, block, keep) for keep in block.keeps.values()]
    places = np.arange(len(kept))
    shares = np.array([[100 * at.share(seed) for at in kept] for seed in seeds])
    means = shares.mean(0)
    axes[0].bar(places, means, color=SHADES, width=0.75)
    if len(seeds) > 1:
        axes[0].plot(places, shares.T, ".", color="#333333", ms=4, alpha=0.6)
    for x, mean, top in zip(places, means, shares.max(0), strict=True):
        axes[0].text(float(x), top + 3, f"{mean:.0f} %", ha="center", fontsize=8.5)
    axes[0].set_ylim(0, 118)
    axes[0].set_yticks([0, 50, 100])
    axes[0].set_title("share kept [%]")
    for name in (block.base, block.name):
        enough = [at if mean >= 100 * LEAST_SHARE else None for at, mean in zip(kept, means, strict=True)]
        scored = [None if at is None else model_scores(results, name, at) for at in enough] if name else []
        for axis, metric in zip(axes[1:], SHOWN, strict=True):
            for k, dim in enumerate(results.dims):
                own = name == block.name
                style = {"ls": "-" if k == 0 else "--", "marker": "os^D"[k % 4], "label": dim if own else ""}
                style["color"] = DIM_COLOURS[k % len(DIM_COLOURS)] if own else OTHER
                _line(axis, [s if s is None else s[:, METRICS.index(metric), k] for s in scored], style)
    for axis, title in zip(axes[1:], SHOWN, strict=True):
        axis.set_title(title.upper())
        axis.margins(x=0.08, y=0.15)
    axes[1].legend(
        loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, borderaxespad=0, fontsize=8.5, columnspacing=1.2
    )
    for axis in axes:
        axis.set_xticks(places, list(block.keeps), fontsize=8.5)
        axis.set_xlabel(words)


def _kept(results: Results, block: Block, keep: Callable[[np.ndarray], np.ndarray]) -> Kept:
    kept = kept_steps(results, block.name, block.quantity, lambda values: keep(values).astype(bool))
    assert kept is not None  # seeds are complete, and the quantity is there
    return kept


def _line(axis: Axes, scored: Sequence[np.ndarray | None], style: dict[str, Any]) -> None:
    """Mean over seeds `(S,)` by threshold, each seed a dot; None, or no seed: a gap."""
    means = [np.nan if at is None else float(over_seeds(at)[0]) for at in scored]
    for x, at in enumerate(scored):
        if at is not None and len(at) > 1:
            axis.plot([x] * len(at), at, ".", color=style["color"], ms=3, alpha=0.45)
    if means:
        axis.plot(range(len(means)), means, lw=1.7, ms=5, **style)
