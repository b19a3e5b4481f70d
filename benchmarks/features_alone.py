"""Feature tables alone: each modality of a recipe by itself, and all of them by each fusion operator.

    python benchmarks/features_alone.py mosi --seeds 0 1 2 3 4 --into runs/mosi corpus.root=DATA
    python benchmarks/features_alone.py ceap360vr --folds 0 1 2 3 4 --into runs/ceap corpus.root=DATA

Trains one run per variant, fold and seed (existing ones are reused) and prints mean and standard deviation
(ddof 0) over them, for the test part, which each run reads once. `--validation` leaves the test alone and
prints the validation part: for choosing. Labels of two values are also scored by the sign of the prediction,
beside the share of the commoner test label, and of the label that is commoner in training. Ridge regression
sees all modalities of a step and chooses its penalty on the validation part.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.plugins import load as load_plugins
from fusekit.recipe.load import load as load_recipe
from fusekit.runs import Run, open_run, train
from fusekit.study import baselines
from fusekit.study.assess import assess
from fusekit.study.table import read_table

FUSIONS = ("concat", "gmu", "attention")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("changes", nargs="*", help="key=value, as for `fusekit train`")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", help="variants: modalities, fusions")
    parser.add_argument("--into", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--validation", action="store_true", help="do not read the test part")
    parser.add_argument("--json", type=Path)
    args = parser.parse_intermixed_args()
    registry, _ = load_plugins()
    part = "validation" if args.validation else "test"
    base = load_recipe(args.recipe, args.changes)
    variants = {m: _alone(m, [*base.modalities]) for m in base.modalities}
    variants |= {
        f: [f"fusion={f}" if f == "concat" else f"fusion={{name: {f}, dim: {base.fusion.args['dim']}}}"]
        for f in FUSIONS
    }
    found: dict[str, list[dict[str, float]]] = {}
    for variant, changes in variants.items():
        if args.only and variant not in args.only:
            continue
        for fold in args.folds:
            for seed in args.seeds:
                folder = args.into / f"{variant}-fold{fold}-seed{seed}"
                if not (folder / "checkpoints" / "best.safetensors").exists():
                    words = [*args.changes, *changes, f"train.seed={seed}", f"split.fold={fold}"]
                    resume = (folder / "recipe.yaml").exists()
                    train(
                        load_recipe(args.recipe, words), registry, run_dir=folder, device="cpu", resume=resume
                    )
                run = open_run(folder, registry)
                metrics = folder / "metrics.json"
                if not metrics.exists() or part not in json.loads(metrics.read_text()):
                    assess(run, final=not args.validation, draw=False)
                found.setdefault(variant, []).append(_scores(run, part))
        if variant == FUSIONS[0]:  # sees all modalities
            _baselines(found, args, part, registry)
        _print(variant, found[variant])
    for name in ("ridge", "constant"):
        if name in found:
            _print(name, found[name])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def _alone(modality: str, names: list[str]) -> list[str]:
    return [*(f"modalities.{m}=null" for m in names if m != modality), "fusion={name: none, compact: true}"]


def _scores(run: Run, part: str) -> dict[str, float]:
    metrics = json.loads((run.folder / "metrics.json").read_text())
    found = {f"ccc {dim}": value for dim, value in metrics[part]["ccc"].items()}
    table = read_table(run.folder / "predictions.csv")
    rows = table["split"] == part
    (dim, *more) = run.recipe.target.dims
    if not more:
        middle = sum(metrics["label_range"]) / 2  # the table is in the corpus's own range
        found |= _signs(table[dim][rows] - middle, table[f"{dim}_true"][rows] - middle)
    return {k: float("nan") if v is None else v for k, v in found.items()}


def _signs(prediction: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Accuracy by sign, where labels have two values; `(n,)`, the range's middle at 0."""
    known = ~np.isnan(true)
    if len(np.unique(true[known])) != 2:
        return {}
    return {"accuracy": float(((prediction >= 0) == (true >= 0))[known].mean())}


def _baselines(found: dict[str, Any], args: argparse.Namespace, part: str, registry: Any) -> None:
    """Ridge and constant of each fold, from the runs of the concatenation; they know no seed."""
    for fold in args.folds:
        run = open_run(args.into / f"{FUSIONS[0]}-fold{fold}-seed{args.seeds[0]}", registry)
        metrics = json.loads((run.folder / "metrics.json").read_text())["baselines"]
        data = run.data(["train", "validation", *(["test"] if part == "test" else [])])
        x, y = {}, {}
        for name, clips in data.steps.items():
            y[name] = np.concatenate([np.where(c.known, c.target, np.nan) for c in clips])
            x[name] = np.concatenate(
                [
                    baselines.join_features(
                        [
                            baselines.pooled_features(data.readers[m], c.inputs(m, np.arange(len(c))))
                            for m in run.model.names
                        ],
                        c.present,
                    )
                    for c in clips
                ]
            )
        ridge = baselines.fit_ridge(x["train"], y["train"], x["validation"], y["validation"])
        constant = baselines.fit_constant(y["train"])
        for name, fitted in (("ridge", ridge), ("constant", constant)):
            scores = {
                f"ccc {d}": float("nan") if v is None else v for d, v in metrics[name][part]["ccc"].items()
            }
            if y[part].shape[1] == 1:
                scores |= _signs(fitted.predict(x[part])[:, 0], y[part][:, 0])
                if name == "constant" and "accuracy" in scores:
                    scores["commoner"] = float(max((y[part] > 0).mean(), (y[part] < 0).mean()))
            found.setdefault(name, []).append(scores)


def _print(name: str, rows: list[dict[str, float]]) -> None:
    cells = [
        f"{key} {np.mean([r[key] for r in rows]):.3f} ± {np.std([r[key] for r in rows]):.3f}"
        for key in rows[0]
    ]
    print(f"{name:10} {'  '.join(cells)}  ({len(rows)} runs)", flush=True)


if __name__ == "__main__":
    main()
