"""Does the gate follow the information? How it tells damaged stretches apart, where the labels name those."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from fusekit.study.statistics import auc
from fusekit.study.table import Table


def damaged_modalities(table: Table) -> list[str]:
    """Modalities that have a gate and a `<modality>_damage` column."""
    gates = [name.removeprefix("gate_") for name in table if name.startswith("gate_")]
    return [m for m in gates if f"{m}_damage" in table]


def gate_separation(table: Table, seen_kinds: Collection[str] = ()) -> dict[str, Any] | None:
    """How well the first modality's gate tells steps with the other damaged from steps with it damaged.

    AUC of the gate: damage of the second modality (gate should be high) against damage of the first (low),
    among steps at which both are present. 0.5 is chance.

    Args:
        table: predictions with `gate_<m>`, `present_<m>`, `<m>_damage` (0: none, else strength), `<m>_kind`.
        seen_kinds: kinds of damage that training contained; AUC is also given for the others alone.

    Returns:
        `auc_by_strength {strength: auc}`, `auc_unseen`, `mean_gate {group: mean}` and `steps {group: number}`
        for the groups `clean`, `<m>_damage_<strength>` and `<m>_unseen`; None where the table has no such
        columns for two modalities.
    """
    names = damaged_modalities(table)
    if len(names) != 2:
        return None
    first, second = names
    gate = table[f"gate_{first}"]
    both = np.ones(len(gate), bool)
    for m in names:
        if f"present_{m}" in table:
            both &= table[f"present_{m}"].astype(float) > 0
    strength = {m: np.nan_to_num(table[f"{m}_damage"].astype(float)) for m in names}
    strengths = sorted({int(s) for m in names for s in np.unique(strength[m]) if s > 0})
    result: dict[str, Any] = {"auc_by_strength": {}, "mean_gate": {}, "steps": {}}

    def note(name: str, mask: np.ndarray) -> None:
        result["steps"][name] = int(mask.sum())
        result["mean_gate"][name] = float(gate[mask].mean()) if mask.any() else float("nan")

    note("clean", both & (strength[first] == 0) & (strength[second] == 0))
    for s in strengths:
        rows = {m: both & (strength[m] == s) for m in names}
        for m in names:
            note(f"{m}_damage_{s}", rows[m])
        result["auc_by_strength"][str(s)] = auc(gate[rows[second]], gate[rows[first]])
    if all(f"{m}_kind" in table for m in names):
        unseen = {
            m: both & (strength[m] > 0) & ~np.isin(table[f"{m}_kind"].astype(str), sorted(seen_kinds))
            for m in names
        }
        for m in names:
            note(f"{m}_unseen", unseen[m])
        result["auc_unseen"] = auc(gate[unseen[second]], gate[unseen[first]])
    return result
