"""Every recipe that comes with fusekit loads, builds, and is named by its header."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fusekit import build, plugins
from fusekit.recipe.load import bundled, load
from fusekit.recipe.requires import missing
from fusekit.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "au", "au-de", "au-des", "avi-cas", "avi-gas", "ceap360vr", "demo", "demo-ecg", "demo-ecg-alone",
    "demo-four", "demo-text", "demo-text-alone", "mosi", "ravdess-au-des", "ravdess-av-gas",
    "vi", "vi-de", "vi-des",
)  # fmt: skip

# Table 11 of the paper: training, inference.
TABLE_11 = {
    "vi-de": (5_287_308, 2_483_346),
    "au-de": (5_287_308, 2_483_346),
    "vi-des": (5_550_989, 2_747_027),
    "au-des": (5_550_989, 2_747_027),
    "avi-cas": (6_000_508, 3_196_546),
    "avi-gas": (6_264_189, 3_460_227),
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("FUSEKIT_PLUGINS", raising=False)  # with the plugins that some recipes require
    return plugins.load()[0]


def test_exactly_these_recipes_are_bundled() -> None:
    assert tuple(sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))) == NAMES
    assert tuple(bundled()) == NAMES
    assert [path.name for path in (ROOT / "recipes" / "base").iterdir()] == ["full-size.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_builds(name: str, registry: Registry) -> None:
    recipe = load(name)
    for package in recipe.requires:
        if fault := missing(package, registry):
            pytest.skip(fault)
    report = build.check(recipe, registry)
    assert recipe.name == name
    assert report.parts
    assert list(report.lookahead_s) == list(recipe.modalities)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_headed_by_the_command_that_runs_it(name: str) -> None:
    head = [line for line in bundled()[name].read_text().splitlines() if line.startswith("#")]
    assert any(re.match(rf"#   fusekit train {name}( |$)", line) for line in head)


@pytest.mark.parametrize(("name", "printed"), TABLE_11.items())
def test_full_size_recipes_reproduce_table_11(
    name: str, printed: tuple[int, int], registry: Registry
) -> None:
    paper = build.check(load(name, ["preset=table11"]), registry).parameters["paper"]
    assert paper is not None
    assert (paper["training"], paper["inference"]) == printed


@pytest.mark.parametrize(
    ("preset", "residuals"),
    [
        ("a", {"vi-de": 0, "vi-des": -262_656, "avi-cas": 1_025, "avi-gas": 0}),
        ("c", {"vi-de": 0, "vi-des": 0, "avi-cas": 263_681, "avi-gas": 0}),
    ],
)
def test_presets_leave_the_residuals_of_the_spec(
    preset: str, residuals: dict[str, int], registry: Registry
) -> None:
    for name, residual in residuals.items():
        paper = build.check(load(name, [f"preset={preset}"]), registry).parameters["paper"]
        assert paper is not None
        assert paper["training"] - TABLE_11[name][0] == residual, name
        assert paper["inference"] - TABLE_11[name][1] == residual, name


def test_de_is_the_predictor_without_a_sequence() -> None:
    for name in ("vi-de", "au-de"):
        recipe, sequence = load(name), load(f"{name}s")
        assert recipe.temporal.name == "lstm"
        assert [stage.windows for stage in recipe.stages] == [(1,), (1,)]
        assert recipe.modalities == sequence.modalities
        assert sequence.stages[-1].windows == (2, 4, 8)


def test_vi_and_au_see_clean_inputs_and_are_else_the_same() -> None:
    for name, modality in (("vi", "face"), ("au", "voice")):
        plain, denoising = load(name), load(f"{name}-de")
        assert plain.modalities[modality].degradation is None
        assert denoising.modalities[modality].degradation is not None
        assert replace(plain.modalities[modality], degradation=None) == replace(
            denoising.modalities[modality], degradation=None
        )
        assert (plain.stages, plain.temporal) == (denoising.stages, denoising.temporal)


SMALL = (
    "ceap360vr", "demo", "demo-ecg", "demo-ecg-alone", "demo-four", "demo-text", "demo-text-alone", "mosi",
    "ravdess-au-des", "ravdess-av-gas",
)  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SMALL])
def test_full_size_recipes_leave_open_what_presets_say(name: str) -> None:
    recipe = load(name)
    assert "score" not in recipe.temporal.args
    assert recipe.fusion.args == {}
    assert all("conditioning" not in m.quadrant.args for m in recipe.modalities.values())


def test_recipes_that_the_documents_name_exist() -> None:
    texts = [file for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if file.is_file()]
    if not texts:
        pytest.skip("no README yet")
    text = "\n".join(file.read_text() for file in texts)
    named = set(re.findall(r"recipes/([\w/-]+)\.yaml", text))
    named |= set(re.findall(r"fusekit (?:train|check) ([a-z][\w-]*)(?![\w./-])", text))
    assert named <= {*NAMES, "base/full-size"}
