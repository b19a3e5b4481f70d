"""What the JSON files of a run and of a study hold: a file that was edited is told, not stumbled over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fusekit.recipe.hints import MismatchError, convert

Number = float | None
_SCORES = dict.fromkeys(("ccc", "rmse", "cor", "icc"), dict[str, Number])
_PART = {
    **_SCORES,
    "n": int,
    "clips": int,
    "subjects": int,
    "gate": {"auc_by_strength": dict[str, Number], "auc_unseen": Number},
    "clip_quadrant": {"uar": Number, "chance": Number, "n": int, "left_out": int, "permutation_p": Number},
}
_PARTS = {"validation": _PART, "test": _PART}
_RANGE = list[float]
_SPLIT = dict.fromkeys(("train", "validation", "test"), list[str])

SHAPES: dict[str, Any] = {
    "provenance.json": {
        "readers": dict[str, dict],
        "boxes": list[str],
        "plugins": list[str],
        "columns": dict[str, list[str]],
        "spacings_s": dict[str, float],
        "distributions": dict[str, str],
        "branches_from": list[str] | str | None,
        "data_sha256": str | None,
        "recipe": str,
        "splits_sha256": str,
        "files": dict[str, str],
        "plugin_files": dict[str, str],
        "label_range": _RANGE,
        "left_out": list[dict],
        "digests": dict[str, str],
        "id": str,
    },
    "data.json": {
        use: {
            "labels": dict[str, dict[str, Number]],
            "presence": dict[str, dict],
            "notes": list[dict],
            "left_out": list[dict],
        }
        for use in ("training", "test")
    },
    "clips.json": {"version": int, "clips": dict[str, dict[str, str]]},
    "splits.json": {**_SPLIT, "subjects": _SPLIT, "how": str, "subject_dependent": bool},
    "metrics.json": {
        **_PARTS,
        "baselines": dict[str, dict],
        "also": dict[str, dict],
        "label_range": _RANGE,
        "recipe": str,
    },
    "looks.json": list[dict],
    "metrics.jsonl": {
        "phase": str,
        "stage": str,
        "window": int,
        "epoch": int,
        "train": dict[str, Number],
        "validation": {"ccc": dict[str, Number]},
    },
    "study.json": {
        "name": str,
        "models": list[dict],
        "folds": list[int],
        "seeds": list[int],
        "dims": list[str],
        "label_range": _RANGE | None,
        "step_hz": float,
        "study": dict[str, Any] | None,
    },
}
"""By the file's name; a mapping names keys that, where they are there, hold what stands behind them."""

SEALED = ("columns", "label_range", "spacings_s", "boxes")
"""Keys of provenance.json by which predictions are made: each has a digest beside it."""

_FOUND = {
    "labels": ("rows", "min", "mean", "sd", "max", "repeated"),
    "presence": ("clips", "mean", "worst"),
    "notes": ("where", "reason"),
    "left_out": ("where", "reason"),
}

NEEDED: dict[str, tuple[str, ...]] = {
    "clips.json": ("version", "clips"),
    "study.json": ("name", "corpus", "models", "folds", "seeds", "dims"),
    "metrics.jsonl": ("stage", "window", "epoch", "train", "validation"),
}


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value, whatever its layout in a file."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def misshapen(name: str, value: Any) -> str:
    """What is wrong with the content of the file of this name, as the end of a sentence; empty if nothing."""
    if name not in SHAPES:
        return ""
    fault = _fault(value, SHAPES[name], ())
    if fault:
        return fault
    gone = [key for key in NEEDED.get(name, ()) if key not in value]
    if gone:
        return f"has no {', '.join(gone)}"
    if name == "data.json":
        return next((fault for use in value.values() if (fault := _found_fault(use))), "")
    if name == "provenance.json":
        kept = value.get("digests") or {}
        odd = [key for key in SEALED if key in value and key in kept and digest_of(value[key]) != kept[key]]
        if odd:
            return f"{', '.join(odd)} had other values when the run began"
    if name == "splits.json":
        return _fault(value.get("subjects", {}), _SPLIT, ("subjects",))
    low_high = value.get("label_range") if isinstance(value, dict) else None
    return "" if low_high is None or len(low_high) == 2 else "label_range: expected two numbers"


def _found_fault(found: Mapping[str, Any] | None) -> str:
    for key, wanted in _FOUND.items():
        if found is None or key not in found:
            return f"has no {key}"
        entries = found[key].values() if isinstance(found[key], Mapping) else found[key]
        for entry in entries:
            if gone := [name for name in wanted if name not in entry]:
                return f"{key}: an entry has no {', '.join(gone)}"
    return ""


def _fault(value: Any, shape: Any, path: tuple[str, ...]) -> str:
    here = ".".join(path)
    if isinstance(shape, Mapping) and value is None and path:
        return ""  # nothing was measured there
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            return f"{here}: expected a mapping".removeprefix(": ")
        inner = (_fault(value[key], inside, (*path, key)) for key, inside in shape.items() if key in value)
        return next((fault for fault in inner if fault), "")
    try:
        convert(value, shape)
    except MismatchError as error:
        return f"{here}: {error}".removeprefix(": ")
    return ""
