"""What types and ranges do not tell of a recipe: combinations that cannot work, all of them at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fusekit import build, plugins
from fusekit.errors import RecipeError
from fusekit.recipe.load import load
from fusekit.recipe.schema import Component
from fusekit.registry import Kind, Registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    return plugins.load()[0]


def test_a_stage_key_that_its_objective_ignores_is_a_fault(registry: Registry) -> None:
    words = ["stages.latent.windows=[2, 4]", "stages.latent.clip_grad=1", "stages.sequence.critic_steps=5"]
    with pytest.raises(RecipeError) as caught:
        build.check_components(load("demo", words), registry)
    assert str(caught.value).splitlines() == [
        "override 'stages.latent.windows=[2, 4]': stages.0.windows: "
        "objective adversarial does not read it; take it out of stage 'latent'.",
        "override 'stages.latent.clip_grad=1': stages.0.clip_grad: "
        "objective adversarial does not read it; take it out of stage 'latent'.",
        "override 'stages.sequence.critic_steps=5': stages.1.critic_steps: "
        "objective supervised does not read it; take it out of stage 'sequence'.",
    ]


def test_every_misfit_tells_its_line(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(
        "extends: avi-gas\n"
        "modalities:\n"
        "  face:  {quadrant: {name: none}, degradation: null}\n"
        "  voice: {quadrant: {name: discriminator}, degradation: null}\n"
        "stages:\n"
        "  - name: all\n"
        "    objective: supervised\n"
        "    epochs: 1\n"
        "    batch_size: 4\n"
        "    degraded: 0.5\n"
    )
    Path("mine.yaml").write_text("extends: base.yaml\nstages:\n  all:\n    augment: true\n")
    with pytest.raises(RecipeError) as caught:
        build.check_components(load("mine.yaml", ["stages.0.gan=log"]), registry)
    assert [": ".join(line.split(": ")[:2]) for line in str(caught.value).splitlines()] == [
        "base.yaml:4: modalities.voice.quadrant",
        "override 'stages.0.gan=log': stages.0.gan",
        "mine.yaml:4: stages.0.augment",
        "base.yaml:10: stages.0.degraded",
        "base.yaml:10: stages.0.degraded",
    ]


def test_a_written_out_default_is_none(registry: Registry) -> None:
    build.check_components(
        load("demo", ["stages.latent.windows=[1]", "stages.sequence.gan=wgan-gp"]), registry
    )


def test_a_discriminator_needs_an_adversarial_stage(registry: Registry) -> None:
    recipe = load("demo", ["stages=[{name: all, objective: supervised, epochs: 1, batch_size: 4}]"])
    with pytest.raises(RecipeError, match="a discriminator learns in an adversarial stage") as caught:
        build.check_components(recipe, registry)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "modalities.face.quadrant",
        "modalities.voice.quadrant",
    ]


def test_the_last_stage_trains_what_predicts(registry: Registry) -> None:
    recipe = load("demo", ["stages=[{name: latent, objective: adversarial, epochs: 1, batch_size: 4}]"])
    with pytest.raises(
        RecipeError, match=r"stages\.0\.objective: stage 'latent' leaves fusion, temporal and head untrained"
    ):
        build.check_components(recipe, registry)


@pytest.mark.parametrize("dims", ["[valence]", "[arousal, valence]", "[valence, arousal, dominance]"])
def test_a_critic_estimates_valence_and_arousal(registry: Registry, dims: str) -> None:
    with pytest.raises(
        RecipeError, match=r"target\.dims: an adversarial stage's critic estimates valence and a"
    ):
        build.check_components(load("demo", [f"target.dims={dims}"]), registry)
    words = [f"modalities.{m}.quadrant=none" for m in ("face", "voice")]
    words.append("stages=[{name: whole, objective: supervised, epochs: 1, batch_size: 4}]")
    build.check_components(load("demo", [f"target.dims={dims}", *words]), registry)


@pytest.mark.parametrize(
    "words",
    [
        "temporal.dim=0",
        "temporal.memory=0",
        "fusion.dim=-1",
        "modalities.face.projector.width=0",
        "modalities.face.projector={name: linear, dim: 0}",
        "modalities.face.encoder.width=0",
        "modalities.face.encoder.blocks=-1",
        "modalities.face.quadrant.width=0",
        "modalities.face.quadrant={name: classifier, hidden: -1}",
        "modalities.face.degradation.probability=3",
        "modalities.face.projector={name: linear, dropout: 1}",
        "modalities.voice.reader.fps=0",
        "modalities.voice.reader.silence_s=-1",
    ],
)
def test_sizes_that_make_no_sense_are_refused_before_data(registry: Registry, words: str) -> None:
    with pytest.raises(RecipeError, match="must be") as caught:
        build.check(load("demo", [words]), registry)
    assert words.split("=")[0].rpartition(".")[0].removesuffix(".") in str(caught.value)


def test_a_component_that_breaks_on_its_arguments_is_a_fault_of_the_recipe(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusekit.nn.heads import LinearHead

    def refuse(self: LinearHead, *sizes: int) -> None:
        raise ZeroDivisionError("no such width")

    monkeypatch.setattr(LinearHead, "__init__", refuse)
    with pytest.raises(RecipeError, match=r"head: linear cannot be made of these arguments: no such width"):
        build.check(load("demo"), registry)


def test_parquet_is_asked_for_before_training(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"output\.predictions: Parquet needs pyarrow: pip install"):
        build.check_components(load("demo", ["output.predictions=parquet"]), registry)


def test_copies_are_damaged_by_damage_else_by_degradation(registry: Registry) -> None:
    words = ["modalities.face.damage={name: picture, severity: [1, 4]}", "modalities.voice.damage=null"]
    recipe = load("demo", words)
    build.check_components(recipe, registry)
    damages = build.build_damages(recipe, registry)
    assert damages["face"].severity == (1, 4)
    assert damages["voice"].severity == (1,)
    assert build.build_degradations(recipe, registry)["face"].severity == (1,)


def test_copies_that_nothing_damages_are_a_fault(registry: Registry) -> None:
    words = [f"modalities.{m}.{key}=null" for m in ("face", "voice") for key in ("damage", "degradation")]
    with pytest.raises(RecipeError, match=r"stages\.1\.degraded: no modality says what damages its copies"):
        build.check_components(load("demo", words), registry)


def test_anchored_a_recipe_names_the_same_files_from_everywhere(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "corpus={name: manifest, path: data/manifest.csv}",
        "modalities.face.reader.detector=yunet",
        "modalities.face.reader.detector_args={model: models/yunet.onnx, least_score: 0.5}",
        "modalities.voice.encoder={name: timm, model: test_resnet, weights: w.safetensors}",
    ]
    plain = load("demo", words)
    recipe = build.anchor(plain, registry)
    assert recipe.corpus.args == {"path": f"{tmp_path}/data/manifest.csv"}
    face, voice = recipe.modalities["face"], recipe.modalities["voice"]
    assert face.reader.args["detector_args"] == {"model": f"{tmp_path}/models/yunet.onnx", "least_score": 0.5}
    assert voice.encoder.args == {"model": "test_resnet", "weights": f"{tmp_path}/w.safetensors"}
    (tmp_path / "written.yaml").write_text(recipe.to_yaml())
    monkeypatch.chdir("/")
    assert build.anchor(load(tmp_path / "written.yaml"), registry) == recipe
    assert build.build_corpus(recipe, registry).path == tmp_path / "data/manifest.csv"
    assert (recipe.files, recipe.places) == (plain.files, plain.places)


def test_a_recipe_without_relative_paths_stays_as_it_is(registry: Registry) -> None:
    for name in ("demo", "avi-gas"):
        assert build.anchor(load(name), registry) == load(name)


@pytest.mark.parametrize("name", ["type", "keys", "training"])
def test_a_modality_named_as_something_in_torch_is_a_fault(registry: Registry, name: str) -> None:
    words = [
        f"modalities.{name}={{reader: mel-spectrogram, encoder: denoising-generator, projector: linear}}"
    ]
    with pytest.raises(RecipeError, match=f"torch has a use of its own for the name '{name}'"):
        build.check_components(load("demo", words), registry)


def test_a_network_that_memory_cannot_hold_is_refused_before_it_is_made(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(available=100_000_000)
    monkeypatch.setattr(build.psutil, "virtual_memory", lambda: free)
    small, large = (
        Component("linear", {"dim": dim}, "modalities.face.projector") for dim in (10, 10_000_000)
    )
    build.make(registry, Kind.PROJECTOR, small, (100,), "none")
    with pytest.raises(RecipeError, match=r"weights would take 4\.0 GB; 0\.1 GB are free"):
        build.make(registry, Kind.PROJECTOR, large, (100,), "none")
