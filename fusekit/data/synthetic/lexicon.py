"""The words of the synthetic transcripts, made up for this purpose: plain English, graded in valence by hand.

The grades are a convention of this corpus, not a norm of any population.
"""

from __future__ import annotations

GRADES = (-0.8, -0.4, 0.0, 0.4, 0.8)
"""Valence of the five lists of `BY_GRADE`."""

BY_GRADE: tuple[tuple[str, ...], ...] = (
    ("awful", "terrible", "horrible", "dreadful", "hopeless", "cruel", "miserable", "hateful", "tragic",
     "disgusting", "ruined", "heartbreaking", "vile", "bitter"),
    ("bad", "sad", "dull", "annoying", "boring", "tired", "lonely", "unfair", "clumsy", "gloomy", "worried",
     "disappointing", "messy", "poor"),
    ("usual", "plain", "ordinary", "normal", "average", "typical", "regular", "common", "similar", "standard",
     "even", "medium", "routine", "familiar"),
    ("good", "nice", "pleasant", "fine", "friendly", "calm", "helpful", "tidy", "cheerful", "handy", "gentle",
     "sunny", "warm", "pretty"),
    ("wonderful", "great", "brilliant", "lovely", "delightful", "amazing", "joyful", "perfect", "excellent",
     "splendid", "beautiful", "fantastic", "glorious", "superb"),
)  # fmt: skip

STRONG = ("really", "so", "very", "absolutely", "totally", "extremely", "incredibly", "completely")
"""Intensifiers: more of them with arousal."""
WEAK = ("a bit", "rather", "slightly", "somewhat", "kind of", "sort of", "more or less", "a little")
"""Hedges: more of them without."""

NOUNS = ("day", "walk", "meeting", "house", "garden", "train", "lunch", "story", "film", "letter", "shop",
         "trip", "phone", "room", "street", "table", "office", "window", "market", "lesson", "kitchen",
         "game", "river", "visit")  # fmt: skip
FILLERS = ("well", "you know", "i mean", "um", "uh", "anyway", "like", "and then", "so then", "right", "okay",
           "i guess")  # fmt: skip

TEMPLATES = (
    "the {noun} was {word}",
    "it was a {word} {noun}",
    "i felt {word} about the {noun}",
    "{filler} the {noun} looked {word}",
    "they said it was {word}",
    "{filler} that {noun} seems {word} to me",
    "we had a {word} {noun} there",
    "everything in the {noun} was {word}",
)
"""What a cue says; `{word}` comes from `BY_GRADE`."""
TAILS = ("and {word}", "and {word} too", "a {word} one")
"""What an aroused speaker adds."""

VALENCE = {
    word: grade for grade, words in zip(GRADES, BY_GRADE, strict=True) for word in words if grade != 0.0
}
"""`{word: valence}` of the words that tell something."""
VOCABULARY = tuple(
    sorted(
        {
            part
            for words in (*BY_GRADE, STRONG, WEAK, NOUNS, FILLERS)
            for word in words
            for part in word.split()
        }
    )
)
"""Every word that a recogniser may hear by mistake."""


def score(text: str) -> float:
    """Mean valence of the graded words of a text, NaN if there is none."""
    found = [VALENCE[word] for word in text.split() if word in VALENCE]
    return sum(found) / len(found) if found else float("nan")
