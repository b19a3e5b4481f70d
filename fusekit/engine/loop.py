"""The loop: phases in turn, each epoch by epoch, resumable at any batch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fusekit.engine.averages import Averages, numbers
from fusekit.engine.checkpoint import load_checkpoint, load_weights, without_prefix
from fusekit.engine.journal import Journal
from fusekit.engine.keeper import Keeper, Position, load_state, restore, state_of
from fusekit.engine.objective import Objective, Phase
from fusekit.engine.runtime import Runtime
from fusekit.errors import RunError
from fusekit.signals import Stopped, deferred

READ_EVERY_S = 0.25  # losses for the progress: each reading waits for the device


class Progress(Protocol):
    """Who watches a run (a progress bar, a log)."""

    def phase(self, number: int, phase: Phase, batches: int, done: int) -> None: ...

    def batch(self, losses: dict[str, float] | None) -> None:
        """One more is done; None: its losses were not read from the device."""

    def validated(self, epoch: int, scores: dict[str, Any], best: bool) -> None: ...

    def say(self, text: str) -> None: ...


def fit(
    phases: Sequence[Phase],
    model: nn.Module,
    runtime: Runtime,
    folder: Path,
    seed: int,
    progress: Progress,
    *,
    resume: bool = False,
    run: str = "",
) -> None:
    """Run `phases`; at the end of each, `model` holds its best weights by mean validation CCC.

    `folder/last.safetensors` always holds a whole state to resume from: weights, optimisers, the best weights
    so far and the position. It is written after each epoch, every five minutes, and on Ctrl-C, SIGTERM and
    SIGHUP (at the next batch boundary). All randomness is a function of the seed and the position, so a
    resumed run on the CPU ends with the same weights, bit for bit.

    Args:
        run: id of the run, which checkpoints keep, so that none of another run is gone on from.

    Raises:
        Stopped: after one of these signals, once the state is saved.
        RunError: the checkpoint cannot be read or written; or predictions of validation clips are NaN or
            infinite: the state before stays, and the journal's last line says what was found.
    """
    journal = Journal(folder.parent / "metrics.jsonl")
    at = Position()
    tensors: dict[str, Tensor] = {}
    if resume:
        tensors, header = load_checkpoint(folder / "last.safetensors", run)
        if "position" not in header:
            raise RunError(
                f"'{folder / 'last.safetensors'}' holds weights alone, no state to go on from: put the run's "
                "own back."
            )
        at = Position.from_json(header["position"], folder / "last.safetensors")
        load_weights(model, without_prefix("model", tensors), "last.safetensors")
    # Without a checkpoint too: a process killed between its first line and its first checkpoint starts anew.
    if runtime.is_main:
        journal.cut(at.lines)
    with deferred() as interrupted:
        for number in range(at.phase, len(phases)):
            phase = phases[number]
            objective = phase.make()
            rates = _rates(objective)  # before a checkpoint's own, which may be part of the way down
            best = {k: v.detach().clone() for k, v in state_of(objective).items()}
            if tensors:
                restore(objective, tensors)
                best = without_prefix("best", tensors) or best  # none between two phases
                tensors = {}
            keeper = Keeper(folder / "last.safetensors", model, runtime, seed, run)
            _run_phase(
                number, phase, objective, rates, at, best, journal, keeper, progress, seed, interrupted
            )
            load_state(objective, best)
            # Before the run moves on: a process killed in between resumes in this phase, and keeps it then.
            if number + 1 == len(phases) or phases[number + 1].stage != phase.stage:
                keeper.keep_stage(phase.stage)
            at = Position(phase=number + 1, step=at.step, lines=at.lines)
            keeper.save(objective, best, at, final=True)
            if runtime.any(bool(interrupted)):
                raise Stopped(*interrupted[:1])


def _run_phase(
    number: int,
    phase: Phase,
    objective: Objective,
    rates: list[float],
    at: Position,
    best: dict[str, Tensor],
    journal: Journal,
    keeper: Keeper,
    progress: Progress,
    seed: int,
    interrupted: list[int],
) -> None:
    per_epoch = len(objective.batches(0))
    if not per_epoch:
        raise RunError(
            f"{phase.name}: an epoch has no batch of two windows or more, which correlations need. Raise "
            "the stage's batch_size, or train on more clips."
        )
    progress.phase(number, phase, per_epoch * phase.epochs, per_epoch * at.epoch + at.batch)
    started, read, told = time.monotonic(), -math.inf, False
    averages = Averages(at.sums, at.counts)
    while at.epoch < phase.epochs:
        batches = objective.batches(at.epoch)
        for indices in batches[at.batch :]:
            # Parts with dropout draw from torch's generator: seed it by position, so that no generator must
            # be saved, and by process, so that no two draw the same masks for their rows.
            place = (seed, number, at.epoch, at.batch, *[keeper.runtime.rank] * (keeper.runtime.rank > 0))
            torch.manual_seed(hash(place) & 0x7FFFFFFF)
            if phase.lr_schedule == "linear":
                _anneal(objective, rates, (at.epoch + at.batch / len(batches)) / phase.epochs)
            losses = objective.step(indices, at.epoch)
            averages.add(losses)
            at.batch += 1
            at.step += 1
            due = time.monotonic() - read >= READ_EVERY_S
            progress.batch(numbers(losses) if due else None)
            read = time.monotonic() if due else read
            stop = keeper.runtime.any(bool(interrupted))  # all stop at the same batch
            if stop or keeper.due():
                at.sums, at.counts = averages.sums(), dict(averages.counts)
                keeper.save(objective, best, at)
                if stop:
                    raise Stopped(*interrupted[:1])  # another process's signal may have come first
        at.epoch, at.batch = at.epoch + 1, 0
        train, averages = averages.means(), Averages()
        at.sums, at.counts = {}, {}
        scores: dict[str, Any] = {}
        line = {
            "stage": phase.stage,
            "phase": phase.name,
            "objective": phase.objective,
            "window": phase.window,
            "epoch": at.epoch,
            "step": at.step,
            "seconds": round(time.monotonic() - started, 3),
            "train": train,
        }
        scored = at.epoch > phase.warmup and (at.epoch - phase.warmup) % phase.validate_every == 0
        if scored or at.epoch == phase.epochs:
            # Running statistics, as of a batch norm, are each process's own until here.
            for module in objective.modules.values():
                keeper.runtime.broadcast(module)
            scores = objective.validate()
            score = scores["ccc"]["mean"]
            _check_scores(phase, objective, scores, best, line, journal, keeper)
            if not math.isfinite(score) and not told:
                told = True
                progress.say(_unscored(phase, at.epoch, scores))
            better = math.isfinite(score) and score > at.best_score
            if better or at.best_epoch < 0:
                at.best_score, at.best_epoch = (score if math.isfinite(score) else -math.inf), at.epoch
                best.update({k: v.detach().clone() for k, v in state_of(objective).items()})
            progress.validated(at.epoch, scores, better)
        if keeper.runtime.is_main:
            seconds = round(time.monotonic() - started, 3)
            journal.append(line | {"seconds": seconds, "validation": scores})
        at.lines += 1
        keeper.save(objective, best, at)
        if keeper.runtime.any(bool(interrupted)):
            raise Stopped(*interrupted[:1])


def _check_scores(
    phase: Phase,
    objective: Objective,
    scores: dict[str, Any],
    best: dict[str, Tensor],
    line: dict[str, Any],
    journal: Journal,
    keeper: Keeper,
) -> None:
    """Stop where a validation error is no number: a correlation may be undefined, an error never is."""
    odd = {k: v for k, v in scores.get("rmse", {}).items() if k != "mean" and not math.isfinite(v)}
    if not odd:
        return
    if keeper.runtime.is_main:
        journal.append(line | {"validation": scores})
        if not keeper.path.exists():  # the first epoch of a run: what it began with
            load_state(objective, best)
            keeper.save(objective, best, Position(), final=True)
    said = ", ".join(f"{dim} {value}" for dim, value in odd.items())
    raise RunError(
        f"{phase.name}, epoch {line['epoch']}: the validation RMSE is no finite number ({said}), as "
        "predictions are NaN or infinite: training has diverged, and was stopped. The state before this "
        f"epoch is kept in '{keeper.path.parent.parent}', its journal (metrics.jsonl) shows the losses. "
        f"Begin a new run with a lower `lr` in stage '{phase.stage}', with `clip_grad` where the objective "
        "is supervised, or with train.precision=float32."
    )


def _unscored(phase: Phase, epoch: int, scores: dict[str, Any]) -> str:
    dims = [k for k, v in scores["ccc"].items() if k != "mean" and not math.isfinite(v)]
    return (
        f"{phase.name}, epoch {epoch}: no validation CCC of {', '.join(dims) or 'any dimension'}, as the "
        "labels or the predictions do not vary there; an epoch without one is not chosen as the best."
    )


def _groups(objective: Objective) -> list[dict[str, Any]]:
    return [group for _, o in sorted(objective.optimizers.items()) for group in o.param_groups]


def _rates(objective: Objective) -> list[float]:
    return [group["lr"] for group in _groups(objective)]


def _anneal(objective: Objective, rates: list[float], share: float) -> None:
    """Learning rates after `share` of a phase; of the position alone, so that a resumed run goes on alike."""
    for group, rate in zip(_groups(objective), rates, strict=True):
        group["lr"] = rate * min(1.0, 2 * (1 - share))
