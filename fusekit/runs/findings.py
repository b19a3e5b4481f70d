"""What a run tells of its data and keeps of it: `data.json` (docs/runs.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusekit.contracts import Rejected
from fusekit.data.label_findings import Note, by_kind
from fusekit.errors import one_line
from fusekit.runs.data import Data
from fusekit.runs.files import read_json, write_json

FILE = "data.json"
MOST = 3
"""Notes of one kind that training prints; the run keeps all."""


def told(rejected: Sequence[Rejected], notes: Sequence[Note]) -> list[str]:
    """Lines for a person: every clip that is left out, and of each kind of note the first few."""
    lines = [f"left out {one_line(r.where)}: {r.reason}" for r in rejected]
    for group in by_kind(notes).values():
        lines += [f"note: {one_line(note.where)}: {note.reason}" for note in group[:MOST]]
        if len(group) > MOST:
            lines.append(f"note: {len(group) - MOST} more like this; {FILE} in the run has them all")
    return lines


def odd(rejected: Sequence[Rejected], notes: Sequence[Note], refused: Sequence[str] = ()) -> str:
    """ "1 left out, 2 notes": what a strict look counts; empty if nothing is odd."""
    counts = ((len(rejected), "left out"), (len(notes), "note"), (len(refused), "reason not to train"))
    words = [f"{n} {what}{'s' if n > 1 and what == 'note' else ''}" for n, what in counts if n]
    return ", ".join(words)


def write_findings(run_dir: Path, data: Data) -> None:
    """Keep what was found: `training` as the run began with it, `test` once its test clips were read."""
    path = run_dir / FILE
    before = read_json(path) if path.is_file() else {}
    known = {r["where"] for r in before.get("training", {}).get("left_out", [])}
    left_out = [{"where": r.where, "reason": r.reason} for r in data.rejected if r.where not in known]
    found = {use: {**findings.to_dict(), "left_out": left_out} for use, findings in data.findings.items()}
    write_json(path, {**found, **before})
