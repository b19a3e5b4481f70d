"""Which columns of a table hold when and what: by their names, as many programs write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "ss.msec"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nanoseconds"), "ns"),
    **dict.fromkeys(("min", "mins", "minutes"), "min"),
    **dict.fromkeys(("hh:mm:ss.ms", "hh:mm:ss.msec", "hh:mm:ss", "mm:ss", "hhmmss"), "clock"),
    **dict.fromkeys(("f", "frame", "frames", "sample", "samples", "tick", "ticks"), "frames"),
}
_STARTS = (
    *("start", "begin", "beginning", "onset", "tmin", "xmin", "from", "start time", "begin time"),
    *("time start", "time begin", "t start", "start timestamp", "timestamp start", "starttime", "begintime"),
    *("starts", "begins", "cue in", "in", "in time"),
)
_MOMENTS = ("time", "timestamp", "time stamp", "t")
_ENDS = (
    *(
        "end",
        "stop",
        "tmax",
        "xmax",
        "to",
        "end time",
        "stop time",
        "time end",
        "time stop",
        "t end",
        "t stop",
    ),
    *(
        "end timestamp",
        "timestamp end",
        "endtime",
        "stoptime",
        "ends",
        "finish",
        "cue out",
        "out",
        "out time",
    ),
)
_LENGTHS = ("duration", "dur", "length", "duration time")
SAID = (
    "text",
    "word",
    "transcript",
    "transcription",
    "utterance",
    "annotation",
    "caption",
    "subtitle",
    "content",
)
_SPEAKERS = ("speaker", "speaker name", "speaker label", "participant")
_NO_TIMES = frozenset(
    [
        "id",
        "index",
        "row",
        "n",
        "no",
        "nr",
        "number",
        "line",
        "sentence",
        "sentence id",
        "utterance id",
        "turn",
    ]
    + [
        "segment",
        "segment id",
        "speaker",
        "speaker id",
        "valence",
        "arousal",
        "dominance",
        "v",
        "a",
        "d",
        "label",
    ]
    + [
        "emotion",
        "sentiment",
        "score",
        "rating",
        "confidence",
        "probability",
        "fold",
        "split",
        "clip",
        "subject",
    ]
)


@dataclass(frozen=True)
class Column:
    """A column of times: where it is, and its unit (`s`, `ms`, `clock`, `frames`, ...), if its name says."""

    at: int
    name: str
    unit: str | None


@dataclass(frozen=True)
class Roles:
    """Which column says what; None: none does."""

    said: int | None
    start: Column | None
    end: Column | None
    length: Column | None
    sentence: int | None
    speaker: int | None
    tier: int | None

    @property
    def timed(self) -> bool:
        """Whether a start, and an end or a length, are there."""
        return self.start is not None and (self.end is not None or self.length is not None)

    @property
    def any_time(self) -> bool:
        """Whether some column's name is one of times."""
        return any((self.start, self.end, self.length))


def plain_name(name: str) -> tuple[str, str | None]:
    """`Begin Time - msec`, `startMs`, `end_s`, `Start (ms)` -> the name in plain words, and its unit."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.sub(r"[\s_()\[\]/-]+", " ", spaced).strip().lower().split()
    unit = _UNITS.get(words[-1]) if len(words) > 1 else None
    return " ".join(words[:-1] if unit else words), unit


def roles(header: Sequence[str]) -> Roles:
    """The columns of a header by their role."""
    named = [plain_name(name) for name in header]

    def first(names: Sequence[str]) -> int | None:
        return next((i for wanted in names for i, (name, _) in enumerate(named) if name == wanted), None)

    def time(names: Sequence[str]) -> Column | None:
        found = [Column(i, header[i], unit) for i, (name, unit) in enumerate(named) if name in names]
        rank = ("s", "ms", "us", "ns", "min", "clock", None, "frames")  # one that names its unit goes before
        return min(found, key=lambda column: rank.index(column.unit), default=None)

    said, sentence = first(SAID), first(["sentence"])
    if said is None:
        said, sentence = sentence, None
    start = time(_STARTS)
    # An offset ends what an onset begins; elsewhere (Azure) it is a start, so alone it says nothing.
    ends = (*_ENDS, "offset") if any(name == "onset" for name, _ in named) else _ENDS
    return Roles(
        said=said,
        start=start or time(_MOMENTS),
        end=time(ends),
        length=time(_LENGTHS),
        sentence=sentence,
        speaker=first(_SPEAKERS),
        tier=first(["tier", "tier name"]),
    )


def may_be_times(name: str, numbers: Sequence[float | None], clocks: Sequence[float | None]) -> bool:
    """Whether a column of a table without times looks like times after all.

    Args:
        name: as in the header.
        numbers, clocks: each cell that is not empty as a number, and as a clock; None where it is none.
    """
    if clocks and all(clock is not None for clock in clocks):
        return True
    known = [n for n in numbers if n is not None]
    if not known or len(known) < len(numbers) or plain_name(name)[0] in _NO_TIMES or not name:
        return False
    steps = [b - a for a, b in zip(known, known[1:], strict=False)]
    if steps and all(step == 1 for step in steps) and known[0] in (0, 1):
        return False  # a count of the rows
    down = sum(step < 0 for step in steps)
    return known[0] >= 0 and 10 * down <= len(steps) and (not steps or any(steps))
