"""What a recipe is: these dataclasses are its schema, their fields its keys, their defaults its defaults.

Ranges of values are in `fusekit.recipe.rules`; arguments of components are held against their classes by
`fusekit.recipe.arguments`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

from fusekit.registry import Kind


@dataclass(frozen=True)
class Component:
    """A component named by a recipe: `{name: gmu, gate: scalar}`, or `gmu` alone.

    Attributes:
        args: what the recipe (and its preset) say beside the name, plain data.
        path: dotted path in the recipe, e.g. "modalities.face.encoder".
        file, line: where it stands; line 0: `file` is an override.
        marks: `{argument: where}` for messages about single arguments.
    """

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    path: str = field(default="", compare=False)
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    marks: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def where(self) -> str:
        """The place, as "file:line", or the override that named it."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted, and the clock of the whole recipe.

    Attributes:
        dims: target dimensions, columns of the labels.
        step_hz: steps per second of the grid that everything is aligned to.
        shuffle: permute the labels between the clips that train, and between those that validate, and rotate
            them in time: a control run that must score nothing.
    """

    dims: tuple[str, ...]
    step_hz: float
    shuffle: bool = False


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One named input.

    Attributes:
        degradation: what an adversarial stage's inputs undergo, and learns to undo.
        damage: what the copies undergo that a stage's `degraded` reads; by default as `degradation`.
        source: column of the manifest to read, by default the modality's own name (two may share one sensor).
    """

    reader: Component
    encoder: Component
    projector: Component
    quadrant: Component = field(default_factory=lambda: Component("none"))
    degradation: Component | None = None
    damage: Component | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Split:
    """How clips are divided into training, validation and test.

    Attributes:
        given: keep to the split that the corpus names, where it names one; false: deal its subjects to folds.
        folds, fold: number of subject-disjoint folds, and the one that is tested.
        validation: share of the training subjects that choose the best epoch.
        subject_dependent: allow one subject on both sides; printed in every table.
    """

    given: bool = True
    folds: int = 5
    fold: int = 0
    validation: float = 0.2
    seed: int = 0
    subject_dependent: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training.

    Attributes:
        objective: "adversarial" (G, D and P together, spec 3.2) or "supervised".
        modalities: train these alone, each by itself, with a tail of its own that is then thrown away; the
            others keep their weights. None: all (supervised: together).
        epochs: per window length.
        freeze: parts that keep their weights, e.g. [encoder, quadrant].
        windows: lengths in steps, one after another, each started from the previous (spec 3.6).
        batch_size: windows per optimiser step; a list holds one for each of `windows` (spec 3.5).
        lr, betas: of Adam (spec 3.5).
        lr_schedule: "constant" (the paper's), or "linear": constant for the first half of each modality or
            window length, then down a straight line to 0 (as CycleGAN trains).
        frames_hz: look at fewer frames per second than the step grid has.
        critic_steps: updates of D per update of G and P.
        gan: "wgan-gp" or the paper's "log" form (eq. 13).
        lambdas: weights of the losses of D, G and P.
        g_weights: weights within G's loss: of D's score, of the reconstruction, of D's affect (the
            precursor's code: 1, 10, 1).
        reconstruction: whose difference from the clean input is in G's loss: the "first" pass G(n) of the
            damaged input n (the paper's text), the "second" G(G(n)) (the precursor's code), or the mean of
            "both". Only the first ties what G gives to the clean input.
        warmup: epochs ahead of `epochs` in which G alone learns, by the reconstruction; much cheaper ones.
        validate_every: epochs between two validations.
        augment: flips, shifts and the like of spec 4.5.
        degraded: share of windows in which one modality's cached latents are of damaged inputs (spec: 0).
        clip_grad: largest norm of the gradients, or null.
    """

    name: str
    objective: Literal["adversarial", "supervised"]
    epochs: int
    batch_size: int | tuple[int, ...]
    modalities: tuple[str, ...] | None = None
    loss: Component = field(default_factory=lambda: Component("afc"))
    freeze: tuple[str, ...] = ()
    windows: tuple[int, ...] = (1,)
    lr: float = 1e-4
    lr_schedule: Literal["constant", "linear"] = "constant"
    betas: tuple[float, float] = (0.5, 0.999)
    frames_hz: float | None = None
    critic_steps: int = 1
    gan: Literal["wgan-gp", "log"] = "wgan-gp"
    lambdas: tuple[float, float, float] = (0.25, 0.25, 0.5)
    g_weights: tuple[float, float, float] = (1.0, 10.0, 1.0)
    reconstruction: Literal["first", "second", "both"] = "second"
    warmup: int = 0
    validate_every: int = 1
    augment: bool = False
    degraded: float = 0.0
    clip_grad: float | None = None

    @property
    def reads_latents(self) -> bool:
        """Whether all that makes the latents is frozen: computed once, they are read from a cache."""
        return {"encoder", "quadrant"} <= set(self.freeze)

    @property
    def apart(self) -> bool:
        """Whether it trains modalities each by itself, and no fusion."""
        return self.objective == "adversarial" or self.modalities is not None

    def trains(self, modality: str) -> bool:
        """Whether a modality's branch takes part."""
        return self.modalities is None or modality in self.modalities

    def batch(self, window: int) -> int:
        """Windows of `window` steps per optimiser step."""
        if isinstance(self.batch_size, int):
            return self.batch_size
        return self.batch_size[self.windows.index(window)]


@dataclass(frozen=True, kw_only=True)
class Train:
    """What holds for all stages.

    Attributes:
        presence_dropout: chance that one present modality is hidden from a training window.
        weighting: frequency weights of the labels (spec 3.4).
    """

    seed: int = 0
    precision: Literal["auto", "float32", "bf16"] = "auto"
    presence_dropout: float = 0.1
    weighting: Literal["inverse", "literal", "none"] = "inverse"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How states are handled when scoring (spec 3.6).

    Attributes:
        states: "last": at every step the last `steps` steps from zero state; "carry": one state per clip.
        steps: by default the last stage's longest window.
    """

    states: Literal["last", "carry"] = "last"
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """Format of the predictions table."""

    predictions: Literal["csv", "parquet"] = "csv"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole recipe, resolved: `extends`, `${...}`, preset and overrides are done.

    Attributes:
        modalities: in the recipe's order, which is the order of `present[..., i]`.
        preset: arguments that the recipe left open were taken from it (`fusekit/recipe/presets`).
        requires: distributions whose plugins it needs; those of a recipe that it extends count, too.
        files: the files it was read from, the recipe itself first.
        places: `{dotted path: place}` of every key that is written somewhere, for messages.
    """

    name: str
    corpus: Component
    target: Target
    modalities: dict[str, Modality]
    stages: tuple[Stage, ...]
    fusion: Component = field(default_factory=lambda: Component("none"))
    temporal: Component = field(default_factory=lambda: Component("none"))
    head: Component = field(default_factory=lambda: Component("linear"))
    split: Split = field(default_factory=Split)
    train: Train = field(default_factory=Train)
    evaluation: Evaluation = field(default_factory=Evaluation)
    output: Output = field(default_factory=Output)
    preset: str = "default"
    requires: tuple[str, ...] = ()
    files: tuple[str, ...] = field(default=(), compare=False)
    places: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def components(self) -> Iterator[tuple[Kind, Component]]:
        """Every component the recipe names, with its kind."""
        yield Kind.CORPUS, self.corpus
        for modality in self.modalities.values():
            yield Kind.READER, modality.reader
            for damaging in (modality.degradation, modality.damage):
                if damaging:
                    yield Kind.DEGRADATION, damaging
            yield Kind.ENCODER, modality.encoder
            yield Kind.QUADRANT, modality.quadrant
            yield Kind.PROJECTOR, modality.projector
        yield Kind.FUSION, self.fusion
        yield Kind.TEMPORAL, self.temporal
        yield Kind.HEAD, self.head
        for stage in self.stages:
            yield Kind.LOSS, stage.loss

    def changed(self, change: Callable[[Kind, Component], Component]) -> Recipe:
        """The same recipe with what `change` makes of every component."""
        recipe: Recipe = _changed(self, (), change)
        return recipe

    def at(self, path: str) -> str:
        """A key as messages name it: "recipes/av.yaml:12: stages.0.windows"."""
        return ": ".join(part for part in (self.places.get(path), path) if part)

    def to_yaml(self) -> str:
        """Plain YAML, every default written out, that loads again to an equal recipe."""
        from fusekit.recipe.nodes import dump

        return dump({f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.compare})


def component_kind(path: tuple[str, ...]) -> Kind | None:
    """The kind of component that stands at this path of a recipe; None if none does."""
    match path:
        case ("corpus" | "fusion" | "temporal" | "head" as kind,):
            return Kind(kind)
        case ("modalities", _, "reader" | "degradation" | "encoder" | "quadrant" | "projector" as kind):
            return Kind(kind)
        case ("modalities", _, "damage"):
            return Kind.DEGRADATION
        case ("stages", _, "loss"):
            return Kind.LOSS
    return None


def _changed(value: Any, path: tuple[str, ...], change: Callable[[Kind, Component], Component]) -> Any:
    if isinstance(value, Component):
        kind = component_kind(path)
        assert kind is not None, path
        return change(kind, value)
    if is_dataclass(value) and not isinstance(value, type):
        made = {f.name: _changed(getattr(value, f.name), (*path, f.name), change) for f in fields(value)}
        return replace(value, **made)
    if isinstance(value, dict):
        return {key: _changed(item, (*path, key), change) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_changed(item, (*path, str(i)), change) for i, item in enumerate(value))
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return {"name": value.name, **value.args}
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
