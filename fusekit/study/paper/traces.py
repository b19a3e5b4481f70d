"""Traces of several models over the same clip: figures 3, 6 and 8 of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from fusekit.engine.metrics import scores
from fusekit.study.canvas import DIM_COLOURS, TRUTH, canvas, plain
from fusekit.study.paper.analyses import delta_wa
from fusekit.study.paper.choice import (
    LONGEST_S,
    Chosen,
    concatenating,
    excerpt,
    gate_spread,
    gated,
    mean_spread,
    ranked,
    sequence_pairs,
    together,
)
from fusekit.study.paper.pictures import Frames, draw_strip
from fusekit.study.paper.results import Results
from fusekit.study.table import Table, attention_of, clips_of, modalities_of, of_clip
from fusekit.study.trace_figures import draw_attention, draw_gate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

OTHER = "#a6a6a6"
"""Of the model that a figure's own model is compared with."""
HIGH, LOW = "#B8860B", "#56B4E9"
"""Of the two moments of figure 3: the largest spread of attention, and the smallest."""
DELTA = r"$\Delta^{Wa}$"
PICTURES = 8
"""In a strip below a trace: as many as the attention has states."""
SCALE = "Scaled to the models' own smallest and largest value; truth beyond it is cut off."


def draw_sequence(results: Results, frames: Frames | None, *paths: Path) -> str:
    """Figure 3: per modality, predictions with and without the sequence, attention, its extremes in pictures.

    The clip is the one with the largest mean spread of attention; the moments are those of its largest and
    smallest spread. Scores are not looked at.

    Returns:
        The caption.

    Raises:
        MissingModelsError: no modality has both models; DataError: a file cannot be written.
    """
    pairs = sequence_pairs(results)
    heights = [1.35] * len(results.dims) + [0.9, 0.85, 0.6, 0.85, 0.6, 0.85]
    if frames is None:
        del heights[-1], heights[-2]
    with canvas(6.2 * len(pairs), sum(heights) + 2.2) as (figure, save):
        said = []
        for part, pair in zip(_parts(figure, len(pairs)), pairs, strict=True):
            chosen = together(results, pair)
            table = chosen.runs[pair[1]].table
            clip = ranked(table, mean_spread)[0]
            rows = {name: excerpt(of_clip(chosen.runs[name].table, clip)) for name in pair}
            axes = list(part.subplots(len(heights), 1, height_ratios=heights))
            part.suptitle(f"{pair[1]} and {pair[0]}", fontsize=11, fontweight="bold")
            _together(axes, rows, results.dims, pair)
            attention = attention_of(rows[pair[1]])
            assert attention is not None  # `sequence_pairs` has looked
            modality = next(m.modalities[0] for m in results.models if m.name == pair[1])
            below = axes[len(results.dims) :]
            _spread(part, below, rows[pair[1]], attention, (clip, modality, frames))
            part.align_ylabels()
            said.append(f"{pair[1]}: {_where(chosen, clip)}")
        how = (
            f"{results.corpus}. {'; '.join(said)}. The clip with the largest mean ΔWa, at most "
            f"{LONGEST_S:g} s; below, the states read at its largest and its smallest ΔWa. {SCALE}"
        )
        return finish(figure, how, save, paths)


def draw_gating(results: Results, frames: Frames | None, *paths: Path) -> str:
    """Figure 6: concatenation and gate over two clips, with the gate, the attention and what was seen.

    The clips are those whose gate of the first modality varies most and least (standard deviation).
    Returns and raises as `draw_sequence`.
    """
    pair = (concatenating(results), gated(results))
    chosen = together(results, pair)
    table = chosen.runs[pair[1]].table
    order = ranked(table, gate_spread)
    clips = {"gate varies most": order[0]} | ({"gate varies least": order[-1]} if len(order) > 1 else {})
    modalities = next(m.modalities for m in results.models if m.name == pair[1])
    weighs = attention_of(table) is not None
    heights = [1.35] * len(results.dims) + [0.9] * (1 + weighs) + [0.85] * len(modalities) * bool(frames)
    with canvas(6.2 * len(clips), sum(heights) + 1.7) as (figure, save):
        for part, (words, clip) in zip(_parts(figure, len(clips)), clips.items(), strict=True):
            rows = {name: excerpt(of_clip(chosen.runs[name].table, clip)) for name in pair}
            own = rows[pair[1]]
            axes = list(part.subplots(len(heights), 1, height_ratios=heights))
            part.suptitle(f"{plain(clip)}: {words}", fontsize=11, fontweight="bold")
            _together(axes, rows, results.dims, pair)
            timed = axes[: len(heights) - len(modalities) * bool(frames)]
            draw_gate(timed[len(results.dims)], own, modalities_of(own, "gate_"))
            attention = attention_of(own)
            if attention is not None:
                draw_attention(part, timed[-1], own["time_s"], attention)
            _share_time(timed, own["time_s"])
            if frames:
                times = np.linspace(own["time_s"][0], own["time_s"][-1], PICTURES)
                for axis, modality in zip(axes[len(timed) :], modalities, strict=True):
                    draw_strip(axis, frames(clip, modality, times), [f"{t:.0f} s" for t in times], modality)
            part.align_ylabels()
        how = (
            f"{results.corpus}. {_where(chosen, ' and '.join(clips.values()))}: the clips whose gate has the "
            f"largest and the smallest standard deviation, at most {LONGEST_S:g} s each. {SCALE}"
        )
        return finish(figure, how, save, paths)


def draw_others(results: Results, *paths: Path) -> str:
    """Figure 8: the gated model over one clip against each other model of the study that has the same fold
    and seed; the first clip by name. Returns and raises as `draw_sequence`.
    """
    name = gated(results)
    first = results.of(name)[0]
    names = [m.name for m in results.models if (m.name, first.fold, first.seed) in results.runs]
    chosen = together(results, names)
    others = [other for other in names if other != name]
    clip = sorted(clips_of(first.table))[0]
    rows = {m: excerpt(of_clip(run.table, clip)) for m, run in chosen.runs.items()}
    limits = {dim: _limits([r[dim] for r in rows.values()]) for dim in results.dims}
    count = max(1, len(others))
    with canvas(12.4, 1.25 * count + 1.4) as (figure, save):
        grid = figure.subplots(count, len(results.dims), squeeze=False, sharex=True)
        for line, other in zip(grid, others or [name], strict=True):
            for k, (axis, dim) in enumerate(zip(line, results.dims, strict=True)):
                compare(axis, dim, {other: rows[other], name: rows[name]}, k)
                axis.set_ylim(*limits[dim])
                axis.set_ylabel(other if k == 0 else "", fontweight="bold")
                marks = [f"{m} {_ccc(dim, rows[m])}" for m in dict.fromkeys((other, name))]
                axis.set_title("CCC here: " + ", ".join(marks), fontsize=8)
        for k, (axis, dim) in enumerate(zip(grid[0], results.dims, strict=True)):
            axis.set_title(f"{dim}\n{axis.get_title('left')}", fontsize=9)
            handles = dict(zip(("truth", "the model at the left", name), axis.lines, strict=False))
            figure.legend(
                handles.values(), handles.keys(), ncols=3, fontsize=9,
                loc="outside upper left" if k == 0 else "outside upper right",
            )  # fmt: skip
        for axis in grid[-1]:
            axis.set_xlabel("time [s]")
        missing = [m.name for m in results.models if m.name not in names]
        left_out = f" Not finished there: {', '.join(missing)}." if missing else ""
        how = f"{results.corpus}. {_where(chosen, clip)}: the first by name, at most {LONGEST_S:g} s. "
        return finish(figure, how + SCALE + left_out, save, paths)


def compare(axis: Axes, dim: str, models: dict[str, Table], colour: int) -> None:
    """Truth and the models' predictions of one dimension; the last model in the dimension's colour.

    Args:
        models: `{name: rows of one clip}`, any number; the y axis is scaled to their predictions alone.
        colour: which dimension it is, for its colour.
    """
    truth = next(iter(models.values()))
    axis.plot(truth["time_s"], truth[f"{dim}_true"], color=TRUTH, lw=1.2, label="truth", zorder=2.5)
    own = DIM_COLOURS[colour % len(DIM_COLOURS)]
    for number, (name, rows) in enumerate(models.items(), start=1):
        last = number == len(models)
        axis.plot(
            rows["time_s"], rows[dim], color=own if last else OTHER, lw=1.7, label=name, zorder=2.6 + last
        )
    axis.set_ylim(*_limits([rows[dim] for rows in models.values()]))
    axis.margins(x=0)


def _together(axes: list[Axes], rows: dict[str, Table], dims: Sequence[str], pair: tuple[str, str]) -> None:
    """Panels of the dimensions, the first axes, for two models."""
    for k, dim in enumerate(dims):
        compare(axes[k], dim, rows, k)
        axes[k].set_ylabel(dim)
        marks = ["truth", *(f"{name}, CCC {_ccc(dim, rows[name])}" for name in pair)]
        axes[k].legend(
            axes[k].lines, marks, loc="lower right", bbox_to_anchor=(1, 0.97), ncols=3, borderaxespad=0,
            fontsize=8.5, handlelength=1.4, columnspacing=1.4,
        )  # fmt: skip


def _spread(
    part: SubFigure,
    axes: list[Axes],
    rows: Table,
    attention: np.ndarray,
    seen: tuple[str, str, Frames | None],
) -> None:
    """Attention, its spread, and the two moments: weights of the states, and pictures of what was read."""
    time, spread = rows["time_s"], delta_wa(attention)
    draw_attention(part, axes[0], time, attention)
    axes[1].plot(time, spread, color="#555555", lw=1.1)
    axes[1].set_ylim(0, 100)
    axes[1].set_ylabel(f"{DELTA} [%]")
    _share_time([*part.axes[: len(part.axes) - len(axes)], *axes[:2]], time)
    used = (np.nan_to_num(attention) > 0).sum(1)
    # Only where the memory is as full as it gets: the moments must be of equal length to be compared.
    full = np.where(used == used.max(), spread, np.nan)
    if not np.isfinite(full).any():
        for axis in axes[2:]:
            axis.set_axis_off()
        return
    clip, modality, frames = seen
    step = 2 if frames else 1
    moments = (("largest", int(np.nanargmax(full)), HIGH), ("smallest", int(np.nanargmin(full)), LOW))
    for number, (words, at, colour) in enumerate(moments):
        axes[1].axvline(time[at], color=colour, lw=2.2)
        weights = attention[at, -used[at] :] if used[at] else attention[at]
        bars = axes[2 + step * number]
        bars.bar(range(len(weights)), weights, color=colour, width=0.9)
        bars.set_xlim(-0.5, len(weights) - 0.5)
        bars.set_ylim(0, max(1e-6, float(weights.max())) * 1.45)
        for k, weight in enumerate(weights):
            bars.text(k, weight, f"{weight:.2f}", ha="center", va="bottom", fontsize=8)
        bars.set_axis_off()
        bars.set_title(
            f"{words} {DELTA}: {spread[at]:.0f} % at {time[at]:.1f} s", fontsize=9, color="#333333"
        )
        if frames:
            # The newest state is that of the step before (spec 1.6).
            times = time[max(0, at - len(weights)) : at]
            labels = [f"{t:.2f} s" for t in times]
            draw_strip(axes[3 + step * number], frames(clip, modality, times), labels, modality)


def _share_time(axes: Sequence[Axes], time: np.ndarray) -> None:
    for axis in axes:
        axis.set_xlim(time[0], max(time[-1], time[0] + 1e-9))
        axis.tick_params(labelbottom=axis is axes[-1])
    axes[-1].set_xlabel("time [s]", labelpad=1)


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    low, high = (f([f(v) for v in values]) for f in (np.nanmin, np.nanmax))
    pad = max(0.08 * (high - low), 1e-3)
    return float(low - pad), float(high + pad)


def _ccc(dim: str, rows: Table) -> str:
    """CCC over the rows that are shown, in words."""
    known = ~np.isnan(rows[f"{dim}_true"])
    found = scores(rows[dim][:, None], rows[f"{dim}_true"][:, None], known[:, None], (dim,))["ccc"][dim]
    return f"{found:.2f}" if np.isfinite(found) else "–"


def _parts(figure: Figure, number: int) -> list[SubFigure]:
    return list(figure.subfigures(1, number, wspace=0.04, squeeze=False)[0])


def _where(chosen: Chosen, clip: str) -> str:
    return f"fold {chosen.fold}, seed {chosen.seed}, clip {clip}"


def finish(figure: Figure, caption: str, save: Callable[[Path], Path], paths: Sequence[Path]) -> str:
    """Put the caption under the figure, in its width, then write the files; returns the caption."""
    width = int(figure.get_size_inches()[0] * 15.5)
    figure.supxlabel(fill(plain(caption), width), x=0.01, ha="left", fontsize=8.5, color="#444444")
    for path in paths:
        save(path)
    return caption
