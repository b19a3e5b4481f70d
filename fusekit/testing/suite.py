"""The kit as tests: one per component and rule, for one's own test file or without any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fusekit.registry import Kind
from fusekit.testing.case import Case
from fusekit.testing.findings import ConformanceError
from fusekit.testing.kit import CHECKS, excuse, look, without_case
from fusekit.testing.light import check_plugin_is_light
from fusekit.testing.targets import Target, resolve


class NoCaseError(AssertionError):
    """A component is registered and has no case."""


@dataclass(frozen=True)
class Trial:
    """One test: an id and what to call; `excuse` is why a rule is broken on purpose."""

    id: str
    run: Callable[[], None]
    excuse: str = ""


def trials(target: Target) -> Iterator[Trial]:
    """Every test of one plugin."""
    if target.module is not None:
        yield Trial("plugin-is-light", lambda: check_plugin_is_light(str(target.module)))
    for entry, sentence in without_case(target.entries, target.cases).items():
        yield Trial(f"{entry.kind}-{entry.name}-has-a-case", _failing(sentence))
    for case in target.cases:
        for rule in CHECKS[Kind(case.kind)].rules:
            if rule.applies(case):
                yield Trial(f"{case.id}-{rule.name}", _looking(target, case, rule), excuse(rule, case))


def _failing(sentence: str) -> Callable[[], None]:
    def fail() -> None:
        raise NoCaseError(sentence)

    return fail


def _looking(target: Target, case: Case, rule: Any) -> Callable[[], None]:
    def run() -> None:
        cls = target.registry.load(target.registry.get(case.kind, case.name))
        found = look(rule, case, cls, target.registry)
        if found:
            raise ConformanceError(case, found)

    return run


def conformance_tests(
    target: str | Path | ModuleType, cases: Iterable[Case] | None = None
) -> Callable[..., None]:
    """A test function for pytest, one test per component and rule.

    In a file of your package's tests, whole:

        from fusekit.testing import conformance_tests

        test_conformance = conformance_tests("fusekit_ecg.plugin")

    Args:
        target: the module with the hook or its name, a Python file, an installed distribution, or an entry
            point.
        cases: instead of those that the plugin's `conformance_cases` returns.

    Raises:
        FusekitError: there is no such plugin, or its hook is broken.
    """
    import pytest  # of those who test alone

    found = [trial for one in resolve(target, cases) for trial in trials(one)]
    rows = [
        pytest.param(t, id=t.id, marks=[pytest.mark.skip(reason=t.excuse)] if t.excuse else []) for t in found
    ]

    @pytest.mark.parametrize("trial", rows)
    def test_conformance(trial: Trial) -> None:
        trial.run()

    return test_conformance
