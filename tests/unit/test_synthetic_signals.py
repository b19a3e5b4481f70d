"""Latents and schedules of the demo corpus: distribution, strength of the cues, planted stretches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fusekit.data.synthetic import schedules, signals
from fusekit.data.synthetic.settings import FRAME_HZ, DemoSettings
from fusekit.data.synthetic.signals import HALF, LATENT_STD, MAIN

MINUTES_2 = 1500


def corr(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("seed", range(6))
def test_latents_cover_the_range_alike_in_every_clip(seed):
    valence, arousal = signals.latents(np.random.default_rng(seed), MINUTES_2)
    for latent in (valence, arousal):
        assert abs(latent.mean()) < 2e-3
        assert latent.std() == pytest.approx(LATENT_STD, abs=5e-3)
        assert np.abs(latent).max() <= 1
        assert latent.max() > 0.6
        assert latent.min() < -0.6
    assert abs(corr(valence, arousal)) < 0.1


def test_latents_are_smooth_over_a_step_and_forgotten_after_twenty_seconds():
    latents = [signals.latents(np.random.default_rng(s), MINUTES_2)[0] for s in range(20)]
    near = np.mean([corr(x[:-2], x[2:]) for x in latents])
    far = np.mean([corr(x[:-250], x[250:]) for x in latents])
    assert near > 0.97
    assert abs(far) < 0.35


def test_band_noise_has_unit_variance_and_stays_in_its_band():
    x = signals.band_noise(np.random.default_rng(0), 40_000, 100.0, (2.0, 10.0))
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    freqs = np.fft.rfftfreq(len(x), 0.01)
    inside = (freqs > 1.9) & (freqs < 10.1)
    assert x.var() == pytest.approx(1.0, rel=0.05)
    assert power[~inside].sum() < 1e-3 * power.sum()


def test_the_other_dimension_is_told_at_half_strength_with_the_same_noise():
    rng = np.random.default_rng(1)
    slopes, noises = [], []
    for strength in (MAIN, HALF):
        pairs = []
        for _ in range(30):
            latent, _ = signals.latents(rng, MINUTES_2)
            pairs.append((latent, signals.expressed(rng, latent, strength, 1)[0]))
        latent, cue = (np.concatenate(x) for x in zip(*pairs, strict=True))
        slope = np.polyfit(latent, cue, 1)[0]
        slopes.append(slope)
        noises.append(np.std(cue - slope * latent))
    assert slopes[1] / slopes[0] == pytest.approx(0.5, abs=0.05)
    assert noises[1] / noises[0] == pytest.approx(1.0, abs=0.05)


def test_a_second_of_memory_tells_more_than_one_frame():
    rng = np.random.default_rng(2)
    latent, _ = signals.latents(rng, 20 * MINUTES_2)
    cue = signals.expressed(rng, latent, MAIN, 1)[0]
    second = np.convolve(cue, np.ones(16) / 16)[: len(cue)]
    assert corr(second, latent) > corr(cue, latent) + 0.05


@given(
    st.floats(12, 240),
    st.sampled_from(["train", "validation", "test"]),
    st.integers(0, 20),
    st.integers(0, 10**6),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_stretches_fit_and_never_touch(seconds, split, place, seed):
    frames = round(seconds * FRAME_HZ)
    stretches = schedules.plan(np.random.default_rng(seed), frames, split, place)
    assert stretches[0].start > 0
    assert stretches[-1].stop < frames
    for a, b in zip(stretches, stretches[1:], strict=False):
        assert b.start > a.stop
    for stretch in stretches:
        long = (stretch.stop - stretch.start) / FRAME_HZ
        assert long >= (1.0 if stretch.absent else 3.0)
    columns = schedules.columns(stretches, frames)
    for modality in ("face", "voice"):
        damaged, absent = columns[f"{modality}_damage"] > 0, columns[f"{modality}_present"] == 0
        assert damaged.any()
        assert absent.any()
        assert not (damaged & absent).any()
        assert ((columns[f"{modality}_kind"] != "") == damaged).all()
    assert not ((columns["face_damage"] > 0) & (columns["voice_damage"] > 0)).any()
    assert not ((columns["face_present"] == 0) & (columns["voice_present"] == 0)).any()


def plans(settings: DemoSettings) -> dict[str, list[schedules.Stretch]]:
    found: dict[str, list[schedules.Stretch]] = {"train": [], "validation": [], "test": []}
    for i in range(settings.subjects):
        split = settings.split(i)
        found[split] += schedules.plan(settings.rng(i, 1), settings.frames, split, settings.place(i))
    return found


def test_the_default_corpus_plants_every_strength_everywhere_and_new_kinds_in_test_alone():
    settings = DemoSettings()
    found = plans(settings)
    for split, stretches in found.items():
        for modality, seen, unseen in (
            ("face", schedules.FACE_KINDS, schedules.FACE_UNSEEN),
            ("voice", schedules.VOICE_KINDS, schedules.VOICE_UNSEEN),
        ):
            damage = [s for s in stretches if s.modality == modality and not s.absent]
            strengths = [sum(s.strength == k for s in damage) for k in (1, 2, 3)]
            assert len(set(strengths)) == 1
            kinds = {(s.kind, s.strength) for s in damage}
            assert {(k, s) for k in seen for s in (1, 2, 3)} - kinds == set() or split == "validation"
            assert {s for k, s in kinds if k == unseen} == ({1, 2, 3} if split == "test" else set())
            clips = sum(settings.split(i) == split for i in range(settings.subjects))
            share = sum(s.stop - s.start for s in damage) / (clips * settings.frames)
            away = sum(s.stop - s.start for s in stretches if s.modality == modality and s.absent)
            assert share == pytest.approx(0.30 if split == "train" else 0.18, abs=0.03)
            assert 0.02 < away / (clips * settings.frames) < 0.09


def test_splits_are_by_subject_and_large_enough_to_test():
    settings = DemoSettings()
    splits = [settings.split(i) for i in range(settings.subjects)]
    assert {s: splits.count(s) for s in set(splits)} == {"train": 24, "validation": 6, "test": 12}
    assert [settings.place(i) for i in range(42)] == [*range(24), *range(6), *range(12)]


def test_every_option_names_another_folder():
    keys = {
        DemoSettings().key(),
        DemoSettings(subjects=12).key(),
        DemoSettings(seconds=60).key(),
        DemoSettings(seed=1).key(),
    }
    assert len(keys) == 4
    assert DemoSettings().key() == DemoSettings().key()
