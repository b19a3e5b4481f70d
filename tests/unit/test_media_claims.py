"""What a header claims is held against what is there; known answers, made without FFmpeg's programs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from media_files import MATRICES, hurt, laid, unfilled

from fusekit.errors import DataError
from fusekit.media import audio_blocks, probe, read_audio, read_video

RATE = 22050
CORNERS = {"R": (255, 0, 0), "G": (0, 255, 0), "B": (0, 0, 255), "W": (255, 255, 255)}


def tone(hertz: float, seconds: float, rate: int = 44100) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def steps(seconds: int, rate: int = 44100) -> np.ndarray:
    """A tone of 400 + 100 k Hz in second k."""
    return np.concatenate([tone(400 + 100 * k, 1.0, rate) for k in range(seconds)])


def pitches(sound: np.ndarray, rate: int = RATE) -> list[int]:
    """Hertz of the strongest tone in the middle half of every whole second."""
    found = []
    for k in range(len(sound) // rate):
        piece = sound[k * rate + rate // 4 : k * rate + 3 * rate // 4]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 4 * rate))
        found.append(round(float(spectrum.argmax()) / 4 / 10) * 10)
    return found


def picture(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write(
    path: Path,
    frames: list[np.ndarray] | None = None,
    sounds: list[np.ndarray] | None = None,
    *,
    rate: int = 44100,
    sound_codec: str = "aac",
    default: int | None = None,
    options: dict[str, str] | None = None,
    channels: str = "mono",
    shift: Callable[[av.Packet], None] = lambda packet: None,
) -> Path:
    """25 frames a second, and any number of sound tracks, of which `default` is flagged."""
    with av.open(str(path), "w", options=options or {}) as container:
        film = None
        if frames is not None:
            film = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"})
            film.height, film.width = frames[0].shape[:2]
            film.pix_fmt = "yuv420p"
        tracks = []
        for number, _ in enumerate(sounds or []):
            track = container.add_stream(sound_codec, rate=rate, layout=channels)
            if default is not None:
                track.disposition = 1 if number == default else 0
            tracks.append(track)
        for track, sound in zip(tracks, sounds or [], strict=True):
            wanted = track.codec_context.format.name
            plane = np.repeat(sound[None], track.codec_context.channels, axis=0)
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(plane), format="fltp", layout=channels)
            block.sample_rate, block.time_base, block.pts = rate, Fraction(1, rate), 0
            pieces = av.AudioResampler(format=wanted).resample(block) if wanted != "fltp" else [block]
            for packet in [p for piece in [*pieces, None] for p in track.encode(piece)]:
                shift(packet)
                container.mux(packet)
        if film is not None and frames is not None:
            for packet in [
                p
                for frame in [*(av.VideoFrame.from_ndarray(f, format="rgb24") for f in frames), None]
                for p in film.encode(frame)
            ]:
                container.mux(packet)
    return path


def held(path: Path) -> Path:
    """30 frames of 40 ms, of which the last stands for 4 s."""
    tick = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"})
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        film.codec_context.time_base = tick
        packets = []
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(picture(40 + 4 * i), format="rgb24")
            frame.pts, frame.time_base = i * 40, tick
            packets += film.encode(frame)
        packets += film.encode(None)
        for i, packet in enumerate(packets):
            packet.duration = 40 if i < 29 else 4000
            container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_last_picture_that_stands_long_is_no_cut(tmp_path: Path, suffix: str) -> None:
    shown = list(read_video(held(tmp_path / f"held{suffix}")))
    assert len(shown) == 30
    assert shown[-1].time_s == pytest.approx(1.16)
    assert shown[-1].time_s + shown[-1].span_s == pytest.approx(5.16)
    np.testing.assert_allclose([p.span_s for p in shown[:-1]], 0.04, atol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "order"),
    [
        *(("none", "RGBW"), ("hflip", "GRWB"), ("vflip", "BWRG"), ("half", "WBGR")),
        *(("clockwise", "BRWG"), ("anticlockwise", "GWRB"), ("transpose", "RBGW"), ("antitranspose", "WGBR")),
    ],
)
def test_all_eight_ways_to_lay_a_picture(tmp_path: Path, matrix: str, order: str) -> None:
    quarters = np.zeros((48, 64, 3), np.uint8)
    for (row, column), colour in zip(((0, 0), (0, 1), (1, 0), (1, 1)), CORNERS.values(), strict=True):
        quarters[24 * row : 24 * row + 24, 32 * column : 32 * column + 32] = colour
    path = write(tmp_path / "laid.mp4", [quarters] * 3)
    path.write_bytes(laid(matrix)(path.read_bytes()))
    rgb = next(read_video(path)).rgb.astype(int)
    high, wide = rgb.shape[:2]
    assert (wide < high) == (abs(MATRICES[matrix][1]) == 1)
    places = [(y * high // 4, x * wide // 4) for y in (1, 3) for x in (1, 3)]
    assert "".join(min(CORNERS, key=lambda k: np.abs(rgb[p] - CORNERS[k]).sum()) for p in places) == order


def without_note(path: Path) -> Path:
    """MP3 of varying rate whose first half is silent, without a note of its length."""
    sound = steps(16) + np.random.default_rng(0).normal(0, 0.05, 16 * 44100).astype(np.float32)
    sound[: 8 * 44100] = 0
    return write(path, None, [sound], sound_codec="libmp3lame", options={"write_xing": "0"})


def test_an_mp3_without_a_note_of_its_length_is_read_as_it_is(tmp_path: Path) -> None:
    sound = read_audio(without_note(tmp_path / "quiet.mp3"))
    assert len(sound) / RATE == pytest.approx(16.04, abs=0.06)
    assert pitches(sound)[8:15] == [1200, 1300, 1400, 1500, 1600, 1700, 1800]


def test_a_cut_mp3_is_a_fault_and_two_joined_are_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "whole.mp3", None, [steps(6)], sound_codec="libmp3lame")
    assert len(read_audio(path)) / RATE == pytest.approx(6.0, abs=0.06)
    content = path.read_bytes()
    (tmp_path / "half.mp3").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"half\.mp3: the sound is cut short at .* of the 6\.\d\d s"):
        read_audio(tmp_path / "half.mp3")
    (tmp_path / "twice.mp3").write_bytes(content * 2)
    sound = read_audio(tmp_path / "twice.mp3")
    assert len(sound) / RATE == pytest.approx(12.0, abs=0.2)
    assert pitches(sound[RATE // 10 :])[:5] == [400, 500, 600, 700, 800]
    assert pitches(sound[-6 * RATE :])[1:5] == [500, 600, 700, 800]


def test_an_mp3_that_claims_a_year_takes_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "year.mp3", None, [steps(1)], sound_codec="libmp3lame")
    data = bytearray(path.read_bytes())
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 8 : at + 12] = struct.pack(">I", 0x7FFF_FFFF)
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="cut short"):
        read_audio(path)


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_clocks_that_start_again_go_on(tmp_path: Path, suffix: str) -> None:
    parts = []
    for hertz, level in ((440, 60), (880, 180)):
        path = write(
            tmp_path / f"{hertz}{suffix}",
            [picture(level)] * 50,
            [tone(hertz, 2.0)],
            sound_codec="aac" if suffix == ".ts" else "mp2",
        )
        parts.append(path.read_bytes())
    joined = tmp_path / f"joined{suffix}"
    joined.write_bytes(b"".join(parts))
    shown = list(read_video(joined))
    times = [p.time_s for p in shown]
    assert len(shown) == 100
    assert np.diff(times).min() > 0.03
    assert times[-1] == pytest.approx(3.96, abs=0.1)
    assert [round(p.rgb.mean()) > 120 for p in shown] == [False] * 50 + [True] * 50
    sound = read_audio(joined)
    assert len(sound) / RATE == pytest.approx(4.0, abs=0.15)
    assert pitches(sound) == [440, 440, 880, 880]
    assert probe(joined).duration_s == pytest.approx(4.0, abs=0.15)


@pytest.mark.parametrize("codec", ["OPUS", "VORBIS"])
def test_chained_ogg_files_are_read_whole(tmp_path: Path, codec: str) -> None:
    content = b""
    for hertz in (440, 880):
        path = tmp_path / f"{hertz}.ogg"
        soundfile.write(path, tone(hertz, 2.0, 48000), 48000, format="OGG", subtype=codec)
        content += path.read_bytes()
    (tmp_path / "chain.ogg").write_bytes(content)
    sound = read_audio(tmp_path / "chain.ogg")
    assert len(sound) / RATE == pytest.approx(4.0, abs=0.05)
    assert pitches(sound) == [440, 440, 880, 880]


@pytest.mark.parametrize("rates", [(48000, 32000), (32000, 48000)])
def test_a_rate_that_changes_on_the_way(tmp_path: Path, rates: tuple[int, int]) -> None:
    content = b""
    for rate, hertz in zip(rates, (440, 880), strict=True):
        path = write(tmp_path / f"{rate}.ts", None, [tone(hertz, 3.0, rate)], rate=rate)
        content += path.read_bytes()
    (tmp_path / "both.ts").write_bytes(content)
    sound = read_audio(tmp_path / "both.ts")
    assert len(sound) / RATE == pytest.approx(6.0, abs=0.1)
    assert pitches(sound) == [440] * 3 + [880] * 3


@pytest.mark.parametrize("default", [0, 1])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_default_track_is_heard(tmp_path: Path, suffix: str, default: int) -> None:
    path = write(
        tmp_path / f"two{suffix}",
        [picture(90)] * 50,
        [tone(440, 2.0), tone(880, 2.0)],
        default=default,
    )
    assert pitches(read_audio(path)) == [(440, 880)[default]] * 2
    assert [t.kind for t in probe(path).tracks if t.read] == ["video", "audio"]
    assert [t.read for t in probe(path).tracks if t.kind == "audio"] == [default == 0, default == 1]


def wav(path: Path, seconds: float = 4.0, rate: int = 16000) -> Path:
    soundfile.write(path, tone(440, seconds, rate), rate, subtype="PCM_16")
    return path


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 32000])
def test_a_length_that_was_never_filled_in_is_no_length(tmp_path: Path, length: int) -> None:
    """A recorder that crashed, or one that wrote into a pipe: what is there is read."""
    path = wav(tmp_path / "open.wav")
    path.write_bytes(unfilled(length)(path.read_bytes()))
    assert len(read_audio(path, 16000)) == 64000


def test_sound_behind_an_early_length_may_begin_with_silence(tmp_path: Path) -> None:
    sound = tone(440, 4.0, 16000)
    sound[16000:17000] = 0
    path = tmp_path / "early.wav"
    soundfile.write(path, sound, 16000, subtype="PCM_16")
    path.write_bytes(unfilled(32000)(path.read_bytes()))
    assert len(read_audio(path, 16000)) == 64000


def test_an_avi_that_was_never_finished_is_read(tmp_path: Path) -> None:
    """Its header counts ten thousand frames and gives no length."""
    path = write(tmp_path / "open.avi", [picture(4 * i) for i in range(50)])
    data = bytearray(path.read_bytes())
    data[4:8] = b"\xff" * 4
    for name, at in ((b"avih", 24), (b"strh", 40)):
        place = data.index(name) + at
        data[place : place + 4] = struct.pack("<I", 10_000)
    path.write_bytes(bytes(data))
    assert len(list(read_video(path))) == 50
    data[4:8] = struct.pack("<I", len(data) - 8)
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"open\.avi: the video is cut short at 2\.\d\d s of the 400\.00 s"):
        list(read_video(path))


@pytest.mark.parametrize("subtype", ["GSM610", "ULAW", "IMA_ADPCM", "MS_ADPCM", "FLOAT", "DOUBLE", "PCM_24"])
def test_every_coding_of_wav_is_read(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440, 4.0, 16000), 16000, subtype=subtype)
    sound = read_audio(tmp_path / "a.wav")
    assert len(sound) / RATE == pytest.approx(4.0, abs=0.06)  # whole blocks
    assert pitches(sound)[:3] == [440] * 3


def test_what_was_cut_is_a_fault_in_every_container(tmp_path: Path) -> None:
    films = {".mp4": "aac", ".mkv": "aac", ".avi": "libmp3lame", ".ts": "aac", ".flv": "aac", ".mpg": "mp2"}
    files = [
        write(tmp_path / f"a{suffix}", [picture(3 * i) for i in range(50)], [steps(2)], sound_codec=codec)
        for suffix, codec in films.items()
    ]
    files.append(write(tmp_path / "a.ogg", None, [steps(4, 48000)], rate=48000, sound_codec="libopus"))
    for suffix in (".wav", ".flac", ".aiff"):
        soundfile.write(tmp_path / f"s{suffix}", steps(4), 44100)
        files.append(tmp_path / f"s{suffix}")
    for path in files:
        whole = path.read_bytes()
        assert len(read_audio(path)) > RATE
        for share in (0.4, 0.6, 0.9):
            path.write_bytes(whole[: round(share * len(whole)) | 1])
            with pytest.raises(DataError, match=path.name):
                read_audio(path)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp4", ".mkv", ".avi"])
def test_joined_files_of_which_the_first_alone_would_be_read_are_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in (".wav", ".flac"):
        soundfile.write(path, steps(2), 44100)
    else:
        write(path, [picture(90)] * 25, [steps(1)], sound_codec="libmp3lame" if suffix == ".avi" else "aac")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(DataError, match="several files are joined in one"):
        read_audio(path)


def leap(seconds: float) -> Callable[[av.Packet], None]:
    """Moves the packets behind the first second."""

    def shift(packet: av.Packet) -> None:
        if packet.pts * packet.time_base > 1:
            packet.pts += round(seconds / packet.time_base)
            packet.dts += round(seconds / packet.time_base)

    return shift


def test_a_hole_in_the_sound_is_silence_and_a_leap_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "hole.mkv", None, [tone(440, 2.0)], shift=leap(3.0))
    sound = read_audio(path)
    assert len(sound) / RATE == pytest.approx(5.0, abs=0.06)
    assert not sound[round(1.3 * RATE) : round(3.9 * RATE)].any()
    path = write(tmp_path / "leap.mkv", None, [tone(440, 2.0)], shift=leap(20000.0))
    with pytest.raises(
        DataError, match=r"leap\.mkv: the time stamps of its sound leap from 1\.\d+ s to 2000"
    ):
        read_audio(path)


def test_many_small_leaps_are_a_fault_too(tmp_path: Path) -> None:
    """Packets of 26 ms, each five minutes behind the one before."""

    def shift(packet: av.Packet) -> None:
        ahead = round(300 * (packet.pts * packet.time_base / Fraction(1152, 44100)) / packet.time_base)
        packet.pts, packet.dts = packet.pts + ahead, packet.dts + ahead

    path = write(tmp_path / "leaps.mkv", None, [tone(440, 2.0)], sound_codec="libmp3lame", shift=shift)
    with pytest.raises(DataError, match=r"leaps\.mkv: its time stamps leave \d+ s without sound"):
        read_audio(path, 1000)


@pytest.mark.parametrize("rate", [1, 100, 2_000_000])
def test_rates_that_nobody_records_are_damage(tmp_path: Path, rate: int) -> None:
    path = wav(tmp_path / "odd.wav", 0.1)
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=f"{rate} samples a second"):
        read_audio(path)


@pytest.mark.parametrize("channels", [3, 8, 9, 34])
def test_any_number_of_channels_is_averaged(tmp_path: Path, channels: int) -> None:
    """Channel k holds k times the same noise."""
    noise = np.random.default_rng(0).integers(-500, 500, 5000)
    samples = (noise[:, None] * np.arange(channels)).clip(-32768, 32767).astype(np.int16)
    soundfile.write(tmp_path / "many.wav", samples, 22050)
    want = samples.astype(np.float64).mean(axis=1) / 32768
    np.testing.assert_allclose(read_audio(tmp_path / "many.wav"), want, atol=1e-6)


def test_more_channels_than_anybody_records_are_damage(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "many.wav", np.zeros((1000, 200)), 22050)
    with pytest.raises(DataError, match=r"many\.wav: its sound has 200 channels"):
        read_audio(tmp_path / "many.wav")


def test_files_that_name_other_files_are_refused(tmp_path: Path) -> None:
    other = write(tmp_path / "other.ts", [picture(90)] * 25, [steps(1)])
    lists = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        "list.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other.name}\n#EXT-X-ENDLIST\n",
        "script.mp4": f"ffconcat version 1.0\nfile {other.name}\n",
        "script.wav": f"ffconcat version 1.0\nfile {other.name}\n",
        "dash.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"/>',
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        for read in (read_audio, probe, lambda path: list(read_video(path))):
            with pytest.raises(DataError, match=name):
                read(tmp_path / name)


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "take%03d:1.mp4", [picture(90)] * 5)
    assert len(list(read_video(path))) == 5


def test_damage_is_never_anything_but_a_data_error(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mkv", [picture(4 * i) for i in range(25)], [steps(1)]).read_bytes()
    path = tmp_path / "hurt.mkv"
    faults = 0
    for seed in range(30):
        data = bytearray(whole)
        for place in np.random.default_rng(seed).integers(0, len(data), 4):
            data[place] ^= 1 << seed % 8
        path.write_bytes(bytes(data) if seed % 3 else hurt(whole[: len(whole) - seed]))
        for read in (read_audio, probe, lambda p: list(read_video(p))):
            try:
                read(path)
            except DataError:
                faults += 1
    assert faults > 20


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_blocks_are_the_whole_and_a_start_shifts_it(tmp_path: Path, rate: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 11 * rate).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, rate, subtype="FLOAT")
    whole = read_audio(tmp_path / "a.wav")
    blocks = list(audio_blocks(tmp_path / "a.wav"))
    assert len(blocks) > 2
    assert max(map(len, blocks)) < 1 << 18
    assert np.array_equal(np.concatenate(blocks), whole)
    if rate == RATE:
        assert np.array_equal(whole, noise)
    late = read_audio(tmp_path / "a.wav", start_s=3.0)
    assert np.array_equal(late, np.concatenate([np.zeros(3 * RATE, np.float32), whole]))
    early = read_audio(tmp_path / "a.wav", start_s=-3.0)
    assert np.array_equal(early, whole[3 * RATE :])
    assert len(read_audio(tmp_path / "a.wav", start_s=-20.0)) == 0
