"""The report's section on data: what training found in it (`data.json` of the run)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusekit.data.label_findings import decimals
from fusekit.errors import one_line
from fusekit.runs.files import read_json
from fusekit.runs.findings import FILE

MOST = 30
"""Lines of a list that are shown; the run's file has them all."""
USES = {"training": "training and validation", "test": "test"}


def data_section(run_dir: Path) -> dict[str, Any] | None:
    """What the template shows; None for a run that kept nothing.

    Returns:
        `labels`: rows of `on, dim, rows, min, mean, sd, max, repeated`; `presence`: rows of `on, modality,
        clips, present, worst`; `left_out`, `notes`: sentences; `more`: how many are not shown.

    Raises:
        RunError: the file is damaged.
    """
    if not (run_dir / FILE).is_file():
        return None
    found: Mapping[str, Any] = read_json(run_dir / FILE)
    labels, presence, left_out, notes = [], [], [], []
    for use, on in USES.items():
        own = found.get(use)
        if own is None:
            continue
        for dim, s in own["labels"].items():
            digits = decimals(s["min"], s["max"])
            numbers = [_number(s[key], digits) for key in ("min", "mean", "sd", "max")]
            labels.append([on, dim, f"{s['rows']:,}", *numbers, _share(s["repeated"])])
        for m, p in own["presence"].items():
            worst = ", ".join(f"{one_line(clip)} {_share(share)}" for clip, share in p["worst"].items())
            presence.append([on, m, str(p["clips"]), _share(p["mean"], 1), worst or "–"])
        left_out += [f"{one_line(r['where'])}: {r['reason']}" for r in own["left_out"]]
        notes += [f"{one_line(n['where'])}: {n['reason']}" for n in own["notes"]]
    return {
        "labels": labels,
        "presence": presence,
        "left_out": left_out[:MOST],
        "notes": notes[:MOST],
        "more": sum(max(0, len(lines) - MOST) for lines in (left_out, notes)),
    }


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _share(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}%}"
