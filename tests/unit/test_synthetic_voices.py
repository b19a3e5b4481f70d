"""The demo corpus's voices: pitch and rate follow arousal, level does not; damage keeps the file's
decibels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusekit.data.synthetic import sound_damage, spectra
from fusekit.data.synthetic.schedules import Stretch
from fusekit.data.synthetic.settings import RATE_HZ, DemoSettings
from fusekit.data.synthetic.voices import Speaker, speak, synthesise

SECONDS = 12
FRAMES = round(SECONDS * 12.5)


def speech(valence: float, arousal: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = Speaker.draw(rng)
    said = speak(rng, who, np.full(FRAMES, valence), np.full(FRAMES, arousal))
    return synthesise(rng, who, said, SECONDS * RATE_HZ), said.start


def pitch_hz(sound: np.ndarray) -> float:
    """Median over loud windows of the highest peak of the autocorrelation between 90 and 400 Hz."""
    window = 1024
    frames = sound[: len(sound) // window * window].reshape(-1, window)
    loud = frames[frames.std(axis=1) > np.median(frames.std(axis=1))]
    spectrum = np.abs(np.fft.rfft(loud * np.hanning(window), 2 * window, axis=1)) ** 2
    lags = np.fft.irfft(spectrum, axis=1)
    low, high = RATE_HZ // 400, RATE_HZ // 90
    return float(np.median(RATE_HZ / (low + lags[:, low:high].argmax(axis=1))))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_arousal_raises_pitch_rate_and_the_share_of_high_frequencies(seed):
    calm, slow = speech(0, -0.8, seed)
    lively, quick = speech(0, 0.8, seed)
    assert pitch_hz(lively) > 1.15 * pitch_hz(calm)
    assert len(quick) > 2 * len(slow)

    def high(sound: np.ndarray) -> float:
        power = spectra.mel_power(sound).mean(axis=0)
        return float(power[64:].sum() / power.sum())

    assert high(lively) > high(calm)


def test_level_does_not_tell_arousal():
    differences = []
    for seed in range(4):
        calm, lively = (speech(0, a, seed)[0][RATE_HZ:-RATE_HZ] for a in (-0.8, 0.8))
        differences.append(10 * np.log10(np.mean(lively**2) / np.mean(calm**2)))
    assert abs(np.mean(differences)) < 1.0
    assert np.abs(differences).max() < 3.0


def test_valence_turns_the_pitch_within_syllables():
    rng = np.random.default_rng(3)
    who = Speaker.draw(rng)
    calm = np.zeros(6 * FRAMES)
    down, up = (speak(rng, who, calm + v, calm) for v in (-0.8, 0.8))
    assert up.turn.mean() > 2
    assert down.turn.mean() < -2
    assert up.formants.mean() > down.formants.mean()


def test_mouth_opens_with_the_syllables():
    rng = np.random.default_rng(4)
    said = speak(rng, Speaker.draw(rng), np.zeros(FRAMES), np.zeros(FRAMES))
    opening, spread = said.visemes(FRAMES)
    times = np.arange(FRAMES) / 12.5
    spoken = np.array([np.any((said.start <= t) & (t <= said.stop)) for t in times])
    assert opening[~spoken].max() == 0
    assert opening[spoken].max() > 0.5
    assert np.abs(spread).max() <= 1


def test_spectrum_and_its_inverse_give_the_sound_back():
    sound = np.random.default_rng(0).standard_normal(30_000).astype(np.float32)
    again = spectra.istft(spectra.stft(sound), len(sound))
    assert np.abs(again - sound).max() < 1e-3


def test_mel_filters_are_those_of_librosa():
    filters = pytest.importorskip("librosa").filters.mel(
        sr=RATE_HZ, n_fft=spectra.MEL_FFT, n_mels=spectra.MELS
    )
    assert np.abs(filters - spectra.mel_filters()).max() < 1e-6


@pytest.mark.parametrize("kind", ["noise", "babble", "hum", "crackle"])
def test_damage_grows_with_strength_and_never_exceeds_the_clean_peak(kind):
    voice, _ = speech(0.2, 0.3, 5)
    clean_peak = spectra.mel_power(voice).max()
    similar = []
    for strength in (1, 2, 3):
        stretch = Stretch("voice", 50, 100, kind, strength)
        spoilt = sound_damage.spoil(np.random.default_rng(6), voice, [stretch])
        part = sound_damage.samples(stretch)
        assert np.array_equal(spoilt[: part.start], voice[: part.start])
        assert np.array_equal(spoilt[part.stop :], voice[part.stop :])
        assert (
            spectra.mel_power(
                np.where(np.arange(len(voice)) // 1 >= part.start, spoilt, 0)[: part.stop]
            ).max()
            <= clean_peak
        )
        assert np.mean(spoilt[part] ** 2) < 1.3 * np.mean(voice[part] ** 2)
        similar.append(np.corrcoef(spoilt[part], voice[part])[0, 1])
    assert similar[0] > similar[1] > similar[2]
    assert similar[0] > 0.9
    assert similar[2] < 0.25


def test_absence_is_digital_silence_and_nothing_else():
    voice, _ = speech(0, 0, 7)
    stretch = Stretch("voice", 30, 60, "absent", 0)
    spoilt = sound_damage.spoil(np.random.default_rng(0), voice, [stretch])
    part = sound_damage.samples(stretch)
    assert not spoilt[part].any()
    assert np.abs(voice[part]).max() > 0
    away = np.ones(len(voice), bool)
    away[part] = False
    assert np.array_equal(spoilt[away], voice[away])
    # Pauses are not silent: the room is heard.
    assert np.abs(voice).reshape(-1, 441).max(axis=1).min() > 0


def test_a_subject_sounds_the_same_whatever_else_is_made():
    few, many = DemoSettings(subjects=12), DemoSettings(subjects=16)
    assert few.rng(3, 5).integers(1 << 30) == many.rng(3, 5).integers(1 << 30)
    assert replace(few, seed=1).rng(3, 5).integers(1 << 30) != few.rng(3, 5).integers(1 << 30)
