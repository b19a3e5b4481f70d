"""What lies in a session's folder of SEMAINE: FeelTrace files, media, and which of them to take."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fusekit.data.corpora.layout import SOUND, VIDEO, Skipped, as_labels, entries, inside, some, why_unusable
from fusekit.data.corpora.semaine_people import People, read_people
from fusekit.data.delimited import as_number
from fusekit.data.gold import Trace
from fusekit.errors import DataError

_TRACE = re.compile(
    r"(?P<rater>[AR]\d+)[RS](?P<recording>\d+)(?P<side>T[UO])C(?P<character>Po|Ob|Pr|Sp)(?P<take>2?)"
    r"D(?P<dim>[A-Z]{1,2})\.txt",
    re.IGNORECASE,
)


@dataclass
class Session:
    """One folder of a session.

    Attributes:
        people: who takes part. traces: files by side (TU, TO), dimension (V, A, ...) and rater (R1, ...).
        media: sound and video files. doubt: what does not fit together, or "".
    """

    number: int
    folder: Path
    people: People
    traces: dict[str, dict[str, dict[str, Path]]] = field(default_factory=dict)
    media: list[Path] = field(default_factory=list)
    doubt: str = ""


def read_session(folder: Path, skipped: Skipped) -> Session | None:
    """A session's folder, or None where the name is no session number (told if it is a folder)."""
    if not folder.is_dir():
        return None
    if not folder.name.isdigit():
        skipped.add(folder.name, "this folder's name is no session number")
        return None
    session = Session(int(folder.name), folder, read_people(inside(folder, "session.xml")))
    named = []
    for path in entries(folder):
        match = _TRACE.fullmatch(path.name)
        if path.suffix.lower() in VIDEO | SOUND:
            session.media.append(path)
        elif match is not None:
            named.append((match, path))
    numbers = sorted({int(match["recording"]) for match, _ in named})
    recording = int(session.people.recording) if session.people.recording else None
    if len(numbers) > 1 and recording not in numbers:
        session.doubt = f"session {session.number}: traces named for recordings {some(map(str, numbers))}"
    elif numbers and recording not in (None, *numbers):
        session.doubt = f"session {session.number}: traces named for recording {numbers[0]}, not {recording}"
    # A second take is used only where the rater has no first one, so those come last.
    for match, path in sorted(named, key=lambda found: bool(found[0]["take"])):
        if recording in numbers and int(match["recording"]) != recording:
            reason = f"it is named for recording {int(match['recording'])}, this session is of {recording}"
            skipped.add(f"{folder.name}/{path.name}", reason)
            continue
        side, dim, rater = (match[key].upper() for key in ("side", "dim", "rater"))
        first = session.traces.setdefault(side, {}).setdefault(dim, {}).setdefault(rater, path)
        if first is not path:
            reason = f"another take of {first.name}, which is used"
            skipped.add(f"{folder.name}/{path.name}", reason)
    return session


def refuse_copies(root: Path) -> None:
    """Raises DataError if this is one of the copies that others made of SEMAINE, not its layout."""
    for pattern, what in (
        ("TrainingInput/*/TU_VA.csv", "one lab's re-pack (TrainingInput), its raters already merged"),
        ("**/annot2/*.aro", "frames and labels prepared for AViGaS (img-128, annot2), without their times"),
    ):
        if next(root.glob(pattern), None) is not None:
            raise DataError(
                f"{root}: this is {what}, and not the original. Set corpus.root to the downloaded folder "
                "that holds Sessions, or describe the copy by a manifest (corpus manifest)."
            )


def medium_of(media: Sequence[Path], role: str, modality: str, camera: str) -> Path:
    """The one file of a role ("user", "operator") for a modality; `camera`: a part of a video's name.

    Names bear blanks and underscores: the role must stand in them as a word of its own.

    Raises:
        DataError: no such file, several, or an empty one.
    """
    word = re.compile(rf"(?<![a-z]){role}(?![a-z])", re.IGNORECASE)
    kind, what = (VIDEO, "video") if modality == "face" else (SOUND, "sound file")
    found = [p for p in media if p.suffix.lower() in kind and word.search(p.stem)]
    if modality == "face" and camera:
        found = [p for p in found if camera.casefold() in p.name.casefold()]
        what += f" with {camera!r} in its name"
    elif modality == "voice":
        close = [p for p in found if "headmounted" in p.name.casefold()]
        found = close or found  # the microphone next to the mouth; others hear both
    if len(found) > 1:
        hint = "; name a part of the right one's name as corpus.camera" if modality == "face" else ""
        raise DataError(f"{len(found)} {what}s of the {role} ({some(p.name for p in found)}){hint}")
    if not found:
        raise DataError(f"no {what} is named for the {role}")
    if fault := why_unusable(found[0]):
        raise DataError(fault)
    return found[0]


def read_trace(path: Path, rater: str, where: str, skipped: Skipped) -> Trace | None:
    """One FeelTrace file, or None if it holds no label; rows that are none are counted and told (`where`).

    Blank lines end many of the files, they are no rows.
    """
    table, rows = _table(path)
    table[~np.isfinite(table)] = np.nan
    stamps = np.where(table[:, 0] >= 0, table[:, 0], -1.0)
    forward = stamps > np.maximum.accumulate(np.concatenate([[-1.0], stamps]))[:-1]
    times, values = table[forward].T
    broken, unknown = rows - len(times), int(np.isnan(values).sum())
    known, outside = as_labels(values, (-1.0, 1.0))
    told = [
        (broken, "are cut short, go back in time or are no `seconds value`"),
        (unknown, "have no number for a value"),
        (outside, "are outside -1..1"),
    ]
    faults = [f"{count} rows {what}" for count, what in told if count]
    if not np.isfinite(known).any():
        skipped.add(where, "; ".join(["it holds no label", *faults]))
        return None
    if faults:
        skipped.add(where, "; ".join(faults))
    return Trace(rater, times, known)


def _table(path: Path) -> tuple[np.ndarray, int]:
    """`(n, 2)` of the rows of two cells, NaN for what is no number; and how many rows there are in all."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file, which is told below
            table = np.loadtxt(path, comments=None, ndmin=2, encoding="utf-8-sig")
        if table.shape[1] == 2:
            return table, len(table)
    except ValueError:
        pass  # some row is damaged: cell by cell, which takes ten times longer
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = [cells for line in lines if (cells := line.split())]
    numbers = [[as_number(cell) for cell in cells] for cells in rows if len(cells) == 2]
    return np.array(numbers, np.float64).reshape(-1, 2), len(rows)
