"""The only matchmaker: a recipe and a registry become parts, widths handed forward.

Here, and only here, names meet classes. Parts never see the recipe or the registry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

import psutil
import torch

from fusekit import dry_run
from fusekit.consistency import misfits, stage_faults, unused
from fusekit.contracts import Corpus, Degradation, DenoisingEncoder, Loss, Reader, Tail
from fusekit.errors import FusekitError, RecipeError
from fusekit.nn import accounting
from fusekit.nn.model import Branch, Model
from fusekit.recipe.arguments import anchored, blamed, check_arguments, component_faults, given
from fusekit.recipe.requires import requirement_faults
from fusekit.recipe.schema import Component, Recipe, Stage
from fusekit.registry import Kind, Registry

NETWORKS = (Kind.ENCODER, Kind.QUADRANT, Kind.PROJECTOR, Kind.FUSION, Kind.TEMPORAL, Kind.HEAD)


@dataclass
class CheckReport:
    """What `fusekit check` says of a recipe.

    Attributes:
        parts: rows `name, shape_in, shape_out, parameters`; shapes without batch axis.
        parameters: `paper` and `built`, each `training` and `inference`; `paper` is None without G and D.
        lookahead_s: seconds of future in each modality's window; their maximum is the model's latency.
        notes: what a user should know, one line each.
        unused: those of `notes` that tell what the recipe says and nothing reads.
    """

    parts: list[dict[str, Any]]
    parameters: dict[str, dict[str, int] | None]
    lookahead_s: dict[str, float]
    notes: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def check_components(recipe: Recipe, registry: Registry) -> None:
    """Load every class that the recipe names and hold its arguments against the class's signature.

    Raises:
        RecipeError: every unknown component, unknown or ill-typed argument and ill-fitting combination at
            once.
    """
    named = [(name, recipe.places.get(f"requires.{i}", "")) for i, name in enumerate(recipe.requires)]
    missing = requirement_faults(named, registry)
    faults = [
        str(fault) for fault in component_faults([c for _, c in recipe.components()], registry, missing)
    ]
    faults += misfits(recipe, _critics(recipe, registry))
    if recipe.output.predictions == "parquet" and find_spec("pyarrow") is None:
        faults.append(
            f"{recipe.at('output.predictions')}: Parquet needs pyarrow: "
            "pip install 'fusekit-multimodal[parquet]', or choose csv."
        )
    if faults:
        raise RecipeError("\n".join(dict.fromkeys(faults)))


def _critics(recipe: Recipe, registry: Registry) -> set[str]:
    """Modalities whose quadrant head is a critic by its class; who decides when made is told later."""
    found = set()
    for name, modality in recipe.modalities.items():
        try:
            cls = registry.load(registry.get(Kind.QUADRANT, modality.quadrant.name, modality.quadrant.where))
        except FusekitError:  # told among the faults of components
            continue
        if getattr(cls, "critic", False) is True:
            found.add(name)
    return found


def anchor(recipe: Recipe, registry: Registry) -> Recipe:
    """The recipe with every path among its components' arguments made absolute: as it means it from here."""

    def change(kind: Kind, component: Component) -> Component:
        found = anchored(component, registry.load(registry.get(kind, component.name, component.where)))
        detector = _detector(component, make(registry, kind, component)) if kind is Kind.READER else None
        if detector is not None and detector.args:
            found.args["detector_args"] = change(Kind.DETECTOR, detector).args
        return found

    return recipe.changed(change)


def make(registry: Registry, kind: Kind, component: Component, *built: Any) -> Any:
    """One component: builder-supplied values by position, the recipe's arguments by keyword.

    Raises:
        FusekitError: it is unknown or cannot be imported; RecipeError: it refuses these values.
    """
    named = f"{component.where}: {component.path}" if component.path else component.name
    cls = registry.load(registry.get(kind, component.name, named))
    try:
        args = given(component, cls)
        if kind in NETWORKS:
            _fits_memory(cls, built, args)
        return cls(*built, **args)
    except RecipeError as error:
        raise RecipeError(f"{blamed(component, error)}: {error}") from error
    except (ArithmeticError, AssertionError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise RecipeError(
            f"{blamed(component, error)}: {component.name} cannot be made of these arguments: {error}. "
            f"`fusekit show {component.name}` explains them."
        ) from error


def _fits_memory(cls: Any, built: Sequence[Any], args: Mapping[str, Any]) -> None:
    """Refuse a network whose weights alone are more than the memory that is free: made, it would take the
    machine with it.

    Raises:
        RecipeError: says how many bytes, and how many there are.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            sketch = cls(*built, **args)
        except Exception:  # it needs values while it is made, which a sketch has not; made for real, it says
            return
    if not isinstance(sketch, torch.nn.Module):
        return
    size = sum(t.numel() * t.element_size() for t in (*sketch.parameters(), *sketch.buffers()))
    free = psutil.virtual_memory().available
    if size > free:
        raise RecipeError(f"its weights would take {size / 1e9:,.1f} GB; {free / 1e9:,.1f} GB are free here")


def distributions(recipe: Recipe, registry: Registry) -> dict[str, str]:
    """`{distribution: version}` of the plugins whose components a recipe uses."""
    used = [registry.get(kind, component.name).source for kind, component in recipe.components()]
    for modality in recipe.modalities.values():
        detector = _detector(modality.reader, make(registry, Kind.READER, modality.reader))
        used += [registry.get(Kind.DETECTOR, detector.name).source] if detector else []
    return {p.distribution: p.version for p in registry.plugins if p.distribution and p.source in used}


def build_corpus(recipe: Recipe, registry: Registry) -> Corpus:
    """The recipe's corpus adapter."""
    return make(registry, Kind.CORPUS, recipe.corpus)


def build_readers(recipe: Recipe, registry: Registry) -> dict[str, Reader]:
    """`{modality: reader}` in the recipe's order; one that needs a detector gets it from the registry."""
    readers: dict[str, Reader] = {}
    for name, modality in recipe.modalities.items():
        reader = make(registry, Kind.READER, modality.reader)
        named = _detector(modality.reader, reader)
        if named is not None:
            where = f"{named.where}: {named.path}"
            faults = check_arguments(named, registry.load(registry.get(Kind.DETECTOR, named.name, where)))
            if faults:
                raise RecipeError("\n".join(map(str, faults)))
            reader.use_detector(make(registry, Kind.DETECTOR, named))
        readers[name] = reader
    return readers


def default_readers(registry: Registry) -> dict[str, Reader]:
    """`{medium: reader}` for pictures and sound where no recipe names any, as a recipe without arguments has
    them."""
    readers: dict[str, Reader] = {}
    for medium, name in (("video", "face-video"), ("audio", "mel-spectrogram")):
        component = Component(name)
        reader = make(registry, Kind.READER, component)
        detector = _detector(component, reader)
        if detector is not None:
            reader.use_detector(make(registry, Kind.DETECTOR, detector))
        readers[medium] = reader
    return readers


def _detector(at: Component, reader: Reader) -> Component | None:
    """The detector that a reader asks for by name."""
    name = getattr(reader, "detector", None)
    if not isinstance(name, str):
        return None
    args = dict(getattr(reader, "detector_args", None) or {})
    return Component(name, args, f"{at.path}.detector", at.file, at.line)


def build_degradations(recipe: Recipe, registry: Registry) -> dict[str, Degradation | None]:
    """`{modality: degradation}`, None where the recipe names none."""
    return {
        name: None if m.degradation is None else make(registry, Kind.DEGRADATION, m.degradation)
        for name, m in recipe.modalities.items()
    }


def build_damages(recipe: Recipe, registry: Registry) -> dict[str, Degradation | None]:
    """`{modality: what its damaged copies undergo}`: `damage`, else `degradation`, else None."""
    chosen = {name: m.damage or m.degradation for name, m in recipe.modalities.items()}
    return {name: None if c is None else make(registry, Kind.DEGRADATION, c) for name, c in chosen.items()}


def build_loss(stage: Stage, registry: Registry) -> Loss:
    """The stage's loss."""
    return make(registry, Kind.LOSS, stage.loss)


def build_model(recipe: Recipe, registry: Registry, raw_shapes: Mapping[str, tuple[int, ...]]) -> Model:
    """The whole model on torch's default device.

    `raw_shapes` come from the readers, every further width from the part before.
    """
    branches: dict[str, Branch] = {}
    for name, modality in recipe.modalities.items():
        encoder = make(registry, Kind.ENCODER, modality.encoder, raw_shapes[name])
        quadrant = make(registry, Kind.QUADRANT, modality.quadrant, raw_shapes[name], encoder.out_shape)
        if quadrant.reads == "reconstruction" and not isinstance(encoder, DenoisingEncoder):
            raise RecipeError(
                f"{modality.quadrant.where}: modalities.{name}.quadrant: {modality.quadrant.name} reads the "
                f"reconstruction, but encoder {modality.encoder.name} does not decode. "
                "Use {name: classifier} or {name: none}."
            )
        projector = make(
            registry, Kind.PROJECTOR, modality.projector, encoder.out_shape, quadrant.conditioning
        )
        branches[name] = Branch(encoder, quadrant, projector)
    return Model(branches, _tail(recipe, registry, branches, recipe.fusion))


def solo(recipe: Recipe, registry: Registry, model: Model, modality: str) -> Model:
    """Stage 1's model of one modality: the whole model's branch and a tail of its own (spec 3.1)."""
    branches = {modality: model.branches[modality]}
    return Model(branches, _tail(recipe, registry, branches, Component("none")))


def _tail(recipe: Recipe, registry: Registry, branches: Mapping[str, Branch], fusion: Component) -> Tail:
    fused = make(registry, Kind.FUSION, fusion, {m: b.projector.out_dim for m, b in branches.items()})
    temporal = make(registry, Kind.TEMPORAL, recipe.temporal, fused.out_dim)
    head = make(registry, Kind.HEAD, recipe.head, temporal.out_dim, len(recipe.target.dims))
    return Tail(fused, temporal, head)


def evaluation_steps(recipe: Recipe) -> int:
    """How many last steps an evaluation looks at: the recipe's word, or the last stage's longest window."""
    if recipe.evaluation.steps is not None:
        return recipe.evaluation.steps
    windows = [max(s.windows) for s in recipe.stages if s.objective == "supervised"]
    return windows[-1] if windows else 8


def check(recipe: Recipe, registry: Registry, *, dry: bool = True) -> CheckReport:
    """Build the model on the meta device, and try training on made-up rows: all faults and all shapes,
    without data and with little memory.

    Args:
        dry: try made-up rows; False: a run that is trained already is not judged anew.

    Raises:
        RecipeError: whatever `train` would find wrong of the recipe, early or late.
    """
    check_components(recipe, registry)
    readers = build_readers(recipe, registry)
    raw_shapes = {m: r.raw_shape for m, r in readers.items()}
    with torch.device("meta"):
        model = build_model(recipe, registry, raw_shapes)
        faults = [f for m in model.names for f in stage_faults(recipe, model, m)]
    if dry and not faults:
        faults = _dry_run_faults(recipe, registry, model, raw_shapes)
    if faults:
        raise RecipeError("\n".join(dict.fromkeys(faults)))
    idle = unused(recipe, model, {m: r.medium for m, r in readers.items()})
    return CheckReport(
        parts=accounting.parts(model, raw_shapes, len(recipe.target.dims)),
        parameters={
            "paper": accounting.paper_parameters(model, recipe.preset),
            "built": accounting.built_parameters(model),
        },
        lookahead_s={m: r.lookahead_s for m, r in readers.items()},
        notes=[*_notes(recipe, readers), *idle],
        unused=idle,
    )


def _dry_run_faults(
    recipe: Recipe, registry: Registry, model: Model, raw_shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """What training would meet late, found on made-up rows; `model` is the whole one, on the meta device."""
    losses = [build_loss(stage, registry) for stage in recipe.stages]
    faults = []
    for what, damages in (
        ("degradation", build_degradations(recipe, registry)),
        ("damage", build_damages(recipe, registry)),
    ):
        faults += [
            f"modalities.{m}.{what}: {fault}"
            for m, damage in damages.items()
            if damage is not None
            for fault in dry_run.damage_faults(damage, raw_shapes[m])
        ]
    for m, branch in model.branches.items():
        named = recipe.modalities[m]
        latent = branch.encoder.out_shape
        for kind, part, component, built in (
            (Kind.ENCODER, branch.encoder, named.encoder, (raw_shapes[m],)),
            (Kind.QUADRANT, branch.quadrant, named.quadrant, (raw_shapes[m], latent)),
            (Kind.PROJECTOR, branch.projector, named.projector, (latent, branch.quadrant.conditioning)),
        ):
            remade = partial(make, registry, kind, component, *built)
            faults += [
                f"{component.where}: modalities.{m}.{kind.value}: {component.name}: {fault}."
                for fault in dry_run.part_faults(part, remade, raw_shapes[m], latent)
            ]
    for alone in (None, *(m for m in model.names if any(s.apart and s.trains(m) for s in recipe.stages))):
        faults += _tail_faults(recipe, registry, model, alone)

    whole = partial(build_model, recipe, registry, raw_shapes)
    return faults or dry_run.stage_faults(recipe, whole, losses, raw_shapes)


def _tail_faults(recipe: Recipe, registry: Registry, model: Model, alone: str | None) -> list[str]:
    """Of the whole model's tail, or of the one that a modality by itself is trained with."""
    branches = dict(model.branches) if alone is None else {alone: model.branches[alone]}
    fusion = recipe.fusion if alone is None else Component("none")
    whose = ""
    if alone is not None:
        whose = f"{alone} by itself has the fusion none, and the recipe's temporal head and head: "
    widths = {m: branch.projector.out_dim for m, branch in branches.items()}
    try:
        found = dry_run.tail_faults(
            partial(_tail, recipe, registry, branches, fusion), widths, len(recipe.target.dims)
        )
    except RecipeError as error:
        return [f"{whose}{error}"]
    return [f"{whose}{fault}" for fault in found]


def _notes(recipe: Recipe, readers: Mapping[str, Reader]) -> list[str]:
    notes = [
        f"{m}: each window holds {r.lookahead_s:.2f} s of future; a live prediction lags by that much"
        for m, r in readers.items()
        if 0 < r.lookahead_s < math.inf
    ]
    notes += [
        f"{m}: each window needs the whole file: cannot stream"
        for m, r in readers.items()
        if r.lookahead_s == math.inf
    ]
    if recipe.preset == "table11":
        notes.append(
            "preset table11 counts as the paper prints; it is for `check` alone and cannot be trained"
        )
    if recipe.split.subject_dependent:
        notes.append("subject-dependent: one subject may be in training and test")
    return notes
