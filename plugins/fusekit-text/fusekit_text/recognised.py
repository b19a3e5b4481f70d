"""JSON of speech recognisers: Whisper, whisperX, faster-whisper, whisper.cpp."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusekit.errors import DataError
from fusekit_text.clock import ASK, clock_s, unit_of
from fusekit_text.cues import Cue, Transcript, checked

_Times = tuple[float, float]


def read_json(path: Path, text: str) -> Transcript:
    """`segments` (or a list by itself) of objects with `start`, `end` and `text`, and `words` of their own
    with `word`, `start`, `end`, where they were aligned; or whisper.cpp's `transcription` with `offsets`.

    A segment is a sentence. A word without times, as whisperX leaves numerals, lies between its neighbours'.

    Raises:
        DataError: it is not JSON, not of this form, or has times that cannot be.
    """
    try:
        held = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: this is not JSON ({str(error)[:80] or type(error).__name__})") from error
    if isinstance(held, Mapping) and isinstance(held.get("transcription"), Sequence):
        segments, unit = _list(path, held["transcription"]), "ms"
        times = [_pair(path, segment.get("offsets"), ("from", "to"), k) for k, segment in enumerate(segments)]
    else:
        segments, unit = _list(path, held.get("segments") if isinstance(held, Mapping) else held), None
        times = [_pair(path, segment, ("start", "end"), k) for k, segment in enumerate(segments)]
    said = [_said(path, segment, ("text", "word"), k) for k, segment in enumerate(segments)]
    cells = [str(segment.get(name)) for segment in segments for name in ("start", "end")]  # 1000, not 1000.0
    letters = [len("".join(words.split())) for words in said]
    scale = unit_of(path, cells, [b - a for a, b in times], letters, unit)
    cues: list[Cue] = []
    for k, (segment, (a, b), words) in enumerate(zip(segments, times, said, strict=True)):
        whole = checked(path, 1, a * scale, b * scale)
        speaker = segment.get("speaker")
        name = speaker if isinstance(speaker, str) else ""
        own = segment.get("words")
        if isinstance(own, list) and own and unit is None:
            cues += _words(path, _list(path, own), whole, scale, k, name)
        else:
            cues.append(Cue(" ".join(words.split()), *whole, f"{k}", name))
    return Transcript(cues)


def _list(path: Path, held: object) -> list[Mapping[str, Any]]:
    if not isinstance(held, list) or not held or not all(isinstance(part, Mapping) for part in held):
        raise DataError(
            f"{path}: of JSON, the output of Whisper and its kin is read: `segments`, a list of objects with "
            "start, end and text, and their words. Export SRT, WebVTT or a CSV with start_s, end_s and text."
        )
    return held


def _pair(path: Path, held: object, names: tuple[str, str], k: int) -> _Times:
    found = [_time(held.get(name)) if isinstance(held, Mapping) else None for name in names]
    if found[0] is None or found[1] is None:
        raise DataError(f"{path}: segment {k + 1} has no numbers {names[0]} and {names[1]}. {ASK}, in a CSV.")
    return found[0], found[1]


def _time(value: object) -> float | None:
    if isinstance(value, str):
        return clock_s(value)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else _float(value)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _said(path: Path, held: Mapping[str, Any], names: tuple[str, str], k: int) -> str:
    found = next((held[name] for name in names if name in held), None)
    if not isinstance(found, str):
        raise DataError(f"{path}: segment {k + 1} has no {names[0]}")
    return found


def _words(
    path: Path, words: list[Mapping[str, Any]], whole: _Times, scale: float, k: int, speaker: str
) -> list[Cue]:
    """The words of a segment, each at its own times; those without between their neighbours."""
    found: list[Cue] = []
    waiting: list[str] = []
    at = whole[0]
    for word in words:
        text = _said(path, word, ("word", "text"), k)
        first, last = _time(word.get("start")), _time(word.get("end"))
        if first is None or last is None:
            waiting.append(text)
            continue
        start_s, end_s = checked(path, 1, first * scale, last * scale)
        if waiting:
            found.append(Cue(" ".join(" ".join(waiting).split()), at, max(at, start_s), f"{k}", speaker))
            waiting = []
        found.append(Cue(" ".join(text.split()), start_s, end_s, f"{k}", speaker))
        at = max(at, end_s)
    if waiting:
        found.append(Cue(" ".join(" ".join(waiting).split()), at, max(at, whole[1]), f"{k}", speaker))
    return found
