"""Makes the files of ECG and transcripts, in a folder of their own beside that of faces and voices.

    <folder>/manifest.csv                   as the corpus's own, with ecg and text; face, voice lie over there
    <folder>/about.json                     options and versions
    <folder>/ecg/s01.csv                    time_s, ecg: millivolts at 250 Hz
    <folder>/text/s01.srt                   the transcript
    <folder>/r_peaks/s01.csv                time_s, extra: every R peak, extra beats 1; never an input
    <folder>/labels/s01.csv                 as the corpus's own, then the schedules of ecg and text

They are made only when a recipe asks for them, and faces and voices are made apart: neither waits for the
other, and a folder of an earlier fusekit is completed without being touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fusekit.data.synthetic.settings import ECG_HZ, STREAMS_VERSION, VERSION, DemoSettings, name
from fusekit.data.synthetic.streams import Streams, render
from fusekit.data.synthetic.transcripts import Cue
from fusekit.data.synthetic.writing import COLUMNS, MANIFEST, SCHEDULE, make_whole, write_csv, write_labels

STREAM_COLUMNS = (*COLUMNS, "ecg", "text")
STREAM_SCHEDULE = (
    *SCHEDULE,
    "ecg_damage",
    "ecg_kind",
    "ecg_present",
    "text_damage",
    "text_kind",
    "text_present",
)


def make_streams(
    settings: DemoSettings, folder: Path, beside: str, progress: Callable[[int, int], None] | None = None
) -> None:
    """Make ECG and transcripts at `folder` unless they are there; if another process does so, wait for it.

    Args:
        beside: name of the folder next to it that has, or will have, faces and voices.
        progress: called with subjects done and subjects in all.

    Raises:
        DataError: they cannot be written (disk full, no permission).
    """
    make_whole(folder, lambda place: _fill(settings, place, beside, progress))


def _fill(
    settings: DemoSettings, folder: Path, beside: str, progress: Callable[[int, int], None] | None
) -> None:
    rows = []
    for subject in range(settings.subjects):
        stem, split = name(subject), settings.split(subject)
        write_streams(render(settings, subject), folder, stem)
        media, boxes = f"../{beside}/media/{stem}.mp4", f"../{beside}/boxes/{stem}.csv"
        own = [f"labels/{stem}.csv", f"ecg/{stem}.csv", f"text/{stem}.srt"]
        rows.append([stem, stem, "", split, media, media, boxes, *own])
        if progress is not None:
            progress(subject + 1, settings.subjects)
    about = {"corpus": "demo", "version": VERSION, "streams": STREAMS_VERSION, **asdict(settings)}
    (folder / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    write_csv(folder / MANIFEST, STREAM_COLUMNS, rows)


def write_streams(streams: Streams, folder: Path, stem: str) -> None:
    """Write ECG, transcript, R peaks and labels of one subject below `folder`."""
    for part in ("ecg", "text", "r_peaks", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    samples = enumerate(streams.ecg.tolist())
    write_csv(
        folder / "ecg" / f"{stem}.csv",
        ("time_s", "ecg"),
        ((f"{k / ECG_HZ:.3f}", f"{mv:.3f}") for k, mv in samples),
    )
    beats = zip(streams.beats.seconds, streams.beats.extra, strict=True)
    end = len(streams.ecg) / ECG_HZ
    write_csv(
        folder / "r_peaks" / f"{stem}.csv",
        ("time_s", "extra"),
        ((f"{at:.4f}", int(extra)) for at, extra in beats if 0 <= at < end),
    )
    with (folder / "text" / f"{stem}.srt").open("w", encoding="utf-8", newline="\n") as file:
        file.write(srt(streams.cues))
        file.flush()
        os.fsync(file.fileno())
    write_labels(folder / "labels" / f"{stem}.csv", streams, STREAM_SCHEDULE)


def srt(cues: list[Cue]) -> str:
    """A transcript in SubRip's format: number, times to the millisecond, text, an empty line."""
    return "".join(
        f"{number}\n{_clock(cue.start)} --> {_clock(cue.stop)}\n{cue.text}\n\n"
        for number, cue in enumerate(cues, 1)
    )


def _clock(seconds: float) -> str:
    total = round(1000 * seconds)
    return f"{total // 3_600_000:02d}:{total // 60_000 % 60:02d}:{total // 1000 % 60:02d},{total % 1000:03d}"
