"""Speakers' names before their words, as in Zoom's `Ada Example: hello`: kept, and not spoken."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fusekit_text.cues import Cue, Transcript, sentences_of

_NAME = re.compile(
    r"(?:>{1,3}\s*|[-–—]\s*)?\[?(?P<name>[^\W\d_][^:：\[\]<>!?,;\"]{0,47}?)\]?\s*(?::(?=\s|$)|：)"
)
_PARTICLES = frozenset(
    ("de", "da", "di", "do", "du", "der", "den", "van", "von", "la", "le", "el", "al", "bin")
)
_NO_NAMES = frozenset(
    re.findall(
        r"\w+",
        """
        note notes nb warning caution attention important tip hint update edit ps re question answer example
        examples result results conclusion summary reason fact problem solution step chapter part lesson
        section title subtitle subtitles topic date time place location address phone email website news
        translation translator first second third finally remember so but and or ok okay well now yes no
        then also because namely i that this it here there today tomorrow monday tuesday wednesday thursday
        friday saturday sunday breaking rule option version source sources credits music lyrics sound chorus
        verse
        """,
    )
)
SHARE = 0.25
"""Of the sentences must begin with names that recur, for these to be speakers."""


def apart(transcript: Transcript) -> Transcript:
    """A transcript whose speakers' names stand in `Cue.speaker`, not among the words.

    A name is up to four words with a capital each before a colon at the beginning of a line, but no word
    that announces (Note, Step 2, Monday). Names are taken for speakers where every sentence begins with one,
    two at least; or those that recur at the beginning of sentences, where they begin a quarter of all. Names
    in capitals alone are, in files with times, if one of them recurs. Any other colon is left as it is.
    """
    sentences = sentences_of(transcript.cues)
    spoken = [cues for cues in sentences if any(cue.text for cue in cues)]
    found = [_name(next(cue.text for cue in cues if cue.text)) for cues in spoken]
    count = Counter(name for name in found if name)
    again = {name for name, times in count.items() if times > 1}
    known = set(count) if len(spoken) > 1 and all(found) else set()
    if sum(count[name] for name in again) >= SHARE * len(spoken):
        known |= again
    capitals = {name for name in count if transcript.timed and len(name) > 1 and name.isupper()}
    if capitals & again:
        known |= capitals
    if not known:
        return transcript
    return replace(transcript, cues=[cue for cues in sentences for cue in _without(cues, known)])


def _name(line: str) -> str:
    """The name that a line begins with; "": it begins with none."""
    match = _NAME.match(line)
    if match is None:
        return ""
    words = match["name"].replace("(", " ").replace(")", " ").split()
    plain = re.sub(r"[\s\d]+$", "", match["name"]).lower()
    if not 1 <= len(words) <= 4 or plain in _NO_NAMES or words[0].lower() in _NO_NAMES:
        return ""
    if any(word[0].islower() and word not in _PARTICLES for word in words):
        return ""
    if any(
        word.endswith(".") and "." not in word[:-1] and len(word) > 4 for word in words
    ):  # the end of a sentence, not "Dr."
        return ""
    return match["name"]


def _without(cues: Sequence[Cue], known: set[str]) -> list[Cue]:
    """The cues of a sentence without known names at the beginnings of their lines."""
    found: list[Cue] = []
    speakers: list[str] = []
    for k, cue in enumerate(cues):
        words = cue.text.split()
        edges = sorted({0, *cue.breaks} if k == 0 else set(cue.breaks)) or [0]
        kept: list[str] = words[: edges[0]]
        breaks: list[int] = []
        for a, b in zip(edges, [*edges[1:], len(words)], strict=True):
            line = " ".join(words[a:b])
            name = _name(line) if k == 0 or a in cue.breaks else ""
            if name in known and (match := _NAME.match(line)):
                speakers.append(name)
                line = line[match.end() :]
            if a in cue.breaks:
                breaks.append(len(kept))
            kept += line.split()
        found.append(replace(cue, text=" ".join(kept), breaks=tuple(breaks)))
    own = {*speakers, *(cue.speaker for cue in cues if cue.speaker)}
    return [replace(cue, speaker=own.copy().pop() if len(own) == 1 else "") for cue in found]
