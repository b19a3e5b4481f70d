"""Transcripts and sentences in CSV, and plain sentences, one a line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from fusekit.errors import DataError
from fusekit_text.cues import Cue, Transcript, checked

_TIMES = ("start_s", "end_s")


def read_csv(path: Path, text: str, sentence_hz: float) -> Transcript:
    """`start_s,end_s,text`: a cue a row (also `word` for `text`; rows with the same word in `sentence`, one
    after another, are one sentence). Without times: a sentence a row, row k at step k, an empty one as in
    `read_lines`.

    Raises:
        DataError: no such columns, or a row that does not fit them.
    """
    header, rows = _table(path, text)
    said = next((name for name in ("text", "word") if name in header), None)
    if said is None or len(set(_TIMES) & set(header)) == 1:
        raise DataError(
            f"{path}: a transcript has the columns start_s, end_s and text (or word), plain sentences have "
            f"text alone; found {', '.join(header)}"
        )
    if not set(_TIMES) <= set(header):
        return plain([row[header.index(said)] if row else "" for _, row in rows], sentence_hz)
    cues = []
    for line, row in rows:
        if not row:
            continue
        cells = dict(zip(header, row, strict=True))
        times = checked(path, line, *(_number(path, line, name, cells[name]) for name in _TIMES))
        cues.append(Cue(" ".join(cells[said].split()), *times, cells.get("sentence") or None))
    return Transcript(cues)


def read_lines(path: Path, text: str, sentence_hz: float) -> Transcript:
    """A sentence a line, line k at step k; an empty line is a step at which nothing is said.

    Raises:
        DataError: no line has a word.
    """
    lines = text.rstrip("\n").split("\n")
    if not any(map(str.split, lines)):
        raise DataError(f"{path}: no line of it has a word")
    return plain(lines, sentence_hz)


def plain(sentences: list[str], sentence_hz: float) -> Transcript:
    """Sentence k stands from k / sentence_hz to (k + 1) / sentence_hz."""
    cues = [
        Cue(" ".join(text.split()), k / sentence_hz, (k + 1) / sentence_hz)
        for k, text in enumerate(sentences)
    ]
    return Transcript(cues, timed=False)


def _table(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and (line, cells) of each row below it; no cells where all are empty. The last is full."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, row if any(map(str.strip, row)) else []) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: this is not CSV ({error})") from error
    full = [i for i, (_, row) in enumerate(rows) if row]
    if not full:
        raise DataError(f"{path}: there is no header row")
    rows = rows[full[0] : full[-1] + 1]
    header = [name.strip() for name in rows.pop(0)[1]]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}: column {name!r} is there twice")
    if not rows:
        raise DataError(f"{path}: there is no row below the header")
    for line, row in rows:
        if row and len(row) != len(header):
            raise DataError(f"{path}: line {line} has {len(row)} cells, the header has {len(header)}")
    return header, rows


def _number(path: Path, line: int, name: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise DataError(f"{path}: line {line}, column {name}: {cell!r} is no number of seconds") from error
