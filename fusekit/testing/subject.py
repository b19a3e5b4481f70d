"""What is under test: a case with its class, made anew as often as a rule needs it, fed and asked alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from fusekit.contracts import DenoisingEncoder, Latent
from fusekit.recipe.arguments import given
from fusekit.recipe.schema import Component
from fusekit.registry import Kind, Registry
from fusekit.testing.case import Case

ROWS, STEPS = 4, 5
"""Size of the batches that are shown to networks first; `situations` has the others."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Attributes:
        case: its case.
        cls: its class.
        folder: an empty folder, for components that read files.
        registry: where a reader's detector is found.
        rows, steps: size of the batches that it is shown.
        training: `ready` gives it in training mode.
        drawing: it draws while training, torch's own dropout apart: calls of other shapes cannot be compared.
    """

    case: Case
    cls: type
    folder: Path
    registry: Registry
    rows: int = ROWS
    steps: int = STEPS
    training: bool = False
    drawing: bool = False

    @property
    def kind(self) -> Kind:
        return Kind(self.case.kind)

    def built(self) -> tuple[Any, ...]:
        """What the builder hands over by position."""
        case = self.case
        match self.kind:
            case Kind.ENCODER:
                return (case.raw_shape,)
            case Kind.QUADRANT:
                return (case.raw_shape, case.latent_shape)
            case Kind.PROJECTOR:
                return (case.latent_shape, case.conditioning)
            case Kind.FUSION:
                return (dict(case.in_dims),)
            case Kind.TEMPORAL:
                return (case.in_dim,)
            case Kind.HEAD:
                return (case.in_dim, case.out_dim)
            case _:
                return ()

    @property
    def dims(self) -> int:
        """How many target dimensions the case says, for losses."""
        default = Case.__dataclass_fields__["dims"].default
        return self.case.out_dim if tuple(self.case.dims) == default else len(self.case.dims)

    def make(self, seed: int | None = 0, **args: Any) -> Any:
        """A new one, drawn from `seed` (None: from torch's generator as it stands); `args` stand in for those
        of the case."""
        if seed is not None:
            torch.manual_seed(seed)
        component = Component(self.case.name, {**self.case.args, **args})
        made = self.cls(*self.built(), **given(component, self.cls))
        named = getattr(made, "detector", None)
        if self.kind is Kind.READER and isinstance(named, str):
            detector = self.registry.load(self.registry.get(Kind.DETECTOR, named))
            arguments = dict(getattr(made, "detector_args", None) or {})
            made.use_detector(detector(**given(Component(named, arguments), detector)))
        return made

    def ready(self, seed: int = 0) -> Any:
        """A new one in eval mode, or in training mode without what may differ there: torch's dropout, which
        draws, and batch norm and what else counts running statistics along, which mixes rows on purpose."""
        module = self.make(seed)
        if not self.training:
            return module.eval()
        module.train()
        for part in module.modules():
            if isinstance(part, _BatchNorm | _DropoutNd) or hasattr(part, "drop_prob"):
                part.eval()
            elif isinstance(part, nn.RNNBase | nn.MultiheadAttention):
                part.dropout = 0.0
        kept = {name: value.clone() for name, value in module.named_buffers()}
        if kept:
            with torch.no_grad():
                self.ask(module, self.inputs())
            for name, value in module.named_buffers():
                if not torch.equal(value, kept[name]):
                    module.get_submodule(name.rpartition(".")[0]).training = False
                    value.data.copy_(kept[name])
        return module

    def changed(self, **changes: Any) -> Subject:
        """The same component under another case."""
        return replace(self, case=replace(self.case, **changes))

    def inner(self, name: str) -> Path:
        """A new folder inside `folder`."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def raw(self, seed: int, rows: int | None = None) -> Tensor:
        """`(N, *raw_shape)` windows: the case's own, or uniform in -1..1."""
        rows = rows or self.rows
        rng = np.random.default_rng(seed)
        if self.case.windows is not None:
            return torch.as_tensor(np.asarray(self.case.windows(rng, rows))).float()
        return torch.from_numpy(rng.uniform(-1, 1, (rows, *self.case.raw_shape)).astype(np.float32))

    def inputs(self, seed: int = 0, rows: int | None = None, steps: int | None = None) -> Tensors:
        """What a network of this kind is called with: named tensors, rows first.

        In a fusion's, one modality is absent at one step and all of them at another.
        """
        rows, steps = rows or self.rows, steps or self.steps
        g = torch.Generator().manual_seed(seed)

        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=g) * 2 - 1

        case = self.case
        match self.kind:
            case Kind.ENCODER:
                return {"x": self.raw(seed, rows)}
            case Kind.QUADRANT:
                return {"x": self.raw(seed, rows), "z": rand(rows, *case.latent_shape)}
            case Kind.PROJECTOR:
                z = rand(rows, *case.latent_shape)
                return (
                    {"z": z} if case.conditioning == "none" else {"z": z, "quadrant": torch.arange(rows) % 4}
                )
            case Kind.FUSION:
                feats = {m: rand(rows, steps, width) for m, width in case.in_dims.items()}
                present = torch.ones(rows, steps, len(feats), dtype=torch.bool)
                present[0, 0, 0] = False
                present[-1, -1] = False
                return {**feats, "present": present, "valid": torch.ones(rows, steps, dtype=torch.bool)}
            case Kind.TEMPORAL:
                context = case.context(rows, steps) if case.context else {}
                named = {f"context.{name}": value for name, value in context.items()}
                x, valid = rand(rows, steps, case.in_dim), torch.ones(rows, steps, dtype=torch.bool)
                return {"x": x, "valid": valid, **named}
            case _:
                return {"x": rand(rows, steps, case.in_dim)}

    def ask(self, module: nn.Module, inputs: Mapping[str, Tensor], state: Any = None) -> Tensors:
        """Everything that a network answers, by name, rows first: `fused`, `trace.gate`, `state.h`, ...

        What it draws while training is drawn alike by every call of one shape.
        """
        part: Any = module
        if self.training:
            torch.manual_seed(11)
        match self.kind:
            case Kind.ENCODER:
                z = part.encode(inputs["x"])
                decodes = isinstance(module, DenoisingEncoder)
                return {"latent": z, "reconstruction": part.decode(z)} if decodes else {"latent": z}
            case Kind.QUADRANT:
                x = inputs["x"] if part.reads == "reconstruction" else None
                latent = part(x, inputs["z"])
                answers = {name: value for name, value in vars(latent).items() if value is not None}
                if part.critic:
                    answers["judged realness"], answers["judged affect"] = part.judge(inputs["x"])
                return answers
            case Kind.PROJECTOR:
                return {"features": part(Latent(z=inputs["z"], quadrant=inputs.get("quadrant")))}
            case Kind.FUSION:
                feats = {m: inputs[m] for m in self.case.in_dims}
                return _named("fused", part(feats, inputs["present"], inputs.get("valid"), state))
            case Kind.TEMPORAL:
                context = {
                    k.removeprefix("context."): v for k, v in inputs.items() if k.startswith("context.")
                }
                return _named("summary", part(inputs["x"], inputs["valid"], context or None, state))
            case _:
                return {"prediction": part(inputs["x"])}


def _named(what: str, answer: Any) -> Tensors:
    if not (isinstance(answer, tuple) and len(answer) == 3):
        raise TypeError(f"forward must return ({what}, state, trace), got {type(answer).__name__}")
    main, state, trace = answer
    return {
        what: main,
        **{f"state.{name}": value for name, value in state.items()},
        **{f"trace.{name}": value for name, value in trace.items()},
    }


def state_of(answers: Mapping[str, Tensor]) -> Tensors:
    """The state among what `ask` answers."""
    return {name.removeprefix("state."): v for name, v in answers.items() if name.startswith("state.")}


def send_back(answers: Mapping[str, Tensor]) -> None:
    """Gradients of every floating answer, each weighted by fixed noise, so that nothing cancels."""
    g = torch.Generator().manual_seed(1)
    total: Tensor = torch.zeros((), dtype=torch.float64)
    for value in answers.values():
        if value.is_floating_point() and value.requires_grad:
            weights = torch.rand(value.shape, generator=g, dtype=torch.float64) + 0.5
            total = total + (value.double() * weights).sum()
    if total.requires_grad:
        total.backward()
