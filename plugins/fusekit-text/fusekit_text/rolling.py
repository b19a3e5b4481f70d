"""Rolling captions, as YouTube's: each shows the lines before it once more. Here each word is said once."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fusekit_text.cues import Cue, Transcript, sentences_of

TOUCH_S = 0.1
"""A caption that begins no later than this after the one before has it still on the screen."""
HELD = 0.04
"""Seconds a word: nobody speaks so fast; a caption so short only holds what was said."""
MOST_WORDS = 200
"""More than any screen shows are not looked for again."""
SHARE = 0.6
"""Of the captions that touch must carry words over, for a file to be one of rolling captions."""


@dataclass
class _Shown:
    """A caption: its cues (one sentence), words as they are compared, and where its lines begin."""

    cues: list[Cue]
    words: list[str]
    lines: list[int]

    @property
    def start_s(self) -> float:
        return min(cue.start_s for cue in self.cues)

    @property
    def end_s(self) -> float:
        return max(cue.end_s for cue in self.cues)

    @property
    def held(self) -> bool:
        return self.end_s - self.start_s < HELD * len(self.words)


def once(transcript: Transcript) -> Transcript:
    """A transcript without the words that a caption shows again.

    A caption carries over what its predecessor ends with, the most words that it can begin with. A file is
    one of rolling captions if most captions that touch carry over whole lines or three words, and then go on
    with new ones (or stay too briefly to be spoken). One such pair alone is enough only where three words or
    more stand on a line of their own again. Otherwise what is there twice was said twice. Times within a
    caption stay with their words.
    """
    shown = [_shown(cues) for cues in sentences_of(transcript.cues) if any(cue.text for cue in cues)]
    pairs = [
        (a, b)
        for a, b in zip(shown, shown[1:], strict=False)
        if a.start_s <= b.start_s <= a.end_s + TOUCH_S and b.end_s >= a.end_s
    ]
    strong = [pair for pair in pairs if _rolls(*pair)]
    if not strong or len(strong) < SHARE * len(pairs) or (len(strong) < 2 and not _sure(*strong[0])):
        return transcript
    rolling = {id(b): a for a, b in pairs}
    cues: list[Cue] = []
    for caption in shown:
        before = rolling.get(id(caption))
        cues += caption.cues if before is None else _new(before, caption)
    return replace(transcript, cues=cues)


def _shown(cues: Sequence[Cue]) -> _Shown:
    words: list[str] = []
    lines = [0]
    for cue in cues:
        lines += [len(words) + at for at in cue.breaks if len(words) + at > 0]
        words += [_compared(word) for word in cue.text.split()]
    return _Shown(list(cues), words, lines)


def _compared(word: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKC", word).casefold() if c.isalnum())
    return plain or word


def _overlap(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words at most end the one and begin the other."""
    most = min(len(before), len(after), MOST_WORDS)
    return next((n for n in range(most, 0, -1) if before[-n:] == after[:n]), 0)


def _rolls(before: _Shown, after: _Shown) -> bool:
    """Whether a caption shows the one before again, as rolling ones do."""
    n = _overlap(before.words, after.words)
    new = len(after.words) > n
    line = len(before.words) - n in before.lines
    return n > 0 and (new or (after.held and not before.held)) and (line or n > 2)


def _sure(before: _Shown, after: _Shown) -> bool:
    """Whether one pair of captions is evidence enough: three words at least, as a line of their own again."""
    n = _overlap(before.words, after.words)
    return n > 2 and (n in after.lines or after.held)


def _new(before: _Shown, after: _Shown) -> list[Cue]:
    """The cues of a caption without the words that it carries over."""
    n = _overlap(before.words, after.words)
    if n == len(after.words) and not after.held and len(after.lines) > 1:
        # Lines that are all the same: "no" above "no" after "no" above "no" has moved up by one.
        less = after.lines[-1]
        n = less if before.words[-less:] == after.words[:less] else n
    begins = max(after.start_s, min(before.end_s, after.end_s)) if n else after.start_s
    found: list[Cue] = []
    for cue in after.cues:
        words = cue.text.split()
        gone = min(n, len(words))
        n -= gone
        if words[gone:] or not gone:
            start_s = min(max(cue.start_s, begins), cue.end_s)
            found.append(replace(cue, text=" ".join(words[gone:]), start_s=start_s, breaks=()))
    return found
