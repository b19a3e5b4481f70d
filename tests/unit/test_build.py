"""What types and ranges do not tell of a recipe: combinations that cannot work, all of them at once."""

from __future__ import annotations

import pytest

from fusekit import build, plugins
from fusekit.errors import RecipeError
from fusekit.recipe.load import load
from fusekit.registry import Registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    return plugins.load()[0]


def test_a_stage_key_that_its_objective_ignores_is_a_fault(registry: Registry) -> None:
    words = ["stages.latent.windows=[2, 4]", "stages.latent.clip_grad=1", "stages.sequence.critic_steps=5"]
    with pytest.raises(RecipeError) as caught:
        build.check_components(load("demo", words), registry)
    assert str(caught.value).splitlines() == [
        "stages.0.windows: objective adversarial does not read it; take it out of stage 'latent'.",
        "stages.0.clip_grad: objective adversarial does not read it; take it out of stage 'latent'.",
        "stages.1.critic_steps: objective supervised does not read it; take it out of stage 'sequence'.",
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
