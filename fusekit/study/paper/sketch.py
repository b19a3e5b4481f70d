"""Boxes and arrows on a canvas in inches: what the architecture diagrams are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusekit.study.canvas import TRUTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, PAPER = TRUTH, "#6b6b6b", "#ffffff"
TITLE, TEXT = 10.5, 8.5  # points

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A box by its centre and size, inches."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        return self.x, self.y - self.height / 2


class Sketch:
    """A figure without axes, one unit per inch; draw, then `fit` the figure to the drawing."""

    def __init__(self, figure: Figure) -> None:
        figure.set_layout_engine("none")  # every place is given here
        self.figure = figure
        self.axis: Axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axis.set_axis_off()
        self._frame(0.0, 0.0, *figure.get_size_inches())

    def _frame(self, left: float, bottom: float, right: float, top: float) -> None:
        self.axis.set_xlim(left, right)
        self.axis.set_ylim(bottom, top)
        self.figure.set_size_inches(right - left, top - bottom)

    def fit(self, margin: float = 0.2) -> None:
        """Cut the figure to what was drawn, and `margin` inches around it."""
        from matplotlib.transforms import Bbox

        drawn = [*self.axis.texts, *self.axis.patches, *self.axis.lines]
        extent = Bbox.union([artist.get_window_extent() for artist in drawn])
        x, y = extent.transformed(self.axis.transData.inverted()).get_points().T
        self._frame(x[0] - margin, y[0] - margin, x[1] + margin, y[1] + margin)

    def box(
        self, box: Box, title: str, lines: Sequence[str] = (), *, colour: str = QUIET, dashed: bool = False
    ) -> Box:
        """A rounded box: bold title, lines below it; dashed where it works in training alone."""
        from matplotlib.patches import FancyBboxPatch

        corner = (box.left[0], box.bottom[1])
        style = f"round,pad=0,rounding_size={min(0.1, box.height / 4)}"
        for face, edge, alpha in ((PAPER, "none", 1.0), (colour, "none", 0.16), ("none", colour, 1.0)):
            self.axis.add_patch(
                FancyBboxPatch(
                    corner, box.width, box.height, boxstyle=style, facecolor=face, edgecolor=edge,
                    alpha=alpha, linewidth=1.6, linestyle="--" if dashed else "-", zorder=2,
                )
            )  # fmt: skip
        # Heights of a line in inches; the block of title and lines is centred in the box.
        step, first = 0.155, 0.19
        y = box.y + (first + step * len(lines)) / 2
        self.text(box.x, y - first / 2, title, size=TITLE, weight="bold")
        for number, line in enumerate(lines):
            self.text(box.x, y - first - step * (number + 0.5), line)
        return box

    def text(
        self, x: float, y: float, words: str, *, size: float = TEXT, weight: str = "normal",
        colour: str = INK, align: str = "center", backed: bool = False,
    ) -> None:  # fmt: skip
        """Words with their middle at (x, y); `backed`: on white, to be read on top of a line."""
        back = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0} if backed else None
        self.axis.text(
            x, y, words, fontsize=size, fontweight=weight, color=colour, ha=align, va="center",
            zorder=4, bbox=back, linespacing=1.15,
        )  # fmt: skip

    def arrow(
        self, *points: Point, label: str = "", at: Point | None = None, dashed: bool = False,
        colour: str = INK, align: str = "center",
    ) -> None:  # fmt: skip
        """A line through the points with a head at the last; the label stands `at` a point of its own."""
        x, y = zip(*points[:-1], strict=True) if len(points) > 2 else ((), ())
        style = "--" if dashed else "-"
        if len(points) > 2:
            self.axis.plot(x, y, color=colour, lw=1.4, ls=style, solid_capstyle="butt", zorder=1)
        self.axis.annotate(
            "", points[-1], points[-2], zorder=3,
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.4, "ls": style, "shrinkA": 0,
                        "shrinkB": 0, "mutation_scale": 11},
        )  # fmt: skip
        if label:
            where = at or ((points[0][0] + points[1][0]) / 2, points[0][1] + 0.12)
            self.text(*where, label, colour=QUIET if dashed else INK, align=align, backed=True)
