"""Runs of a few batches on noise, for tests of the loop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusekit.engine.loop import fit
from fusekit.engine.objective import Objective, Phase

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
        self.said: list[str] = []

    def phase(self, number: int, phase: Phase, batches: int, done: int) -> None:
        self.phases.append((number, phase.name, batches, done))

    def batch(self, losses: dict[str, float] | None) -> None:
        self.batches += 1
        if losses is not None:
            self.read.append(losses)

    def validated(self, epoch: int, scores: dict[str, Any], best: bool) -> None:
        self.scores.append((epoch, best))

    def say(self, text: str) -> None:
        self.said.append(text)


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


def toy_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.Dropout(0.5), nn.Linear(6, 2))


def nothing(phase: int, epoch: int, index: int) -> None:
    pass


def toy_phases(
    model: nn.Module,
    scores: Sequence[Sequence[float]] = ((0.1, 0.4, 0.2), (0.3, 0.1)),
    at: Callable[[int, int, int], None] = nothing,
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


def fitted(
    folder: Path, model: nn.Module, phases: Sequence[Phase], runtime: Any, *, resume: bool = False
) -> Watcher:
    watcher = Watcher()
    folder.mkdir(exist_ok=True)
    fit(phases, model, runtime, folder / "checkpoints", 11, watcher, resume=resume)
    return watcher


def journal(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def whole_run(folder: Path, runtime: Any) -> SimpleNamespace:
    """A run that nothing interrupts."""
    model = toy_model()
    watcher = fitted(folder, model, toy_phases(model), runtime)
    return SimpleNamespace(folder=folder, weights=weights(model), journal=journal(folder), watcher=watcher)


def validated_by(
    make: Callable[[], Objective], validate: Callable[[Any], dict[str, Any]]
) -> Callable[[], Objective]:
    """Makes the same objective, with another `validate`."""

    def made() -> Objective:
        objective = make()
        objective.validate = validate.__get__(objective)  # type: ignore[method-assign]
        return objective

    return made
