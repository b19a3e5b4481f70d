"""Figures 1 and 2: the architecture, drawn from the assembled model's parts (paper, figures 1 and 2).

Names, shapes and parameter counts are those of `fusekit.build.check(recipe, registry).parts`; which arrows
there are follows from the same rows and the recipe, so that another recipe draws another picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from fusekit.build import evaluation_steps
from fusekit.recipe.schema import Component, Recipe, Stage
from fusekit.study.canvas import DIM_COLOURS, MODALITY_COLOURS, canvas
from fusekit.study.paper.sketch import QUIET, Box, Sketch

Part = Mapping[str, Any]

WIDE, TALL, GAP = 1.5, 1.12, 0.42  # inches: of a box, and between two
DAMAGE_TALL = 0.8
TAIL_COLOUR = "#0072B2"


def draw_stage_one(parts: Sequence[Part], recipe: Recipe, *paths: Path, modality: str | None = None) -> None:
    """Figure 1: what the first stage trains in one modality, with its losses (spec 3.2).

    Args:
        parts: rows `name, shape_in, shape_out, parameters` of the assembled model.
        recipe: the one it was assembled from.
        paths: where to write it, .png or .pdf.
        modality: by default the recipe's first.

    Raises:
        KeyError: the parts are not of this recipe.
    """
    modality = modality or next(iter(recipe.modalities))
    stage = next((s for s in recipe.stages if s.objective == "adversarial"), None)
    with canvas(12, 6) as (figure, save):
        sketch = Sketch(figure)
        learnt = f"stage “{stage.name}”, {stage.objective}" if stage else "no adversarial stage"
        title = f"{recipe.name}: {modality}, {learnt}"
        branch = _Branch(parts, recipe, modality, drop=1.8)
        sketch.text(-WIDE / 2, TALL / 2 + 0.8, title, size=13, weight="bold", align="left")
        branch.draw(sketch, training=True)
        alone = len(recipe.modalities) == 1
        tail = _stand_in(sketch, parts, recipe, branch.features, alone)
        if stage:
            _losses(sketch, branch, tail, stage)
        elif recipe.stages:
            _loss(sketch, tail, f"L_{recipe.stages[0].loss.name}", f"stage “{recipe.stages[0].name}”")
        sketch.fit()
        for path in paths:
            save(path)


def draw_model(parts: Sequence[Part], recipe: Recipe, *paths: Path) -> None:
    """Figure 2: the whole model, a branch per modality, fusion, temporal head and its memory, output.

    Arguments and errors as for `draw_stage_one`.
    """
    names = list(recipe.modalities)
    with canvas(16, 4 * len(names)) as (figure, save):
        sketch = Sketch(figure)
        branches: list[_Branch] = []
        y = 0.0
        for name in names:
            branches.append(_Branch(parts, recipe, name, y=y))
            y -= branches[-1].height + 0.35
        last = max(b.at["projector"] for b in branches)
        for branch in branches:
            branch.at["projector"] = last
            branch.draw(sketch, training=False)
        middle = (branches[0].y + branches[-1].y) / 2
        # A memory stands above the tail: the title must clear it where there is one branch.
        top = TALL / 2 + (0.95 if len(names) == 1 and recipe.temporal.name != "none" else 0.4)
        title = f"{recipe.name}: {sum(part['parameters'] for part in parts):,} parameters"
        sketch.text(-WIDE / 2, top, title, size=13, weight="bold", align="left")
        _tail(sketch, parts, recipe, branches, middle)
        sketch.fit()
        for path in paths:
            save(path)


class _Branch:
    """One modality from its reader to its features; boxes are known once it is drawn."""

    def __init__(
        self, parts: Sequence[Part], recipe: Recipe, name: str, *, y: float = 0.0, drop: float = 1.42
    ) -> None:
        self.name, self.modality = name, recipe.modalities[name]
        number = list(recipe.modalities).index(name)
        self.colour = MODALITY_COLOURS[number % len(MODALITY_COLOURS)]
        self.encoder, self.projector = _part(parts, f"{name}.encoder"), _part(parts, f"{name}.projector")
        has = _has(parts, f"{name}.quadrant")
        self.quadrant = _part(parts, f"{name}.quadrant") if has else None
        self.y, self.drop = y, drop
        step = WIDE + GAP
        self.at = {
            "reader": 0.0,
            "encoder": step,
            "zq": 1.83 * step,
            "projector": (2.66 if has else 2) * step,
        }
        low = TALL / 2 if has else DAMAGE_TALL / 2 if self.modality.degradation else TALL / 2 - drop
        self.height = TALL / 2 + drop + low

    def _box(self, column: str, y: float) -> Box:
        return Box(self.at[column], y, WIDE, TALL)

    def draw(self, sketch: Sketch, *, training: bool) -> None:
        """`training`: the damage is in the way, as stage 1 sees it; else beside it."""
        y, low = self.y, self.y - self.drop
        raw = self.encoder["shape_in"]
        reader = sketch.box(
            self._box("reader", y),
            self.name,
            [*_named(self.modality.reader), f"out {_shape(raw)}"],
            colour=self.colour,
        )
        lines = _lines(self.modality.encoder, self.encoder)
        self.g = sketch.box(
            self._box("encoder", y), _role(self.encoder, "G", "encoder"), lines, colour=self.colour
        )
        self._damage(sketch, reader, low, training)
        self.features = sketch.box(
            self._box("projector", y),
            "projector",
            _lines(self.modality.projector, self.projector),
            colour=self.colour,
        )
        if self.quadrant is None:
            sketch.arrow(self.g.right, self.features.left, label="Z")
            return
        self._quadrant(sketch, low, "n" if training and self.modality.degradation else "x")

    def _damage(self, sketch: Sketch, reader: Box, low: float, training: bool) -> None:
        kind = self.modality.degradation
        if kind is None:
            sketch.arrow(reader.right, self.g.left)
            return
        box = Box(self.at["reader"], low, WIDE, DAMAGE_TALL)
        sketch.box(box, "degradation", [*_named(kind), "training only"], colour=QUIET, dashed=True)
        sketch.arrow(reader.bottom, box.top, dashed=True, label="x", at=(box.x + 0.12, box.top[1] + 0.25))
        bend = box.right[0] + GAP / 2
        target = (self.g.left[0], self.y - 0.3)
        sketch.arrow(box.right, (bend, low), (bend, target[1]), target, dashed=True)
        sketch.text(bend + 0.12, low + 0.55, "n", colour=QUIET, backed=True)
        if training:
            # Clean inputs go on to D and into the losses; G sees the damaged ones.
            return
        sketch.arrow(reader.right, self.g.left, label="x")

    def _quadrant(self, sketch: Sketch, low: float, read: str) -> None:
        """`read`: the name of what G reads."""
        assert self.quadrant is not None
        lines = _lines(self.modality.quadrant, self.quadrant)
        if "shape_realness" in self.quadrant:
            affect, real = (_shape(self.quadrant[key]) for key in ("shape_out", "shape_realness"))
            lines[-2] = f"affect {affect}, real {real}"
        title = _role(self.quadrant, "D", "quadrant head")
        self.d = sketch.box(self._box("encoder", low), title, lines, colour=self.colour)
        words = f"G({read})" if _reads_reconstruction(self.encoder, self.quadrant) else "Z"
        between = (self.g.x - 0.3, (self.g.bottom[1] + self.d.top[1]) / 2)
        sketch.arrow(self.g.bottom, self.d.top, label=words, at=between)
        if not _conditioned(self.modality.quadrant, self.encoder, self.projector):
            sketch.arrow(self.g.right, self.features.left, label="Z  (Q is not read)")
            return
        joined = Box(self.at["zq"], self.y, 0.52, 0.52)
        sketch.box(joined, "ZQ", colour=self.colour)
        sketch.arrow(self.g.right, joined.left, label="Z")
        sketch.arrow(joined.right, self.features.left)
        leaves = low + TALL / 3
        at = (joined.x + 0.15, (leaves + joined.bottom[1]) / 2)
        sketch.arrow((self.d.right[0], leaves), (joined.x, leaves), joined.bottom, label="Q", at=at)


def _tail(
    sketch: Sketch, parts: Sequence[Part], recipe: Recipe, branches: Sequence[_Branch], y: float
) -> None:
    step = WIDE + GAP
    x = branches[0].at["projector"] + step
    part = _part(parts, "fusion")
    lines = [*_named(recipe.fusion), f"out {_shape(part['shape_out'])}", _count(part)]
    fusion = sketch.box(Box(x, y, WIDE, TALL), "fusion", lines, colour=TAIL_COLOUR)
    spread = min(0.3, 0.8 / max(1, len(branches) - 1))
    for number, branch in enumerate(branches):
        target = (fusion.left[0], y + spread * ((len(branches) - 1) / 2 - number))
        bend = (branch.features.right[0] + GAP / 2 + 0.03 * number, branch.features.y)
        sketch.arrow(branch.features.right, bend, (bend[0], target[1]), target, colour=branch.colour)
    temporal = _temporal(sketch, parts, recipe, fusion.right, x + step, y)
    part = _part(parts, "head")
    head = sketch.box(Box(x + 2 * step, y, WIDE, TALL), "head", _lines(recipe.head, part), colour=TAIL_COLOUR)
    sketch.arrow(temporal.right, head.left)
    _outputs(sketch, recipe, head)


def _temporal(
    sketch: Sketch, parts: Sequence[Part], recipe: Recipe, came: tuple[float, float], x: float, y: float
) -> Box:
    """The temporal head with its memory above it, where it has one."""
    part = _part(parts, "temporal")
    box = sketch.box(Box(x, y, WIDE, TALL), "temporal", _lines(recipe.temporal, part), colour=TAIL_COLOUR)
    sketch.arrow(came, box.left)
    if recipe.temporal.name == "none":
        return box
    memory = recipe.temporal.args.get("memory")
    if memory is None:
        single = recipe.evaluation.states == "last" and evaluation_steps(recipe) == 1
        words = ["reset at every step" if single else "of the last step"]
        store = Box(x, y + TALL, WIDE, 0.5)
    else:
        store, words = Box(x, y + TALL, WIDE, 0.66), [f"of the last {memory} steps,", "read by attention"]
    sketch.box(store, "state" if memory is None else "states", words, colour=QUIET)
    up, down = x + 0.45, x - 0.45
    sketch.arrow((up, box.top[1]), (up, store.bottom[1]))
    sketch.arrow((down, store.bottom[1]), (down, box.top[1]))
    return box


def _outputs(sketch: Sketch, recipe: Recipe, head: Box) -> None:
    dims = recipe.target.dims
    for number, dim in enumerate(dims):
        y = head.y + 0.32 * ((len(dims) - 1) / 2 - number)
        sketch.arrow((head.right[0], y), (head.right[0] + 0.3, y))
        colour = DIM_COLOURS[number % len(DIM_COLOURS)]
        sketch.text(head.right[0] + 0.36, y, dim, colour=colour, weight="bold", size=9.5, align="left")


def _stand_in(sketch: Sketch, parts: Sequence[Part], recipe: Recipe, features: Box, alone: bool) -> Box:
    """What stands behind the projector in stage 1: the model's own tail, or one of the same kind."""
    names = " ".join(c.name for c in (recipe.temporal, recipe.head) if c.name != "none")
    number = sum(_part(parts, name)["parameters"] for name in ("fusion", "temporal", "head"))
    lines = [*wrap(names, 20), f"{number:,} par." if alone else "of this stage alone"]
    box = Box(features.right[0] + GAP + WIDE / 2, features.y, WIDE, TALL)
    sketch.box(box, "tail of P", lines, colour=TAIL_COLOUR)
    sketch.arrow(features.right, box.left)
    _outputs(sketch, recipe, box)
    return box


def _losses(sketch: Sketch, branch: _Branch, tail: Box, stage: Stage) -> None:
    """The three losses beside what they train, as `fusekit.engine.adversarial` sums them."""
    low, wide = branch.y - branch.drop, 3.9
    d, g, p = (f"{value:g}" for value in stage.lambdas)
    loss = f"L_{stage.loss.name}"
    critic = "Wasserstein, gradient penalty" if stage.gan == "wgan-gp" else "log form"
    n = "n" if branch.modality.degradation else "x"
    x = branch.features.left[0] + wide / 2
    terms = [f"x real, G({n}) not ({critic})", f"+ {loss}(a(x), y)    a: coarse affect of D"]
    one = sketch.box(Box(x, low - 0.1, wide, 0.66), f"{d} · L_D", terms, dashed=True)
    terms = [f"G({n}) held for real + 10 · mean |x − G(G({n}))|", f"+ {loss}(a(G({n})), y)"]
    two = sketch.box(Box(x, low - 0.95, wide, 0.66), f"{g} · L_G", terms, dashed=True)
    sketch.arrow((branch.d.right[0], one.y), one.left, dashed=True)
    sketch.arrow(branch.d.bottom, (branch.d.x, two.y), two.left, dashed=True)
    _loss(sketch, tail, f"{p} · L_P", f"{loss}(P(Z, Q), y)")


def _loss(sketch: Sketch, tail: Box, title: str, term: str) -> None:
    box = sketch.box(Box(tail.x, tail.y + 0.98, WIDE + 0.35, 0.46), title, [term], dashed=True)
    sketch.arrow(tail.top, box.bottom, dashed=True)


def _part(parts: Sequence[Part], name: str) -> Part:
    for part in parts:
        if part["name"] == name:
            return part
    raise KeyError(f"the model has no part '{name}'; its parts: {', '.join(p['name'] for p in parts)}")


def _has(parts: Sequence[Part], name: str) -> bool:
    return any(part["name"] == name for part in parts)


def _role(part: Part, letter: str, plain: str) -> str:
    """The paper's letter where it fits: an encoder that decodes is G, a head that tells real from fake D."""
    return letter if "shape_reconstruction" in part or "shape_realness" in part else plain


def _reads_reconstruction(encoder: Part, quadrant: Part) -> bool:
    return list(quadrant["shape_in"]) != list(encoder["shape_out"])


def _conditioned(head: Component, encoder: Part, projector: Part) -> bool:
    """Whether the projector reads Q: as one more channel by the shapes, else by the recipe's word."""
    if projector["shape_in"][0] != encoder["shape_out"][0]:
        return True
    return head.args.get("conditioning", "vector") != "none"


def _lines(component: Component, part: Part) -> list[str]:
    return [
        *_named(component),
        f"in {_shape(part['shape_in'])}",
        f"out {_shape(part['shape_out'])}",
        _count(part),
    ]


def _named(component: Component) -> list[str]:
    """The component's name, and its model where it has one, in lines that fit a box."""
    model = component.args.get("model")
    return wrap(f"{component.name} {model}" if isinstance(model, str) else component.name, 20)


def _count(part: Part) -> str:
    return f"{part['parameters']:,} par."


def _shape(shape: Sequence[Any]) -> str:
    return " × ".join(map(str, shape))
