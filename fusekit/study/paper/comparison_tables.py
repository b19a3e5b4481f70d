"""The comparisons of a study as tables: all models beside simple ones, and the paper's claims."""

from __future__ import annotations

from fusekit.study.paper.comparisons import best_single, model_overview, orderings
from fusekit.study.paper.layout import Cell, Column, PaperTable, Row, make_table, number_cell
from fusekit.study.paper.protocol import over_seeds, protocol_notes
from fusekit.study.paper.results import Results


def comparison_tables(results: Results, draws: int = 2000) -> tuple[PaperTable, PaperTable]:
    """`model_overview` and `orderings` as tables, stems "comparisons-models" and "comparisons-orderings"."""
    return _overview_table(results, draws), _orderings_table(results, draws)


def _overview_table(results: Results, draws: int) -> PaperTable:
    columns = [
        Column(("Model", ""), label=True),
        Column(("mean of folds", "CCC ↑"), better="high"),
        Column(("mean of folds", "RMSE ↓"), better="low"),
        Column(("all folds together", "CCC ↑"), better="high"),
        Column(("all folds together", "95 %: from")),
        Column(("all folds together", "95 %: to")),
        Column(("states otherwise", "CCC ↑"), better="high"),
    ]
    rows = []
    for score in model_overview(results, draws):
        cells = [Cell(score.name)]
        for values in (score.ccc, score.rmse):
            mean, sd = over_seeds(values)
            cells.append(number_cell(float(mean), float(sd)))
        pooled = score.pooled
        cells += [number_cell(x) for x in (pooled.value, pooled.low, pooled.high)] if pooled else [Cell()] * 3
        if score.other_states is None:
            cells.append(Cell())
        else:
            mean, sd = over_seeds(score.other_states)
            cells.append(number_cell(float(mean), float(sd)))
        rows.append(Row("models" if pooled else "baselines", tuple(cells)))
    notes = [
        *protocol_notes(results, [model.name for model in results.models]),
        _how(draws),
        "Late mean: of the predictions of Vi-DeS and Au-DeS. Ridge: on pooled pixels and mels, penalty "
        "chosen on validation. Constant: the training labels' mean, which has no CCC. Of these two only the "
        "scores of each fold are on record.",
        "States otherwise: carried on through the clip where the recipe resets them before every window, or "
        "reset where it carries them; mean of folds.",
    ]
    caption = f"CCC of the models, mean over the dimensions, beside simple ones, {results.corpus}."
    return make_table((), "comparisons-models", caption, columns, rows, notes)


def _orderings_table(results: Results, draws: int) -> PaperTable:
    columns = [
        Column(("First",), label=True),
        Column(("against",), label=True),
        Column(("Difference of CCC",)),
        Column(("95 %: from",)),
        Column(("95 %: to",)),
        Column(("draws above 0, %",)),
        Column(("subjects",)),
        Column(("first is better",), label=True),
    ]
    rows = []
    for claim in orderings(results, draws):
        d = claim.difference
        cells = [Cell()] * 5
        if d is not None:
            cells = [number_cell(x) for x in (d.value, d.low, d.high)]
            cells += [number_cell(100 * d.above, digits=1), number_cell(d.subjects, digits=0)]
        rows.append(Row(claim.question, (Cell(claim.first), Cell(claim.second), *cells, Cell(claim.holds))))
    best = best_single(results)
    notes = [
        _how(draws),
        "'first is better': yes or no where the interval excludes 0, else open; not corrected for the number "
        "of comparisons.",
        f"Best single modality: {best}, by the mean CCC on the VALIDATION clips over folds and seeds."
        if best
        else "No model of one modality has a complete seed and a validation CCC.",
    ]
    caption = f"Does each step help? Differences of CCC, mean over the dimensions, {results.corpus}."
    return make_table((), "comparisons-orderings", caption, columns, rows, notes)


def _how(draws: int) -> str:
    return (
        "All folds together: one CCC per dimension over all test steps of the study; of several seeds the "
        f"mean of their CCC. Intervals: middle 95 % of {draws} draws of subjects with replacement, the same "
        "draws for all seeds and both models."
    )
