"""A corpus made in a second, recipes that train on it in seconds, and a run trained by a real process."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import fusekit
from fusekit import plugins
from fusekit.cli.app import app

SECONDS, FPS, RATE, SIDE = 4, 10, 16000, 48
CLIPS = {
    "a1": ("anna", "train"),
    "a2": ("anna", "train"),
    "b1": ("ben", "train"),
    "b2": ("ben", "train"),
    "c1": ("cleo", "train"),
    "d1": ("dan", "validation"),
    "e1": ("eva", "test"),
    "f1": ("fay", "test"),
}
HEADER = ("clip", "subject", "split", "labels", "face", "voice")

TOP = """\
corpus: {name: manifest, path: corpus/manifest.csv}
target: {dims: [valence, arousal], step_hz: 5}
modalities:
"""
FACE = """\
  face:
    reader:      {name: face-video, size: 16, detector: whole}
    degradation: {name: picture}
    encoder:     {name: denoising-generator, width: 4, blocks: 1}
    quadrant:    {name: discriminator, width: 4}
    projector:   {name: conv-pyramid, width: 4}
"""
VOICE = """\
  voice:
    reader:      {name: mel-spectrogram, mels: 16}
    degradation: {name: spectrogram}
    encoder:     {name: denoising-generator, width: 4, blocks: 1}
    quadrant:    {name: discriminator, width: 4}
    projector:   {name: conv-pyramid, width: 4}
"""
TAIL = """\
fusion:   {name: gmu, dim: 16}
temporal: {name: luong-lstm, dim: 8, memory: 4}
"""
LATENT = "  - {name: latent, objective: adversarial, epochs: 2, batch_size: 8, frames_hz: 1}\n"
SEQUENCE = """\
  - name: sequence
    objective: supervised
    epochs: 6
    batch_size: 8
    freeze: [encoder, quadrant]
    windows: [2, 4]
"""
RECIPES = {
    "tiny": f"{TOP}{FACE}{VOICE}{TAIL}stages:\n{LATENT}{SEQUENCE}",
    "face": f"{TOP}{FACE}{TAIL.replace('gmu, dim: 16', 'none')}stages:\n{LATENT}{SEQUENCE}",
    "supervised": f"{TOP}{FACE}{VOICE}{TAIL}stages:\n{SEQUENCE}",
}


# ---------------------------------------------------------------- corpus


def make_corpus(folder: Path) -> None:
    """Media, face boxes, labels and manifest of CLIPS; `boxed.csv` is the manifest that gives the boxes."""
    for name in ("media", "boxes", "labels"):
        (folder / name).mkdir(parents=True)
    for number, clip in enumerate(CLIPS):
        values = _values(number)
        make_video(folder / "media" / f"{clip}.mp4", values)
        boxes = [(k / FPS, cx - r, cy - r, cx + r, cy + r) for k, (cx, cy, r) in enumerate(_blobs(values))]
        write_rows(folder / "boxes" / f"{clip}.csv", ("time_s", "x0", "y0", "x1", "y1"), boxes)
        labels = [(k / FPS, *np.round(pair, 4)) for k, pair in enumerate(values)]
        write_rows(folder / "labels" / f"{clip}.csv", ("time_s", "valence", "arousal"), labels)
    rows = [(c, *CLIPS[c], f"labels/{c}.csv", f"media/{c}.mp4", f"media/{c}.mp4") for c in CLIPS]
    write_rows(folder / "manifest.csv", HEADER, rows)
    boxed = [(*row, f"boxes/{row[0]}.csv") for row in rows]
    write_rows(folder / "boxed.csv", (*HEADER, "face_boxes"), boxed)


def _values(number: int) -> np.ndarray:
    """`(frames, 2)` valence and arousal of one clip, smooth, within -0.9..0.9."""
    t = np.arange(SECONDS * FPS) / FPS
    return 0.9 * np.stack([np.sin(1.3 * t + number), np.cos(1.7 * t + 2 * number)], 1)


def _blobs(values: np.ndarray) -> np.ndarray:
    """`(frames, 3)`: a blob wanders; its centre and radius."""
    k = np.arange(len(values))
    return np.stack([24 + 4 * np.sin(k / 7), 24 + 3 * np.cos(k / 5), np.full(len(k), 12.0)], 1)


def make_video(path: Path, values: np.ndarray | None = None, *, sound: bool = True) -> Path:
    """Valence is the width of a blob, arousal the pitch of a tone."""
    values = _values(0) if values is None else values
    y, x = np.mgrid[:SIDE, :SIDE]
    with av.open(str(path), "w") as out:
        track: Any = out.add_stream("libx264", rate=FPS)
        track.width = track.height = SIDE
        track.pix_fmt, track.options = "yuv420p", {"crf": "18", "preset": "ultrafast"}
        voice: Any = out.add_stream("aac", rate=RATE, layout="mono") if sound else None
        for k, (cx, cy, r) in enumerate(_blobs(values)):
            picture = np.full((SIDE, SIDE, 3), 40, np.uint8)
            wide = r * (1 + 0.4 * values[k, 0])
            picture[((x - cx) / wide) ** 2 + ((y - cy) / r) ** 2 < 1] = (220, 170, 140)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
        if sound:
            wave = tone(values)
            for begin in range(0, len(wave), 1024):
                part = wave[None, begin : begin + 1024]
                block = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = RATE, begin, Fraction(1, RATE)
                out.mux(voice.encode(block))
            out.mux(voice.encode(None))
    return path


def tone(values: np.ndarray | None = None) -> np.ndarray:
    """`(n,)` float32 at RATE: a tone with two overtones."""
    pitch = 220 * 2 ** np.repeat((_values(0) if values is None else values)[:, 1], RATE // FPS)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return (0.2 * np.sin(phase) + 0.1 * np.sin(2 * phase) + 0.05 * np.sin(3 * phase)).astype(np.float32)


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


# ---------------------------------------------------------------- commands


@dataclass
class Shop:
    """The current folder, one's own, with `corpus/`, `tiny.yaml`, `face.yaml` and `supervised.yaml`."""

    folder: Path

    def run(self, *words: str) -> Result:
        """A command in this process; an exception that is no exit is raised."""
        result = CliRunner().invoke(app, list(words), prog_name="fusekit")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def train(self, *words: str, recipe: str = "tiny", run: str = "run") -> Path:
        """A run trained in this process."""
        result = self.run("train", f"{recipe}.yaml", *words, "--run", run, "--device", "cpu")
        assert result.exit_code == 0, result.output
        return self.folder / run

    def adopt(self, other: Path, *leave: str) -> Path:
        """A copy of another folder's run as `run`, which reads the corpus of this one."""
        run = shutil.copytree(other, self.folder / "run", ignore=shutil.ignore_patterns(*leave))
        text = (run / "recipe.yaml").read_text()
        assert f"{other.parent}/corpus/" in text
        (run / "recipe.yaml").write_text(text.replace(f"{other.parent}/corpus/", f"{self.folder}/corpus/"))
        return run

    def fault(self, *words: str) -> str:
        """The one paragraph of a command that must end with exit code 2 and leave no file behind."""
        before = self.listing()
        result = self.run(*words)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert self.listing() == before
        return paragraph(result.stderr)

    def listing(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of every file here, and of what is unfinished in the cache."""
        cache = Path(os.environ["FUSEKIT_CACHE"])
        here = [*self.folder.rglob("*"), *cache.rglob(".tmp-*"), *cache.rglob("*.partial")]
        return {str(p): (p.stat().st_size if p.is_file() else -1, p.stat().st_mtime_ns) for p in here}

    def process(self, *words: str) -> subprocess.Popen[str]:
        """The same command line in a process of its own."""
        return start_process(self.folder, ["-m", "fusekit", *words])


def paragraph(stderr: str) -> str:
    """What is said last, from `fusekit: ` on; no traceback, and nothing said twice."""
    assert "Traceback" not in stderr
    assert stderr.count("fusekit: ") == 1, stderr
    return stderr[stderr.index("fusekit: ") :]


def start_process(folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """`python WORDS...` in `folder`, one thread."""
    path = [str(Path(fusekit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path)), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus, recipes and `cache/`, which all tests share: each clip is decoded once."""
    folder = tmp_path_factory.mktemp("tiny")
    make_corpus(folder / "corpus")
    for name, text in RECIPES.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "cache").mkdir()
    return folder


@pytest.fixture
def shop(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A Shop whose corpus may be spoilt."""
    folder = tmp_path / "shop"
    shutil.copytree(prepared / "corpus", folder / "corpus")
    for name in RECIPES:
        shutil.copy(prepared / f"{name}.yaml", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FUSEKIT_CACHE", str(prepared / "cache"))
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return Shop(folder)


@pytest.fixture(scope="session")
def trained(prepared: Path) -> SimpleNamespace:
    """`tiny.yaml` trained by a process of its own: `folder` of the run, `stdout` and `stderr`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSEKIT_CACHE", str(prepared / "cache"))
        words = ("train", "tiny.yaml", "--run", "run", "--device", "cpu")
        process = start_process(prepared, ["-m", "fusekit", *words])
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return SimpleNamespace(folder=prepared / "run", stdout=stdout, stderr=stderr)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and report are left out: they take longer than all the rest of a tiny run."""
    from fusekit.study import assess, figures, report

    monkeypatch.setattr(figures, "draw_run", lambda run: [])
    monkeypatch.setattr(assess, "draw_denoising", lambda *_: None)
    monkeypatch.setattr(report, "write_report", lambda run: run / "report.html")


@pytest.fixture(scope="session")
def cli() -> SimpleNamespace:
    """What the tests of this folder share beside fixtures."""
    return SimpleNamespace(
        clips=CLIPS,
        header=HEADER,
        rate=RATE,
        make_video=make_video,
        paragraph=paragraph,
        start_process=start_process,
        tone=tone,
        write_rows=write_rows,
    )
