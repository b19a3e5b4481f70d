"""What a demo corpus is made of: subjects, length, seed; its splits and its random streams."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np

VERSION = 5
"""Raise it whenever faces, voices or labels change: it is part of the folder's name."""
STREAMS_VERSION = 1
"""Raise it whenever ECG or transcripts change: it is part of the name of their folder."""

FRAME_HZ = 12.5
SIZE = 128
RATE_HZ = 22_050
ECG_HZ = 250
MIN_SECONDS = 12.0
MIN_SUBJECTS = 3
MOST_SUBJECTS = 10_000
MOST_SECONDS = 1_000_000
"""Of all clips together: eleven days of recordings, made in about eight hours."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DemoSettings:
    """Options of the corpus.

    Attributes:
        subjects: how many; two in seven test, one in seven validates, the rest (24 of 42) train.
        seconds: length of each subject's clip.
        seed: of every random choice. Subject i draws from `(seed, i)` alone, so neither the number of
            subjects nor of processes changes what is drawn.
    """

    subjects: int = 42
    seconds: float = 120.0
    seed: int = 2026

    @property
    def frames(self) -> int:
        """Pictures (and label rows) per clip."""
        return round(self.seconds * FRAME_HZ)

    @property
    def samples(self) -> int:
        """Samples of the sound track per clip."""
        return round(self.frames / FRAME_HZ * RATE_HZ)

    def key(self) -> str:
        """Short hash of options and version: names the folder of the cache."""
        text = json.dumps({**asdict(self), "version": VERSION}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def split(self, subject: int) -> str:
        """Split of a subject, 0-based: training subjects come first, test subjects last."""
        return SPLITS[int(np.searchsorted(np.cumsum(self._counts()), subject, side="right"))]

    def place(self, subject: int) -> int:
        """Position of a subject within its split: deals kinds and strengths of damage evenly."""
        counts = self._counts()
        return subject - sum(counts[: SPLITS.index(self.split(subject))])

    def rng(self, subject: int, stream: int) -> np.random.Generator:
        """Random stream of one purpose for one subject."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, subject, stream]))

    def _counts(self) -> tuple[int, int, int]:
        validation, test = max(1, self.subjects // 7), max(1, 2 * self.subjects // 7)
        return self.subjects - validation - test, validation, test


def name(subject: int) -> str:
    """`s01` for subject 0."""
    return f"s{subject + 1:02d}"
