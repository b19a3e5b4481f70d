"""What is said of odd labels: each kind of mistake is told, and what only looks like one is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusekit.contracts import Clip, Labels, Source
from fusekit.data.label_findings import (
    Note,
    clip_notes,
    decimals,
    dimension_notes,
    statistics,
    tracks,
    twin_notes,
)

HZ = 10


def smooth(seed: int, rows: int = 400, low: float = -0.7, high: float = 0.8) -> np.ndarray:
    """A track that moves within `low`..`high` and reaches both, in small steps."""
    rng = np.random.default_rng(seed)
    time = np.arange(rows) / HZ
    x = sum(np.sin(2 * np.pi * (time / period + rng.random())) for period in (23, 11, 7))
    x = (x - x.min()) / (x.max() - x.min())
    return low + (high - low) * x


def clips(*values: np.ndarray) -> list[Clip]:
    return [
        Clip(
            f"c{i}", f"s{i}", {"voice": Source(Path(f"{i}.wav"))},
            Labels(np.arange(len(x)) / HZ, np.asarray(x, np.float32)[:, None], ("v",)),
        )
        for i, x in enumerate(values)
    ]  # fmt: skip


def told(*values: np.ndarray, label_range: tuple[float, float] = (-1, 1)) -> list[Note]:
    return dimension_notes(clips(*values), "v", label_range)


def kinds(*values: np.ndarray, label_range: tuple[float, float] = (-1, 1)) -> list[str]:
    return [note.kind for note in told(*values, label_range=label_range)]


def gapped(x: np.ndarray, code: float, every: int = 50, rows: int = 6) -> np.ndarray:
    """`x` with stretches of `code` in it."""
    x = x.copy()
    for start in range(17, len(x), every):
        x[start : start + rows] = code
    return x


def test_statistics_are_of_the_rows_as_written() -> None:
    x = np.array([0.0, 0.0, 1.0, np.nan, 1.0, -0.5])
    found = statistics(tracks(clips(x, np.array([3.0])), "v"))
    known = np.array([0, 0, 1, 1, -0.5, 3])
    assert (found.rows, found.min, found.max) == (6, -0.5, 3)
    assert (found.mean, found.sd) == (pytest.approx(known.mean()), pytest.approx(known.std()))
    assert found.repeated == 0.5  # two of the four labels that another one precedes, gaps apart
    none = statistics([])
    assert none.rows == 0
    assert np.isnan([none.min, none.mean, none.sd, none.max, none.repeated]).all()
    assert np.isnan(statistics(tracks(clips(np.array([3.0])), "v")).repeated)


@pytest.mark.parametrize(
    ("least", "most", "digits"),
    [
        (-1, 1, 3),
        (0, 1, 3),
        (1, 9, 3),
        (0, 10, 2),
        (0, 100, 1),
        (0, 0.004, 6),
        (0, 1e6, 0),
        (3, 3, 2),
        (None, None, 2),
    ],
)
def test_labels_are_shown_in_digits_that_tell_them_apart(
    least: float | None, most: float | None, digits: int
) -> None:
    assert decimals(least, most) == digits


def test_labels_in_order_are_not_told() -> None:
    assert kinds(smooth(0), smooth(1)) == []
    assert kinds(np.round(smooth(0), 2), np.round(smooth(1), 1)) == []
    assert kinds(np.round(smooth(0, low=-10, high=10)), label_range=(-10, 10)) == []
    assert kinds(smooth(2)[:9]) == []  # too few to say anything


@pytest.mark.parametrize(
    ("low", "high", "label_range", "fitting"),
    [
        (0.02, 0.97, (-1, 1), "0..1"),  # the range was forgotten
        (-0.97, -0.02, (-1, 1), "another scale"),
        (1, 5, (1, 9), "1..5"),
        (5.2, 9, (1, 9), "another scale"),
        (0, 10, (0, 100), "0..10"),
        (-0.2, 0.3, (-1, 1), "another scale"),
        (-0.9, 0.9, (-10, 10), "-1..1"),
    ],
)
def test_labels_of_another_range_are_told(
    low: float, high: float, label_range: tuple[float, float], fitting: str
) -> None:
    (note,) = told(smooth(0, low=low, high=high), smooth(1, low=low, high=high), label_range=label_range)
    assert (note.kind, note.where) == ("range", "dimension v")
    assert f"If they were made on {fitting}, state it in label_min and label_max" in note.reason


def test_ratings_of_a_narrower_scale_are_told() -> None:
    ratings = np.random.default_rng(0).integers(1, 8, 40).astype(float)  # 1..7
    assert kinds(*(ratings[i : i + 1] for i in range(40)), label_range=(1, 9)) == ["range"]
    assert kinds(*(ratings[i : i + 1] for i in range(40)), label_range=(1, 7)) == []


def test_labels_that_never_move_are_told() -> None:
    (note,) = told(np.full(30, 0.5), np.full(30, 0.5))
    assert (note.kind, "0.5 throughout" in note.reason) == ("constant", True)
    (note,) = told(smooth(0), np.full(30, 0.25), smooth(1), np.full(30, -0.25))
    assert note.kind == "constant"
    assert "2 clips (c1, c3)" in note.reason


def test_a_corpus_that_labels_clips_not_moments_is_in_order() -> None:
    assert kinds(*(np.full(20, v) for v in (-0.5, 0.5, 0.5, -0.5))) == []
    assert kinds(*(np.array([v]) for v in np.linspace(-0.8, 0.8, 20))) == []


@pytest.mark.parametrize("code", [0.0, -1.0, 1.0, 0.25])
@pytest.mark.parametrize("digits", [None, 2])
def test_gaps_that_are_written_as_a_number_are_told(code: float, digits: int | None) -> None:
    # Tracks that stay away from the code, so that each gap is a leap.
    x = [smooth(i, low=0.4, high=0.9) if code < 0.3 else smooth(i, low=-0.9, high=-0.2) for i in range(3)]
    x = [one if digits is None else np.round(one, digits) for one in x]
    x.append(smooth(9))  # and one without gaps, over the whole range
    (note,) = [n for n in told(*(gapped(one, code) for one in x[:3]), x[3]) if n.kind == "gaps"]
    assert f"exactly {code:g} stands in" in note.reason
    assert "in 24 stretches, the first in clip c0 at 1.70 s" in note.reason


def test_sentinels_within_a_wide_range_are_told() -> None:
    assert kinds(gapped(smooth(0, low=5, high=95), 0, rows=1), label_range=(0, 100)) == ["gaps"]
    rough = np.random.default_rng(0).uniform(-1, 1, 500)
    assert kinds(rough) == []
    assert kinds(gapped(rough, 0)) == ["gaps"]


def test_gaps_are_told_beside_the_same_number_as_a_label() -> None:
    x = [np.round(smooth(i, low=1, high=9), 2) for i in range(6)]  # each comes to 1 by itself, too
    assert kinds(*x, label_range=(1, 9)) == []
    (note,) = told(*(gapped(one, 1, every=100) for one in x), label_range=(1, 9))
    assert note.kind == "gaps"
    cuts = np.concatenate([np.round(smooth(i, 40), 1) for i in range(10)])  # scenes, one after another
    assert kinds(cuts) == []


def test_what_only_looks_like_a_gap_is_not_told() -> None:
    rest = np.r_[np.zeros(40), smooth(0) - smooth(0)[0]]  # a joystick at rest, then moved
    held = np.clip(smooth(1, low=-1.6, high=1.6), -1, 1)  # and one held at its stops
    steps = np.repeat(np.random.default_rng(0).integers(-2, 3, 60), 10) / 2  # ratings that hold and jump
    words = np.repeat(np.random.default_rng(1).integers(0, 2, 60), 10).astype(float)  # two values alone
    whole = np.round(smooth(2, low=-10, high=10))
    assert "gaps" not in kinds(np.clip(rest, -1, 1))
    assert "gaps" not in kinds(held)
    assert "gaps" not in kinds(steps)
    assert "gaps" not in kinds(words, label_range=(0, 1))
    assert "gaps" not in kinds(whole, label_range=(-10, 10))


def test_labels_that_end_or_begin_far_from_their_media_are_told() -> None:
    (clip,) = clips(smooth(0))  # 40 s
    assert clip_notes(clip, 40.0) == clip_notes(clip, 40.9) == clip_notes(clip, 39.2) == []
    (note,) = clip_notes(clip, 60.0)
    assert note.reason == "its labels end at 39.90 s, 20.10 s before its media"
    (note,) = clip_notes(clip, 30.0)
    assert note.reason == "its labels end at 39.90 s, 9.90 s after its media"
    clip.labels.times += 25
    (note,) = clip_notes(clip, 65.0)
    assert note.reason == "its labels begin at 25.00 s of 65.00 s: are their times those of this clip?"
    sparse = Clip("c", "s", {}, Labels(np.array([0.0, 10, 20]), np.zeros((3, 1)), ("v",)))
    assert clip_notes(sparse, 29.5) == []  # a label every ten seconds


def test_labels_of_another_clip_are_told() -> None:
    one, two, three = clips(smooth(0), smooth(0), smooth(1))
    (note,) = twin_notes([one, two, three])
    assert (note.where, note.kind) == ("c1", "twins")
    assert "those of clip c0" in note.reason
    two.sources["voice"] = one.sources["voice"]  # one stimulus, or two people in one recording
    assert twin_notes([one, two]) == []
    assert twin_notes(clips(np.full(30, 0.5), np.full(30, 0.5))) == []


@pytest.mark.parametrize("code", [0, 9, 10, 99])
def test_a_code_among_whole_numbers_is_told_and_nothing_else(code: int) -> None:
    clips = []
    for seed in range(4):
        times = np.arange(400) / 10
        start = np.random.default_rng(seed).uniform()
        rated = np.round(5 + 3.2 * np.sin(2 * np.pi * (times / 17 + start)))
        rated[times % 10 > 9] = code
        labels = Labels(times, rated[:, None].astype(np.float32), ("arousal",), None, {})
        clips.append(Clip(f"s{seed}", f"s{seed}", {}, labels))
    said = [
        note.reason for note in dimension_notes(clips, "arousal", (0, max(code, 9))) if note.kind == "gaps"
    ]
    assert [text[: text.index(" stands")] for text in said] == [f"exactly {code}"]
