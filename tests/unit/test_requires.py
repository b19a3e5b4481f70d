"""What a recipe requires: one fault that says what to install, in the place of those that follow from it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fusekit import build, plugins
from fusekit.distribution import same
from fusekit.errors import RecipeError, RunError
from fusekit.hookspecs import hookimpl
from fusekit.recipe import requires
from fusekit.recipe.load import load
from fusekit.runs.files import write_json
from fusekit.runs.run import check_known

RECIPE = """\
extends: demo
requires: [fusekit-pulse]
modalities:
  pulse: {reader: pulse, encoder: pulse-conv, projector: linear}
"""


class Point:
    """An entry point of an installed distribution."""

    name, value = "pulse", "fusekit_pulse.plugin"

    def __init__(self, load: Any) -> None:
        self.load = load
        self.dist = type("Dist", (), {"name": "fusekit_pulse", "version": "0.3"})


def good() -> ModuleType:
    module = ModuleType("plugin")

    @hookimpl
    def register_components(register: Any) -> None:
        register("reader", "pulse", "fusekit.data.readers.mel_spectrogram:MelSpectrogram", "")
        register("encoder", "pulse-conv", "fusekit.nn.timm_encoder:TimmEncoder", "")

    module.register_components = register_components  # type: ignore[attr-defined]
    return module


def broken() -> ModuleType:
    raise ImportError("no numpy here")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pulse.yaml").write_text(RECIPE)
    monkeypatch.delenv("FUSEKIT_PLUGINS", raising=False)
    install(monkeypatch)


def install(monkeypatch: pytest.MonkeyPatch, *found: Any) -> None:
    def version(name: str) -> str:
        if same(name) == "fusekit-pulse" and found:
            return "0.3"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(plugins, "entry_points", lambda group: [Point(load) for load in found])
    monkeypatch.setattr(requires, "version", version)


def fault(name: str = "pulse.yaml", *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(name, overrides, plugins.load()[0])
    return str(caught.value)


def test_what_is_not_installed_is_the_one_fault() -> None:
    assert fault() == (
        "pulse.yaml has 1 fault:\n"
        "  pulse.yaml:2: requires: fusekit-pulse is not installed: pip install fusekit-pulse"
    )


def test_faults_that_do_not_follow_from_it_are_told_too() -> None:
    lines = fault("pulse.yaml", "fusion.gat=vector", "train.sed=1").splitlines()
    assert lines[0] == "pulse.yaml has 3 faults:"
    assert "Did you mean 'seed'?" in lines[1]
    assert lines[2].endswith("pip install fusekit-pulse")
    assert "Did you mean 'gate'?" in lines[3]


def test_without_requires_the_component_is_unknown() -> None:
    Path("bare.yaml").write_text(RECIPE.replace("requires: [fusekit-pulse]\n", ""))
    recipe = load("bare.yaml")
    with pytest.raises(RecipeError, match="no reader named 'pulse'"):
        build.check_components(recipe, plugins.load()[0])


def test_check_holds_a_recipe_against_it_that_was_loaded_without_a_registry() -> None:
    with pytest.raises(RecipeError) as caught:
        build.check_components(load("pulse.yaml"), plugins.load()[0])
    assert str(caught.value) == (
        "pulse.yaml:2: requires: fusekit-pulse is not installed: pip install fusekit-pulse"
    )


def test_a_disabled_plugin_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, broken)
    assert fault().splitlines()[1:] == [
        "  pulse.yaml:2: requires: fusekit_pulse 0.3 is installed, but its plugin 'pulse' is disabled: "
        "ImportError: no numpy here",
        "    Mend that, or install it anew: pip install --upgrade --force-reinstall fusekit-pulse",
    ]


def test_a_plugin_that_was_not_selected_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, good)
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    assert "its plugin 'pulse' is skipped: not named in FUSEKIT_PLUGINS. Name it there, too" in fault()


def test_what_is_installed_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, good)
    registry, (status,) = plugins.load()
    assert (status.distribution, status.version, status.module) == (
        "fusekit_pulse",
        "0.3",
        "fusekit_pulse.plugin",
    )
    recipe = load("pulse.yaml", (), registry)
    assert recipe.requires == ("fusekit-pulse",)
    assert load_again(recipe.to_yaml()) == recipe
    assert build.distributions(recipe, registry) == {"fusekit_pulse": "0.3"}
    assert build.distributions(load("demo"), registry) == {}


def load_again(text: str) -> Any:
    Path("again.yaml").write_text(text)
    return load("again.yaml")


def test_what_a_recipe_extends_needs_its_packages_still() -> None:
    Path("more.yaml").write_text("extends: pulse.yaml\nrequires: [fusekit-text, fusekit-pulse]\n")
    assert load("more.yaml").requires == ("fusekit-pulse", "fusekit-text")
    assert load("more.yaml", ["requires=[fusekit-ecg]"]).requires[-1] == "fusekit-ecg"
    lines = fault("more.yaml").splitlines()
    assert [line.split(": requires: ")[0].strip() for line in lines[1:]] == ["pulse.yaml:2", "more.yaml:2"]


@pytest.mark.parametrize("name", ["'fusekit-ecg>=1'", "'-ecg'", "''", "a b"])
def test_a_requirement_is_a_name(name: str) -> None:
    said = fault("demo", f"requires=[{name}]")
    assert "is no name of a distribution, as in requires: [fusekit-ecg]" in said


def test_what_is_no_list_is_one_fault() -> None:
    said = fault("demo", "requires={a: b}")
    assert said.startswith("demo has 1 fault:")
    assert "requires: expected list of string, found a mapping" in said


def test_a_run_names_the_package_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = RECIPE.replace("requires: [fusekit-pulse]\n", "")
    Path("run").mkdir()
    Path("run/recipe.yaml").write_text(bare)
    write_json(Path("run/provenance.json"), {"plugins": [], "distributions": {"fusekit-pulse": "0.3"}})
    recipe = load("run/recipe.yaml")
    with pytest.raises(RunError) as caught:
        check_known(Path("run"), recipe, plugins.load()[0])
    assert str(caught.value) == (
        "'run' was trained with fusekit-pulse 0.3: fusekit-pulse is not installed: pip install fusekit-pulse"
    )
