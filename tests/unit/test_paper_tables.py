"""Tables 1-13 of a study: every number computed again with NumPy and SciPy from the predictions on disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from paper_study import DIMS, write_study

from fusekit.errors import RunError
from fusekit.study.paper.layout import Cell, Column, PaperTable, Row, make_table, number_cell
from fusekit.study.paper.printed import load_printed
from fusekit.study.paper.results import Results, load_results, run_folder
from fusekit.study.paper.tables import OURS, PER_RECORDING, complexity, fusion, literature, single_modality
from fusekit.study.paper.threshold_tables import attention_fusion, attention_single, gate_fusion

NAMES = {"VAL": "valence", "ARO": "arousal"}
ARROW = {"RMSE": "RMSE ↓", "COR": "COR ↑", "CCC": "CCC ↑", "ICC": "ICC ↑"}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(write_study(tmp_path_factory.mktemp("one") / "study"))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(write_study(tmp_path_factory.mktemp("three") / "study", seeds=3))


def column(results: Results, model: str, fold: int, name: str, seed: int = 0) -> np.ndarray:
    """A column of numbers as csv reads it; blank: NaN."""
    with (run_folder(results.folder, model, fold, seed) / "predictions.csv").open() as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])


def oracle(metric: str, p: np.ndarray, y: np.ndarray) -> float:
    known = ~np.isnan(y)
    p, y = p[known], y[known]
    if metric == "RMSE":
        return float(np.sqrt(np.mean((p - y) ** 2)))
    if metric == "COR":
        return float(scipy.stats.pearsonr(p, y)[0])
    covariance = np.cov(p, y, ddof=0)
    bias = (p.mean() - y.mean()) ** 2 if metric == "CCC" else 0.0
    return float(2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + bias))


def expected(
    results: Results,
    model: str,
    metric: str,
    target: str,
    seed: int = 0,
    keep: Callable[[int], np.ndarray] = lambda fold: np.s_[:],
) -> float:
    """Per fold over all its steps, averaged over folds."""
    if target == "AVG":
        return float(np.mean([expected(results, model, metric, t, seed, keep) for t in NAMES]))
    values = [
        oracle(
            metric,
            column(results, model, fold, NAMES[target], seed)[keep(fold)],
            column(results, model, fold, f"{NAMES[target]}_true", seed)[keep(fold)],
        )
        for fold in results.folds
    ]
    return float(np.mean(values))


def spread(results: Results, model: str, fold: int) -> np.ndarray:
    """Delta-Wa step by step, in a loop."""
    weights = np.stack([column(results, model, fold, f"attention_{k + 1}") for k in range(8)], 1)
    found = []
    for row in weights:
        used = row[row > 0]
        found.append(100 * (used.max() - used.min()) / used.max() if len(used) > 1 else np.nan)
    return np.array(found)


def number(table: PaperTable, section: str, model: str, name: str) -> float:
    value = table.cell(section, model, name).number
    assert value is not None
    return value


def test_tables_1_2_equal_an_independent_computation(one: Results) -> None:
    table = single_modality(one)
    assert (table.title, table.stem) == ("Tables 1-2", "table01-02")
    assert [row.cells[0].text for row in table.rows if row.section == OURS] == [
        "Vi", "Vi-De", "Vi-DeS", "Au", "Au-De", "Au-DeS",
    ]  # fmt: skip
    assert [c.heads for c in table.columns[1:5]] == [
        ("RMSE ↓", "VAL"), ("RMSE ↓", "ARO"), ("COR ↑", "VAL"), ("COR ↑", "ARO"),
    ]  # fmt: skip
    for model in ("Vi", "Au-DeS"):
        for metric, head in ARROW.items():
            for target in NAMES:
                ours = number(table, OURS, model, f"{head} {target}")
                assert ours == pytest.approx(expected(one, model, metric, target), abs=0.5e-3 + 1e-6)
    assert all(cell.sd == "" for row in table.rows for cell in row.cells)
    assert "One seed: no deviation." in table.notes


def test_tables_5_6_average_and_recordings(one: Results) -> None:
    table = fusion(one)
    assert table.title == "Tables 5-6"
    assert len(table.columns) == 1 + 4 * 3
    for metric, head in ARROW.items():
        for target in (*NAMES, "AVG"):
            ours = number(table, OURS, "AVi-GaS", f"{head} {target}")
            assert ours == pytest.approx(expected(one, "AVi-GaS", metric, target), abs=0.5e-3 + 1e-6)
    folds = []
    for fold in one.folds:
        p, y = column(one, "AVi-CaS", fold, "arousal"), column(one, "AVi-CaS", fold, "arousal_true")
        folds.append(
            np.mean([oracle("CCC", a, b) for a, b in zip(np.split(p, 3), np.split(y, 3), strict=True)])
        )
    ours = number(table, PER_RECORDING, "AVi-CaS", "CCC ↑ ARO")
    assert ours == pytest.approx(np.mean(folds), abs=0.5e-3 + 1e-6)


def test_several_seeds_give_mean_and_deviation(three: Results) -> None:
    table = single_modality(three)
    cell = table.cell(OURS, "Vi-De", "CCC ↑ VAL")
    values = [expected(three, "Vi-De", "CCC", "VAL", seed) for seed in range(3)]
    assert cell.number == pytest.approx(np.mean(values), abs=0.5e-3 + 1e-6)
    assert float(cell.sd) == pytest.approx(np.std(values, ddof=1), abs=0.5e-3 + 1e-6)
    assert "Mean ± standard deviation (ddof 1) over 3 seeds." in table.notes


def test_best_is_the_lowest_error_and_the_highest_similarity(one: Results) -> None:
    table = fusion(one)
    for name in ("RMSE ↓ VAL", "COR ↑ ARO", "CCC ↑ AVG", "ICC ↑ VAL"):
        cells = {m: table.cell(OURS, m, name) for m in ("Vi-DeS", "Au-DeS", "AVi-CaS", "AVi-GaS")}
        pick = min if name.startswith("RMSE") else max
        best = pick(cells, key=lambda m: cells[m].number)
        assert [m for m in cells if cells[m].best] == [best]


@pytest.mark.parametrize("threshold", [12.5, 25, 50])
def test_tables_3_4_mask_both_models_by_the_attention_of_one(one: Results, threshold: float) -> None:
    table = attention_single(one)
    masks = {fold: spread(one, "Au-DeS", fold) >= threshold for fold in one.folds}
    section, head = "this study, at the steps of Au-DeS", f"ΔWa ≥ {threshold:g} %"
    values = {}
    for model in ("Au-De", "Au-DeS"):
        for metric in ("RMSE", "COR"):
            for target in NAMES:
                values[model, metric, target] = expected(one, model, metric, target, keep=masks.__getitem__)
                ours = number(table, section, model, f"{head} {ARROW[metric]} {target}")
                assert ours == pytest.approx(values[model, metric, target], abs=0.5e-3 + 1e-6)
        share = 100 * np.concatenate(list(masks.values())).mean()
        assert number(table, section, model, f"{head} kept %") == pytest.approx(share, abs=0.05 + 1e-6)
    for target in NAMES:
        base, new = (values[m, "RMSE", target] for m in ("Au-De", "Au-DeS"))
        ours = number(table, section, "Au-DeS", f"{head} RMSE gain % {target}")
        assert ours == pytest.approx(100 * (base - new) / base, abs=0.05 + 1e-6)
        base, new = (values[m, "COR", target] for m in ("Au-De", "Au-DeS"))
        ours = number(table, section, "Au-DeS", f"{head} COR gain % {target}")
        assert ours == pytest.approx(100 * (new - base) / base, abs=0.05 + 1e-6)
        assert table.cell(section, "Au-De", f"{head} RMSE gain % {target}").text == ""


def test_tables_7_8_and_9_10_compare_each_with_gas_at_its_steps(one: Results) -> None:
    gate = {fold: column(one, "AVi-GaS", fold, "gate_face") for fold in one.folds}
    cases = [
        (attention_fusion(one), "ΔWa ≥ 50 %", {f: spread(one, "AVi-GaS", f) >= 50 for f in one.folds}),
        (gate_fusion(one), "T_ZG = 0.125", {f: (g < 0.125) | (g > 0.875) for f, g in gate.items()}),
    ]
    section = "this study, at the steps of AVi-GaS"
    for table, head, masks in cases:
        new = expected(one, "AVi-GaS", "RMSE", "VAL", keep=masks.__getitem__)
        for model in ("Vi-DeS", "Au-DeS", "AVi-CaS"):
            base = expected(one, model, "RMSE", "VAL", keep=masks.__getitem__)
            assert number(table, section, model, f"{head} RMSE ↓ VAL") == pytest.approx(base, abs=0.501e-3)
            ours = number(table, section, model, f"{head} RMSE gain % VAL")
            assert ours == pytest.approx(100 * (base - new) / base, abs=0.05 + 1e-4)
        assert table.cell(section, "AVi-GaS", f"{head} RMSE gain % VAL").text == ""
    assert [row.cells[0].text for row in cases[0][0].rows] == ["Vi-DeS", "Au-DeS", "AVi-CaS", "AVi-GaS"]
    assert [row.cells[0].text for row in cases[1][0].rows] == ["Au-DeS", "Vi-DeS", "AVi-CaS", "AVi-GaS"]
    assert (cases[0][0].title, cases[1][0].title) == ("Tables 7-8", "Tables 9-10")


def rewrite(study: Path, model: str, change: Callable[[dict[str, str], int], None]) -> None:
    """Change rows of all predictions of a model, in place."""
    for at in sorted((study / "runs").glob(f"{model.lower()}-f*")):
        with (at / "predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        for i, row in enumerate(rows):
            change(row, i)
        with (at / "predictions.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


@pytest.mark.parametrize("steps", [1, 4])
def test_below_one_percent_there_is_a_share_and_no_score(tmp_path: Path, steps: int) -> None:
    study = write_study(tmp_path / "study", folds=2)  # 180 steps in each fold

    def change(row: dict[str, str], i: int) -> None:
        row["gate_face"] = "0.99" if i % 180 < steps else "0.5"

    rewrite(study, "AVi-GaS", change)
    table = gate_fusion(load_results(study))
    row = ("this study, at the steps of AVi-GaS", "AVi-CaS")
    assert table.cell(*row, "T_ZG = 0.0625 kept %").text == f"{100 * steps / 180:.1f}"
    scored = [table.cell(*row, f"T_ZG = 0.0625 {ARROW[m]} ARO").text != "" for m in ("RMSE", "COR")]
    assert scored == [steps > 1] * 2
    assert (table.cell(*row, "T_ZG = 0.0625 RMSE gain % ARO").text != "") == (steps > 1)


def test_labels_in_another_range_are_scaled_to_one(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    before = load_results(study)
    was = {metric: expected(before, "Vi", metric, "ARO") for metric in ARROW}
    plan = json.loads((study / "study.json").read_text()) | {"label_range": [0, 1]}
    (study / "study.json").write_text(json.dumps(plan))

    def change(row: dict[str, str], i: int) -> None:
        for name in [*DIMS, *(f"{dim}_true" for dim in DIMS)]:
            row[name] = str((float(row[name]) + 1) / 2) if row[name] else ""

    rewrite(study, "Vi", change)
    table = single_modality(load_results(study))
    for metric, value in was.items():
        assert number(table, OURS, "Vi", f"{ARROW[metric]} ARO") == pytest.approx(value, abs=0.501e-3)
    assert "scale -1..1 (the labels' own: 0..1)" in table.notes[0]


def test_a_missing_model_and_a_missing_fold_give_dashes_and_a_note(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", folds=3, seeds=2, leave="Au-De")
    (run_folder(study, "Vi", 1, 0) / "metrics.json").unlink()
    (run_folder(study, "AVi-GaS", 2, 0) / "metrics.json").unlink()
    (run_folder(study, "AVi-GaS", 2, 1) / "metrics.json").unlink()
    results = load_results(study)
    table = single_modality(results)
    assert {cell.text for row in table.rows if row.cells[0].text == "Au-De" for cell in row.cells[1:]} == {""}
    assert "Au-De, seed 0: 0 of 3 folds are finished; it does not count." in table.notes
    assert "Vi, seed 0: 2 of 3 folds are finished; it does not count." in table.notes
    cell = table.cell(OURS, "Vi", "CCC ↑ ARO")  # seed 1 alone: no deviation
    assert cell.number == pytest.approx(expected(results, "Vi", "CCC", "ARO", seed=1), abs=0.501e-3)
    assert cell.sd == ""
    for build in (attention_fusion, gate_fusion):
        rows = build(results).rows
        assert {cell.text for row in rows for cell in row.cells[1:]} == {""}
    pairs = attention_single(results)
    assert pairs.cell("this study, at the steps of Au-DeS", "Au-DeS", "ΔWa ≥ 25 % COR ↑ VAL").text
    assert not pairs.cell("this study, at the steps of Au-DeS", "Au-DeS", "ΔWa ≥ 25 % COR gain % VAL").text


def test_a_model_that_the_study_does_not_plan(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    plan = json.loads((study / "study.json").read_text())
    plan["models"] = [m for m in plan["models"] if m["name"] != "Au"]
    (study / "study.json").write_text(json.dumps(plan))
    assert "Au is not part of this study." in single_modality(load_results(study)).notes


def test_constant_predictions_have_no_correlation(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    rewrite(study, "Vi", lambda row, i: row.update(arousal="0.25"))
    table = single_modality(load_results(study))
    assert table.cell(OURS, "Vi", "CCC ↑ ARO").text == ""
    assert table.cell(OURS, "Vi", "RMSE ↓ ARO").text
    assert table.cell(OURS, "Vi", "CCC ↑ VAL").text


def test_models_tested_on_other_steps_are_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    rewrite(study, "AVi-CaS", lambda row, i: row.update(time_s=str(float(row["time_s"]) + 0.01)))
    results = load_results(study)
    with pytest.raises(RunError, match="not the same"):
        gate_fusion(results)
    fusion(results)  # compares no step with another


def test_the_order_of_clips_in_a_file_does_not_matter(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    before = load_results(study)
    for at in (study / "runs").glob("avi-cas-f*"):
        head, *rows = (at / "predictions.csv").read_text().splitlines()
        (at / "predictions.csv").write_text("\n".join([head, *rows[120:], *rows[:120]]) + "\n")
    after = load_results(study)
    for build in (attention_fusion, gate_fusion, fusion):
        assert build(after) == build(before)


def test_predictions_without_attention_or_gate_say_so(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    for name in ("gate_voice", *(f"attention_{k + 1}" for k in range(8))):
        rewrite(study, "AVi-GaS", lambda row, i, name=name: row.pop(name))
    results = load_results(study)
    for build, what in ((attention_fusion, "attention"), (gate_fusion, "gate of two modalities")):
        table = build(results)
        assert f"The predictions of AVi-GaS hold no {what}: nothing can be singled out." in table.notes
        assert {cell.text for row in table.rows for cell in row.cells[1:]} == {""}


def test_printed_rows_stand_beside_ours(one: Results) -> None:
    for build, numbers in (
        (single_modality, (1, 2)),
        (attention_single, (3, 4)),
        (fusion, (5, 6)),
        (attention_fusion, (7, 8)),
        (gate_fusion, (9, 10)),
    ):
        plain, table = build(one), build(one, True)
        ours = [row for row in table.rows if "as printed" not in row.section]
        assert ours == list(plain.rows)
        theirs = [row for row in table.rows if "as printed" in row.section]
        assert all("another protocol" in row.section for row in theirs)
        assert any("not to be ranked" in note for note in table.notes)
        shown = sorted(cell.text for row in theirs for cell in row.cells[1:] if cell.text)
        assert shown == sorted(p.value for n in numbers for p in load_printed(n) if p.value)
    table = attention_fusion(one, True)
    section = "as printed, on SEMAINE, another protocol, at the steps of AVi-GaS"
    assert table.cell(section, "Au-DeS", "ΔWa ≥ 50 % COR gain % VAL").text == "57.1"


def test_literature(one: Results) -> None:
    table = literature(one)
    assert table.title == "Tables 12-13"
    printed = [cell.text for row in table.rows if row.section != OURS for cell in row.cells[2:] if cell.text]
    assert sorted(printed) == sorted(p.value for n in (12, 13) for p in load_printed(n) if p.value)
    assert table.cell("as printed, on SEWA, another protocol", "Factorised", "CCC ↑ AVG").text == "0.635"
    assert table.cell("as printed, on SEMAINE, another protocol", "FT-DCNN", "CCC ↑ AVG").text == ""
    assert table.cell(OURS, "AVi-GaS", "Modalities").text == "face+voice"
    ours = number(table, OURS, "AVi-GaS", "ICC ↑ AVG")
    assert ours == pytest.approx(expected(one, "AVi-GaS", "ICC", "AVG"), abs=0.501e-3)


def test_complexity_takes_what_is_there(one: Results) -> None:
    measured = {
        "AVi-GaS": {
            "paper": {"training": {"parameters": 6264189, "size_mb": 25.06}},
            "built": {
                "training": {"parameters": 9525015, "size_mb": 38.1},
                "inference": {"parameters": 3534339, "size_mb": None},
            },
            "time_ms": {"training": 12.345, "inference": 1.2},
        },
        "Vi": {"paper": None, "built": {}},
    }
    table = complexity(one, measured)
    assert table.title == "Table 11"
    assert "Not measured." not in table.notes
    gas = {section: [cell.text for cell in row.cells] for section, rows in table.sections() for row in rows}
    assert gas["paper accounting"] == ["AVi-GaS", "6264189", "", "25.06", "", "", ""]
    assert gas["as built"] == ["AVi-GaS", "9525015", "3534339", "38.10", "", "12.35", "1.20"]
    assert not any(cell.best for row in table.rows for cell in row.cells)
    nothing = complexity(one, None, printed=True)
    assert "Not measured." in nothing.notes
    assert nothing.cell("as printed", "AVi-CaS", "Time (ms) Inference").text == "5.17"


def test_layout_refuses_rows_and_columns_that_do_not_fit() -> None:
    columns = (Column(("Model",), label=True), Column(("CCC ↑",), better="high"))
    with pytest.raises(ValueError, match="2 columns, but 1 cells"):
        make_table((), "x", "x", columns, [Row("s", (Cell("a"),))], ())
    with pytest.raises(ValueError, match="of one name"):
        make_table((), "x", "x", (columns[0], columns[0]), [], ())


def test_best_ties_are_shared_and_one_alone_is_not_best() -> None:
    columns = (Column(("Model",), label=True), Column(("CCC ↑",), better="high"))
    said = [("s", "0.50"), ("s", "0.50"), ("s", "0.40"), ("t", "0.90"), ("t", "")]
    rows = [Row(section, (Cell("m"), Cell(text))) for section, text in said]
    table = make_table((1,), "x", "x", columns, rows, ())
    assert [row.cells[1].best for row in table.rows] == [True, True, False, False, False]
    assert table.title == "Table 1"
    with pytest.raises(KeyError):
        table.cell("s", "nobody", "CCC ↑")


def test_number_cells() -> None:
    assert number_cell(0.12345, 0.0106) == Cell("0.123", "0.011")
    assert number_cell(-0.0001) == Cell("0.000")
    assert number_cell(float("nan"), 0.1) == Cell()
    assert Cell("-0.5").number == -0.5
    assert Cell("AVi").number is Cell("").number is Cell("nan").number is None
