"""After training: predictions, scores beside baselines, figures and the report of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from fusekit import build
from fusekit.data.labels import quadrant
from fusekit.data.steps import ClipSteps
from fusekit.engine.evaluation import ClipPrediction, predict_pieces, score_clips
from fusekit.engine.journal import finite
from fusekit.engine.latents import latent_pieces, stored
from fusekit.engine.metrics import DDOF, POOLING, per_clip, quadrant_scores, scores
from fusekit.errors import RunError
from fusekit.runs import Data, Run
from fusekit.runs.files import read_json, write_json
from fusekit.runs.findings import told, write_findings
from fusekit.study import baselines
from fusekit.study.denoising import denoising_scores, draw_denoising
from fusekit.study.feature_pieces import FeaturePieces
from fusekit.study.gates import gate_separation
from fusekit.study.predictions import predictions_table, with_test_rows
from fusekit.study.statistics import FEWEST_ARRANGEMENTS, permutation_test
from fusekit.study.table import write_table

Say = Callable[[str], None]


def assess(
    run: Run, *, final: bool = False, draw: bool = True, say: Say = lambda text: None
) -> dict[str, Any]:
    """Predict and score the validation clips (with `final` the test clips too), all of it into the run.

    Writes `predictions.csv` (or Parquet), `metrics.json`, `figures/`, `report.html`; with `final` first a
    line in `looks.json`: each reading of the test labels is on record. Without `final`, what an earlier look
    found stays in metrics (`test.read_at` says when it was) and predictions.

    Args:
        final: read the test labels too; draw: make figures and report.

    Returns:
        What `metrics.json` holds.

    Raises:
        RunError: `final`, and the split has no test part.
    """
    for note in run.notes:
        say(note)
    parts = ["validation"]
    read_at = None
    if final:
        if not run.split().test:
            raise RunError(
                f"the split of '{run.folder}' has no test part ({run.split().how}); "
                "there is nothing final to read."
            )
        read_at = _record_look(run)
        parts.append("test")
    data = run.data(["train", *parts])
    write_findings(run.folder, data)
    if final:  # training told of its own clips
        for line in told(data.rejected, data.findings["test"].notes):
            say(line)
    say("predicting")
    found = {part: _predict(run, data.steps[part]) for part in parts}
    metrics = _metrics(run, data, {p: f[0] for p, f in found.items()}, parts)
    say("baselines")
    for name, by_part in _baselines(run, data, parts).items():
        metrics["baselines"][name] = by_part
    table = predictions_table(run, data, {p: f[0] for p, f in found.items()}, parts)
    path = run.folder / f"predictions.{run.recipe.output.predictions}"
    write_table(path, table if final else with_test_rows(table, path))
    seen = _kinds(data.steps["train"])
    for part in parts:
        denoising = denoising_scores(run, data.steps[part])
        if denoising:
            metrics[part]["denoising"] = denoising
        rows = {k: v[table["split"] == part] for k, v in table.items()}
        separation = gate_separation(rows, seen)
        if separation is not None:
            metrics[part]["gate"] = separation
        if run.recipe.evaluation.states == "last":
            metrics["also"][f"{part}_carry"] = score_clips(
                data.steps[part], found[part][1], run.recipe.target.dims
            )
        else:
            metrics["also"][f"{part}_last"] = score_clips(
                data.steps[part], found[part][1], run.recipe.target.dims
            )
    if final:
        metrics["test"]["read_at"] = read_at
    else:
        _keep_test(metrics, run)
    write_json(run.folder / "metrics.json", finite(metrics))
    if not draw:
        return metrics
    say("figures and report")
    from fusekit.study.figures import draw_run
    from fusekit.study.report import write_report

    draw_run(run.folder)
    draw_denoising(run, data.steps["validation"])
    write_report(run.folder)
    return metrics


def _record_look(run: Run) -> str:
    path = run.folder / "looks.json"
    looks = read_json(path) if path.exists() else []
    time = datetime.now(UTC).isoformat(timespec="seconds")
    looks.append({"time": time, "clips": len(run.split().test)})
    write_json(path, looks)
    return time


def _keep_test(metrics: dict[str, Any], run: Run) -> None:
    """Carry over what the last look at the test labels found: after training the weights do not change."""
    path = run.folder / "metrics.json"
    before = read_json(path) if path.exists() else {}
    if "test" not in before:
        return
    metrics["test"] = before["test"]
    metrics["also"] |= {k: v for k, v in before["also"].items() if k.startswith("test_")}
    for name, by_part in before["baselines"].items():
        if "test" in by_part:
            metrics["baselines"].setdefault(name, {})["test"] = by_part["test"]


def _predict(run: Run, clips: Sequence[ClipSteps]) -> tuple[list[ClipPrediction], list[ClipPrediction]]:
    """Predictions as the recipe's evaluation says, and with the other way of handling states."""
    states = run.recipe.evaluation.states
    other: Literal["last", "carry"] = "carry" if states == "last" else "last"
    steps = build.evaluation_steps(run.recipe)
    found = []
    for clip in clips:
        pieces = map(stored, latent_pieces(run.model, clip, run.runtime))
        found.append(predict_pieces(run.model, pieces, clip.present, run.runtime, (states, other), steps))
    return [f[states] for f in found], [f[other] for f in found]


def _metrics(
    run: Run, data: Data, found: dict[str, list[ClipPrediction]], parts: Sequence[str]
) -> dict[str, Any]:
    recipe = run.recipe
    metrics: dict[str, Any] = {
        "recipe": recipe.name,
        "corpus": data.corpus.describe(),
        "seed": recipe.train.seed,
        "split": data.split.how,
        "subject_dependent": data.split.subject_dependent,
        "shuffled_labels": recipe.target.shuffle,
        "pooling": POOLING,
        "ddof": DDOF,
        "range": [-1, 1],
        "label_range": list(data.corpus.label_range),
        "states": recipe.evaluation.states,
        "steps": build.evaluation_steps(recipe),
        "also": {},
        "baselines": {},
    }
    for part in parts:
        clips = data.steps[part]
        result: dict[str, Any] = score_clips(clips, found[part], recipe.target.dims)
        flat = _flat(clips, found[part])
        result["n"] = int(flat["known"].all(axis=1).sum())
        result["clips"] = len(clips)
        result["subjects"] = len({c.clip.subject for c in clips})
        metrics["also"][f"{part}_per_clip"] = per_clip(
            flat["prediction"], flat["target"], flat["known"], flat["clip"], recipe.target.dims
        )
        of_clips = clip_quadrants(clips, found[part], recipe.target.dims)
        if of_clips is not None:
            result["clip_quadrant"] = of_clips
        metrics[part] = result
    return metrics


def _flat(clips: Sequence[ClipSteps], found: Sequence[ClipPrediction]) -> dict[str, np.ndarray]:
    return {
        "prediction": np.concatenate([f.prediction for f in found]),
        "target": np.concatenate([c.target for c in clips]),
        "known": np.concatenate([c.known for c in clips]),
        "clip": np.concatenate([np.full(len(c), i) for i, c in enumerate(clips)]),
    }


def clip_quadrants(
    clips: Sequence[ClipSteps], found: Sequence[ClipPrediction], dims: Sequence[str]
) -> dict[str, Any] | None:
    """Quadrant of the mean prediction of clips with one quadrant throughout; None unless most have one."""
    if "valence" not in dims or "arousal" not in dims:
        return None
    columns = [list(dims).index("valence"), list(dims).index("arousal")]
    true, predicted, subjects = [], [], []
    for clip, f in zip(clips, found, strict=True):
        kinds = np.unique(clip.quadrant)
        true.append(int(kinds[0]) if len(kinds) == 1 else -1)
        predicted.append(int(quadrant(f.prediction[:, columns].mean(axis=0)[None])[0]))
        subjects.append(clip.clip.subject)
    if sum(t >= 0 for t in true) * 2 < len(true):
        return None
    tested = [s for s, t in zip(subjects, true, strict=True) if t >= 0]
    # With one clip each, subjects can be exchanged as a whole; labels moved within one would stay in place.
    each_one = len(set(tested)) == len(tested)
    blocks = None if each_one or len(set(tested)) == 1 else subjects
    how = "within subjects" if blocks else "between subjects, one clip each" if each_one else "between clips"
    test = permutation_test(predicted, true, blocks=blocks)
    result = {
        **quadrant_scores(predicted, true),
        "left_out": sum(t < 0 for t in true),
        "permutation_p": test.p,
        "chance": test.chance,
        "permuted": how,
    }
    if np.isnan(test.p):
        result["untested"] = (
            f"labels permuted {how} have {test.arrangements:g} different "
            f"{'order' if test.arrangements == 1 else 'orders'}, a test needs {FEWEST_ARRANGEMENTS}"
        )
    return result


def _baselines(run: Run, data: Data, parts: Sequence[str]) -> dict[str, dict[str, Any]]:
    dims = run.recipe.target.dims
    own = {part: FeaturePieces(data.steps[part], data.readers) for part in ("train", *parts)}
    ridge = baselines.fit_ridge_in_pieces(own["train"], own["validation"])
    constant = baselines.fit_constant(own["train"].labels())
    result: dict[str, dict[str, Any]] = {"ridge": {}, "constant": {}}
    for part in parts:
        y = own[part].labels()
        result["ridge"][part] = baselines.score_pieces(ridge, own[part], dims)
        result["constant"][part] = scores(constant.predict(y), np.nan_to_num(y), ~np.isnan(y), dims)
    return result


def _kinds(clips: Sequence[ClipSteps]) -> set[str]:
    return {
        str(kind)
        for c in clips
        for name, column in c.extra.items()
        if name.endswith("_kind")
        for kind in np.unique(column.astype(str))
    }
