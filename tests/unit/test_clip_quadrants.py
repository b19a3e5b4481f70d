"""The permutation test of clips' quadrants: between whom labels move, and what is said where none can."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fusekit.study.assess import clip_quadrants
from fusekit.study.summary import show_metrics

VA = ("valence", "arousal")
CORNERS = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])


def score(subjects: list[int], true: list[int], predicted: list[int] | None = None) -> dict[str, Any]:
    """Clips of three steps that are predicted as told."""
    clips = [
        SimpleNamespace(quadrant=np.full(3, q), clip=SimpleNamespace(subject=str(s)))
        for s, q in zip(subjects, true, strict=True)
    ]
    found = [SimpleNamespace(prediction=np.tile(CORNERS[q], (3, 1))) for q in predicted or true]
    result = clip_quadrants(clips, found, VA)  # type: ignore[arg-type]
    assert result is not None
    return result


def test_with_one_clip_each_labels_move_between_subjects() -> None:
    found = score(list(range(24)), [0, 1, 2, 3] * 6)
    assert found["permuted"] == "between subjects, one clip each"
    assert found["permutation_p"] == pytest.approx(1 / 10_001)
    assert found["chance"] == pytest.approx(0.25, abs=0.02)
    wrong = score(list(range(24)), [0, 1, 2, 3] * 6, [0] * 24)
    assert wrong["permutation_p"] == 1  # whatever is permuted, one quadrant alone scores the same


def test_a_clip_without_a_quadrant_does_not_make_a_subject_one_of_several() -> None:
    found = score([0, 1, 2, 3, 4, 5, 6, 6], [0, 1, 2, 3, 0, 1, 2, -1], [0] * 8)
    assert found["permuted"] == "between subjects, one clip each"


def test_with_several_clips_labels_stay_within_their_subject() -> None:
    found = score([0] * 8 + [1] * 8, [0, 1, 2, 3] * 4)
    assert found["permuted"] == "within subjects"
    assert found["permutation_p"] < 0.01


def test_what_cannot_be_tested_is_said_to_be_so_and_has_no_p() -> None:
    found = score([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2])
    assert np.isnan(found["permutation_p"])
    assert found["untested"] == "labels permuted within subjects have 1 different order, a test needs 20"
    four = dict.fromkeys((*VA, "mean"), 0.5)
    part = {**dict.fromkeys(("ccc", "rmse", "cor", "icc"), four), "clips": 6, "subjects": 3, "n": 18}
    out = io.StringIO()
    show_metrics(
        {
            "recipe": "r", "validation": part | {"clip_quadrant": found},
            "pooling": "p", "ddof": 0, "states": "last", "steps": 8,
        },
        Console(file=out, width=300),
    )  # fmt: skip
    assert "permutation p cannot be tested: labels permuted within subjects have 1 diff" in out.getvalue()
