"""Where a network is asked: in small and in longer batches, in eval and in training mode.

What holds for four rows of five steps in eval mode need not hold for twelve rows of seventy while it trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import wraps

import torch

from fusekit.registry import Kind
from fusekit.testing.findings import Look, apart, told
from fusekit.testing.subject import ROWS, STEPS, Subject

SEQUENCES = (Kind.FUSION, Kind.TEMPORAL, Kind.HEAD)
"""Kinds whose batches have steps."""


@dataclass(frozen=True)
class Situation:
    """Rows, steps and mode of the calls that one round of a rule makes."""

    rows: int
    steps: int
    training: bool

    def of(self, subject: Subject) -> Subject:
        """The subject in this situation."""
        here = replace(subject, rows=self.rows, steps=self.steps, training=self.training)
        return replace(here, drawing=self.training and _draws(here))

    def words(self, kind: Kind) -> str:
        """`in training mode, with 12 rows of 70 steps: `; nothing for the first situation."""
        steps = f" of {self.steps} steps" if kind in SEQUENCES else ""
        size = f"with {self.rows} rows{steps}" if (self.rows, self.steps) != (ROWS, STEPS) else ""
        parts = [part for part in ("in training mode" if self.training else "", size) if part]
        return f"{', '.join(parts)}: " if parts else ""


SITUATIONS = (
    Situation(ROWS, STEPS, training=False),
    Situation(ROWS, STEPS, training=True),
    Situation(12, 40, training=False),
    Situation(12, 70, training=True),
)


def _draws(subject: Subject) -> bool:
    """Does a part that trains answer otherwise from another seed, its torch.nn dropout apart."""
    module, inputs = subject.ready(), subject.inputs()
    first = subject.ask(module, inputs)
    eager = replace(subject, training=False)  # which leaves the seed alone
    torch.manual_seed(12)
    second = eager.ask(module, inputs)
    return any(apart(value, second[name]) > 0 for name, value in first.items() if name in second)


def everywhere(look: Look) -> Look:
    """Look in every situation, and tell of the first in which something is seen."""

    @wraps(look)
    def looking(subject: Subject) -> Iterator[str]:
        for situation in SITUATIONS:
            words = situation.words(subject.kind)
            found = []
            try:
                for seen in look(situation.of(subject)):
                    found.append(words + seen)  # one by one: what was seen before an error stays
            except (Exception, SystemExit) as error:  # whatever a part raises is told, none is dropped
                found.append(words + told(error))
            if found:
                yield from found
                return

    return looking
