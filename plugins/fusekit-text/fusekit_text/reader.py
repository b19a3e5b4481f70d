"""Reader of words: what has been said up to each step, as numbers of words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fusekit.contracts import Reader, Source, Stream
from fusekit.errors import DataError, RecipeError
from fusekit_text import cues, rolling, speakers
from fusekit_text.files import SUFFIXES, read_transcript
from fusekit_text.tokens import FolderTokens, HashedWords, Tokens, TokenShape, folder_of

FORMAT = 3
"""Raised whenever the same file becomes other numbers."""
BAG = 512
LONGEST_S = 1e6
"""Of a recording; only plain sentences, one at each step, may get so far."""
_CLOCK = 1e-6  # seconds; 3 * 0.1 s is a hair later than a word's end at 0.3 s, and that is heard


class TranscriptReader(Reader):
    """Words with times -> `(length,)` float32 numbers of words per step, in reading order, then 0.

    Files: SubRip (.srt), WebVTT (.vtt), Praat TextGrid, CSV or TSV `start_s,end_s,text` (and what Whisper,
    whisperX, ELAN and others name these), JSON of Whisper's kin, Audacity's label tracks (.txt); and plain
    sentences, a .txt with one a line or a CSV with `text` alone: sentence k stands at step k. UTF-8 or
    UTF-16.
    Words that rolling captions show again are said once (`rolling.once`), speakers' names before a colon are
    no words (`speakers.apart`).

    The manifest's `<modality>_start_s` is when in the recording the file's second 0 is: all times move by it.
    `<modality>_step_s` is the spacing of plain sentences, before `sentence_hz`; a file with times refuses it.

    The window of a step at t holds the words of the last `window_s` seconds, each counted from the moment it
    ends. Where a cue of several words does not say when each is spoken, they are spread evenly over it by
    length (so within a cue these guessed times lean on its end and its later words). Of more than `length`
    numbers the newest are kept.

    Args:
        window_s: words that ended longer ago are forgotten.
        sentence: of these only the words of the sentence (cue, interval, line) that is being said, or was
            last; None: so for plain sentences, not for files with times.
        length: numbers in a window.
        lookahead_s: count words that end so much later, too; 0 is causal.
        sentence_hz: plain sentences per second; the recipe's `target.step_hz` makes each one step.
        tier: interval tier of a TextGrid, or of a table with a column `tier`; None: its only one.
        folder: number words by the tokenizer in this folder of a model; None: by hashing.
        model: by that of a model on the Hugging Face hub, instead.
        download: fetch it from there when the hub's cache on this machine has it not.

    Raises:
        RecipeError: lengths that cannot be, or no such folder or model; MissingExtraError: of the extra
            `transformers`, with `model`.
    """

    medium: ClassVar[str] = "text"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    absence: ClassVar[str] = "no word was said in its window"

    def __init__(
        self,
        *,
        window_s: float = 10.0,
        sentence: bool | None = None,
        length: int = 64,
        lookahead_s: float = 0.0,
        sentence_hz: float = 1.0,
        tier: str | None = None,
        folder: Path | None = None,
        model: str | None = None,
        download: bool = False,
    ) -> None:
        if window_s <= 0 or sentence_hz <= 0 or lookahead_s < 0 or length < 1:
            raise RecipeError(
                "transcript: window_s and sentence_hz must be above 0, lookahead_s from 0, length from 1"
            )
        self.window_s, self.sentence, self.length, self.lookahead_s = window_s, sentence, length, lookahead_s
        self.sentence_hz, self.tier = sentence_hz, tier
        found = folder_of(folder, model, download)
        self.tokens: Tokens = HashedWords() if found is None else FolderTokens(found)
        self.raw_shape = TokenShape.of(length, self.tokens)

    def settings(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens.name,
            "sentence_hz": self.sentence_hz,
            "tier": self.tier,
            "format": FORMAT,
        }

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """`number (n,)` int32 of each token in reading order, `end_s (n,)` float64 when it is heard,
        `sentence (n,)` int32; `begin_s (S,)` from when each sentence is the current one; `timed (1,)` bool,
        `duration_s (1,)`."""
        shift_s = 0.0 if source.start_s is None else source.start_s
        transcript = self._read(source.path, source.step_s)
        if source.step_s is not None and transcript.timed:
            raise DataError(
                f"{source.path}: it has times of its own; leave <modality>_step_s empty in the manifest, "
                "which is the spacing of plain sentences"
            )
        if source.boxes is not None:
            raise DataError(f"{source.path}: words have no boxes; leave <modality>_boxes empty")
        cues.check_count(source.path, transcript)
        transcript = rolling.once(speakers.apart(transcript))
        lasts = shift_s + cues.duration(transcript)
        if not 0 < lasts <= LONGEST_S:
            raise DataError(
                f"{source.path}: it ends at {lasts:g} s of the recording, which must be above 0 and at most "
                f"{LONGEST_S:g}; correct its times, or <modality>_start_s and _step_s in the manifest"
            )
        said, begins = cues.words(transcript)
        number: list[int] = []
        word: list[int] = []
        for i, own in enumerate(said):
            found = self.tokens.numbers(own.text, first=i == 0)
            number += found
            word += [i] * len(found)
        return {
            "number": np.array(number, np.int32),
            "end_s": np.array([said[i].end_s for i in word], np.float64) + shift_s,
            "sentence": np.array([said[i].sentence for i in word], np.int32),
            "begin_s": np.array(begins, np.float64) + shift_s,
            "timed": np.array([transcript.timed]),
            "duration_s": np.array([lasts]),
        }

    def _read(self, path: Path, step_s: float | None = None) -> cues.Transcript:
        if step_s is not None and not (0 < step_s < math.inf):
            raise DataError(
                f"{path}: <modality>_step_s must be a number of seconds above 0, found {step_s:g}"
            )
        return read_transcript(path, self.sentence_hz if step_s is None else 1 / step_s, self.tier)

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """True where at least one word stands in the window."""
        return np.array([len(rows) > 0 for rows in self._rows(stream, times)], bool)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, length)` float32 numbers, 0 behind them."""
        found = np.zeros((len(times), self.length), np.float32)
        for window, rows in zip(found, self._rows(stream, times), strict=True):
            # The last in time: where cues overlap these are not the last in reading order.
            newest = np.sort(rows[np.argsort(stream["end_s"][rows], kind="stable")[-self.length :]])
            window[: len(newest)] = stream["number"][newest]
        return found

    def _rows(self, stream: Stream, times: np.ndarray) -> list[np.ndarray]:
        """Which tokens stand in the window of each time, in reading order."""
        end, sentence, begin = stream["end_s"], stream["sentence"], stream["begin_s"]
        alone = not bool(stream["timed"][0]) if self.sentence is None else self.sentence
        heard = np.asarray(times, np.float64) + (self.lookahead_s + _CLOCK)
        order, sentences = np.argsort(end, kind="stable"), np.argsort(begin, kind="stable")
        first = np.searchsorted(end[order], heard - self.window_s, side="right")
        last = np.searchsorted(end[order], heard, side="right")
        # Of two that begin together, which only overlapping cues do, the later one in the file.
        current = np.searchsorted(begin[sentences], heard, side="right") - 1
        found = []
        for a, b, now in zip(first, last, current, strict=True):
            rows = np.sort(order[a:b])
            if alone:
                rows = rows[sentence[rows] == (sentences[now] if now >= 0 else -1)]
            found.append(rows)
        return found

    def pooled(self, windows: np.ndarray) -> np.ndarray:
        """`(n, length)` -> `(n, 512)`: share of the words that fall into each of 512 bins, by hashing."""
        numbers = windows.astype(np.int64)
        # Knuth's multiplicative hash: numbers of a vocabulary stand close together.
        column = (numbers * 2654435761 % 2**32) * BAG >> 32
        bag = np.zeros((len(windows), BAG), np.float32)
        rows, places = np.nonzero(numbers)
        np.add.at(bag, (rows, column[rows, places]), 1.0)
        return bag / np.maximum(bag.sum(axis=1, keepdims=True), 1.0)
