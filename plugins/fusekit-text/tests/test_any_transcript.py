"""Transcripts of any content: what is written in a format is read from it, and no file does anything else."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.errors import DataError
from fusekit_text import cues
from fusekit_text.reader import TranscriptReader

WORD = st.text(st.sampled_from("abcxyzäßñ漢é0123456789'.,!?"), min_size=1, max_size=8).filter(
    lambda w: not w.isdigit()
)
TIMES = st.tuples(st.integers(0, 10_000_000), st.integers(0, 30_000))
CUES = st.lists(
    st.tuples(TIMES, st.lists(st.lists(WORD, min_size=1, max_size=4), min_size=1, max_size=3)),
    min_size=1,
    max_size=8,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
CODES = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Given = list[tuple[tuple[int, int], list[list[str]]]]


def clock(ms: int, point: str) -> str:
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def expected(given_cues: Given) -> list[tuple[str, float, float]]:
    return [
        (" ".join(w for line in lines for w in line), start / 1000, (start + length) / 1000)
        for (start, length), lines in given_cues
    ]


@quick
@given(CUES, ENDS, CODES, st.booleans(), st.booleans())
def test_subtitles_survive_writing_and_reading(
    tmp_path: Path, given_cues: Given, end: str, code: str, tags: bool, web: bool
) -> None:
    blocks = ["WEBVTT"] if web else []
    for i, ((start, length), lines) in enumerate(given_cues):
        said = end.join(" ".join(f"<i>{w}</i>" if tags else w for w in line) for line in lines)
        point, more = (".", " align:start") if web else (",", "")
        times = f"{clock(start, point)} --> {clock(start + length, point)}{more}"
        blocks.append(f"{i + 1}{end}{times}{end}{said}")
    data = (end * 2).join(blocks) + end
    _reads(tmp_path / ("a.vtt" if web else "a.srt"), data.encode(code), expected(given_cues))


@quick
@given(CUES, ENDS, CODES, st.booleans())
def test_textgrids_survive_writing_and_reading(
    tmp_path: Path, given_cues: Given, end: str, code: str, long: bool
) -> None:
    rows = expected(given_cues)
    lasts = max(stop for _, _, stop in rows)
    lines = [
        '"ooTextFile"',
        '"TextGrid"',
        "0",
        f"{lasts}",
        "<exists>",
        "1",
        '"IntervalTier"',
        '"w"',
        "0",
        f"{lasts}",
    ]
    lines.append(str(len(rows)))
    for text, start, stop in rows:
        quoted = text.replace('"', '""')
        lines += (
            [f"xmin = {start}", f"xmax = {stop}", f'text = "{quoted}"']
            if long
            else [
                str(start),
                str(stop),
                f'"{quoted}"',
            ]
        )
    _reads(tmp_path / "a.textgrid", end.join(lines).encode(code), rows)


def _reads(path: Path, data: bytes, wanted: list[tuple[str, float, float]]) -> None:
    path.write_bytes(data)
    transcript = TranscriptReader()._read(path)
    assert [(c.text, round(c.start_s, 6), round(c.end_s, 6)) for c in transcript.cues if c.text] == wanted
    _sound(transcript)


def _sound(transcript: cues.Transcript) -> None:
    """Words in times: each within its cue, in order within a sentence, and all of them there."""
    words, begins = cues.words(transcript)
    assert sorted(w.text for w in words) == sorted(w for cue in transcript.cues for w in cue.text.split())
    for i in range(len(begins)):
        ends = [w.end_s for w in words if w.sentence == i]
        assert ends == sorted(ends)
        assert begins[i] == ends[0]
    assert all(w.end_s <= cues.duration(transcript) for w in words)


PIECES = st.sampled_from(
    [
        "1",
        "-->",
        " --> ",
        "00:00:01,000",
        "00:00:00.500",
        "\n",
        "\n\n",
        "WEBVTT",
        "NOTE",
        "<i>",
        "<00:01.000>",
        '"',
    ]
    + [
        "ooTextFile",
        "TextGrid",
        '"ooTextFile" "TextGrid" 0 5 <exists> 1 ',
        '"IntervalTier"',
        " 0 ",
        " -3 ",
        "1e400",
    ]
    + [
        "start_s,end_s,text",
        "text",
        ",",
        "nan",
        "9" * 30,
        "²",
        "\ufeff",
        "&#x110000;",
        "a",
        "\x00",
        "\x85",
        "\u2028",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([".srt", ".vtt", ".textgrid", ".csv", ".txt"]),
    st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=25).map("".join),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_whatever_a_file_holds_it_is_read_or_refused(
    tmp_path: Path, suffix: str, text: str, code: str
) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(text.encode(code, "replace"))
    fault = ""
    try:
        stream = TranscriptReader().prepare(Source(path))
    except DataError as error:
        fault = str(error)
    if fault:
        assert str(path) in fault
        return
    assert 0 < stream["duration_s"][0] <= 2e7
    assert (stream["number"] > 0).all()
    assert len(stream["number"]) == len(stream["end_s"]) == len(stream["sentence"])
