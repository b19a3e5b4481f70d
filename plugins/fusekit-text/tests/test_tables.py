"""Tables of times and words: whatever their columns are named, in the right unit, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusekit.contracts import Source
from fusekit.errors import DataError
from fusekit_text import cues
from fusekit_text.reader import TranscriptReader

SAID = [("alpha", 1.75), ("bravo", 2.5), ("charlie", 4.0)]


def heard(folder: Path, name: str, text: str, **settings: object) -> list[tuple[str, float]]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    reader = TranscriptReader(**settings)  # type: ignore[arg-type]
    reader.prepare(Source(path))
    transcript = reader._read(path)
    assert transcript.timed
    return [(word.text, round(word.end_s, 6)) for word in cues.words(transcript)[0]]


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("start,end,text", 1),
        ("begin,end,text", 1),
        ("onset,offset,word", 1),
        ("from,to,content", 1),
        ("tmin,tmax,text", 1),
        ("Start Time (s),End Time (s),Transcript", 1),
        ("time_s,end_s,text", 1),
        ("start,end,sentence", 1),
        ("start,end,text", 1000),  # whole numbers, as Whisper writes them
        ("start_ms,end_ms,text", 1000),
        ("startMs,endMs,text", 1000),
        ("start (ms),end (ms),utterance", 1000),
        ("Begin Time - msec,End Time - msec,Annotation", 1000),
    ],
)
def test_names_of_columns_and_their_unit(tmp_path: Path, header: str, unit: int) -> None:
    times = [f"{t * unit:g}" for t in (1, 2.5, 3, 4)]
    rows = [[times[0], times[1], "alpha bravo"], [times[2], times[3], "charlie"]]
    for name, mark in (("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t"), ("d.txt", "\t"), ("e.txt", ",")):
        text = "".join(mark.join(row) + "\n" for row in [header.split(","), *rows])
        assert heard(tmp_path, name, text) == SAID


def test_lengths_clocks_decimal_commas_and_tiers(tmp_path: Path) -> None:
    assert heard(tmp_path, "a.csv", "onset,duration,text\n1,1.5,alpha bravo\n3,1,charlie\n") == SAID
    clocks = "start,end,text\n00:01,0:00:02.5,alpha bravo\n00:00:03.000,00:04,charlie\n"
    assert heard(tmp_path, "b.csv", clocks) == SAID
    assert heard(tmp_path, "c.csv", "start;end;text\n1,0;2,5;alpha bravo\n3;4;charlie\n") == SAID
    praat = "tmin,tier,text,tmax\n1,w,alpha bravo,2.5\n1,p,a,1.2\n3,w,charlie,4\n"
    assert heard(tmp_path, "d.csv", praat, tier="w") == SAID
    for tier, wanted in ((None, "which tier holds the words"), ("x", "no tier 'x'; it has 'w', 'p'")):
        with pytest.raises(DataError, match=wanted):
            heard(tmp_path, "d.csv", praat, tier=tier)


def test_audacitys_label_tracks(tmp_path: Path) -> None:
    text = "1.000000\t2.500000\talpha bravo\n\\\t100.0\t200.0\n3.000000\t4.000000\tcharlie\n"
    assert heard(tmp_path, "a.txt", text) == SAID
    assert heard(tmp_path, "b.txt", text.replace(".", ",")) == SAID
    assert heard(tmp_path, "c.txt", "1000\t2500\talpha bravo\n3000\t4000\tcharlie\n") == SAID
    assert heard(tmp_path, "d.txt", "1.5\t1.5\tpoint\n2.0\t2.5\t\n") == [("point", 1.5)]
    with pytest.raises(DataError, match="line 3: in a label track each line has a start"):
        heard(tmp_path, "e.txt", text.replace("3.000000\t", ""))


WORDS = '"words":[{"word":" alpha","start":1.0,"end":1.75},{"word":" bravo","start":1.8,"end":2.5}]'


@pytest.mark.parametrize(
    "text",
    [
        f'{{"text":"...","segments":[{{"start":1.0,"end":2.5,"text":" alpha bravo",{WORDS}}},'
        '{"start":3.0,"end":4.0,"text":" charlie","words":[]}]}',
        '[{"start":1000,"end":2500,"text":"alpha bravo"},{"start":3000,"end":4000,"text":"charlie"}]',
        '{"transcription":[{"offsets":{"from":1000,"to":2500},"text":" alpha bravo"},'
        '{"offsets":{"from":3000,"to":4000},"text":"charlie"}]}',
    ],
)
def test_json_of_recognisers(tmp_path: Path, text: str) -> None:
    assert heard(tmp_path, "a.json", text) == SAID


def test_a_word_without_times_lies_between_its_neighbours(tmp_path: Path) -> None:
    words = '[{"word":"in","start":1.0,"end":1.2},{"word":"1999"},{"word":"we","start":2.0,"end":2.5},'
    words += '{"word":"4"}]'
    text = f'{{"segments":[{{"start":1.0,"end":2.9,"text":"in 1999 we 4","words":{words}}}]}}'
    assert heard(tmp_path, "a.json", text) == [("in", 1.2), ("1999", 2.0), ("we", 2.5), ("4", 2.9)]


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        (
            "a.csv",
            "time,text\n1.0,alpha bravo\n3.0,charlie\n",
            r"found time, text\. Write the columns start_s",
        ),
        ("a.csv", "duration,text\n1.0,alpha\n", "found duration, text"),
        ("a.csv", "when,text\n1.0,alpha\n3.0,charlie\n", "'when' may hold times.* Write the columns start_s"),
        ("a.csv", "t0,t1,text\n1,2,alpha\n3,4,charlie\n", "column 't0' may hold times"),
        ("a.csv", "x,text\n0:01,alpha\n", "column 'x' may hold times"),
        ("a.csv", "1.0,2.5,alpha bravo\n3,4,charlie\n", "found 1.0, 2.5, alpha bravo"),
        ("a.csv", "start_frame,end_frame,text\n25,60,a\n", "'start_frame' counts frames or samples"),
        ("a.csv", "start,end,text\n0,60,hello\n60,120,you\n", "their unit is in doubt"),
        ("a.csv", "start,end,text\n1000.5,2500.5,hello\n", "are they milliseconds"),
        ("a.csv", "start,end,text\n1,1,hello\n", "does not say the unit"),
        ("a.csv", "start,end,text\n1,,hello\n", "line 2, column end: '' is no number"),
        ("a.csv", "start,end,text\n0:01:02:10,0:01:03:05,a\n", "'0:01:02:10' is no number"),
        ("a.csv", "start_s,end_s,text\n1000,2500,alpha bravo\n", "say seconds.* Are they milliseconds"),
        (
            "a.csv",
            "start_ms,end_ms,text\n1,2.5,alpha bravo\n",
            "If they are seconds, name the columns start_s",
        ),
        ("a.csv", "start_s,end_s,text\n1e5,1.1e5,a b c d\n", "from 0 to 86400 .a day.; correct them"),
        ("a.json", "[" * 100000, "this is not JSON"),
        ("a.json", '{"segments": 3}', "the output of Whisper and its kin is read"),
        ("a.json", '{"segments":[{"start":1e999,"end":2,"text":"a"}]}', "the times inf to 2"),
        (
            "a.json",
            '{"segments":[{"start":true,"end":2,"text":"a"}]}',
            "segment 1 has no numbers start and end",
        ),
        ("a.json", '{"segments":[{"start":1,"end":2}]}', "segment 1 has no text"),
    ],
)
def test_times_that_are_not_known_are_refused(tmp_path: Path, name: str, text: str, wanted: str) -> None:
    with pytest.raises(DataError, match=wanted) as caught:
        heard(tmp_path, name, text)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    "header", ["id,text", "row,text", "text,valence,arousal", ",text", "speaker,text", "number,text"]
)
def test_columns_that_are_no_times_leave_sentences_plain(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    rows = [{"text": "One."}, {"text": "Two."}]
    lines = [
        ",".join(row.get(name, str(3 * k + 2)) for name in header.split(",")) for k, row in enumerate(rows)
    ]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    if header.startswith(","):
        path.write_text(f"{header}\n0,One.\n1,Two.\n", encoding="utf-8")
    transcript = TranscriptReader()._read(path)
    assert not transcript.timed
    assert [cue.text for cue in transcript.cues] == ["One.", "Two."]
