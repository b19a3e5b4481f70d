"""Transcripts in tables: CSV and TSV with a header, Audacity's label tracks without one."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fusekit.errors import DataError
from fusekit_text.clock import ASK, SECONDS, clock_s, number, unit_of
from fusekit_text.columns import Column, Roles, may_be_times, roles
from fusekit_text.cues import Cue, Transcript, checked
from fusekit_text.plain import plain, without_stamps

_WIDEST = 1000
Rows = list[tuple[int, list[str]]]
"""(line, cells) of each row; no cells where all are empty."""


def read_csv(path: Path, text: str, sentence_hz: float, tier: str | None = None) -> Transcript:
    """A header, then a cue a row: `start_s,end_s,text`, or what other programs name these columns.

    Names say the unit of times (`start_s`, `start_ms`, `Begin Time - msec`); where they do not, see
    `clock.unit_of`. A `duration` does in place of an end. Rows with the same word in `sentence`, one after
    another, are one sentence; `speaker` says whose a cue is; of several tiers one must be chosen. A table of
    `text` without times: a sentence a row, row k at step k, as in `plain.read_lines`.

    Raises:
        DataError: no such columns, columns that may be times but are not known as such, or a row that does
            not fit the header.
    """
    header, rows = _table(path, text)
    found = roles(header)
    if found.said is None or (found.any_time and not found.timed):
        raise DataError(
            f"{path}: a transcript has the columns start_s, end_s and text (or word), plain sentences have "
            f"text alone; found {', '.join(header[:12])}{', ...' * (len(header) > 12)}. {ASK}."
        )
    if found.timed:
        return Transcript(_cues(path, header, found, rows, tier))
    said = found.said
    for i, name in enumerate(header):
        cells = [row[i].strip() for _, row in rows if row and row[i].strip()]
        if i != said and may_be_times(name, [number(c) for c in cells], [clock_s(c) for c in cells]):
            raise DataError(
                f"{path}: column {name!r} may hold times, but its name is not one that says so. {ASK}, or "
                "take the column out."
            )
    return plain(without_stamps(path, [row[said] if row else "" for _, row in rows]), sentence_hz)


def is_table(text: str) -> bool:
    """Whether a text begins with a header row of times and words."""
    line = text.lstrip("\n").partition("\n")[0]
    found = roles([name.strip().strip('"') for name in line.split(_delimiter(line))])
    return found.said is not None and found.any_time


def read_labels(path: Path, text: str) -> Transcript | None:
    """An Audacity label track: start, end and words a line, parted by tabs; None: the text is none.

    Raises:
        DataError: some of its lines are, others are not; or times that cannot be.
    """
    rows: Rows = []
    for line, row in enumerate(text.split("\n"), 1):
        cells = [cell.strip() for cell in row.split("\t")]
        if any(cells) and not row.startswith("\\"):  # the label's range of frequencies
            rows.append((line, cells))
    fit = [len(row) in (2, 3) and None not in (number(row[0]), number(row[1])) for _, row in rows]
    if not any(fit):
        return None
    if not all(fit):
        raise DataError(
            f"{path}: line {rows[fit.index(False)][0]}: in a label track each line has a start, an end and a "
            "label, parted by tabs; this one has not"
        )
    found = roles(["start", "end", "text"])
    full = [(line, row if len(row) == 3 else [*row, ""]) for line, row in rows]
    return Transcript(_cues(path, ["start", "end", "text"], found, full, None))


def _cues(path: Path, header: Sequence[str], found: Roles, rows: Rows, tier: str | None) -> list[Cue]:
    last = found.end or found.length
    assert found.said is not None
    assert found.start is not None
    assert last is not None
    said = found.said
    rows = [
        (line, row)
        for line, row in _of_tier(path, rows, found.tier, tier)
        if row[said].strip() or _any(row, found)
    ]
    if not rows:
        raise DataError(f"{path}: no row of it has a word")
    starts, start_unit = _times(path, rows, found.start)
    ends, end_unit = _times(path, rows, last)
    unit = start_unit or end_unit
    lengths = ends if found.end is None else [b - a for a, b in zip(starts, ends, strict=True)]
    cells = [row[column.at].strip() for _, row in rows for column in (found.start, last)]
    letters = [len("".join(row[said].split())) for _, row in rows]
    first_s = SECONDS[unit] if unit else unit_of(path, cells, lengths, letters, None)
    last_s = SECONDS[end_unit] if end_unit else first_s
    cues = []
    for (line, row), a, b in zip(rows, starts, ends, strict=True):
        start_s = a * first_s
        times = checked(path, line, start_s, b * last_s + (start_s if found.end is None else 0.0))
        group = row[found.sentence].strip() if found.sentence is not None else ""
        speaker = row[found.speaker].strip() if found.speaker is not None else ""
        cues.append(Cue(" ".join(row[said].split()), *times, group or None, speaker=speaker))
    if unit and first_s == last_s:
        unit_of(path, cells, lengths, letters, unit)
    return cues


def _any(row: list[str], found: Roles) -> bool:
    """Whether a row without words has times: a pause, which is said with its length."""
    return any(
        row[column.at].strip() for column in (found.start, found.end, found.length) if column is not None
    )


def _times(path: Path, rows: Rows, column: Column) -> tuple[list[float], str | None]:
    """The numbers of a column, and the symbol of their unit, where its name or its clocks say it."""
    if column.unit == "frames":
        raise DataError(f"{path}: column {column.name!r} counts frames or samples, not time. {ASK}.")
    cells = [row[column.at].strip() for _, row in rows]
    clocks = [clock_s(cell) for cell in cells]
    if all(clock is not None for clock in clocks):
        return [clock for clock in clocks if clock is not None], "s"
    found: list[float] = []
    for (line, _), cell in zip(rows, cells, strict=True):
        value = number(cell)
        if value is None or column.unit == "clock":
            what = "no clock as 0:00:01.500" if column.unit == "clock" else "no number of seconds"
            raise DataError(f"{path}: line {line}, column {column.name}: {cell[:40]!r} is {what}")
        found.append(value)
    return found, column.unit


def _of_tier(path: Path, rows: Rows, at: int | None, tier: str | None) -> Rows:
    """The rows that are not empty, of the chosen tier where the table has a column of tiers."""
    rows = [(line, row) for line, row in rows if row]
    if at is None:
        return rows
    names = list(dict.fromkeys(row[at].strip() for _, row in rows))
    if tier is None and len(names) > 1:
        raise DataError(
            f"{path}: which tier holds the words? It has {', '.join(map(repr, names[:9]))}. Give the reader "
            "`tier: NAME`."
        )
    if tier is not None and tier not in names:
        raise DataError(f"{path}: there is no tier {tier!r}; it has {', '.join(map(repr, names[:9]))}.")
    return [(line, row) for line, row in rows if tier in (None, row[at].strip())]


def _delimiter(line: str) -> str:
    """What parts the cells of a header row."""
    return max(",;\t", key=lambda mark: (line.count(mark), mark == ","))


def _table(path: Path, text: str) -> tuple[list[str], Rows]:
    """Header, and the rows below it."""
    first = text.lstrip("\n").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(first))
    try:
        rows = [(reader.line_num, row if any(map(str.strip, row)) else []) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: this is not CSV ({error})") from error
    full = next((i for i, (_, row) in enumerate(rows) if row), None)
    if full is None:
        raise DataError(f"{path}: there is no header row")
    header, rows = [name.strip() for name in rows[full][1]], rows[full + 1 :]
    if len(header) > _WIDEST:
        raise DataError(f"{path}: {len(header)} columns are no transcript's; it has at most {_WIDEST}")
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there twice")
    if not rows:
        raise DataError(f"{path}: there is no row below the header")
    for line, row in rows:
        if row and len(row) != len(header):
            raise DataError(f"{path}: line {line} has {len(row)} cells, the header has {len(header)}")
    return header, rows
