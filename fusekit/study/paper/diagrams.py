"""Figures 1 and 2: the architecture, drawn from the assembled model's parts (paper, figures 1 and 2).

Names, shapes and parameter counts are those of `fusekit.build.check(recipe, registry).parts`; which arrows
there are follows from the same rows and the recipe, so that another recipe draws another picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from fusekit.build import evaluation_steps
from fusekit.recipe.schema import Recipe, Stage
from fusekit.study.canvas import DIM_COLOURS, canvas
from fusekit.study.paper.branch import GAP, TALL, WIDE, Branch, Part, count, lines_of, named, part_of, shape
from fusekit.study.paper.sketch import QUIET, Box, Sketch

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
    stage = next((s for s in recipe.stages if s.objective == "adversarial" and s.trains(modality)), None)
    with canvas(12, 6) as (figure, save):
        sketch = Sketch(figure)
        learnt = f"stage “{stage.name}”, {stage.objective}" if stage else "no adversarial stage"
        title = f"{recipe.name}: {modality}, {learnt}"
        branch = Branch(parts, recipe, modality, drop=1.8)
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
        branches: list[Branch] = []
        y = 0.0
        for name in names:
            branches.append(Branch(parts, recipe, name, y=y))
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


def _tail(
    sketch: Sketch, parts: Sequence[Part], recipe: Recipe, branches: Sequence[Branch], y: float
) -> None:
    step = WIDE + GAP
    x = branches[0].at["projector"] + step
    part = part_of(parts, "fusion")
    lines = [*named(recipe.fusion), f"out {shape(part['shape_out'])}", count(part)]
    fusion = sketch.box(Box(x, y, WIDE, TALL), "fusion", lines, colour=TAIL_COLOUR)
    spread = min(0.3, 0.8 / max(1, len(branches) - 1))
    for number, branch in enumerate(branches):
        target = (fusion.left[0], y + spread * ((len(branches) - 1) / 2 - number))
        bend = (branch.features.right[0] + GAP / 2 + 0.03 * number, branch.features.y)
        sketch.arrow(branch.features.right, bend, (bend[0], target[1]), target, colour=branch.colour)
    temporal = _temporal(sketch, parts, recipe, fusion.right, x + step, y)
    part = part_of(parts, "head")
    head = sketch.box(
        Box(x + 2 * step, y, WIDE, TALL), "head", lines_of(recipe.head, part), colour=TAIL_COLOUR
    )
    sketch.arrow(temporal.right, head.left)
    _outputs(sketch, recipe, head)


def _temporal(
    sketch: Sketch, parts: Sequence[Part], recipe: Recipe, came: tuple[float, float], x: float, y: float
) -> Box:
    """The temporal head with its memory above it, where it has one."""
    part = part_of(parts, "temporal")
    box = sketch.box(Box(x, y, WIDE, TALL), "temporal", lines_of(recipe.temporal, part), colour=TAIL_COLOUR)
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
    number = sum(part_of(parts, name)["parameters"] for name in ("fusion", "temporal", "head"))
    lines = [*wrap(names, 20), f"{number:,} par." if alone else "of this stage alone"]
    box = Box(features.right[0] + GAP + WIDE / 2, features.y, WIDE, TALL)
    sketch.box(box, "tail of P", lines, colour=TAIL_COLOUR)
    sketch.arrow(features.right, box.left)
    _outputs(sketch, recipe, box)
    return box


def _losses(sketch: Sketch, branch: Branch, tail: Box, stage: Stage) -> None:
    """The three losses beside what they train, as `fusekit.engine.adversarial` sums them."""
    low, wide = branch.y - branch.drop, 3.9
    d, g, p = (f"{value:g}" for value in stage.lambdas)
    loss = f"L_{stage.loss.name}"
    critic = "Wasserstein, gradient penalty" if stage.gan == "wgan-gp" else "log form"
    n = "n" if branch.modality.degradation else "x"
    x = branch.features.left[0] + wide / 2
    terms = [f"x real, G({n}) not ({critic})", f"+ {loss}(a(x), y)    a: coarse affect of D"]
    one = sketch.box(Box(x, low - 0.1, wide, 0.66), f"{d} · L_D", terms, dashed=True)
    score, weight, affect = (f"{value:g} · " if value != 1 else "" for value in stage.g_weights)
    passes = {"first": f"G({n})", "second": f"G(G({n}))", "both": f"[G({n}), G(G({n}))]"}
    difference = f"mean |x − {passes[stage.reconstruction]}|"
    terms = [f"{score}G({n}) held for real + {weight}{difference}", f"+ {affect}{loss}(a(G({n})), y)"]
    two = sketch.box(Box(x, low - 0.95, wide, 0.66), f"{g} · L_G", terms, dashed=True)
    sketch.arrow((branch.d.right[0], one.y), one.left, dashed=True)
    sketch.arrow(branch.d.bottom, (branch.d.x, two.y), two.left, dashed=True)
    _loss(sketch, tail, f"{p} · L_P", f"{loss}(P(Z, Q), y)")


def _loss(sketch: Sketch, tail: Box, title: str, term: str) -> None:
    box = sketch.box(Box(tail.x, tail.y + 0.98, WIDE + 0.35, 0.46), title, [term], dashed=True)
    sketch.arrow(tail.top, box.bottom, dashed=True)
