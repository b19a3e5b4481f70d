"""Figures of a predictions table: traces with gate and attention below, and the gate under damage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusekit.engine.metrics import scores
from fusekit.study.canvas import (
    ABSENT_COLOUR,
    DAMAGE_COLOURS,
    DIM_COLOURS,
    MODALITY_COLOURS,
    TRUTH,
    canvas,
    plain,
)
from fusekit.study.gates import damaged_modalities, gate_separation
from fusekit.study.stretches import Stretch, stretches_of
from fusekit.study.table import Table, attention_of, dims_of, modalities_of, of_clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


def traces(table: Table, clip: str, path: Path) -> Path:
    """Truth and prediction of one clip over time; below them gate, damage and absence, attention.

    Args:
        table: predictions of one or more clips, as `read_table` gives them.
        clip: which of them.

    Raises:
        DataError: no such clip, or the file cannot be written.
    """
    rows = of_clip(table, clip)
    time, dims = rows["time_s"], dims_of(rows)
    gates, bands, attention = modalities_of(rows, "gate_"), stretches_of(rows), attention_of(rows)
    heights = [1.7] * len(dims) + [1.0] * bool(gates) + [0.16 * len(bands) + 0.1] * bool(bands)
    heights += [0.9] * (attention is not None)
    with canvas(11, sum(heights) + 0.25 * len(heights) + 0.6) as (figure, save):
        axes = list(np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)))
        last = axes[-1]
        for k, dim in enumerate(dims):
            _trace(axes.pop(0), rows, dim, DIM_COLOURS[k % len(DIM_COLOURS)])
        if gates:
            draw_gate(axes.pop(0), rows, gates)
        if bands:
            _draw_bands(axes.pop(0), bands)
        if attention is not None:
            draw_attention(figure, axes.pop(0), time, attention)
        last.set_xlabel("time [s]")
        last.set_xlim(time[0], max(time[-1], time[0] + 1e-9))
        figure.suptitle(plain(clip), x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.align_ylabels()
        return save(path)


def gate_by_damage(table: Table, path: Path) -> Path:
    """Where the gate goes when a modality is damaged: by strength, and by kind at all strengths.

    One row per modality's gate; with two modalities the first alone, the other is its complement. Steps at
    which a modality is absent are left out: there the gate has no choice. AUC per strength: how well the
    first gate tells steps with the other modality damaged from steps with its own damaged.

    Raises:
        ValueError: the table has no gate or no damage columns.
    """
    gates, damaged = modalities_of(table, "gate_"), damaged_modalities(table)
    if not damaged:
        raise ValueError("gate_by_damage needs columns gate_<modality> and <modality>_damage")
    here = ~np.isnan(table[f"gate_{gates[0]}"])
    for m in modalities_of(table, "present_"):
        here &= table[f"present_{m}"] != 0
    table = {name: values[here] for name, values in table.items()}
    shown = gates[:1] if len(gates) == 2 else damaged
    kinds = any(f"{m}_kind" in table for m in damaged)
    with canvas(11 if kinds else 6, 3.4 * len(shown)) as (figure, save):
        grid = figure.subplots(len(shown), 1 + kinds, squeeze=False, sharey=True)
        for axes, gate in zip(grid, shown, strict=True):
            _boxes(axes[0], table[f"gate_{gate}"], _groups(table, damaged, "damage"), gates)
            axes[0].set_title("by strength of damage" + _auc_text(table))
            axes[0].set_ylabel(f"gate of {plain(gate)}")
            axes[0].set_ylim(-0.03, 1.03)
            if kinds:
                _boxes(axes[1], table[f"gate_{gate}"], _groups(table, damaged, "kind"), gates)
                axes[1].set_title("by kind of damage, all strengths")
        return save(path)


def _trace(axis: Axes, rows: Table, dim: str, colour: str) -> None:
    time, truth, prediction = rows["time_s"], rows[f"{dim}_true"], rows[dim]
    known = ~np.isnan(truth)
    if known.any():
        axis.plot(time, truth, color=TRUTH, lw=1.8, label="truth")
        ccc = scores(prediction[:, None], truth[:, None], known[:, None], (dim,))["ccc"][dim]
        axis.set_title(f"CCC {ccc:.2f}" if np.isfinite(ccc) else "truth constant")
    axis.plot(time, prediction, color=colour, label="prediction")
    # Scaled to what is there, not to the label range (spec 6.4), or small movements could not be seen.
    axis.margins(x=0, y=0.08)
    axis.set_ylabel(plain(dim))
    axis.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=2, borderaxespad=0)


def draw_gate(axis: Axes, rows: Table, gates: list[str]) -> None:
    """One clip's gates over time, 0..1: stacked where they sum to one, else a line per modality."""
    time, values = rows["time_s"], np.stack([rows[f"gate_{m}"] for m in gates])
    colours = [MODALITY_COLOURS[i % len(MODALITY_COLOURS)] for i in range(len(gates))]
    if np.allclose(np.nansum(values, 0), 1, atol=1e-3):
        axis.stackplot(
            time, np.nan_to_num(values), labels=list(map(plain, gates)), colors=colours, alpha=0.85, lw=0
        )
    else:
        for m, value, colour in zip(gates, values, colours, strict=True):
            axis.plot(time, value, color=colour, label=plain(m))
    axis.set_ylim(0, 1)
    axis.set_ylabel("gate")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=len(gates), borderaxespad=0)


def _draw_bands(axis: Axes, bands: dict[str, list[Stretch]]) -> None:
    from matplotlib.patches import Patch

    shown: dict[str, str] = {}
    for row, stretches in enumerate(bands.values()):
        for s in stretches:
            shown[s.name] = ABSENT_COLOUR if s.level < 0 else DAMAGE_COLOURS[s.level]
            axis.barh(row, s.stop_s - s.start_s, left=s.start_s, height=0.8, color=shown[s.name], lw=0)
    axis.set_yticks(range(len(bands)), list(map(plain, bands)))
    axis.set_ylim(len(bands) - 0.5, -0.5)
    axis.grid(visible=False)
    handles = [Patch(color=shown[name], label=name) for name in sorted(shown)]
    axis.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 0.99), ncols=len(shown), borderaxespad=0
    )


def draw_attention(figure: Figure | SubFigure, axis: Axes, time: np.ndarray, attention: np.ndarray) -> None:
    """Weights `(n, memory)` over time `(n,)` in seconds as a heat map with its scale, newest state on top."""
    memory = attention.shape[1]
    edges = np.append(time, time[-1] + (np.median(np.diff(time)) if len(time) > 1 else 1.0))
    mesh = axis.pcolormesh(edges, np.arange(memory + 1), attention.T, cmap="viridis", vmin=0, rasterized=True)
    axis.set_yticks([0.5, memory - 0.5], ["oldest", "newest"])
    axis.set_ylabel("attention")
    axis.grid(visible=False)
    inset = axis.inset_axes((1.008, 0, 0.008, 1))
    figure.colorbar(mesh, cax=inset)


def _groups(table: Table, damaged: list[str], by: str) -> list[tuple[str, str | None, np.ndarray]]:
    """`(label, modality, rows)` of each group: none damaged, then each modality alone by strength or kind."""
    states = {m: np.nan_to_num(table[f"{m}_damage"]) for m in damaged}
    clean = np.all([state == 0 for state in states.values()], axis=0)
    groups: list[tuple[str, str | None, np.ndarray]] = [("none", None, clean)]
    for m, state in states.items():
        alone = (state > 0) & np.all(
            [s == 0 for other, s in states.items() if other != m] or [clean | True], axis=0
        )
        if by == "damage":
            groups += [(f"{m}\n{level:g}", m, alone & (state == level)) for level in np.unique(state[alone])]
        elif f"{m}_kind" in table:
            kinds = table[f"{m}_kind"].astype(str)
            groups += [(f"{m}\n{kind}", m, alone & (kinds == kind)) for kind in np.unique(kinds[alone])]
    return [group for group in groups if group[2].any()]


def _boxes(
    axis: Axes, values: np.ndarray, groups: list[tuple[str, str | None, np.ndarray]], gates: list[str]
) -> None:
    """Boxes from quartile to quartile with the median, whiskers over the middle 90 %, number of steps."""
    for x, (_, modality, rows) in enumerate(groups):
        colour = "#bbbbbb" if modality is None else MODALITY_COLOURS[gates.index(modality) % 4]
        axis.boxplot(
            values[rows],
            positions=[x],
            widths=0.6,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "linewidth": 0.8},
            medianprops={"color": "black", "linewidth": 1.6},
        )
    labels = [f"{plain(label)}\nn={int(rows.sum())}" for label, _, rows in groups]
    axis.set_xticks(range(len(groups)), labels, fontsize=8)
    axis.grid(visible=False, axis="x")


def _auc_text(table: Table) -> str:
    separation = gate_separation(table)
    if separation is None:
        return ""
    return " (AUC " + ", ".join(f"{v:.2f}" for v in separation["auc_by_strength"].values()) + ")"
