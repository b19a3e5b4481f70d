"""`key.path=value`: the parser against any key and value, and how overrides are laid over a recipe."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit.errors import RecipeError
from fusekit.recipe.faults import Fault
from fusekit.recipe.load import load
from fusekit.recipe.merge import merge, parse_overrides
from fusekit.recipe.nodes import Node, dump, parse
from fusekit.recipe.schema import Component

KEYS = st.lists(st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), min_size=1, max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="ascii"), max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), inner, max_size=3),
    ),
    max_leaves=6,
)


def at(tree: Node | None, keys: list[str]) -> Any:
    assert tree is not None
    data = tree.plain()
    for key in keys:
        data = data[key]
    return data


@given(KEYS, VALUES)
def test_any_plain_value_arrives_at_its_key(keys: list[str], value: Any) -> None:
    faults: list[Fault] = []
    text = ".".join(keys) + "=" + dump(value).removesuffix("\n...\n")
    tree = parse_overrides([text], faults)
    assert faults == []
    assert at(tree, keys) == value
    assert type(at(tree, keys)) is type(value)


@given(VALUES)
def test_dump_and_parse_are_inverse(value: Any) -> None:
    faults: list[Fault] = []
    node = parse(dump(value), "x.yaml", faults)
    assert faults == []
    assert node is not None
    assert node.plain() == value


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_breaks_the_parser(key: str, value: str) -> None:
    faults: list[Fault] = []
    tree = parse_overrides([f"{key}={value}"], faults)
    assert (tree is None) == bool(faults)  # a tree or a fault that names the override, never an exception
    for fault in faults:
        assert fault.where == f"override '{key}={value}'"


@given(KEYS, VALUES, VALUES)
def test_the_later_scalar_wins(keys: list[str], first: Any, second: Any) -> None:
    if (
        isinstance(first, dict)
        or isinstance(second, dict)
        or keys[0] in ("corpus", "fusion", "temporal", "head")
    ):
        return  # mappings are merged, components keep what belongs to the same name
    texts = [".".join(keys) + "=" + dump(v).removesuffix("\n...\n") for v in (first, second)]
    faults: list[Fault] = []
    assert at(parse_overrides(texts, faults), keys) == second


@given(st.dictionaries(st.sampled_from("abc"), VALUES), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_merging_keeps_every_key_and_prefers_the_upper(below: dict[str, Any], above: dict[str, Any]) -> None:
    faults: list[Fault] = []
    nodes = [Node(None, "x", 1).replace(data) for data in (below, above)]
    merged = merge(nodes[0], nodes[1], faults).plain()
    if not faults:  # a key that a list does not have
        assert merged.keys() == below.keys() | above.keys()
        for key in below.keys() - above.keys():
            assert merged[key] == below[key]
        for key, value in above.items():
            if not isinstance(value, dict) or not isinstance(below.get(key), dict | list):
                assert merged[key] == value


@pytest.mark.parametrize(
    "text", ["x", "=3", "a..b=3", ".a=3", "a.=3", "a b=3", "a[x]=3", "--seed=3", "a=[1", "a={b: [}", "a='"]
)
def test_what_is_no_override_is_a_fault(text: str) -> None:
    faults: list[Fault] = []
    tree = parse_overrides([text], faults)
    if text == "--seed=3":  # reads like a key, and is refused as an unknown one when laid over a recipe
        assert at(tree, ["--seed"]) == 3
        return
    assert tree is None
    assert str(faults[0]).startswith(f"override '{text}': ")


def test_the_message_shows_how_to_write_one() -> None:
    faults: list[Fault] = []
    parse_overrides(["train.seed 3"], faults)
    assert str(faults[0]) == "override 'train.seed 3': must read key.path=value, as in train.seed=1"


# ---------------------------------------------------------------- laid over a recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "r.yaml"
    file.write_text("""\
corpus: {name: demo, seed: 3}
target: {dims: [valence, arousal], step_hz: 25}
modalities:
  voice: {reader: mel-spectrogram, encoder: denoising-generator, projector: conv-pyramid}
temporal: {name: luong-lstm, memory: 8}
stages:
  - {name: latent, objective: adversarial, epochs: 3, batch_size: 8}
  - {name: sequence, objective: supervised, epochs: 2, batch_size: 4}
""")
    return file


def test_a_bare_word_names_a_component_and_drops_what_belonged_to_another(recipe: Path) -> None:
    assert load(recipe, ["temporal=lstm"]).temporal == Component("lstm")
    assert load(recipe, ["temporal.name=lstm"]).temporal == Component("lstm")
    assert load(recipe, ["temporal=luong-lstm"]).temporal == Component("luong-lstm", {"memory": 8})
    assert load(recipe, ["temporal={name: lstm, dim: 4}"]).temporal == Component("lstm", {"dim": 4})


def test_arguments_may_come_before_or_after_the_name(recipe: Path) -> None:
    expected = Component("ravdess", {"root": "/data"})
    assert load(recipe, ["corpus.root=/data", "corpus.name=ravdess"]).corpus == expected
    assert load(recipe, ["corpus=ravdess", "corpus.root=/data"]).corpus == expected


def test_an_argument_of_a_component_written_as_a_bare_word(recipe: Path) -> None:
    reader = load(recipe, ["modalities.voice.reader.mels=64"]).modalities["voice"].reader
    assert reader == Component("mel-spectrogram", {"mels": 64})
    assert reader.marks == {"mels": "override 'modalities.voice.reader.mels=64'"}


@pytest.mark.parametrize("key", ["stages.1.epochs", "stages[1].epochs", "stages.sequence.epochs"])
def test_an_entry_of_a_list_by_number_or_name(recipe: Path, key: str) -> None:
    assert [stage.epochs for stage in load(recipe, [f"{key}=7"]).stages] == [3, 7]


def test_a_modality_can_be_added(recipe: Path) -> None:
    third = "modalities.ecg={reader: ecg, encoder: ecg-resnet, projector: linear}"
    assert list(load(recipe, [third, "fusion=concat"]).modalities) == ["voice", "ecg"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trian.seed=1", "override 'trian.seed=1': trian: unknown key. Did you mean 'train'?"),
        ("train.sed=1", "override 'train.sed=1': train.sed: unknown key. Did you mean 'seed'?"),
        ("extends=demo", "override 'extends=demo': extends: unknown key."),
        (
            "stages.sequnce.epochs=1",
            "stages.sequnce: no such entry in a list of 2 entries: latent, sequence."
            " Did you mean 'sequence'?",
        ),
        ("stages.2.epochs=1", "stages.2: no such entry in a list of 2 entries: latent, sequence."),
        ("target.step_hz.x=1", "target.step_hz: expected float, found a mapping"),
        ("corpus=[demo]", "corpus: needs a `name`, as in corpus: {name: demo}; found ['demo']"),
        ("--seed=1", "--seed: unknown key."),
    ],
)
def test_an_override_that_fits_nowhere_is_an_error(recipe: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(recipe, [override])
    assert message in str(caught.value)
