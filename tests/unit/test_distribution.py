"""The name on package indexes: the stranger that has the package's name is told, and who depends on it."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fusekit import distribution
from fusekit.authoring import words
from fusekit.cli import doctor
from fusekit.cli.app import app
from fusekit.errors import FusekitError
from fusekit.plugins import load
from fusekit.recipe.requires import missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that holds the distributions which a test installs, and no other."""
    monkeypatch.setattr(distribution, "distributions", lambda: distributions(path=[str(tmp_path)]))
    return tmp_path


def install(site: Path, name: str, version: str, *needs: str, script: str = "") -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    (folder / "entry_points.txt").write_text(f"[console_scripts]\nfusekit = {script}\n" if script else "")


def test_our_own_name_and_its_plugins_are_no_fault(site: Path) -> None:
    install(site, "fusekit-multimodal", "0.2.0", "torch>=2.11", script="fusekit.cli:main")
    install(site, "fusekit-ecg", "0.2.0", "fusekit-multimodal>=0.1")
    assert list(distribution.faults()) == []


def test_the_stranger_is_told_with_what_to_type(site: Path) -> None:
    install(site, "fusekit", "0.1.0a5")
    (fault,) = distribution.faults()
    assert "`fusekit` 0.1.0a5 is installed: another project" in fault
    assert fault.endswith("pip uninstall --yes fusekit fusekit-multimodal; pip install fusekit-multimodal")


def test_our_own_former_name_is_told_apart_from_the_stranger(site: Path) -> None:
    install(site, "fusekit", "0.1.0", script="fusekit.cli:main")
    (fault,) = distribution.faults()
    assert "an older version of this project, now called fusekit-multimodal" in fault


@pytest.mark.parametrize("need", ["fusekit", "Fusekit>=0.1", "fusekit[parquet]", "fusekit ; extra == 'all'"])
def test_a_plugin_that_depends_on_the_stranger_is_told(site: Path, need: str) -> None:
    install(site, "fusekit-pulse", "0.3", need)
    (fault,) = distribution.faults()
    assert fault.startswith(
        "fusekit-pulse 0.3 depends on `fusekit`, which the index gives to another project"
    )
    assert "pip install --no-deps fusekit-pulse" in fault


def test_doctor_tells_it_and_ends_with_code_2(site: Path) -> None:
    install(site, "fusekit", "0.1.0a5")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 2
    assert "fault: the distribution `fusekit` 0.1.0a5 is installed" in done.stdout
    assert "distribution  " in done.stdout


def test_a_recipe_that_requires_the_stranger_is_told_our_name() -> None:
    assert "write that, or leave it out" in missing("fusekit", load()[0])


def test_no_plugin_takes_our_name() -> None:
    with pytest.raises(FusekitError, match="fusekit-multimodal is fusekit itself"):
        words("multimodal")


def test_every_extra_that_a_message_names_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    assert project["name"] == distribution.NAME
    assert set(doctor.EXTRAS) == extras - {"test", "dev"}
    for file in (ROOT / "fusekit").rglob("*.py"):
        named = re.findall(rf"{distribution.NAME}\[([\w,]+)\]", file.read_text(encoding="utf-8"))
        assert {extra for group in named for extra in group.split(",")} <= extras, file


def test_doctor_looks_at_this_environment() -> None:
    assert sys.prefix  # the stranger is never a dependency of the tests' own environment
    assert [f for f in distribution.faults() if "another project. Both" in f] == []
