"""Makes the files of a demo corpus: an mp4 with a sound track per subject, labels, boxes, a manifest.

    <folder>/manifest.csv                   clip, subject, session, split, face, voice, face_boxes, labels
    <folder>/about.json                     options and version
    <folder>/contents.json                  digest of every other file
    <folder>/media/s01.mp4                  h264 128 x 128 at 12.5 fps, AAC mono 22,050 Hz
    <folder>/labels/s01.csv                 time_s, valence, arousal, then the schedules
    <folder>/boxes/s01.csv                  time_s, x0, y0, x1, y1; nan where the face is absent

A folder is there whole or not at all. It is made beside its place under a lock, by processes of their own,
and moved; what a killed maker left behind is removed by the next one.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from filelock import FileLock

import fusekit
from fusekit.data.synthetic.clips import RenderedClip, render
from fusekit.data.synthetic.settings import FRAME_HZ, RATE_HZ, SIZE, VERSION, DemoSettings, name
from fusekit.data.synthetic.streams import Streams
from fusekit.data.synthetic.wholeness import keep_contents
from fusekit.errors import DataError

MANIFEST = "manifest.csv"
COLUMNS = ("clip", "subject", "session", "split", "face", "voice", "face_boxes", "labels")
SCHEDULE = ("face_damage", "face_kind", "face_present", "voice_damage", "voice_kind", "voice_present")
WORKERS = 2
_BATCH = 75  # pictures between two reports of a worker

Progress = Callable[[int, int], None]
"""Called with pictures done and pictures in all; from several threads, one at a time."""


def make(settings: DemoSettings, folder: Path, progress: Progress | None = None) -> None:
    """Make the corpus at `folder` unless it is there; if another process is making it, wait for that.

    Raises:
        DataError: it cannot be written (disk full, no permission).
    """
    make_whole(folder, lambda place: _fill(settings, place, progress))


def make_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have `fill` make a folder with a manifest, unless it is there: whole or not at all, by one process.

    Raises:
        DataError: it cannot be written (disk full, no permission).
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if (folder / MANIFEST).exists():
                return
            for stale in folder.parent.glob(f"{folder.name}.making-*"):
                shutil.rmtree(stale, ignore_errors=True)  # its maker is dead, as we hold the lock
            with tempfile.TemporaryDirectory(prefix=f"{folder.name}.making-", dir=folder.parent) as place:
                whole = Path(place) / "corpus"
                fill(whole)
                keep_contents(whole)
                os.rename(whole, folder)
    except OSError as error:
        raise DataError(
            f"The demo corpus cannot be made in {folder.parent}: {error}. Free some space there, "
            "or let FUSEKIT_CACHE name a folder that you can write to."
        ) from error


def write_clip(
    clip: RenderedClip, folder: Path, progress: Callable[[int], None] = lambda frames: None
) -> None:
    """Write media, boxes and labels of one subject below `folder`; `progress` gets pictures written."""
    stem = name(clip.subject)
    for part in ("media", "boxes", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _write_media(folder / "media" / f"{stem}.mp4", clip, progress)
    times = [f"{time:.2f}" for time in clip.times]
    write_csv(
        folder / "boxes" / f"{stem}.csv",
        ("time_s", "x0", "y0", "x1", "y1"),
        ([time, *(f"{edge:.2f}" for edge in box)] for time, box in zip(times, clip.boxes, strict=True)),
    )
    write_labels(folder / "labels" / f"{stem}.csv", clip, SCHEDULE)


def write_labels(path: Path, clip: RenderedClip | Streams, schedule: Sequence[str]) -> None:
    """Write valence, arousal and the columns named in `schedule`, a row per picture."""
    affect = zip(clip.times, clip.valence, clip.arousal, strict=True)
    rows = zip(*(clip.columns[column] for column in schedule), strict=True)
    write_csv(
        path,
        ("time_s", "valence", "arousal", *schedule),
        ([f"{t:.2f}", f"{v:.5f}", f"{a:.5f}", *row] for (t, v, a), row in zip(affect, rows, strict=True)),
    )


def _fill(settings: DemoSettings, folder: Path, progress: Progress | None) -> None:
    folder.mkdir()
    _run_workers(settings, folder, progress)
    rows = []
    for subject in range(settings.subjects):
        stem, split = name(subject), settings.split(subject)
        media = f"media/{stem}.mp4"
        rows.append([stem, stem, "", split, media, media, f"boxes/{stem}.csv", f"labels/{stem}.csv"])
    about = {"corpus": "demo", "version": VERSION, **asdict(settings)}
    (folder / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    write_csv(folder / MANIFEST, COLUMNS, rows)


def _run_workers(settings: DemoSettings, folder: Path, progress: Progress | None) -> None:
    """Share the subjects among processes. Plain child programs need no guard in the caller's main."""
    count = max(1, min(WORKERS, os.cpu_count() or 1, settings.subjects))
    home = str(Path(fusekit.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
    # OpenCV and BLAS would each start a thread per core, in every worker.
    env |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    jobs: list[subprocess.Popen[str]] = []
    try:
        for worker in range(count):
            subjects = list(range(worker, settings.subjects, count))
            task = json.dumps({"settings": asdict(settings), "folder": str(folder), "subjects": subjects})
            command = [sys.executable, "-P", "-m", "fusekit.data.synthetic.writing", task]
            jobs.append(subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, **pipes))
        tally = _Tally(settings.subjects * settings.frames, progress)
        threads = [threading.Thread(target=tally.follow, args=(job.stdout,), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        for job in jobs:
            assert job.stderr is not None
            faults = job.stderr.read().strip().splitlines()
            if job.wait() != 0:
                raise OSError(faults[-1] if faults else f"a worker ended with status {job.returncode}")
        for thread in threads:
            thread.join()
    finally:
        for job in jobs:
            job.kill()
            job.wait()


class _Tally:
    """Adds up what the workers report."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._done, self._lock = 0, threading.Lock()

    def follow(self, lines: IO[str]) -> None:
        for line in lines:
            with self._lock:
                self._done += int(line)
                if self._progress is not None:
                    self._progress(self._done, self._total)


def _write_media(path: Path, clip: RenderedClip, progress: Callable[[int], None]) -> None:
    samples = round(RATE_HZ / FRAME_HZ)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=Fraction(FRAME_HZ))
        video.width = video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.thread_count = 1
        video.options = {"crf": "20", "preset": "ultrafast"}
        audio: Any = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        audio.bit_rate = 112_000
        audio.options = {"aac_coder": "fast"}  # the default coder takes longer than all the drawing
        for k, picture in enumerate(clip.pictures()):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = k
            container.mux(video.encode(frame))
            block = clip.sound[None, k * samples : (k + 1) * samples]
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = RATE_HZ, k * samples, Fraction(1, RATE_HZ)
            container.mux(audio.encode(sound))
            if (k + 1) % _BATCH == 0:
                progress(_BATCH)
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    progress(len(clip.times) % _BATCH)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table that is on the disk when this returns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())


def _work(job: str) -> None:
    """What one child process does: its subjects, one after the other; a line per batch of pictures."""

    def report(frames: int) -> None:
        # When the parent is gone the pipe is broken, and this process ends here: nobody waits for it.
        sys.stdout.write(f"{frames}\n")
        sys.stdout.flush()

    task = json.loads(job)
    settings = DemoSettings(**task["settings"])
    for subject in task["subjects"]:
        write_clip(render(settings, subject), Path(task["folder"]), report)


if __name__ == "__main__":
    _work(sys.argv[1])
