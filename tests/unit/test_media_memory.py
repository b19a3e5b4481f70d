"""Reading sound takes the same memory however long it is, and what fails in one file ends no run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fusekit.contracts import Clip, Reader, Source
from fusekit.data.readers.mel_spectrogram import MelSpectrogram
from fusekit.data.store import PreparedStore, prepare_clips
from fusekit.errors import RecipeError
from fusekit.media import read_audio

MEASURE = """
import resource, sys
from pathlib import Path
from fusekit.contracts import Source
from fusekit.data.readers.mel_spectrogram import MelSpectrogram
reader = MelSpectrogram(mels=8, rate=2000, hop=2048, n_fft=512)
for file in sys.argv[1:]:
    stream = reader.prepare(Source(Path(file)))
    print(float(stream["duration_s"][0]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in kilobytes on Linux alone")
def test_ten_and_sixty_minutes_of_sound_take_the_same_memory(tmp_path: Path) -> None:
    """An hour of these samples would be 29 MB as float32, and several times that while they are analysed."""
    minute = np.random.default_rng(0).integers(-3000, 3000, 60 * 2000).astype(np.int16)
    files = [str(tmp_path / f"{minutes}.wav") for minutes in (10, 60)]
    for path, minutes in zip(files, (10, 60), strict=True):
        with soundfile.SoundFile(path, "w", 2000, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
    words = [sys.executable, "-c", MEASURE, *files]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    seconds, peaks = zip(*(map(float, line.split()) for line in done.stdout.splitlines()), strict=True)
    assert seconds == (600, 3600)
    assert peaks[1] - peaks[0] < 12


@pytest.mark.parametrize("hop", [512, 3000])
def test_a_spectrogram_in_pieces_is_that_of_the_whole(tmp_path: Path, hop: int) -> None:
    """Sound of several blocks; n_fft below and above the hop."""
    sound = np.random.default_rng(0).normal(0, 0.1, 200_001).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 22050, subtype="FLOAT")
    reader = MelSpectrogram(hop=hop, mels=32)
    db = reader.prepare(Source(tmp_path / "a.wav"))["db"]
    whole = read_audio(tmp_path / "a.wav")
    assert len(db) == 1 + len(whole) // hop
    analysis = reader.columns_of()
    at_once = np.concatenate([analysis.push(whole)[0], analysis.finish()[0]])
    assert np.abs(db - at_once).max() <= 1e-5


class Failing(Reader):
    """Raises what it is told to while it reads one file."""

    medium = "audio"

    def __init__(self, fault: BaseException) -> None:
        self.fault, self.raw_shape, self.lookahead_s = fault, (1,), 0.0

    def settings(self) -> dict[str, str]:
        return {"fault": repr(self.fault)}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        if source.path.name == "bad.wav":
            raise self.fault
        return {"duration_s": np.array([1.0])}

    def present(self, stream, times):
        return np.ones(len(times), bool)

    def windows(self, stream, times):
        return np.zeros((len(times), 1), np.float32)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    found = []
    for name in ("bad", "good"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(100, len(name) / 10), 8000)
        found.append(Clip(name, name, {"voice": Source(tmp_path / f"{name}.wav")}, None))
    return found


@pytest.mark.parametrize(
    "fault",
    [
        *(
            MemoryError(),
            ValueError("odd"),
            KeyError("k"),
            ZeroDivisionError(),
            OSError(5, "Input/output error"),
        ),
        *(
            AssertionError(),
            RuntimeError("library"),
            OverflowError(),
            UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
        ),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_whatever_fails_while_one_file_is_read_is_its_fault(
    tmp_path: Path, clips: list[Clip], fault: Exception
) -> None:
    streams, rejected = prepare_clips(clips, {"voice": Failing(fault)}, PreparedStore(tmp_path / "store"))
    assert list(streams) == ["good"]
    assert [r.where for r in rejected] == ["bad"]
    assert "bad.wav" in rejected[0].reason


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), RecipeError("its detector is not there")])
def test_what_concerns_every_file_ends_the_run(
    tmp_path: Path, clips: list[Clip], fault: BaseException
) -> None:
    with pytest.raises(type(fault)):
        prepare_clips(clips, {"voice": Failing(fault)}, PreparedStore(tmp_path / "store"))
