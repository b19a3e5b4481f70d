"""Arguments of components against the signatures of their classes; values against annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from fusekit.errors import RecipeError
from fusekit.recipe.arguments import anchored, check_arguments, given, parameters
from fusekit.recipe.hints import MismatchError, convert, describe
from fusekit.recipe.schema import Component

if TYPE_CHECKING:
    from torch import Tensor


class Part:
    def __init__(
        self,
        in_dims: Tensor,  # cannot be resolved at run time, and need not be
        *,
        root: str,
        dim: int = 512,
        gate: Literal["scalar", "vector"] = "scalar",
        rate: float = 1.0,
        weights: str | None = None,
        skip: bool = False,
        kernel: tuple[int, ...] = (3, 3),
        betas: tuple[float, float] = (0.5, 0.9),
        extra: dict[str, float] | None = None,
        path: Path | None = None,
    ) -> None: ...


class Bare:
    pass


class Child(Part):
    pass


def faults(cls: type = Part, **args: Any) -> list[str]:
    marks = {key: f"r.yaml:{i + 2}" for i, key in enumerate(args)}
    return [str(f) for f in check_arguments(Component("part", args, "fusion", "r.yaml", 1, marks), cls)]


def test_sound_arguments() -> None:
    assert faults(root="x") == []
    assert (
        faults(
            root="x",
            dim=3,
            gate="vector",
            rate=2,
            weights=None,
            skip=True,
            kernel=[1, 2, 3],
            betas=[0, 0.5],
            extra={"a": 1},
            path="anything",
        )
        == []
    )
    assert faults(Child, root="x", dim=3) == []
    assert faults(Bare) == []


def test_every_fault_of_a_component_at_once() -> None:
    assert faults(gaet="vector", dim=True, in_dims=3) == [
        "r.yaml:2: fusion.gaet: 'part' has no argument 'gaet'. Did you mean 'gate'?"
        " Arguments: root, dim, gate, rate, weights, skip, kernel, betas, extra, path",
        "r.yaml:3: fusion.dim: expected int, found true",
        "r.yaml:4: fusion.in_dims: 'in_dims' of 'part' is worked out from the other parts,"
        " a recipe does not set it",
        "r.yaml:1: fusion.root: missing; 'part' cannot do without it",
    ]


def test_an_argument_of_a_component_that_takes_none() -> None:
    assert faults(Bare, dim=3) == ["r.yaml:2: fusion.dim: 'part' has no argument 'dim'. It takes none"]


def test_parameters_are_the_keyword_only_ones_with_resolved_annotations() -> None:
    found = parameters(Part)
    assert list(found)[:3] == ["root", "dim", "gate"]
    assert found["dim"].annotation is int
    assert describe(found["gate"].annotation) == "scalar or vector"
    assert parameters(Bare) == {}


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        ([1, 2], tuple[int, ...], (1, 2)),
        ((1, 2), list[int], [1, 2]),
        ([], tuple[int, ...], ()),
        ([1, 2], tuple[float, float], (1.0, 2.0)),
        (None, int | None, None),
        (3, int | float, 3),
        (3.5, int | float, 3.5),
        (["a"], Sequence[str], ["a"]),
        ({"a": 1}, Mapping[str, float], {"a": 1.0}),
        ({"a": [1]}, dict[str, list[int]], {"a": [1]}),
        ([1, "a"], tuple, (1, "a")),
        (1, Literal[1, 2], 1),
        ("x/../y", Path, Path("x/../y")),
        ("~/x", Path | None, Path.home() / "x"),
        (None, Path | None, None),
        (["x"], tuple[Path, ...], (Path("x"),)),
        ("x", Any, "x"),
    ],
)
def test_values_that_fit(value: Any, hint: Any, expected: Any) -> None:
    found = convert(value, hint)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        (True, int, "expected int, found true"),
        (1, bool, "expected true or false, found 1"),
        (1.0, int, "expected int, found 1.0"),
        (True, float, "expected float, found true"),
        ("1", float, "expected float, found '1'"),
        (float("nan"), float, "expected float, found nan"),
        (3, str, "expected string, found 3"),
        (3, Path, "expected path, found 3"),
        (None, int, "expected int, found null"),
        ("x", int | None, "expected int, found 'x'"),
        ("x", int | bool, "expected int or true or false, found 'x'"),
        (
            "vectr",
            Literal["scalar", "vector"],
            "'vectr' is not one of scalar, vector. Did you mean 'vector'?",
        ),
        (True, Literal[1, 2], "true is not one of 1, 2"),
        (8, tuple[int, ...], "expected list of int, found 8; write [8]"),
        ([1, "a"], list[int], "entry 2: expected int, found 'a'"),
        ([1], tuple[float, float], "expected list of 2 float, found [1]"),
        ({"a": "b"}, dict[str, float], "'a': expected float, found 'b'"),
        ([1], dict[str, float], "expected mapping, found [1]"),
        ({"a": 1}, list[int], "expected list of int, found a mapping"),
        ("x" * 99, int, f"expected int, found '{'x' * 56}..."),
    ],
)
def test_values_that_do_not_fit(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(MismatchError) as caught:
        convert(value, hint)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "int"),
        (str | None, "string or null"),
        (tuple[int, ...], "list of int"),
        (tuple[float, float, float], "list of 3 float"),
        (dict[str, int], "mapping"),
        (list, "list"),
        (Literal["a", "b"] | None, "a or b or null"),
        (Path | None, "path or null"),
    ],
)
def test_annotations_in_words(hint: Any, words: str) -> None:
    assert describe(hint) == words


class Filed:
    def __init__(
        self,
        *,
        root: Path,
        weights: Path | None = None,
        roots: tuple[Path, ...] = (),
        by_name: dict[str, Path] | None = None,
        kernel: tuple[int, ...] = (3, 3),
        name: str = "",
    ) -> None: ...


FILED = {
    "root": "a/../b",
    "weights": None,
    "roots": ["c", "/d"],
    "by_name": {"e": "~/e"},
    "kernel": [1],
    "name": "x/y",
}


def test_a_class_is_called_with_paths_and_all_else_as_the_recipe_has_it() -> None:
    assert given(Component("filed", FILED), Filed) == {
        "root": Path("a/../b"),
        "weights": None,
        "roots": (Path("c"), Path("/d")),
        "by_name": {"e": Path.home() / "e"},
        "kernel": [1],
        "name": "x/y",
    }
    with pytest.raises(RecipeError, match="^root: expected path, found 3$"):
        given(Component("filed", {"root": 3}), Filed)


def test_anchored_paths_are_absolute_and_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = Component("filed", FILED, "corpus", "r.yaml", 3)
    found = anchored(plain, Filed)
    assert found.args == FILED | {
        "root": f"{tmp_path}/a/../b",  # a link may lie on the way: `..` stays
        "roots": [f"{tmp_path}/c", "/d"],
        "by_name": {"e": str(Path.home() / "e")},
    }
    assert (found.name, found.path, found.where) == ("filed", "corpus", "r.yaml:3")
    assert plain.args == FILED
    monkeypatch.chdir("/")
    assert anchored(found, Filed) == found
