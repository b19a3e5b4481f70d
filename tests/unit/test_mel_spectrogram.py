"""The reader of sound against librosa, known answers at the edges, and its live form against the prepared
file."""

from __future__ import annotations

import math
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.data.readers.mel_spectrogram import LiveMel, MelSpectrogram
from fusekit.errors import DataError, RecipeError

RATE = 22050


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose level and tilt wander, with a stretch of digital silence from 1.0 to 2.5 s."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    sound = rng.normal(size=len(time)) * 0.1 * (1.1 + np.sin(2 * np.pi * 0.7 * time)) + 0.2 * np.sin(
        2 * np.pi * 300 * time
    )
    sound[(time >= 1.0) & (time < 2.5)] = 0
    return sound.astype(np.float32)


def prepared(folder: Path, sound: np.ndarray, reader: MelSpectrogram) -> dict[str, np.ndarray]:
    path = folder / "sound.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return reader.prepare(Source(path))


@pytest.mark.parametrize("hop", [441, 512])
def test_decibels_are_librosas(tmp_path: Path, hop: int) -> None:
    sound, reader = voice(4.0), MelSpectrogram(hop=hop)
    stream = prepared(tmp_path, sound, reader)
    power = librosa.feature.melspectrogram(
        y=sound.astype(np.float64), sr=RATE, n_fft=2048, hop_length=hop, n_mels=128
    )
    want = librosa.power_to_db(power, ref=np.max, top_db=80)
    got = np.maximum(stream["db"] - stream["peak"][-1], -80).T
    np.testing.assert_allclose(got, want, atol=1e-4)
    assert stream["duration_s"][0] == pytest.approx(4.0)


def test_window_is_the_crop_around_the_step(tmp_path: Path) -> None:
    sound, reader = voice(6.0), MelSpectrogram()
    stream = prepared(tmp_path, sound, reader)
    power = librosa.feature.melspectrogram(y=sound.astype(np.float64), sr=RATE)
    whole = librosa.power_to_db(power, ref=np.max) / 40 + 1
    times = np.array([1.6, 2.0, 3.25, 4.2])
    windows = reader.windows(stream, times)
    assert windows.shape == (4, 3, 128, 128)
    assert windows.dtype == np.float32
    for time, window in zip(times, windows, strict=True):
        centre = round(time * RATE / 512)
        np.testing.assert_allclose(window[0], whole[:, centre - 64 : centre + 64], atol=1e-5)
        np.testing.assert_array_equal(window[1], window[0])
        np.testing.assert_array_equal(window[2], window[0])


def test_tone_lights_its_band_and_click_its_column(tmp_path: Path) -> None:
    reader = MelSpectrogram()
    time = np.arange(5 * RATE) / RATE
    stream = prepared(tmp_path, (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32), reader)
    band = reader.windows(stream, np.array([2.5]))[0, 0].mean(axis=1).argmax()
    assert abs(librosa.mel_frequencies(130, fmax=RATE / 2)[1 + band] - 1000) < 60  # row 0 is the lowest band
    click = np.full(5 * RATE, 1e-4, np.float32) * np.random.default_rng(0).normal(size=5 * RATE).astype(
        np.float32
    )
    click[round(3.0 * RATE)] = 0.9
    stream = prepared(tmp_path, click, reader)
    for time_s, column in ((3.0, 64), (2.5, 64 + 21.5), (3.5, 64 - 21.5)):  # future stands on the right
        heard = reader.windows(stream, np.array([time_s]))[0, 0].mean(axis=0)
        assert abs(heard.argmax() - column) <= 2.5


def test_edges(tmp_path: Path) -> None:
    sound = voice(0.9)
    times = np.array([0.0, 0.4, 0.89])
    floor, edge, reflect = (MelSpectrogram(edges=e) for e in ("floor", "edge", "reflect"))
    stream = prepared(tmp_path, sound, floor)
    count = len(stream["db"])
    whole = np.maximum(stream["db"] - stream["peak"][-1], -80).T / 40 + 1
    for number, centre in enumerate(np.round(times * RATE / 512).astype(int)):
        before, after = 64 - centre, centre + 64 - count
        window = floor.windows(stream, times)[number, 0]
        assert (window[:, :before] == -1).all()
        assert (window[:, 128 - after :] == -1).all()
        np.testing.assert_allclose(window[:, before : 128 - after], whole, atol=1e-5)
        window = edge.windows(stream, times)[number, 0]
        np.testing.assert_allclose(window, np.pad(whole, ((0, 0), (before, after)), mode="edge"), atol=1e-5)
        window = reflect.windows(stream, times)[number, 0]
        np.testing.assert_allclose(
            window, np.pad(whole, ((0, 0), (before, after)), mode="reflect"), atol=1e-5
        )


def test_references(tmp_path: Path) -> None:
    sound = voice(6.0)
    sound[: 3 * RATE] *= 0.01
    file, running, fixed = (MelSpectrogram(reference=r) for r in ("file", "running", "fixed"))
    stream = prepared(tmp_path, sound, file)
    times = np.array([0.5, 4.9])
    quiet, late = file.windows(stream, times)
    np.testing.assert_array_equal(running.windows(stream, times)[1], late)
    assert running.windows(stream, times)[0].max() == 1.0  # relative to what has been heard so far
    assert quiet.max() < 0.1
    np.testing.assert_allclose(
        fixed.windows(stream, times)[:, 0].max(axis=(1, 2)),
        [stream["db"][:86].max() / 40 + 0.5, min(stream["peak"][-1] / 40 + 0.5, 1)],
        atol=1e-5,
    )
    assert file.settings() == running.settings() == fixed.settings()  # one prepared file serves all


def test_level_of_the_file_does_not_matter(tmp_path: Path) -> None:
    reader, sound, times = MelSpectrogram(), voice(3.0), np.array([0.5, 2.8])
    loud = reader.windows(prepared(tmp_path, sound, reader), times)
    quiet = reader.windows(prepared(tmp_path, sound / 8, reader), times)
    assert np.abs(loud - quiet).max() < 1e-4


def test_presence(tmp_path: Path) -> None:
    reader = MelSpectrogram()
    stream = prepared(tmp_path, voice(4.0), reader)
    times = np.array([-0.1, 0.0, 0.9, 1.75, 2.6, 3.9, 4.0, 4.1])
    assert reader.present(stream, times).tolist() == [False, True, True, False, True, True, True, False]
    silent = prepared(tmp_path, np.zeros(2 * RATE, np.float32), reader)
    assert not reader.present(silent, np.arange(0, 2, 0.1)).any()
    assert (reader.windows(silent, np.array([1.0])) == -1).all()
    dither = np.random.default_rng(0).integers(-1, 2, 2 * RATE) / 32768
    assert reader.present(prepared(tmp_path, dither.astype(np.float32), reader), np.array([1.0])).all()


@pytest.mark.parametrize("edges", ["floor", "edge", "reflect"])
@pytest.mark.parametrize("columns", [33, 128])
def test_lookahead_is_exact(tmp_path: Path, edges: str, columns: int) -> None:
    """Sound beyond t + lookahead never shows; sound just before it does for some t."""
    reader = MelSpectrogram(reference="running", edges=edges, columns=columns, mels=32)
    sound = voice(3.6, 1)
    times = np.concatenate(
        [np.zeros(1), np.random.default_rng(2).uniform(0, 2, 1), [(60.5 * 512 - 0.01) / RATE]]
    )
    stream = prepared(tmp_path, sound, reader)
    reached = False
    for time in times:
        before = reader.windows(stream, np.array([time]))
        for margin, may_show in ((1, False), (-300, True)):
            changed = sound.copy()
            changed[int((time + reader.lookahead_s) * RATE) + margin :] += 0.5
            same = np.array_equal(
                reader.windows(prepared(tmp_path, changed, reader), np.array([time])), before
            )
            assert same or may_show
            reached |= not same
    assert reached


@settings(max_examples=25, deadline=None)
@example(
    pieces=[0],
    seconds=3.203125,
    options={"reference": "running", "edges": "reflect", "columns": 8, "hop": 512},
)
@given(
    pieces=st.lists(st.integers(0, 9000), min_size=1, max_size=12),
    seconds=st.floats(0.02, 3.5),
    options=st.fixed_dictionaries(
        {
            "reference": st.sampled_from(["running", "fixed"]),
            "edges": st.sampled_from(["floor", "edge", "reflect"]),
            "columns": st.sampled_from([8, 32, 65]),
            "hop": st.sampled_from([300, 512, 2500]),
        }
    ),
)
def test_live_equals_prepared(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int], seconds: float, options: dict[str, object]
) -> None:
    reader = MelSpectrogram(mels=32, **options)  # type: ignore[arg-type]
    sound = voice(seconds)
    stream = prepared(tmp_path_factory.mktemp("live"), sound, reader)
    times = np.arange(0, seconds, 0.08)
    windows, present = reader.windows(stream, times), reader.present(stream, times)
    pieces = [*pieces, 997]
    live, given_, position, turn = LiveMel(reader), 0, 0, 0
    while position < len(sound):
        size = pieces[turn % len(pieces)]
        live.push(sound[position : position + size])
        position, turn = position + size, turn + 1
        while given_ < len(times) and live.ready(times[given_]):
            assert min(position, len(sound)) / RATE <= times[given_] + reader.lookahead_s + size / RATE
            assert np.abs(live.window(times[given_]) - windows[given_]).max() <= 1e-5
            assert live.present(times[given_]) == present[given_]
            given_ += 1
    live.finish()
    for number in range(given_, len(times)):
        assert np.abs(live.window(times[number]) - windows[number]).max() <= 1e-5
        assert live.present(times[number]) == present[number]


def test_live_is_ready_after_the_lookahead_and_forgets(tmp_path: Path) -> None:
    reader = MelSpectrogram(reference="running")
    live, sound = LiveMel(reader), voice(30.0)
    live.push(sound[: round((1.0 + reader.lookahead_s - 0.03) * RATE)])
    assert not live.ready(1.0)
    with pytest.raises(ValueError, match="more sound"):
        live.window(1.0)
    live.push(
        sound[round((1.0 + reader.lookahead_s - 0.03) * RATE) : round((1.0 + reader.lookahead_s) * RATE) + 1]
    )
    assert live.ready(1.0)
    live.push(sound[round((1.0 + reader.lookahead_s) * RATE) + 1 :])
    live.window(25.0)
    with pytest.raises(ValueError, match="must not go back"):
        live.window(20.0)
    live.finish()
    with pytest.raises(ValueError, match="finished"):
        live.push(sound)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="reference: running"):
        LiveMel(MelSpectrogram())
    with pytest.raises(RecipeError, match="'loud' is none of file, fixed, running"):
        MelSpectrogram(reference="loud")
    with pytest.raises(RecipeError, match="hop or fps"):
        MelSpectrogram(hop=400, fps=25)
    with pytest.raises(RecipeError, match="at least 1"):
        MelSpectrogram(mels=0)
    with pytest.raises(DataError, match="no such file"):
        MelSpectrogram().prepare(Source(tmp_path / "none.wav"))


def test_one_column_per_video_frame(tmp_path: Path) -> None:
    reader = MelSpectrogram(fps=50)
    assert (reader.hop, reader.raw_shape) == (441, (3, 128, 128))
    assert reader.centre(np.arange(10) / 50).tolist() == list(range(10))
    assert MelSpectrogram(reference="running").lookahead_s == pytest.approx((63.5 * 512 + 1024) / RATE)
    assert MelSpectrogram().lookahead_s == math.inf  # the loudest cell of the whole file


def test_a_start_shifts_the_sound_and_a_spacing_is_refused(tmp_path: Path) -> None:
    """A burst 2..3 s into a file of 10 s that starts at 3 s on the clip's clock stands at 5..6 s of 13."""
    sound = np.zeros(10 * 16000, np.float32)
    sound[2 * 16000 : 3 * 16000] = np.random.default_rng(0).normal(0, 0.1, 16000)
    path = tmp_path / "burst.wav"
    soundfile.write(path, sound, 16000)
    reader = MelSpectrogram(rate=16000, columns=8, mels=16, silence_s=0.0)
    times = np.arange(0, 14, 0.5)
    for start_s, heard in ((None, 2.0), (3.0, 5.0), (-1.0, 1.0)):
        stream = reader.prepare(Source(path, start_s=start_s))
        assert stream["duration_s"][0] == 10.0 + (start_s or 0.0)
        assert times[reader.present(stream, times)].tolist() == [heard, heard + 0.5, heard + 1.0]
    with pytest.raises(DataError, match=r"burst\.wav: step_s \(0\.04 s\) is given for sound"):
        reader.prepare(Source(path, step_s=0.04))
