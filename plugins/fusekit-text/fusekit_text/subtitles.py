"""SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import html
import re
from pathlib import Path

from fusekit.errors import DataError
from fusekit_text.cues import Cue, Transcript, checked

_ARROW = "-->"
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{3})", re.ASCII)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)  # between two words, unlike other tags
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")  # <i>, <v Ann>, <c.loud>, {\an8}; "a < b" is none
_MOMENT = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{1,2}\.\d{1,3})>", re.ASCII)  # WebVTT: a word's own time
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>]*)>")
_NEAR_TIMES = re.compile(
    r"\s*[-+]?\d+\s*:\s*\d"
)  # what begins so and has an arrow is meant as a line of times
_ASIDE = ("NOTE", "STYLE", "REGION")


def read_srt(path: Path, text: str) -> Transcript:
    """SubRip: a number, a line of times, lines of text. Tags are taken out.

    A cue goes on up to the next line of times, as FFmpeg reads it: empty lines within it are passed over, a
    number before those times is the next cue's.

    Raises:
        DataError: words before the first cue, or times that cannot be; no cue at all.
    """
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if _is_times(line)]
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if starts:
        lead = [i for i in range(first, starts[0]) if lines[i].strip()]
        if lead and not (len(lead) == 1 and lines[lead[0]].strip().isdigit()):
            raise _outside(path, lead[0], lines[lead[0]])
    elif lines[first].strip():
        raise _outside(path, first, lines[first])
    else:
        raise _none(path)
    cues = []
    for at, after in zip(starts, [*starts[1:], len(lines)], strict=True):
        said = lines[at + 1 : after]
        if after < len(lines):
            _without_number(said)
        start_s, end_s = _times(path, at + 1, lines[at])
        cues.append(_cue([line for line in said if line.strip()], start_s, end_s))
    return Transcript(cues)


def read_vtt(path: Path, text: str) -> Transcript:
    """WebVTT: as SubRip, with a header; notes, styles, regions and settings of cues are left out, names are
    kept apart, the times within a cue (`<00:01.500>`) are those of the words behind them. An empty line ends
    a cue.

    Raises:
        DataError: no header, a line that has no place, or times that cannot be; no cue at all.
    """
    lines = text.split("\n")
    if not re.match(r"WEBVTT(?:[ \t]|$)", lines[0]):
        raise DataError(f"{path}: line 1: a WebVTT file begins with WEBVTT, this one with {lines[0][:20]!r}")
    at = 1
    while at < len(lines) and lines[at].strip() and _ARROW not in lines[at]:
        at += 1  # the header goes on up to a blank line
    cues: list[Cue] = []
    found = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if lines[at].split()[0] in _ASIDE and _ARROW not in "".join(lines[at + 1 : at + 2]):
            at += 1  # with times behind it, it is a cue's name; times further down begin a cue, too
            while at < len(lines) and lines[at] and _ARROW not in lines[at]:
                at += 1
            continue
        if _ARROW not in lines[at]:
            # A cue's name: the times must follow.
            if at + 1 >= len(lines) or _ARROW not in lines[at + 1]:
                raise _outside(path, at, lines[at])
            at += 1
        start_s, end_s = _times(path, at + 1, lines[at])
        found += 1
        begin = at = at + 1
        # What ends a cue is an empty line: one of spaces alone, as YouTube writes them, is of the cue.
        while at < len(lines) and lines[at] and _ARROW not in lines[at]:
            at += 1
        end = at
        if at < len(lines) and _ARROW in lines[at] and end > begin and lines[end - 1].strip().isdigit():
            end -= 1  # the next cue's number, with no blank line before it
        cues += _pieces(path, begin, lines[begin:end], start_s, end_s, str(found))
    if not found:
        raise _none(path)
    return Transcript(cues)


def _is_times(line: str) -> bool:
    """Whether a line of SubRip is one of times, if not a correct one; words may have an arrow, too."""
    before, arrow, _ = line.partition(_ARROW)
    return bool(arrow) and (_NEAR_TIMES.match(before) is not None or not before.strip())


def _without_number(said: list[str]) -> None:
    """Take the next cue's number from the end of a cue's lines.

    A number that is all of a cue and has empty lines behind it was said.
    """
    full = [i for i, line in enumerate(said) if line.strip()]
    if full and said[full[-1]].strip().isdigit() and (full[-1] == len(said) - 1 or len(full) > 1):
        del said[full[-1] :]


def _outside(path: Path, at: int, line: str) -> DataError:
    return DataError(
        f"{path}: line {at + 1}: {line.strip()[:40]!r} stands outside a cue: times are expected here, as "
        f"00:00:01,000 {_ARROW} 00:00:02,500"
    )


def _none(path: Path) -> DataError:
    return DataError(f"{path}: there is no cue in it, no line of times with {_ARROW}")


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


def _pieces(path: Path, line: int, lines: list[str], start_s: float, end_s: float, group: str) -> list[Cue]:
    """A WebVTT cue, cut at the times within it."""
    parts = _MOMENT.split("\n".join(lines))
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
    voices = {
        " ".join(html.unescape(name).split()) for name in _VOICE.findall("\n".join(lines)) if name.strip()
    }
    speaker = voices.pop() if len(voices) == 1 else ""
    found, fresh = [], False
    for text, begins, stops in zip(parts[::2], moments, ends, strict=True):
        own = text.split("\n")
        cue = _cue(own, begins, stops, group, speaker, fresh=fresh)
        found.append(cue)
        fresh = (fresh or len(own) > 1) and not _plain(own)[-1]  # a line began that has no word yet
    return found


def _cue(
    lines: list[str],
    start_s: float,
    end_s: float,
    group: str | None = None,
    speaker: str = "",
    *,
    fresh: bool = False,
) -> Cue:
    """A cue of these lines. fresh: its first word begins a line, though the cue is no sentence's first."""
    words: list[str] = []
    breaks = [0] if fresh else []
    for i, line in enumerate(_plain(lines)):
        if i and line and (words or group) and len(words) not in breaks:
            breaks.append(len(words))
        words += line.split()
    return Cue(" ".join(words), start_s, end_s, group, speaker, tuple(breaks))


def _plain(lines: list[str]) -> list[str]:
    """Lines without tags, which may go over several; `<br>` begins one."""
    bare = _TAG.sub("", _BREAK.sub("\n", "\n".join(lines))).split("\n")
    return [" ".join(html.unescape(line).split()) for line in bare]
