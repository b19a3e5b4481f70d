"""When a modality is damaged, and when it is absent: planted stretches, and the label columns that tell.

Two schedules that never touch. *Damage*: the modality is recorded (a face in its box, sound in the track)
but its content is spoilt, for 3 s or more, at strength 1, 2 or 3; about 18 % of the time for each modality
(30 % in training clips, so that a few subjects show enough of it), never both at once. One kind per modality
is kept for the test subjects. *Absence*: no face in the picture, digital silence; about 5 % of the time each.

ECG and transcript have schedules of the same kind, planned apart from those of face and voice, whatever
happens to these, with longer stretches, as a heartbeat or a word takes longer than a frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fusekit.data.synthetic.settings import FRAME_HZ

FACE_KINDS = ("blur", "noise", "cover")
FACE_UNSEEN = "mosaic"
VOICE_KINDS = ("noise", "babble", "hum")
VOICE_UNSEEN = "crackle"
ECG_KINDS = ("motion", "muscle", "mains")
ECG_UNSEEN = "loose"
TEXT_KINDS = ("errors", "missed", "other")
TEXT_UNSEEN = "garble"
STRENGTHS = (1, 2, 3)

DAMAGE_SHARE = {"train": 0.30, "validation": 0.18, "test": 0.18}
ABSENT_SHARE = 0.05
MIN_GAP_S = 0.4
_FIRST = ((0, False), (1, False), (1, True), (0, False), (1, False), (0, True))
"""What a clip begins with, by its place in its split: which of two modalities, whether absent."""


@dataclass(frozen=True)
class Planting:
    """What is planted in two modalities that are never spoilt at once.

    Attributes:
        parts: modality, its kinds of damage, the one that only test subjects meet; twice.
        damage_s, absent_s: shortest and longest stretch.
        shortest_share: in clips that are too short for that, the shortest stretch is this share of the clip.
    """

    parts: tuple[tuple[str, tuple[str, ...], str], ...]
    damage_s: tuple[float, float]
    absent_s: tuple[float, float]
    shortest_share: float = math.inf

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(modality for modality, _, _ in self.parts)


FACE_AND_VOICE = Planting(
    parts=(("face", FACE_KINDS, FACE_UNSEEN), ("voice", VOICE_KINDS, VOICE_UNSEEN)),
    damage_s=(3.04, 4.4),
    absent_s=(1.0, 5.0),
)
ECG_AND_TEXT = Planting(
    parts=(("ecg", ECG_KINDS, ECG_UNSEEN), ("text", TEXT_KINDS, TEXT_UNSEEN)),
    damage_s=(4.0, 8.0),
    absent_s=(4.0, 8.0),
    shortest_share=0.18,
)


@dataclass(frozen=True)
class Stretch:
    """Frames `start` to `stop` (exclusive) of one modality. `strength` 0: absent."""

    modality: str
    start: int
    stop: int
    kind: str
    strength: int

    @property
    def absent(self) -> bool:
        return self.strength == 0

    @property
    def seconds(self) -> tuple[float, float]:
        return self.start / FRAME_HZ, self.stop / FRAME_HZ


def plan(
    rng: np.random.Generator, frames: int, split: str, place: int, planting: Planting = FACE_AND_VOICE
) -> list[Stretch]:
    """Stretches of one clip in order of time.

    Kinds and strengths are dealt, not drawn: over three subjects of a split every strength occurs equally
    often, and every kind with every strength. In test clips every third stretch is of the unseen kind.

    Args:
        place: position of the subject within its split.
    """
    seconds = frames / FRAME_HZ
    damaged = max(1, round(DAMAGE_SHARE[split] * seconds / (sum(planting.damage_s) / 2)))
    absent = max(1, round(ABSENT_SHARE * seconds / (sum(planting.absent_s) / 2)))
    what: list[tuple[str, str, int]] = []
    for modality, kinds, unseen in planting.parts:
        what += [
            (modality, *deal) for deal in _deal(damaged, kinds, unseen if split == "test" else "", place)
        ]
        what += [(modality, "absent", 0)] * absent
    lengths = _lengths(rng, [strength == 0 for _, _, strength in what], frames, planting)
    # The first stretch is dealt too, so that the clips' beginnings are as damaged as the rest of them.
    which, away = _FIRST[place % len(_FIRST)]
    first = planting.modalities[which]
    order = rng.permutation(len(what))
    order = np.array(sorted(order, key=lambda k: what[k][0] != first or (what[k][2] == 0) != away))
    order[1:] = rng.permutation(order[1:])
    gap = math.ceil(MIN_GAP_S * FRAME_HZ)
    slack = frames - sum(lengths) - gap * (len(what) + 1)
    cuts = np.floor(np.cumsum(rng.dirichlet(np.full(len(what) + 1, 3.0))) * slack).astype(int)
    stretches, used = [], 0
    for position, index in enumerate(order):
        start = int(used + gap * (position + 1) + cuts[position])
        modality, kind, strength = what[index]
        stretches.append(Stretch(modality, start, start + lengths[index], kind, strength))
        used += lengths[index]
    return stretches


def columns(
    stretches: list[Stretch], frames: int, planting: Planting = FACE_AND_VOICE
) -> dict[str, np.ndarray]:
    """Label columns `(frames,)`: `<modality>_damage` 0..3, `<modality>_kind` ("" if none),
    `<modality>_present` 0 or 1.
    """
    table: dict[str, np.ndarray] = {}
    for modality in planting.modalities:
        damage = np.zeros(frames, np.int64)
        kind = np.full(frames, "", dtype="U16")
        present = np.ones(frames, np.int64)
        for stretch in stretches:
            if stretch.modality != modality:
                continue
            rows = slice(stretch.start, stretch.stop)
            if stretch.absent:
                present[rows] = 0
            else:
                damage[rows], kind[rows] = stretch.strength, stretch.kind
        table |= {f"{modality}_damage": damage, f"{modality}_kind": kind, f"{modality}_present": present}
    return table


def _deal(count: int, kinds: tuple[str, ...], unseen: str, place: int) -> list[tuple[str, int]]:
    """`count` pairs of kind and strength: rows of a Latin square, one row after the other."""
    dealt = []
    for i in range(count):
        row, column = divmod(i, 3)
        strength = STRENGTHS[(column + place) % 3]
        # The diagonal of each row of three goes to the unseen kind: another strength in every row and for
        # every subject.
        new = unseen and column == (row * 2) % 3
        dealt.append((unseen if new else kinds[(column + row + 2 * place) % 3], strength))
    return dealt


def _lengths(rng: np.random.Generator, absent: list[bool], frames: int, planting: Planting) -> list[int]:
    """Frames per stretch; a clip that is too short for drawn lengths gets the shortest ones."""
    low = np.where(absent, planting.absent_s[0], planting.damage_s[0])
    low = np.minimum(low, planting.shortest_share * frames / FRAME_HZ)
    high = np.where(absent, planting.absent_s[1], planting.damage_s[1])
    room = frames / FRAME_HZ * 0.85 - MIN_GAP_S * (len(absent) + 1)
    drawn = low + (high - low) * rng.random(len(absent)) * min(
        1.0, max(0.0, (room - low.sum()) / (high - low).sum())
    )
    return [math.ceil(s * FRAME_HZ) for s in drawn]
