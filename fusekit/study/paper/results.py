"""What the runs of a study left on disk, opened for tables and figures.

<study>/study.json                        what was planned: `Results` without its runs
<study>/runs/<model>-f<fold>-s<seed>/     a run as `fusekit train` leaves it, with its test part read
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.errors import RunError
from fusekit.runs.files import read_json
from fusekit.study.figures import predictions_path
from fusekit.study.table import Table, read_table


@dataclass(frozen=True)
class Planned:
    """One model of a study.

    Attributes:
        name: as tables show it, e.g. "Vi-DeS".
        recipe: file or bundled name it is trained from.
        modalities: names in the recipe's order.
    """

    name: str
    recipe: str
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """One trained run, its test labels read.

    Attributes:
        table: its test rows, columns as in `fusekit.study.table`; steps in order within a clip.
        metrics: what its metrics.json holds.
    """

    model: str
    fold: int
    seed: int
    folder: Path
    table: Table
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """A study's runs.

    Attributes:
        folder: of the study. name, corpus: in words, for captions.
        dims: target dimensions. label_range: of the labels, which truth and predictions are in.
        step_hz: steps per second.
        models: in the order of the study file. folds, seeds: as planned.
        runs: `{(model, fold, seed): run}`, those that are finished.
    """

    folder: Path
    name: str
    corpus: str
    dims: tuple[str, ...]
    label_range: tuple[float, float]
    step_hz: float
    models: tuple[Planned, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    runs: Mapping[tuple[str, int, int], Scored]

    def of(self, model: str, seed: int | None = None) -> list[Scored]:
        """Finished runs of a model (and seed), by fold and seed; empty where it is no model of the study."""
        return [
            run
            for (name, _, its_seed), run in sorted(self.runs.items())
            if name == model and seed in (None, its_seed)
        ]

    def missing(self) -> list[tuple[str, int, int]]:
        """(model, fold, seed) of runs that are planned and not finished."""
        planned = [(m.name, f, s) for m in self.models for f in self.folds for s in self.seeds]
        return [key for key in planned if key not in self.runs]


def run_folder(study: Path, model: str, fold: int, seed: int) -> Path:
    """Where the run of a model, fold and seed lies."""
    return study / "runs" / f"{model.lower()}-f{fold}-s{seed}"


def load_results(folder: Path) -> Results:
    """Open a study's folder.

    Raises:
        RunError: it holds no study, no finished run, or a damaged file.
    """
    if not (folder / "study.json").is_file():
        raise RunError(f"'{folder}' is no study: it has no study.json. `fusekit study STUDY.yaml` makes one.")
    plan = read_json(folder / "study.json")
    models = tuple(Planned(m["name"], m["recipe"], tuple(m["modalities"])) for m in plan["models"])
    runs = {}
    for model in models:
        for fold in plan["folds"]:
            for seed in plan["seeds"]:
                at = run_folder(folder, model.name, fold, seed)
                metrics = read_json(at / "metrics.json") if (at / "metrics.json").is_file() else {}
                path = predictions_path(at)
                if "test" not in metrics or path is None:
                    continue
                table = read_table(path)
                test = np.asarray(table["split"]) == "test"
                rows = {name: values[test] for name, values in table.items()}
                runs[model.name, fold, seed] = Scored(model.name, fold, seed, at, rows, metrics)
    if not runs:
        raise RunError(f"no run of the study '{folder}' is finished; go on by the command that began it.")
    low, high = plan.get("label_range") or next(iter(runs.values())).metrics["label_range"]
    return Results(
        folder=folder,
        name=plan["name"],
        corpus=plan["corpus"],
        dims=tuple(plan["dims"]),
        label_range=(low, high),
        step_hz=plan["step_hz"],
        models=models,
        folds=tuple(plan["folds"]),
        seeds=tuple(plan["seeds"]),
        runs=runs,
    )
