"""What the conformance kit finds in a part, and which of its rules no broken part has tried yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fusekit.registry import Kind
from fusekit.testing import CHECKS, Case


def findings(kind: str, cls: type, **case: Any) -> list[tuple[str, str]]:
    """`(rule, what was seen)` of a class."""
    return [(f.rule.name, f.seen) for f in CHECKS[Kind(kind)].findings(Case(kind, "part", **case), cls)]


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
