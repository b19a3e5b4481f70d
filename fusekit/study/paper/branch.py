"""The boxes of one modality, from its reader to its features; and what boxes say of a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from fusekit.recipe.schema import Component, Recipe
from fusekit.study.canvas import MODALITY_COLOURS
from fusekit.study.paper.sketch import QUIET, Box, Sketch

Part = Mapping[str, Any]
"""A row `name, shape_in, shape_out, parameters` of `fusekit.build.check(recipe, registry).parts`."""

WIDE, TALL, GAP = 1.5, 1.12, 0.42  # inches: of a box, and between two
DAMAGE_TALL = 0.8


class Branch:
    """One modality from its reader to its features; boxes are known once it is drawn."""

    def __init__(
        self, parts: Sequence[Part], recipe: Recipe, name: str, *, y: float = 0.0, drop: float = 1.42
    ) -> None:
        self.name, self.modality = name, recipe.modalities[name]
        number = list(recipe.modalities).index(name)
        self.colour = MODALITY_COLOURS[number % len(MODALITY_COLOURS)]
        self.encoder, self.projector = part_of(parts, f"{name}.encoder"), part_of(parts, f"{name}.projector")
        has = has_part(parts, f"{name}.quadrant")
        self.quadrant = part_of(parts, f"{name}.quadrant") if has else None
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
            [*named(self.modality.reader), f"out {shape(raw)}"],
            colour=self.colour,
        )
        lines = lines_of(self.modality.encoder, self.encoder)
        self.g = sketch.box(
            self._box("encoder", y), _role(self.encoder, "G", "encoder"), lines, colour=self.colour
        )
        self._damage(sketch, reader, low, training)
        self.features = sketch.box(
            self._box("projector", y),
            "projector",
            lines_of(self.modality.projector, self.projector),
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
        sketch.box(box, "degradation", [*named(kind), "training only"], colour=QUIET, dashed=True)
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
        lines = lines_of(self.modality.quadrant, self.quadrant)
        if "shape_realness" in self.quadrant:
            affect, real = (shape(self.quadrant[key]) for key in ("shape_out", "shape_realness"))
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


def part_of(parts: Sequence[Part], name: str) -> Part:
    """The row of a part.

    Raises:
        KeyError: the model has no such part.
    """
    for part in parts:
        if part["name"] == name:
            return part
    raise KeyError(f"the model has no part '{name}'; its parts: {', '.join(p['name'] for p in parts)}")


def has_part(parts: Sequence[Part], name: str) -> bool:
    """Whether the model has a part of this name: a quadrant head without parameters is none."""
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


def lines_of(component: Component, part: Part) -> list[str]:
    """What stands below a box's title: name, shapes without the batch axis, parameters."""
    return [
        *named(component),
        f"in {shape(part['shape_in'])}",
        f"out {shape(part['shape_out'])}",
        count(part),
    ]


def named(component: Component) -> list[str]:
    """The component's name, and its model where it has one, in lines that fit a box."""
    model = component.args.get("model")
    return wrap(f"{component.name} {model}" if isinstance(model, str) else component.name, 20)


def count(part: Part) -> str:
    """The part's parameters, in words."""
    return f"{part['parameters']:,} par."


def shape(sizes: Sequence[Any]) -> str:
    """Sizes as "64 × 32 × 32"."""
    return " × ".join(map(str, sizes))
