"""Every component keeps its kind's contract: the conformance kit, case by case."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fusekit.registry import Registry
from fusekit.testing import Case
from fusekit.testing.kit import check, without_case
from fusekit_ecg.plugin import conformance_cases

CASES = conformance_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_component_keeps_its_contract(case: Case, registry: Registry) -> None:
    check(case, registry)


def test_every_component_has_a_case(registry: Registry) -> None:
    own = [e for e in registry.entries() if e.ref.startswith("fusekit_ecg")]
    assert len(own) == 7
    assert without_case(own, CASES) == {}


def test_the_hook_module_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "scipy", "neurokit2", "wfdb", "edfio", "pandas")
    code = f"import fusekit_ecg.plugin, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
