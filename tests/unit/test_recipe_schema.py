"""A recipe written out and read again is the same recipe."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusekit.recipe.load import bundled, load
from fusekit.recipe.rules import MOST_HZ
from fusekit.recipe.schema import (
    Component,
    Evaluation,
    Modality,
    Output,
    Recipe,
    Split,
    Stage,
    Target,
    Train,
    component_kind,
)
from fusekit.registry import Kind

WORD = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12).filter(
    lambda text: "${" not in text and "\ufeff" not in text and "\ufffe" not in text and "\uffff" not in text
)
PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(WORD, inner, max_size=2)),
    max_leaves=4,
)
SHARE = st.floats(0, 1, exclude_max=True)
SOME = st.floats(0, 1, exclude_min=True, exclude_max=True)
POSITIVE = st.floats(min_value=1e-9, max_value=1e9)


def components(**fixed: Any) -> st.SearchStrategy[Component]:
    args = st.dictionaries(WORD.filter(lambda key: key != "name"), PLAIN, max_size=3)
    return st.builds(Component, st.from_regex(r"[a-z]{1,8}", fullmatch=True), args, **fixed)


def stages(name: str) -> st.SearchStrategy[Stage]:
    return st.builds(
        Stage,
        name=st.just(name),
        objective=st.sampled_from(["adversarial", "supervised"]),
        epochs=st.integers(0, 10**6),
        batch_size=st.integers(2, 10**6),
        loss=components(),
        freeze=st.lists(st.sampled_from(["encoder", "quadrant", "projector"]), max_size=2).map(tuple),
        windows=st.sets(st.integers(1, 99), min_size=1, max_size=4).map(
            lambda lengths: tuple(sorted(lengths))
        ),
        lr=POSITIVE,
        betas=st.tuples(SHARE, SHARE),
        frames_hz=st.none() | POSITIVE,
        critic_steps=st.integers(1, 9),
        gan=st.sampled_from(["wgan-gp", "log"]),
        lambdas=st.tuples(POSITIVE, POSITIVE, POSITIVE),
        validate_every=st.integers(1, 9),
        augment=st.booleans(),
        clip_grad=st.none() | POSITIVE,
    )


RECIPES = st.builds(
    Recipe,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True),
    corpus=components(),
    target=st.builds(
        Target,
        dims=st.sets(WORD, min_size=1, max_size=3).map(tuple),
        step_hz=POSITIVE.filter(lambda hz: hz <= MOST_HZ),
        shuffle=st.booleans(),
    ),
    modalities=st.dictionaries(
        WORD,
        st.builds(
            Modality,
            reader=components(),
            encoder=components(),
            projector=components(),
            quadrant=components(),
            degradation=st.none() | components(),
            source=st.none() | TEXT,
        ),
        min_size=1,
        max_size=2,
    ),
    stages=st.tuples(stages("first")) | st.tuples(stages("first"), stages("second")),
    fusion=components().filter(lambda component: component.name != "none"),
    temporal=components(),
    head=components(),
    split=st.builds(
        Split, folds=st.integers(3, 9), fold=st.integers(0, 2), validation=SOME, seed=st.integers(0, 99)
    ),
    train=st.builds(
        Train,
        seed=st.integers(0, 2**40),
        precision=st.sampled_from(["auto", "float32", "bf16"]),
        presence_dropout=SHARE,
        weighting=st.sampled_from(["inverse", "literal", "none"]),
    ),
    evaluation=st.builds(
        Evaluation, states=st.sampled_from(["last", "carry"]), steps=st.none() | st.integers(1, 99)
    ),
    output=st.builds(Output, predictions=st.sampled_from(["csv", "parquet"])),
    preset=st.just("default"),
)


@given(RECIPES)
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
def test_any_recipe_survives_its_own_yaml(tmp_path: Path, recipe: Recipe) -> None:
    file = tmp_path / "written.yaml"
    file.write_text(recipe.to_yaml(), encoding="utf-8")
    assert load(file) == recipe


@pytest.mark.parametrize("preset", ["default", "a", "c", "table11"])
@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_bundled_recipe_survives_with_its_preset_resolved(
    tmp_path: Path, name: str, preset: str
) -> None:
    recipe = load(name, [f"preset={preset}"])
    file = tmp_path / "resolved.yaml"
    file.write_text(recipe.to_yaml(), encoding="utf-8")
    again = load(file)
    assert again == recipe
    assert again.files == (str(file),)
    assert "extends" not in recipe.to_yaml()


def test_components_are_walked_with_their_kinds() -> None:
    recipe = load("demo")
    walked = [(kind.value, component.path) for kind, component in recipe.components()]
    assert walked == [
        ("corpus", "corpus"),
        ("reader", "modalities.face.reader"),
        ("degradation", "modalities.face.degradation"),
        ("degradation", "modalities.face.damage"),
        ("encoder", "modalities.face.encoder"),
        ("quadrant", "modalities.face.quadrant"),
        ("projector", "modalities.face.projector"),
        ("reader", "modalities.voice.reader"),
        ("degradation", "modalities.voice.degradation"),
        ("degradation", "modalities.voice.damage"),
        ("encoder", "modalities.voice.encoder"),
        ("quadrant", "modalities.voice.quadrant"),
        ("projector", "modalities.voice.projector"),
        ("fusion", "fusion"),
        ("temporal", "temporal"),
        ("head", "head"),
        *((("loss", f"stages.{i}.loss")) for i in range(len(recipe.stages))),
    ]
    for kind, component in recipe.components():
        assert component_kind(tuple(component.path.split("."))) is kind


def test_component_kind_of_other_paths() -> None:
    assert component_kind(("stages", "latent", "loss")) is Kind.LOSS
    assert component_kind(("target",)) is None
    assert component_kind(("modalities", "face")) is None
    assert component_kind(("modalities", "face", "source")) is None
