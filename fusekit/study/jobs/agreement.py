"""Whether the runs of a study were trained on the same data; a table of others would compare nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusekit.runs.files import read_json
from fusekit.runs.identity import differing, kept_clips, listed
from fusekit.study.jobs.plan import Job


def disagreement(job: Job, others: Sequence[Job]) -> str:
    """How the data of a run differ from those of the first others that say what theirs held; "" if they do
    not.

    Subjects, labels, and files of modalities that both read alike: the corpus may have been changed between
    two sittings.
    """
    mine, readers = _known(job)
    for other in others if mine else ():
        theirs, read = _known(other)
        alike = [m for m in readers if m in read and readers[m] == read[m]]
        both = mine.keys() & theirs.keys()
        odd = differing(
            {i: theirs[i] for i in both}, {i: mine[i] for i in both}, ("subject", "labels", *alike)
        )
        if odd:
            return (
                f"its data are not those of {other}: {listed(odd)}. Move the folder of whichever was trained "
                f"on the wrong ones away ('{job.folder}' or '{other.folder}'), and begin the study again."
            )
    return ""


def _known(job: Job) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    folder = Path(job.folder)
    facts = folder / "provenance.json"
    return kept_clips(folder), read_json(facts).get("readers", {}) if facts.is_file() else {}
