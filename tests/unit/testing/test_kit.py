"""The kit itself: a check per kind, no component without a case, targets, the suite, the pytest plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from fusekit.errors import FusekitError
from fusekit.hookspecs import hookimpl
from fusekit.registry import Kind
from fusekit.testing import CHECKS, Case, check, check_plugin_is_light, conformance_tests
from fusekit.testing.component_checks import BASES
from fusekit.testing.findings import RULES
from fusekit.testing.kit import FIRST
from fusekit.testing.light import HeavyPluginError
from fusekit.testing.suite import NoCaseError, trials
from fusekit.testing.targets import resolve

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "mean_fusion.py"

PLUGIN = """
import torch
from fusekit.contracts import Fusion
from fusekit.hookspecs import hookimpl
from fusekit.testing import Case

class Sum(Fusion):
    "Adds up, NaN and all."
    def __init__(self, in_dims, *, dim: int = 4):
        super().__init__()
        self.names, self.out_dim = tuple(in_dims), dim
        self.layers = torch.nn.ModuleDict({m: torch.nn.Linear(d, dim) for m, d in in_dims.items()})
    def forward(self, feats, present, valid=None, state=None):
        return sum(self.layers[m](feats[m]) * present[..., i, None] for i, m in enumerate(self.names)), {}, {}

@hookimpl
def register_components(register):
    register("fusion", "sum", f"{__name__}:Sum", "adds up")
    register("fusion", "other-sum", f"{__name__}:Sum", "adds up too")

def conformance_cases():
    return [Case("fusion", "sum", {"dim": 3})]
"""


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    path = tmp_path / "my_sum.py"
    path.write_text(PLUGIN)
    return path


def test_every_kind_has_a_check_with_rules_of_its_own() -> None:
    assert set(CHECKS) == set(BASES) == set(Kind)
    for kind, one in CHECKS.items():
        own = [rule for rule in one.rules if len(rule.kinds) < len(Kind)]
        assert own, f"{kind}: no rule is this kind's"
        assert len({rule.name for rule in one.rules}) == len(one.rules), f"{kind}: two rules share a name"
        assert {rule.name for rule in one.rules[:4]} == set(FIRST)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.name}-{r.kinds[0]}")
def test_a_rule_is_a_sentence_with_a_place(rule: object) -> None:
    assert rule.says.endswith(".")  # type: ignore[attr-defined]
    assert rule.documented  # type: ignore[attr-defined]


def test_a_case_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'fusion'"):
        Case("fuson", "mean")


def test_a_file_is_checked_and_a_component_without_a_case_is_told(plugin_file: Path) -> None:
    (target,) = resolve(plugin_file)
    assert target.module is None
    assert [case.id for case in target.cases] == ["fusion-sum"]
    found = {trial.id: trial for trial in trials(target)}
    with pytest.raises(NoCaseError, match=r"fusion 'other-sum' has no case.*Add `Case\(\"fusion\""):
        found["fusion-other-sum-has-a-case"].run()
    with pytest.raises(AssertionError, match="NaN in absent content changes `fused`"):
        found["fusion-sum-absent"].run()
    found["fusion-sum-rows"].run()
    with pytest.raises(AssertionError, match="fusion-sum breaks 2 rules"):
        check(target.cases[0], target.registry)


def test_the_example_of_the_documents_passes() -> None:
    (target,) = resolve(EXAMPLE)
    for trial in trials(target):
        trial.run()


def test_excused_rules_are_skipped_with_their_reason() -> None:
    (target,) = resolve(EXAMPLE, [Case("fusion", "mean", excused={"absent": "a reason"})])
    assert [t.excuse for t in trials(target) if t.id == "fusion-mean-absent"] == ["a reason"]
    made = conformance_tests(EXAMPLE, [Case("fusion", "mean", excused={"absent": "a reason"})])
    (mark,) = made.pytestmark  # type: ignore[attr-defined]
    assert "fusion-mean-rows" in [row.id for row in mark.args[1]]


def test_targets_that_are_not_there_are_explained(tmp_path: Path) -> None:
    with pytest.raises(FusekitError, match="there is no such file"):
        resolve(tmp_path / "none.py")
    with pytest.raises(FusekitError, match="no installed package and no plugin is called 'fusekit-xyz'"):
        resolve("fusekit-xyz")
    with pytest.raises(FusekitError, match="no_such_package.plugin cannot be imported"):
        resolve("no_such_package.plugin")
    (tmp_path / "bad.py").write_text("raise RuntimeError('boom')")
    with pytest.raises(FusekitError, match=r"bad.py cannot be imported: RuntimeError: boom"):
        resolve(tmp_path / "bad.py")


def test_a_case_that_names_nothing_is_told() -> None:
    with pytest.raises(FusekitError, match="case fusion-maen names no component that it registers"):
        resolve(EXAMPLE, [Case("fusion", "maen")])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return ['fusion sum']", r"TypeError: conformance_cases holds 'fusion sum', which is no .*Case"),
        ("raise SystemExit(0)", "my_sum.py: SystemExit: 0"),
    ],
)
def test_cases_that_are_none_are_told(plugin_file: Path, body: str, says: str) -> None:
    text = PLUGIN.replace('return [Case("fusion", "sum", {"dim": 3})]', body)
    plugin_file.write_text(text)
    with pytest.raises(FusekitError, match=says):
        resolve(plugin_file)


def test_a_hook_that_registers_nothing_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text(
        "from fusekit.hookspecs import hookimpl\n\n@hookimpl\ndef register_components(register): pass\n"
    )
    with pytest.raises(FusekitError, match="idle.py: its hook registers nothing"):
        resolve(tmp_path / "idle.py")


def test_a_part_that_ends_the_program_is_a_finding() -> None:
    class Leaves(nn.Module):
        """Ends the program, as for want of a library."""

        def __init__(self, in_dim: int, out_dim: int) -> None:
            raise SystemExit(0)

    found = CHECKS[Kind.HEAD].findings(Case("head", "leaves"), Leaves)
    assert [(f.rule.name, "it raised SystemExit: 0" in f.seen) for f in found] == [("refusal", True)]


def test_a_module_is_a_target() -> None:
    module = ModuleType("my_plugin")

    @hookimpl
    def register_components(register: object) -> None:
        register("head", "other", "fusekit.nn.heads:LinearHead", "a head")  # type: ignore[operator]

    module.register_components = register_components  # type: ignore[attr-defined]
    module.conformance_cases = lambda: [Case("head", "other")]  # type: ignore[attr-defined]
    (target,) = resolve(module)
    assert [entry.name for entry in target.entries] == ["other"]
    check(target.cases[0], target.registry)


def test_fusekit_s_own_hook_is_light_and_heavy_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_plugin_is_light("fusekit.components")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "heavy_hook.py").write_text("import numpy\n")
    with pytest.raises(HeavyPluginError, match=r"importing heavy_hook loads numpy \(\d+ modules\)"):
        check_plugin_is_light("heavy_hook")
    with pytest.raises(FusekitError, match="no_such_hook cannot be imported in a fresh process"):
        check_plugin_is_light("no_such_hook")
    (tmp_path / "chatty_hook.py").write_text(
        "import atexit\nprint('hello', end='')\natexit.register(print, 'bye')"
    )
    check_plugin_is_light("chatty_hook")
    (tmp_path / "leaving_hook.py").write_text("raise SystemExit(0)")
    with pytest.raises(FusekitError, match="leaving_hook cannot be imported in a fresh process"):
        check_plugin_is_light("leaving_hook")


def test_importing_the_kit_is_light() -> None:
    code = "import sys, fusekit.testing; print([m for m in ('torch', 'numpy', 'pytest') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "[]"


def test_pytest_checks_a_plugin_without_a_test_file(plugin_file: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "fusekit.testing.pytest_plugin", "--noconftest"),
            *("-p", "no:cacheprovider", "-c", "/dev/null", "--conformance", str(plugin_file), "-v"),
            *("-k", "sum-absent or sum-rows or has-a-case", str(plugin_file.parent)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "2 failed, 1 passed" in run.stdout
    assert "NaN in absent content changes `fused`" in run.stdout
