"""Numbers of feature tables that look like a mistake: codes for gaps, other units, rows of one number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusekit.contracts import Clip, Rejected, Source
from fusekit.data.feature_findings import Sizes, table_notes
from fusekit.data.readers.features import Features


def _course(seed: int) -> np.ndarray:
    """`(400, 2)`: two columns that move within -1..1."""
    rng = np.random.default_rng(seed)
    t = np.arange(400) / 10
    return 0.8 * np.sin(2 * np.pi * (t[:, None] / (17, 11) + rng.uniform(size=2))) + 0.1 * rng.normal(
        size=(400, 2)
    )


def _notes(
    folder: Path, courses: list[np.ndarray], usual: dict[str, dict[str, list[Sizes]]] | None = None
) -> list[Rejected]:
    reader, clips, streams = Features(width=2), [], {}
    for k, course in enumerate(courses):
        path = folder / f"s{k}.csv"
        rows = [f"{i / 10},{a:.5g},{b:.5g}" for i, (a, b) in enumerate(course)]
        path.write_text("\n".join(["time_s,smile,brow", *rows]))
        clips.append(Clip(f"s{k}", f"s{k}", {"au": Source(path)}, None))
        streams[f"s{k}"] = {"au": reader.prepare(Source(path))}
    return table_notes(clips, streams, {"au": reader}, {} if usual is None else usual)


def test_nothing_is_said_of_sound_tables(tmp_path: Path) -> None:
    assert _notes(tmp_path, [_course(k) for k in range(5)]) == []


def test_columns_of_few_numbers_and_of_one_are_no_codes(tmp_path: Path) -> None:
    courses = [_course(k) for k in range(5)]
    for course in courses:
        course[:, 0] = np.where(course[:, 0] > 0, 1, 0)  # a switch
        course[:, 1] = np.maximum(course[:, 1], 0)  # an intensity, 0 half of the time
    assert _notes(tmp_path, courses) == []
    for course in courses:
        course[:, 0] = 3.0
    assert _notes(tmp_path, courses) == []


@pytest.mark.parametrize("code", [-999.0, 99.0])
def test_a_code_far_from_all_else_is_told_with_its_column_share_and_clip(tmp_path: Path, code: float) -> None:
    courses = [_course(k) for k in range(5)]
    courses[3][100:120, 1] = code
    (note,) = _notes(tmp_path, courses)
    assert note.where == "modality au"
    assert note.reason.startswith(f"exactly {code:g} stands in column 'brow' (1.0%, first s3), far from")


@pytest.mark.parametrize("level", [0.0, -1.0])
def test_rows_of_one_number_are_told(tmp_path: Path, level: float) -> None:
    courses = [_course(k) for k in range(5)]
    courses[2][50:150] = level
    (note,) = _notes(tmp_path, courses)
    assert note.reason.startswith(f"5.0% of its rows hold nothing but {level:g} (first clip s2)")


@pytest.mark.parametrize(("factor", "said"), [(1000, "three quarters are beyond"), (0.001, "all are below")])
def test_another_unit_is_told_of_one_clip_and_of_later_ones(tmp_path: Path, factor: float, said: str) -> None:
    courses = [_course(k) for k in range(5)]
    (note,) = _notes(tmp_path, [*courses[:4], courses[4] * factor])
    assert note.where == "s4"
    assert "column 'smile'" in note.reason
    assert said in note.reason
    usual: dict[str, dict[str, list[Sizes]]] = {}
    assert _notes(tmp_path, courses, usual) == []
    (later,) = _notes(tmp_path, [courses[0] * factor], usual)  # a test clip, held against the training's
    assert said in later.reason


def test_a_column_that_rests_in_most_clips_may_move_in_one(tmp_path: Path) -> None:
    courses = [_course(k) * (1, 0.01) for k in range(5)]
    courses[1][300:, 1] *= 100
    assert _notes(tmp_path, courses) == []
