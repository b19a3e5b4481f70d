"""Subtitles as programs write them: rolling captions, speakers' names, empty lines within cues."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.errors import DataError
from fusekit_text import cues, rolling, speakers
from fusekit_text.cues import Cue, Transcript
from fusekit_text.reader import TranscriptReader

Lines = tuple[float, float, str]
ROLLING = [
    (0.4, 2.5, "alpha bravo charlie"),
    (2.5, 2.51, "alpha bravo charlie"),
    (2.51, 5.0, "alpha bravo charlie\ndelta echo foxtrot"),
    (5.0, 5.01, "delta echo foxtrot"),
    (5.01, 7.0, "delta echo foxtrot\ngolf hotel"),
]
SPOKEN = "alpha bravo charlie delta echo foxtrot golf hotel"


def clock(t: float) -> str:
    ms = round(t * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def subtitles(folder: Path, shown: list[Lines], suffix: str = ".srt") -> Path:
    path = folder / f"a{suffix}"
    blocks = [f"{k}\n{clock(a)} --> {clock(b)}\n{text}\n" for k, (a, b, text) in enumerate(shown, 1)]
    path.write_text("\n".join((["WEBVTT\n"] if suffix == ".vtt" else []) + blocks), encoding="utf-8")
    return path


def heard(path: Path) -> list[tuple[str, float]]:
    """Word and end, as `prepare` numbers them."""
    reader = TranscriptReader()
    tokens = reader.tokens
    words, _ = cues.words(rolling.once(speakers.apart(reader._read(path))))
    stream = reader.prepare(Source(path))
    ends = [word.end_s for word in words for _ in tokens.numbers(word.text, first=False)]
    assert stream["end_s"].tolist() == ends
    return [(word.text, round(word.end_s, 2)) for word in words]


def said(path: Path) -> str:
    return " ".join(word for word, _ in heard(path))


def test_youtubes_captions_say_each_word_once_at_its_time(tmp_path: Path) -> None:
    path = subtitles(
        tmp_path,
        [
            (0.4, 2.5, " \nalpha<00:00:00.900><c> bravo</c><00:00:01.500><c> charlie</c>"),
            (2.5, 2.51, "alpha bravo charlie\n "),
            (2.51, 5.0, "alpha bravo charlie\ndelta<00:00:03.100><c> echo</c><00:00:04.000><c> foxtrot</c>"),
            (5.0, 5.01, "delta echo foxtrot\n "),
            (5.01, 7.0, "delta echo foxtrot\ngolf<00:00:05.600><c> hotel</c>"),
        ],
        ".vtt",
    )
    ends = [0.9, 1.5, 2.5, 3.1, 4.0, 5.0, 5.6, 7.0]
    assert heard(path) == list(zip(SPOKEN.split(), ends, strict=True))


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
@pytest.mark.parametrize("change", ["as it is", "no holds", "one line", "tags"])
def test_rolling_captions_without_times_of_words(tmp_path: Path, suffix: str, change: str) -> None:
    shown = [row for row in ROLLING if row[1] - row[0] > 0.1] if change == "no holds" else ROLLING
    if change == "one line":
        shown = [(a, b, text.replace("\n", " ")) for a, b, text in shown]
    if change == "tags":
        shown = [(a, b, f"<i>{text}</i>") for a, b, text in shown]
    found = dict(heard(subtitles(tmp_path, shown, suffix)))
    assert " ".join(found) == SPOKEN
    assert (found["charlie"], found["foxtrot"], found["hotel"]) == (2.5, 5.0, 7.0)
    assert 2.51 < found["delta"] < found["echo"] < 5


def test_captions_that_grow_word_by_word(tmp_path: Path) -> None:
    words = SPOKEN.split()
    grown = [(k, k + 1.0, " ".join(words[: k + 1])) for k in range(8)]
    assert heard(subtitles(tmp_path, grown)) == [(word, k + 1.0) for k, word in enumerate(words)]
    at_once = [(0.0, k + 1.0, " ".join(words[: k + 1])) for k in range(8)]
    assert heard(subtitles(tmp_path, at_once)) == [(word, k + 1.0) for k, word in enumerate(words)]


@pytest.mark.parametrize(
    "texts",
    [
        ["no", "no", "no I mean it", "mean it or not"],
        ["yes", "yes", "yes"],
        ["let it be", "let it be", "whisper words", "let it be"],
        ["never never never", "never never never again"],
        ["the cat", "cat food", "food for thought", "I thought so"],
        ["oh no", "oh no no", "well", "all is well", "so it is", "what"],
    ],
)
def test_what_is_said_twice_stays(tmp_path: Path, texts: list[str]) -> None:
    shown = [(float(k), k + 1.0, text) for k, text in enumerate(texts)]
    assert said(subtitles(tmp_path, shown)) == " ".join(texts)
    assert said(subtitles(tmp_path, shown, ".vtt")) == " ".join(texts)


def roll(lines: list[str], held: bool) -> list[Lines]:
    """Lines as rolling captions of two lines show them, two seconds each."""
    shown: list[Lines] = []
    for k, line in enumerate(lines):
        above = [lines[k - 1]] if k else []
        shown.append((2.0 * k, 2.0 * k + 1.99, "\n".join([*above, line])))
        if held:
            shown.append((2.0 * k + 1.99, 2.0 * k + 2, line))
        else:
            shown[-1] = (2.0 * k, 2.0 * k + 2, shown[-1][2])
    return shown


WORDS = st.lists(st.sampled_from(["no", "oh", "well", "yes"]), min_size=1, max_size=3).map(" ".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, min_size=4, max_size=8), st.sampled_from([".srt", ".vtt"]))
def test_within_rolling_captions_too_what_is_said_twice_stays(
    tmp_path: Path, lines: list[str], suffix: str
) -> None:
    lines = ["alpha bravo charlie", *lines]
    assert said(subtitles(tmp_path, roll(lines, held=True), suffix)) == " ".join(lines)


def test_lines_that_are_all_the_same_move_up(tmp_path: Path) -> None:
    lines = ["so it goes", "no no no", "no no no", "no no no", "and on"]
    for held in (True, False):
        assert said(subtitles(tmp_path, roll(lines, held))) == " ".join(lines)


def test_a_name_before_a_colon_is_a_speaker(tmp_path: Path) -> None:
    zoom = [(1, 3, "Ada Example: alpha bravo"), (3.5, 5, "Ben Sample: charlie delta")]
    teams = [(a, b, f"<v {text.replace(': ', '>')}</v>") for a, b, text in zoom]
    wanted = [("alpha", 2.0), ("bravo", 3.0), ("charlie", 4.36), ("delta", 5.0)]
    for suffix, shown in ((".vtt", zoom), (".srt", zoom), (".vtt", teams)):
        path = subtitles(tmp_path, shown, suffix)
        assert heard(path) == wanted
        transcript = speakers.apart(TranscriptReader()._read(path))
        assert [cue.speaker for cue in transcript.cues] == ["Ada Example", "Ben Sample"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["SPEAKER_00: hi there", "SPEAKER_01: yes", "well"] * 2, "hi there yes well " * 2),
        (["[Speaker 1]: hi", "[Speaker 2]: yes"], "hi yes"),
        (["Dr. Ada van Dam: hi", "J.-P. O'Neil (Guest): yes"], "hi yes"),
        (["张三：你好", "李四：再见"], "你好 再见"),
        (
            [">> ADA: hi", "well", "so", "it", "is", "- BEN: oh\n- ADA: what", "ADA: no"],
            "hi well so it is oh what no",
        ),
        (["Ada:\nhi you", "hm", "Ada:\nyes"], "hi you hm yes"),
    ],
)
def test_forms_of_names(tmp_path: Path, texts: list[str], words: str) -> None:
    path = subtitles(tmp_path, [(float(k), k + 1.0, text) for k, text in enumerate(texts)])
    assert said(path).replace("- ", "") == words.strip()


@pytest.mark.parametrize(
    "texts",
    [
        ["Note: this is it", "charlie delta"],
        ["Note: this is it", "Warning: do not"],
        ["Note: this", "well", "Note: that", "so"],
        ["He said: go", "She said: no"],
        ["At 12: 30 we met", "12:30: so it was"],
        ["Remember: never", "again", "and so", "it goes", "on"],
        ["There is one thing: hope", "One thing only: you"],
        ["Step 1: open", "Step 2: close"],
        ["Ada: hi"],
        ["http://x.org: yes", "http://y.org: no"],
    ],
)
def test_other_colons_are_of_the_words(tmp_path: Path, texts: list[str]) -> None:
    path = subtitles(tmp_path, [(float(k), k + 1.0, text) for k, text in enumerate(texts)])
    assert said(path) == " ".join(texts)


def test_an_empty_line_within_a_cue_of_subrip(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(
        "\n1\n\n00:00:01,000 --> 00:00:02,500\nalpha bravo\n\n\ncharlie delta\n\n2\n"
        "00:00:03,000 --> 00:00:04,000\necho\n\n3\n\n00:00:05,000 --> 00:00:06,000\n42\n\n"
        "00:00:07,000 --> 00:00:08,000\nthis --> that\n\n9\n\nlast\n",
        encoding="utf-8",
    )
    found = [(cue.text, cue.start_s, cue.end_s) for cue in TranscriptReader()._read(path).cues]
    assert found == [
        ("alpha bravo charlie delta", 1.0, 2.5),
        ("echo", 3.0, 4.0),
        ("42", 5.0, 6.0),
        ("this --> that 9 last", 7.0, 8.0),
    ]


def test_a_cue_after_a_day_or_with_half_a_fraction_is_refused(tmp_path: Path) -> None:
    for times in ("2700:00:00,000 --> 2700:00:01,000", "00:00:01,5 --> 00:00:02,000"):
        path = tmp_path / "a.srt"
        path.write_text(f"1\n00:00:00,000 --> 00:00:01,000\nx\n\n2\n{times}\ny\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"line 6: .*(a day|is no pair of times)"):
            TranscriptReader().prepare(Source(path))


ROWS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(1, 5000), st.lists(st.sampled_from("abcdefgh"), max_size=4)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_formats_agree_and_times_of_words_never_go_back(tmp_path: Path, rows: list) -> None:
    at, shown = 0, []
    for pause, length, words in rows:
        shown.append(((at + pause) / 1000, (at + pause + length) / 1000, " ".join(words)))
        at += pause + length
    if not any(text for _, _, text in shown):
        return
    srt, vtt = (heard(subtitles(tmp_path, shown, suffix)) for suffix in (".srt", ".vtt"))
    assert srt == vtt
    ends = [end for _, end in srt]
    assert ends == sorted(ends)


def test_sentences_keep_their_order_when_rows_do_not() -> None:
    rows = [Cue("I", 0, 1, "1"), Cue("you", 2, 3, "1"), Cue("see", 1, 2, "1")]
    words, _ = cues.words(Transcript(rows))
    assert [(word.text, word.end_s) for word in words] == [("I", 1), ("see", 2), ("you", 3)]
