"""Phases, epochs, learning rates, and which epoch is the best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_run import (
    BATCHES,
    NAN,
    Toy,
    fitted,
    journal,
    same,
    toy_model,
    toy_phases,
    validated_by,
    weights,
    whole_run,
)

from fusekit.engine import loop
from fusekit.engine.checkpoint import load_checkpoint
from fusekit.engine.objective import Phase
from fusekit.errors import RunError


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny: SimpleNamespace) -> SimpleNamespace:
    return whole_run(tmp_path_factory.mktemp("whole"), tiny.runtime())


def test_the_journal_has_one_line_per_epoch(uninterrupted: SimpleNamespace) -> None:
    lines = uninterrupted.journal
    assert [(x["phase"], x["epoch"], x["step"]) for x in lines] == [
        ("phase 0", 1, 4),
        ("phase 0", 2, 8),
        ("phase 0", 3, 12),
        ("phase 1", 1, 16),
        ("phase 1", 2, 20),
    ]
    assert [(x["stage"], x["objective"], x["window"]) for x in lines][::3] == [
        ("stage 0", "supervised", 1),
        ("stage 1", "supervised", 2),
    ]
    assert [x["validation"]["ccc"]["mean"] for x in lines] == [0.1, 0.4, 0.2, 0.3, 0.1]
    assert all(x["train"]["loss"] > 0 for x in lines)
    assert uninterrupted.watcher.phases == [(0, "phase 0", 12, 0), (1, "phase 1", 8, 0)]
    assert uninterrupted.watcher.batches == 20
    assert uninterrupted.watcher.scores == [(1, True), (2, True), (3, False), (1, True), (2, False)]


@pytest.mark.parametrize(("every_s", "read"), [(0.0, 20), (math.inf, 2)])
def test_losses_are_read_from_the_device_as_often_as_the_progress_is_drawn(
    tmp_path: Path,
    tiny: SimpleNamespace,
    uninterrupted: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    every_s: float,
    read: int,
) -> None:
    """The first batch of a phase at once; the journal tells the mean of all, whatever was read of them."""
    found: list[float] = []
    original = Toy.step

    def step(self: Toy, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        losses = original(self, indices, epoch)
        found.append(float(losses["loss"]))
        return losses

    monkeypatch.setattr(Toy, "step", step)
    monkeypatch.setattr(loop, "READ_EVERY_S", every_s)
    model = toy_model()
    watcher = fitted(tmp_path, model, toy_phases(model), tiny.runtime())
    assert watcher.batches == 20
    assert [x["loss"] for x in watcher.read] == (found if read == 20 else [found[0], found[12]])
    means = [sum(found[k : k + BATCHES]) / BATCHES for k in range(0, 20, BATCHES)]
    assert [line["train"] for line in journal(tmp_path)] == [{"loss": mean} for mean in means]
    assert journal(tmp_path) == uninterrupted.journal


def test_learning_rates_stay_or_fall_to_zero_in_the_second_half(
    tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[float]] = []
    plain = Toy.step

    def step(self: Toy, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        seen.append([self.optimizers[name].param_groups[0]["lr"] for name in ("a", "b")])
        return plain(self, indices, epoch)

    monkeypatch.setattr(Toy, "step", step)
    fitted(tmp_path, model := toy_model(), toy_phases(model), tiny.runtime())
    assert seen[:12] == [[0.05, 0.05]] * 12
    falling = [0.025] * 5 + [0.025 * left for left in (0.75, 0.5, 0.25)]
    assert np.allclose(seen[12:], np.array(falling)[:, None])


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ((0.1, 0.4, 0.2), 2),
        ((0.5, 0.4, 0.6), 3),
        ((-0.5, -0.1, -0.2), 2),
        ((NAN, -0.9, NAN), 2),
        ((0.2, NAN, 0.1), 1),
        ((0.3, 0.3, 0.3), 1),
        ((NAN, NAN, NAN), 1),
        ((math.inf, 0.1, 0.0), 2),
        ((0.1, math.inf, 0.0), 1),
    ],
)
def test_the_best_epoch_has_the_highest_finite_ccc(
    tmp_path: Path, tiny: SimpleNamespace, scores: tuple[float, ...], best: int
) -> None:
    """A rival keeps the epoch with the largest value of whatever metric, which for an error is the worst."""
    after: dict[int, dict[str, Tensor]] = {}
    model = toy_model()
    phases = toy_phases(model, [scores])
    original = Toy.validate

    def validate(self: Toy) -> dict[str, Any]:
        after[self.epoch + 1] = weights(self.net)
        return original(self)

    phases[0] = Phase(**{**vars(phases[0]), "make": validated_by(phases[0].make, validate)})
    fitted(tmp_path, model, phases, tiny.runtime())
    assert same(weights(model), after[best])
    tensors, _ = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    assert same({k.removeprefix("model."): v for k, v in tensors.items()}, after[best])


def test_all_processes_validate_what_the_first_one_saves(
    tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or each would choose a best epoch of its own: a batch norm's statistics are those of its own rows."""
    runtime, taken = tiny.runtime(), []
    monkeypatch.setattr(runtime, "broadcast", taken.append)
    model = toy_model()
    phases = toy_phases(model, [(0.1, 0.2)])
    original, seen = Toy.validate, []

    def validate(self: Toy) -> dict[str, Any]:
        seen.append(taken == [self.net, self.own])
        taken.clear()
        return original(self)

    phases[0] = Phase(**{**vars(phases[0]), "make": validated_by(phases[0].make, validate)})
    fitted(tmp_path, model, phases, runtime)
    assert seen == [True, True]


def test_validation_comes_every_so_often_and_after_the_last_epoch(
    tmp_path: Path, tiny: SimpleNamespace
) -> None:
    model = toy_model()
    watcher = fitted(tmp_path, model, toy_phases(model, [(0.1,) * 5], validate_every=2), tiny.runtime())
    assert [epoch for epoch, _ in watcher.scores] == [2, 4, 5]
    assert [bool(line["validation"]) for line in journal(tmp_path)] == [False, True, False, True, True]


def test_epochs_of_a_warm_up_are_not_validated_and_cannot_be_the_best(
    tmp_path: Path, tiny: SimpleNamespace
) -> None:
    model = toy_model()
    (phase,) = toy_phases(model, [(0.1,) * 5], validate_every=2)
    watcher = fitted(tmp_path, model, [replace(phase, warmup=2)], tiny.runtime())
    assert [epoch for epoch, _ in watcher.scores] == [4, 5]
    assert [line["epoch"] for line in journal(tmp_path) if not line["validation"]] == [1, 2, 3]


def test_a_phase_without_a_batch_is_told(
    tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "batches", lambda self, epoch: [])
    model = toy_model()
    with pytest.raises(RunError, match="phase 0.*batch_size"):
        fitted(tmp_path, model, toy_phases(model), tiny.runtime())


def diverged(epoch: int, value: float) -> Callable[[Any], dict[str, Any]]:
    """Validation whose errors are no numbers from an epoch on."""

    def validate(self: Any) -> dict[str, Any]:
        score = 0.1 if self.epoch + 1 < epoch else value
        return {"rmse": {"valence": 0.2, "arousal": score}, "ccc": {"mean": score}}

    return validate


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("epoch", [1, 3])
def test_predictions_that_are_no_numbers_stop_the_run_and_the_state_before_is_kept(
    tmp_path: Path, tiny: SimpleNamespace, value: float, epoch: int
) -> None:
    model = toy_model()
    before = weights(model)
    phases = [replace(p, make=validated_by(p.make, diverged(epoch, value))) for p in toy_phases(model)]
    said = rf"phase 0, epoch {epoch}: the validation RMSE is no finite number \(arousal {value}\).*diverged"
    with pytest.raises(RunError, match=said):
        fitted(tmp_path, model, phases, tiny.runtime())
    tensors, header = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    assert header["position"]["epoch"] == epoch - 1
    kept = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    assert same(kept, before) == (epoch == 1)
    assert all(torch.isfinite(v).all() for v in kept.values())
    assert [line["epoch"] for line in journal(tmp_path)] == list(range(1, epoch + 1))
    assert journal(tmp_path)[-1]["validation"]["rmse"] == {"valence": 0.2, "arousal": None}
    assert journal(tmp_path)[-1]["train"]
    with pytest.raises(RunError, match=said):  # to go on from there leads to the same end, never past it
        fitted(tmp_path, model, phases, tiny.runtime(), resume=True)
    assert [line["epoch"] for line in journal(tmp_path)] == list(range(1, epoch + 1))


def test_an_epoch_without_a_correlation_is_told_once_a_phase(tmp_path: Path, tiny: SimpleNamespace) -> None:
    model = toy_model()
    phases = toy_phases(model, [(NAN, 0.2, NAN), (0.3, 0.1)])
    watcher = fitted(tmp_path, model, phases, tiny.runtime())
    assert len(watcher.said) == 1
    assert watcher.said[0].startswith("phase 0, epoch 1: no validation CCC of any dimension, as the labels")


def test_no_two_processes_draw_the_same_dropout(
    tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: dict[int, list[int]] = {}
    for rank in range(3):
        drawn = seeds.setdefault(rank, [])
        step = Toy.step

        def noted(
            self: Toy, indices: np.ndarray, epoch: int, drawn: list[int] = drawn, step: Any = step
        ) -> Any:
            drawn.append(torch.initial_seed())
            return step(self, indices, epoch)

        runtime = tiny.runtime()
        runtime.rank = rank
        with monkeypatch.context() as patch:
            patch.setattr(Toy, "step", noted)
            fitted(tmp_path / str(rank), model := toy_model(), toy_phases(model), runtime)
    assert len({seed for own in seeds.values() for seed in own}) == 3 * 20
    assert seeds[0][0] == hash((11, 0, 0, 0)) & 0x7FFFFFFF  # one process draws what it always has
