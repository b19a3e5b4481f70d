"""SEMAINE: conversations with four characters, traced by several raters (McKeown et al. 2012, TAC 3(1))."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fusekit.contracts import Clip, Corpus, Labels, Rejected, Source
from fusekit.data.corpora.layout import Skipped, check_request, entries, inside, nothing_usable, some
from fusekit.data.corpora.semaine_files import Session, medium_of, read_session, read_trace, refuse_copies
from fusekit.data.corpora.semaine_people import groups
from fusekit.data.gold import How, gold, together
from fusekit.errors import DataError, RecipeError
from fusekit.media import probe

LAYOUT = (
    "Sessions/1/session.xml, Sessions/1/R1S1TUCPoDV.txt, Sessions/1/<time>_User HeadMounted_Poppy.wav ..."
)
DIMS = {"valence": "V", "arousal": "A", "power": "P", "expectation": "E", "intensity": "I"}
SIDES = {"user": "TU", "operator": "TO"}
BROKEN_OFF = 0.9
"""A trace shorter than this share of its clip's median was broken off: joined in, it would end all others."""
_CUT_S = 0.5  # labels that end this much before the last rater does are worth a note


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
        base = inside(self.root, "Sessions") or self.root
        sessions: list[Session] = []
        for session in (read_session(p, skipped) for p in entries(base)):
            if session is not None and any(session.number == other.number for other in sessions):
                skipped.add(session.folder.name, f"a second folder of session {session.number}")
            elif session is not None:
                sessions.append(session)
        if not any(s.traces for s in sessions):
            refuse_copies(self.root)
        clips: list[tuple[Clip, Session]] = []
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
        standard = {"mean": "mean of the raters", "ewe": "EWE of the raters"}[self.gold]
        return f"SEMAINE ({self._found}; licensed), labels -1..1, gold standard: {standard}"

    def _clip(
        self,
        session: Session,
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
                sources[modality] = Source(medium_of(session.media, role, modality, self.camera))
            except DataError as why:
                faults.append(f"no {modality}: {why}")
        try:
            if not sources:
                raise DataError("; ".join(faults))
            labels = self._labels(session, role, dims, skipped, doubts)
        except DataError as why:
            skipped.add(name, str(why))
            return None
        for fault in faults:
            skipped.add(name, f"it goes on with {' and '.join(sources)}, {fault}")
        subject = session.people.ids.get(role)
        return Clip(
            name, f"person-{subject}" if subject else f"{role}-of-session-{session.number}", sources, labels
        )

    def _labels(
        self, session: Session, role: str, dims: Sequence[str], skipped: Skipped, doubts: list[str]
    ) -> Labels | None:
        if not dims:
            return None
        name = f"{session.number}-{SIDES[role]}"
        files = session.traces[SIDES[role]]
        traces = {
            (dim, rater): trace
            for dim in dims
            for rater, path in files.get(DIMS[dim], {}).items()
            if (trace := read_trace(path, rater, f"{session.folder.name}/{path.name}", skipped)) is not None
        }
        spans = {key: float(t.times[-1] - t.times[0]) for key, t in traces.items()}
        usual = float(np.median(list(spans.values()))) if spans else 0.0
        for key in [k for k, span in spans.items() if span < BROKEN_OFF * usual]:
            del traces[key]
            reason = f"broken off: it lasts {spans[key]:g} s, traces of this clip usually {usual:g} s"
            skipped.add(f"{name} {key[0]} of {key[1]}", reason)
        for dim in dims:
            raters = [r for d, r in traces if d == dim]
            if len(raters) < 2:
                raise DataError(
                    f"{dim} is traced by {', '.join(raters) or 'no rater'}; a gold standard needs 2 or more"
                )
        times, values = together(list(traces.values()))
        if len(times) < 2:
            raise DataError("its raters' traces share no stretch of time")
        last = max(float(t.times[-1]) for t in traces.values())
        if last - times[-1] > _CUT_S:
            skipped.add(name, f"labels from {times[-1]:g} s to {last:g} s, where not all raters go on")
        columns: list[np.ndarray] = []
        extra: dict[str, np.ndarray] = {}
        for dim in dims:
            own = [i for i, (d, _) in enumerate(traces) if d == dim]
            made = gold(values[:, own], self.gold)
            if not made.agree:
                doubts.append(f"{name}: no two raters of {dim} agree, so their mean stands in")
            columns.append(made.values)
            extra |= {f"{d}_{r}": values[:, i] for i, (d, r) in enumerate(traces) if d == dim}
        return Labels(times, np.stack(columns, 1).astype(np.float32), tuple(dims), extra=extra)

    def _grouped(self, clips: Sequence[tuple[Clip, Session]]) -> list[Clip]:
        people = {s.number: s.people for _, s in clips}
        session_of = (
            groups(people) if self.keep_together == "partners" else {n: f"session-{n}" for n in people}
        )
        for clip, session in clips:
            clip.session = session_of[session.number]
        return [clip for clip, _ in clips]

    def _tell(
        self, clips: Sequence[Clip], sessions: Sequence[Session], doubts: Sequence[str], left_out: int
    ) -> str:
        unknown = sorted({s.number for s in sessions if s.people.fault})
        said = [
            f"original folders: {len(clips)} clips of {len({s.number for s in sessions})} sessions",
            f"groups that stay together: {len({c.session for c in clips})}",
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
        doubts = [*dict.fromkeys(s.doubt for s in sessions if s.doubt), *doubts]
        if doubts:
            said.append(some(doubts))
        return "; ".join([*said, f"{left_out} files, sessions or stretches not used"])
