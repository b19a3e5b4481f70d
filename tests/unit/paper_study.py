"""A study as the runner leaves it, with made-up predictions: for tests of its tables, figures and report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fusekit.study.paper.results import run_folder
from fusekit.study.table import write_table

MODELS = {
    "Vi": ("face",),
    "Au": ("voice",),
    "Vi-De": ("face",),
    "Au-De": ("voice",),
    "Vi-DeS": ("face",),
    "Au-DeS": ("voice",),
    "AVi-CaS": ("face", "voice"),
    "AVi-GaS": ("face", "voice"),
}
NOISE = dict(zip(MODELS, (0.9, 0.95, 0.8, 0.85, 0.6, 0.65, 0.5, 0.4), strict=True))
DIMS = ("valence", "arousal")
STEP_HZ = 3.125


def write_study(
    folder: Path, folds: int = 2, seeds: int = 1, subjects: int = 3, steps: int = 60, *, leave: str = ""
) -> Path:
    """Eight models x folds x seeds; the same truth for all models, noise by model; `leave` out one model."""
    plan = {
        "name": "made-up",
        "corpus": "made up: no corpus at all",
        "dims": list(DIMS),
        "label_range": [-1, 1],
        "step_hz": STEP_HZ,
        "models": [
            {"name": name, "recipe": name.lower(), "modalities": list(modalities)}
            for name, modalities in MODELS.items()
        ],
        "folds": list(range(folds)),
        "seeds": list(range(seeds)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(plan))
    for fold in range(folds):
        truth = np.random.default_rng([99, fold]).normal(0, 0.4, (subjects * steps, 2)).clip(-1, 1).round(5)
        for seed in range(seeds):
            for number, name in enumerate(MODELS):
                if name != leave:
                    rng = np.random.default_rng([fold, seed, number])
                    _write_run(run_folder(folder, name, fold, seed), name, truth, rng, fold, subjects, steps)
    return folder


def _write_run(
    at: Path, name: str, truth: np.ndarray, rng: np.random.Generator, fold: int, subjects: int, steps: int
) -> None:
    n = len(truth)
    said = (truth + rng.normal(0, NOISE[name] * 0.4, truth.shape)).clip(-1, 1)
    who = np.repeat([f"f{fold}s{i}" for i in range(subjects)], steps)
    table: dict[str, np.ndarray] = {"clip": who, "subject": who}
    table["time_s"] = np.tile(np.arange(steps) / STEP_HZ, subjects)
    table |= {dim: said[:, k] for k, dim in enumerate(DIMS)}
    table |= {f"{dim}_true": truth[:, k] for k, dim in enumerate(DIMS)}
    table["valence_true"] = np.where(np.arange(n) % 17 == 3, np.nan, truth[:, 0])  # a label that is missing
    if name == "AVi-GaS":
        gate = rng.uniform(0, 1, n)
        table |= {"gate_face": gate, "gate_voice": 1 - gate}
    if name.endswith("S"):
        weights = rng.dirichlet(np.full(8, 2.0), n)
        step = np.tile(np.arange(steps), subjects)
        weights *= np.arange(8)[None] >= 8 - np.minimum(step, 8)[:, None]  # the newest state is the last
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-12)
        table |= {f"attention_{k + 1}": weights[:, k] for k in range(8)}
    table |= {f"present_{m}": np.ones(n, int) for m in MODELS[name]}
    table["split"] = np.full(n, "test", object)
    at.mkdir(parents=True)
    write_table(at / "predictions.csv", table)
    score = {"valence": 0.1, "arousal": 0.2, "mean": 0.15}
    part = dict.fromkeys(("ccc", "rmse", "cor", "icc"), score)
    baselines = {"ridge": {"test": part}, "constant": {"test": part}}
    metrics = {"test": part, "validation": part, "baselines": baselines, "recipe": name.lower()}
    (at / "metrics.json").write_text(json.dumps(metrics))
