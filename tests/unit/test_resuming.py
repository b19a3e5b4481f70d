"""Runs that are interrupted, killed, damaged, and resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from toy_run import (
    BATCHES,
    KilledError,
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

from fusekit.engine import keeper
from fusekit.engine.checkpoint import load_checkpoint
from fusekit.engine.objective import Phase
from fusekit.errors import RunError
from fusekit.signals import Stopped


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny: SimpleNamespace) -> SimpleNamespace:
    return whole_run(tmp_path_factory.mktemp("whole"), tiny.runtime())


@pytest.mark.parametrize("stop", range(20))
@pytest.mark.parametrize("how", ["ctrl-c", "killed"])
def test_a_run_stopped_at_any_batch_resumes_bit_for_bit(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace, stop: int, how: str
) -> None:
    done = 0

    def at(phase: int, epoch: int, index: int) -> None:
        nonlocal done
        if done == stop:
            if how == "killed":
                raise KilledError
            signal.raise_signal(signal.SIGINT)
        done += 1

    model = toy_model()
    with pytest.raises(KilledError if how == "killed" else KeyboardInterrupt):
        fitted(tmp_path, model, toy_phases(model, at=at), tiny.runtime())
    torch.manual_seed(99)  # another process: nothing of this one's generators is left
    model = toy_model()
    there = (tmp_path / "checkpoints" / "last.safetensors").exists()
    assert there or (how == "killed" and stop < BATCHES)
    watcher = fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=there)
    assert same(weights(model), uninterrupted.weights)
    assert journal(tmp_path) == uninterrupted.journal
    saved, _ = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    whole, _ = load_checkpoint(uninterrupted.folder / "checkpoints" / "last.safetensors")
    assert same(saved, whole)
    if how == "ctrl-c":  # nothing is done twice
        assert watcher.batches == 20 - stop - 1
        number, _, total, behind = watcher.phases[0]
        assert (number, total, behind) == ((0, 12, stop + 1) if stop < 12 else (1, 8, stop - 11))


@pytest.mark.parametrize("moment", range(10))
def test_a_process_killed_between_journal_and_checkpoint_leaves_no_line_twice(
    tmp_path: Path,
    tiny: SimpleNamespace,
    uninterrupted: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    moment: int,
) -> None:
    original, calls = keeper.save_checkpoint, 0

    def die(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > moment:
            raise KilledError
        original(*args)

    monkeypatch.setattr(keeper, "save_checkpoint", die)
    model = toy_model()
    if moment < 9:  # five epochs, and each of two phases keeps its stage and ends
        with pytest.raises(KilledError):
            fitted(tmp_path, model, toy_phases(model), tiny.runtime())
    else:
        fitted(tmp_path, model, toy_phases(model), tiny.runtime())
    monkeypatch.undo()
    model = toy_model()
    there = (tmp_path / "checkpoints" / "last.safetensors").exists()
    fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=there)
    assert same(weights(model), uninterrupted.weights)
    assert journal(tmp_path) == uninterrupted.journal
    for name in sorted(p.name for p in (uninterrupted.folder / "checkpoints").iterdir()):
        saved, whole = (
            load_checkpoint(f / "checkpoints" / name)[0] for f in (tmp_path, uninterrupted.folder)
        )
        assert same(saved, whole)


def test_a_resumed_run_removes_what_was_half_saved(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    def at(phase: int, epoch: int, index: int) -> None:
        if epoch == 1:
            raise KilledError

    model = toy_model()
    with pytest.raises(KilledError):
        fitted(tmp_path, model, toy_phases(model, at=at), tiny.runtime())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = tmp_path / "checkpoints"
    (folder / f".last.safetensors.{gone.pid}.partial").write_bytes(b"cut sh")
    model = toy_model()
    fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=True)
    whole = uninterrupted.folder / "checkpoints"
    assert {p.name for p in folder.iterdir()} == {p.name for p in whole.iterdir()}
    assert same(weights(model), uninterrupted.weights)


def test_a_run_may_be_stopped_again_and_again(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    for attempt in range(30):
        model, done = toy_model(), 0

        def at(phase: int, epoch: int, index: int) -> None:
            nonlocal done
            done += 1
            if done == 3:
                signal.raise_signal(signal.SIGINT)

        try:
            fitted(tmp_path, model, toy_phases(model, at=at), tiny.runtime(), resume=attempt > 0)
            break
        except KeyboardInterrupt:
            continue
    assert attempt == 6
    assert same(weights(model), uninterrupted.weights)
    assert journal(tmp_path) == uninterrupted.journal


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_while_validating_stops_before_anything_else(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace, epoch: int
) -> None:
    original = Toy.validate

    def validate(self: Toy) -> dict[str, Any]:
        if self.epoch == epoch - 1:
            signal.raise_signal(signal.SIGINT)
        return original(self)

    model = toy_model()
    phases = toy_phases(model)
    phases[0] = Phase(**{**vars(phases[0]), "make": validated_by(phases[0].make, validate)})
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, model, phases, tiny.runtime())
    _, header = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    position = header["position"]
    assert (position["phase"], position["epoch"], position["batch"]) == (0, epoch, 0)
    model = toy_model()
    fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=True)
    assert same(weights(model), uninterrupted.weights)
    assert journal(tmp_path) == uninterrupted.journal


@pytest.mark.usefixtures("in_foreground")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_scheduler_and_a_closed_terminal_are_as_ctrl_c(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace, number: signal.Signals
) -> None:
    done = 0

    def at(phase: int, epoch: int, index: int) -> None:
        nonlocal done
        done += 1
        if done == 6:
            signal.raise_signal(number)
            signal.raise_signal(number)

    model = toy_model()
    with pytest.raises(Stopped) as stopped:
        fitted(tmp_path, model, toy_phases(model, at=at), tiny.runtime())
    assert stopped.value.number == number
    _, header = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    assert header["position"]["step"] == 6
    model = toy_model()
    fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=True)
    assert same(weights(model), uninterrupted.weights)
    assert journal(tmp_path) == uninterrupted.journal


def test_a_second_ctrl_c_stops_at_once_and_the_first_handler_returns(
    tmp_path: Path, tiny: SimpleNamespace
) -> None:
    before = signal.getsignal(signal.SIGINT)
    reached = []

    def at(phase: int, epoch: int, index: int) -> None:
        if epoch == 1:
            signal.raise_signal(signal.SIGINT)
            reached.append("first")
            signal.raise_signal(signal.SIGINT)
            reached.append("second")

    model = toy_model()
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, model, toy_phases(model, at=at), tiny.runtime())
    assert reached == ["first"]
    assert signal.getsignal(signal.SIGINT) is before
    _, header = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    assert (header["position"]["epoch"], header["position"]["batch"]) == (1, 0)


def test_outside_the_main_thread_signals_are_left_to_others(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    model, faults = toy_model(), []

    def run() -> None:
        try:
            fitted(tmp_path, model, toy_phases(model), tiny.runtime())
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert faults == []
    assert same(weights(model), uninterrupted.weights)


def test_the_best_weights_of_before_an_interruption_are_restored(
    tmp_path: Path, tiny: SimpleNamespace
) -> None:
    scores = [(0.9, 0.1, 0.2)]
    whole = toy_model()
    fitted(tmp_path / "whole", whole, toy_phases(whole, scores), tiny.runtime())

    def at(phase: int, epoch: int, index: int) -> None:
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)

    model = toy_model()
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "cut", model, toy_phases(model, scores, at), tiny.runtime())
    assert not same(weights(model), weights(whole))
    fitted(tmp_path / "cut", model, toy_phases(model, scores), tiny.runtime(), resume=True)
    assert same(weights(model), weights(whole))


def test_a_finished_run_resumes_to_its_best_weights(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    model = toy_model()
    watcher = fitted(uninterrupted.folder, model, toy_phases(model), tiny.runtime(), resume=True)
    assert watcher.batches == 0
    assert same(weights(model), uninterrupted.weights)


def test_a_damaged_or_foreign_checkpoint_is_told(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    model = toy_model()
    with pytest.raises(RunError, match="no checkpoint"):
        fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=True)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    data = (uninterrupted.folder / "checkpoints" / "last.safetensors").read_bytes()
    (folder / "last.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(RunError, match="damaged"):
        fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=True)
    (folder / "last.safetensors").write_bytes(data)
    other = nn.Sequential(nn.Linear(3, 7), nn.Dropout(0.5), nn.Linear(7, 2))
    with pytest.raises(RunError, match="do not fit"):
        fitted(tmp_path, other, toy_phases(other), tiny.runtime(), resume=True)


def test_a_full_disk_stops_the_run_and_leaves_the_last_epoch(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = toy_model()

    def at(phase: int, epoch: int, index: int) -> None:
        if (phase, epoch) == (0, 2):
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(RunError, match=f"previous checkpoint is whole.*{tmp_path}"):
            fitted(tmp_path, model, toy_phases(model, at=at), tiny.runtime())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    model = toy_model()
    fitted(tmp_path, model, toy_phases(model), tiny.runtime(), resume=True)
    assert same(weights(model), uninterrupted.weights)
    assert journal(tmp_path) == uninterrupted.journal


def test_a_phase_of_no_epochs_leaves_the_weights_and_resumes(tmp_path: Path, tiny: SimpleNamespace) -> None:
    scores = [(), (0.1, 0.2)]
    whole = toy_model()
    fitted(tmp_path / "whole", whole, toy_phases(whole, scores), tiny.runtime())

    def at(phase: int, epoch: int, index: int) -> None:
        raise KilledError

    model = toy_model()
    with pytest.raises(KilledError):
        fitted(tmp_path / "cut", model, toy_phases(model, scores, at), tiny.runtime())
    assert same(weights(model), weights(toy_model()))
    model = toy_model()
    fitted(tmp_path / "cut", model, toy_phases(model, scores), tiny.runtime(), resume=True)
    assert same(weights(model), weights(whole))
