"""What a few bytes of a recipe may bring: expansions, sizes, depths and lists of faults are bounded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fusekit.data.corpora.demo import DemoCorpus
from fusekit.errors import RecipeError
from fusekit.recipe.expansion import DEEPEST, LARGEST
from fusekit.recipe.faults import SHOWN
from fusekit.recipe.load import load
from fusekit.recipe.nodes import LONGEST
from fusekit.recipe.study import load_study

HEAD = ["corpus: {name: demo}", "target: {dims: [valence], step_hz: 1}"]


def refused(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "r.yaml"
    file.write_text("\n".join([*HEAD, *lines]))
    begin = time.monotonic()
    with pytest.raises(RecipeError) as caught:
        load(file)
    assert time.monotonic() - begin < 15
    assert len(str(caught.value)) < 20_000
    return str(caught.value)


@pytest.mark.parametrize(
    ("first", "next_"),
    [
        ("x0: aaaaaaaa", "x{i}: '${{x{j}}}${{x{j}}}'"),
        ("x0: ''", "x{i}: '${{x{j}}}${{x{j}}}'"),
        ("x0: {a: b}", "x{i}: {{a: '${{x{j}}}', b: '${{x{j}}}'}}"),
        ("x0: [a]", "x{i}: ['${{x{j}[0]}}${{x{j}[0]}}']"),
        ("m:\n  x0: aaaa", "  x{i}: '${{.x{j}}}${{..m.x{j}}}'"),
    ],
    ids=["strings", "empty", "mappings", "lists", "relative"],
)
@pytest.mark.parametrize("levels", [12, 60])
def test_values_that_double_are_refused(tmp_path: Path, first: str, next_: str, levels: int) -> None:
    lines = [next_.format(i=i, j=i - 1) for i in range(1, levels + 1)]
    said = refused(tmp_path, first, *lines)
    if levels == 60 or first == "x0: aaaaaaaa":
        assert f"stands for more than {LARGEST:,} characters" in said


def test_a_long_chain_is_refused_and_a_short_one_is_not(tmp_path: Path) -> None:
    lines = [f"x{i}: '${{x{i - 1}}}'" for i in range(1, 3000)]
    assert f"x{DEEPEST + 1}: '${{x{DEEPEST}}}' leads through more than {DEEPEST} others" in refused(
        tmp_path, "x0: a", *lines
    )
    assert "others" not in refused(tmp_path, "x0: a", *lines[:40])


def test_circles_are_still_told_as_circles(tmp_path: Path) -> None:
    assert "x: ${y}: leads back to itself" in refused(tmp_path, "x: '${y}'", "y: '${x}'")


def test_a_file_that_no_recipe_needs_is_not_parsed(tmp_path: Path) -> None:
    text = "x: [" + "a," * LONGEST + "]"
    assert f"is longer than {LONGEST:,} bytes" in refused(tmp_path, text)
    assert "nested too deeply" in refused(tmp_path, "x: " + "[" * 5000)


def test_a_message_lists_the_first_faults_only(tmp_path: Path) -> None:
    said = refused(tmp_path, *(f"k{i}: 1" for i in range(1000))).splitlines()
    assert len(said) == SHOWN + 2
    assert said[-1] == f"  and {1002 - SHOWN} more"


def test_a_study_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"models: \xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_study(tmp_path / "s.yaml")


PLAIN = """\
corpus: {name: demo}
target: {dims: [valence], step_hz: 1}
modalities:
  face: {reader: {name: face-video}, encoder: denoising-generator, projector: conv-pyramid}
stages:
  - {name: whole, objective: supervised, epochs: 2, batch_size: 4}
"""


@pytest.mark.parametrize(
    ("was", "is_", "said"),
    [
        ("[valence]", "[clip, split]", "'clip' is a column of the predictions table"),
        ("[valence]", "[valence_true]", "'valence_true' is a column of the predictions table"),
        ("[valence]", "[gate_face]", "'gate_face' is a column of the predictions table"),
        ("[valence]", f"[{'v' * 300}]", "is too long: 60 letters at most"),
        ("face:", f"{'f' * 300}:", "is too long: 60 letters at most"),
        ("name: whole", f"name: {'w' * 300}", "is too long: 60 letters at most"),
        ("corpus:", f"name: {'r' * 300}\ncorpus:", "is too long to name a folder"),
        ("step_hz: 1", "step_hz: 1.0e+12", "must be at most 10,000, found 1e+12"),
    ],
)
def test_names_and_numbers_have_bounds(tmp_path: Path, was: str, is_: str, said: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(PLAIN)
    load(file)
    file.write_text(PLAIN.replace(was, is_))
    with pytest.raises(RecipeError) as caught:
        load(file)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "args", [{"subjects": 10**9}, {"seconds": 1e12}, {"subjects": 5000, "seconds": 3600}]
)
def test_a_demo_corpus_is_of_a_size_that_can_be_made(args: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match="is more than is made here"):
        DemoCorpus(**args)  # type: ignore[arg-type]


def test_a_damage_without_a_name_is_told(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(PLAIN.replace("  face: {", "  face: {damage: {}, "))
    with pytest.raises(RecipeError, match=r"modalities\.face\.damage: needs a `name`, as in damage: "):
        load(file)
