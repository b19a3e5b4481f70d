"""Small films and sounds of many kinds, made by the `ffmpeg` program, and what it reads in them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROGRAM = shutil.which("ffmpeg")
FILM = "testsrc2=s={size}:r={rate}:d={seconds}"
# A rising tone with a beat, so that no lag looks like another.
SOUND = "aevalsrc='0.3*sin(2*PI*(300*t+150*t*t))*(0.6+0.4*sin(2*PI*1.3*t))':s={rate}:d={seconds}"
OTHER = "-{0}n -sn -dn -c copy -f null -"
MATRICES = {
    "none": (1, 0, 0, 1),
    "hflip": (-1, 0, 0, 1),
    "vflip": (1, 0, 0, -1),
    "half": (-1, 0, 0, -1),
    "clockwise": (0, 1, -1, 0),
    "anticlockwise": (0, -1, 1, 0),
    "transpose": (0, 1, 1, 0),
    "antitranspose": (0, -1, -1, 0),
}
"""a, b, c, d of the display matrix: the pixel (x, y) is shown at (a x + c y, b x + d y)."""


@dataclass(frozen=True)
class Made:
    """How to make a file: ffmpeg's arguments `coding` after the inputs, then a change of its bytes.

    Attributes:
        film, sound: does it hold one.
        size, fps, rate, seconds: of these.
        before: arguments in front of the sound's input, such as an offset.
        late: `[0 or 1]`, which input `before` stands in front of.
        change: bytes -> bytes.
        again: arguments of a second pass, which reads `{}`.
    """

    name: str
    suffix: str
    coding: str
    film: bool = True
    sound: bool = True
    size: str = "64x48"
    fps: str = "25"
    rate: int = 44100
    seconds: float = 1.6
    before: str = ""
    late: int = 1
    change: Callable[[bytes], bytes] | None = None
    again: str = ""


def run(words: Sequence[str]) -> bytes:
    """ffmpeg's standard output.

    Raises:
        RuntimeError: it fails.
    """
    done = subprocess.run(
        [str(PROGRAM), "-v", "error", "-nostdin", "-threads", "1", *words], capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"ffmpeg {' '.join(words)}: {done.stderr.decode()[-600:]}")
    return done.stdout


def make(made: Made, folder: Path) -> Path:
    """The file, in `folder`."""
    path = folder / f"{made.name}.{made.suffix}"
    words: list[str] = []
    inputs = []
    if made.film:
        inputs.append(FILM.format(size=made.size, rate=made.fps, seconds=made.seconds))
    if made.sound:
        inputs.append(SOUND.format(rate=made.rate, seconds=made.seconds))
    for number, given in enumerate(inputs):
        words += made.before.split() if made.before and number == made.late % len(inputs) else []
        words += ["-f", "lavfi", "-i", given]
    run([*words, *made.coding.split(), "-y", str(path)])
    if made.again:
        first = path.rename(path.with_stem(f"{path.stem}-first"))
        run([*made.again.format(first).split(), "-y", str(path)])
    if made.change is not None:
        path.write_bytes(made.change(path.read_bytes()))
    return path


def shown(path: Path, others: bool) -> tuple[list[float], np.ndarray]:
    """FFmpeg's pictures: seconds, `(n, H, W, 3)` uint8; `others`: there is sound, too, which makes the
    clock."""
    passed = ["-an", "-sn", "-dn", "-vsync", "passthrough", "-enc_time_base", "-1", "-pix_fmt", "rgb24"]
    passed += ["-c:v", "rawvideo"]
    times = path.with_name(f"{path.name}.times")
    written = [*passed, "-f", "framecrc", "-y", str(times), *passed, "-f", "rawvideo", "-"]
    raw = run(["-i", str(path), *written, *(OTHER.format("v").split() if others else [])])
    tick, found, size = 0.0, [], (0, 0)
    for line in times.read_text().splitlines():
        if line.startswith("#tb"):
            above, below = line.split()[-1].split("/")
            tick = int(above) / int(below)
        elif line.startswith("#dimensions"):
            wide, high = line.split()[-1].split("x")
            size = (int(high), int(wide))
        elif not line.startswith("#"):
            found.append(int(line.split(",")[2]) * tick)
    return found, np.frombuffer(raw, np.uint8).reshape(-1, *size, 3)


def heard(path: Path, rate: int, others: bool) -> np.ndarray:
    """FFmpeg's sound at `rate` Hz, the mean of its channels, on the file's clock: `(n,)` float32."""
    placed = ["-af", f"aresample={rate}:async=1:min_hard_comp=0.05:first_pts=0"]
    written = ["-vn", "-sn", "-dn", *placed, "-f", "au", "-c:a", "pcm_f32be", "-"]
    raw = run(["-i", str(path), *written, *(OTHER.format("a").split() if others else [])])
    start, _, _, _, channels = struct.unpack_from(">5I", raw, 4)
    return (
        np.frombuffer(raw[start : start + (len(raw) - start) // 4 * 4], ">f4")
        .reshape(-1, channels)
        .mean(axis=1)
    )


def alike(ours: np.ndarray, theirs: np.ndarray) -> tuple[int, float]:
    """Lag in samples at which two sounds are most alike, and their correlation at lag 0."""
    n = min(len(ours), len(theirs))
    a, b = (x[:n].astype(np.float64) for x in (ours, theirs))
    crossed = np.fft.irfft(np.fft.rfft(a, 2 * n) * np.conj(np.fft.rfft(b, 2 * n)))
    lag = int(crossed.argmax())
    return lag - 2 * n * (lag > n), float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-12))


def twice(content: bytes) -> bytes:
    """The same file once more behind itself."""
    return content + content


def cut(share: float) -> Callable[[bytes], bytes]:
    """The first part of a file."""
    return lambda content: content[: round(len(content) * share) | 1]


def laid(matrix: str) -> Callable[[bytes], bytes]:
    """An MP4 whose film's track header holds that display matrix."""

    def change(content: bytes) -> bytes:
        data = bytearray(content)
        a, b, c, d = MATRICES[matrix]
        one = 1 << 16
        at = data.index(b"tkhd") + 44
        data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
        return bytes(data)

    return change


def unfilled(length: int) -> Callable[[bytes], bytes]:
    """A WAV with that length of its data in the header."""

    def change(content: bytes) -> bytes:
        at = content.index(b"data") + 4
        return (
            content[:4]
            + struct.pack("<I", length)
            + content[8:at]
            + struct.pack("<I", length)
            + content[at + 4 :]
        )

    return change


def hurt(content: bytes) -> bytes:
    """One byte in two hundred is another one, behind the first tenth."""
    rng = np.random.default_rng(len(content))
    data = bytearray(content)
    for place in rng.integers(len(data) // 10, len(data), len(data) // 200):
        data[place] ^= 0xFF
    return bytes(data)
