"""Media on one clock: pictures with their own times, sound in step with them, faults told apart."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from fusekit.errors import DataError
from fusekit.media import probe, read_audio, read_video

SHARED = Path(os.environ.get("FUSEKIT_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
BITS = 6


def coded(number: int) -> np.ndarray:
    """64 x 96 frame whose columns spell `number` in black and white bars."""
    bars = [(number >> bit) & 1 for bit in range(BITS)]
    return (
        np.repeat(np.array(bars, np.uint8)[None, :, None] * 255, 16, axis=1)
        .repeat(64, axis=0)
        .repeat(3, axis=2)
    )


def decoded(rgb: np.ndarray) -> int:
    return sum(1 << bit for bit in range(BITS) if rgb[32, bit * 16 + 8].mean() > 127)


def write_video(
    path: Path,
    frames: list[np.ndarray],
    times_ms: list[int] | None = None,
    sound: np.ndarray | None = None,
    sound_start_ms: int = 0,
    codec: str = "libx264",
    audio_codec: str = "aac",
    options: dict[str, str] | None = None,
) -> Path:
    """Frames at `times_ms` (default: 25 per second), mono `sound (n,)` at 48 kHz beginning at
    `sound_start_ms`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            codec, rate=25, options={"bf": "2", "g": "30"} if codec == "libx264" else {}
        )
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        tick = Fraction(1, 25 if path.suffix in (".avi", ".mpg") else 1000)  # the rate of these is their tick
        video.codec_context.time_base = tick
        audio = None
        if sound is not None:
            audio = container.add_stream(audio_codec, rate=48000)
            audio.layout = "mono"
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = times_ms[index] if times_ms else index * Fraction(1, 25) // tick
            frame.time_base = tick
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and sound is not None:
            block = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
            block.sample_rate, block.time_base = 48000, Fraction(1, 48000)
            block.pts = sound_start_ms * 48
            container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_every_frame_comes_once_in_order_at_its_time(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"bars{suffix}", [coded(i) for i in range(40)])
    pictures = list(read_video(path))
    assert [decoded(p.rgb) for p in pictures] == list(range(40))
    np.testing.assert_allclose([p.time_s for p in pictures], np.arange(40) / 25, atol=1e-9)
    assert pictures[0].rgb.shape == (64, 96, 3)
    assert pictures[0].rgb.dtype == np.uint8


def test_variable_rate_keeps_each_frames_own_time(tmp_path: Path) -> None:
    gaps = np.random.default_rng(0).integers(15, 180, size=49)
    times = [0, *np.cumsum(gaps).tolist()]
    path = write_video(tmp_path / "vfr.mkv", [coded(i) for i in range(50)], times)
    pictures = list(read_video(path))
    assert [decoded(p.rgb) for p in pictures] == list(range(50))
    np.testing.assert_allclose([p.time_s for p in pictures], np.array(times) / 1000, atol=1e-9)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("start_ms", [0, 400])
def test_click_and_flash_coincide(tmp_path: Path, suffix: str, start_ms: int) -> None:
    """A click 1.2 s into the film, whatever the sound track's own start, is at the white frame's time."""
    frames = [np.full((64, 64, 3), 255 if i == 30 else 0, np.uint8) for i in range(60)]
    sound = np.zeros(48000 * 2, np.float32)
    at = round((1.2 - start_ms / 1000) * 48000)
    sound[at : at + 48] = 0.9
    path = write_video(tmp_path / f"flash{suffix}", frames, None, sound, start_ms)
    flash = next(p.time_s for p in read_video(path) if p.rgb.mean() > 127)
    heard = read_audio(path, 22050)
    click = float(np.abs(heard).argmax() / 22050)
    assert abs(click - flash) < 0.02  # half a frame
    if suffix != ".ts":
        assert flash == pytest.approx(1.2)


def test_late_sound_is_padded_with_silence(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=48000).astype(np.float32) * 0.1
    path = write_video(
        tmp_path / "late.mkv", [coded(i) for i in range(50)], None, noise, 500, audio_codec="flac"
    )
    heard = read_audio(path, 48000)
    assert len(heard) == 72000
    assert not heard[:24000].any()
    np.testing.assert_allclose(heard[24000:], noise, atol=1e-4)


def test_avi_with_b_frames_is_evenly_spaced(tmp_path: Path) -> None:
    """AVI stores no display times; the stamps of its B-frames run back and forth."""
    path = write_video(tmp_path / "bars.avi", [coded(i) for i in range(40)])
    pictures = list(read_video(path))
    assert [decoded(p.rgb) for p in pictures] == list(range(40))
    np.testing.assert_allclose(np.diff([p.time_s for p in pictures]), 0.04, atol=1e-9)


def test_corpus_overrides_container_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [coded(i) for i in range(5)])
    pictures = list(read_video(path, start_s=0.1, step_s=0.24))
    np.testing.assert_allclose([p.time_s for p in pictures], 0.1 + 0.24 * np.arange(5))
    assert pictures[-1].span_s == 0.24
    assert [p.time_s for p in read_video(path, start_s=2.0)] == pytest.approx(list(2 + np.arange(5) / 25))


def test_turned_phone_video_stands_upright(tmp_path: Path) -> None:
    """The matrix in an mp4's track header says: turn the picture by a quarter clockwise."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = 255  # top left
    path = write_video(tmp_path / "phone.mp4", [picture] * 3)
    raw = bytearray(path.read_bytes())
    matrix = raw.index(b"tkhd") + 4 + 40
    one = 1 << 16
    values = [0, one, 0, -one, 0, 0, 0, 0, 1 << 30]
    raw[matrix : matrix + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    path.write_bytes(bytes(raw))
    upright = next(read_video(path)).rgb
    assert upright.shape == (96, 64, 3)
    assert upright[10, 50].mean() > 200  # top right now
    assert upright[10, 10].mean() < 50


@pytest.mark.parametrize(
    ("suffix", "rate"), [(".wav", 22050), (".wav", 16000), (".flac", 48000), (".ogg", 44100), (".mp3", 44100)]
)
def test_sound_keeps_pitch_length_and_level(tmp_path: Path, suffix: str, rate: int) -> None:
    time = np.arange(rate * 2) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    path = tmp_path / f"tone{suffix}"
    soundfile.write(path, np.stack([tone, np.zeros_like(tone)], axis=1), rate)
    heard = read_audio(path, 22050)
    assert heard.dtype == np.float32
    assert len(heard) / 22050 == pytest.approx(2.0, abs=0.06)  # mp3 pads to whole frames
    middle = heard[11025:33075]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * 22050 / len(middle) == pytest.approx(440, abs=1)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.25 / np.sqrt(2), rel=0.03)  # mean of both channels


def test_resampling_has_no_delay(tmp_path: Path) -> None:
    click = np.zeros(48000)
    click[24000] = 0.9
    soundfile.write(tmp_path / "click.wav", click, 48000)
    assert np.abs(read_audio(tmp_path / "click.wav", 22050)).argmax() == 11025


def test_sound_from_wav_and_from_container_agree(tmp_path: Path) -> None:
    noise = (np.random.default_rng(1).normal(size=48000) * 0.1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, 48000)
    path = write_video(tmp_path / "a.mkv", [coded(i) for i in range(25)], None, noise, audio_codec="flac")
    np.testing.assert_allclose(read_audio(path), read_audio(tmp_path / "a.wav"), atol=2e-4)


def test_wrong_suffix_is_sorted_out(tmp_path: Path) -> None:
    noise = (np.random.default_rng(1).normal(size=48000) * 0.1).astype(np.float32)
    path = write_video(tmp_path / "a.mkv", [coded(1)], None, noise, audio_codec="flac").rename(
        tmp_path / "a.wav"
    )
    assert len(read_audio(path, 48000)) == 48000


def bad_files(folder: Path) -> dict[str, Path]:
    noise = np.random.default_rng(0).bytes(30000)
    files = {"missing": folder / "missing.mp4", "folder": folder / "sub.mp4"}
    files["folder"].mkdir()
    for name, content in {"empty": b"", "noise": noise, "text": b"clip,subject\n"}.items():
        files[name] = folder / f"{name}.mp4"
        files[name].write_bytes(content)
    whole = write_video(folder / "whole.mp4", [coded(i) for i in range(40)])
    files["cut"] = folder / "cut.mp4"
    files["cut"].write_bytes(whole.read_bytes()[:600])
    return files


@pytest.mark.parametrize("name", ["missing", "folder", "empty", "noise", "text", "cut"])
def test_bad_files_are_data_errors_that_name_the_file(tmp_path: Path, name: str) -> None:
    path = bad_files(tmp_path)[name]
    for read in (probe, read_audio, lambda p: list(read_video(p))):
        with pytest.raises(DataError, match=path.name):
            read(path)


def test_film_cut_short_or_full_of_damage_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(60)]
    whole = write_video(tmp_path / "whole.mp4", frames, options={"movflags": "faststart"}).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(DataError, match=r"cut\.mp4: it is cut short: by its own structure"):
        list(read_video(path))
    whole = write_video(tmp_path / "whole.mpg", frames, codec="mpeg1video").read_bytes()
    hurt = bytearray(whole)
    for place in rng.integers(len(hurt) // 10, len(hurt), len(hurt) // 200):
        hurt[place] ^= 0xFF
    path = tmp_path / "hurt.mpg"
    path.write_bytes(bytes(hurt))
    with pytest.raises(DataError, match=r"hurt\.mpg"):
        list(read_video(path))


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac"])
def test_noise_is_no_sound_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(np.random.default_rng(3).bytes(5000))
    with pytest.raises(DataError, match="noise"):
        read_audio(path)


def test_missing_tracks_are_told_apart(tmp_path: Path) -> None:
    silent = write_video(tmp_path / "silent.mp4", [coded(i) for i in range(5)])
    soundfile.write(tmp_path / "voice.wav", np.zeros(1000), 22050)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 22050)
    with pytest.raises(DataError, match="no sound track"):
        read_audio(silent)
    with pytest.raises(DataError, match="no video track"):
        list(read_video(tmp_path / "voice.wav"))
    with pytest.raises(DataError, match="no sample"):
        read_audio(tmp_path / "none.wav")


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    samples = np.zeros(22050, np.float32)
    samples[11025] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 22050, subtype="FLOAT")
    with pytest.raises(DataError, match=r"first at 0\.500 s"):
        read_audio(tmp_path / "nan.wav")


def test_playlist_cannot_reach_other_files(tmp_path: Path) -> None:
    write_video(tmp_path / "secret.ts", [coded(1)] * 5)
    trap = tmp_path / "trap.mp4"
    trap.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(DataError):
        list(read_video(trap))


def test_probe_counts(tmp_path: Path) -> None:
    sound = np.zeros(48000 * 2, np.float32)
    info = probe(write_video(tmp_path / "a.mp4", [coded(i) for i in range(40)], None, sound))
    assert (info.has_video, info.has_audio, info.frames) == (True, True, 40)
    assert (info.width, info.height, info.sample_rate, info.channels) == (96, 64, 48000, 1)
    assert info.fps == pytest.approx(25)
    assert info.video_s == pytest.approx(1.6, abs=1e-3)
    assert info.duration_s == pytest.approx(2.0, abs=0.03)
    soundfile.write(tmp_path / "a.wav", np.zeros((22050, 2)), 22050)
    info = probe(tmp_path / "a.wav")
    assert (info.has_video, info.has_audio, info.frames, info.channels) == (False, True, 0, 2)
    assert info.duration_s == pytest.approx(1.0)


@pytest.mark.skipif(not (SHARED / "grid_lipnet").is_dir(), reason="needs the shared recordings (GRID)")
def test_grid_sound_is_shorter_than_its_picture() -> None:
    """The header says 2.98 s; there are 75 frames of 40 ms, and less sound."""
    path = SHARED / "grid_lipnet" / "GRID" / "bbaf2n.mpg"
    info = probe(path)
    assert (info.frames, info.video_s) == (75, pytest.approx(3.0))
    assert len(list(read_video(path))) == 75
    heard = len(read_audio(path)) / 22050
    assert 2.9 < heard < 2.99
    assert info.audio_s == pytest.approx(heard, abs=0.03)


@pytest.mark.skipif(
    not (SHARED / "ravdess_actor05_av").is_dir(), reason="needs the shared recordings (RAVDESS)"
)
def test_ravdess_film_times_and_sound() -> None:
    path = SHARED / "ravdess_actor05_av" / "full_frame_360p" / "01-01-01-01-02-01-05.mp4"
    times = [p.time_s for p in read_video(path)]
    np.testing.assert_allclose(times, np.arange(93) * 1001 / 30000, atol=1e-6)
    assert len(read_audio(path)) / 22050 == pytest.approx(times[-1], abs=0.1)
