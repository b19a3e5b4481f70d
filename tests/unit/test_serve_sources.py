"""Which file serves which modality, media or not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from fusekit.cli.app import app
from fusekit.contracts import Reader, Source, Stream
from fusekit.data.readers.mel_spectrogram import MelSpectrogram
from fusekit.errors import DataError, RunError
from fusekit.serve.sources import find_sources, mediums, modality_of
from fusekit.serve.streaming import live


class Table(Reader):
    medium: ClassVar[str] = "ecg"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".edf")
    raw_shape, lookahead_s = (1,), 0.0

    def settings(self) -> dict[str, Any]:
        return {}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        return {"duration_s": np.ones(1)}

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.ones(len(times), bool)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.zeros((len(times), 1), np.float32)


class Words(Table):
    medium: ClassVar[str] = "text"
    suffixes: ClassVar[tuple[str, ...]] = (".srt", ".csv")


VOICE, ECG, TEXT = MelSpectrogram(), Table(), Words()
READERS: dict[str, Reader] = {"voice": VOICE, "ecg": ECG, "text": TEXT}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.full(4000, 0.1), 8000)
    for name in ("a.edf", "a.srt", "a.csv"):
        (tmp_path / name).write_text("1")
    return tmp_path


def test_one_file_serves_every_modality_that_it_holds(files: Path) -> None:
    found = find_sources(files / "a.wav", READERS, None)
    assert list(found.given) == ["voice"]
    assert found.absent == {"ecg": "a.wav has no ecg", "text": "a.wav has no text"}
    assert found.sound == files / "a.wav"
    found = find_sources(files / "a.edf", READERS, None)
    assert list(found.given) == ["ecg"]
    assert found.absent["voice"] == "a.edf has no sound"
    assert (found.video, found.sound) == (None, None)


def test_named_files_join_the_one_that_serves_the_rest(files: Path) -> None:
    found = find_sources({"": files / "a.wav", "ecg": files / "a.edf"}, READERS, None)
    assert {m: s.path.name for m, s in found.given.items()} == {"voice": "a.wav", "ecg": "a.edf"}
    assert found.absent == {"text": "a.wav has no text"}
    found = find_sources({"ecg": files / "a.csv"}, READERS, None)
    assert found.absent["voice"] == "no file was given for it"


def test_a_suffix_tells_the_modality_unless_two_share_it(files: Path) -> None:
    assert modality_of(Path("b.EDF"), READERS) == "ecg"
    assert modality_of(Path("b.srt"), READERS) == "text"
    with pytest.raises(DataError, match="ecg and text both read .csv; write MODALITY=b.csv"):
        modality_of(Path("b.csv"), READERS)
    with pytest.raises(DataError, match="no modality of this run is known by .xml; write MODALITY="):
        modality_of(Path("b.xml"), READERS)


def test_a_file_that_two_modalities_could_read_is_not_given_to_both(files: Path) -> None:
    with pytest.raises(DataError, match="a.csv: ecg and text both read .csv; write MODALITY="):
        find_sources(files / "a.csv", READERS, None)
    # Where one is named the other is meant; where both were read from one column, both are.
    found = find_sources({"": files / "a.csv", "text": files / "a.srt"}, READERS, None)
    assert {m: s.path.name for m, s in found.given.items()} == {"ecg": "a.csv", "text": "a.srt"}
    found = find_sources(files / "a.csv", READERS, None, {"ecg": "table", "text": "table"})
    assert list(found.given) == ["ecg", "text"]


def test_what_cannot_be_opened_is_told_with_what_could(files: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; name video or sound or ecg \(.csv, .edf\) or text"):
        mediums(files / "gone.csv", READERS)
    (files / "noise.xyz").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"not a ecg \(.csv, .edf\) file that can be decoded"):
        mediums(files / "noise.xyz", {"ecg": ECG})
    (files / "empty.edf").touch()
    with pytest.raises(DataError, match="0 bytes"):
        mediums(files / "empty.edf", READERS)
    with pytest.raises(DataError, match="nothing to predict from: ecg: a.wav has no ecg"):
        find_sources(files / "a.wav", {"ecg": ECG}, None)


def test_a_reader_of_the_whole_file_cannot_stream_and_says_so() -> None:
    class Whole(Table):
        lookahead_s = math.inf

    with pytest.raises(RunError, match=r"cannot stream: modalities\.ecg\.reader: Whole needs the whole file"):
        live("ecg", Whole())


def test_check_prints_that_a_run_cannot_stream() -> None:
    said = CliRunner().invoke(app, ["check", "demo", "modalities.voice.reader.reference=file"])
    assert "voice: each window needs the whole file: cannot stream" in said.output.replace("\n", " ")
    args = ["check", "demo", "modalities.voice.reader.reference=file", "--json"]
    told = json.loads(CliRunner().invoke(app, args).output, parse_constant=pytest.fail)
    assert told["lookahead_s"] == {"face": 0.0, "voice": None}
