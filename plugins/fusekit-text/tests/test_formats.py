"""Parsers of transcripts: what they understand, what they refuse and how."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fusekit.contracts import Source
from fusekit.errors import DataError
from fusekit_text import cues
from fusekit_text.reader import TranscriptReader

SRT = """\
1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> there,
old {\\an8}friend!

2
00:01:00,250 --> 00:01:01,000 X1:40 X2:600 Y1:20 Y2:50
a < b &amp; c
"""
VTT = """\
WEBVTT - made by hand
Kind: captions

NOTE
not a cue --- at all

STYLE
::cue { color: red }

first
00:01.000 --> 00:04.000 align:start position:0%
<v Ann>Hello <c.loud>there</c></v>

01:00:00.000 --> 01:00:02.000
one <01:00:00.500>two <01:00:01.500>three four
"""
LONG = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 6.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 6.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2.25
            text = "say ""ah"" 3"
        intervals [3]:
            xmin = 2.25
            xmax = 6.5
            text = "<sil>"
    item [2]:
        class = "TextTier"
        name = "bells"
        xmin = 0
        xmax = 6.5
        points: size = 1
        points [1]:
            number = 3
            mark = "ding"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 6.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 6.5
            text = "a"
"""
SHORT = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n6.5\n<exists>\n1\n"IntervalTier"\n"words"\n0\n'
    '6.5\n3\n0\n1\n""\n1\n2.25\n"say ""ah"" 3"\n2.25\n6.5\n"<sil>"\n'
)


def read(folder: Path, name: str, text: str | bytes, **settings: object) -> cues.Transcript:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return TranscriptReader(**settings)._read(path)  # type: ignore[arg-type]


def told(transcript: cues.Transcript) -> list[tuple[str, float, float]]:
    return [(c.text, round(c.start_s, 6), round(c.end_s, 6)) for c in transcript.cues if c.text]


def refusal(folder: Path, name: str, text: str | bytes, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, name, text, **settings)
    assert str(folder / name) in str(caught.value)
    return str(caught.value)


def test_subrip(tmp_path: Path) -> None:
    wanted = [("Hello there, old friend!", 1.0, 2.5), ("a < b & c", 60.25, 61.0)]
    assert told(read(tmp_path, "a.srt", SRT)) == wanted
    # Byte order mark, line ends of Windows and old Macs, UTF-16, no blank line and no numbers: all the same.
    assert told(read(tmp_path, "b.srt", "\ufeff" + SRT.replace("\n", "\r\n"))) == wanted
    assert told(read(tmp_path, "c.srt", SRT.replace("\n", "\r"))) == wanted
    assert told(read(tmp_path, "d.srt", SRT.encode("utf-16"))) == wanted
    assert told(read(tmp_path, "e.SRT", SRT.replace("\n\n", "\n"))) == wanted
    assert (
        told(read(tmp_path, "f.srt", SRT.replace("1\n00:00:01", "00:00:01").replace(",000 -->", ".000 -->")))
        == wanted
    )


def test_webvtt_and_the_times_of_its_words(tmp_path: Path) -> None:
    transcript = read(tmp_path, "a.vtt", VTT)
    assert told(transcript) == [
        ("Hello there", 1.0, 4.0),
        ("one", 3600.0, 3600.5),
        ("two", 3600.5, 3601.5),
        ("three four", 3601.5, 3602.0),
    ]
    words, begins = cues.words(transcript)
    assert [w.sentence for w in words] == [0, 0, 1, 1, 1, 1]
    assert begins == [2.5, 3600.5]


def test_a_line_of_spaces_does_not_end_a_webvtt_cue(tmp_path: Path) -> None:
    youtube = (
        "WEBVTT\nKind: captions\nLanguage: en\n\n"
        "00:00:00.160 --> 00:00:02.389 align:start position:0%\n \nhello<00:00:00.480><c> everyone</c>\n\n"
        "00:00:02.389 --> 00:00:03.000 align:start position:0%\nwell\n \n\n"
    )
    assert told(read(tmp_path, "a.vtt", youtube)) == [
        ("hello", 0.16, 0.48),
        ("everyone", 0.48, 2.389),
        ("well", 2.389, 3.0),
    ]


@pytest.mark.parametrize(
    "before", ["NOTE 5\n", "STYLE\n", "REGION of interest\n", "NOTE a\nb\n", "NOTE a --> b\n\n"]
)
def test_times_make_a_webvtt_cue_whatever_stands_before_them(tmp_path: Path, before: str) -> None:
    text = f"WEBVTT\n\n{before}00:01.000 --> 00:02.000\nhello\n"
    assert told(read(tmp_path, "a.vtt", text)) == [("hello", 1.0, 2.0)]


def test_a_break_parts_words_and_other_tags_do_not(tmp_path: Path) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nhe<i>ll</i>o<br>there<BR />you\n"
    assert told(read(tmp_path, "a.srt", text)) == [("hello there you", 1.0, 2.0)]


@pytest.mark.parametrize("text", [LONG, SHORT, LONG.replace("\n", "\r\n"), LONG.encode("utf-16")])
def test_textgrid(tmp_path: Path, text: str | bytes) -> None:
    transcript = read(tmp_path, "a.TextGrid", text, tier="words")
    assert told(transcript) == [('say "ah" 3', 1.0, 2.25)]
    assert cues.duration(transcript) == 6.5


def test_the_short_form_as_old_praats_write_it(tmp_path: Path) -> None:
    old = SHORT.replace('"ooTextFile"', '"ooTextFile short"').replace("Object class = ", "")
    assert told(read(tmp_path, "a.TextGrid", old)) == [('say "ah" 3', 1.0, 2.25)]


def test_the_tier_of_a_textgrid_is_chosen_by_name(tmp_path: Path) -> None:
    assert told(read(tmp_path, "a.textgrid", SHORT)) == [('say "ah" 3', 1.0, 2.25)]
    assert told(read(tmp_path, "b.textgrid", LONG, tier="phones")) == [("a", 0.0, 6.5)]
    assert "it has 'words', 'phones'. Give the reader `tier: NAME`" in refusal(tmp_path, "c.textgrid", LONG)
    message = refusal(tmp_path, "d.textgrid", LONG, tier="bells")
    assert "no interval tier 'bells'; it has 'words', 'phones' ('bells' is a tier of points)" in message


def test_tables(tmp_path: Path) -> None:
    timed = 'start_s,end_s,text,speaker\n0.5,1,"one,\ntwo",A\n\n2,3.5,,B\n1,2,three,B\n'
    assert told(read(tmp_path, "a.csv", timed)) == [("one, two", 0.5, 1.0), ("three", 1.0, 2.0)]
    words = "\ufeffword,start_s,end_s,sentence\r\nI,0,1,1\r\nsee,1,2,1\r\nyou,2,3,2\r\n"
    found, begins = cues.words(read(tmp_path, "b.csv", words))
    assert [(w.text, w.end_s, w.sentence) for w in found] == [("I", 1, 0), ("see", 2, 0), ("you", 3, 1)]
    assert begins == [1, 3]
    plain = read(tmp_path, "c.csv", 'id,text\n1,All is well.\n2,"And ""now""?"\n', sentence_hz=2.0)
    assert told(plain) == [("All is well.", 0.0, 0.5), ('And "now"?', 0.5, 1.0)]
    assert not plain.timed


def test_plain_sentences_stand_at_one_step_each(tmp_path: Path) -> None:
    transcript = read(tmp_path, "a.txt", "One two.\n\nThree.\n\n")
    assert [c.text for c in transcript.cues] == ["One two.", "", "Three.", ""]
    words, begins = cues.words(transcript)
    assert [(w.text, w.end_s) for w in words] == [("One", 0), ("two.", 0), ("Three.", 2)]
    assert begins == [0, 1, 2, 3]
    assert cues.duration(transcript) == 4  # the last line is empty, and has a label none the less


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ('text\nOne.\n""\nTwo.\n', 3),
        ("text\nOne.\n\nTwo.\n\n", 4),
        ("id,text\n1,One.\n,\n3,Two.\n,\n", 4),
    ],
)
def test_an_empty_row_among_plain_sentences_keeps_its_step(tmp_path: Path, text: str, lasts: int) -> None:
    transcript = read(tmp_path, "a.csv", text)
    assert told(transcript) == [("One.", 0.0, 1.0), ("Two.", 2.0, 3.0)]
    assert cues.duration(transcript) == lasts


def test_words_of_a_cue_are_spread_over_it_by_length() -> None:
    words, begins = cues.words(cues.Transcript([cues.Cue("a bbb cc", 10.0, 19.0)]))
    assert [w.end_s for w in words] == [12.0, 16.0, 19.0]
    assert begins == [12.0]


def test_cues_out_of_order_and_overlapping_are_read_by_their_beginning() -> None:
    late, early = cues.Cue("b c", 4.0, 6.0), cues.Cue("a", 0.0, 5.5)
    words, begins = cues.words(cues.Transcript([late, early]))
    assert [(w.text, w.end_s, w.sentence) for w in words] == [("a", 5.5, 0), ("b", 5.0, 1), ("c", 6.0, 1)]
    assert begins == [5.5, 5.0]


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        (
            "a.srt",
            "1\n00:00:02,000 --> 00:00:01,000\nx\n",
            "line 2: the end, 1 s, lies before the start, 2 s",
        ),
        (
            "a.srt",
            "1\n-00:00:02,000 --> 00:00:01,000\nx\n",
            "line 2: '-00:00:02,000 --> 00:00:01,000' is no pair",
        ),
        (
            "a.srt",
            "1\n00:61:02,000 --> 00:99:01,000\nx\n",
            "line 2: '00:61:02,000 --> 00:99:01,000' is no pair",
        ),
        ("a.srt", "Hello\n", "line 1: 'Hello' stands outside a cue"),
        ("a.srt", "lost words\n" + SRT, "line 1: 'lost words' stands outside a cue"),
        ("a.srt", "\n\n", "there is no cue in it"),
        ("a.srt", "", "the file is empty"),
        ("a.srt", b"\xff\xfe\x00", "this is not text in UTF-8"),
        ("a.srt", b"1\x00", "it holds zero bytes"),
        ("a.srt", "caf\xe9".encode("latin-1"), "this is not text in UTF-8"),
        ("a.vtt", SRT, "line 1: a WebVTT file begins with WEBVTT"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\na <00:03.000>b\n", "line 4: the time <00:03.000>"),
        ("a.textgrid", SHORT[:120], "the TextGrid ends where"),
        (
            "a.textgrid",
            SHORT.replace("2.25", "0.25", 1),
            "line 17: the end, 0.25 s, lies before the start, 1 s",
        ),
        (
            "a.textgrid",
            SHORT.replace("\n1\n2.25", "\n-1\n2.25"),
            "line 17: the times -1 to 2.25 must be seconds",
        ),
        (
            "a.textgrid",
            SHORT.replace('"IntervalTier"', "7"),
            "line 8: a tier's class should stand here, found",
        ),
        ("a.textgrid", b"ooBinaryFile\x08TextGrid" + struct.pack(">dd", 0.0, 6.5), "in binary form"),
        ("a.textgrid", b"ooBinaryFile\x08TextGrid" + struct.pack(">dd", 0.1, 6.7), "in binary form"),
        ("a.textgrid", "hello", "the TextGrid ends where ooTextFile should follow"),
        ("a.csv", "start_s,end_s,text\n1,2,a\n3,2,b\n", "line 3: the end, 2 s, lies before the start, 3 s"),
        ("a.csv", "start_s,end_s,text\n-1,2,a\n", "line 2: the times -1 to 2 must be seconds"),
        ("a.csv", "start_s,end_s,text\n0,1e9,a\n", "line 2: the times 0 to 1e+09 must be seconds"),
        ("a.csv", "start_s,end_s,text\nnan,2,a\n", "line 2: the times nan to 2"),
        ("a.csv", "start_s,end_s,text\nsoon,2,a\n", "line 2, column start_s: 'soon' is no number of seconds"),
        ("a.csv", "start_s,end_s,text\n1,2\n", "line 2 has 2 cells, the header has 3"),
        ("a.csv", "start_s,text\n1,a\n", "found start_s, text"),
        ("a.csv", "words\na\n", "has the columns start_s, end_s and text (or word)"),
        ("a.csv", "text,text\na,b\n", "column 'text' is there twice"),
        ("a.csv", 'text\n"a\n', "this is not CSV"),
        ("a.csv", "text\n", "there is no row below the header"),
        ("a.txt", "\n \n", "no line of it has a word"),
        ("a.doc", "words", "a transcript's name ends in .srt, .vtt"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, name: str, text: str | bytes, wanted: str
) -> None:
    assert wanted in refusal(tmp_path, name, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.srt: cannot be read: No such file"):
        TranscriptReader().prepare(Source(tmp_path / "gone.srt"))
