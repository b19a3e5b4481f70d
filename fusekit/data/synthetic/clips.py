"""One subject's clip before any coding: latents, schedule, pictures, sound, boxes, labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fusekit.data.synthetic import schedules, signals, sound_damage
from fusekit.data.synthetic.faces import Face, Motion
from fusekit.data.synthetic.picture_damage import PictureDamage
from fusekit.data.synthetic.schedules import Stretch
from fusekit.data.synthetic.settings import FRAME_HZ, DemoSettings
from fusekit.data.synthetic.voices import Speaker, Syllables, speak, synthesise

PEAK = 0.8
_LATENTS, _SCHEDULE, _FACE, _MOTION, _CAMERA, _VOICE, _SOUND_DAMAGE, _PICTURE_DAMAGE = range(8)


@dataclass
class RenderedClip:
    """What is written to files, and what it was made from.

    Attributes:
        times: `(frames,)` seconds of pictures, boxes and labels.
        boxes: `(frames, 4)` x0, y0, x1, y1 in pixels, NaN where the face is absent.
        clean, sound: `(samples,)` float32 in -1..1: the voice alone, and as recorded.
        columns: schedule columns of the labels.
    """

    settings: DemoSettings
    subject: int
    times: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
    stretches: list[Stretch]
    columns: dict[str, np.ndarray]
    syllables: Syllables
    face: Face
    motion: Motion
    boxes: np.ndarray
    clean: np.ndarray
    sound: np.ndarray

    def pictures(self) -> Iterator[np.ndarray]:
        """`(SIZE, SIZE, 3)` uint8 RGB, one per entry of `times`; the same at every call."""
        camera = self.settings.rng(self.subject, _CAMERA)
        dirt = self.settings.rng(self.subject, _PICTURE_DAMAGE)
        damages: list[PictureDamage | None] = [None] * len(self.times)
        for stretch in self.stretches:
            if stretch.modality == "face" and not stretch.absent:
                damage, long = PictureDamage(stretch, dirt), stretch.stop - stretch.start
                damages[stretch.start : stretch.stop] = [damage] * long
        frames = self.face.frames(self.motion, self.columns["face_present"], camera)
        for picture, spoil, box in zip(frames, damages, self.boxes, strict=True):
            yield picture if spoil is None else spoil(picture, box)


def affect(
    settings: DemoSettings, subject: int
) -> tuple[np.ndarray, np.ndarray, list[Stretch], dict[str, np.ndarray]]:
    """What drives one subject (0-based): valence, arousal `(frames,)`, the schedule of face and voice, its
    columns of the labels.
    """
    frames = settings.frames
    valence, arousal = signals.latents(settings.rng(subject, _LATENTS), frames)
    stretches = schedules.plan(
        settings.rng(subject, _SCHEDULE), frames, settings.split(subject), settings.place(subject)
    )
    return valence, arousal, stretches, schedules.columns(stretches, frames)


def render(settings: DemoSettings, subject: int) -> RenderedClip:
    """Everything of one subject (0-based) but the pictures, which are drawn as they are asked for."""

    def rng(stream: int) -> np.random.Generator:
        return settings.rng(subject, stream)

    frames = settings.frames
    valence, arousal, stretches, columns = affect(settings, subject)
    voice = rng(_VOICE)
    speaker = Speaker.draw(voice)
    syllables = speak(voice, speaker, valence, arousal)
    clean = synthesise(voice, speaker, syllables, settings.samples)
    sound = sound_damage.spoil(rng(_SOUND_DAMAGE), clean, stretches)
    gain = PEAK / max(np.abs(clean).max(), np.abs(sound).max())

    face, moves = Face(rng(_FACE)), rng(_MOTION)
    motion = Motion.draw(moves, valence, arousal, *syllables.visemes(frames))
    boxes = face.boxes(motion, moves)
    boxes[columns["face_present"] == 0] = np.nan
    return RenderedClip(
        settings=settings,
        subject=subject,
        times=np.arange(frames) / FRAME_HZ,
        valence=valence,
        arousal=arousal,
        stretches=stretches,
        columns=columns,
        syllables=syllables,
        face=face,
        motion=motion,
        boxes=boxes,
        clean=(clean * gain).astype(np.float32),
        sound=(sound * gain).astype(np.float32),
    )
