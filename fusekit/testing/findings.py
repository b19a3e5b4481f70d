"""Rules and what is found of them: every finding is a sentence, all of a component are shown at once."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusekit.errors import FusekitError
from fusekit.registry import Kind
from fusekit.testing.case import Case

if TYPE_CHECKING:
    from fusekit.testing.subject import Subject

KIT = Path(__file__).parent
Look = Callable[["Subject"], Iterable[str]]


@dataclass(frozen=True)
class Rule:
    """One thing that every component of some kinds keeps.

    Attributes:
        name: a word or two joined by hyphens; part of test ids.
        kinds: whose components it binds.
        says: the rule as one sentence.
        documented: where the contract says so.
        look: what was seen that breaks it, a sentence each.
        applies: False for cases that do not declare what it checks.
    """

    name: str
    kinds: tuple[Kind, ...]
    says: str
    documented: str
    look: Look
    applies: Callable[[Case], bool]


@dataclass(frozen=True)
class Finding:
    """How one component breaks one rule."""

    rule: Rule
    seen: str

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.seen}"


class ConformanceError(AssertionError):
    """A component breaks rules; lists every finding.

    Attributes:
        findings: as listed.
    """

    def __init__(self, case: Case, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        rules = list(dict.fromkeys(finding.rule for finding in self.findings))
        lines = [f"{case.id} breaks {len(rules)} rule{'s' if len(rules) > 1 else ''} of its kind:"]
        for rule in rules:
            lines.append(f"{rule.name}: {rule.says} ({rule.documented})")
            lines += [f"  - {finding.seen}" for finding in self.findings if finding.rule is rule]
        super().__init__("\n".join(lines))


RULES: list[Rule] = []
"""Every rule, in the order in which a component meets them."""


def rule(
    name: str,
    *kinds: Kind,
    says: str,
    documented: str,
    applies: Callable[[Case], bool] = lambda case: True,
) -> Callable[[Look], Look]:
    """Make a function that yields sentences a rule of `kinds`."""

    def enter(look: Look) -> Look:
        RULES.append(Rule(name, kinds, says, documented, look, applies))
        return look

    return enter


def seen_by(one: Rule, subject: Subject) -> Iterator[Finding]:
    """Findings of one rule. What the component raises where the rule does not expect it is a finding too."""
    try:
        for sentence in one.look(subject):
            yield Finding(one, sentence)
    except (Exception, SystemExit) as error:  # whatever a stranger's part raises is told, none is dropped
        yield Finding(one, told(error))


def told(error: BaseException) -> str:
    """`it raised ValueError: ... (file.py:12)`, the innermost line that is no library's and not the kit's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and Path(frame.filename).parent != KIT and frame.line
    ]
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())[:400]
    return f"it raised {type(error).__name__}{': ' if text else ''}{text}{at}"


def is_refusal(error: BaseException) -> bool:
    """Is it a fault that the user can mend, said in words."""
    return isinstance(error, FusekitError) and len(str(error)) > 20


def apart(a: Any, b: Any) -> float:
    """Largest difference of two tensors or arrays of one shape, NaN counting as equal to NaN alone.

    inf where the shapes differ or where only one is NaN.
    """
    import numpy as np
    import torch

    if isinstance(a, torch.Tensor):
        a, b = a.detach().double().cpu().numpy(), b.detach().double().cpu().numpy()
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return float("inf")
    if not a.size:
        return 0.0
    nan = np.isnan(a), np.isnan(b)
    if (nan[0] != nan[1]).any():
        return float("inf")
    with np.errstate(invalid="ignore"):
        difference = np.where(nan[0] | (a == b), 0.0, np.abs(a - b))
    return float(difference.max())
