"""Small whole files of every format that fusekit reads: what the fuzzer damages."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

RECIPE = """\
corpus: {name: manifest, path: manifest.csv}
target: {dims: [valence, arousal], step_hz: 5}
modalities:
  one:
    reader:    {name: features, width: 3}
    encoder:   {name: mlp, hidden: [8], dropout: 0.2}
    projector: {name: linear, dim: 8}
  two:
    reader:    {name: features, width: 2, rate_hz: 10}
    encoder:   {name: mlp, hidden: [8]}
    projector: {name: linear, dim: "${modalities.one.projector.dim}"}
fusion:   {name: gmu, dim: 8}
temporal: {name: luong-lstm, dim: 8, memory: 4}
stages:
  - {name: warm, objective: supervised, epochs: 1, batch_size: 16, lr: 1.0e-2}
  - name: whole
    objective: supervised
    epochs: 1
    batch_size: 16
    windows: [2, 4]
    freeze: [encoder, quadrant]
"""
STUDY = (
    "models: {A: tiny.yaml, B: {recipe: tiny.yaml, changes: [fusion=concat]}}\nfolds: [0, 1]\nseeds: [0]\n"
)
SECONDS = 6


def make_tables(folder: Path) -> None:
    """Recipe, study, manifest and the tables of six clips."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        name, times = f"c{number}", np.arange(SECONDS * 10) / 10
        values = 0.8 * np.sin(times + number)[:, None] * [1, 0.7]
        table = np.column_stack([times, rng.normal(size=(len(times), 3)) + values[:, :1]])
        _csv(folder / f"{name}.csv", "time_s,x,y,z", table)
        np.save(folder / f"{name}.npy", rng.normal(size=(len(times), 2)).astype(np.float32))
        _csv(folder / f"{name}-labels.csv", "time_s,valence,arousal", np.column_stack([times, values]))
        split = ["train", "train", "train", "validation", "test", "test"][number]
        rows.append([name, f"s{number}", split, f"{name}-labels.csv", f"{name}.csv", f"{name}.npy"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["clip", "subject", "split", "labels", "one", "two"], *rows])
    (folder / "tiny.yaml").write_text(RECIPE)
    (folder / "study.yaml").write_text(STUDY)


def _csv(path: Path, header: str, table: np.ndarray) -> None:
    np.savetxt(path, table, "%.4f", ",", header=header, comments="")


def make_media(folder: Path) -> list[Path]:
    """Pictures and sound of two seconds in several containers."""
    made = [
        _container(folder / name, picture, sound)
        for name, picture, sound in (
            ("a.mp4", "libx264", "aac"),
            ("b.mkv", "mpeg4", "libmp3lame"),
            ("c.avi", "mjpeg", "pcm_s16le"),
            ("d.ts", "mpeg2video", "mp2"),
            ("e.webm", "libvpx", "libopus"),
        )
    ]
    wave = 0.3 * np.sin(np.arange(44100) / 9).astype(np.float32)
    for name in ("f.wav", "g.flac", "h.ogg", "i.aiff", "j.mp3"):
        soundfile.write(folder / name, wave, 22050)
        made.append(folder / name)
    return made


def _container(path: Path, picture: str, sound: str) -> Path:
    with av.open(str(path), "w") as out:
        track: Any = out.add_stream(picture, rate=10)
        track.width, track.height = 64, 48
        track.pix_fmt = "yuvj420p" if picture == "mjpeg" else "yuv420p"
        voice: Any = out.add_stream(sound, rate=48000 if sound == "libopus" else 44100, layout="mono")
        rng = np.random.default_rng(1)
        for k in range(20):
            frame = av.VideoFrame.from_ndarray(
                rng.integers(0, 255, (48, 64, 3), dtype=np.uint8).repeat(1, 0), format="rgb24"
            )
            frame.pts, frame.time_base = k, Fraction(1, 10)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
        wave = (9000 * np.sin(np.arange(2 * voice.rate) / 9)).astype(np.int16)
        resampler = av.AudioResampler(format=voice.codec_context.format, layout="mono", rate=voice.rate)
        size = voice.codec_context.frame_size or 1024
        for begin in range(0, len(wave), size):
            block = av.AudioFrame.from_ndarray(wave[None, begin : begin + size], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = voice.rate, begin, Fraction(1, voice.rate)
            for part in resampler.resample(block):
                out.mux(voice.encode(part))
        out.mux(voice.encode(None))
    return path


def make_transcripts(folder: Path) -> list[Path]:
    """Three cues in each format."""
    cues = [(0.5, 1.5, "alpha bravo"), (2.0, 3.0, "charlie"), (3.5, 5.0, "delta echo foxtrot")]

    def clock(s: float, mark: str) -> str:
        return f"00:00:{int(s):02d}{mark}{round(s % 1 * 1000):03d}"

    srt = "\n".join(f"{i}\n{clock(a, ',')} --> {clock(b, ',')}\n{t}\n" for i, (a, b, t) in enumerate(cues, 1))
    vtt = "WEBVTT\n\n" + "\n".join(f"{clock(a, '.')} --> {clock(b, '.')}\n<v Ann>{t}\n" for a, b, t in cues)
    rows = "start_s,end_s,text\n" + "".join(f"{a},{b},{t}\n" for a, b, t in cues)
    grid = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 5\n'
        "tiers? <exists>\nsize = 1\nitem []:\n"
        '    item [1]:\n        class = "IntervalTier"\n        name = "words"\n'
        "        xmin = 0\n        xmax = 5\n"
        "        intervals: size = 3\n"
    )
    for i, (a, b, t) in enumerate(cues, 1):
        grid += f"        intervals [{i}]:\n            xmin = {a}\n            xmax = {b}\n"
        grid += f'            text = "{t}"\n'
    texts = {"a.srt": srt, "b.vtt": vtt, "c.csv": rows, "d.TextGrid": grid, "e.txt": "one two\nthree\n"}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def make_hearts(folder: Path) -> list[Path]:
    """Eight seconds of ECG as CSV, EDF and a WFDB record (header and signal)."""
    edfio = __import__("edfio")
    wfdb = __import__("wfdb")
    t = np.arange(8 * 100) / 100
    wave = np.exp(-(((t % 0.8) - 0.4) ** 2) / 0.0005) + 0.02 * np.sin(t)
    _csv(folder / "a.csv", "time_s,ecg", np.column_stack([t, wave]))
    edfio.Edf([edfio.EdfSignal(wave, 100, label="ECG", physical_dimension="mV")]).write(folder / "b.edf")
    wfdb.wrsamp(
        "c", fs=100, units=["mV"], sig_name=["ECG"], p_signal=wave[:, None], fmt=["16"], write_dir=str(folder)
    )
    return [folder / name for name in ("a.csv", "b.edf", "c.hea", "c.dat")]
