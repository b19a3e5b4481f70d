"""References by kind and name: duplicates, unknown names, loading."""

import sys
from pathlib import Path

import pytest

from fusekit.errors import FusekitError, UnknownComponentError
from fusekit.registry import Kind, Registry, nearest


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add("fusion", "gmu", "fractions:Fraction", "a gate")
    registry.add("fusion", "concat", "decimal:Decimal", "side by side")
    registry.add("corpus", "demo", "fractions:Fraction", "made up")
    return registry


def test_unknown_name_says_where_nearest_known_and_next_step(registry: Registry) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        registry.get("fusion", "gmuu", "recipes/av.yaml:12: fusion")
    assert str(caught.value) == (
        "recipes/av.yaml:12: fusion: no fusion named 'gmuu'. Did you mean 'gmu'?\n"
        "  known: concat, gmu\n"
        "  `fusekit list --kind fusion` shows what is installed, `fusekit doctor` what failed."
    )


def test_unknown_name_of_a_kind_without_entries(registry: Registry) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        registry.get("loss", "afc")
    assert str(caught.value).startswith("no loss named 'afc'.\n  known: none\n")


def test_the_same_reference_twice_changes_nothing(registry: Registry) -> None:
    registry.add("fusion", "gmu", "fractions:Fraction", "another text", "someone")
    assert registry.get("fusion", "gmu").source == "fusekit"
    assert len(registry.entries()) == 3


def test_another_reference_under_a_taken_name_names_both_owners(registry: Registry) -> None:
    with pytest.raises(ValueError) as caught:
        registry.add("fusion", "gmu", "my.module:GMU", "mine", "my-plugin 1.0")
    assert str(caught.value) == (
        "fusion 'gmu' is offered twice: by fusekit (fractions:Fraction) and by my-plugin 1.0 (my.module:GMU)"
    )


def test_the_same_name_may_be_used_by_several_kinds(registry: Registry) -> None:
    registry.add("quadrant", "gmu", "decimal:Decimal", "no clash")
    assert registry.get("quadrant", "gmu").ref == "decimal:Decimal"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (("fusoin", "x", "a:B", ""), "unknown kind 'fusoin'. Did you mean 'fusion'?"),
        (
            ("fusion", "My_Name", "a:B", ""),
            "fusion name 'My_Name' must be lower-case words joined by hyphens",
        ),
        (("fusion", "x", "a.B", ""), "fusion 'x': reference 'a.B' must read 'package.module:Attribute'"),
        (("fusion", "x", "a:os.system", ""), "must read 'package.module:Attribute'"),
    ],
)
def test_ill_formed_rows_are_refused(registry: Registry, row: tuple[str, str, str, str], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        registry.add(*row)
    assert text in str(caught.value)


def test_add_all_is_all_or_nothing(registry: Registry) -> None:
    before = registry.entries()
    rows = [("fusion", "new", "a:B", ""), ("fusion", "gmu", "a:Other", "")]
    with pytest.raises(ValueError, match="offered twice"):
        registry.add_all(rows, "someone")
    assert registry.entries() == before


def test_entries_follow_the_order_of_kinds_and_names(registry: Registry) -> None:
    assert [(e.kind, e.name) for e in registry.entries()] == [
        (Kind.CORPUS, "demo"),
        (Kind.FUSION, "concat"),
        (Kind.FUSION, "gmu"),
    ]
    assert [e.name for e in registry.entries("fusion")] == registry.names("fusion") == ["concat", "gmu"]


def test_a_reference_is_imported_only_when_loaded(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fk_lazy_module.py").write_text("class Late: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.add("head", "late", "fk_lazy_module:Late", "")
    entry = registry.get("head", "late")
    assert "fk_lazy_module" not in sys.modules
    assert registry.load(entry).__name__ == "Late"


@pytest.mark.parametrize("ref", ["no_such_module_here:A", "fractions:NoSuchClass"])
def test_a_reference_that_cannot_be_imported_says_which_and_why(registry: Registry, ref: str) -> None:
    registry.add("head", "broken", ref, "", "my-plugin 1.0")
    with pytest.raises(FusekitError) as caught:
        registry.load(registry.get("head", "broken"))
    assert str(caught.value).startswith(f"head 'broken' of my-plugin 1.0: cannot import {ref}: ")
    assert "`fusekit list --kind head`" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [("raise RuntimeError('boom')", "RuntimeError: boom"), ("raise SystemExit(0)", "SystemExit: 0")],
)
def test_a_module_that_raises_or_leaves_is_said_and_not_fatal(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    (tmp_path / "fk_raising_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.add("head", "raising", "fk_raising_module:Head", "", "my-plugin 1.0")
    with pytest.raises(FusekitError, match=f"cannot import fk_raising_module:Head: {says}\n"):
        registry.load(registry.get("head", "raising"))


def test_a_reference_to_something_else_than_a_class(registry: Registry) -> None:
    registry.add("head", "function", "math:sqrt", "")
    with pytest.raises(FusekitError, match="is not a class"):
        registry.load(registry.get("head", "function"))


def test_nearest_is_silent_when_nothing_is_close() -> None:
    assert nearest("temporl", ["temporal", "fusion"]) == " Did you mean 'temporal'?"
    assert nearest("xyz", ["temporal", "fusion"]) == ""
