"""The voice of one subject over time: syllables of a source and a filter.

Arousal (main) sets pitch, spectral tilt and syllable rate; valence (half strength) the turn of pitch within
a syllable (rising when positive) and the place of the formants (a smile raises them). Level tells neither:
it is evened out over about a second, then drifts on its own. Vowels, stress, pauses and the microphone's
tilt are nuisance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from fusekit.data.synthetic import signals
from fusekit.data.synthetic.settings import FRAME_HZ, RATE_HZ
from fusekit.data.synthetic.spectra import FREQS, HOP, hops, istft, stft

VOWELS_HZ = np.array(
    [
        [780, 1250, 2700, 3700],
        [520, 1900, 2650, 3700],
        [330, 2350, 3050, 3800],
        [500, 920, 2550, 3500],
        [360, 800, 2450, 3400],
    ]
)
VOWEL_OPEN = np.array([1.0, 0.6, 0.25, 0.6, 0.3])
VOWEL_SPREAD = np.array([0.0, 0.6, 1.0, -0.6, -1.0])
BANDWIDTH_HZ = np.array([80, 110, 160, 220])
FORMANT_DB = np.array([0.0, -4.0, -10.0, -16.0])

SEMITONES = 3.2
"""Pitch per unit of arousal."""
OCTAVES_OF_RATE = 1.1
TILT_DB = 1.6
TURN_SEMITONES = 6.0
"""Rise of pitch over one syllable per unit of valence."""
FORMANT_SHARE = 0.06
COLOUR_DB = 3.0
"""How far room and microphone lift or lower a band of two octaves."""
VOICED_SHARE = 0.70
DIP = 0.12
HARMONICS = 28
_TABLE = 4096


@dataclass(frozen=True)
class Speaker:
    """What distinguishes one recorded voice: pitch, vocal tract, tilt, speed, breath, the room's murmur."""

    pitch_hz: float
    tract: float
    tilt_db: float
    rate_hz: float
    breath: float
    room: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Speaker:
        low, mid, high = np.clip(rng.standard_normal(3), -1.6, 1.6)
        return cls(
            pitch_hz=float(195 * 2 ** (1.3 * low / 12)),
            tract=float(1 + 0.04 * mid),
            tilt_db=float(-9 + 1.2 * high),
            rate_hz=float(3.1 * 2 ** rng.normal(0, 0.08)),
            breath=float(rng.uniform(0.03, 0.08)),
            room=float(10 ** (rng.uniform(-46, -36) / 20)),
        )


@dataclass(frozen=True)
class Syllables:
    """`(n,)` each: voiced from `start` to `stop` seconds; vowel; pitch and its turn in semitones; cues."""

    start: np.ndarray
    stop: np.ndarray
    vowel: np.ndarray
    semitones: np.ndarray
    turn: np.ndarray
    formants: np.ndarray
    tilt_db: np.ndarray
    stress: np.ndarray

    def visemes(self, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """What the mouth does at the picture's rate: opening 0..1 and spread -1..1, `(frames,)` each."""
        times = np.arange(frames) / FRAME_HZ
        index = np.clip(np.searchsorted(self.start, times, side="right") - 1, 0, None)
        phase = (times - self.start[index]) / (self.stop - self.start)[index]
        lift = np.where((phase >= 0) & (phase <= 1), np.sin(np.pi * np.clip(phase, 0, 1)), 0.0)
        return lift * VOWEL_OPEN[self.vowel[index]], lift**0.5 * VOWEL_SPREAD[self.vowel[index]]


def speak(rng: np.random.Generator, who: Speaker, valence: np.ndarray, arousal: np.ndarray) -> Syllables:
    """Latents `(frames,)` -> the syllables that are spoken."""
    frames = len(valence)
    times = np.arange(frames) / FRAME_HZ
    pitch, rate, tilt = signals.expressed(rng, arousal, signals.MAIN, 3)
    turn, formant = signals.expressed(rng, valence, signals.HALF, 2)
    starts, lengths = _beats(
        rng, who.rate_hz * 2 ** (OCTAVES_OF_RATE * np.clip(rate, -1.3, 1.3)), frames / FRAME_HZ
    )
    at = starts + 0.35 * lengths
    cue = {
        key: np.interp(at, times, x) for key, x in [("p", pitch), ("t", tilt), ("u", turn), ("f", formant)]
    }
    count = len(starts)
    return Syllables(
        start=starts,
        stop=starts + VOICED_SHARE * lengths,
        vowel=rng.integers(0, len(VOWELS_HZ), count),
        semitones=SEMITONES * np.clip(cue["p"], -1.8, 1.8),
        turn=TURN_SEMITONES * np.clip(cue["u"], -1.6, 1.6),
        formants=1 + FORMANT_SHARE * cue["f"],
        tilt_db=TILT_DB * cue["t"],
        stress=rng.normal(0, 2.0, count),
    )


def synthesise(rng: np.random.Generator, who: Speaker, said: Syllables, samples: int) -> np.ndarray:
    """`(samples,)` float32 at `RATE_HZ`, of running level 1 before its slow drift."""
    count = hops(samples)
    times = np.arange(count) * HOP / RATE_HZ
    index = np.clip(np.searchsorted(said.start, times, side="right") - 1, 0, None)
    length = (said.stop - said.start)[index]
    phase = (times - said.start[index]) / length
    voiced = np.where((phase >= 0) & (phase <= 1), np.sin(np.pi * np.clip(phase, 0, 1)) ** 0.6, 0.0)
    # The voice sinks between syllables but stops in pauses only, else slow speech would have deeper gaps.
    voiced = np.where(phase < 1.0 / VOICED_SHARE, np.maximum(voiced, DIP), 0.0)
    # Between syllables pitch glides to the next one's beginning, as the folds do not jump.
    knots = np.stack([said.start, said.stop], axis=1).ravel()
    ends = np.stack([said.semitones - said.turn / 2, said.semitones + said.turn / 2], axis=1).ravel()
    semitones = np.interp(times, knots, ends) + 0.15 * rng.standard_normal(count)
    pitch = np.clip(who.pitch_hz * 2 ** (semitones / 12), 70, RATE_HZ / 2 / HARMONICS)
    source = _pulses(np.interp(np.arange(samples), np.arange(count) * HOP, pitch))

    smooth = 2.5
    shift = gaussian_filter1d(said.formants[index], smooth) * who.tract
    formants = gaussian_filter1d(VOWELS_HZ[said.vowel[index]].astype(float), smooth, axis=0) * shift[:, None]
    tilt = gaussian_filter1d(said.tilt_db[index], smooth) + who.tilt_db
    envelope = _envelope(formants, tilt) * _microphone(rng, times)
    stress = 10 ** (gaussian_filter1d(said.stress[index], smooth) / 20)
    breath = rng.standard_normal(samples).astype(np.float32)
    hiss = stft(breath)
    onset = np.where((phase > -0.25) & (phase < 0.15), 1.0, 0.0)
    consonant = 0.10 * gaussian_filter1d(onset, 1.2)[:, None] * _fricatives(rng, said, index)
    spectrum = stft(source) * (envelope * (voiced * stress)[:, None])
    spectrum += hiss * (who.breath * envelope * voiced[:, None] + consonant + 0.002)
    return _level(rng, istft(spectrum, samples)) + who.room * _hushed(breath)


def even(sound: np.ndarray, seconds: float = 0.8) -> np.ndarray:
    """`(samples,)` -> the same sound with its running level (Gaussian window) brought to 1."""
    step = 512
    blocks = np.pad(sound, (0, -len(sound) % step)).reshape(-1, step)
    power = gaussian_filter1d(
        np.mean(blocks.astype(np.float64) ** 2, axis=1), seconds * RATE_HZ / step, mode="nearest"
    )
    centres = (np.arange(len(blocks)) + 0.5) * step
    gain = np.interp(np.arange(len(sound)), centres, 1 / np.sqrt(power + 1e-12))
    return (sound * gain).astype(np.float32)


def _beats(rng: np.random.Generator, rate_hz: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of syllables at a varying rate `(frames,)`, in phrases between short pauses."""
    starts, lengths = [], []
    now, phrase = rng.uniform(0, 0.3), rng.uniform(1.6, 3.2)
    while now < seconds:
        length = rng.lognormal(0, 0.12) / rate_hz[min(int(now * FRAME_HZ), len(rate_hz) - 1)]
        starts.append(now)
        lengths.append(length)
        now += length
        phrase -= length
        if phrase < 0:
            now += rng.uniform(0.2, 0.4)
            phrase = rng.uniform(1.6, 3.2)
    return np.array(starts), np.array(lengths)


def _pulses(pitch_hz: np.ndarray) -> np.ndarray:
    """`(samples,)` pitch -> pulse train of `HARMONICS` equal harmonics, from a table: nothing aliases."""
    turn = np.arange(_TABLE) / _TABLE
    table = np.cos(2 * np.pi * np.outer(np.arange(1, HARMONICS + 1), turn)).sum(axis=0).astype(np.float32)
    phase = np.cumsum(pitch_hz / RATE_HZ)
    return table[((phase % 1.0) * _TABLE).astype(np.int32)]


def _envelope(formants_hz: np.ndarray, tilt_db: np.ndarray) -> np.ndarray:
    """`(hops, 4)` formants and `(hops,)` dB per octave -> magnitude `(hops, bins)` float32."""
    total = np.zeros((len(formants_hz), len(FREQS)), np.float32)
    for k, (width, db) in enumerate(zip(BANDWIDTH_HZ, FORMANT_DB, strict=True)):
        away = (FREQS - formants_hz[:, k : k + 1].astype(np.float32)) / np.float32(width / 2)
        total += np.float32(10 ** (db / 20)) / np.sqrt(1 + away * away)
    octaves = np.log2(np.maximum(FREQS, 60) / 500).astype(np.float32)
    slope = (tilt_db / 20 * np.log(10)).astype(np.float32)
    return total * np.exp(slope[:, None] * octaves)


def _microphone(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """`(hops, bins)` magnitude: colour of room and microphone, drifting as the speaker moves."""
    octaves = np.log2(np.maximum(FREQS, 60) / 250)
    decibel = np.zeros((len(times), len(FREQS)), np.float32)
    frames = int(times[-1] * FRAME_HZ) + 2
    for k in range(4):
        wave = rng.normal(0, COLOUR_DB) + COLOUR_DB * signals.drift(rng, frames, 15.0)
        bump = np.exp(-0.5 * (octaves - 1.4 * k) ** 2).astype(np.float32)
        decibel += _resampled(wave, times).astype(np.float32)[:, None] * bump
    return np.exp(decibel * np.float32(np.log(10) / 20))


def _fricatives(rng: np.random.Generator, said: Syllables, index: np.ndarray) -> np.ndarray:
    """`(hops, bins)` spectrum of each syllable's opening consonant: a broad hump somewhere high."""
    kinds = np.exp(-0.5 * ((FREQS - np.array([[2200], [3800], [5600], [1200]])) / 900) ** 2).astype(
        np.float32
    )
    chosen = rng.integers(0, len(kinds), len(said.start))
    loud = rng.uniform(0, 1, len(said.start)).astype(np.float32)
    return (kinds[chosen] * loud[:, None])[index]


def _hushed(noise: np.ndarray) -> np.ndarray:
    """White noise -> the murmur of a room, of level 1."""
    murmur = lfilter([1.0], [1.0, -0.9], noise).astype(np.float32)
    return murmur / murmur.std()


def _level(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Level evened out, then drifting by 2 dB as when a speaker turns away from the microphone."""
    frames = int(len(sound) / RATE_HZ * FRAME_HZ) + 2
    decibel = _resampled(2.0 * signals.drift(rng, frames, 20.0), np.arange(len(sound)) / RATE_HZ)
    return (even(sound) * 10 ** (decibel / 20)).astype(np.float32)


def _resampled(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values at the picture's rate -> at `times` in seconds."""
    return np.interp(times, np.arange(len(values)) / FRAME_HZ, values)
