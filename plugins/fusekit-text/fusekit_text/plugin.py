"""What this package offers to recipes. Light: neither torch nor numpy is loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusekit.hookspecs import Register, hookimpl

if TYPE_CHECKING:
    from fusekit.testing import Case


@hookimpl
def register_components(register: Register) -> None:
    """Reader, encoders and degradation of words."""
    register(
        "reader",
        "transcript",
        "fusekit_text.reader:TranscriptReader",
        "words of a transcript (SRT, WebVTT, TextGrid, CSV) or of plain sentences",
    )
    register(
        "encoder",
        "hashed-words",
        "fusekit_text.hashed:HashedWordsEncoder",
        "small encoder of words, no download",
    )
    register(
        "encoder",
        "transformer-text",
        "fusekit_text.transformer:TransformerText",
        "any transformer of sentences, by folder or name",
    )
    register(
        "degradation",
        "recognizer-errors",
        "fusekit_text.damage:RecognizerErrors",
        "words left out, mistaken and doubled, as speech recognisers do",
    )


def conformance_cases() -> list[Case]:
    """What `fusekit.testing` must know to check these components."""
    from fusekit_text import cases

    return cases.cases()
