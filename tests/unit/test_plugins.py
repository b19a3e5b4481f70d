"""Plugins: found, selected, and disabled one by one when broken."""

from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fusekit import plugins
from fusekit.errors import FusekitError
from fusekit.hookspecs import hookimpl
from fusekit.registry import Kind

GOOD = """
from fusekit.hookspecs import hookimpl

class Half:
    "Halves."

@hookimpl
def register_components(register):
    register("fusion", "half", f"{__name__}:Half", "halves")
"""


@pytest.fixture(autouse=True)
def _no_installed_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    monkeypatch.delenv("FUSEKIT_PLUGINS", raising=False)


class Point:
    """An installed plugin, as importlib.metadata describes it."""

    dist = None

    def __init__(self, name: str, load: Any) -> None:
        self.name, self.value, self.load = name, f"{name}.plugin", load


def install(monkeypatch: pytest.MonkeyPatch, **found: Any) -> None:
    points = [Point(name, load) for name, load in found.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)


def offering(*rows: tuple[str, str, str, str]) -> Any:
    module = ModuleType("plugin")

    @hookimpl
    def register_components(register: Any) -> None:
        for row in rows:
            register(*row)

    module.register_components = register_components  # type: ignore[attr-defined]
    return lambda: module


def write(folder: Path, text: str, name: str = "my_fusion.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_fusekits_own_components_cover_every_kind() -> None:
    registry, statuses = plugins.load()
    assert statuses == []
    assert {entry.kind for entry in registry.entries()} == set(Kind)
    assert {entry.source for entry in registry.entries()} == {"fusekit"}


def test_every_registry_is_fresh() -> None:
    first, _ = plugins.load()
    first.add("fusion", "extra", "a:B", "")
    second, _ = plugins.load()
    assert "extra" not in second.names("fusion")


def test_a_file_offers_a_component_that_can_be_loaded(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    registry, (status,) = plugins.load([file])
    assert (status.name, status.state, status.components) == ("my_fusion.py", "loaded", 1)
    assert (status.offers, status.module) == ((("fusion", "half"),), "")
    assert registry.plugins == [status]
    entry = registry.get("fusion", "half")
    assert entry.source == str(file)
    assert registry.load(entry).__doc__ == "Halves."


def test_two_files_of_the_same_name_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = write(tmp_path / "a", GOOD)
    two = write(tmp_path / "b", GOOD.replace("Half", "Third").replace('"half"', '"third"'))
    registry, statuses = plugins.load([one, two])
    assert [s.state for s in statuses] == ["loaded", "loaded"]
    assert registry.load(registry.get("fusion", "third")).__name__ == "Third"
    assert registry.load(registry.get("fusion", "half")).__name__ == "Half"


def test_a_missing_file_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FusekitError) as caught:
        plugins.load([tmp_path / "no.py"])
    assert str(caught.value) == f"--plugin {tmp_path / 'no.py'}: there is no such file."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("x = 1", "it has no `register_components`"),
        (GOOD.replace("register_components", "register_component"), "unknown hook 'register_component'"),
        (GOOD.replace("(register)", "(registr)"), "registr"),
        (GOOD.replace('"fusion", ', ""), "missing 1 required positional argument: 'summary'"),
        (GOOD.replace('"fusion"', '"fusoin"'), "Did you mean 'fusion'?"),
        (
            GOOD.replace('"half"', '"gmu"'),
            "fusion 'gmu' is offered twice: by fusekit (fusekit.nn.fusion.gmu:GMU)",
        ),
    ],
)
def test_a_broken_file_is_disabled_and_says_why(tmp_path: Path, text: str, reason: str) -> None:
    sound = write(tmp_path, GOOD, "sound.py")
    registry, (broken, working) = plugins.load([write(tmp_path, text), sound])
    assert broken.state == "disabled"
    assert reason in broken.reason
    assert working.state == "loaded"
    assert registry.get("fusion", "half").source == str(sound)
    assert registry.get("fusion", "gmu").source == "fusekit"


def test_a_plugin_that_fails_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, half=offering(("fusion", "first", "a:B", ""), ("fusion", "gmu", "a:B", "")))
    registry, (status,) = plugins.load()
    assert status.state == "disabled"
    assert "first" not in registry.names("fusion")


def test_an_installed_plugin_that_raises_disables_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> Any:
        raise RuntimeError("boom")

    install(monkeypatch, bad=explode, good=offering(("encoder", "ecg", "fusekit_ecg.encoder:ECG", "")))
    registry, statuses = plugins.load()
    assert [(s.name, s.state, s.reason) for s in statuses] == [
        ("bad", "disabled", "RuntimeError: boom"),
        ("good", "loaded", ""),
    ]
    assert "ecg" in registry.names("encoder")


@pytest.mark.parametrize(
    ("setting", "states"),
    [
        (None, {"one": "loaded", "two": "loaded"}),
        ("", {"one": "skipped", "two": "skipped"}),
        ("two", {"one": "skipped", "two": "loaded"}),
        (" one , two ", {"one": "loaded", "two": "loaded"}),
        ("tow", {"one": "skipped", "two": "skipped", "tow": "disabled"}),
    ],
)
def test_the_environment_selects(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, states: dict[str, str]
) -> None:
    install(monkeypatch, one=offering(("head", "one", "a:B", "")), two=offering(("head", "two", "a:B", "")))
    if setting is not None:
        monkeypatch.setenv("FUSEKIT_PLUGINS", setting)
    registry, statuses = plugins.load()
    assert {s.name: s.state for s in statuses} == states
    loaded = {name for name, state in states.items() if state == "loaded"}
    assert set(registry.names("head")) - {"linear"} == loaded
    if setting == "tow":
        assert statuses[-1].reason == (
            "FUSEKIT_PLUGINS names it, but it is not installed. Did you mean 'two'?"
        )


def test_installed_plugins_are_looked_up_under_the_group_fusekit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def points(group: str) -> list[EntryPoint]:
        asked.append(group)
        return []

    monkeypatch.setattr(plugins, "entry_points", points)
    plugins.load()
    assert asked == ["fusekit"]
