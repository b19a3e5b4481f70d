"""Scores of a study's models by the paper's protocol: per fold over all steps, then averaged over folds.

Runs of one seed belong together: a seed counts for a model only once all of its folds are finished, so that
no mean is over fewer folds than another. Everything is on the scale -1..1 (spec 4.7, 5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusekit.data.labels import scale
from fusekit.engine.metrics import METRICS, per_clip, scores
from fusekit.study.paper.analyses import matched
from fusekit.study.paper.results import Results, Scored

PROTOCOL = (
    "Each metric over all test steps of a fold together (population variances, ddof 0), then averaged over "
    "the folds ({folds}). RMSE on the scale -1..1 (the labels' own: {low:g}..{high:g})."
)


@dataclass(frozen=True)
class Arrays:
    """Test steps of a run on the scale -1..1: prediction, target `(N, K)`, known `(N, K)` bool, clip,
    subject `(N,)`."""

    prediction: np.ndarray
    target: np.ndarray
    known: np.ndarray
    clip: np.ndarray
    subject: np.ndarray

    def at(self, rows: np.ndarray) -> Arrays:
        """Some of the steps, by index or mask, in that order."""
        return Arrays(*(x[rows] for x in vars(self).values()))


@dataclass(frozen=True)
class Kept:
    """Steps that an analysis keeps.

    Attributes:
        model: whose attention or gate decides.
        masks: `{(fold, seed): (that model's run, (N,) bool)}`.
    """

    model: str
    masks: Mapping[tuple[int, int], tuple[Scored, np.ndarray]]

    def share(self, seed: int) -> float:
        """Steps kept of all test steps, in all folds of a seed together."""
        masks = [mask for (_, its_seed), (_, mask) in self.masks.items() if its_seed == seed]
        return float(np.concatenate(masks).mean())


def arrays(run: Scored, results: Results) -> Arrays:
    """Predictions and labels of a run's test steps; unknown labels are 0 and not `known`."""
    said = np.stack([run.table[dim] for dim in results.dims], 1)
    true = np.stack([run.table[f"{dim}_true"] for dim in results.dims], 1)
    known = ~np.isnan(true)
    return Arrays(
        scale(said, results.label_range),
        np.where(known, scale(true, results.label_range), 0.0),
        known,
        run.table["clip"],
        run.table["subject"],
    )


def complete_seeds(results: Results, model: str) -> tuple[int, ...]:
    """Seeds of which all planned folds of a model are finished."""
    return tuple(s for s in results.seeds if all((model, f, s) in results.runs for f in results.folds))


def kept_steps(
    results: Results, model: str, quantity: Callable[[Scored], np.ndarray | None], keep: Callable
) -> Kept | None:
    """Steps kept in the complete seeds of a model; None where it has none, or not the quantity.

    Args:
        quantity: run -> `(N,)`, or None where the run has no such thing.
        keep: `(N,)` -> `(N,)` bool.
    """
    masks = {}
    for seed in complete_seeds(results, model):
        for fold in results.folds:
            run = results.runs[model, fold, seed]
            values = quantity(run)
            if values is None:
                return None
            masks[fold, seed] = (run, keep(values))
    return Kept(model, masks) if masks else None


def model_scores(
    results: Results, model: str, kept: Kept | None = None, *, per_recording: bool = False
) -> np.ndarray:
    """Scores of a model, one row per complete seed.

    Args:
        kept: only these steps, matched by clip and time; then a seed must be complete in their model too.
        per_recording: each recording scored on its own and averaged over the recordings of a fold, instead of
            all steps of the fold together. Recordings with constant labels or predictions have no correlation
            and are left out of its mean.

    Returns:
        `(S, 4, K + 1)`: rmse, cor, ccc, icc (as `METRICS`) of the K dimensions and their mean; NaN where a
        fold has no score. S = 0 where no seed is complete.

    Raises:
        RunError: the runs of a fold and seed do not have the same steps.
    """
    seeds = complete_seeds(results, model)
    if kept is not None:
        seeds = tuple(s for s in seeds if s in complete_seeds(results, kept.model))
    found = np.full((len(seeds), len(METRICS), len(results.dims) + 1), np.nan)
    for i, seed in enumerate(seeds):
        folds = []
        for fold in results.folds:
            run = results.runs[model, fold, seed]
            steps = arrays(run, results)
            if kept is not None:
                decider, mask = kept.masks[fold, seed]
                steps = steps.at(matched(decider, run)[mask])
            folds.append(_score(steps, results.dims, per_recording))
        found[i] = np.mean(folds, axis=0)
    return found


def over_seeds(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(S, ...)` -> mean and standard deviation (ddof 1) over seeds; with one seed no deviation (NaN)."""
    nothing = np.full(values.shape[1:], np.nan)
    mean = values.mean(axis=0) if len(values) else nothing
    return mean, values.std(axis=0, ddof=1) if len(values) > 1 else nothing


def protocol_notes(results: Results, models: Sequence[str]) -> list[str]:
    """What a reader must know of the numbers of these models: protocol, seeds, missing runs."""
    folds, (low, high) = len(results.folds), results.label_range
    notes = [PROTOCOL.format(folds=folds, low=low, high=high)]
    if len(results.seeds) > 1:
        notes.append(f"Mean ± standard deviation (ddof 1) over {len(results.seeds)} seeds.")
    else:
        notes.append("One seed: no deviation.")
    planned = {model.name for model in results.models}
    for model in models:
        if model not in planned:
            notes.append(f"{model} is not part of this study.")
            continue
        for seed in results.seeds:
            n = sum((model, fold, seed) in results.runs for fold in results.folds)
            if n < folds:
                notes.append(f"{model}, seed {seed}: {n} of {folds} folds are finished; it does not count.")
    return notes


def _score(steps: Arrays, dims: Sequence[str], per_recording: bool) -> np.ndarray:
    three = (steps.prediction, steps.target, steps.known)
    # No recording at all has no mean; no step at all has a score of NaN anyway.
    result = per_clip(*three, steps.clip, dims) if per_recording else scores(*three, dims)
    return np.array([[result[metric][name] for name in (*dims, "mean")] for metric in METRICS])
