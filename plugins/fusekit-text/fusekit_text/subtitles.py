"""SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import html
import re
from pathlib import Path

from fusekit.errors import DataError
from fusekit_text.cues import Cue, Transcript, checked

_ARROW = "-->"
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})", re.ASCII)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)  # between two words, unlike other tags
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")  # <i>, <v Ann>, <c.loud>, {\an8}; "a < b" is none
_MOMENT = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{1,2}\.\d{1,3})>", re.ASCII)  # WebVTT: a word's own time
_ASIDE = ("NOTE", "STYLE", "REGION")


def read_srt(path: Path, text: str) -> Transcript:
    """SubRip: a number, a line of times, lines of text, a blank line. Tags are taken out.

    Raises:
        DataError: a line is none of these, or times that cannot be; no cue at all.
    """
    return Transcript(_cues(path, text.split("\n"), 0))


def read_vtt(path: Path, text: str) -> Transcript:
    """WebVTT: as SubRip, with a header; notes, styles, regions, names and settings of cues are left out, the
    times within a cue (`<00:01.500>`) are those of the words behind them.

    Raises:
        DataError: no header, a line that has no place, or times that cannot be; no cue at all.
    """
    lines = text.split("\n")
    if not re.match(r"WEBVTT(?:[ \t]|$)", lines[0]):
        raise DataError(f"{path}: line 1: a WebVTT file begins with WEBVTT, this one with {lines[0][:20]!r}")
    first = 1
    while first < len(lines) and lines[first].strip() and _ARROW not in lines[first]:
        first += 1  # the header goes on up to a blank line
    return Transcript(_cues(path, lines, first, web=True))


def _cues(path: Path, lines: list[str], first: int, *, web: bool = False) -> list[Cue]:
    cues: list[Cue] = []
    at, found = first, 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if web and lines[at].split()[0] in _ASIDE and _ARROW not in "".join(lines[at + 1 : at + 2]):
            at += 1  # with times behind it, it is a cue's name; times further down begin a cue, too
            while at < len(lines) and lines[at] and _ARROW not in lines[at]:
                at += 1
            continue
        if _ARROW not in lines[at]:
            # A cue's number or name: the times must follow.
            named = web or lines[at].strip().isdigit()
            if not (named and at + 1 < len(lines) and _ARROW in lines[at + 1]):
                raise DataError(
                    f"{path}: line {at + 1}: {lines[at].strip()[:40]!r} stands outside a cue: times "
                    f"are expected here, as 00:00:01,000 {_ARROW} 00:00:02,500"
                )
            at += 1
        start_s, end_s = _times(path, at + 1, lines[at])
        found += 1
        begin = at = at + 1
        # What ends a WebVTT cue is an empty line: one of spaces alone, as YouTube writes them, is of the cue.
        while at < len(lines) and (lines[at] if web else lines[at].strip()) and _ARROW not in lines[at]:
            at += 1
        end = at
        if at < len(lines) and _ARROW in lines[at] and end > begin and lines[end - 1].strip().isdigit():
            end -= 1  # the next cue's number, with no blank line before it
        said = " ".join(lines[begin:end])
        cues += (
            _pieces(path, begin, said, start_s, end_s, str(found))
            if web
            else [Cue(_plain(said), start_s, end_s)]
        )
    if not found:
        raise DataError(f"{path}: there is no cue in it, no line of times with {_ARROW}")
    return cues


def _times(path: Path, line: int, text: str) -> tuple[float, float]:
    before, _, after = text.partition(_ARROW)
    ends = [_seconds(before.strip()), _seconds((after.split() or [""])[0])]  # settings may follow
    if ends[0] is None or ends[1] is None:
        raise DataError(
            f"{path}: line {line}: {text.strip()[:60]!r} is no pair of times, as 00:00:01,000 {_ARROW} "
            "00:00:02,500"
        )
    return checked(path, line, ends[0], ends[1])


def _seconds(text: str) -> float | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, rest = found.groups()
    if int(minutes) > 59 or int(seconds) > 59:
        return None
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(rest.ljust(3, "0")) / 1000


def _pieces(path: Path, line: int, said: str, start_s: float, end_s: float, group: str) -> list[Cue]:
    """A WebVTT cue, cut at the times within it."""
    parts = _MOMENT.split(said)
    moments = [start_s]
    for text in parts[1::2]:
        moment = _seconds(text)
        if moment is None or not moments[-1] <= moment <= end_s:
            raise DataError(
                f"{path}: line {line + 1}: the time <{text}> within a cue must lie between those before and "
                "after it"
            )
        moments.append(moment)
    ends = [*moments[1:], end_s]
    return [Cue(_plain(t), a, b, group) for t, a, b in zip(parts[::2], moments, ends, strict=True)]


def _plain(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", _BREAK.sub(" ", text))).split())
