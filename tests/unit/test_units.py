"""Times in milliseconds, in frames or of another recording are a fault that says what to type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit.contracts import Clip, Labels, Source, Stream
from fusekit.data.readers.features import Features
from fusekit.data.readers.mel_spectrogram import MelSpectrogram
from fusekit.data.steps import build_steps
from fusekit.data.units import label_misfit, misfit, spacings, unlike_training
from fusekit.errors import DataError


def labels(times: np.ndarray) -> Labels:
    return Labels(np.asarray(times, np.float64), np.zeros((len(times), 1), np.float32), ("valence",))


def table(folder: Path, times: np.ndarray, **arguments: object) -> tuple[Features, Stream]:
    path = folder / "t.csv"
    path.write_text("time_s,a\n" + "".join(f"{t:.10g},1\n" for t in times))
    reader = Features(width=1, **arguments)  # type: ignore[arg-type]
    return reader, reader.prepare(Source(path))


def sound(seconds: float) -> tuple[MelSpectrogram, Stream]:
    return MelSpectrogram(), {
        "duration_s": np.array([seconds]),
        "db": np.zeros((128, 9)),
        "peak": np.zeros(1),
    }


SECONDS = np.arange(0, 40, 0.1)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (SECONDS * 1e3, "milliseconds. Write seconds: divide it by 1000"),
        (SECONDS * 1e6, "microseconds. Write seconds: divide it by 1e+06"),
        (np.arange(1000), "frame numbers at 25 per second. Write seconds: divide it by about 25"),
        (np.arange(1, 1200), "frame numbers at 30 per second"),
        (np.arange(0, 1000, 5), "frame numbers at 25 per second"),
        (np.arange(0, 20, 0.1) * 1e3, "milliseconds"),  # half of the clip is annotated
        (np.arange(0, 95, 0.1), "are they another recording's?"),
    ],
)
def test_labels_that_end_twice_as_late_as_the_media_are_in_another_unit(times: np.ndarray, said: str) -> None:
    found = label_misfit(labels(times), 40.0)
    assert f"its labels span {times[0]:.2f}-{times[-1]:.2f} s, its media 0-40.00 s" in found
    assert said in found


@pytest.mark.parametrize("times", [SECONDS, np.arange(0, 79.9, 0.1), np.array([5000.0]), SECONDS[:3]])
def test_labels_that_could_be_seconds_are_no_fault(times: np.ndarray) -> None:
    assert label_misfit(labels(times), 40.0) == ""
    assert label_misfit(labels(np.array([0.0, 1.0])), 0.2) == ""  # a grid of whole seconds, a short clip
    assert label_misfit(None, 40.0) == ""
    assert label_misfit(labels(np.arange(4000, 4040, 0.1)), 40.0) == ""  # no step has a label: told as that


@given(rate=st.sampled_from([24.0, 25.0, 30.0, 50.0, 60.0]), seconds=st.integers(5, 600))
def test_frames_of_the_video_s_own_rate_are_recognised(rate: float, seconds: int) -> None:
    found = label_misfit(labels(np.arange(int(seconds * rate))), float(seconds), rate)
    assert f"frame numbers at {rate:g} per second" in found


@given(
    hz=st.sampled_from([1.0, 2.0, 10.0, 25.0, 100.0]), seconds=st.integers(3, 600), ahead=st.floats(0, 0.99)
)
def test_milliseconds_are_recognised_however_dense(hz: float, seconds: int, ahead: float) -> None:
    times = np.arange(0, seconds, 1 / hz)
    assert label_misfit(labels(times), seconds * (1 + ahead)) == ""
    assert "milliseconds" in label_misfit(labels(times * 1000), seconds * (1 + ahead))


def test_a_table_is_held_against_the_media_then_the_labels(tmp_path: Path) -> None:
    reader, stream = table(tmp_path, SECONDS * 1000)
    voice, heard = sound(40.0)
    clip = Clip("c", "s", {"au": Source(Path("t.csv"))}, labels(SECONDS))
    said = misfit(clip, {"au": stream, "voice": heard}, {"au": reader, "voice": voice})
    assert "its au ends at" in said
    assert "its voice at 40.00 s: its times seem to be milliseconds" in said
    assert "Set the reader's time_unit=ms" in said
    alone = misfit(clip, {"au": stream}, {"au": reader})
    assert "its labels at 39.90 s" in alone
    assert "time_unit=ms" in alone


def test_a_table_of_frames_asks_for_their_rate(tmp_path: Path) -> None:
    reader, stream = table(tmp_path, np.arange(1000))
    clip = Clip("c", "s", {"au": Source(Path("t.csv"))}, labels(SECONDS))
    assert "time_unit=frames and rate_hz=25" in misfit(clip, {"au": stream}, {"au": reader})


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_who_says_the_unit_is_believed(tmp_path: Path, unit: str) -> None:
    reader, stream = table(tmp_path, SECONDS * 1000, time_unit=unit)
    clip = Clip("c", "s", {"au": Source(Path("t.csv"))}, labels(SECONDS))
    assert misfit(clip, {"au": stream}, {"au": reader}) == ""


def test_long_tables_in_seconds_are_long(tmp_path: Path) -> None:
    reader, stream = table(tmp_path, np.arange(0, 200, 0.1))
    clip = Clip("c", "s", {"au": Source(Path("t.csv"))}, labels(SECONDS))
    assert misfit(clip, {"au": stream}, {"au": reader}) == ""
    assert (
        misfit(clip, {"au": stream, "voice": sound(40.0)[1]}, {"au": reader, "voice": MelSpectrogram()}) == ""
    )


def test_training_and_prediction_leave_such_a_clip_out(tmp_path: Path) -> None:
    reader, stream = table(tmp_path, SECONDS)
    clips = [
        Clip(name, name, {"au": Source(Path("t.csv"))}, labels(SECONDS * factor))
        for name, factor in (("a", 1), ("b", 1000))
    ]
    built, rejected = build_steps(
        clips, {c.id: {"au": stream} for c in clips}, {"au": reader}, ("valence",), 10, (-1, 1)
    )
    assert [s.clip.id for s in built] == ["a"]
    assert rejected[0].where == "b"
    assert "milliseconds" in rejected[0].reason
    slow, late = table(tmp_path, SECONDS * 1000)
    with pytest.raises(DataError, match="c: its au ends at .*its voice at 40.00 s.*time_unit=ms"):
        build_steps(
            [Clip("c", "", {}, None)],
            {"c": {"au": late, "voice": sound(40.0)[1]}},
            {"au": slow, "voice": MelSpectrogram()},
            ("valence",),
            10,
            (-1, 1),
            labelled=False,
        )
    assert any(
        "stand 100 s apart" in doubt for doubt in slow.doubts(late)
    )  # alone there is nothing to compare


def test_a_table_in_another_unit_than_the_training_s_is_known_by_its_rows(tmp_path: Path) -> None:
    reader, stream = table(tmp_path, SECONDS)
    kept = spacings({"a": {"au": stream}}, {"au": reader})
    assert kept == {"au": pytest.approx(0.1)}
    for factor, said in ((1, ""), (10, ""), (1e3, "milliseconds"), (1e6, "microseconds"), (1e4, "apart")):
        _, other = table(tmp_path, SECONDS[:20] * factor)
        found = unlike_training("au", other, kept["au"])
        assert said in found if said else found == ""
