"""Tables 1-2, 5-6, 11 and 12-13 of the paper from a study, in the paper's own arrangement (spec 6.4).

The paper prints most tables twice, for SEMAINE and SEWA; a study has one corpus, so a pair becomes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusekit.engine.metrics import METRICS
from fusekit.study.paper.layout import Cell, Column, PaperTable, Row, make_table, number_cell
from fusekit.study.paper.printed import load_printed, load_printed_complexity
from fusekit.study.paper.protocol import model_scores, over_seeds, protocol_notes
from fusekit.study.paper.results import Results

SINGLE = ("Vi", "Vi-De", "Vi-DeS", "Au", "Au-De", "Au-DeS")
FUSION = ("Vi-DeS", "Au-DeS", "AVi-CaS", "AVi-GaS")
EIGHT = (*SINGLE, "AVi-CaS", "AVi-GaS")
LITERATURE = ("Vi-DeS", "Au-DeS", "AVi-GaS")

OURS = "this study"
PER_RECORDING = "this study, each recording scored on its own"

AS_PRINTED = "as printed"
"""Sections of the paper's own rows are named so, and what follows says where they are from."""

BEST = "Bold: the best of its block."
PRINTED = (
    "Rows 'as printed' are the paper's own numbers, on another corpus by another protocol: not to be ranked "
    "with ours."
)
NO_SCORE = (
    "A dash: a run is missing, or some fold has no such score (constant predictions or labels, or no step "
    "kept)."
)

_ARROWS = {"rmse": " ↓", "cor": " ↑", "ccc": " ↑", "icc": " ↑"}
_PAPER_ORDER = ("rmse", "cor", "ccc", "icc")


def target_name(dim: str) -> str:
    """A dimension as the paper's tables call it: VAL, ARO; any other by its own name."""
    return {"valence": "VAL", "arousal": "ARO"}.get(dim, dim)


def as_printed(dataset: str) -> str:
    """Name of the section that holds the paper's rows of a dataset."""
    return f"{AS_PRINTED}, on {dataset}, another protocol"


def single_modality(results: Results, printed: bool = False) -> PaperTable:
    """Tables 1-2: six models of one modality; RMSE, COR, CCC and ICC of each dimension.

    Args:
        results: the study's runs.
        printed: the paper's rows too.
    """
    return _scores_table(
        results,
        numbers=(1, 2),
        caption=f"The models of one modality, {results.corpus}.",
        models=SINGLE,
        average=False,
        printed=printed,
    )


def fusion(results: Results, printed: bool = False) -> PaperTable:
    """Tables 5-6: both modalities concatenated (CaS) and gated (GaS) beside each alone; arguments as in
    `single_modality`. AVG is the mean over the dimensions (spec 4.7)."""
    return _scores_table(
        results,
        numbers=(5, 6),
        caption=f"Concatenated and gated modalities compared with each alone, {results.corpus}.",
        models=FUSION,
        average=True,
        printed=printed,
    )


def literature(results: Results) -> PaperTable:
    """Tables 12-13: our rows, and those that the paper prints of other work, always marked as printed."""
    keys = _keys(results, average=True)
    labels = (Column(("Model", ""), label=True), Column(("Modalities", ""), label=True))
    rows = []
    modalities = {model.name: "+".join(model.modalities) for model in results.models}
    for model in LITERATURE:
        own = _score_cells(results, model, keys)
        rows.append(Row(OURS, (Cell(model), Cell(modalities.get(model, "")), *own)))
    for number in (12, 13):
        found = load_printed(number)
        for model, used in dict.fromkeys((p.model, p.modalities) for p in found):
            values = {(p.metric.lower(), p.target): p.value for p in found if p.model == model}
            theirs = (Cell(values.get(key, "")) for key in keys)
            rows.append(Row(as_printed(found[0].dataset), (Cell(model), Cell(used), *theirs)))
    notes = [*protocol_notes(results, LITERATURE), BEST, NO_SCORE, PRINTED]
    caption = f"Our models, {results.corpus}, and the literature as the paper prints it."
    return make_table((12, 13), "table12-13", caption, (*labels, *_columns(keys)), rows, notes)


def complexity(
    results: Results, measured: Mapping[str, Any] | None = None, printed: bool = False
) -> PaperTable:
    """Table 11: parameters, size and time, by the paper's accounting and as built (spec 2).

    Args:
        results: names the models.
        measured: `{model: {"paper" | "built": {"training" | "inference": {"parameters", "size_mb"}},
            "time_ms": {"training", "inference"}}}`, what is missing gives dashes; None: nothing was measured.
        printed: the paper's rows too.
    """
    columns = [Column(("Model", ""), label=True)]
    columns += [
        Column((head, phase))
        for head in ("Parameters", "Size (MB)", "Time (ms)")
        for phase in ("Training", "Inference")
    ]
    rows = []
    for section, key in (("paper accounting", "paper"), ("as built", "built")):
        for model in results.models:
            counts = _within(measured, model.name, key)
            # What runs is what was built: there is no time of the paper's way of counting.
            times = _within(measured, model.name, "time_ms") if key == "built" else {}
            cells = [Cell(model.name)]
            for field, digits in (("parameters", 0), ("size_mb", 2)):
                cells += [_measured(_within(counts, phase).get(field), digits) for phase in _PHASES]
            cells += [_measured(times.get(phase), 2) for phase in _PHASES]
            rows.append(Row(section, tuple(cells)))
    if printed:
        rows += _printed_complexity()
    notes = [
        "Parameters and sizes by the paper's accounting count one generator and one discriminator (spec 2.3)."
    ]
    if not measured:
        notes.append("Not measured.")
    if printed:
        notes.append("Rows 'as printed' were measured by the paper's authors on a GTX 1080 Ti.")
    caption = "Parameters, size and running time of the models."
    return make_table((11,), "table11", caption, columns, rows, notes)


_PHASES = ("training", "inference")


def _within(value: Any, *keys: str) -> Mapping[str, Any]:
    """What nested mappings hold; {} where any is missing or no mapping."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _measured(value: Any, digits: int) -> Cell:
    return number_cell(float(value), digits=digits) if isinstance(value, int | float) else Cell()


def _printed_complexity() -> list[Row]:
    found = {(p.model, p.phase): p for p in load_printed_complexity()}
    rows = []
    for model in dict.fromkeys(model for model, _ in found):
        phases = [found[model, phase] for phase in _PHASES]
        numbers = [getattr(p, field) for field in ("parameters", "size_mb", "time_ms") for p in phases]
        rows.append(Row(AS_PRINTED, (Cell(model), *map(Cell, numbers))))
    return rows


def _scores_table(
    results: Results,
    *,
    numbers: tuple[int, int],
    caption: str,
    models: Sequence[str],
    average: bool,
    printed: bool,
) -> PaperTable:
    keys = _keys(results, average)
    rows = []
    for section, per_recording in ((OURS, False), (PER_RECORDING, True)):
        for model in models:
            cells = _score_cells(results, model, keys, per_recording=per_recording)
            rows.append(Row(section, (Cell(model), *cells)))
    notes = [*protocol_notes(results, models), BEST, NO_SCORE]
    notes.append(
        f"'{PER_RECORDING}': mean over the recordings of a fold; those with constant labels or predictions "
        "have no correlation and are left out. It rewards the course within a recording, not its level."
    )
    if printed:
        notes.append(PRINTED)
        for number in numbers:
            found = load_printed(number)
            for model in models:
                values = {(p.metric.lower(), p.target): p.value for p in found if p.model == model}
                theirs = (Cell(values.get(key, "")) for key in keys)
                rows.append(Row(as_printed(found[0].dataset), (Cell(model), *theirs)))
    stem = f"table{numbers[0]:02d}-{numbers[1]:02d}"
    columns = (Column(("Model", ""), label=True), *_columns(keys))
    return make_table(numbers, stem, caption, columns, rows, notes)


def _keys(results: Results, average: bool) -> list[tuple[str, str]]:
    """(metric, target) of the columns, in the paper's order."""
    targets = [target_name(dim) for dim in results.dims] + ["AVG"] * average
    return [(metric, target) for metric in _PAPER_ORDER for target in targets]


def _columns(keys: Sequence[tuple[str, str]]) -> list[Column]:
    return [
        Column((metric.upper() + _ARROWS[metric], target), better="low" if metric == "rmse" else "high")
        for metric, target in keys
    ]


def _score_cells(
    results: Results, model: str, keys: Sequence[tuple[str, str]], *, per_recording: bool = False
) -> list[Cell]:
    targets = [*(target_name(dim) for dim in results.dims), "AVG"]
    mean, sd = over_seeds(model_scores(results, model, per_recording=per_recording))
    at = [np.s_[METRICS.index(metric), targets.index(target)] for metric, target in keys]
    return [number_cell(float(mean[i]), float(sd[i])) for i in at]
