"""Tables as CSV, LaTeX, HTML and on a terminal: the same digits, escapes, columns that add up."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from paper_study import write_study
from rich.console import Console

from fusekit.errors import DataError, RunError
from fusekit.study.paper.exports import paper_tables, print_table, to_csv, to_html, to_latex, write_tables
from fusekit.study.paper.layout import Cell, Column, PaperTable, Row, make_table
from fusekit.study.paper.results import Results, load_results
from fusekit.study.table import read_table

STEMS = [
    "table01-02", "table03-04", "table05-06", "table07-08", "table09-10", "table11", "table12-13",
    "comparisons-models", "comparisons-orderings",
]  # fmt: skip


@pytest.fixture(scope="module", params=[1, 2], ids=["one-seed", "two-seeds"])
def results(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Results:
    folder = tmp_path_factory.mktemp("exports") / "study"
    return load_results(write_study(folder, seeds=request.param, leave="Au-De"))


@pytest.fixture(scope="module")
def tables(results: Results) -> list[PaperTable]:
    return paper_tables(results, printed=True)


@pytest.fixture
def small() -> PaperTable:
    columns = (
        Column(("Model", ""), label=True),
        Column(("RMSE ↓", "VAL"), better="low"),
        Column(("RMSE ↓", "ARO"), better="low"),
        Column(("n", "")),
    )
    rows = [
        Row("ours <1 %", (Cell("A_&_B"), Cell("0.20", "0.01"), Cell("-0.50"), Cell("1234567"))),
        Row("ours <1 %", (Cell(r"C\D"), Cell("0.30", "0.02"), Cell(), Cell("12"))),
        Row("theirs", (Cell("$#{}~^"), Cell("0.4"), Cell("0.5"), Cell())),
    ]
    return make_table((3, 4), "table03-04", "50 % & <b>more</b>", columns, rows, ("± over seeds_1",))


class Cells(HTMLParser):
    """Rows of (tag, attributes, text) of a fragment's table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[list]] = []
        self.opened: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.opened.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([tag, dict(attrs), ""])

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag  # closed in order

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.opened):
            self.rows[-1][-1][2] += data


def columns_of(latex_row: str) -> int:
    """Columns that a row of a tabular fills."""
    cells = re.split(r"(?<!\\)&", latex_row)
    return sum(int(m[1]) if (m := re.search(r"\\multicolumn\{(\d+)\}", cell)) else 1 for cell in cells)


def test_csv_by_hand(small: PaperTable) -> None:
    assert to_csv(small).splitlines() == [
        "section,Model,RMSE VAL,RMSE VAL sd,RMSE ARO,n",
        "ours <1 %,A_&_B,0.20,0.01,-0.50,1234567",
        "ours <1 %,C\\D,0.30,0.02,,12",
        "theirs,$#{}~^,0.4,,0.5,",
    ]


def test_latex_by_hand(small: PaperTable) -> None:
    text = to_latex(small)
    lines = text.splitlines()
    assert (
        r"\caption{Tables 3-4. 50 \% \& \textless{}b\textgreater{}more\textless{}/b\textgreater{}}" in lines
    )
    assert r"\begin{tabular}{lrrr}" in lines
    assert r"Model & \multicolumn{2}{c}{RMSE $\downarrow$} & n \\" in lines
    assert r"\cmidrule(lr){2-3}" in lines
    assert r" & VAL & ARO &  \\" in lines
    assert r"\multicolumn{4}{l}{\emph{ours \textless{}1 \%}} \\" in lines
    assert r"A\_\&\_B & \textbf{0.20 $\pm$ 0.01} & $-$0.50 & 1,234,567 \\" in lines
    assert r"C\textbackslash{}D & 0.30 $\pm$ 0.02 & -- & 12 \\" in lines
    assert r"\$\#\{\}\textasciitilde{}\textasciicircum{} & 0.4 & 0.5 & -- \\" in lines
    assert r"$\pm$ over seeds\_1\par" in lines


def test_html_by_hand(small: PaperTable) -> None:
    text = to_html(small)
    assert text.startswith('<table class="paper-table"')
    assert "<caption>Tables 3-4. 50 % &amp; &lt;b&gt;more&lt;/b&gt;</caption>" in text
    assert '<td data-sort="0.20"><strong>0.20 ± 0.01</strong></td>' in text
    assert '<td data-sort="1234567">1,234,567</td>' in text
    assert "<td>-</td>" in text
    assert '<ul class="paper-notes"><li>± over seeds_1</li></ul>' in text


def test_csv_comes_back_as_it_is_shown(tables: list[PaperTable], tmp_path: Path) -> None:
    for table in tables:
        rows = list(csv.reader(io.StringIO(to_csv(table))))
        assert len({len(row) for row in rows}) == 1
        assert len(set(rows[0])) == len(rows[0])
        assert len(rows) == 1 + len(table.rows)
        for line, row in zip(rows[1:], table.rows, strict=True):
            named = dict(zip(rows[0], line, strict=True))
            assert named["section"] == row.section
            for column, cell in zip(table.columns, row.cells, strict=True):
                name = column.name.replace(" ↓", "").replace(" ↑", "")
                assert named[name] == cell.text
                assert named.get(f"{name} sd", "") == cell.sd
        path = tmp_path / f"{table.stem}.csv"
        path.write_text(to_csv(table))
        assert len(next(iter(read_table(path).values()))) == len(table.rows)


def test_latex_rows_fill_all_columns_and_braces_close(tables: list[PaperTable]) -> None:
    for table in tables:
        text = to_latex(table)
        rows = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r" \\")]
        assert {columns_of(row) for row in rows} == {len(table.columns)}
        bare = re.sub(r"\\[{}]", "", text)
        assert bare.count("{") == bare.count("}")
        assert text.isascii()
        assert text.count(r"\begin{") == text.count(r"\end{")
        for row in table.rows:
            for cell in row.cells:
                assert cell.number is None or len(cell.text) > 4 or cell.text.lstrip("-") in text


def test_html_rows_fill_all_columns_with_the_same_numbers(tables: list[PaperTable]) -> None:
    for table in tables:
        parsed = Cells(to_html(table))
        assert {sum(int(a.get("colspan", 1)) for _, a, _ in row) for row in parsed.rows} == {
            len(table.columns)
        }
        body = [row for row in parsed.rows if row[0][0] == "td"]
        assert len(body) == len(table.rows)
        for found, row in zip(body, table.rows, strict=True):
            for (_, attributes, text), cell in zip(found, row.cells, strict=True):
                if "data-sort" in attributes:
                    assert attributes["data-sort"] == cell.text
                    assert text.replace(",", "").startswith(cell.text)
                    assert text.endswith(cell.sd)


@pytest.mark.parametrize("width", [60, 100, 400])
def test_terminal_shows_every_number(tables: list[PaperTable], width: int) -> None:
    for table in tables:
        out = io.StringIO()
        print_table(table, Console(file=out, width=width))
        shown = out.getvalue()
        assert "…" not in shown or width == 60
        if width > 60:
            for row in table.rows:
                for cell in row.cells:
                    text = f"{cell.text} ± {cell.sd}" if cell.sd else cell.text
                    assert text in shown.replace(",", "")


def test_bold_is_the_same_in_all(tables: list[PaperTable]) -> None:
    for table in tables:
        best = sum(cell.best for row in table.rows for cell in row.cells)
        assert to_latex(table).count(r"\textbf{") == to_html(table).count("<strong>") == best


def test_write_tables(results: Results, tmp_path: Path) -> None:
    written = write_tables(results, tmp_path)
    assert [table.stem for table in written] == STEMS
    names = {f"{stem}{suffix}" for stem in STEMS for suffix in (".csv", ".tex", ".html")}
    assert {path.name for path in (tmp_path / "tables").iterdir()} == names
    for table in written:
        assert (tmp_path / "tables" / f"{table.stem}.csv").read_text() == to_csv(table)
    before = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    write_tables(results, tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()} == before
    assert not any("as printed" in row.section for table in written[:6] for row in table.rows)


def test_complexity_is_read_from_the_study(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", folds=1)
    assert "Not measured." in paper_tables(load_results(study))[5].notes
    measured = {"Vi": {"built": {"inference": {"parameters": 2291970}}}}
    (study / "complexity.json").write_text(json.dumps(measured))
    table = paper_tables(load_results(study))[5]
    assert table.cell("as built", "Vi", "Parameters Inference").text == "2291970"
    (study / "complexity.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        paper_tables(load_results(study))


def test_a_folder_that_cannot_be_written(results: Results, tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file in the way")
    with pytest.raises(DataError, match="cannot write"):
        write_tables(results, tmp_path)


def test_a_study_of_other_models_has_no_tables_of_dashes(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", folds=1)
    plan = json.loads((folder / "study.json").read_text())
    names = {m["name"]: f"x{i}" for i, m in enumerate(plan["models"])}
    for model in plan["models"]:
        (folder / "runs" / f"{model['name'].lower()}-f0-s0").rename(
            folder / "runs" / f"{names[model['name']]}-f0-s0"
        )
        model["name"] = names[model["name"]]
    (folder / "study.json").write_text(json.dumps(plan))
    stems = [t.stem for t in paper_tables(load_results(folder), printed=True)]
    assert stems == ["table11", "comparisons-models"]


def test_rows_of_models_that_a_study_has_not_are_left_out(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", folds=1)
    plan = json.loads((folder / "study.json").read_text())
    plan["models"] = [m for m in plan["models"] if m["name"] in ("Au-De", "Au-DeS")]
    (folder / "study.json").write_text(json.dumps(plan))
    table = paper_tables(load_results(folder), printed=True)[0]
    assert {row.cells[0].text for row in table.rows if "printed" not in row.section} == {"Au-De", "Au-DeS"}
    assert {row.cells[0].text for row in table.rows if "printed" in row.section} >= {"Vi", "Vi-DeS"}
    assert "Vi is not part of this study." in table.notes
