"""One update of every phase of training, on two windows of made-up rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusekit.contracts import Fusion, Loss, State, Tail, Temporal, Trace, opening
from fusekit.dry_run.made_up import FAULTS, ROWS, Alone, MadeUpLatents, MadeUpWindows, generators, told
from fusekit.engine.adversarial import Adversarial, AdversarialSettings
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.nn.model import Branch, Model
from fusekit.recipe.schema import Recipe, Stage

Act = tuple[str, str, Callable[[], None]]


def stage_faults(
    recipe: Recipe,
    make: Callable[[], Model],
    losses: Sequence[Loss],
    raw_shapes: Mapping[str, tuple[int, ...]],
) -> list[str]:
    """A sentence per phase that cannot make one update.

    Args:
        make: builds the whole model. In place of its fusion, temporal head and head, which `tail_faults`
            tries, a linear layer stands in.
        losses: of the stages, in their order.
    """
    dims = len(recipe.target.dims)
    with opening():
        acts = list(_acts(recipe, make(), losses, raw_shapes, dims))
        failed = [(act, error) for act in acts if (error := _failure(act))]
    return [f"{where}: {told(what, error)}" for (where, what, _), error in failed]


def _failure(act: Act) -> Exception | None:
    try:
        with torch.random.fork_rng(devices=[]):
            act[2]()
    except FAULTS as error:
        return error
    return None


def _acts(
    recipe: Recipe,
    model: Model,
    losses: Sequence[Loss],
    raw_shapes: Mapping[str, tuple[int, ...]],
    dims: int,
) -> Iterator[Act]:
    whole = _with_stand_in(dict(model.branches), dims)
    for number, (stage, loss) in enumerate(zip(recipe.stages, losses, strict=True)):
        where = recipe.at(f"stages.{number}")
        for m in filter(stage.trains, model.names) if stage.apart else ():
            what = f"stage '{stage.name}': {m} by itself"
            own = {m: raw_shapes[m]}
            step = _adversarial if stage.objective == "adversarial" else _supervised
            alone = _with_stand_in({m: model.branches[m]}, dims)
            yield where, what, _Update(step, recipe, stage, alone, loss, own, dims, stage.windows[0])
        for window in () if stage.apart else sorted({min(stage.windows), max(stage.windows)}):
            what = f"stage '{stage.name}' with windows of {window} steps"
            yield (
                where,
                what,
                _Update(_supervised, recipe, stage, whole, loss, raw_shapes, dims, window),
            )


@dataclass(frozen=True)
class _Update:
    """One update of one phase."""

    step: Callable[..., None]
    recipe: Recipe
    stage: Stage
    model: Model
    loss: Loss
    raw_shapes: Mapping[str, tuple[int, ...]]
    dims: int
    window: int

    def __call__(self) -> None:
        self.step(self)


def _adversarial(update: _Update) -> None:
    windows = MadeUpWindows(update.raw_shapes, 1, update.dims)
    settings = AdversarialSettings(ROWS, update.stage.lr, update.stage.betas, gan=update.stage.gan)
    runtime: Any = Alone()
    objective = Adversarial(
        update.model,
        windows,
        windows,
        update.loss,
        settings,
        runtime,
        generators,
        update.recipe.target.dims,
    )
    objective.update(np.arange(ROWS), 0)


def _supervised(update: _Update) -> None:
    stage, runtime = update.stage, Alone()
    cached = stage.reads_latents and not stage.apart
    # Encoders see rows, whatever the window that they are of: two steps spare most of the work.
    steps = update.window if cached else min(update.window, 2)
    windows = MadeUpWindows(update.raw_shapes, steps, update.dims)
    latents: Any = MadeUpLatents(update.model)
    objective = Supervised(
        update.model,
        windows,
        Caches(latents, latents) if cached else None,
        (),
        update.loss,
        SupervisedSettings(
            ROWS, stage.lr, stage.betas, freeze=stage.freeze, clip_grad=stage.clip_grad, steps=steps
        ),
        runtime,  # type: ignore[arg-type]
        generators,
        update.recipe.target.dims,
    )
    objective.update(np.arange(ROWS), 0)


class _Joined(Fusion):
    """Features of all modalities beside one another."""

    def __init__(self, in_dims: Mapping[str, int]) -> None:
        super().__init__()
        self.names, self.out_dim = tuple(in_dims), sum(in_dims.values())

    def forward(
        self, feats: Mapping[str, Tensor], present: Tensor, valid: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, State, Trace]:
        """`{m: (B, T, D_m)}` -> `(B, T, sum D_m)`, {}, {}."""
        return torch.cat([feats[m] for m in self.names], dim=-1), {}, {}


class _Through(Temporal):
    """Each step as it is."""

    def forward(
        self, x: Tensor, valid: Tensor, context: Any = None, state: Any = None
    ) -> tuple[Tensor, State, Trace]:
        """`(B, T, D)` -> the same, {}, {}."""
        return x, {}, {}


def _with_stand_in(branches: Mapping[str, Branch], dims: int) -> Model:
    fusion = _Joined({m: b.projector.out_dim for m, b in branches.items()})
    return Model(branches, Tail(fusion, _Through(), torch.nn.Linear(fusion.out_dim, dims)))
