"""Tables at 80 columns: whatever the number of columns and the length of names, nothing vanishes."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from fusekit.study.paper.exports import print_table as print_paper
from fusekit.study.paper.layout import Cell, Column, PaperTable, Row
from fusekit.study.summary import show_metrics
from fusekit.study.terminal import print_table

LONG = "a_dimension_" + "b" * 48
DIMS = ("valence", "arousal", "dominance", "expectation", "liking", "familiarity", "intensity")


def terminal(width: int = 80) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, highlight=False), out


def shown(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int = 80) -> str:
    console, out = terminal(width)
    print_table(columns, rows, console=console)
    return out.getvalue()


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def holds(text: str, width: int, *wanted: str) -> None:
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in wanted:
        assert squeezed(word) in squeezed(text), word


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("count", [1, 6, 12, 30])
def test_columns_of_numbers_come_in_parts(width: int, count: int) -> None:
    columns = ["clip", *(f"dimension {k}" for k in range(count))]
    rows = [[f"clip {i}", *(f"{i}.{k:02d}5" for k in range(count))] for i in range(3)]
    text = shown(columns, rows, width)
    assert max(map(len, text.splitlines())) <= width
    words = set(text.split())
    assert words >= {cell for row in rows for cell in row[1:]}
    numbers = [int(n) for n in re.findall(r"(?<=dimension)[ \n]*(\d+)", text)] or [
        int(w) for w in words if w.isdigit()
    ]
    assert set(range(count)) <= {*numbers, *(int(w) for w in words if w.isdigit())}
    for part in text.split("clip 0")[1:]:
        assert "clip 2" in part  # every part has all rows


def test_long_words_are_folded_and_whole() -> None:
    rows = [["corpus", f"n{LONG}", f"s{LONG} and more words", f"f{LONG}"], ["a", "b", "c", "d"]]
    text = shown(["kind", "name", "summary", "source"], rows)
    assert max(map(len, text.splitlines())) <= 80
    # Down each column the folded pieces are the word again.
    lines = [line for line in text.splitlines() if line.strip() and "─" not in line]
    start = [lines[0].index(head) for head in ("kind", "name", "summary", "source")]
    body = lines[1:-1]
    for k, cell in enumerate(rows[0]):
        end = start[k + 1] if k < 3 else None
        assert "".join(squeezed(line[start[k] : end]) for line in body) == squeezed(cell)


def test_names_are_no_markup_and_move_no_cursor() -> None:
    text = shown(["a[/b]", "\x1b[2J"], [["[red]x", "[/]\x9b"], ["日本語", "2"]])
    for word in ("a[/b]", r"\x1b[2J", "[red]x", r"[/]\x9b", "日本語"):
        assert word in text
    assert "\x1b" not in text


def test_an_empty_table_shows_its_head() -> None:
    assert "modality" in shown(["modality", "clips"], [])


def metrics(dims: Sequence[str]) -> dict[str, Any]:
    def scores(base: float) -> dict[str, Any]:
        return {
            metric: {d: base + 0.01 * k + 0.001 * m for k, d in enumerate((*dims, "mean"))}
            for m, metric in enumerate(("ccc", "rmse", "cor", "icc"))
        }

    return {
        "recipe": "[r]", "corpus": "c", "pooling": "p", "ddof": 0, "states": "last", "steps": 8,
        "validation": scores(0.5) | {"clips": 6, "subjects": 3, "n": 18},
        "baselines": {"ridge": {"validation": scores(0.3)}, "constant": {"validation": scores(0.1)}},
    }  # fmt: skip


@pytest.mark.parametrize("dims", [DIMS[:2], DIMS[:3], DIMS, (LONG, "valence"), ("v" * 9, LONG, "[red]")])
def test_scores_of_many_dimensions_are_all_there(dims: tuple[str, ...]) -> None:
    console, out = terminal()
    found = metrics(dims)
    show_metrics(found, console)
    text = out.getvalue()
    named = dims if dims != DIMS[:2] else ()
    folded = [
        piece for dim in named for piece in (dim[:40], dim[-10:])
    ]  # numbers stand beside the first line
    holds(text, 80, *folded, "[r]", "ridge", "constant", "CCC", "ICC")
    for scores in (found["validation"], *(b["validation"] for b in found["baselines"].values())):
        for metric in ("ccc", "rmse", "cor", "icc"):
            for value in scores[metric].values():
                assert f"{value:.3f}" in text


@pytest.mark.parametrize("name", ["gmu", LONG])
@pytest.mark.parametrize("dims", [DIMS[:2], DIMS])
def test_a_study_table_of_many_dimensions_is_all_there(name: str, dims: tuple[str, ...]) -> None:
    columns = (
        Column(("Model", ""), label=True),
        Column(("Modalities", ""), label=True),
        *(Column((metric, dim)) for metric in ("CCC", "RMSE") for dim in dims),
    )
    numbers = [f"0.{100 + k}" for k in range(2 * len(dims))]
    cells = [Cell(name), Cell("face, " + LONG), *(Cell(n, "0.012") for n in numbers)]
    console, out = terminal()
    table = PaperTable("t", "Title", "caption", columns, (Row("", tuple(cells)),), ("a [/note]",))
    print_paper(table, console)
    holds(out.getvalue(), 80, "a [/note]")
    text = squeezed(out.getvalue())
    for number in numbers:
        assert f"{number}±0.012" in text
    for dim in dims:
        assert dim in text
