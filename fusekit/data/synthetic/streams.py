"""One subject's ECG and transcript before any coding, with the truth of both.

They follow the same latents as face and voice, and draw from random streams of their own: whether they are
made changes no picture and no sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusekit.data.synthetic import ecg_damage, hearts, schedules, transcripts
from fusekit.data.synthetic.clips import affect
from fusekit.data.synthetic.hearts import Beats, Heart
from fusekit.data.synthetic.schedules import ECG_AND_TEXT, Stretch
from fusekit.data.synthetic.settings import ECG_HZ, FRAME_HZ, DemoSettings
from fusekit.data.synthetic.transcripts import Author, Cue, Word

_SCHEDULE, _HEART, _BEATS, _ELECTRODE, _ECG_DAMAGE, _AUTHOR, _WORDS, _RECOGNISER = range(100, 108)


@dataclass(frozen=True)
class Streams:
    """What is written to files, and what it was made from.

    Attributes:
        times, valence, arousal: `(frames,)` as of the pictures.
        columns: schedule columns of the labels, those of face and voice included.
        stretches: of ECG and transcript alone.
        clean, ecg: `(samples,)` millivolts at `ECG_HZ`: the beats alone, and as recorded.
        said, cues: every word that was said, and the transcript.
    """

    times: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
    columns: dict[str, np.ndarray]
    stretches: list[Stretch]
    beats: Beats
    clean: np.ndarray
    ecg: np.ndarray
    said: list[Word]
    cues: list[Cue]


def render(settings: DemoSettings, subject: int) -> Streams:
    """ECG and transcript of one subject (0-based)."""

    def rng(stream: int) -> np.random.Generator:
        return settings.rng(subject, stream)

    frames = settings.frames
    valence, arousal, _, columns = affect(settings, subject)
    stretches = schedules.plan(
        rng(_SCHEDULE), frames, settings.split(subject), settings.place(subject), ECG_AND_TEXT
    )
    heart = Heart.draw(rng(_HEART))
    beats = hearts.beat(rng(_BEATS), heart, valence, arousal)
    clean = hearts.record(rng(_ELECTRODE), heart, beats, round(frames / FRAME_HZ * ECG_HZ))
    said = transcripts.say(rng(_WORDS), Author(rng(_AUTHOR)), valence, arousal)
    return Streams(
        times=np.arange(frames) / FRAME_HZ,
        valence=valence,
        arousal=arousal,
        columns=columns | schedules.columns(stretches, frames, ECG_AND_TEXT),
        stretches=stretches,
        beats=beats,
        clean=clean,
        ecg=ecg_damage.spoil(rng(_ECG_DAMAGE), clean, stretches),
        said=said,
        cues=transcripts.hear(rng(_RECOGNISER), said, stretches, frames),
    )
