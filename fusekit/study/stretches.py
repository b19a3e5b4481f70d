"""Stretches of a clip in which a modality is damaged or absent, from the columns of a predictions table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusekit.study.gates import damaged_modalities
from fusekit.study.table import Table, modalities_of

LEVELS = 3
"""Shades that figures have for strengths of damage."""


@dataclass(frozen=True)
class Stretch:
    """Steps `first` to `last` (exclusive) of one modality.

    Attributes:
        start_s, stop_s: the same in seconds.
        level: shade 0..2 of the damage; -1: absent.
        text: "absent" or "damage 2 (blur)".
        name: the text without its kind, for a legend.
    """

    first: int
    last: int
    start_s: float
    stop_s: float
    level: int
    text: str
    name: str


def stretches_of(rows: Table) -> dict[str, list[Stretch]]:
    """One clip's rows in order of time -> stretches per modality; modalities without any are left out."""
    found = {}
    for m in dict.fromkeys(modalities_of(rows, "present_") + damaged_modalities(rows)):
        state = np.nan_to_num(rows.get(f"{m}_damage", np.zeros(len(rows["time_s"]))).astype(float))
        if f"present_{m}" in rows:
            state = np.where(rows[f"present_{m}"].astype(float) == 0, -1.0, state)
        if state.any():
            found[m] = _stretches(rows["time_s"], state, rows.get(f"{m}_kind"))
    return found


def _stretches(time: np.ndarray, state: np.ndarray, kind: np.ndarray | None) -> list[Stretch]:
    strongest = max(float(LEVELS), float(state.max()))
    edges = np.flatnonzero(np.diff(state)) + 1
    found = []
    for a, b in zip([0, *edges], [*edges, len(state)], strict=True):
        if state[a] == 0:
            continue
        name = "absent" if state[a] < 0 else f"damage {state[a]:g}"
        level = -1 if state[a] < 0 else min(LEVELS, int(np.ceil(state[a] / strongest * LEVELS))) - 1
        known = kind is not None and kind.dtype.kind in "OU" and state[a] > 0 and kind[a]
        text = f"{name} ({kind[a]})" if kind is not None and known else name
        stop = float(time[b] if b < len(time) else time[-1])
        found.append(Stretch(int(a), int(b), float(time[a]), stop, level, text, name))
    return found
