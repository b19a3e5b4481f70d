"""A transcript file of any format, by its suffix."""

from __future__ import annotations

from pathlib import Path

from fusekit.errors import DataError
from fusekit_text.cues import Transcript, decoded
from fusekit_text.plain import read_lines
from fusekit_text.recognised import read_json
from fusekit_text.subtitles import read_srt, read_vtt
from fusekit_text.tables import is_table, read_csv, read_labels
from fusekit_text.textgrid import read_textgrid

SUFFIXES = (".srt", ".vtt", ".textgrid", ".csv", ".tsv", ".json", ".txt")


def read_transcript(path: Path, sentence_hz: float, tier: str | None) -> Transcript:
    """What a file says and when, as it has it. A `.txt` is a table or a label track if it looks like one,
    else sentences.

    Raises:
        DataError: no such file, not text, not of its suffix's format, or a suffix of none.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: a transcript's name ends in {', '.join(SUFFIXES)}, which tells its format")
    text = decoded(path)
    match suffix:
        case ".srt":
            return read_srt(path, text)
        case ".vtt":
            return read_vtt(path, text)
        case ".textgrid":
            return read_textgrid(path, text, tier)
        case ".json":
            return read_json(path, text)
        case ".csv" | ".tsv":
            return read_csv(path, text, sentence_hz, tier)
    if is_table(text):
        return read_csv(path, text, sentence_hz, tier)
    return read_labels(path, text) or read_lines(path, text, sentence_hz)
