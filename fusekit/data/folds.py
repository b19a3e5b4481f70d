"""Which clips train, validate and test: the corpus's own split, or subject-disjoint folds (spec 4.7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusekit.contracts import Clip
from fusekit.data.names import composed
from fusekit.errors import DataError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Clip ids of the three parts, sorted.

    Attributes:
        subjects: subject ids of each part.
        how: one line for logs and tables.
        subject_dependent: True if one subject may be in several parts; every table must say so.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    subjects: Mapping[str, tuple[str, ...]]
    how: str
    subject_dependent: bool = False

    def part(self, name: str) -> tuple[str, ...]:
        """Clip ids of "train", "validation" or "test"."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def to_json(self) -> dict[str, Any]:
        """What splits.json holds."""
        return {
            "how": self.how,
            "subject_dependent": self.subject_dependent,
            **{name: list(self.part(name)) for name in PARTS},
            "subjects": {name: list(self.subjects[name]) for name in PARTS},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Split:
        """Inverse of `to_json`.

        Raises:
            DataError: something is missing.
        """
        missing = [key for key in ("how", "subject_dependent", "subjects", *PARTS) if key not in data]
        if missing:
            raise DataError(
                f"the stored split has no {', '.join(missing)}: delete the file to make a new one"
            )
        return cls(
            **{name: tuple(composed(str(i)) for i in data[name]) for name in PARTS},
            subjects={name: tuple(composed(str(s)) for s in data["subjects"][name]) for name in PARTS},
            how=str(data["how"]),
            subject_dependent=bool(data["subject_dependent"]),
        )


def assign(
    clips: Sequence[Clip],
    *,
    folds: int = 5,
    fold: int = 0,
    validation: float = 0.2,
    seed: int = 0,
    subject_dependent: bool = False,
) -> Split:
    """Divide clips into train, validation and test.

    The corpus's split is used where every clip has one (a missing validation part is carved out of its
    training subjects). Otherwise groups of clips are dealt to `folds` folds, largest group first, each to the
    fold with the fewest clips so far, ties and equal sizes in an order drawn by `seed`; fold number `fold`
    tests, and validation groups are carved out of the others. A group is all clips of subjects who share a
    session, directly or through others, so that both partners of a dyad stay together; with
    `subject_dependent` it is one session, or one clip where the corpus names no session.

    Args:
        clips: recordings; folds, fold: how many, and which one tests; validation: share of the training
            clips, above 0 and below 1; at least one group is carved out.
        subject_dependent: allow one subject in several parts.

    Raises:
        DataError: too few groups, splits given for some clips only or unknown, or a subject or session in two
            parts.
    """
    if not clips:
        raise DataError("there is no clip to split")
    given = {c.id: c.split for c in clips if c.split}
    if given:
        part_of, how = _given(clips, given, validation, seed, subject_dependent)
    else:
        part_of, how = _folds(clips, folds, fold, validation, seed, subject_dependent)
    if subject_dependent:
        how += ", subject-dependent"
    split = _collect(clips, part_of, how, subject_dependent)
    verify(split, clips)
    return split


def verify(split: Split, clips: Sequence[Clip]) -> None:
    """Check a (stored) split against the clips.

    Raises:
        DataError: a clip in two parts; a subject or session in two parts of a split that is not
            subject-dependent; a clip that no part names, or no training clip.
    """
    count = Counter(clip_id for name in PARTS for clip_id in split.part(name))
    twice = [clip_id for clip_id, n in count.items() if n > 1]
    if twice:
        raise DataError(f"clip {twice[0]} is in two parts of the split ({split.how})")
    unnamed = [c.id for c in clips if c.id not in count]
    if unnamed:
        raise DataError(
            f"{len(unnamed)} of {len(clips)} clips are in no part of it, first {unnamed[0]}: the corpus "
            "changed since the split was stored; make a new one in a new run"
        )
    if not split.train:
        raise DataError(f"no clip is left for training ({split.how})")
    if split.subject_dependent:
        return
    part_of = {clip_id: name for name in PARTS for clip_id in split.part(name)}
    for what in ("subject", "session"):
        first: dict[str, Clip] = {}
        for c in clips:
            key = getattr(c, what)
            other = first.setdefault(key, c)
            if key and part_of[other.id] != part_of[c.id]:
                raise DataError(
                    f"{what} {key} is in two splits: clip {other.id} in {part_of[other.id]}, clip {c.id} in "
                    f"{part_of[c.id]}. Correct the split column or, if parts must share subjects, say so by "
                    "split.subject_dependent=true (every table will carry it)"
                )


def _given(
    clips: Sequence[Clip], given: Mapping[str, str], validation: float, seed: int, subject_dependent: bool
) -> tuple[dict[str, str], str]:
    without = [c.id for c in clips if not c.split]
    if without:
        raise DataError(
            f"{len(without)} of {len(clips)} clips have no split, first {without[0]}: "
            "give every clip one of train, validation, test, or none of them any"
        )
    odd = [(clip_id, part) for clip_id, part in given.items() if part not in PARTS]
    if odd:
        raise DataError(f"clip {odd[0][0]}: split is train, validation or test, not {odd[0][1]!r}")
    part_of, how = dict(given), "the corpus's own split"
    if "validation" not in part_of.values():
        training = [c for c in clips if part_of[c.id] == "train"]
        carved = _carve(_groups(training, subject_dependent), validation, np.random.default_rng([seed, 0]))
        part_of.update(dict.fromkeys(carved, "validation"))
        how += f", validation carved out of train (seed {seed})"
    return part_of, how


def _folds(
    clips: Sequence[Clip], folds: int, fold: int, validation: float, seed: int, subject_dependent: bool
) -> tuple[dict[str, str], str]:
    if not 0 <= fold < folds or folds < 2:
        raise DataError(
            f"there is no split.fold={fold}: with split.folds={folds} (2 or more) it is 0..{folds - 1}"
        )
    groups = _groups(clips, subject_dependent)
    if len(groups) < folds:
        kind = (
            "session or clip"
            if subject_dependent
            else "group of subjects (who shares a session stays together)"
        )
        ways = [f"split.folds={len(groups)} or fewer"] if len(groups) > 1 else []
        if not subject_dependent:
            ways.append("split.subject_dependent=true to divide one subject's clips")
        hint = f": set {', or '.join(ways)}" if ways else ""
        raise DataError(f"{folds} folds need {folds} times a {kind}, there are {len(groups)}{hint}")
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    order.sort(key=lambda i: -len(groups[i]))  # stable: equal sizes stay in the drawn order
    filled = [0] * folds
    dealt: list[list[list[str]]] = [[] for _ in range(folds)]
    for i in order:
        smallest = filled.index(min(filled))
        dealt[smallest].append(groups[i])
        filled[smallest] += len(groups[i])
    test = {clip_id for group in dealt[fold] for clip_id in group}
    rest = sorted(group for number, own in enumerate(dealt) if number != fold for group in own)
    carved = _carve(rest, validation, np.random.default_rng([seed, 1 + fold]))
    part_of = {c.id: "test" if c.id in test else "validation" if c.id in carved else "train" for c in clips}
    return part_of, f"fold {fold} of {folds} (seed {seed})"


def _carve(groups: Sequence[list[str]], share: float, rng: np.random.Generator) -> set[str]:
    """Clip ids of randomly drawn groups, about `share` of all their clips; one group stays on either side."""
    if len(groups) < 2:
        raise DataError(
            "validation cannot be carved out of a single group of training subjects, and without it no best "
            "epoch can be chosen: use more subjects, name validation clips in the corpus's split column, or "
            "set split.subject_dependent=true to divide one subject's clips"
        )
    wanted = share * sum(map(len, groups))
    carved: list[str] = []
    for taken, i in enumerate(rng.permutation(len(groups)).tolist()):
        nearer = abs(len(carved) + len(groups[i]) - wanted) < abs(len(carved) - wanted)
        if taken and (not nearer or taken == len(groups) - 1):
            break
        carved += groups[i]
    return set(carved)


def _groups(clips: Sequence[Clip], subject_dependent: bool) -> list[list[str]]:
    """Clips that must stay together: sorted lists of clip ids, sorted."""
    root: dict[tuple[str, str], tuple[str, str]] = {}

    def find(node: tuple[str, str]) -> tuple[str, str]:
        root.setdefault(node, node)
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    def keys(clip: Clip) -> list[tuple[str, str]]:
        session = [("session", clip.session)] if clip.session else []
        if subject_dependent:
            return session or [("clip", clip.id)]
        return [("subject", clip.subject), *session]

    for clip in clips:
        nodes = keys(clip)
        for node in nodes:
            root[find(node)] = find(nodes[0])
    members: dict[tuple[str, str], list[str]] = {}
    for clip in clips:
        members.setdefault(find(keys(clip)[0]), []).append(clip.id)
    return sorted(sorted(ids) for ids in members.values())


def _collect(clips: Sequence[Clip], part_of: Mapping[str, str], how: str, subject_dependent: bool) -> Split:
    def ids(chosen: Iterable[Clip]) -> tuple[str, ...]:
        return tuple(sorted(c.id for c in chosen))

    by_part = {name: [c for c in clips if part_of[c.id] == name] for name in PARTS}
    return Split(
        **{name: ids(own) for name, own in by_part.items()},
        subjects={name: tuple(sorted({c.subject for c in own})) for name, own in by_part.items()},
        how=how,
        subject_dependent=subject_dependent,
    )
