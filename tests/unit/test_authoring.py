"""`fusekit plugin new` writes a package whole or says why not; tests/outside installs and trains one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fusekit import plugins
from fusekit.authoring import TAKEN, TEMPLATE, words, write_plugin
from fusekit.cli.app import app
from fusekit.data.manifest import OPTIONAL, REQUIRED
from fusekit.errors import FusekitError
from fusekit.recipe.load import load
from fusekit.registry import Registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    return plugins.load()[0]


def test_a_name_serves_as_distribution_module_modality_and_class() -> None:
    assert words("skin-response2") | {"fusekit": ""} == {
        "name": "skin-response2",
        "distribution": "fusekit-skin-response2",
        "module": "fusekit_skin_response2",
        "modality": "skin_response2",
        "Class": "SkinResponse2",
        "fusekit": "",
    }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Skin Response", "Did you mean 'skin-response'?"),
        ("skin_response", "Did you mean 'skin-response'?"),
        ("9-lead", "Did you mean 'lead'?"),
        ("Fusekit.Skin", "Did you mean 'skin'?"),
        ("-", "a letter first."),
        ("", "a letter first."),
        ("é", "a letter first."),
        ("../skin", "Did you mean 'skin'?"),
        ("skin-", "Did you mean 'skin'?"),
        ("fusekit-skin", "`fusekit plugin new skin`"),
        ("video", "a track of a media file"),
        ("labels", "a manifest's own column"),
        ("label-min", "a manifest's own column"),
        ("null", "no word in YAML"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(FusekitError) as caught:
        words(name)
    assert says in str(caught.value)


def test_the_columns_of_a_manifest_are_no_names() -> None:
    assert {*REQUIRED, *OPTIONAL} == TAKEN


def test_a_name_that_is_taken_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(FusekitError, match="reader 'face-video' is offered by fusekit already"):
        write_plugin("face-video", tmp_path, registry)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "fusekit-skin").write_text("mine")
    with pytest.raises(FusekitError, match="exists, and nothing is overwritten"):
        write_plugin("skin", tmp_path, registry)
    assert (tmp_path / "fusekit-skin").read_text() == "mine"


def test_a_folder_that_is_not_there_is_said(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(FusekitError, match="cannot write into .*nowhere: No such file or directory"):
        write_plugin("skin", tmp_path / "nowhere", registry)


@pytest.mark.parametrize("name", ["skin", "skin-response", "source"])  # fusekit has a Source
def test_the_package_is_whole(registry: Registry, tmp_path: Path, name: str) -> None:
    files = write_plugin(name, tmp_path, registry)
    assert len(files) == len(list(TEMPLATE.rglob("*.in"))) >= 10
    assert [f for f in files if "$" in f.read_text(encoding="utf-8") or "__module__" in str(f)] == []
    folder, module = tmp_path / f"fusekit-{name}", f"fusekit_{name.replace('-', '_')}"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"fusekit": {name: f"{module}.plugin"}}
    recipe = load(folder / "recipe.yaml")
    assert recipe.requires == (project["name"],)
    assert list(recipe.modalities) == [name.replace("-", "_")]
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    if Path(ruff).is_file():
        # How lines break hangs on the name's length; for a short one they are as ruff would have them.
        for check in (["check"], *([["format", "--check"]] if name == "skin" else [])):
            words = [ruff, *check, "--no-cache", "--line-length", "110", "."]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


def test_its_hook_is_light_and_offers_what_its_recipe_names(registry: Registry, tmp_path: Path) -> None:
    write_plugin("skin", tmp_path, registry)
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from fusekit_skin import plugin\n"
        "plugin.register_components(lambda *row: print(*row, sep='|'))\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "fusekit-skin", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [tuple(line.split("|")[:3]) for line in done.stdout.splitlines()]
    assert rows == [
        ("reader", "skin", "fusekit_skin.reader:SkinReader"),
        ("encoder", "skin-conv", "fusekit_skin.encoder:SkinConv"),
    ]


def test_the_command_says_what_to_type_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["plugin", "new", "skin"])
    assert done.exit_code == 0
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0] == "Wrote fusekit-skin, 10 files. Next:"
    assert "cd fusekit-skin" in lines
    assert "fusekit train recipe.yaml --run runs/skin" in lines
    again = CliRunner().invoke(app, ["plugin", "new", "skin"])
    assert again.exit_code == 2
    assert "nothing is overwritten" in again.stderr
