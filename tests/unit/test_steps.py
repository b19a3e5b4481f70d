"""The step grid, windows and their order."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusekit.batch import collate
from fusekit.contracts import Clip, Labels, Reader
from fusekit.data.steps import build_steps, grid, shuffle_labels
from fusekit.data.windows import Windows
from fusekit.errors import DataError

VA = ("valence", "arousal")


class Ramp(Reader):
    """Window = the stream's sample at the step, twice: easy to check which step was read."""

    medium = "video"
    lookahead_s = 0.0

    def __init__(self, dtype=np.float32, shape=(2,)):
        self.raw_shape, self.dtype, self.calls = shape, dtype, 0

    def settings(self):
        return {}

    def prepare(self, source):
        return {}

    def present(self, stream, times):
        return ~np.isin(np.round(times * 10).astype(int), stream["gone"])

    def windows(self, stream, times):
        self.calls += 1
        values = stream["base"][0] + np.round(times * 10)
        return np.broadcast_to(
            values.reshape(-1, *[1] * len(self.raw_shape)), (len(times), *self.raw_shape)
        ).astype(self.dtype)


def stream(base, seconds, gone=()):
    return {"duration_s": np.array([seconds]), "base": np.array([base]), "gone": np.array(gone, int)}


def clip(name, n, known=None, split=""):
    times = np.arange(n) / 10
    values = np.stack([np.full(n, len(name) / 10), np.linspace(-1, 1, n)], 1).astype(np.float32)
    if known is not None:
        values[~np.asarray(known)] = np.nan
    return Clip(name, f"s-{name}", {}, Labels(times, values, VA), split=split)


def corpus(sizes, **more):
    clips = [clip("c" * (i + 1), n, **more) for i, n in enumerate(sizes)]
    streams = {
        c.id: {"face": stream(1000 * i, n / 10), "voice": stream(1000 * i + 500, n / 10)}
        for i, (c, n) in enumerate(zip(clips, sizes, strict=True))
    }
    readers = {"face": Ramp(np.float32), "voice": Ramp(np.uint8, (1, 2))}
    return clips, streams, readers


def built(sizes, **more):
    return build_steps(*corpus(sizes, **more), VA, 10, (-1, 1))[0]


@given(st.floats(0.01, 200), st.floats(0.2, 60))
def test_grid_ends_half_a_step_before_the_clip_does(duration, hz):
    times = grid(duration, hz)
    assert len(times) >= 1
    assert np.allclose(np.diff(times), 1 / hz)
    if len(times) > 1:
        assert times[-1] <= duration - 0.5 / hz + 1e-5 / hz
    assert times[-1] + 1 / hz > duration - 0.5 / hz - 1e-5 / hz


def test_grid_of_whole_seconds():
    assert len(grid(2.0, 25)) == 50
    assert len(grid(3.6, 25)) == 90
    assert grid(0.01, 25).tolist() == [0.0]


def test_the_longest_present_modality_sets_the_clip_and_absence_is_marked():
    clips, streams, readers = corpus([20])
    streams["c"] = {"face": stream(0, 1.0, gone=[3]), "voice": stream(500, 2.0)}
    (own,), rejected = build_steps(clips, streams, readers, VA, 10, (-1, 1))
    assert len(own) == 20
    assert not rejected
    assert own.present[:, 0].tolist() == [True] * 3 + [False] + [True] * 6 + [False] * 10
    assert own.present[:, 1].all()
    assert own.inputs("face", np.array([5, 2]))[:, 0].tolist() == [5, 2]


def test_a_clip_without_a_modality_gives_zeros_of_the_right_dtype_and_is_absent():
    clips, streams, readers = corpus([10, 10])
    del streams["c"]["voice"]
    own = build_steps(clips, streams, readers, VA, 10, (-1, 1))[0]
    assert not own[0].present[:, 1].any()
    zeros = own[0].inputs("voice", np.arange(3))
    assert zeros.dtype == np.uint8
    assert zeros.shape == (3, 1, 2)
    assert not zeros.any()


def test_labels_are_scaled_and_unknown_steps_are_marked():
    clips, streams, readers = corpus([10], known=[True] * 5 + [False] * 5)
    own = build_steps(clips, streams, readers, VA, 10, (-2, 2))[0][0]
    assert own.known[:, 0].tolist() == [True] * 5 + [False] * 5
    assert own.target[0].tolist() == pytest.approx([0.05, -0.5])
    assert not own.target[5:].any()


def test_clips_without_labels_are_rejected_with_their_reason():
    clips, streams, readers = corpus([10, 10, 10, 10])
    clips[1].labels = None
    clips[2].labels = Labels(clips[2].labels.times + 100, clips[2].labels.values, VA)
    clips[3].labels = Labels(clips[3].labels.times, clips[3].labels.values, ("dominance", "liking"))
    own, rejected = build_steps(clips, streams, readers, VA, 10, (-1, 1))
    assert [s.clip.id for s in own] == ["c"]
    reasons = {r.where: r.reason for r in rejected}
    assert "no labels" in reasons["cc"]
    assert "100.00" in reasons["ccc"]
    assert "dominance" in reasons["cccc"]
    with pytest.raises(DataError, match="no clip has a labelled step.*fusekit data check"):
        build_steps(clips[1:], streams, readers, VA, 10, (-1, 1))
    free, _ = build_steps(clips[1:2], streams, readers, VA, 10, (-1, 1), labelled=False)
    assert not free[0].known.any()


def test_a_clip_without_any_stream_is_rejected():
    clips, streams, readers = corpus([10, 10])
    own, rejected = build_steps(clips, {"c": streams["c"]}, readers, VA, 10, (-1, 1))
    assert [s.clip_index for s in own] == [0]
    assert rejected[0].where == "cc"
    assert "face" in rejected[0].reason


def test_windows_are_consecutive_and_drop_the_tail():
    windows = Windows(built([10, 7, 3]), 4)
    assert list(zip(windows.clip.tolist(), windows.start.tolist(), windows.count.tolist(), strict=True)) == [
        (0, 0, 4),
        (0, 4, 4),
        (1, 0, 4),
        (2, 0, 3),
    ]
    assert windows.tail == 2 + 3


def test_windows_without_labels_are_dropped_and_counted():
    windows = Windows(built([12], known=[True] * 3 + [False] * 5 + [True] * 4), 4)
    assert windows.start.tolist() == [0, 8]
    assert windows.unlabelled == 1
    steps = built([12])
    steps[0].known[:] = False
    with pytest.raises(DataError, match="no window of 2 steps"):
        Windows(steps, 2)


def test_stage_one_may_look_at_fewer_frames():
    assert Windows(built([20]), 1, frames_hz=2.5).start.tolist() == [0, 4, 8, 12, 16]
    assert Windows(built([20]), 1, frames_hz=4).start.tolist() == [0, 2, 5, 7, 10, 12, 15, 17]
    assert len(Windows(built([20]), 1, frames_hz=100)) == 20


@pytest.mark.parametrize("length", [1, 3, 4, 8])
def test_fast_collation_equals_the_plain_one(length):
    steps = built([10, 7, 3])
    steps[1].known[2:5] = False
    windows = Windows(steps, length)
    chosen = np.random.default_rng(0).permutation(len(windows))
    fast, plain = windows.collate(chosen), collate([windows[i] for i in chosen])
    for f in dataclasses.fields(fast):
        one, other = getattr(fast, f.name), getattr(plain, f.name)
        if isinstance(one, torch.Tensor):
            one, other = {"": one}, {"": other}
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].dtype == other[key].dtype, f.name
            assert torch.equal(one[key], other[key]), f.name


def test_collation_reads_each_clip_once_and_only_what_is_asked():
    steps = built([40, 40])
    windows = Windows(steps, 4)
    reader = steps[0].readers["face"]
    reader.calls = 0
    windows.collate(range(len(windows)))
    assert reader.calls == 2
    assert windows.collate([0, 3], modalities=()).inputs == {}
    assert reader.calls == 2


def test_the_order_depends_on_seed_and_epoch_alone():
    windows = Windows(built([40]), 1)
    assert sorted(windows.epoch_order(3, 1)) == list(range(40))
    assert windows.epoch_order(3, 1).tolist() == windows.epoch_order(3, 1).tolist()
    assert windows.epoch_order(3, 1).tolist() != windows.epoch_order(3, 2).tolist()
    assert windows.epoch_order(4, 1).tolist() != windows.epoch_order(3, 1).tolist()


@given(st.integers(1, 30), st.integers(2, 9), st.integers(1, 4))
def test_ranks_share_every_batch_equally_and_nothing_twice(n, batch_size, world):
    windows = Windows(built([n]), 1)
    if n < max(2, world):
        with pytest.raises(DataError, match="too little to train"):
            next(windows.batches(batch_size, 0, 0, 0, world))
        return
    shares = [list(windows.batches(batch_size, 5, 2, rank, world)) for rank in range(world)]
    assert len({len(s) for s in shares}) == 1
    seen = []
    for parts in zip(*shares, strict=True):
        assert len({len(p) for p in parts}) == 1
        assert 2 <= sum(map(len, parts)) <= batch_size
        seen += np.concatenate(parts).tolist()
    assert len(seen) == len(set(seen))
    if world == 1:
        assert len(seen) >= n - 1


def test_every_batch_of_a_set_has_as_many_steps():
    """Processes that share a batch gather once per step: as often as each other, whatever their windows."""
    short = Windows(built([3, 5, 4]), 8)
    assert {short.collate([k]).valid.shape for k in range(3)} == {(1, 5)}
    assert [int(short.collate([k]).valid.sum()) for k in range(3)] == [3, 5, 4]


def test_in_order_nothing_is_dropped():
    windows = Windows(built([7]), 1)
    assert np.concatenate(list(windows.batches(3, None))).tolist() == list(range(7))
    both = [np.concatenate(list(windows.batches(3, None, rank=r, world=2))).tolist() for r in (0, 1)]
    assert sorted(both[0] + both[1]) == list(range(7))


@given(st.integers(3, 8), st.integers(0, 99))
def test_shuffled_labels_come_from_another_clip_and_inputs_stay(n, seed):
    steps = built(list(range(5, 5 + n)))
    shuffled = shuffle_labels(steps, seed)
    givers = [round(float(s.target[0, 0]) * 10) for s in shuffled]  # valence says how long the name is
    assert sorted(givers) == list(range(1, n + 1))
    assert all(giver != len(s.clip.id) for giver, s in zip(givers, shuffled, strict=True))
    for before, after in zip(steps, shuffled, strict=True):
        assert after.target.shape == before.target.shape
        assert after.present is before.present
        assert after.streams is before.streams
    again = [s.target.tolist() for s in shuffle_labels(steps, seed)]
    assert again == [s.target.tolist() for s in shuffled]


def test_labels_do_not_leave_their_split_and_few_clips_are_rotated():
    clips, streams, readers = corpus([8, 8, 8, 40, 40])
    for c, split in zip(clips, ["train"] * 3 + ["test"] * 2, strict=True):
        c.split = split
    steps = build_steps(clips, streams, readers, VA, 10, (-1, 1))[0]
    shuffled = shuffle_labels(steps, 1)
    givers = [round(float(s.target[0, 0]) * 10) for s in shuffled]
    assert sorted(givers[:3]) == [1, 2, 3]
    assert givers[3:] == [4, 5]
    for before, after in zip(steps[3:], shuffled[3:], strict=True):
        assert sorted(after.target[:, 1]) == sorted(before.target[:, 1])
        assert np.abs(np.corrcoef(after.target[:, 1], before.target[:, 1])[0, 1]) < 0.99


@given(st.integers(3, 8), st.integers(0, 99))
def test_shuffled_labels_tell_nothing_of_a_course_that_all_clips_share(n, seed):
    """Another clip's track is also rotated: all clips that rise together would keep their truth otherwise."""
    steps = built([40] * n)
    for before, after in zip(steps, shuffle_labels(steps, seed), strict=True):
        assert np.allclose(before.target[:, 1], steps[0].target[:, 1])  # what they share
        assert sorted(after.target[:, 1]) == sorted(before.target[:, 1])
        shift = int(np.argmin(after.target[:, 1]))  # of a rising track
        assert 10 <= len(after.target) - shift <= 30
