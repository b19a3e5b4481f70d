"""Which models, runs and clips the figures show: by rules that never look at a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fusekit.study.paper.analyses import delta_wa
from fusekit.study.paper.results import Results, Scored
from fusekit.study.table import Table, attention_of, clips_of, modalities_of, of_clip

LONGEST_S = 60.0
"""Seconds of a clip that a trace shows: more, and a change within a second is no longer to be seen."""


class MissingModelsError(Exception):
    """A figure cannot be drawn of this study; says why. Caught by `draw_study`, it becomes a note."""


@dataclass(frozen=True)
class Chosen:
    """Runs of several models on the same fold with the same seed."""

    fold: int
    seed: int
    runs: dict[str, Scored]


def together(results: Results, models: Sequence[str]) -> Chosen:
    """The first fold and seed, in the order of the study, for which all the models are finished.

    Raises:
        MissingModelsError: there is none.
    """
    for fold in results.folds:
        for seed in results.seeds:
            found = {m: results.runs[m, fold, seed] for m in models if (m, fold, seed) in results.runs}
            if len(found) == len(models):
                return Chosen(fold, seed, found)
    raise MissingModelsError(f"no fold and seed has finished runs of {' and '.join(models)}")


def sequence_pairs(results: Results) -> list[tuple[str, str]]:
    """`(without, with)` the sequence, per modality: models "X-De" and "X-DeS" of the same single modality,
    the latter with attention.

    Raises:
        MissingModelsError: there is no such pair with finished runs.
    """
    by_name = {m.name: m for m in results.models if results.of(m.name)}
    pairs = [
        (name[:-1], name)
        for name, model in by_name.items()
        if name.endswith("DeS")
        and name[:-1] in by_name
        and len(model.modalities) == 1
        and attention_of(results.of(name)[0].table) is not None
    ]
    if not pairs:
        raise MissingModelsError("no modality has finished runs of both X-De and an X-DeS with attention")
    return pairs


def gated(results: Results) -> str:
    """The gated model: the one called "...GaS", else the first whose predictions have a gate.

    Raises:
        MissingModelsError: there is none with finished runs.
    """
    finished = [m.name for m in results.models if results.of(m.name)]
    gates = [name for name in finished if modalities_of(results.of(name)[0].table, "gate_")]
    for name in (*(n for n in gates if n.endswith("GaS")), *gates):
        return name
    raise MissingModelsError("no model with a gate has a finished run")


def concatenating(results: Results) -> str:
    """The model that joins modalities without a gate: "...CaS", else the first with several and no gate.

    Raises:
        MissingModelsError: there is none with finished runs.
    """
    finished = [m for m in results.models if results.of(m.name) and len(m.modalities) > 1]
    plain = [m.name for m in finished if not modalities_of(results.of(m.name)[0].table, "gate_")]
    for name in (*(n for n in plain if n.endswith("CaS")), *plain):
        return name
    raise MissingModelsError("no model that joins modalities without a gate has a finished run")


def mean_spread(rows: Table) -> float:
    """Mean spread of attention over a table's steps, percent; NaN without two states at any step."""
    attention = attention_of(rows)
    spread = np.array([np.nan]) if attention is None else delta_wa(attention)
    return float(np.nanmean(spread)) if np.isfinite(spread).any() else float("nan")


def gate_spread(rows: Table) -> float:
    """Standard deviation of the first modality's gate, where all modalities are present; NaN: nowhere."""
    names = modalities_of(rows, "gate_")
    gate = rows[f"gate_{names[0]}"]
    for name in names:
        # The gate of an absent modality is 0: that was not the gate's choice.
        gate = np.where(rows[f"present_{name}"] > 0, gate, np.nan)
    return float(np.nanstd(gate)) if np.isfinite(gate).any() else float("nan")


def ranked(table: Table, value: Callable[[Table], float]) -> list[str]:
    """Clips from the largest value to the smallest; equal ones by name, those without a value last."""
    values = {clip: value(of_clip(table, clip)) for clip in sorted(clips_of(table))}
    return sorted(values, key=lambda clip: -values[clip] if np.isfinite(values[clip]) else np.inf)


def excerpt(rows: Table, seconds: float = LONGEST_S) -> Table:
    """The first `seconds` of a clip's rows."""
    early = rows["time_s"] - rows["time_s"][0] <= seconds
    return {name: values[early] for name, values in rows.items()}
