"""What one subject says, as a time-aligned transcript: cues of a few words, a pause, the next cue.

Valence (main) shows in the choice of words (`lexicon`), arousal (half strength) in intensifiers against
hedges, in the length of a cue, the rate of the words and the pauses. What it is about, fillers, a favourite
vocabulary and the slips of a recogniser are nuisance. Nobody speaks these words: the synthetic voice has
syllables only, of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusekit.data.synthetic import lexicon, signals
from fusekit.data.synthetic.schedules import Stretch
from fusekit.data.synthetic.settings import FRAME_HZ

WORDS_PER_S = 2.7
OCTAVES_OF_RATE = 0.8
PAUSE_S = (0.5, 1.5)
INTENSITY = 0.8
"""Probability of an intensifier per unit of the arousal that shows; of a hedge the same, downwards."""
MISHEARD, DROPPED = 0.03, 0.02
"""Slips of the recogniser, everywhere."""
SPOILT_SHARE = (1 / 3, 2 / 3, 1.0)
"""Words that a damaged stretch spoils, at strengths 1, 2, 3."""
INAUDIBLE = "[inaudible]"


@dataclass(frozen=True)
class Word:
    """One word, from `start` to `stop` seconds, of cue number `cue`."""

    start: float
    stop: float
    text: str
    cue: int


@dataclass(frozen=True)
class Cue:
    """A line of the transcript, from `start` to `stop` seconds."""

    start: float
    stop: float
    text: str


class Author:
    """Who chooses the words: has a part of each list as own, and a tempo."""

    def __init__(self, rng: np.random.Generator) -> None:
        def some(words: tuple[str, ...], share: float) -> list[str]:
            return [str(word) for word in rng.choice(words, max(2, round(share * len(words))), replace=False)]

        self.graded = [some(words, 0.6) for words in lexicon.BY_GRADE]
        self.strong, self.weak = some(lexicon.STRONG, 0.6), some(lexicon.WEAK, 0.6)
        self.nouns, self.fillers = some(lexicon.NOUNS, 0.5), some(lexicon.FILLERS, 0.4)
        self.words_per_s = WORDS_PER_S * 2 ** rng.normal(0, 0.08)

    def phrase(self, rng: np.random.Generator, valence: float, arousal: float) -> list[str]:
        """Words of one cue in a mood."""
        template = str(rng.choice(lexicon.TEMPLATES))
        if rng.random() < np.clip(0.3 + INTENSITY * arousal, 0.0, 0.9):
            template += " " + str(rng.choice(lexicon.TAILS))
        said: list[str] = []
        for part in template.split():
            if part == "{word}":
                said += self._graded(rng, valence, arousal)
            else:
                pool = {"{noun}": self.nouns, "{filler}": self.fillers}.get(part, [part])
                said += str(rng.choice(pool)).split()
        return said

    def _graded(self, rng: np.random.Generator, valence: float, arousal: float) -> list[str]:
        draw = rng.random()
        strong = np.clip(0.25 + INTENSITY * arousal, 0.0, 1.0)
        weak = np.clip(0.25 - INTENSITY * arousal, 0.0, 1.0)
        before = self.strong if draw < strong else self.weak if draw > 1 - weak else [""]
        grade = int(np.argmin(np.abs(np.array(lexicon.GRADES) - valence - 0.15 * rng.standard_normal())))
        return [*str(rng.choice(before)).split(), str(rng.choice(self.graded[grade]))]


def say(rng: np.random.Generator, who: Author, valence: np.ndarray, arousal: np.ndarray) -> list[Word]:
    """Latents `(frames,)` -> every word that is said, in order of time, none beyond the clip's end."""
    times = np.arange(len(valence)) / FRAME_HZ
    tone = signals.expressed(rng, valence, signals.MAIN, 1)[0]
    force, pace = np.clip(signals.expressed(rng, arousal, signals.HALF, 2), -0.9, 0.9)
    words: list[Word] = []
    now, cue = rng.uniform(0.0, 0.8), 0
    while True:
        shown, quick, strong = (float(np.interp(now + 0.8, times, x)) for x in (tone, pace, force))
        long = 1 / (who.words_per_s * 2 ** (OCTAVES_OF_RATE * quick))
        phrase = who.phrase(rng, shown, strong)
        if now + long * len(phrase) > times[-1]:
            return words
        words += [Word(now + k * long, now + (k + 1) * long, text, cue) for k, text in enumerate(phrase)]
        now += long * len(phrase) + rng.uniform(*PAUSE_S) * 2 ** (-OCTAVES_OF_RATE * quick)
        cue += 1


def hear(rng: np.random.Generator, said: list[Word], stretches: list[Stretch], frames: int) -> list[Cue]:
    """Words as said -> the transcript, with slips, damage, and nothing where it is absent."""
    mine = [(*stretch.seconds, stretch) for stretch in stretches if stretch.modality == "text"]
    other = _Other(rng, frames)
    heard: list[Word] = []
    for word in said:
        over = [stretch for start, stop, stretch in mine if start < word.stop and word.start < stop]
        slip = rng.random()
        text = word.text
        if any(stretch.absent for stretch in over) or slip < DROPPED:
            continue
        if slip < DROPPED + MISHEARD:
            text = _misheard(rng)
        for stretch in over:
            if rng.random() < SPOILT_SHARE[stretch.strength - 1]:
                text = other.word(rng) if stretch.kind == "other" else _SPOIL[stretch.kind](rng, text)
        heard.append(Word(word.start, word.stop, text, word.cue))
    return _cues(heard)


class _Other:
    """Somebody else in the room, in a mood of their own, whose words get into the transcript."""

    def __init__(self, rng: np.random.Generator, frames: int) -> None:
        self._words = [word.text for word in say(rng, Author(rng), *signals.latents(rng, frames))]

    def word(self, rng: np.random.Generator) -> str:
        return self._words[rng.integers(len(self._words))]


def _misheard(rng: np.random.Generator, text: str = "") -> str:
    return str(rng.choice(lexicon.VOCABULARY))


def _missed(rng: np.random.Generator, text: str) -> str:
    return INAUDIBLE


def _garbled(rng: np.random.Generator, text: str) -> str:
    return "".join(rng.permutation(list(text)))


_SPOIL = {"errors": _misheard, "missed": _missed, "garble": _garbled}


def _cues(words: list[Word]) -> list[Cue]:
    """Words -> cues; a cue with a longer hole, where the transcript is absent, becomes two."""
    cues: list[Cue] = []
    group: list[Word] = []
    for word in [*words, None]:
        if group and (word is None or word.cue != group[-1].cue or word.start - group[-1].stop > 1.2):
            text = " ".join(w.text for w in group)
            cues.append(Cue(group[0].start, group[-1].stop, text))
            group = []
        if word is not None:
            group.append(word)
    return cues
