"""Does each step of the paper help? CCC of a study's models beside simple ones, and their differences.

Subjects are resampled, never steps; each is tested in one fold, so the folds are pooled here: CCC over all
test steps of the study, mean over the dimensions. Of several seeds the mean CCC counts, in every draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fusekit.engine.metrics import METRICS, scores
from fusekit.study.paper.analyses import matched
from fusekit.study.paper.protocol import Arrays, arrays, complete_seeds
from fusekit.study.paper.results import Results, Scored
from fusekit.study.statistics import Interval, bootstrap, paired_bootstrap

LATE = "late mean"
"""The mean of the predictions of Vi-DeS and Au-DeS, seed by seed: fusion without any training."""

_PAIRS = (
    ("denoising", "Vi-De", "Vi"),
    ("denoising", "Au-De", "Au"),
    ("sequence and attention", "Vi-DeS", "Vi-De"),
    ("sequence and attention", "Au-DeS", "Au-De"),
)
_PAPER_FUSIONS = ("AVi-CaS", "AVi-GaS")
_PAPER_MODELS = (*{name for pair in _PAIRS for name in pair[1:]}, *_PAPER_FUSIONS)


@dataclass(frozen=True)
class ModelScore:
    """Scores of a model over the whole study.

    Attributes:
        name: of the model, or "late mean", "ridge (face)", "constant" and the like.
        ccc, rmse: per fold, averaged over folds, `(S,)` one per seed; mean over the dimensions; scale -1..1.
        pooled: CCC over all folds together, subjects resampled; None for a baseline, of which only scores are
            on record.
        other_states: as `ccc`, states handled in the other of the two ways (reset before every step's window,
            or carried on through the clip), so that no ordering hangs on it; None where no run has it.
    """

    name: str
    ccc: np.ndarray
    rmse: np.ndarray
    pooled: Interval | None
    other_states: np.ndarray | None = None


@dataclass(frozen=True)
class Ordering:
    """One claim: `first` is better than `second`.

    Attributes:
        question: what the claim is about.
        difference: CCC of `first` minus that of `second`, over all folds together; None where a model has no
            complete seed.
    """

    question: str
    first: str
    second: str
    difference: Interval | None

    @property
    def holds(self) -> str:
        """ "yes" or "no" where the interval excludes 0, "open" where not, "" without an interval."""
        if self.difference is None or np.isnan(self.difference.low):
            return ""
        return "yes" if self.difference.low > 0 else "no" if self.difference.high < 0 else "open"


def best_single(results: Results) -> str | None:
    """The model of one modality with the highest validation CCC, mean over dimensions, folds and seeds.

    Only models with a complete seed are candidates; None where there is none. The test labels have no say.
    """
    found = {}
    for model in results.models:
        seeds = complete_seeds(results, model.name)
        if len(model.modalities) == 1 and seeds:
            runs = [run for run in results.of(model.name) if run.seed in seeds]
            found[model.name] = np.mean([_mean_of(run.metrics.get("validation"), "ccc") for run in runs])
    known = {name: value for name, value in found.items() if not np.isnan(value)}
    return max(known, key=known.__getitem__) if known else None


def model_overview(results: Results, draws: int = 2000) -> list[ModelScore]:
    """All models with a complete seed, the late mean, and the baselines.

    Raises:
        RunError: the runs of a fold do not have the same test steps.
    """
    pool = _Pool(results)
    names = [*(model.name for model in results.models), LATE]
    found = [(name, pool.predictions(name)) for name in names]
    scored = [_score(pool, name, predictions, draws) for name, predictions in found if len(predictions)]
    return [*scored, *_baselines(results)]


def orderings(results: Results, draws: int = 2000) -> list[Ordering]:
    """The paper's claims, each as a difference of CCC with an interval, subjects resampled in pairs.

    Denoising against plain, sequence against single steps, each fusion (the late mean too) against the best
    single modality, GaS against CaS and the late mean, every model that is none of the paper's against GaS.

    Raises:
        RunError: the runs of a fold do not have the same test steps.
    """
    pool = _Pool(results)
    found = []
    for question, first, second in _claims(results):
        a, b = pool.predictions(first), pool.predictions(second)
        difference = None
        if len(a) and len(b):
            steps = pool.steps
            difference = paired_bootstrap(a, b, steps.target, steps.known, steps.subject, draws=draws)
        found.append(Ordering(question, first, second, difference))
    return found


class _Pool:
    """Predictions of a study on the scale -1..1, fold below fold, steps in the order of one run of each."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._references: dict[int, Scored] = {}
        for (_, fold, _), run in sorted(results.runs.items()):
            self._references.setdefault(fold, run)

    @cached_property
    def steps(self) -> Arrays:
        """Labels and subjects of all folds (the predictions in it are those of the reference runs)."""
        parts = [arrays(self._references[fold], self.results) for fold in self.results.folds]
        return Arrays(
            *(np.concatenate(columns) for columns in zip(*(vars(p).values() for p in parts), strict=True))
        )

    @cached_property
    def fold(self) -> np.ndarray:
        """`(N,)` fold of each step."""
        lengths = [len(self._references[fold].table["clip"]) for fold in self.results.folds]
        return np.repeat(self.results.folds, lengths)

    def predictions(self, model: str) -> np.ndarray:
        """`(R, N, K)` of the complete seeds of a model; R = 0 where it has none."""
        if model == LATE:
            both = [set(complete_seeds(self.results, m)) for m in ("Vi-DeS", "Au-DeS")]
            seeds = sorted(both[0] & both[1])
            return np.array([(self._of("Vi-DeS", s) + self._of("Au-DeS", s)) / 2 for s in seeds])
        return np.array([self._of(model, seed) for seed in complete_seeds(self.results, model)])

    def _of(self, model: str, seed: int) -> np.ndarray:
        parts = []
        for fold in self.results.folds:
            run = self.results.runs[model, fold, seed]
            rows = matched(self._references[fold], run)
            parts.append(arrays(run, self.results).prediction[rows])
        return np.concatenate(parts)


def _claims(results: Results) -> Iterator[tuple[str, str, str]]:
    names = [model.name for model in results.models]
    if {"Vi-DeS", "Au-DeS"} <= set(names):
        names.append(LATE)
    yield from (claim for claim in _all_claims(results, names) if {claim[1], claim[2]} <= set(names))


def _all_claims(results: Results, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    variants = [name for name in names if name not in (*_PAPER_MODELS, LATE)]
    yield from _PAIRS
    best = best_single(results)
    if best is not None:
        for fused in (*_PAPER_FUSIONS, LATE):
            yield "fusion against the best single modality", fused, best
    yield "gated against concatenated", "AVi-GaS", "AVi-CaS"
    yield "fusion against the late mean", "AVi-GaS", LATE
    for name in variants:
        yield "a variant against AVi-GaS", name, "AVi-GaS"


def _score(pool: _Pool, name: str, predictions: np.ndarray, draws: int) -> ModelScore:
    steps, dims = pool.steps, pool.results.dims
    folds = [pool.fold == fold for fold in pool.results.folds]
    found = [
        [scores(said[at], steps.target[at], steps.known[at], dims) for at in folds] for said in predictions
    ]
    ccc, rmse = (
        np.array([np.mean([fold[metric]["mean"] for fold in seed]) for seed in found])
        for metric in ("ccc", "rmse")
    )
    interval = bootstrap(predictions, steps.target, steps.known, steps.subject, draws=draws)
    return ModelScore(name, ccc, rmse, interval, _other_states(pool.results, name))


def _other_states(results: Results, model: str) -> np.ndarray | None:
    """`(S,)` mean CCC over folds by the way of handling states that is not the recipe's."""
    also = [
        [results.runs[model, fold, seed].metrics.get("also", {}) for fold in results.folds]
        for seed in complete_seeds(results, model)
    ]
    parts = [[a.get("test_carry") or a.get("test_last") for a in seed] for seed in also]
    if not parts or any(None in seed for seed in parts):
        return None
    return np.array([np.mean([_mean_of(part, "ccc") for part in seed]) for seed in parts])


def _baselines(results: Results) -> list[ModelScore]:
    """Ridge of each choice of modalities and the constant, as a model with these modalities recorded them."""
    found: dict[str, ModelScore] = {}
    for model in results.models:
        seeds = complete_seeds(results, model.name)
        if not seeds:
            continue
        # Fitted without chance: all seeds of a fold have the same.
        runs = [results.runs[model.name, fold, seeds[0]] for fold in results.folds]
        for kind in ("ridge", "constant"):
            name = kind if kind == "constant" else f"ridge ({' + '.join(model.modalities)})"
            tests = [run.metrics.get("baselines", {}).get(kind, {}).get("test") for run in runs]
            if name in found or None in tests:
                continue
            ccc, rmse = (np.mean([_mean_of(test, metric) for test in tests]) for metric in ("ccc", "rmse"))
            found[name] = ModelScore(name, np.array([ccc]), np.array([rmse]), None)
    return sorted(found.values(), key=lambda score: score.name == "constant")


def _mean_of(part: Mapping[str, Any] | None, metric: str) -> float:
    """Mean over dimensions of a part of metrics.json, where NaN is null."""
    assert metric in METRICS
    value = (part or {}).get(metric, {}).get("mean")
    return float("nan") if value is None else float(value)
