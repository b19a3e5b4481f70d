"""Is fusion worth it on the synthetic corpus? GaS and CaS against each modality alone and each other.

    fusekit train demo --run runs/demo && fusekit evaluate runs/demo --final
    python benchmarks/demo_fusion.py runs/demo --seeds 0 1 2 --json fusion.json

All of them share the first stage of that run, as in the paper (stage 1 is per modality); the sequence stage
is trained anew for each seed: gated (GaS), concatenated (CaS), face alone (Vi-DeS), and voice
alone (Au-DeS). Scores are on the test subjects, CCC pooled over all steps, mean of valence and arousal;
intervals are bootstraps over the test subjects. Existing runs are reused. Synthetic data:
what is shown is that the parts do their work.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.plugins import load as load_plugins
from fusekit.recipe.load import load as load_recipe
from fusekit.runs import open_run, train
from fusekit.study.assess import assess
from fusekit.study.statistics import bootstrap, paired_bootstrap
from fusekit.study.table import Table, read_table

VARIANTS = {
    "gas": [],
    "cas": ["fusion=concat"],
    "face": ["modalities.voice=null", "fusion=none"],
    "voice": ["modalities.face=null", "fusion=none"],
}
DIMS = ("valence", "arousal")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run of the demo recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    registry, _ = load_plugins()

    tables: dict[str, list[Table]] = {}
    results: dict[str, Any] = {"runs": {}, "seeds": args.seeds}
    for seed in args.seeds:
        for variant in args.variants:
            folder = args.run.parent / f"{args.run.name}-{variant}-{seed}"
            recipe = load_recipe(
                args.run / "recipe.yaml",
                [*VARIANTS[variant], *_share(args.run, variant), f"train.seed={seed}", f"name={variant}"],
            )
            if not (folder / "metrics.json").exists():
                train(
                    recipe,
                    registry,
                    run_dir=folder,
                    branches_from=[args.run],
                    resume=(folder / "recipe.yaml").exists(),
                )
                assess(open_run(folder, registry), final=True)
            metrics = json.loads((folder / "metrics.json").read_text())
            results["runs"][f"{variant}-{seed}"] = {
                "ccc": metrics["test"]["ccc"],
                "gate": metrics["test"].get("gate"),
                "ridge": metrics["baselines"]["ridge"]["test"]["ccc"] if metrics["baselines"] else None,
            }
            rows = read_table(folder / "predictions.csv")
            tables.setdefault(variant, []).append({k: v[rows["split"] == "test"] for k, v in rows.items()})
            print(f"{variant} seed {seed}: test CCC {metrics['test']['ccc']}", flush=True)

    results["by_variant"] = {v: _spread(results["runs"], v, args.seeds) for v in tables}
    results["intervals"] = {v: vars(_interval(t[0])) for v, t in tables.items()}
    if {"gas", "cas"} <= tables.keys():
        results["gas_minus_cas"] = {
            name: [
                vars(_difference(g, c, mask(g))) for g, c in zip(tables["gas"], tables["cas"], strict=True)
            ]
            for name, mask in STEPS.items()
        }
    for single in ("face", "voice"):
        for fused in ("gas", "cas"):
            if {single, fused} <= tables.keys():
                results[f"{fused}_minus_{single}"] = [
                    vars(_difference(a, b, STEPS["all"](a)))
                    for a, b in zip(tables[fused], tables[single], strict=True)
                ]
    if "gas" in tables:
        results["position"] = [_position(t) for t in tables["gas"]]
    text = json.dumps(results, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def _share(run: Path, variant: str) -> list[str]:
    """A single modality's share of windows from damaged copies: half, as each has in the fused models."""
    if variant not in ("face", "voice"):
        return []
    (stage,) = [s for s in load_recipe(run / "recipe.yaml").stages if s.objective == "supervised"]
    return [f"stages.{stage.name}.degraded={stage.degraded / 2}"]


def _damage(table: Table, modality: str) -> np.ndarray:
    return np.nan_to_num(table[f"{modality}_damage"].astype(float))


def _both(table: Table) -> np.ndarray:
    return (table["present_face"] > 0) & (table["present_voice"] > 0)


STEPS = {
    "all": lambda t: np.ones(len(t["time_s"]), bool),
    "clean": lambda t: _both(t) & (_damage(t, "face") == 0) & (_damage(t, "voice") == 0),
    "face damaged": lambda t: _both(t) & (_damage(t, "face") > 0),
    "voice damaged": lambda t: _both(t) & (_damage(t, "voice") > 0),
    "face damaged, strength 3": lambda t: _both(t) & (_damage(t, "face") == 3),
    "voice damaged, strength 3": lambda t: _both(t) & (_damage(t, "voice") == 3),
}


def columns(table: Table, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    prediction = np.stack([table[d][mask] for d in DIMS], axis=1)
    target = np.stack([table[f"{d}_true"][mask] for d in DIMS], axis=1)
    return prediction, np.nan_to_num(target), ~np.isnan(target), table["subject"][mask]


def _interval(table: Table) -> Any:
    return bootstrap(*columns(table, STEPS["all"](table)))


def _difference(first: Table, second: Table, mask: np.ndarray) -> Any:
    a, target, known, subject = columns(first, mask)
    b = columns(second, mask)[0]
    return paired_bootstrap(a, b, target, known, subject)


def _position(table: Table) -> dict[str, float]:
    """CCC of the clips' first 10 s and of their second minute: does the state drift?"""
    parts = {
        "first_10_s": table["time_s"] < 10,
        "second_minute": (table["time_s"] >= 60) & (table["time_s"] < 120),
    }
    return {name: bootstrap(*columns(table, mask), draws=10).value for name, mask in parts.items()}


def _spread(runs: dict[str, Any], variant: str, seeds: list[int]) -> dict[str, float]:
    values = [runs[f"{variant}-{s}"]["ccc"]["mean"] for s in seeds]
    return {"mean": float(np.mean(values)), "sd_over_seeds": float(np.std(values)), "seeds": len(values)}


if __name__ == "__main__":
    main()
