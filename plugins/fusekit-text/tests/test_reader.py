"""The reader: which words stand in a window, when, and as which numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.errors import DataError, RecipeError
from fusekit_text.reader import BAG, TranscriptReader
from fusekit_text.tokens import LARGEST, HashedWords

SAID = "start_s,end_s,text\n0,2,all is\n2,3,well\n7,8,not bad\n"


def number(word: str) -> int:
    (found,) = HashedWords().numbers(word, first=True)
    return found


def heard(
    folder: Path, times: list[float], text: str = SAID, name: str = "a.csv", **settings: object
) -> list[str]:
    """The words of each window, by name, parted by spaces."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    reader = TranscriptReader(length=4, **settings)  # type: ignore[arg-type]
    stream = reader.prepare(Source(path))
    names = {number(w): w for w in ["all", "is", "well", "not", "bad", "my", "friend"]} | {0: ""}
    windows = reader.windows(stream, np.array(times))
    assert windows.dtype == np.float32
    shown = [" ".join(names[int(n)] for n in window).strip() for window in windows]
    assert [bool(s) for s in shown] == reader.present(stream, np.array(times)).tolist()
    return shown


def test_a_word_counts_from_its_end_and_is_forgotten_after_the_window(tmp_path: Path) -> None:
    # "all" ends 4/7 through its cue of two seconds, a space counted to the word before it.
    times = [-1.0, 0.0, 1.1, 1.15, 2.0, 3.0, 4.1, 4.99, 5.0, 6.0, 7.7, 8.0, 9.0, 11.1]
    wanted = [
        "",
        "",
        "",
        "all",
        "all is",
        "all is well",
        "all is well",
        "is well",
        "well",
        "",
        "not",
        "not bad",
    ]
    assert heard(tmp_path, times, window_s=3.0) == [*wanted, "not bad", ""]


def test_lookahead_is_said_and_done(tmp_path: Path) -> None:
    times = np.array([0.0, 1.5, 2.5, 6.0])
    later = heard(tmp_path, times.tolist(), window_s=3.0, lookahead_s=1.0)
    assert later == heard(tmp_path, (times + 1).tolist(), window_s=3.0)
    assert TranscriptReader(lookahead_s=1.0).lookahead_s == 1.0


def test_the_current_sentence_alone(tmp_path: Path) -> None:
    times = [0.5, 2.0, 2.9, 3.0, 6.9, 7.7, 8.0, 17.9, 18.1]
    wanted = ["", "all is", "all is", "well", "well", "not", "not bad", "bad", ""]
    assert heard(tmp_path, times, sentence=True)[:-2] == wanted[:-2]
    assert heard(tmp_path, [17.4, 18.1], sentence=True) == ["not bad", ""]


def test_plain_sentences_one_a_step(tmp_path: Path) -> None:
    lines = "all is well\n\nnot bad\n"
    assert heard(tmp_path, [0, 1, 2], lines, "a.txt") == ["all is well", "", "not bad"]
    assert heard(tmp_path, [0, 1, 2], lines, "a.txt", sentence=False) == [
        "all is well",
        "all is well",
        "is well not bad",
    ]
    assert heard(tmp_path, [0, 0.5, 1], lines, "a.txt", sentence_hz=2.0) == ["all is well", "", "not bad"]


def test_of_too_many_words_the_newest_stay(tmp_path: Path) -> None:
    text = "start_s,end_s,text\n0,6,all is well my friend\n"
    assert heard(tmp_path, [6.0], text) == ["is well my friend"]


def test_of_overlapping_cues_the_newest_words_stay_in_reading_order(tmp_path: Path) -> None:
    text = "start_s,end_s,text\n0,6,all is well my friend\n1,2,not\n1,2,bad\n"
    # "all" ends at 1.09 s, "is" at 1.91, "not" and "bad" at 2, "well" at 3.27, "my" at 4.09.
    assert heard(tmp_path, [2.0, 3.3, 4.1], text) == ["all is not bad", "is well not bad", "well my not bad"]


def test_hashed_words_forget_case_and_marks_but_not_feelings() -> None:
    tokens = HashedWords()
    assert tokens.numbers("“Don’t!”", first=True) == tokens.numbers("don't", first=True) + tokens.numbers(
        "!", first=False
    )
    assert len(tokens.numbers("well-known", first=False)) == 2
    assert tokens.numbers("...", first=False) == []
    assert number("ﬁne") == number("fine")
    assert all(1 <= number(w) <= LARGEST for w in ("a", "b", "漢字", "7"))
    assert float(np.float32(LARGEST)) == LARGEST


TEXT = st.lists(
    st.tuples(
        st.floats(0, 50), st.floats(0, 5), st.lists(st.sampled_from("abcdefg"), min_size=0, max_size=4)
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(TEXT, st.booleans(), st.floats(0, 60))
def test_windows_know_nothing_of_later_words(said: list, sentence: bool, second: float) -> None:
    """Whatever is said after t, the window at t stays, and so does who is present."""
    import tempfile

    reader = TranscriptReader(window_s=4.0, length=6, sentence=sentence)
    with tempfile.TemporaryDirectory() as folder:
        rows = [(start, start + length, " ".join(words)) for start, length, words in said]
        # Cues that begin later may be anything; one that has begun must go on as it was.
        other = [row if row[0] <= second + 1e-5 else (row[0], row[1], "x y z") for row in rows]
        streams = []
        for name, table in (("a.csv", rows), ("b.csv", other)):
            path = Path(folder) / name
            lines = "".join(f"{a},{b},{t}\n" for a, b, t in table)
            path.write_text(f"start_s,end_s,text\n{lines}", encoding="utf-8")
            streams.append(reader.prepare(Source(path)))
    times = np.linspace(0, second, 9)
    a, b = (reader.windows(stream, times) for stream in streams)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(*(reader.present(stream, times) for stream in streams))


def test_pooled_is_a_bag_of_words() -> None:
    windows = np.array([[5, 7, 5, 0], [7, 5, 5, 0], [0, 0, 0, 0]], np.float32)
    bag = TranscriptReader(length=4).pooled(windows)
    assert bag.shape == (3, BAG)
    np.testing.assert_array_equal(bag[0], bag[1])
    np.testing.assert_allclose(bag.sum(axis=1), [1, 1, 0], rtol=1e-6)
    numbers = np.arange(1, 2001, dtype=np.float32)[:, None]
    assert len(np.unique(TranscriptReader(length=1).pooled(numbers).argmax(axis=1))) == BAG


def test_what_changes_the_numbers_changes_the_store(tmp_path: Path) -> None:
    base = TranscriptReader().settings()
    assert TranscriptReader(window_s=3.0, length=9, sentence=True, lookahead_s=1.0).settings() == base
    for changed in (TranscriptReader(sentence_hz=2.0), TranscriptReader(tier="words")):
        assert changed.settings() != base
    with pytest.raises(RecipeError, match=r"folder: '.*' has no tokenizer\.json; save one there"):
        TranscriptReader(folder=tmp_path)
    with pytest.raises(RecipeError, match="is no folder"):
        TranscriptReader(folder=tmp_path / "gone")
    with pytest.raises(RecipeError, match="window_s and sentence_hz must be above 0"):
        TranscriptReader(window_s=0.0)


FILES = {
    "a.csv": SAID,
    "a.tsv": SAID.replace(",", "\t"),
    "a.srt": "1\n00:00:00,000 --> 00:00:02,000\nall is\n\n2\n00:00:07,000 --> 00:00:08,000\nnot bad\n",
    "a.vtt": "WEBVTT\n\n00:00.000 --> 00:02.000\nall<00:01.000> is\n\n00:07.000 --> 00:08.000\nnot bad\n",
    "a.json": '[{"start": 0.0, "end": 2.0, "text": "all is"}, {"start": 7.0, "end": 8.0, "text": "not bad"}]',
    "a.textgrid": '"ooTextFile" "TextGrid" 0 9 <exists> 1 "IntervalTier" "w" 0 9 2 0 2 "all is" 7 8 "bad"',
    "a.txt": "all is\n\nnot bad\n",
    "labels.txt": "0.0\t2.0\tall is\n7.0\t8.0\tnot bad\n",
    "plain.csv": "text\nall is\nwell\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("start_s", [3.0, 0.25, -0.5])
def test_the_manifests_start_moves_all_windows(tmp_path: Path, name: str, start_s: float) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    for reader in (
        TranscriptReader(window_s=2.0),
        TranscriptReader(window_s=2.0, sentence=True, lookahead_s=0.5),
    ):
        here, moved = reader.prepare(Source(path)), reader.prepare(Source(path, start_s=start_s))
        times = np.arange(-1, 14, 0.125)
        np.testing.assert_array_equal(reader.windows(here, times), reader.windows(moved, times + start_s))
        np.testing.assert_array_equal(reader.present(here, times), reader.present(moved, times + start_s))
        assert reader.present(here, times).any()
        assert moved["duration_s"][0] == here["duration_s"][0] + start_s


def test_the_manifests_step_is_the_spacing_of_plain_sentences(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        reader = TranscriptReader(sentence_hz=5.0)
        if name in ("a.txt", "plain.csv"):
            stream = reader.prepare(Source(path, start_s=1.0, step_s=2.5))
            steps = 3 if name == "a.txt" else 2
            assert stream["begin_s"].tolist() == [1 + 2.5 * k for k in range(steps)]
            assert stream["duration_s"][0] == 1 + 2.5 * steps
        else:
            with pytest.raises(
                DataError, match=f"{name}: it has times of its own; leave <modality>_step_s empty"
            ):
                reader.prepare(Source(path, step_s=2.5))


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({"start_s": -30.0}, "it ends at -21 s of the recording"),
        ({"start_s": float("nan")}, "it ends at nan s"),
        ({"start_s": 1e7}, "which must be above 0 and at most 1e.06"),
        ({"boxes": Path("b.csv")}, "words have no boxes"),
    ],
)
def test_fields_of_a_source_that_cannot_be_are_refused(tmp_path: Path, source: dict, wanted: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(SAID, encoding="utf-8")
    with pytest.raises(DataError, match=wanted):
        TranscriptReader().prepare(Source(path, **source))
