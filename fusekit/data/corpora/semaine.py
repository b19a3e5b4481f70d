"""SEMAINE: conversations with four characters, traced by several raters (McKeown et al. 2012, TAC 3(1))."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fusekit.contracts import Clip, Corpus, Labels, Rejected, Source
from fusekit.data.corpora.layout import (
    SOUND,
    VIDEO,
    Skipped,
    as_labels,
    check_request,
    entries,
    nothing_usable,
    some,
    why_unusable,
)
from fusekit.data.corpora.semaine_people import People, groups, read_people
from fusekit.data.gold import How, Trace, gold, together
from fusekit.data.label_file import as_number
from fusekit.data.media import probe
from fusekit.errors import DataError, RecipeError

LAYOUT = (
    "Sessions/1/session.xml, Sessions/1/R1S1TUCPoDV.txt, Sessions/1/<time>_User HeadMounted_Poppy.wav ..."
)
DIMS = {"valence": "V", "arousal": "A", "power": "P", "expectation": "E", "intensity": "I"}
SIDES = {"user": "TU", "operator": "TO"}
BROKEN_OFF = 0.9
"""A trace shorter than this share of its clip's longest one was broken off: joined in, it would end all."""
_TRACE = re.compile(
    r"(?P<rater>[AR]\d+)[RS](?P<recording>\d+)(?P<side>T[UO])C(?P<character>Po|Ob|Pr|Sp)(?P<take>2?)"
    r"D(?P<dim>[A-Z]{1,2})\.txt",
    re.IGNORECASE,
)
_CUT_S = 0.5  # labels that end this much before the last rater does are worth a note


@dataclass
class _Session:
    """What one folder holds: trace files by side, dimension and rater; media; who takes part."""

    number: int
    folder: Path
    people: People
    traces: dict[str, dict[str, dict[str, Path]]] = field(default_factory=dict)
    media: list[Path] = field(default_factory=list)


class SemaineCorpus(Corpus):
    """SEMAINE: modalities `face` and `voice`; valence, arousal, power, expectation, intensity in -1..1.

    Layout as downloaded: `Sessions/<number>/` with `session.xml`, FeelTrace files named
    `R<rater>S<recording>T<U|O>C<Po|Ob|Pr|Sp>[2]D<dim>.txt` (any case; rows `seconds value`, about 50 per
    second, no header), and media whose names (with blanks) tell the role: `..._User HeadMounted_Poppy.wav`.
    A clip is one side of a session, `<session>-TU` (user) or `<session>-TO` (operator), and needs two raters
    of every dimension asked for. Source: semaine-db.eu (licensed). Labels keep the raters' time stamps; each
    rater travels along as a column, `valence_R1`. Re-packs and prepared copies are named and refused.

    No split is given. The subject is the person whom session.xml names; sessions that share a person in
    either role form one session of clips, so that no fold divides them. People of sessions without a
    readable session.xml are unknown, and all such sessions stay together.

    Args:
        root: folder that holds Sessions, or that folder itself.
        gold: what the raters become: their "mean", or "ewe", each weighed by the correlation with the mean
            of the others (`fusekit.data.gold`).
        people: clips of the "user", the "operator", or "both".
        keep_together: "partners": all sessions linked by a person; "session": only the clips of one session
            and of one subject, where partners leave too few groups (operators recur).
        camera: a part of the file name of the video to read, where a session has several of one role.
    """

    label_range = (-1.0, 1.0)

    def __init__(
        self,
        *,
        root: Path,
        gold: How = "mean",
        people: Literal["user", "operator", "both"] = "both",
        keep_together: Literal["partners", "session"] = "partners",
        camera: str = "",
    ) -> None:
        for key, given, known in (
            ("gold", gold, ("mean", "ewe")),
            ("people", people, ("user", "operator", "both")),
            ("keep_together", keep_together, ("partners", "session")),
        ):
            if given not in known:
                raise RecipeError(f"semaine: {key} is one of {', '.join(known)}, not {given!r}")
        self.root = Path(root).expanduser()
        self.gold, self.people, self.keep_together, self.camera = gold, people, keep_together, camera
        self._found = "not read yet"

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        check_request("SEMAINE", self.root, modalities, dims, (("face", "voice"), tuple(DIMS)))
        skipped = Skipped()
        base = next((p for p in entries(self.root) if p.is_dir() and p.name.lower() == "sessions"), self.root)
        sessions = [s for s in (_session(p, skipped) for p in entries(base)) if s is not None]
        if not any(s.traces for s in sessions):
            _refuse_copies(self.root)
        clips: list[tuple[Clip, _Session]] = []
        doubts: list[str] = []
        for session in sorted(sessions, key=lambda s: s.number):
            if not session.traces:
                what = f" ({session.people.character})" if session.people.character else ""
                skipped.add(f"session {session.number}{what}", "no FeelTrace file, it was not annotated")
            for role, side in SIDES.items():
                if self.people in (role, "both") and side in session.traces:
                    clip = self._clip(session, role, modalities, dims, skipped, doubts)
                    clips += [(clip, session)] if clip else []
                elif side in session.traces:
                    reason = f"the {role}'s traces, corpus.people asks for the {self.people}"
                    skipped.add(f"{session.number}-{side}", reason)
        if not clips:
            raise nothing_usable("SEMAINE", self.root, LAYOUT, skipped)
        found = self._grouped(clips)
        self._found = self._tell(found, [s for _, s in clips], doubts, len(skipped.rows))
        return found, skipped.rows

    def describe(self) -> str:
        return f"SEMAINE ({self._found}; licensed), labels -1..1, gold {self.gold} of the raters"

    def _clip(
        self,
        session: _Session,
        role: str,
        modalities: Sequence[str],
        dims: Sequence[str],
        skipped: Skipped,
        doubts: list[str],
    ) -> Clip | None:
        name = f"{session.number}-{SIDES[role]}"
        sources: dict[str, Source] = {}
        faults = []
        for modality in modalities:
            try:
                sources[modality] = Source(_medium(session.media, role, modality, self.camera))
            except DataError as fault:
                faults.append(f"no {modality}: {fault}")
        try:
            if not sources:
                raise DataError("; ".join(faults))
            labels = self._labels(session, role, dims, skipped, doubts)
        except DataError as fault:
            skipped.add(name, str(fault))
            return None
        for fault in faults:
            skipped.add(name, f"it goes on with {' and '.join(sources)}, {fault}")
        subject = session.people.ids.get(role)
        return Clip(
            name, f"person-{subject}" if subject else f"{role}-of-session-{session.number}", sources, labels
        )

    def _labels(
        self, session: _Session, role: str, dims: Sequence[str], skipped: Skipped, doubts: list[str]
    ) -> Labels | None:
        if not dims:
            return None
        name = f"{session.number}-{SIDES[role]}"
        files = session.traces[SIDES[role]]
        traces = {
            (dim, rater): trace
            for dim in dims
            for rater, path in files.get(DIMS[dim], {}).items()
            if (trace := _read(path, rater, f"{session.folder.name}/{path.name}", skipped)) is not None
        }
        longest = max((t.times[-1] for t in traces.values()), default=0.0)
        for key in [k for k, t in traces.items() if t.times[-1] < BROKEN_OFF * longest]:
            end = traces.pop(key).times[-1]
            skipped.add(f"{name} {key[0]} of {key[1]}", f"it ends at {end:g} s, others at {longest:g} s")
        for dim in dims:
            raters = [r for d, r in traces if d == dim]
            if len(raters) < 2:
                raise DataError(
                    f"{dim} is traced by {', '.join(raters) or 'no rater'}; a gold standard needs 2 or more"
                )
        times, values = together(list(traces.values()))
        if len(times) < 2:
            raise DataError("its raters' traces share no stretch of time")
        if longest - times[-1] > _CUT_S:
            skipped.add(name, f"labels from {times[-1]:g} s to {longest:g} s, where not all raters go on")
        columns, extra = [], {}
        for dim in dims:
            own = [i for i, (d, _) in enumerate(traces) if d == dim]
            made = gold(values[:, own], self.gold)
            if not made.agree:
                doubts.append(f"{name}: no two raters of {dim} agree, so their mean stands in")
            columns.append(made.values)
            extra |= {f"{d}_{r}": values[:, i] for i, (d, r) in enumerate(traces) if d == dim}
        return Labels(times, np.stack(columns, 1).astype(np.float32), tuple(dims), extra=extra)

    def _grouped(self, clips: Sequence[tuple[Clip, _Session]]) -> list[Clip]:
        people = {s.number: s.people for _, s in clips}
        session_of = (
            groups(people) if self.keep_together == "partners" else {n: f"session-{n}" for n in people}
        )
        for clip, session in clips:
            clip.session = session_of[session.number]
        return [clip for clip, _ in clips]

    def _tell(
        self, clips: Sequence[Clip], sessions: Sequence[_Session], doubts: Sequence[str], left_out: int
    ) -> str:
        unknown = sorted({s.number for s in sessions if s.people.fault})
        said = [
            f"original folders: {len(clips)} clips of {len({s.number for s in sessions})} sessions",
            f"{len({c.session for c in clips})} groups that stay together",
        ]
        video = next((c.sources["face"].path for c in clips if "face" in c.sources), None)
        if video is not None:
            try:
                said.append(f"{probe(video).fps:.4g} frames/s in {video.name}")
            except DataError:
                said.append(f"{video.name} cannot be read")  # told in full when the clip is prepared
        if unknown:
            reasons = next(s.people.fault for s in sessions if s.number == unknown[0])
            said.append(f"people unknown in {len(unknown)} sessions, first {unknown[0]} ({reasons})")
        if doubts:
            said.append(some(doubts))
        return "; ".join([*said, f"{left_out} files, sessions or stretches not used"])


def _session(folder: Path, skipped: Skipped) -> _Session | None:
    """A folder's traces and media, or None where its name is no session number."""
    if not folder.is_dir():
        return None
    if not folder.name.isdigit():
        skipped.add(folder.name, "this folder's name is no session number")
        return None
    session = _Session(int(folder.name), folder, read_people(folder / "session.xml"))
    second: list[tuple[str, str, str, Path]] = []
    for path in entries(folder):
        match = _TRACE.fullmatch(path.name)
        if path.suffix.lower() in VIDEO | SOUND:
            session.media.append(path)
        elif match is not None:
            where = f"{folder.name}/{path.name}"
            side, dim, rater = (match[key].upper() for key in ("side", "dim", "rater"))
            if session.people.recording and int(match["recording"]) != int(session.people.recording):
                reason = f"it is named for recording {int(match['recording'])}, session.xml says "
                skipped.add(where, reason + session.people.recording)
            elif match["take"]:
                second.append((side, dim, rater, path))
            else:
                _keep(session, (side, dim, rater), path, skipped)
    for side, dim, rater, path in second:  # used only where the rater has no first take
        _keep(session, (side, dim, rater), path, skipped)
    return session


def _keep(session: _Session, key: tuple[str, str, str], path: Path, skipped: Skipped) -> None:
    side, dim, rater = key
    first = session.traces.setdefault(side, {}).setdefault(dim, {}).setdefault(rater, path)
    if first is not path:
        skipped.add(f"{session.folder.name}/{path.name}", f"another take of {first.name}, which is used")


def _refuse_copies(root: Path) -> None:
    """Name the copies that others made of SEMAINE and that are not its layout."""
    for pattern, what in (
        ("TrainingInput/*/TU_VA.csv", "one lab's re-pack (TrainingInput), its raters already merged"),
        ("**/annot2/*.aro", "frames and labels prepared for AViGaS (img-128, annot2), without their times"),
    ):
        if next(root.glob(pattern), None) is not None:
            raise DataError(
                f"{root}: this is {what}, and not the original. Set corpus.root to the downloaded folder "
                "that holds Sessions, or describe the copy by a manifest (corpus manifest)."
            )


def _medium(media: Sequence[Path], role: str, modality: str, camera: str) -> Path:
    """The one file of a role. Names bear blanks and underscores: the role must stand as a word of its own."""
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


def _read(path: Path, rater: str, where: str, skipped: Skipped) -> Trace | None:
    """One FeelTrace file. Blank lines end many of them; rows that are none are counted and told."""
    times: list[float] = []
    values: list[float] = []
    broken = unknown = 0
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        cells = line.split()
        if not cells:
            continue
        time_s = as_number(cells[0]) if len(cells) == 2 else None
        if time_s is None or time_s < 0 or (times and time_s <= times[-1]):
            broken += 1
            continue
        value = as_number(cells[1])
        unknown += value is None
        times.append(time_s)
        values.append(np.nan if value is None else value)
    trace, outside = as_labels(Trace(rater, np.array(times), np.array(values)), (-1.0, 1.0))
    told = [
        (broken, "are cut short, go back in time or are no `seconds value`"),
        (unknown, "have no number for a value"),
        (outside, "are outside -1..1"),
    ]
    faults = [f"{count} rows {what}" for count, what in told if count]
    if not np.isfinite(trace.values).any():
        skipped.add(where, "; ".join(["it holds no label", *faults]))
        return None
    if faults:
        skipped.add(where, "; ".join(faults))
    return trace
