"""ECG and transcripts of the demo corpus: what tells what, how strongly, what is spoilt when."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.signal import butter, find_peaks, hilbert, sosfiltfilt

from fusekit.data.synthetic import ecg_damage, hearts, lexicon, schedules, signals, streams, transcripts
from fusekit.data.synthetic.schedules import ECG_AND_TEXT
from fusekit.data.synthetic.settings import ECG_HZ, FRAME_HZ, DemoSettings

DEFAULT = DemoSettings()
CCC_RATE, R_SWAY, R_SCORE, R_FORCE = 0.82, 0.48, 0.69, 0.35
"""As docs/data.md states them."""


@pytest.fixture(scope="module")
def corpus():
    """`{split: subjects' streams}` of the default corpus, 12 to train on and the 12 test subjects."""
    return {
        split: [streams.render(DEFAULT, i) for i in subjects]
        for split, subjects in (("train", range(12)), ("test", range(30, 42)))
    }


def joined(clips, what) -> np.ndarray:
    return np.concatenate([what(clip) for clip in clips])


def corr(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def ccc(a: np.ndarray, b: np.ndarray) -> float:
    return float(
        2 * np.mean((a - a.mean()) * (b - b.mean())) / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    )


def rate(clip) -> np.ndarray:
    """`(frames,)` true heart rate: beats per minute between true R peaks, mean over two seconds."""
    bpm = np.interp(clip.times, clip.beats.seconds - clip.beats.interval_s / 2, 60 / clip.beats.interval_s)
    return np.convolve(np.pad(bpm, 12, mode="edge"), np.ones(25) / 25, mode="valid")


def test_true_heart_rate_tells_arousal(corpus):
    x, y = joined(corpus["train"], rate), joined(corpus["train"], lambda c: c.arousal)
    slope, level = np.polyfit(x, y, 1)  # ridge on one feature and 18,000 rows
    told = slope * joined(corpus["test"], rate) + level
    truth = joined(corpus["test"], lambda c: c.arousal)
    assert ccc(told, truth) == pytest.approx(CCC_RATE, abs=0.05)
    assert abs(corr(told, joined(corpus["test"], lambda c: c.valence))) < 0.15


def test_the_sway_of_breathing_tells_valence_at_half_strength(corpus):
    band = butter(2, (0.23, 0.6), "band", fs=FRAME_HZ, output="sos")

    def sway(clip) -> np.ndarray:
        bpm = np.interp(
            clip.times, clip.beats.seconds - clip.beats.interval_s / 2, 60 / clip.beats.interval_s
        )
        envelope = np.convolve(np.abs(hilbert(sosfiltfilt(band, bpm))), np.ones(38) / 38, mode="same")
        return np.log(envelope + 0.3)

    both = corpus["train"] + corpus["test"]
    assert corr(joined(both, sway), joined(both, lambda c: c.valence)) == pytest.approx(R_SWAY, abs=0.1)


def test_every_heart_beats_within_its_limits_and_has_a_shape_of_its_own(corpus):
    both = corpus["train"] + corpus["test"]
    bpm = joined(both, lambda c: c.beats.bpm)
    low, high = np.percentile(bpm, (2.5, 97.5))
    assert 55 <= low < 64
    assert 106 < high <= 116
    assert 0 < np.mean(joined(both, lambda c: c.beats.extra)) < 0.03
    shapes = [hearts.Heart.draw(DEFAULT.rng(i, 101)).mv for i in range(6)]
    assert np.std(shapes, axis=0).min() > 0.005
    assert all(np.diff(c.beats.seconds).min() > 0.3 for c in both)


def test_simple_thresholding_finds_the_true_r_peaks(corpus):
    found = missed = invented = 0
    for clip in corpus["test"]:
        sharp = np.diff(clip.clean, prepend=clip.clean[0])
        peaks, _ = find_peaks(clip.clean, height=0.4, distance=int(0.3 * ECG_HZ), prominence=0.5)
        seconds = peaks[np.abs(sharp[peaks]) < 0.2] / ECG_HZ
        truth = clip.beats.seconds
        truth = truth[(truth > 0.1) & (truth < len(clip.clean) / ECG_HZ - 0.1)]
        near = np.abs(seconds[:, None] - truth).min(axis=0) < 0.02
        found, missed = found + near.sum(), missed + (~near).sum()
        invented += (np.abs(seconds[:, None] - truth).min(axis=1) > 0.05).sum()
    assert missed <= 0.01 * found
    assert invented <= 0.01 * found


def test_ecg_keeps_level_when_damaged_and_is_flat_when_absent(corpus):
    for clip in corpus["train"] + corpus["test"]:
        for stretch in clip.stretches:
            if stretch.modality != "ecg":
                continue
            part = ecg_damage.samples(stretch)
            was, now = clip.clean[part], clip.ecg[part]
            if stretch.absent:
                assert not now.any()
                continue
            assert now.std() == pytest.approx(was.std())
            assert now.mean() == pytest.approx(was.mean())
            left = corr(was, now) ** 2  # share of the variance that is still the heart's
            snr = 10 ** (ecg_damage.SNR_DB[stretch.strength - 1] / 10)
            assert left == pytest.approx(snr / (1 + snr), abs=0.2)
        spoilt = (clip.columns["ecg_damage"] > 0) | (clip.columns["ecg_present"] == 0)
        whole = ~np.repeat(spoilt, int(ECG_HZ / FRAME_HZ))
        assert np.array_equal(clip.ecg[whole], clip.clean[whole])


def heard(clips) -> tuple[np.ndarray, ...]:
    """Score, surplus of intensifiers, valence, arousal of each cue that nothing is planted in."""
    rows = []
    for clip in clips:
        for cue in clip.cues:
            frame = int((cue.start + cue.stop) / 2 * FRAME_HZ)
            if clip.columns["text_damage"][frame] == 0:
                force = sum(f" {w} " in f" {cue.text} " for w in lexicon.STRONG)
                force -= sum(f" {w} " in f" {cue.text} " for w in lexicon.WEAK)
                rows.append((lexicon.score(cue.text), force, clip.valence[frame], clip.arousal[frame]))
    return tuple(np.array(rows).T)


def test_a_lexicon_score_tells_valence_and_intensifiers_tell_arousal_less(corpus):
    score, force, valence, arousal = heard(corpus["train"] + corpus["test"])
    told = np.isfinite(score)
    assert told.mean() > 0.7
    assert corr(score[told], valence[told]) == pytest.approx(R_SCORE, abs=0.06)
    assert corr(force, arousal) == pytest.approx(R_FORCE, abs=0.08)
    assert abs(corr(score[told], arousal[told])) < 0.12


def test_cues_come_every_few_seconds_and_never_overlap(corpus):
    clips = corpus["train"] + corpus["test"]
    for clip in clips:
        for a, b in zip(clip.cues, clip.cues[1:], strict=False):
            assert a.start < a.stop < b.start
        assert clip.cues[0].start >= 0
        assert clip.cues[-1].stop <= DEFAULT.seconds
        assert all(re.fullmatch(r"[a-z\[\] ]+", cue.text) for cue in clip.cues)
    gaps = np.concatenate([np.diff([cue.start for cue in clip.cues]) for clip in clips])
    assert 2 < np.percentile(gaps, 10) < np.median(gaps) < 4


def test_no_word_is_heard_where_the_transcript_is_absent_and_all_are_spoilt_at_strength_three(corpus):
    absent = 0
    for clip in corpus["train"] + corpus["test"]:
        for stretch in clip.stretches:
            start, stop = stretch.seconds
            inside = [cue for cue in clip.cues if cue.start < stop and start < cue.stop]
            if stretch.modality != "text":
                continue
            if stretch.absent:
                absent += 1
                assert inside == []
            elif stretch.kind == "missed" and stretch.strength == 3:
                within = [cue for cue in inside if start <= cue.start and cue.stop <= stop]
                assert {word for cue in within for word in cue.text.split()} <= {transcripts.INAUDIBLE}
    assert absent == 24


def test_graded_words_are_not_words_of_any_other_kind():
    graded = [word for words in lexicon.BY_GRADE for word in words]
    assert len(graded) == len(set(graded)) == 70
    lists = (lexicon.STRONG, lexicon.WEAK, lexicon.NOUNS, lexicon.FILLERS, lexicon.TEMPLATES, lexicon.TAILS)
    assert not set(graded) & {part for words in lists for phrase in words for part in phrase.split()}
    assert lexicon.score("it was a very lovely bad day") == pytest.approx(0.2)
    assert np.isnan(lexicon.score("it was usual"))


@given(
    st.floats(12, 240),
    st.sampled_from(["train", "validation", "test"]),
    st.integers(0, 20),
    st.integers(0, 10**6),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_stretches_of_ecg_and_text_fit_and_never_touch(seconds, split, place, seed):
    frames = round(seconds * FRAME_HZ)
    stretches = schedules.plan(np.random.default_rng(seed), frames, split, place, ECG_AND_TEXT)
    assert stretches[0].start > 0
    assert stretches[-1].stop < frames
    for a, b in zip(stretches, stretches[1:], strict=False):
        assert b.start > a.stop
    shortest = min(4.0, 0.18 * frames / FRAME_HZ)
    assert min(s.stop - s.start for s in stretches) / FRAME_HZ >= shortest - 1e-9
    columns = schedules.columns(stretches, frames, ECG_AND_TEXT)
    assert set(columns) == {f"{m}_{what}" for m in ("ecg", "text") for what in ("damage", "kind", "present")}
    for modality in ("ecg", "text"):
        assert (columns[f"{modality}_damage"] > 0).any()
        assert (columns[f"{modality}_present"] == 0).any()


def test_damage_is_shared_out_as_for_face_and_voice_and_one_kind_is_left_to_the_test(corpus):
    for split, clips in corpus.items():
        for modality, seen, unseen in ECG_AND_TEXT.parts:
            kinds = set(joined(clips, lambda c, m=modality: c.columns[f"{m}_kind"])) - {""}
            assert kinds == {*seen, *([unseen] if split == "test" else [])}
            share = np.mean(joined(clips, lambda c, m=modality: c.columns[f"{m}_damage"]) > 0)
            assert share == pytest.approx(schedules.DAMAGE_SHARE[split], abs=0.05)
            away = np.mean(joined(clips, lambda c, m=modality: c.columns[f"{m}_present"]) == 0)
            assert 0.02 < away < 0.09


def test_the_same_seed_gives_the_same_streams_and_another_gives_others():
    small, same, other = (streams.render(DemoSettings(3, 12.0, seed), 1) for seed in (5, 5, 6))
    assert np.array_equal(small.ecg, same.ecg)
    assert small.cues == same.cues
    assert not np.array_equal(small.ecg, other.ecg)
    assert small.cues != other.cues


def test_latents_are_those_of_the_face_and_voice(corpus):
    valence, arousal = signals.latents(DEFAULT.rng(0, 0), DEFAULT.frames)
    assert np.array_equal(corpus["train"][0].valence, valence)
    assert np.array_equal(corpus["train"][0].arousal, arousal)
