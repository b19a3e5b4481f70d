"""Plain sentences: each keeps its step, and nothing else is taken for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusekit.contracts import Source
from fusekit.errors import DataError
from fusekit_text.reader import TranscriptReader


def sentences(folder: Path, name: str, text: str) -> list[str]:
    path = folder / name
    path.write_bytes(text.encode())
    TranscriptReader().prepare(Source(path))
    transcript = TranscriptReader()._read(path)
    assert not transcript.timed
    assert [cue.start_s for cue in transcript.cues] == list(range(len(transcript.cues)))
    return [cue.text for cue in transcript.cues]


def test_no_line_is_lost_or_won(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r", "\r\r\n"):
        lines = ["", "One.", "", "Two.", "", ""]
        assert sentences(tmp_path, "a.txt", "".join(line + end for line in lines)) == lines
    assert sentences(tmp_path, "a.txt", "One.\nTwo.") == ["One.", "Two."]
    assert sentences(tmp_path, "a.csv", "text\n\nOne.\n\n\n") == ["", "One.", "", ""]


def test_clocks_and_numbers_that_somebody_says_stay(tmp_path: Path) -> None:
    text = "We met at 12:30.\nAll is well.\n7 of us came.\n3 left.\n10:15 it was.\nYes.\n"
    assert sentences(tmp_path, "a.txt", text) == text.splitlines()
    counted = ["1. One.", "2. Two.", "3. Three."]
    assert sentences(tmp_path, "a.txt", "\n".join(counted)) == counted
    assert sentences(tmp_path, "b.csv", "text\n10 came.\n20 left.\n") == ["10 came.", "20 left."]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[00:01.000 --> 00:02.500]  alpha\n", "lines of times with -->"),
        ("1\n00:00:01,000 --> 00:00:02,500\nalpha\n", "lines of times with -->"),
        ("0:01\nalpha bravo\n0:03\ncharlie\n", "time stamps, as in '0:01', which nobody says"),
        ("0:01 alpha bravo\n\n0:03 charlie\n", "may be times|time stamps"),
        ("[0:01] alpha bravo\n", "time stamps"),
        ("00;00;01;00 - 00;00;02;15\nAda\nalpha\nbravo\n", "time stamps, as in '00;00;01;00 - 00;00;02;15'"),
        ("00:00:01:00 00:00:02:15\nalpha\nbravo\ncharlie\ndelta\n", "time stamps"),
        ("Ada (00:01):\nalpha bravo\nBen (00:03):\ncharlie\n", "time stamps"),
        ("Ada Example  0:03\nhello there.\nBen Sample  0:10\nyes\n", "time stamps"),
        ("1.0 2.5 alpha bravo\n3.0 4.0 charlie\n", "begin with numbers that may be times"),
        ("1.0;2.5;alpha bravo\n3.0;4.0;charlie\n", "begin with numbers that may be times"),
        ("1000 alpha bravo\n3000 charlie\n", "begin with numbers that may be times"),
        ("[1.0] alpha bravo\n[3.0] charlie\n", "begin with numbers that may be times"),
        ("a\t00:01.0\t1.0\talpha\na\t00:03.0\t3.0\tbravo\n", "tabs part each of its lines into 4 cells"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nx\n", r"this is WebVTT: let its name end in \.vtt"),
        ("{\\rtf1\\ansi hello}", "rich text"),
        ('{"segments": []}', r"JSON: let its name end in \.json"),
        ('[{"start": 1, "end": 2, "text": "a"}]', r"JSON: let its name end in \.json"),
        ("[Script Info]\nTitle: x\n", "SubStation"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    ],
)
def test_what_is_no_plain_sentences_is_refused(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        sentences(tmp_path, "a.txt", text)


@pytest.mark.parametrize("text", [" " * 10**6 + "a", ">" + " " * 10**6 + "a", "[ " * 10**5, "1:00 " * 10**5])
def test_a_long_line_is_read_or_refused_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{text}\n", encoding="utf-8")
    TranscriptReader().prepare(Source(path))  # patterns that look twice at each space would take hours


def test_time_stamps_in_a_column_of_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="time stamps"):
        sentences(tmp_path, "a.csv", "text\n[00:01] One.\n[00:05] Two.\n")


def test_files_that_are_no_transcripts(tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(9 * 2**20)
    (tmp_path / "folder.txt").mkdir()
    wide = tmp_path / "wide.csv"
    wide.write_text(2 * (",".join(map(str, range(300_000))) + "\n"), encoding="utf-8")
    cell = tmp_path / "cell.csv"
    cell.write_text(f'text\n"{"a" * 200_000}"\n', encoding="utf-8")
    wanted = {"large.csv": "9 MiB is no transcript", "folder.txt": "a folder", "wide.csv": "300000 columns"}
    for name, said in {**wanted, "cell.csv": "field larger than"}.items():
        with pytest.raises(DataError, match=said) as caught:
            TranscriptReader().prepare(Source(tmp_path / name))
        assert len(str(caught.value)) < 1000, name
    many = tmp_path / "many.srt"
    many.write_text("1\n00:00:01,000 --> 00:00:02,000\n" + 600_000 * "a ", encoding="utf-8")
    with pytest.raises(DataError, match="600000 words or cues are too many for one recording"):
        TranscriptReader().prepare(Source(many))
    for code in ("utf-16-le", "utf-32"):
        path = tmp_path / "code.srt"
        path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nx\n".encode(code))
        with pytest.raises(DataError, match="holds zero bytes. Save it as UTF-8"):
            TranscriptReader().prepare(Source(path))
