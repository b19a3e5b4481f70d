"""The table of predictions of a run: what was said, what is true, and what the model showed of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.data.labels import unscale
from fusekit.engine.evaluation import ClipPrediction
from fusekit.runs import Data, Run
from fusekit.study.table import Table, read_table


def predictions_table(
    run: Run, data: Data, found: dict[str, list[ClipPrediction]], parts: Sequence[str]
) -> Table:
    """Predictions in the corpus's own label range, one row per step."""
    pieces: list[dict[str, Any]] = []
    for part in parts:
        for clip, f in zip(data.steps[part], found[part], strict=True):
            n = len(clip)
            true = unscale(np.where(clip.known, clip.target, np.nan), data.corpus.label_range)
            said = unscale(f.prediction, data.corpus.label_range)
            row: dict[str, Any] = {
                "clip": np.full(n, clip.clip.id, object),
                "subject": np.full(n, clip.clip.subject, object),
            }
            row["time_s"] = np.round(clip.times, 6)
            row |= {dim: said[:, k] for k, dim in enumerate(run.recipe.target.dims)}
            row |= {f"{dim}_true": true[:, k] for k, dim in enumerate(run.recipe.target.dims)}
            if "gate" in f.trace:
                row |= {f"gate_{m}": f.trace["gate"][:, i] for i, m in enumerate(run.model.names)}
            if "attention" in f.trace:
                row |= {
                    f"attention_{k + 1}": f.trace["attention"][:, k]
                    for k in range(f.trace["attention"].shape[1])
                }
            row |= {
                f"present_{m}": clip.present[:, i].astype(np.int64) for i, m in enumerate(run.model.names)
            }
            row["split"] = np.full(n, part, object)
            row |= {k: v for k, v in clip.extra.items() if k not in row}
            pieces.append(row)
    names = list(dict.fromkeys(name for piece in pieces for name in piece))
    return {name: _stack([piece.get(name) for piece in pieces], pieces) for name in names}


def with_test_rows(table: Table, path: Path) -> Table:
    """The table, and below it the test rows of the one that it will replace."""
    before = read_table(path) if path.exists() else {}
    rows = before["split"] == "test" if "split" in before else np.zeros(0, bool)
    if not rows.any():
        return table
    # Numbers back to the type they were written from, so that they are written with the same digits.
    kept = {n: v[rows].astype(table[n].dtype) if n in table else v[rows] for n, v in before.items()}
    names = dict.fromkeys([*table, *kept])
    return {name: _stack([table.get(name), kept.get(name)], [table, kept]) for name in names}


def _stack(columns: list[Any], pieces: list[dict[str, Any]]) -> np.ndarray:
    text = any(c is not None and np.asarray(c).dtype.kind in "OUS" for c in columns)
    filled = [
        np.full(len(p["time_s"]), "" if text else np.nan, object if text else float)
        if c is None
        else np.asarray(c)
        for c, p in zip(columns, pieces, strict=True)
    ]
    return np.concatenate([f.astype(object) for f in filled] if text else filled)
