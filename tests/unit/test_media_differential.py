"""Films and sounds of many kinds, frame by frame and sample by sample against FFmpeg's own programs.

They are made by the `ffmpeg` program and read by it and by us, whose FFmpeg is another version. Times agree
within a millisecond, pictures within 3 levels on average, sound in lag (a millisecond) and correlation.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from media_files import PROGRAM, Made, alike, heard, make, shown
from media_kinds import CHANGES, CUT, FILMS, FIRST_ONLY, HURT, JOINED, SOUNDS

from fusekit.errors import DataError
from fusekit.media import probe, read_audio, read_video

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs the ffmpeg program (Debian's package ffmpeg)")

EARLY_S = {("webm-vp9", "webm"): 0.007, ("mka", "mka"): 0.007}
"""By design: Matroska's Opus begins before zero, with samples that no decoder gives. The program shifts the
whole file by them; here the container's zero stays."""
PER_FIELD = {("interlaced", "mpg")}
"""By design: colours of interlaced pictures are converted per field by our newer FFmpeg; their brightness is
compared, and roughly."""
JOINT_S = 0.03
"""By design: at a joint our second film begins where both tracks of the first have ended, the program's where
the track ended whose packet came first."""


def name(made: Made) -> str:
    return f"{made.name}.{made.suffix}"


def compare_pictures(path: Path, made: Made, early_s: float, tolerance_s: float = 1e-3) -> None:
    times, pictures = shown(path, made.sound)
    ours = list(read_video(path))
    assert len(ours) == len(times)
    np.testing.assert_allclose([p.time_s for p in ours], np.array(times) - early_s, rtol=0, atol=tolerance_s)
    for mine, theirs in zip(ours, pictures, strict=True):
        assert mine.rgb.shape == theirs.shape
        a, b = mine.rgb.astype(np.float64), theirs.astype(np.float64)
        if (made.name, made.suffix) in PER_FIELD:
            assert np.abs(a.mean(axis=2) - b.mean(axis=2)).mean() <= 6
        else:
            assert np.abs(a - b).mean() <= 3


def compare_sound(path: Path, made: Made, early_s: float) -> None:
    rate = probe(path).sample_rate
    theirs = heard(path, rate, made.film)[round(early_s * rate) :]
    ours = read_audio(path, rate)
    lag, correlation = alike(ours, theirs)
    assert abs(lag) <= rate / 1000
    assert correlation > 0.99
    assert abs(len(ours) - len(theirs)) <= 0.05 * rate


@pytest.mark.parametrize("made", [*FILMS, *SOUNDS], ids=name)
def test_pictures_and_sound_are_those_of_ffmpeg(tmp_path: Path, made: Made) -> None:
    path = make(made, tmp_path)
    early_s = EARLY_S.get((made.name, made.suffix), 0.0)
    if made.film:
        compare_pictures(path, made, early_s)
    if made.sound:
        compare_sound(path, made, early_s)


@pytest.mark.parametrize("made", JOINED, ids=name)
def test_two_files_joined_are_read_whole(tmp_path: Path, made: Made) -> None:
    """Of the sound, each half is held against the program's reading of the single file."""
    path = make(made, tmp_path)
    single = tmp_path / f"single.{made.suffix}"
    single.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if made.film:
        if made.suffix in ("ts", "mpg"):
            compare_pictures(path, made, 0.0, JOINT_S)
        times = [p.time_s for p in read_video(path)]
        once = [p.time_s for p in read_video(single)]
        assert len(times) == 2 * len(once)
        assert np.diff(times).min() > 0
        assert times[-1] == pytest.approx(2 * once[-1] + 0.04, abs=0.15)
    if made.sound:
        rate = probe(single).sample_rate
        theirs, ours = heard(single, rate, made.film), read_audio(path, rate)
        assert len(ours) / rate == pytest.approx(2 * len(theirs) / rate, abs=0.15)
        for begin in (0, len(ours) - len(theirs)):
            lag, _ = alike(ours[begin : begin + len(theirs)], theirs)
            assert abs(lag) <= JOINT_S * rate
            # The first frames behind a joint of MP3 files lean on what is not theirs.
            settled = rate // 4
            assert alike(ours[begin + lag + settled :], theirs[settled:])[1] > 0.97


@pytest.mark.parametrize("parts", CHANGES, ids=lambda parts: "-".join(map(name, parts)))
def test_rate_and_channels_may_change_on_the_way(tmp_path: Path, parts: tuple[Made, Made]) -> None:
    files = [make(part, tmp_path) for part in parts]
    path = tmp_path / f"changing.{parts[0].suffix}"
    path.write_bytes(b"".join(file.read_bytes() for file in files))
    theirs, ours = [heard(file, 16000, others=False) for file in files], read_audio(path, 16000)
    assert len(ours) / 16000 == pytest.approx(sum(map(len, theirs)) / 16000, abs=0.15)
    begin = 0
    for part in theirs:
        piece = ours[begin : begin + len(part)]
        lag, _ = alike(piece, part)
        assert abs(lag) <= 0.1 * 16000  # an encoder's lead at the joint
        settled = 4000
        assert alike(ours[begin + lag + settled :][: len(part) - settled], part[settled:])[1] > 0.97
        begin += len(part)


@pytest.mark.parametrize("made", FIRST_ONLY, ids=name)
def test_joined_files_of_which_a_decoder_sees_the_first_alone_are_refused(tmp_path: Path, made: Made) -> None:
    path = make(made, tmp_path)
    with pytest.raises(DataError, match="several files are joined in one"):
        read_audio(path)


@pytest.mark.parametrize("made", CUT, ids=name)
def test_a_file_that_was_cut_is_a_fault(tmp_path: Path, made: Made) -> None:
    path = make(made, tmp_path)
    with pytest.raises(DataError, match=path.name):
        read_audio(path)
    if made.film:
        with pytest.raises(DataError, match=path.name):
            list(read_video(path))


@pytest.mark.parametrize("made", HURT, ids=name)
def test_a_damaged_file_is_read_or_a_fault_of_its_own(tmp_path: Path, made: Made) -> None:
    """Never anything but what is there, at most about as long as it was, or a `DataError`."""
    path = make(made, tmp_path)
    reads = [lambda: len(read_audio(path, 16000)) / 16000, lambda: probe(path).duration_s]
    if made.film:
        reads.append(lambda: max(p.time_s for p in read_video(path)))
    for read in reads:
        found_s = 0.0
        with contextlib.suppress(DataError):
            found_s = read()
        assert found_s < 3
