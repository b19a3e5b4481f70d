"""What a phase of training optimises, and the little that the loop needs to know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fusekit.batch import Batch
from fusekit.contracts import Loss
from fusekit.engine.runtime import Runtime

Rngs = Callable[[int, Sequence[int] | np.ndarray, str], Sequence[np.random.Generator]]
"""(epoch, window indices, purpose) -> one generator per window; a function of these and the seed alone."""


class WindowSource(Protocol):
    """Windows of a set of clips, as the data room makes them."""

    def __len__(self) -> int: ...

    def collate(
        self, indices: Sequence[int] | np.ndarray, modalities: Sequence[str] | None = None
    ) -> Batch: ...

    def batches(
        self, batch_size: int, seed: int | None, epoch: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[np.ndarray]: ...

    def rows(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Objective(ABC):
    """One phase of training.

    Attributes:
        modules: everything that this phase trains or selects, by name: saved in checkpoints, best kept.
        optimizers: by name.
    """

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]

    @abstractmethod
    def batches(self, epoch: int) -> list[np.ndarray]:
        """Window indices of each batch of an epoch, this process's share."""

    @abstractmethod
    def step(self, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """One update; the losses, detached, on the device (no host sync)."""

    @abstractmethod
    def validate(self) -> dict[str, Any]:
        """Scores on the validation clips, as `metrics.scores` returns them."""


@dataclass(frozen=True)
class Phase:
    """One run through an objective: a modality of stage 1, a window length of stage 2.

    Attributes:
        name: shown in the progress bar. stage, objective: from the recipe. window: steps per window.
        epochs, validate_every: how long, how often to validate (and after the last epoch).
        warmup: so many of the first epochs leave nothing that could be scored: no validation, no best.
        lr_schedule: "constant", or "linear": in the phase's second half every learning rate falls to 0.
        make: builds the objective when its turn comes, from what the phases before left in the model.
    """

    name: str
    stage: str
    objective: str
    window: int
    epochs: int
    validate_every: int
    make: Callable[[], Objective]
    lr_schedule: Literal["constant", "linear"] = "constant"
    warmup: int = 0


def pooled_loss(
    loss: Loss, runtime: Runtime, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None
) -> Tensor:
    """`loss` of the rows of all processes: with gaps in the labels, or weights, the mean of what each process
    would find is not that of the global batch, let alone a correlation."""
    prediction, target, known = runtime.gather(prediction), runtime.gather(target), runtime.gather(known)
    weight = None if weight is None else runtime.gather(weight)
    return loss(prediction, target, known, weight)
