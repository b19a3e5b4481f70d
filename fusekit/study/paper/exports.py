"""Tables as CSV, LaTeX, HTML and on a terminal: the same digits everywhere; and all of a study's at once."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fusekit.errors import printable
from fusekit.runs.files import read_json
from fusekit.study.paper.comparison_tables import comparison_tables
from fusekit.study.paper.layout import Cell, Column, PaperTable
from fusekit.study.paper.results import Results
from fusekit.study.paper.tables import AS_PRINTED, EIGHT, complexity, fusion, literature, single_modality
from fusekit.study.paper.threshold_tables import attention_fusion, attention_single, gate_fusion
from fusekit.study.table import guarded, write_bytes

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "Δ": r"$\Delta$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


def paper_tables(results: Results, printed: bool = False) -> list[PaperTable]:
    """Tables 1-13 in the paper's order, and the two of comparisons.

    A table in which a study has no number of its own, as it is of other models than the paper's, is left out.

    Args:
        results: the study's runs; Table 11 is read from `complexity.json` in its folder, where there is one.
        printed: the paper's rows beside ours in every table (Tables 12-13 always have them).

    Raises:
        RunError: `complexity.json` is damaged, or the runs of a fold do not have the same test steps.
    """
    path = results.folder / "complexity.json"
    measured = read_json(path) if path.is_file() else None
    tables = [
        single_modality(results, printed),
        attention_single(results, printed),
        fusion(results, printed),
        attention_fusion(results, printed),
        gate_fusion(results, printed),
        complexity(results, measured, printed),
        literature(results),
        *comparison_tables(results),
    ]
    absent = set(EIGHT) - {model.name for model in results.models}
    return [_without(table, absent) for table in tables if _is_ours(table)]


def _without(table: PaperTable, models: Collection[str]) -> PaperTable:
    """The table without our rows of these models, which its notes name; the paper's own stay."""
    rows = (r for r in table.rows if r.section.startswith(AS_PRINTED) or r.cells[0].text not in models)
    return replace(table, rows=tuple(rows))


def _is_ours(table: PaperTable) -> bool:
    """Whether something in it is the study's own, labels and dashes apart. (Table 11 may be all dashes.)"""
    own = (row for row in table.rows if not row.section.startswith(AS_PRINTED))
    cells = (
        cell for row in own for column, cell in zip(table.columns, row.cells, strict=True) if not column.label
    )
    return table.numbers == (11,) or any(cell.text for cell in cells)


def write_tables(results: Results, folder: Path, printed: bool = False) -> list[PaperTable]:
    """Write each of `paper_tables` as `folder/tables/<stem>.csv`, `.tex` and `.html`; return them.

    Raises:
        RunError: as `paper_tables`.
        DataError: a file cannot be written.
    """
    tables = paper_tables(results, printed)
    for table in tables:
        for suffix, text in ((".csv", to_csv(table)), (".tex", to_latex(table)), (".html", to_html(table))):
            write_bytes(folder / "tables" / f"{table.stem}{suffix}", text.encode())
    return tables


def to_csv(table: PaperTable) -> str:
    """One row per row of the table: its section, then each column, and `<column> sd` where it has deviations.

    Names of columns go without arrows; a dash is an empty cell.
    """
    with_sd = [any(row.cells[k].sd for row in table.rows) for k in range(len(table.columns))]
    head = ["section"]
    for column, sd in zip(table.columns, with_sd, strict=True):
        name = column.name.replace(" ↓", "").replace(" ↑", "")
        head += [name, f"{name} sd"] if sd else [name]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(guarded, head))
    for row in table.rows:
        cells = [row.section]
        for cell, sd in zip(row.cells, with_sd, strict=True):
            cells += [cell.text, cell.sd] if sd else [cell.text]
        writer.writerow(map(guarded, cells))
    return text.getvalue()


def to_latex(table: PaperTable) -> str:
    """A `table*` with booktabs, as wide as the page; best values bold, notes below."""
    columns = table.columns
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{_tex(_caption(table))}}}",
        rf"\label{{tab:{table.stem}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{''.join('l' if c.label else 'r' for c in columns)}}}",
        r"\toprule",
    ]
    for level in range(_levels(columns)):
        cells, rules, first = [], [], 1
        for text, width in _spans(columns, level):
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_tex(text)}}}" if width > 1 else _tex(text))
            if width > 1:
                rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
            first += width
        lines.append(" & ".join(cells) + r" \\")
        lines += ["".join(rules)] if rules else []
    sections = table.sections()
    for name, rows in sections:
        lines.append(r"\midrule")
        if len(sections) > 1:
            lines += [rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{_tex(name)}}}}} \\"]
        lines += [" & ".join(map(_tex_cell, row.cells, columns)) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}}", r"\par\smallskip\footnotesize"]
    lines += [_tex(note) + r"\par" for note in table.notes]
    return "\n".join([*lines, r"\end{table*}", ""])


def to_html(table: PaperTable) -> str:
    """A fragment: `<table class="paper-table">` and its notes, `<ul class="paper-notes">`.

    Cells with a number have it in `data-sort`; sections are bodies of their own (`<tr class="paper-section">`
    heads each where there are several), so that sorting stays within them.
    """
    out = [
        f'<table class="paper-table" id="{table.stem}">',
        f"<caption>{html.escape(_caption(table))}</caption>",
    ]
    out.append("<thead>")
    for level in range(_levels(table.columns)):
        heads = [
            f'<th colspan="{width}" scope="colgroup">{html.escape(text)}</th>'
            if width > 1
            else f'<th scope="col">{html.escape(text)}</th>'
            for text, width in _spans(table.columns, level)
        ]
        out.append(f"<tr>{''.join(heads)}</tr>")
    out.append("</thead>")
    sections = table.sections()
    for name, rows in sections:
        out.append("<tbody>")
        if len(sections) > 1:
            head = f'<th colspan="{len(table.columns)}" scope="rowgroup">{html.escape(name)}</th>'
            out.append(f'<tr class="paper-section">{head}</tr>')
        out += [f"<tr>{''.join(map(_html_cell, row.cells, table.columns))}</tr>" for row in rows]
        out.append("</tbody>")
    out.append("</table>")
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    out.append(f'<ul class="paper-notes">{notes}</ul>')
    return "\n".join(out) + "\n"


def print_table(table: PaperTable, console: Console | None = None) -> None:
    """Show a table on a terminal; one that is too wide comes in pieces, row labels in each."""
    console = console or Console()
    console.print(Text(_caption(table), style="bold"))
    for columns in _pieces(table, console.width):
        head = _rich(table, columns, console.width)
        head.add_row(*map(Text, _heads([table.columns[k] for k in columns])), style="bold")
        console.print(head)
        sections = table.sections()
        for name, rows in sections:
            if len(sections) > 1:
                console.print(Text(name, style="italic"))
            body = _rich(table, columns, console.width)
            for row in rows:
                cells = [row.cells[k] for k in columns]
                body.add_row(*(Text(_shown(cell), "bold" if cell.best else "") for cell in cells))
            console.print(body)
        console.print()
    for note in table.notes:
        console.print(Text(f"  {printable(note)}", "dim"))


def _pieces(table: PaperTable, width: int) -> list[list[int]]:
    """Columns that fit side by side, labels in each piece; what a lower head spans stays together."""
    labels = [k for k, column in enumerate(table.columns) if column.label]
    level = max(_levels(table.columns) - 2, 0)
    pieces: list[list[int]] = []
    first = 0
    for _, span in _spans(table.columns, level):
        group = [k for k in range(first, first + span) if k not in labels]
        first += span

        def fits(columns: Sequence[int]) -> bool:
            return sum(_width(table, k, width) + 2 for k in (*labels, *columns)) <= width

        if fits(group):
            if pieces and fits([*pieces[-1], *group]):
                pieces[-1] += group
            elif group:
                pieces.append(group)
            continue
        for k in group:  # too many for one piece
            if k != group[0] and fits([*pieces[-1], k]):
                pieces[-1].append(k)
            else:
                pieces.append([k])
    return [sorted([*labels, *piece]) for piece in pieces or [[]]]


def _rich(table: PaperTable, columns: Sequence[int], width: int) -> Table:
    """Empty, columns as wide as anything in them: tables of one piece stand in line below each other."""
    shown = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for k in columns:
        justify: Literal["left", "right"] = "left" if table.columns[k].label else "right"
        shown.add_column(justify=justify, overflow="fold", width=_width(table, k, width))
    return shown


def _heads(columns: Sequence[Column]) -> list[str]:
    """Heads of columns, one line per header row; what the left neighbour says too is said once."""
    heads: list[str] = []
    before: tuple[str, ...] = ()
    for column in columns:
        said = [column.heads[: i + 1] == before[: i + 1] for i in range(len(column.heads))]
        heads.append("\n".join("" if s else text for s, text in zip(said, column.heads, strict=True)))
        before = column.heads
    return heads


def _width(table: PaperTable, k: int, width: int) -> int:
    """As wide as anything in a column; long names are folded, so that numbers find room beside them."""
    texts = [*table.columns[k].heads, *(_shown(row.cells[k]) for row in table.rows)]
    labels = sum(column.label for column in table.columns)
    most = max(width // (2 * labels), 12) if table.columns[k].label else width // 3
    return min(max(map(len, texts)), most)


def _caption(table: PaperTable) -> str:
    return f"{table.title}. {table.caption}" if table.title else table.caption


def _levels(columns: Sequence[Column]) -> int:
    return max(len(column.heads) for column in columns)


def _spans(columns: Sequence[Column], level: int) -> list[tuple[str, int]]:
    """(head, columns under it) of a header row; neighbours are one where all heads above are one too."""
    spans: list[tuple[str, int]] = []
    before: tuple[str, ...] | None = None
    for column in columns:
        down_to = column.heads[: level + 1]
        if down_to == before and column.heads[level]:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((column.heads[level], 1))
        before = down_to
    return spans


def _shown(cell: Cell) -> str:
    """Text of a cell: thousands parted in long whole numbers, a dash where there is nothing."""
    text = f"{int(cell.text):,}" if cell.text.isdecimal() and len(cell.text) > 4 else cell.text
    return (f"{text} ± {cell.sd}" if cell.sd else text) or "-"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _tex_cell(cell: Cell, column: Column) -> str:
    text = _tex(_shown(cell)) if cell.text else "--"
    if cell.number is not None and text.startswith("-"):
        text = f"${text[0]}${text[1:]}"  # a minus, not a hyphen
    return rf"\textbf{{{text}}}" if cell.best else text


def _html_cell(cell: Cell, column: Column) -> str:
    text = html.escape(_shown(cell))
    if column.label:
        return f"<td>{text}</td>"
    sort = "" if cell.number is None else f' data-sort="{cell.text}"'
    return f"<td{sort}>{f'<strong>{text}</strong>' if cell.best else text}</td>"
