"""Times as transcripts write them: numbers in some unit, or clocks; and which unit it is."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from fusekit.errors import DataError

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}
"""Units by their symbol, in seconds."""
CLOCK = r"\d{1,4}:\d{1,2}(?::\d{1,2})?(?:[.,]\d{1,9})?"
"""minutes:seconds or hours:minutes:seconds, with a fraction or without."""
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2})(?:[.,](\d{1,9}))?", re.ASCII)
SLOWEST, FASTEST = 0.3, 100.0
"""Characters per second of a cue that can be somebody's speech: 5 to 25 are usual, in subtitles too."""
ASK = "Write the columns start_s and end_s, in seconds from the recording's start"


def clock_s(text: str) -> float | None:
    """`1:02:03.5`, `02:03,5` -> seconds; None: it is no clock."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, rest = found.groups()
    if int(seconds) > 59 or (hours is not None and int(minutes) > 59):
        return None
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{rest or 0}")


def number(text: str) -> float | None:
    """`1.5`, `1,5`, `nan` -> the number; None: it is none."""
    if "_" in text:  # Python's own
        return None
    try:
        return float(text.replace(",", ".") if "." not in text else text)
    except ValueError:
        return None


def unit_of(
    path: Path, cells: Sequence[str], lengths: Sequence[float], letters: Sequence[int], said: str | None
) -> float:
    """Seconds that one unit of a file's times is, checked against how fast people speak.

    Times whose unit the file does not name are seconds where they have decimals, and seconds or (so Whisper
    writes them) milliseconds where they are whole numbers: whichever somebody could have spoken. What fits
    neither is refused, as is a unit that the file names and that cannot be.

    Args:
        cells: the times as they are written.
        lengths, letters: of each cue, in the file's unit, and how many characters it has but for spaces.
        said: the symbol of the unit, where the file names it.

    Raises:
        DataError: the unit cannot be told, or cannot be the one that is named.
    """
    rates = [n / length for length, n in zip(lengths, letters, strict=True) if n and length > 0]
    rate = statistics.median(rates) if rates else None
    whole = all(cell.isdigit() for cell in cells)
    if said is not None:
        return SECONDS[said] if rate is None else _confirmed(path, said, rate)
    if rate is None:
        if whole and any(letters):
            raise DataError(f"{path}: it does not say the unit of its times. {ASK}.")
        return 1.0
    if SLOWEST <= rate <= FASTEST:
        return 1.0
    if whole and SLOWEST <= 1000 * rate <= FASTEST / 2:
        return SECONDS["ms"]
    guess = (
        "; are they milliseconds? Then name the columns start_ms and end_ms" if rate < SLOWEST / 10 else ""
    )
    raise DataError(
        f"{path}: read as seconds, its times give a cue {_pace(rate)}, so their unit is in doubt{guess}. "
        f"{ASK}, to say that they are seconds."
    )


def _confirmed(path: Path, said: str, rate: float) -> float:
    unit = SECONDS[said]
    if said == "s" and rate < SLOWEST / 10:
        raise DataError(
            f"{path}: its columns say seconds, which gives a cue {_pace(rate)}. Are they milliseconds? Then "
            "name the columns start_ms and end_ms; else let each row end when its words do."
        )
    if unit < 1 and rate / unit > 10 * FASTEST:
        raise DataError(
            f"{path}: its columns say {said}, which gives a cue {_pace(rate / unit)}. If they are seconds, "
            "name the columns start_s and end_s."
        )
    return unit


def _pace(rate: float) -> str:
    if rate < 1:
        return f"one letter in {1 / rate:.3g} s (the median)"
    return f"{rate:.3g} letters a second (the median)"
