"""Attention spread, gate thresholds, gains (checked against the paper's printed ones), matching of steps."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusekit.errors import RunError
from fusekit.study.paper.analyses import (
    GATE_THRESHOLDS,
    attention_spread,
    delta_wa,
    gain,
    gate_mask,
    gate_of,
    matched,
)
from fusekit.study.paper.printed import TABLES, load_printed, load_printed_complexity
from fusekit.study.paper.results import Scored
from fusekit.study.table import Table


def scored(table: Table, name: str = "made-up") -> Scored:
    return Scored("AVi-GaS", 0, 0, Path(name), table, {})


def steps(clips: str, times: list[float], said: list[float], true: list[float]) -> Scored:
    return scored(
        {
            "clip": np.array(list(clips)),
            "time_s": np.array(times),
            "valence": np.array(said),
            "valence_true": np.array(true),
        }
    )


def test_spread_by_hand() -> None:
    weights = [
        [0.0, 0.0, 0.5, 0.5],  # even: none
        [0.0, 0.2, 0.3, 0.5],  # 60 % below the largest
        [0.1, 0.2, 0.3, 0.4],
        [0.0, 0.0, 0.0, 1.0],  # one state has nothing to differ from
        [0.0, 0.0, 0.0, 0.0],  # the first step of a clip
        [0.0, 0.6, 0.0, 0.4],  # a state in use that got nothing
        [np.nan, np.nan, 0.25, 0.75],
    ]
    expected = [0, 60, 75, np.nan, np.nan, 100, 100 * 0.5 / 0.75]
    np.testing.assert_allclose(delta_wa(weights), expected, atol=1e-12)
    np.testing.assert_allclose(
        delta_wa(weights, absolute=True), [0, 30, 30, np.nan, np.nan, 60, 50], atol=1e-12
    )
    assert delta_wa(np.zeros((0, 8))).shape == (0,)
    assert np.isnan(delta_wa(np.zeros((3, 0)))).all()
    with pytest.raises(ValueError, match="expected weights"):
        delta_wa([0.5, 0.5])


def test_spread_stays_in_range_and_knows_no_scale() -> None:
    weights = np.random.default_rng(0).dirichlet(np.full(8, 0.3), 500)
    spread = delta_wa(weights)
    assert ((spread >= 0) & (spread <= 100)).all()
    np.testing.assert_allclose(delta_wa(weights / 3), spread)


def test_gate_mask_by_hand() -> None:
    gate = np.array([0.0, 0.06, 0.0625, 0.2, 0.25, 0.5, 0.75, 0.8, 0.95, 1.0, np.nan])
    kept = {t: np.flatnonzero(gate_mask(gate, t)).tolist() for t in (0.5, *GATE_THRESHOLDS)}
    assert kept == {
        0.5: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        0.25: [0, 1, 2, 3, 7, 8, 9],
        0.125: [0, 1, 2, 8, 9],
        0.0625: [0, 1, 8, 9],
    }
    for t in GATE_THRESHOLDS:  # the gate of the other modality keeps the same steps
        np.testing.assert_array_equal(gate_mask(gate, t), gate_mask(1 - gate, t))
    for t in (0.0, -0.1, 0.6):
        with pytest.raises(ValueError, match="T_ZG"):
            gate_mask(gate, t)


def test_gain_by_hand() -> None:
    assert gain("rmse", 0.4, 0.3) == pytest.approx(25)
    assert gain("rmse", 0.4, 0.5) == pytest.approx(-25)
    assert gain("cor", 0.2, 0.5) == pytest.approx(150)
    assert gain("ccc", 0.5, 0.25) == pytest.approx(-50)
    for metric, base in (("rmse", 0.0), ("rmse", 1e-7), ("cor", 0.0), ("cor", -0.3), ("icc", 1e-7)):
        assert np.isnan(gain(metric, base, 0.5))
    assert np.isnan(gain("cor", float("nan"), 0.5))
    with pytest.raises(ValueError, match="no gain"):
        gain("uar", 1, 2)


def test_gains_agree_with_164_of_the_188_that_the_paper_prints() -> None:
    """Its scores have two decimals: a gain agrees if scores that round to those give it, +- 0.6 points."""
    agreed, apart = 0, []
    for number in (3, 4, 7, 8, 9, 10):
        values = {(p.threshold, p.model, p.metric, p.target): p.value for p in load_printed(number)}
        for (threshold, model, metric, target), printed in values.items():
            if not metric.endswith("_GAIN_PCT") or not printed:
                continue
            kind = metric.removesuffix("_GAIN_PCT")
            base, new = (model.removesuffix("S"), model) if number in (3, 4) else (model, "AVi-GaS")
            b, n = (float(values[threshold, m, kind, target]) for m in (base, new))
            corners = [
                gain(kind.lower(), b + i, n + j) for i, j in itertools.product((-0.005, 0.005), repeat=2)
            ]
            if min(corners) - 0.6 <= float(printed) <= max(corners) + 0.6:
                agreed += 1
            else:
                apart.append(number)
    assert (agreed, len(apart), apart.count(7)) == (164, 24, 18)


def test_printed_tables_are_whole() -> None:
    assert list(TABLES) == list(range(1, 14))
    rows = {n: load_printed(n) for n in TABLES if n != 11}
    assert {n: len(r) for n, r in rows.items()} == dict.fromkeys((1, 2, 5, 6), 48) | dict.fromkeys(
        (3, 4, 7, 8, 9, 10), 96
    ) | dict.fromkeys((12, 13), 72)
    assert {n: {p.dataset for p in r} for n, r in rows.items()} == {
        n: {"SEWA" if n in (2, 4, 6, 7, 10, 13) else "SEMAINE"} for n in rows
    }
    for printed in rows.values():
        assert all(p.value == "" or np.isfinite(float(p.value)) for p in printed)
    best = next(p for p in rows[5] if (p.model, p.metric, p.target) == ("AVi-GaS", "CCC", "AVG"))
    assert (best.value, best.modalities) == ("0.615", "VIS+AUD")
    eleven = load_printed_complexity()
    assert len(eleven) == 8
    assert eleven[-1].parameters == "3460227"
    for n in (0, 11, 14):
        with pytest.raises(ValueError, match="no scores"):
            load_printed(n)


def test_printed_averages_are_means() -> None:
    """Spec 4.7: holds in every printed row (to rounding), except where the paper prints no parts."""
    for number in (5, 6, 12, 13):
        values = {(p.model, p.metric, p.target): p.value for p in load_printed(number)}
        for (model, metric, target), value in values.items():
            if target == "AVG" and value:
                parts = [float(values[model, metric, t]) for t in ("VAL", "ARO")]
                assert float(value) == pytest.approx(np.mean(parts), abs=0.00101)


def test_steps_are_matched_by_clip_and_time() -> None:
    one = steps("aabb", [0, 0.32, 0, 0.32], [1, 2, 3, 4], [0.1, np.nan, 0.3, 0.4])
    other = steps("bbaa", [0.32, 0, 0, 0.3200000001], [40, 30, 10, 20], [0.4, 0.3, 0.1, np.nan])
    rows = matched(one, other)
    assert rows.tolist() == [2, 3, 1, 0]
    assert other.table["valence"][rows].tolist() == [10, 20, 30, 40]
    assert matched(one, one).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (steps("aab", [0, 1, 0], [0, 0, 0], [0, 0, 0]), "test steps of"),
        (steps("aabc", [0, 1, 0, 1], [0] * 4, [0] * 4), "test steps of"),
        (steps("aabb", [0, 1, 0, 2], [0] * 4, [0] * 4), "test steps of"),
        (steps("aabb", [0, 1, 0, 1], [0] * 4, [0, 0, 0, 0.1]), "true labels"),
        (steps("aabb", [0, 1, 0, 1], [0] * 4, [0, 0, 0, np.nan]), "true labels"),
        (steps("aabb", [0, 1, 0, 0], [0] * 4, [0] * 4), "twice"),
    ],
)
def test_steps_that_do_not_match_are_refused(other: Scored, says: str) -> None:
    one = steps("aabb", [0, 1, 0, 1], [0] * 4, [0] * 4)
    with pytest.raises(RunError, match=says):
        matched(one, replace(other, folder=Path("other")))


def test_spread_and_gate_of_a_run() -> None:
    table: Table = {"clip": np.array(["a", "a"]), "time_s": np.array([0.0, 1.0])}
    assert attention_spread(scored(table)) is None
    assert gate_of(scored(table)) is None
    table |= {f"attention_{k}": np.array([0.0, w]) for k, w in ((2, 0.75), (1, 0.25))}
    table |= {"gate_face": np.array([0.1, 0.9])}
    assert gate_of(scored(table)) is None  # one gate is no choice between two
    table |= {"gate_voice": np.array([0.9, 0.1])}
    table |= {"present_face": np.array([1, 1]), "present_voice": np.array([1, 1])}
    np.testing.assert_allclose(attention_spread(scored(table)), [np.nan, 100 * 2 / 3])
    assert gate_of(scored(table)).tolist() == [0.1, 0.9]


def test_a_gate_chooses_nothing_where_a_modality_is_absent() -> None:
    table: Table = {
        "gate_face": np.array([1.0, 0.0, 0.0, 0.9]),
        "gate_voice": np.array([0.0, 1.0, 0.0, 0.1]),
        "present_face": np.array([1, 0, 0, 1]),
        "present_voice": np.array([0, 1, 0, 1]),
    }
    gate = gate_of(scored(table))
    assert gate is not None
    assert gate_mask(gate, 0.25).tolist() == gate_mask(gate, 0.5).tolist() == [False, False, False, True]
