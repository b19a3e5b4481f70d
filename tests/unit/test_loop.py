"""Phases, the best epoch, and runs that are interrupted, killed and resumed."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusekit.data.windows import Windows
from fusekit.engine import loop
from fusekit.engine.adversarial import Adversarial, AdversarialSettings
from fusekit.engine.checkpoint import load_checkpoint
from fusekit.engine.latent_cache import LatentCache
from fusekit.engine.loop import fit
from fusekit.engine.losses import AFC
from fusekit.engine.objective import Objective, Phase
from fusekit.engine.runtime import Runtime
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.errors import RunError
from fusekit.nn.model import Model

NAN = math.nan
BATCHES = 4


class KilledError(Exception):
    """Stands for a process that ends at once."""


class Watcher:
    """A progress that notes what it is told."""

    def __init__(self) -> None:
        self.phases: list[tuple[int, str, int, int]] = []
        self.batches = 0
        self.read: list[dict[str, float]] = []
        self.scores: list[tuple[int, bool]] = []

    def phase(self, number: int, phase: Phase, batches: int, done: int) -> None:
        self.phases.append((number, phase.name, batches, done))

    def batch(self, losses: dict[str, float] | None) -> None:
        self.batches += 1
        if losses is not None:
            self.read.append(losses)

    def validated(self, epoch: int, scores: dict[str, Any], best: bool) -> None:
        self.scores.append((epoch, best))


class Toy(Objective):
    """Four batches an epoch on noise, with dropout (torch's own generator) and an extra module of its own."""

    def __init__(
        self, model: nn.Module, scores: Sequence[float], at: Callable[[int, int], None], lr: float
    ) -> None:
        torch.manual_seed(3)
        self.own = nn.Linear(2, 2)
        self.own.register_buffer(
            "updates", torch.tensor(0)
        )  # kept with the weights, so known after a resume too
        self.net, self.scores, self.at = model, list(scores), at
        self.modules = {"model": model, "own": self.own}
        self.optimizers = {
            "a": torch.optim.Adam(model.parameters(), lr=lr),
            "b": torch.optim.Adam(self.own.parameters(), lr=lr),
        }

    @property
    def epoch(self) -> int:
        return (int(self.own.updates) - 1) // BATCHES

    def batches(self, epoch: int) -> list[np.ndarray]:
        order = np.random.default_rng(epoch).permutation(4 * BATCHES)
        return list(order.reshape(BATCHES, 4))

    def step(self, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        self.at(epoch, int(indices[0]))
        x = torch.stack([torch.randn(3, generator=torch.Generator().manual_seed(int(i))) for i in indices])
        loss = (self.own(self.net(x)) - x[:, :2]).square().mean()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.own.updates += 1
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, Any]:
        return {"ccc": {"mean": self.scores[self.epoch]}}


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.Dropout(0.5), nn.Linear(6, 2))


def _nothing(phase: int, epoch: int, index: int) -> None:
    pass


def _phases(
    model: nn.Module,
    scores: Sequence[Sequence[float]] = ((0.1, 0.4, 0.2), (0.3, 0.1)),
    at: Callable[[int, int, int], None] = _nothing,
    validate_every: int = 1,
) -> list[Phase]:
    def make(number: int) -> Callable[[], Objective]:
        return lambda: Toy(model, scores[number], lambda epoch, i: at(number, epoch, i), 0.05 / (number + 1))

    return [
        Phase(
            *(f"phase {n}", f"stage {n}", "supervised", 2**n, len(scores[n]), validate_every, make(n)),
            lr_schedule="linear" if n else "constant",  # resumed in either
        )
        for n in range(len(scores))
    ]


def _fit(
    folder: Path, model: nn.Module, phases: Sequence[Phase], runtime: Any, *, resume: bool = False
) -> Watcher:
    watcher = Watcher()
    folder.mkdir(exist_ok=True)
    fit(phases, model, runtime, folder / "checkpoints", 11, watcher, resume=resume)
    return watcher


def _journal(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny: SimpleNamespace) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("whole")
    model = _model()
    watcher = _fit(folder, model, _phases(model), tiny.runtime())
    return SimpleNamespace(folder=folder, weights=_weights(model), journal=_journal(folder), watcher=watcher)


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
    model = _model()
    watcher = _fit(tmp_path, model, _phases(model), tiny.runtime())
    assert watcher.batches == 20
    assert [x["loss"] for x in watcher.read] == (found if read == 20 else [found[0], found[12]])
    means = [sum(found[k : k + BATCHES]) / BATCHES for k in range(0, 20, BATCHES)]
    assert [line["train"] for line in _journal(tmp_path)] == [{"loss": mean} for mean in means]
    assert _journal(tmp_path) == uninterrupted.journal


def test_learning_rates_stay_or_fall_to_zero_in_the_second_half(
    tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[float]] = []
    plain = Toy.step

    def step(self: Toy, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        seen.append([self.optimizers[name].param_groups[0]["lr"] for name in ("a", "b")])
        return plain(self, indices, epoch)

    monkeypatch.setattr(Toy, "step", step)
    _fit(tmp_path, model := _model(), _phases(model), tiny.runtime())
    assert seen[:12] == [[0.05, 0.05]] * 12
    falling = [0.025] * 5 + [0.025 * left for left in (0.75, 0.5, 0.25)]
    assert np.allclose(seen[12:], np.array(falling)[:, None])


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

    model = _model()
    with pytest.raises(KilledError if how == "killed" else KeyboardInterrupt):
        _fit(tmp_path, model, _phases(model, at=at), tiny.runtime())
    torch.manual_seed(99)  # another process: nothing of this one's generators is left
    model = _model()
    there = (tmp_path / "checkpoints" / "last.safetensors").exists()
    assert there or (how == "killed" and stop < BATCHES)
    watcher = _fit(tmp_path, model, _phases(model), tiny.runtime(), resume=there)
    assert _same(_weights(model), uninterrupted.weights)
    assert _journal(tmp_path) == uninterrupted.journal
    saved, _ = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    whole, _ = load_checkpoint(uninterrupted.folder / "checkpoints" / "last.safetensors")
    assert _same(saved, whole)
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
    original, calls = loop.save_checkpoint, 0

    def die(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > moment:
            raise KilledError
        original(*args)

    monkeypatch.setattr(loop, "save_checkpoint", die)
    model = _model()
    if moment < 9:  # five epochs, and each of two phases keeps its stage and ends
        with pytest.raises(KilledError):
            _fit(tmp_path, model, _phases(model), tiny.runtime())
    else:
        _fit(tmp_path, model, _phases(model), tiny.runtime())
    monkeypatch.undo()
    model = _model()
    there = (tmp_path / "checkpoints" / "last.safetensors").exists()
    _fit(tmp_path, model, _phases(model), tiny.runtime(), resume=there)
    assert _same(_weights(model), uninterrupted.weights)
    assert _journal(tmp_path) == uninterrupted.journal
    for name in sorted(p.name for p in (uninterrupted.folder / "checkpoints").iterdir()):
        saved, whole = (
            load_checkpoint(f / "checkpoints" / name)[0] for f in (tmp_path, uninterrupted.folder)
        )
        assert _same(saved, whole)


def test_a_resumed_run_removes_what_was_half_saved(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    def at(phase: int, epoch: int, index: int) -> None:
        if epoch == 1:
            raise KilledError

    model = _model()
    with pytest.raises(KilledError):
        _fit(tmp_path, model, _phases(model, at=at), tiny.runtime())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = tmp_path / "checkpoints"
    (folder / f".last.safetensors.{gone.pid}.partial").write_bytes(b"cut sh")
    model = _model()
    _fit(tmp_path, model, _phases(model), tiny.runtime(), resume=True)
    whole = uninterrupted.folder / "checkpoints"
    assert {p.name for p in folder.iterdir()} == {p.name for p in whole.iterdir()}
    assert _same(_weights(model), uninterrupted.weights)


def test_a_run_may_be_stopped_again_and_again(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    for attempt in range(30):
        model, done = _model(), 0

        def at(phase: int, epoch: int, index: int) -> None:
            nonlocal done
            done += 1
            if done == 3:
                signal.raise_signal(signal.SIGINT)

        try:
            _fit(tmp_path, model, _phases(model, at=at), tiny.runtime(), resume=attempt > 0)
            break
        except KeyboardInterrupt:
            continue
    assert attempt == 6
    assert _same(_weights(model), uninterrupted.weights)
    assert _journal(tmp_path) == uninterrupted.journal


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_while_validating_stops_before_anything_else(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace, epoch: int
) -> None:
    original = Toy.validate

    def validate(self: Toy) -> dict[str, Any]:
        if self.epoch == epoch - 1:
            signal.raise_signal(signal.SIGINT)
        return original(self)

    model = _model()
    phases = _phases(model)
    phases[0] = Phase(**{**vars(phases[0]), "make": _wrapped(phases[0].make, validate)})
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path, model, phases, tiny.runtime())
    _, header = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    position = header["position"]
    assert (position["phase"], position["epoch"], position["batch"]) == (0, epoch, 0)
    model = _model()
    _fit(tmp_path, model, _phases(model), tiny.runtime(), resume=True)
    assert _same(_weights(model), uninterrupted.weights)
    assert _journal(tmp_path) == uninterrupted.journal


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

    model = _model()
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path, model, _phases(model, at=at), tiny.runtime())
    assert reached == ["first"]
    assert signal.getsignal(signal.SIGINT) is before
    _, header = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    assert (header["position"]["epoch"], header["position"]["batch"]) == (1, 0)


def test_outside_the_main_thread_signals_are_left_to_others(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    model, faults = _model(), []

    def run() -> None:
        try:
            _fit(tmp_path, model, _phases(model), tiny.runtime())
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert faults == []
    assert _same(_weights(model), uninterrupted.weights)


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
    model = _model()
    phases = _phases(model, [scores])
    original = Toy.validate

    def validate(self: Toy) -> dict[str, Any]:
        after[self.epoch + 1] = _weights(self.net)
        return original(self)

    phases[0] = Phase(**{**vars(phases[0]), "make": _wrapped(phases[0].make, validate)})
    _fit(tmp_path, model, phases, tiny.runtime())
    assert _same(_weights(model), after[best])
    tensors, _ = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    assert _same({k.removeprefix("model."): v for k, v in tensors.items()}, after[best])


def _wrapped(
    make: Callable[[], Objective], validate: Callable[[Any], dict[str, Any]]
) -> Callable[[], Objective]:
    def made() -> Objective:
        objective = make()
        objective.validate = validate.__get__(objective)  # type: ignore[method-assign]
        return objective

    return made


def test_all_processes_validate_what_the_first_one_saves(
    tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or each would choose a best epoch of its own: a batch norm's statistics are those of its own rows."""
    runtime, taken = tiny.runtime(), []
    monkeypatch.setattr(runtime, "broadcast", taken.append)
    model = _model()
    phases = _phases(model, [(0.1, 0.2)])
    original, seen = Toy.validate, []

    def validate(self: Toy) -> dict[str, Any]:
        seen.append(taken == [self.net, self.own])
        taken.clear()
        return original(self)

    phases[0] = Phase(**{**vars(phases[0]), "make": _wrapped(phases[0].make, validate)})
    _fit(tmp_path, model, phases, runtime)
    assert seen == [True, True]


def test_the_best_weights_of_before_an_interruption_are_restored(
    tmp_path: Path, tiny: SimpleNamespace
) -> None:
    scores = [(0.9, 0.1, 0.2)]
    whole = _model()
    _fit(tmp_path / "whole", whole, _phases(whole, scores), tiny.runtime())

    def at(phase: int, epoch: int, index: int) -> None:
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)

    model = _model()
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "cut", model, _phases(model, scores, at), tiny.runtime())
    assert not _same(_weights(model), _weights(whole))
    _fit(tmp_path / "cut", model, _phases(model, scores), tiny.runtime(), resume=True)
    assert _same(_weights(model), _weights(whole))


def test_validation_comes_every_so_often_and_after_the_last_epoch(
    tmp_path: Path, tiny: SimpleNamespace
) -> None:
    model = _model()
    watcher = _fit(tmp_path, model, _phases(model, [(0.1,) * 5], validate_every=2), tiny.runtime())
    assert [epoch for epoch, _ in watcher.scores] == [2, 4, 5]
    assert [bool(line["validation"]) for line in _journal(tmp_path)] == [False, True, False, True, True]


def test_a_finished_run_resumes_to_its_best_weights(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    model = _model()
    watcher = _fit(uninterrupted.folder, model, _phases(model), tiny.runtime(), resume=True)
    assert watcher.batches == 0
    assert _same(_weights(model), uninterrupted.weights)


def test_a_damaged_or_foreign_checkpoint_is_told(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace
) -> None:
    model = _model()
    with pytest.raises(RunError, match="no checkpoint"):
        _fit(tmp_path, model, _phases(model), tiny.runtime(), resume=True)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    data = (uninterrupted.folder / "checkpoints" / "last.safetensors").read_bytes()
    (folder / "last.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(RunError, match="damaged"):
        _fit(tmp_path, model, _phases(model), tiny.runtime(), resume=True)
    (folder / "last.safetensors").write_bytes(data)
    other = nn.Sequential(nn.Linear(3, 7), nn.Dropout(0.5), nn.Linear(7, 2))
    with pytest.raises(RunError, match="do not fit"):
        _fit(tmp_path, other, _phases(other), tiny.runtime(), resume=True)


def test_a_full_disk_stops_the_run_and_leaves_the_last_epoch(
    tmp_path: Path, tiny: SimpleNamespace, uninterrupted: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = _model()

    def at(phase: int, epoch: int, index: int) -> None:
        if (phase, epoch) == (0, 2):
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(RunError, match=f"previous checkpoint is whole.*{tmp_path}"):
            _fit(tmp_path, model, _phases(model, at=at), tiny.runtime())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    model = _model()
    _fit(tmp_path, model, _phases(model), tiny.runtime(), resume=True)
    assert _same(_weights(model), uninterrupted.weights)
    assert _journal(tmp_path) == uninterrupted.journal


def _real_phases(
    tiny: SimpleNamespace, model: Model, at: Callable[[], None], runtime: Runtime | None = None
) -> list[Phase]:
    """Stage 1 with held-back G, then the curriculum on cached latents, as a run puts them together."""
    clips, runtime = tiny.clips((9, 8), names=("face",)), runtime or tiny.runtime()

    def watched(objective: Objective) -> Objective:
        step = objective.step

        def stepped(indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
            at()
            return step(indices, epoch)

        objective.step = stepped  # type: ignore[method-assign]
        return objective

    def adversarial() -> Objective:
        alone = tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=5)
        solo = Model({"face": model.branches["face"]}, alone).to(runtime.device)  # a tail of its own
        settings = AdversarialSettings(batch_size=6, lr=1e-3, betas=(0.5, 0.999), critic_steps=2)
        windows = Windows(clips, 1)
        return watched(Adversarial(solo, windows, windows, AFC(), settings, runtime, tiny.rngs, ("v", "a")))

    def supervised(window: int) -> Objective:
        settings = SupervisedSettings(
            6, 1e-3, (0.5, 0.999), freeze=("encoder", "quadrant"), presence_dropout=0.2
        )
        caches = Caches(LatentCache(model, clips, runtime), LatentCache(model, clips, runtime))
        return watched(
            Supervised(
                model, Windows(clips, window), caches, clips, AFC(), settings, runtime, tiny.rngs, ("v", "a")
            )
        )

    return [
        Phase("latent face", "latent", "adversarial", 1, 2, 1, adversarial),
        Phase("sequence 2", "sequence", "supervised", 2, 2, 1, lambda: supervised(2)),
        Phase("sequence 4", "sequence", "supervised", 4, 2, 1, lambda: supervised(4)),
    ]


@pytest.mark.parametrize("stop", [1, 4, 7, 10])
def test_the_real_objectives_resume_bit_for_bit(tmp_path: Path, tiny: SimpleNamespace, stop: int) -> None:
    def fresh() -> Model:
        return tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=1)

    done = 0

    def at() -> None:
        nonlocal done
        done += 1
        if done == stop:
            signal.raise_signal(signal.SIGINT)

    whole = fresh()
    _fit(tmp_path / "whole", whole, _real_phases(tiny, whole, lambda: None), tiny.runtime())
    model = fresh()
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "cut", model, _real_phases(tiny, model, at), tiny.runtime())
    model = fresh()
    _fit(tmp_path / "cut", model, _real_phases(tiny, model, lambda: None), tiny.runtime(), resume=True)
    assert _same(_weights(model), _weights(whole))
    assert _journal(tmp_path / "cut") == _journal(tmp_path / "whole")


def test_a_phase_of_no_epochs_leaves_the_weights_and_resumes(tmp_path: Path, tiny: SimpleNamespace) -> None:
    scores = [(), (0.1, 0.2)]
    whole = _model()
    _fit(tmp_path / "whole", whole, _phases(whole, scores), tiny.runtime())

    def at(phase: int, epoch: int, index: int) -> None:
        raise KilledError

    model = _model()
    with pytest.raises(KilledError):
        _fit(tmp_path / "cut", model, _phases(model, scores, at), tiny.runtime())
    assert _same(_weights(model), _weights(_model()))
    model = _model()
    _fit(tmp_path / "cut", model, _phases(model, scores), tiny.runtime(), resume=True)
    assert _same(_weights(model), _weights(whole))


def test_a_phase_without_a_batch_is_told(
    tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "batches", lambda self, epoch: [])
    model = _model()
    with pytest.raises(RunError, match="phase 0.*batch_size"):
        _fit(tmp_path, model, _phases(model), tiny.runtime())


@pytest.mark.gpu
def test_a_run_on_cuda_can_go_on_and_end_on_the_cpu(tmp_path: Path, tiny: SimpleNamespace) -> None:
    done = 0

    def at() -> None:
        nonlocal done
        done += 1
        if done == 7:
            signal.raise_signal(signal.SIGINT)

    runtime = Runtime("cuda")  # bf16
    model = tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=1).to(runtime.device)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path, model, _real_phases(tiny, model, at, runtime), runtime)
    model = tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=1)
    _fit(tmp_path, model, _real_phases(tiny, model, lambda: None), tiny.runtime(), resume=True)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert [line["epoch"] for line in _journal(tmp_path)] == [1, 2] * 3
