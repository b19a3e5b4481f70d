"""What the conformance kit finds in a part, and which of its rules no broken part has tried yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fusekit.registry import Kind
from fusekit.testing import CHECKS, Case
from fusekit.testing.kit import look


def findings(kind: str, cls: type, rule: str = "", **case: Any) -> list[tuple[str, str]]:
    """`(rule, what was seen)` of a class; `rule`: of this one alone, which is quicker."""
    made = Case(kind, "part", **case)
    if rule:
        (one,) = (r for r in CHECKS[Kind(kind)].rules if r.name == rule)
        return [(f.rule.name, f.seen) for f in look(one, made, cls)]
    return [(f.rule.name, f.seen) for f in CHECKS[Kind(kind)].findings(made, cls)]


def named(value: Any) -> str | None:
    """Test id of a class."""
    return getattr(value, "__name__", None)


def unproven(tried: Iterable[tuple[str, str]], *kinds: str, whole: bool = False) -> list[str]:
    """Rules that bind `kinds` alone (`whole`: also those that bind others too) and are not among `tried`,
    which holds `(kind, rule)` that a part was rejected for."""
    seen = set(tried)
    rules = dict.fromkeys(rule for kind in kinds for rule in CHECKS[Kind(kind)].rules)
    return [
        rule.name
        for rule in rules
        if (whole or {kind.value for kind in rule.kinds} <= set(kinds))
        and not {(kind.value, rule.name) for kind in rule.kinds} & seen
    ]


MEMORY = {"history", "keeps-nothing", "opens", "device", "surroundings", "arguments"}
"""Rules of every network that test_broken_memory proves."""
READING = {"presence", "on-time", "source", "streams-apart", "files", "variants"}
"""Rules of readers that test_broken_times proves."""
