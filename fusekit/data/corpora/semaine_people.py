"""Who takes part in SEMAINE's sessions, and which sessions must therefore stay together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from fusekit.data.corpora.layout import UNKNOWN_PEOPLE

ROLES = ("user", "operator")
_IDS = ("id", "subjectid", "subject", "number", "name")


@dataclass(frozen=True)
class People:
    """What session.xml tells.

    Attributes:
        ids: `{role: person}` for roles "user" and "operator". fault: why one of them is missing, or "".
        recording, character: attributes of the root, "" where there are none.
    """

    ids: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    recording: str = ""
    character: str = ""


def read_people(path: Path | None) -> People:
    """Read session.xml: `recording` and `character` of the root, and of its descendants those with a `role`.

    A role and the person's id may be attributes or child elements, in any order and case: the files differ.
    """
    if path is None:
        return People(fault="no session.xml")
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as why:
        return People(fault=f"session.xml cannot be parsed: {why}")
    own = _facts(root)
    ids: dict[str, str] = {}
    for element in root.iter():
        facts = _facts(element)
        said = facts.get("role", element.tag).casefold()
        role = next((r for r in ROLES if said.startswith(r)), None)
        person = next((facts[key] for key in _IDS if facts.get(key)), "")
        if role and person:
            ids.setdefault(role, person)
    missing = [role for role in ROLES if role not in ids]
    fault = f"session.xml names no {' and no '.join(missing)}" if missing else ""
    recording = own.get("recording", "")
    return People(ids, fault, recording if recording.isdigit() else "", own.get("character", ""))


def _facts(element: ElementTree.Element) -> dict[str, str]:
    """Attributes, and children that hold text alone, by their lower-case names."""
    inner = {child.tag: (child.text or "") for child in element if len(child) == 0}
    return {key.casefold(): value.strip() for key, value in {**inner, **element.attrib}.items()}


def groups(people: Mapping[int, People]) -> dict[int, str]:
    """Session -> name of its group: sessions linked by a person in whatever role, directly or through others.

    The people of a session with a `fault` could be anybody's: all of those are one group, and whoever is
    named in one of them belongs to it.
    """
    merged: list[tuple[set[int], set[str]]] = []
    for number, who in people.items():
        sessions, persons = {number}, {f"person {p}" for p in who.ids.values()}
        if who.fault:
            persons.add(UNKNOWN_PEOPLE)
        linked = [g for g in merged if g[1] & persons]
        merged = [g for g in merged if not g[1] & persons]
        for other in linked:
            sessions |= other[0]
            persons |= other[1]
        merged.append((sessions, persons))
    return {
        number: UNKNOWN_PEOPLE if UNKNOWN_PEOPLE in persons else f"group-of-session-{min(sessions)}"
        for sessions, persons in merged
        for number in sessions
    }
