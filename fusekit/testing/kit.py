"""The kit: one check per kind of component, made of the rules that bind the kind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fusekit.registry import Entry, Kind, Registry
from fusekit.testing import (  # noqa: F401 - each module enters its rules
    array_checks,
    compiler_checks,
    component_checks,
    corpus_checks,
    device_checks,
    fusion_checks,
    future_checks,
    history_checks,
    loss_checks,
    modality_checks,
    network_checks,
    order_checks,
    place_checks,
    reader_checks,
    reading_checks,
    row_checks,
    source_checks,
    surroundings_checks,
    target_checks,
    temporal_checks,
)
from fusekit.testing.case import Case
from fusekit.testing.findings import RULES, ConformanceError, Finding, Rule, seen_by
from fusekit.testing.subject import Subject

FIRST = ("class", "signature", "docstring", "refusal")
"""Looked at before all others."""
FATAL = ("class", "refusal")
"""A component that breaks one of these cannot be asked what is not in FIRST."""
STATIC = ("class", "signature", "docstring")
"""For these nothing is made."""


@dataclass(frozen=True)
class Check:
    """What binds the components of one kind.

    Attributes:
        kind: the kind.
        rules: its rules, those of every kind first.
    """

    kind: Kind
    rules: tuple[Rule, ...]

    def findings(self, case: Case, cls: type, registry: Registry | None = None) -> list[Finding]:
        """Every finding of one component, excused rules left out.

        Args:
            registry: where a reader's detector is found.
        """
        found: list[Finding] = []
        for rule in self.rules:
            if rule.name not in FIRST and is_fatal(found):
                break
            known = {finding.seen for finding in found}  # one fault may show in every rule
            found += [f for f in look(rule, case, cls, registry) if f.seen not in known]
        return found

    def __call__(self, case: Case, cls: type, registry: Registry | None = None) -> None:
        """Check one component.

        Raises:
            ConformanceError: it breaks rules; lists every finding.
        """
        found = self.findings(case, cls, registry)
        if found:
            raise ConformanceError(case, found)


def _rules(kind: Kind) -> tuple[Rule, ...]:
    found = [rule for rule in RULES if kind in rule.kinds]
    return tuple(sorted(found, key=lambda rule: rule.name not in FIRST))  # stable: else in their own order


CHECKS: dict[Kind, Check] = {kind: Check(kind, _rules(kind)) for kind in Kind}
"""One per kind, whatever kinds there are."""


def is_fatal(found: Iterable[Finding]) -> bool:
    """Do these findings end a check early."""
    return any(finding.rule.name in FATAL for finding in found)


def look(rule: Rule, case: Case, cls: type, registry: Registry | None = None) -> list[Finding]:
    """Findings of one rule, in a folder of its own that is removed afterwards; none where it is excused or
    does not apply."""
    if not rule.applies(case) or excuse(rule, case):
        return []
    with tempfile.TemporaryDirectory(prefix="fusekit-check-", ignore_cleanup_errors=True) as folder:
        subject = Subject(case, cls, Path(folder).resolve(), registry or Registry())
        return list(seen_by(rule, subject))


def excuse(rule: Rule, case: Case) -> str:
    """Why a case is not held against a rule that binds its kind; empty: it is."""
    return case.excused.get(rule.name, "" if rule.name in STATIC else case.lacks)


def check(case: Case, registry: Registry) -> None:
    """Check the component that `case` names.

    Raises:
        ConformanceError: it breaks rules; lists every finding.
        FusekitError: nobody offers it, or it cannot be imported.
    """
    CHECKS[Kind(case.kind)](case, registry.load(registry.get(case.kind, case.name)), registry)


def without_case(entries: Iterable[Entry], cases: Iterable[Case]) -> dict[Entry, str]:
    """What to write for each component that no case names."""
    named = {(case.kind, case.name) for case in cases}
    return {
        entry: (
            f"{entry.kind} '{entry.name}' has no case, so nothing of it is checked. Add "
            f'`Case("{entry.kind}", "{entry.name}", {{...}})` to what `conformance_cases` returns beside the '
            "hook; fusekit.testing.Case says what it may hold."
        )
        for entry in entries
        if (entry.kind.value, entry.name) not in named
    }
