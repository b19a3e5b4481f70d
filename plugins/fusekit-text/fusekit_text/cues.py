"""What was said and when: the one form that all transcript files become."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusekit.errors import DataError

TAIL_S = 1.0
"""A transcript without a stated length lasts this much longer than its last word, so that a step hears it."""
LONGEST_S = 86400.0
"""A day: what lies beyond is no second of a recording, and each would cost memory."""
LARGEST_BYTES = 4 * 2**20
"""Of a file: the subtitles of a day are smaller."""
LARGEST_ALIGNED_BYTES = 16 * 2**20
"""Of a file that tells of every word, or sound, when it is said (JSON, TextGrid)."""
MOST_LINES = 300_000
"""Of a file of cues, rows or sentences."""
MOST_WORDS, MOST_PLAIN = 500_000, 2_000_000
"""Of a file: with times, twice what a day of speech holds; of plain sentences."""


@dataclass(frozen=True)
class Cue:
    """A stretch of words with one beginning and end, as its file has it.

    Attributes:
        text: words parted by white space.
        start_s, end_s: seconds from the recording's start, 0 <= start_s <= end_s.
        group: cues of the same group, one after another, are one sentence; None: the cue is one by itself.
        speaker: whose words they are, where the file says it; never among the words.
        breaks: which of its words begin a new line on the screen, by their place, the cue's first apart.
    """

    text: str
    start_s: float
    end_s: float
    group: str | None = None
    speaker: str = ""
    breaks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """A whole file.

    Attributes:
        cues: in the file's order.
        duration_s: of the recording, where the file states it.
        timed: False for plain sentences, which stand at one step each and are known whole from there on.
    """

    cues: Sequence[Cue]
    duration_s: float | None = None
    timed: bool = True


@dataclass(frozen=True)
class Word:
    """A word as it is heard: at `end_s`, in the sentence of this number."""

    text: str
    end_s: float
    sentence: int


def words(transcript: Transcript) -> tuple[list[Word], list[float]]:
    """The words in reading order, and for each sentence the time from which it is the current one.

    Sentences go by their beginning (cues may overlap or be out of order in the file). A cue of several words
    does not say when each is spoken: they are spread evenly over it by length, a space counted to the word
    before it. A sentence is current from its first word on; a plain one from its step on, empty or not.
    """
    sentences: list[list[Cue]] = []
    for cues in sentences_of(transcript.cues):
        sentences.append(sorted(cues, key=lambda cue: cue.start_s) if transcript.timed else cues)
    sentences.sort(key=lambda cues: min(cue.start_s for cue in cues))  # stable: else in the file's order
    found: list[Word] = []
    begins: list[float] = []
    for cues in sentences:
        number = len(begins)
        own = [Word(text, end, number) for cue in cues for text, end in _spread(cue, transcript.timed)]
        if transcript.timed and not own:
            continue
        begins.append(min(word.end_s for word in own) if transcript.timed else cues[0].start_s)
        found += own
    return found, begins


def sentences_of(cues: Sequence[Cue]) -> list[list[Cue]]:
    """The cues of each sentence, in the file's order."""
    found: list[list[Cue]] = []
    for cue in cues:
        if found and cue.group is not None and cue.group == found[-1][-1].group:
            found[-1].append(cue)
        else:
            found.append([cue])
    return found


def check_count(path: Path, transcript: Transcript) -> None:
    """Refuse more words than a recording can hold.

    Raises:
        DataError: they are more than a day of speech has.
    """
    most = MOST_WORDS if transcript.timed else MOST_PLAIN
    found = sum(cue.text.count(" ") + 1 for cue in transcript.cues)
    if found > most:
        raise DataError(
            f"{path}: {found} words or cues are too many for one recording; cut it, {most} may be"
        )


def duration(transcript: Transcript) -> float:
    """Seconds that the transcript lasts."""
    last = max((cue.end_s for cue in transcript.cues), default=0.0)
    if not transcript.timed:
        return last
    return last + TAIL_S if transcript.duration_s is None else max(transcript.duration_s, last)


def _spread(cue: Cue, timed: bool) -> list[tuple[str, float]]:
    parts = cue.text.split()
    if not timed:
        return [(part, cue.start_s) for part in parts]
    lengths = [len(part) + 1 for part in parts]
    whole, done, spread = sum(lengths), 0, []
    for part, length in zip(parts, lengths, strict=True):
        done += length
        # The last one ends with its cue to the bit.
        share = done / whole
        spread.append((part, cue.end_s if done == whole else cue.start_s + (cue.end_s - cue.start_s) * share))
    return spread


def checked(path: Path, line: int, start_s: float, end_s: float) -> tuple[float, float]:
    """The two times of a cue, if they can be.

    Raises:
        DataError: one is negative or no finite number, or the end lies before the start.
    """
    if not (0 <= start_s <= LONGEST_S and math.isfinite(end_s) and end_s <= LONGEST_S):
        raise DataError(
            f"{path}: line {line}: the times {start_s:g} to {end_s:g} must be seconds from the recording's "
            f"start, from 0 to {LONGEST_S:g} (a day); correct them, or take the recording's start off"
        )
    if end_s < start_s:
        raise DataError(
            f"{path}: line {line}: the end, {end_s:g} s, lies before the start, {start_s:g} s; correct it"
        )
    return start_s, end_s


def decoded(path: Path) -> str:
    """A text file's content, line ends as "\\n": UTF-8, or UTF-16 with a byte order mark.

    Raises:
        DataError: there is no such file, it is empty, or it is not such text.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: this is no file, but a folder or a device.")
        size = path.stat().st_size
        aligned = path.suffix.lower() in (".json", ".textgrid")
        most = LARGEST_ALIGNED_BYTES if aligned else LARGEST_BYTES
        if size > most:
            raise DataError(
                f"{path}: {size / 2**20:.0f} MiB is no transcript; the words of a day stay below "
                f"{most / 2**20:.0f}. Name the right file, or cut it."
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not data:
        raise DataError(f"{path}: the file is empty (zero bytes)")
    if data.startswith(b"ooBinaryFile"):
        raise DataError(f"{path}: this TextGrid is in binary form; save it as a text file in Praat.")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: this is not text in UTF-8, or in UTF-16 with a byte order mark ({error.reason} at byte "
            f"{error.start}). Save it as UTF-8."
        ) from error
    if "\0" in text:
        raise DataError(f"{path}: this is no text file, it holds zero bytes. Save it as UTF-8.")
    lines = data.count(b"\n")
    if lines > MOST_LINES and not aligned:
        raise DataError(f"{path}: {lines} lines are too many for one recording; cut it, {MOST_LINES} may be")
    # "\\r\\r\\n" is one end of a line that Windows has written twice: no empty line.
    return re.sub("\r+\n", "\n", text).replace("\r", "\n")
