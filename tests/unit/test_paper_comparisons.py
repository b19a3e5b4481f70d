"""CCC of models over all folds, differences with intervals over subjects, the late mean, baselines."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from paper_study import DIMS, write_study

from fusekit.errors import RunError
from fusekit.study.paper.comparison_tables import comparison_tables
from fusekit.study.paper.comparisons import (
    LATE,
    Ordering,
    best_single,
    model_overview,
    orderings,
)
from fusekit.study.paper.protocol import model_scores
from fusekit.study.paper.results import Results, load_results, run_folder
from fusekit.study.statistics import Interval, bootstrap, paired_bootstrap

DRAWS = 200


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(write_study(tmp_path_factory.mktemp("three") / "study", folds=3, seeds=2))


def read(results: Results, model: str, seed: int) -> dict[str, np.ndarray]:
    """Predictions `(N, 2)`, truth and subjects of all folds, as csv reads them."""
    found: dict[str, list] = {"said": [], "true": [], "subject": []}
    for fold in results.folds:
        with (run_folder(results.folder, model, fold, seed) / "predictions.csv").open() as file:
            for row in csv.DictReader(file):
                found["said"].append([float(row[dim]) for dim in DIMS])
                found["true"].append([float(row[f"{dim}_true"] or "nan") for dim in DIMS])
                found["subject"].append(row["subject"])
    return {name: np.array(values) for name, values in found.items()}


def ccc(said: np.ndarray, true: np.ndarray) -> float:
    values = []
    for p, y in zip(said.T, true.T, strict=True):
        p, y = p[~np.isnan(y)], y[~np.isnan(y)]
        values.append(
            2 * np.mean((p - p.mean()) * (y - y.mean())) / (p.var() + y.var() + (p.mean() - y.mean()) ** 2)
        )
    return float(np.mean(values))


def change_metrics(study: Path, model: str, **parts: object) -> None:
    for at in study.glob(f"runs/{model.lower()}-f*"):
        metrics = json.loads((at / "metrics.json").read_text()) | parts
        (at / "metrics.json").write_text(json.dumps(metrics))


def difference(found: list[Ordering], first: str, second: str) -> Interval:
    [claim] = [c for c in found if (c.first, c.second) == (first, second)]
    assert claim.difference is not None
    return claim.difference


def test_differences_pool_subjects_over_folds_and_average_scores_over_seeds(three: Results) -> None:
    found = orderings(three, draws=DRAWS)
    for first, second in (("Vi-De", "Vi"), ("AVi-GaS", "AVi-CaS")):
        values = []
        for seed in three.seeds:
            a, b = read(three, first, seed), read(three, second, seed)
            values.append(ccc(a["said"], a["true"]) - ccc(b["said"], b["true"]))
        ours = difference(found, first, second)
        assert ours.value == pytest.approx(np.mean(values), abs=1e-5)
        assert ours.low <= ours.value <= ours.high
        assert ours.subjects == 9
        assert ours.draws == DRAWS


def test_late_mean_is_the_mean_of_predictions(three: Results) -> None:
    [late] = [score for score in model_overview(three, draws=DRAWS) if score.name == LATE]
    assert late.pooled is not None
    values = []
    for seed in three.seeds:
        vi, au = read(three, "Vi-DeS", seed), read(three, "Au-DeS", seed)
        values.append(ccc((vi["said"] + au["said"]) / 2, vi["true"]))
    assert late.pooled.value == pytest.approx(np.mean(values), abs=1e-5)
    assert late.ccc.shape == (2,)


def test_claims_in_the_order_of_the_paper(three: Results) -> None:
    best = best_single(three)
    assert best == "Vi"  # all made-up validation scores are equal: the first
    assert [(c.first, c.second) for c in orderings(three, draws=DRAWS)] == [
        ("Vi-De", "Vi"),
        ("Au-De", "Au"),
        ("Vi-DeS", "Vi-De"),
        ("Au-DeS", "Au-De"),
        ("AVi-CaS", best),
        ("AVi-GaS", best),
        (LATE, best),
        ("AVi-GaS", "AVi-CaS"),
        ("AVi-GaS", LATE),
    ]


def test_best_single_modality_is_chosen_on_validation_alone(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    change_metrics(study, "Au-De", validation={"ccc": {"mean": 0.4}}, test={"ccc": {"mean": -1.0}})
    change_metrics(study, "Vi-De", validation={"ccc": {"mean": 0.3}}, test={"ccc": {"mean": 1.0}})
    change_metrics(study, "AVi-GaS", validation={"ccc": {"mean": 0.9}})  # no single modality
    change_metrics(study, "Au", validation={"ccc": {"mean": None}})  # NaN on disk
    results = load_results(study)
    assert best_single(results) == "Au-De"
    assert any("Au-De" in note and "VALIDATION" in note for note in comparison_tables(results, 50)[1].notes)
    (run_folder(study, "Au-De", 1, 0) / "metrics.json").unlink()
    assert best_single(load_results(study)) == "Vi-De"  # only models with all folds


def test_further_models_of_the_study_are_compared_with_gas(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    plan = json.loads((study / "study.json").read_text())
    plan["models"].append({"name": "AVi-VeS", "recipe": "avi-ves", "modalities": ["face", "voice"]})
    (study / "study.json").write_text(json.dumps(plan))
    for at in study.glob("runs/avi-gas-f*"):
        copy = at.with_name(at.name.replace("gas", "ves"))
        copy.mkdir()
        for file in ("metrics.json", "predictions.csv"):
            (copy / file).write_bytes((at / file).read_bytes())
    found = orderings(load_results(study), draws=DRAWS)
    pairs = [(c.first, c.second) for c in found]
    assert pairs[-1] == ("AVi-VeS", "AVi-GaS")
    assert difference(found, "AVi-VeS", "AVi-GaS").value == 0  # a copy


def test_baselines_stand_beside_the_models(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    for fold, value in ((0, 0.2), (1, 0.4)):
        path = run_folder(study, "AVi-CaS", fold, 0) / "metrics.json"
        metrics = json.loads(path.read_text())
        test = {"ccc": {"mean": value}, "rmse": {"mean": 1 - value}}
        metrics["baselines"]["ridge"]["test"] = test
        path.write_text(json.dumps(metrics))
    metrics = json.loads((run_folder(study, "Vi", 0, 0) / "metrics.json").read_text())
    metrics["baselines"]["constant"]["test"] = {"ccc": {"mean": None}, "rmse": {"mean": 0.3}}
    change_metrics(study, "Vi", baselines=metrics["baselines"])
    found = {score.name: score for score in model_overview(load_results(study), draws=DRAWS)}
    assert list(found)[-4:] == ["ridge (face)", "ridge (voice)", "ridge (face + voice)", "constant"]
    assert found["ridge (face + voice)"].ccc.tolist() == pytest.approx([0.3])
    assert found["ridge (face + voice)"].rmse.tolist() == pytest.approx([0.7])
    assert np.isnan(found["constant"].ccc).all()
    assert found["constant"].rmse.tolist() == pytest.approx([0.3])
    assert found["constant"].pooled is None
    table = comparison_tables(load_results(study), DRAWS)[0]
    assert table.cell("baselines", "constant", "mean of folds CCC ↑").text == ""
    assert table.cell("baselines", "ridge (face + voice)", "mean of folds RMSE ↓").text == "0.700"


def test_fold_means_equal_those_of_the_tables(three: Results) -> None:
    for score in model_overview(three, draws=DRAWS):
        if score.pooled is not None and score.name != LATE:
            own = model_scores(three, score.name)  # rmse, cor, ccc, icc
            np.testing.assert_allclose(score.ccc, own[:, 2, -1], atol=1e-9)
            np.testing.assert_allclose(score.rmse, own[:, 0, -1], atol=1e-9)


def test_what_is_missing_is_left_open(tmp_path: Path) -> None:
    results = load_results(write_study(tmp_path / "study", leave="Au-DeS"))
    found = orderings(results, draws=DRAWS)
    by_pair = {(c.first, c.second): c for c in found}
    assert by_pair["Au-DeS", "Au-De"].difference is None
    assert by_pair["Au-DeS", "Au-De"].holds == ""
    assert by_pair["AVi-GaS", LATE].difference is None
    assert by_pair["AVi-GaS", "AVi-CaS"].difference is not None
    assert LATE not in {score.name for score in model_overview(results, draws=DRAWS)}
    overview, claims = comparison_tables(results, DRAWS)
    assert "Au-DeS, seed 0: 0 of 2 folds are finished; it does not count." in overview.notes
    assert claims.cell("sequence and attention", "Au-DeS", "Difference of CCC").text == ""


def test_other_steps_are_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    path = run_folder(study, "Au", 1, 0) / "predictions.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(RunError, match="not the same"):
        orderings(load_results(study), draws=DRAWS)


@pytest.mark.parametrize(
    ("low", "high", "says"), [(0.1, 0.2, "yes"), (-0.1, 0.2, "open"), (-0.2, -0.1, "no")]
)
def test_a_claim_holds_where_the_interval_excludes_zero(low: float, high: float, says: str) -> None:
    assert Ordering("q", "a", "b", Interval((low + high) / 2, low, high, 0.5, 10, 5)).holds == says
    nothing = Interval(0.1, float("nan"), float("nan"), float("nan"), 0, 1)
    assert Ordering("q", "a", "b", nothing).holds == ""


def test_bootstrap_of_several_runs_averages_their_scores() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(120, 2))
    runs = target + rng.normal(size=(3, 120, 2))
    known, subject = rng.random((120, 2)) > 0.1, np.repeat(np.arange(12), 10)
    one_by_one = [bootstrap(run, target, known, subject, draws=100) for run in runs]
    together = bootstrap(runs, target, known, subject, draws=100)
    assert together.value == pytest.approx(np.mean([one.value for one in one_by_one]))
    assert min(one.low for one in one_by_one) < together.low < together.high
    assert bootstrap(runs[:1], target, known, subject, draws=100) == one_by_one[0]
    pair = paired_bootstrap(runs, runs[0], target, known, subject, draws=100)
    assert pair.value == pytest.approx(together.value - one_by_one[0].value)
    same = paired_bootstrap(runs, runs[::-1], target, known, subject, draws=100)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_scores_with_states_handled_otherwise(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    change_metrics(study, "AVi-GaS", also={"test_carry": {"ccc": {"mean": 0.25}}})
    overview = {score.name: score for score in model_overview(load_results(study), draws=DRAWS)}
    assert overview["AVi-GaS"].other_states == pytest.approx([0.25])
    assert overview["Vi"].other_states is None
    table, _ = comparison_tables(load_results(study), DRAWS)
    assert table.cell("models", "AVi-GaS", "states otherwise CCC ↑").text == "0.250"
    assert table.cell("models", "Vi", "states otherwise CCC ↑").text == ""
