"""Tables 3-4, 7-8 and 9-10 of the paper: models compared at the steps that attention or gate single out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusekit.engine.metrics import METRICS
from fusekit.study.paper.analyses import (
    GATE_THRESHOLDS,
    LEAST_SHARE,
    SPREADS,
    attention_spread,
    gain,
    gate_mask,
    gate_of,
)
from fusekit.study.paper.layout import Cell, Column, PaperTable, Row, make_table, number_cell
from fusekit.study.paper.printed import load_printed
from fusekit.study.paper.protocol import (
    Kept,
    kept_steps,
    model_scores,
    over_seeds,
    protocol_notes,
)
from fusekit.study.paper.results import Results
from fusekit.study.paper.tables import BEST, FUSION, NO_SCORE, PRINTED, as_printed, target_name

KEPT = "kept %"

GAINS = (
    "Gain in percent of the model compared with: 100 (base - new) / base for RMSE, 100 (new - base) / base "
    "for COR, from the scores before rounding; a dash where the base of COR is not above 0."
)
_SCORED = ("rmse", "cor")


@dataclass(frozen=True)
class _Block:
    """Models compared at the steps that one of them decides; `gains`: {row: (base, new)}."""

    decider: str
    models: tuple[str, ...]
    gains: Mapping[str, tuple[str, str]]


def attention_single(results: Results, printed: bool = False) -> PaperTable:
    """Tables 3-4: De against DeS of each modality where the attention of DeS is spread; base: De.

    Args:
        results: the study's runs.
        printed: the paper's rows too.

    Raises:
        RunError: the runs of a fold and seed do not have the same steps.
    """
    blocks = [
        _Block(f"{m}-DeS", (f"{m}-De", f"{m}-DeS"), {f"{m}-DeS": (f"{m}-De", f"{m}-DeS")})
        for m in ("Vi", "Au")
    ]
    caption = f"What attention adds where its weights differ, {results.corpus}."
    return _table(results, (3, 4), caption, blocks, SPREADS, printed)


def attention_fusion(results: Results, printed: bool = False) -> PaperTable:
    """Tables 7-8: four models where the attention of GaS is spread; base: each other row, new: GaS.
    Arguments and errors as in `attention_single`."""
    caption = f"The models compared with AVi-GaS where the weights of its attention differ, {results.corpus}."
    return _table(results, (7, 8), caption, [_against_gas(FUSION)], SPREADS, printed)


def gate_fusion(results: Results, printed: bool = False) -> PaperTable:
    """Tables 9-10: four models where the gate of GaS clearly chose; base: each other row, new: GaS.
    Arguments and errors as in `attention_single`."""
    models = ("Au-DeS", "Vi-DeS", "AVi-CaS", "AVi-GaS")  # the paper's order
    caption = f"The models compared with AVi-GaS where its gate clearly chose a modality, {results.corpus}."
    return _table(results, (9, 10), caption, [_against_gas(models)], GATE_THRESHOLDS, printed)


def _against_gas(models: tuple[str, ...]) -> _Block:
    return _Block("AVi-GaS", models, {m: (m, "AVi-GaS") for m in models if m != "AVi-GaS"})


def _table(
    results: Results,
    numbers: tuple[int, int],
    caption: str,
    blocks: Sequence[_Block],
    thresholds: Sequence[float],
    printed: bool,
) -> PaperTable:
    by_gate = thresholds is GATE_THRESHOLDS
    rows: list[Row] = []
    for block in blocks:
        rows += _rows(results, block, thresholds, by_gate)
    models = list(dict.fromkeys(m for block in blocks for m in block.models))
    notes = [*protocol_notes(results, models), GAINS, *_mask_notes(results, blocks, by_gate), BEST, NO_SCORE]
    if printed:
        rows += _printed_rows(results, numbers, blocks, thresholds)
        notes.append(PRINTED)
    columns = _columns(results, thresholds, by_gate)
    stem = f"table{numbers[0]:02d}-{numbers[1]:02d}"
    return make_table(numbers, stem, caption, columns, rows, notes)


def _rows(results: Results, block: _Block, thresholds: Sequence[float], by_gate: bool) -> list[Row]:
    section = f"this study, at the steps of {block.decider}"
    cells: dict[str, list[Cell]] = {model: [Cell(model)] for model in block.models}
    for threshold in thresholds:
        kept = _kept(results, block.decider, threshold, by_gate)
        share = _share(kept)
        means, deviations = {}, {}
        for model in block.models:
            if kept is not None and share.mean() >= LEAST_SHARE:
                values = model_scores(results, model, kept)
            else:
                values = np.empty((0, len(METRICS), len(results.dims) + 1))
            means[model], deviations[model] = over_seeds(values)
        for model in block.models:
            for metric in _SCORED:
                row = METRICS.index(metric)
                for k in range(len(results.dims)):
                    cells[model].append(
                        number_cell(float(means[model][row, k]), float(deviations[model][row, k]))
                    )
                for k in range(len(results.dims)):
                    cells[model].append(_gain_cell(metric, block.gains.get(model), means, row, k))
            mean, deviation = over_seeds(100 * share)
            cells[model].append(number_cell(float(mean), float(deviation), digits=1))
    return [Row(section, tuple(cells[model])) for model in block.models]


def _gain_cell(
    metric: str, pair: tuple[str, str] | None, means: Mapping[str, np.ndarray], row: int, k: int
) -> Cell:
    if pair is None:
        return Cell()
    base, new = (float(means[model][row, k]) for model in pair)
    return number_cell(gain(metric, base, new), digits=1)


def _kept(results: Results, decider: str, threshold: float, by_gate: bool) -> Kept | None:
    if by_gate:
        return kept_steps(results, decider, gate_of, lambda gate: gate_mask(gate, threshold))
    # Steps with fewer than two states have no spread: NaN is never at or above a threshold.
    return kept_steps(results, decider, attention_spread, lambda spread: spread >= threshold)


def _share(kept: Kept | None) -> np.ndarray:
    """`(S,)` share of steps kept, one per seed of the deciding model."""
    if kept is None:
        return np.empty(0)
    return np.array([kept.share(seed) for seed in sorted({seed for _, seed in kept.masks})])


def _mask_notes(results: Results, blocks: Sequence[_Block], by_gate: bool) -> list[str]:
    what = (
        "Kept are the steps with both modalities present and gate < T or gate > 1 - T"
        if by_gate
        else "Kept are the steps with ΔWa, 100 (max - min) / max of the weights, at or above the threshold"
    )
    deciders = " and in ".join(block.decider for block in blocks)
    notes = [
        f"{what}, as found in {deciders}, for all models of a block alike. '{KEPT}': share of all test "
        f"steps; below {100 * LEAST_SHARE:g} % no score is given."
    ]
    quantity, thing = (gate_of, "gate of two modalities") if by_gate else (attention_spread, "attention")
    for block in blocks:
        runs = results.of(block.decider)
        if runs and any(quantity(run) is None for run in runs):
            notes.append(f"The predictions of {block.decider} hold no {thing}: nothing can be singled out.")
    return notes


def _columns(results: Results, thresholds: Sequence[float], by_gate: bool) -> list[Column]:
    columns = [Column(("Model", "", ""), label=True)]
    targets = [target_name(dim) for dim in results.dims]
    for threshold in thresholds:
        head = f"T_ZG = {threshold:g}" if by_gate else f"ΔWa ≥ {threshold:g} %"
        columns += [Column((head, "RMSE ↓", target), better="low") for target in targets]
        columns += [Column((head, "RMSE gain %", target)) for target in targets]
        columns += [Column((head, "COR ↑", target), better="high") for target in targets]
        columns += [Column((head, "COR gain %", target)) for target in targets]
        columns.append(Column((head, KEPT, "")))
    return columns


def _printed_rows(
    results: Results, numbers: Sequence[int], blocks: Sequence[_Block], thresholds: Sequence[float]
) -> list[Row]:
    targets = [target_name(dim) for dim in results.dims]
    rows = []
    for number in numbers:
        found = load_printed(number)
        values = {(p.model, float(p.threshold), p.metric, p.target): p.value for p in found}
        for block, model in ((b, model) for b in blocks for model in b.models):
            cells = [Cell(model)]
            for threshold in thresholds:
                for metric in ("RMSE", "RMSE_GAIN_PCT", "COR", "COR_GAIN_PCT"):
                    cells += [Cell(values.get((model, threshold, metric, t), "")) for t in targets]
                cells.append(Cell())  # the paper shows shares in a figure only
            section = f"{as_printed(found[0].dataset)}, at the steps of {block.decider}"
            rows.append(Row(section, tuple(cells)))
    return rows
