"""`fusekit check` finds what training would meet late, and what it would leave wrong in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusekit import build, plugins
from fusekit.errors import RecipeError
from fusekit.recipe.load import load
from fusekit.registry import Registry

RECIPE = """
corpus: {name: manifest, path: nowhere.csv}
target: {dims: [valence, arousal], step_hz: 4}
modalities:
  face:
    reader: {name: face-video, size: 16, detector: whole}
    encoder: {name: odd-told}
    projector: {name: linear, dim: 8}
  voice:
    reader: {name: mel-spectrogram, mels: 16, columns: 16}
    encoder: {name: odd-told}
    projector: {name: linear, dim: 8}
fusion: odd-narrow
stages:
  - {name: sequence, objective: supervised, epochs: 1, batch_size: 4, windows: [2, 4]}
"""
ALONE = (
    "stages=[{name: own, objective: supervised, modalities: [voice], epochs: 1, batch_size: 4}, {name: all, \
objective: supervised, epochs: 1, batch_size: 4}]"
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return plugins.load([Path(__file__).with_name("awkward_parts.py")])[0]


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "odd.yaml"
    path.write_text(RECIPE)
    return str(path)


def told(recipe: str, registry: Registry, *words: str) -> str:
    with pytest.raises(RecipeError) as caught:
        build.check(load(recipe, list(words)), registry)
    return str(caught.value)


def test_parts_as_they_should_be_pass(recipe: str, registry: Registry) -> None:
    assert build.check(load(recipe, []), registry).unused == []
    assert build.check(load(recipe, [ALONE]), registry).unused == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fusion=odd-stateful"], "fusion Stateful keeps a state; the model does not carry it yet"),
        (["fusion=odd-mixing"], "fusion Mixing mixes steps"),
        (["fusion=odd-peeking"], "the content of absent modalities changes what is predicted: Peeking"),
        (["head=odd-averaging"], "head Averaging mixes steps"),
        (["temporal=odd-forgetful"], "temporal head Forgetful, cut after three steps"),
        (["temporal=odd-unmasked"], "padding changes what is predicted"),
        (["temporal=odd-drawn"], "opened again from their weights, Narrow, DrawnSteps and Linear"),
        (["modalities.face.encoder=odd-drawn"], "modalities.face.encoder: odd-drawn: opened again"),
        (["modalities.voice.encoder=odd-counting"], "voice.encoder: odd-counting: opened again from its"),
        (["modalities.voice.encoder=odd-hidden"], "it holds `more.0."),
        (["modalities.voice.encoder=odd-askew"], "cannot be trained: .* fails on made-up rows"),
        (["modalities.face.degradation=odd-wide"], r"face.degradation: Wide makes \(2, 3, 16, 32\)"),
        (["modalities.face.damage=odd-wide"], r"face.damage: Wide makes \(2, 3, 16, 32\)"),
    ],
)
def test_what_would_go_wrong_is_told_before_training(
    recipe: str, registry: Registry, words: list[str], said: str
) -> None:
    import re

    assert re.search(said, told(recipe, registry, *words))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("odd-narrow", "voice by itself has the fusion none.*NarrowHead fails on made-up rows.*shapes"),
        ("odd-dividing", "voice by itself has the fusion none.*NaN or infinite predictions"),
    ],
)
def test_a_stage_of_one_modality_is_tried_with_its_own_tail(
    recipe: str, registry: Registry, head: str, said: str
) -> None:
    """Its fusion, none, fills up the columns to twice a modality's width with zeros."""
    import re

    build.check(load(recipe, [f"head={head}"]), registry)
    found = told(recipe, registry, f"head={head}", ALONE)
    assert re.search(said, found)
    assert "face by itself" not in found


@pytest.mark.parametrize("head", ["odd-boastful", "odd-by-name"])
def test_a_critic_by_any_name_needs_an_adversarial_stage(recipe: str, registry: Registry, head: str) -> None:
    words = [f"modalities.face.quadrant={head}"]
    said = f"modalities.face.quadrant: a {head} learns in an adversarial stage, as every critic does"
    assert said in told(recipe, registry, *words)


def test_a_quadrant_head_that_every_stage_freezes_is_told(recipe: str, registry: Registry) -> None:
    words = ["modalities.face.quadrant=classifier", "stages.0.freeze=[quadrant]"]
    assert "every stage freezes classifier" in told(recipe, registry, *words)
    build.check(load(recipe, [*words, "modalities.face.quadrant.conditioning=none"]), registry)


def test_what_nothing_reads_is_told(recipe: str, registry: Registry) -> None:
    def unused(*words: str) -> list[str]:
        report = build.check(load(recipe, list(words)), registry)
        assert set(report.unused) <= set(report.notes)
        return report.unused

    damage, undoing = "modalities.face.damage=picture", "modalities.voice.degradation=spectrogram"
    (one,) = unused(damage)
    assert one.startswith("modalities.face.damage is not used: no stage has a `degraded` above 0")
    (one,) = unused(undoing)
    assert one.startswith(
        "modalities.voice.degradation is not used: no adversarial stage trains voice, and no"
    )
    degraded = ["stages.0.degraded=0.5", "stages.0.freeze=[encoder, quadrant]"]
    frozen = ["the encoder of face is frozen in every stage", "the encoder of voice is frozen in every stage"]
    found = unused(damage, *degraded)
    assert found[0].startswith("the encoder of face is frozen in every stage: its random weights never learn")
    assert any(x.startswith("voice says no `damage` (nor `degradation`)") for x in found)
    assert [x.split(":")[0] for x in unused(damage, undoing, *degraded)] == frozen
    both = [damage, "modalities.face.degradation=picture", undoing]
    assert any(x.startswith("modalities.face.degradation is not used") for x in unused(*both, *degraded))
    assert unused("stages.0.epochs=0") == ["stage 'sequence' has 0 epochs: it trains nothing"]


def test_augmentation_of_what_has_none_is_told(registry: Registry) -> None:
    report = build.check(load("demo", ["stages.latent.augment=true"]), registry)
    assert any(x.startswith("stage 'latent': `augment` changes nothing of voice") for x in report.unused)
    assert not any("of face" in x for x in report.unused)
    assert build.check(load("demo", []), registry).unused == []
