"""Plain sentences: one a step, without times of their own; and what must not be taken for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fusekit.errors import DataError
from fusekit_text.clock import ASK, CLOCK, clock_s, number
from fusekit_text.cues import Cue, Transcript

_OPEN, _CLOSE = r"^[\s>*#-]*[\[(<{]?\s*", r"\s*[\])>}]?"
_CODE = rf"(?:{CLOCK}(?:[:;]\d\d)?|\d\d?;\d\d;\d\d[;:.]\d\d)"  # or with a frame's number, as cutters write it
_STAMP = re.compile(
    rf"{_OPEN}({_CODE}){_CLOSE}(?![\w:;])|(?<![\w:;.,])[\[(<{{]?({_CODE}){_CLOSE}:?\s*$", re.ASCII
)
_FROM_TO = re.compile(
    rf"{_OPEN}{_CODE}{_CLOSE}\s*(?:-->|[-–—,;|]|to|\s)\s*[\[(<{{]?{_CODE}{_CLOSE}", re.ASCII
)
_BRACKETED = re.compile(rf"[\[(<{{]\s*{CLOCK}(?:\s*(?:-->|-|–|to)\s*{CLOCK})?\s*[\])>}}]", re.ASCII)
_NUMBER = r"(\d+(?:[.,]\d+)?)\s?(?:s|ms|sec)?"
_TWO = re.compile(rf"{_OPEN}{_NUMBER}(?:\s*[;,:|–-]\s*|\s+){_NUMBER}{_CLOSE}(?:[\s:;,|–-]|$)", re.ASCII)
_ONE = re.compile(rf"{_OPEN}{_NUMBER}{_CLOSE}(?:[\s:;,|–-]|$)", re.ASCII)
_EDGE = 80
_OTHERS = {
    "WEBVTT": "WebVTT: let its name end in .vtt",
    "{\\rtf": "rich text: save it as plain text",
    "%PDF": "a PDF: save it as plain text",
    "[Script Info]": "SubStation subtitles: convert them to .srt, by `ffmpeg -i FILE out.srt`",
    "<?xml": "XML: export SRT, WebVTT or a table with start_s, end_s and text",
    "<!DOCTYPE": "a web page: save its words as plain text",
    "<html": "a web page: save its words as plain text",
    '{"': "JSON: let its name end in .json",
    "[{": "JSON: let its name end in .json",
    "version https://git-lfs": "a pointer to a file that Git LFS keeps: `git lfs pull` fetches it",
    'File type = "ooTextFile': "a TextGrid: let its name end in .TextGrid",
}


def read_lines(path: Path, text: str, sentence_hz: float) -> Transcript:
    """A sentence a line, line k at step k; an empty line, the last too, is a step at which nothing is said.

    Raises:
        DataError: no line has a word; or the lines are none of plain sentences: they have times, or cells.
    """
    for begin, what in _OTHERS.items():
        if text.lstrip().startswith(begin):
            raise DataError(f"{path}: these are no plain sentences, this is {what}.")
    lines = text.removesuffix("\n").split("\n")
    full = [line for line in lines if line.strip()]
    if not full:
        raise DataError(f"{path}: no line of it has a word")
    tabs = {line.strip().count("\t") for line in full}
    if len(tabs) == 1 and 0 not in tabs:
        raise DataError(
            f"{path}: tabs part each of its lines into {tabs.pop() + 1} cells, so it is a table. Write a "
            "header row above it and let its name end in .csv: start_s, end_s and text, or text alone."
        )
    if "-->" in text and any(clock_s(line.partition("-->")[0].strip(" [")) is not None for line in full):
        raise DataError(
            f"{path}: it has lines of times with -->. Let its name end in .srt or .vtt if it is subtitles; "
            f"else make it a CSV. {ASK}."
        )
    if _numbered([_edges(line) for line in full]):
        raise DataError(
            f"{path}: its lines begin with numbers that may be times. {ASK}, and text, in a CSV; if they are "
            "words, a CSV with the column text alone has them."
        )
    return plain(without_stamps(path, lines), sentence_hz)


def without_stamps(path: Path, sentences: list[str]) -> list[str]:
    """Sentences as they are, if they have no time stamps in them.

    Clocks at the beginning or end of a quarter of them, of two at least, or in brackets even of one, were
    written by a program, not said; so was a line of nothing but a pair of them.

    Raises:
        DataError: they have.
    """
    full = [_edges(text) for text in sentences if text.strip()]
    if not full:
        raise DataError(f"{path}: no sentence of it has a word")
    stamped = [text for text in full if _STAMP.search(text)]
    marked = [text for text in stamped if _BRACKETED.match(text) or _BRACKETED.search(text[-40:])]
    several = len(stamped) > 1 and 4 * len(stamped) >= len(full)
    several = several or any(_FROM_TO.fullmatch(text) for text in stamped)
    if several or (marked and 4 * len(marked) >= len(full)):
        raise DataError(
            f"{path}: its sentences have time stamps, as in {stamped[0][:50]!r}, which nobody says. {ASK}, "
            "and text, in a CSV; or take the stamps out, if sentence k stands at step k."
        )
    return sentences


def plain(sentences: Sequence[str], sentence_hz: float) -> Transcript:
    """Sentence k stands from k / sentence_hz to (k + 1) / sentence_hz."""
    cues = [
        Cue(" ".join(text.split()), k / sentence_hz, (k + 1) / sentence_hz)
        for k, text in enumerate(sentences)
    ]
    return Transcript(cues, timed=False)


def _edges(text: str) -> str:
    """What a line begins and ends with: of a long one no more is looked at, as patterns may be slow."""
    line = " ".join(text.split())
    return line if len(line) <= 2 * _EDGE else f"{line[:_EDGE]} … {line[-_EDGE:]}"


def _numbered(lines: Sequence[str]) -> bool:
    """Whether each line begins with a number, or a pair of them, that could be its time."""
    two = [m for line in lines if (m := _TWO.match(line))]
    if len(two) == len(lines) and (len(two) > 1 or "." in two[0][1]):
        pairs = [(number(m[1]), number(m[2])) for m in two]
        return all(a is not None and b is not None and a <= b for a, b in pairs)
    one = [number(m[1]) for line in lines if (m := _ONE.match(line))]
    if len(one) < max(len(lines), 2):
        return False
    steps = [b - a for a, b in zip(one, one[1:], strict=False) if a is not None and b is not None]
    return min(steps) >= 0 and any(steps) and not (set(steps) == {1} and one[0] in (0, 1))
