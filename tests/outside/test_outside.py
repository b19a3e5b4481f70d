"""From wheels, in a fresh environment away from the checkout: what users of published packages have.

fusekit, every package in plugins/ and one that `fusekit plugin new` wrote are built, installed and trained
together; then one is taken away. Third-party libraries are those of the environment that runs the tests:
nothing is fetched.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest

from fusekit.distribution import NAME, same

pytest.importorskip(
    "hatchling", reason="wheels are built with hatchling: pip install 'fusekit-multimodal[test]'"
)
pytest.importorskip("pip", reason="wheels are built and installed with pip")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))
SKIN = "fusekit-skin"
PRINTING = (
    "*.md",
    "docs/**/*.md",
    "docs/**/*.py",
    "plugins/**/*.md",
    "plugins/**/*.py",
    "fusekit/**/*.py",
    "fusekit/**/*.in",
    "recipes/*.yaml",
)
INVENTED = {"fusekit-mean", "fusekit-eda"}  # packages that a page tells how to write

# What each package of ours adds to the recipe: the modality's name and its parts.
PARTS = {
    "fusekit-ecg": """\
  ecg:
    reader:    {name: ecg, rate: 64, window_s: 4}
    encoder:   {name: ecg-generator, width: 4}
    projector: {name: conv1d-pyramid, width: 4}
""",
    "fusekit-text": """\
  text:
    reader:    {name: transcript, window_s: 8, length: 32}
    encoder:   {name: hashed-words, dim: 8}
    projector: {name: linear, dim: 8}
""",
}
MODALITIES = ["face", "voice", *("ecg" for p in PLUGINS if p.name == "fusekit-ecg")]
MODALITIES += ["text" for p in PLUGINS if p.name == "fusekit-text"]
RECIPE = """\
extends: demo
requires: [{names}]
corpus: {{name: manifest, path: manifest.csv}}
modalities:
  face: {{quadrant: none}}
  voice: {{quadrant: none}}
  skin:
    reader:    {{name: skin, low: -1, high: 1}}
    encoder:   {{name: skin-conv, width: 4}}
    projector: {{name: linear, dim: 8}}
{parts}stages: [{{name: whole, objective: supervised, epochs: 1, batch_size: 4, windows: [4]}}]
"""

# Three short clips of the demo corpus, and a file of skin for each that follows arousal.
MANIFEST = """\
import csv, sys
import numpy as np
from fusekit.data.corpora.demo import DemoCorpus

clips, _ = DemoCorpus(subjects=3, seconds=12).load(sys.argv[1:], ["valence", "arousal"])
rows = []
for clip in clips:
    times, values = clip.labels.times, clip.labels.values
    skin = [times, values[:, 1]]
    for name, header, columns in (
        ("labels", "time_s,valence,arousal", [times, *values.T]), ("skin", "time_s,value", skin)
    ):
        np.savetxt(f"{clip.id}-{name}.csv", np.column_stack(columns), "%.5f", ",", header=header, comments="")
    row = {"clip": clip.id, "subject": clip.subject, "split": clip.split}
    row |= {"labels": f"{clip.id}-labels.csv", "skin": f"{clip.id}-skin.csv"}
    row |= {m: str(source.path) for m, source in clip.sources.items()}
    rows.append(row | {"face_boxes": str(clip.sources["face"].boxes)})
with open("manifest.csv", "w", newline="") as file:
    table = csv.DictWriter(file, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
"""


@dataclass
class Elsewhere:
    """An environment and an empty folder, both far from the checkout."""

    folder: Path
    python: Path

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """A program of the environment, in the folder, with nothing of this process around it."""
        bare = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FUSEKIT"))}
        bare |= {"FUSEKIT_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [str(self.python), *words], cwd=self.folder, env=bare, capture_output=True, text=True
        )
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        return done

    def fusekit(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "fusekit", *words, code=code)

    def install(self, *sources: Path) -> None:
        """Build a wheel of each source tree and install it; without its dependencies, without an index."""
        wheels = self.folder / "wheels"
        for source in sources:
            pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels), str(source))
            (wheel,) = wheels.glob(f"{name_of(source).replace('-', '_')}-*.whl")
            pip("--python", str(self.python), "install", "--no-deps", "--no-index", str(wheel))


def name_of(source: Path) -> str:
    return NAME if source == ROOT else source.name


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "env", with_pip=False)
    there = Elsewhere(folder, folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python")
    there.install(ROOT, *PLUGINS)
    # Only now the libraries of this environment: pip would otherwise find its editable packages installed.
    site = there.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    ours = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    Path(site, "libraries.pth").write_text("\n".join(ours) + "\n")
    there.fusekit("plugin", "new", "skin")
    there.install(folder / SKIN)
    return there


def test_it_is_the_installed_copy_with_its_recipes_and_templates(elsewhere: Elsewhere) -> None:
    code = (
        "import fusekit; from fusekit.authoring import TEMPLATE; from fusekit.recipe.load import bundled\n"
        "print(fusekit.__file__, TEMPLATE, bundled()['demo'])"
    )
    for file in elsewhere.run("-c", code).stdout.split():
        assert Path(file).is_relative_to(elsewhere.folder)
        assert Path(file).exists()


def test_every_plugin_is_listed_with_version_and_components(elsewhere: Elsewhere) -> None:
    rows = json.loads(elsewhere.fusekit("plugins", "--json").stdout)
    assert {row["distribution"] for row in rows} == {SKIN, *(p.name for p in PLUGINS)}
    assert [row for row in rows if row["state"] != "loaded" or not row["version"]] == []
    skin = next(row for row in rows if row["distribution"] == SKIN)
    assert skin["components"] == [
        {"kind": "reader", "name": "skin"},
        {"kind": "encoder", "name": "skin-conv"},
    ]


def test_the_written_package_passes_its_own_tests_and_the_kit(elsewhere: Elsewhere) -> None:
    assert "keeps the contracts" in elsewhere.fusekit("plugin", "check", SKIN).stdout
    done = elsewhere.run("-m", "pytest", "-q", "-p", "no:cacheprovider", f"{SKIN}/tests")
    assert "passed" in done.stdout


def test_what_is_printed_after_pip_install_can_be_installed(elsewhere: Elsewhere) -> None:
    """Names and extras of ours, in documents, messages and templates, against the wheels."""
    wheels = {}
    for file in (elsewhere.folder / "wheels").glob("*.whl"):
        with zipfile.ZipFile(file) as wheel:
            (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
            facts = Parser().parsestr(wheel.read(name).decode())
        wheels[same(facts["Name"])] = set(facts.get_all("Provides-Extra") or ())
        assert not [n for n in facts.get_all("Requires-Dist") or () if re.match(r"fusekit\b(?!-)", n)]
    files = [p for pattern in PRINTING for p in ROOT.glob(pattern)]
    printed = [(p, word) for p in files for word in installs(p.read_text(encoding="utf-8"))]
    assert len(printed) >= 15
    told = {same(word.split("[")[0]) for _, word in printed}
    assert told >= {NAME, *(p.name for p in PLUGINS)}
    for file, word in printed:
        name, _, extras = word.rstrip("]").partition("[")
        if same(name) not in INVENTED:
            assert same(name) in wheels, f"{file}: pip install {word}"
            assert set(filter(None, extras.split(","))) <= wheels[same(name)], f"{file}: pip install {word}"


def installs(text: str) -> list[str]:
    """Distributions of ours behind every `pip install`, as `name[extra]`."""
    rest = re.findall(r"pip install ([^\n`;&|]*)", text)
    return [
        w for line in rest for w in re.findall(r"(?<![\w/.{-])fusekit[\w-]*(?:\[[\w,]+\])?(?![\w/])", line)
    ]


@pytest.mark.parametrize("name", [p.name for p in PLUGINS])
def test_our_packages_pass_the_kit(elsewhere: Elsewhere, name: str) -> None:
    assert "keeps the contracts" in elsewhere.fusekit("plugin", "check", name).stdout


def test_the_written_packages_recipe_trains(elsewhere: Elsewhere) -> None:
    elsewhere.run(f"{SKIN}/make_clips.py")
    done = elsewhere.fusekit("train", f"{SKIN}/recipe.yaml", "stages.0.epochs=1", "--run", "skin")
    assert "report: skin/report.html" in done.stdout
    assert "hal.csv" in "".join(elsewhere.fusekit("predict", "skin", "clips/hal.csv").stdout.split())


def test_a_recipe_of_all_trains_and_one_that_is_gone_is_named(elsewhere: Elsewhere) -> None:
    names = [SKIN, *(p.name for p in PLUGINS if p.name in PARTS)]
    parts = "".join(PARTS[name] for name in names if name in PARTS)
    text = RECIPE.format(names=", ".join(names), parts=parts)
    (elsewhere.folder / "all.yaml").write_text(text, encoding="utf-8")
    elsewhere.run("-c", MANIFEST, *MODALITIES)
    elsewhere.fusekit("train", "all.yaml", "--run", "all")
    facts = json.loads((elsewhere.folder / "all" / "provenance.json").read_text())
    assert set(facts["distributions"]) == set(names)
    assert facts["distributions"][SKIN] == "0.1.0"

    pip("--python", str(elsewhere.python), "uninstall", "--yes", SKIN)
    said = elsewhere.fusekit("check", "all.yaml", code=2).stderr
    assert said.splitlines() == [
        "fusekit: all.yaml has 1 fault:",
        f"  all.yaml:2: requires: {SKIN} is not installed: pip install {SKIN}",
    ]
    for words in (["evaluate", "all"], ["predict", "all", "manifest.csv"], ["train", "--resume", "all"]):
        assert f"{SKIN} is not installed: pip install {SKIN}" in elsewhere.fusekit(*words, code=2).stderr
