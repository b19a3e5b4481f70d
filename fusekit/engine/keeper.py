"""What a run keeps while it trains: `last.safetensors`, to go on from, and what each stage left."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fusekit.engine.checkpoint import (
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from fusekit.engine.objective import Objective
from fusekit.engine.runtime import Runtime
from fusekit.errors import RunError

SAVE_EVERY_S = 300.0  # a killed process loses at most this much


@dataclass
class Position:
    """Where a run stands: the next batch to do, and what the current phase has gathered."""

    phase: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    lines: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, saved: Any, where: Path) -> Position:
        """What a checkpoint's header says.

        Raises:
            RunError: it is not what a checkpoint holds.
        """
        start = asdict(cls())
        if not isinstance(saved, dict) or saved.keys() - start.keys():
            raise RunError(f"'{where}' does not say where the run stands: put a whole copy back.")
        if saved.get("best_score", 0) is None:
            saved = {**saved, "best_score": -math.inf}  # which JSON has not
        for name, value in saved.items():
            kind = (int, float) if name == "best_score" else type(start[name])
            if not isinstance(value, kind) or isinstance(value, bool):
                raise RunError(f"'{where}': its {name} is {value!r}; put a whole copy back.")
        return cls(**saved)


class Keeper:
    """Writes `last.safetensors`; `run` is the id that its header keeps, if any."""

    def __init__(self, path: Path, model: nn.Module, runtime: Runtime, seed: int, run: str = "") -> None:
        self.path, self.model, self.runtime = path, model, runtime
        self.header: dict[str, Any] = {"seed": seed, **({"run": run} if run else {})}
        self.saved = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to save; of several processes the first one alone writes, the others wait for it
        at the next batch."""
        return self.runtime.is_main and time.monotonic() - self.saved > SAVE_EVERY_S

    def save(
        self, objective: Objective, best: dict[str, Tensor], at: Position, *, final: bool = False
    ) -> None:
        """Model, and while a phase runs its own modules, optimisers and best weights too."""
        if not self.runtime.is_main:
            return
        tensors = with_prefix("model", self.model.state_dict())
        if not final:
            tensors |= with_prefix("objective", state_of(objective)) | with_prefix("best", best)
            for name, optimizer in objective.optimizers.items():
                tensors |= with_prefix(f"optimizer.{name}", optimizer_tensors(optimizer))
        position = vars(at) | {"best_score": at.best_score if math.isfinite(at.best_score) else None}
        save_checkpoint(self.path, tensors, {"position": position, **self.header})
        self.saved = time.monotonic()

    def keep_stage(self, stage: str) -> None:
        """The weights that a whole stage left, in a file of their own: other runs may start from them."""
        if self.runtime.is_main:
            path = self.path.with_name(f"{stage}.safetensors")
            tensors = with_prefix("model", self.model.state_dict())
            save_checkpoint(path, tensors, {"stage": stage, **self.header})


def state_of(objective: Objective) -> dict[str, Tensor]:
    """All that a phase trains or selects, as `<module>.<name>`."""
    return {f"{n}.{k}": v for n, module in objective.modules.items() for k, v in module.state_dict().items()}


def load_state(objective: Objective, state: dict[str, Tensor]) -> None:
    """Inverse of `state_of`."""
    for name, module in objective.modules.items():
        load_weights(module, without_prefix(name, state), "the checkpoint")


def restore(objective: Objective, tensors: dict[str, Tensor]) -> None:
    """Modules and optimisers of a phase that was interrupted, from the tensors of a checkpoint."""
    state = without_prefix("objective", tensors)
    if not state:
        return
    load_state(objective, state)
    for name, optimizer in objective.optimizers.items():
        restore_optimizer(optimizer, without_prefix(f"optimizer.{name}", tensors))
