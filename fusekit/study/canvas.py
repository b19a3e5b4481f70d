"""What all figures share: colours, style, and a canvas that needs no screen.

Colours are Okabe and Ito's, told apart with any colour vision. Truth is black, the first dimension
(valence) blue, the second (arousal) orange, in every figure and in the report.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusekit.errors import printable
from fusekit.study.table import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUTH = "#1a1a1a"
DIM_COLOURS = ("#0072B2", "#D55E00", "#CC79A7", "#56B4E9")
MODALITY_COLOURS = ("#009E73", "#E69F00", "#56B4E9", "#CC79A7")
DAMAGE_COLOURS = ("#f4c7ab", "#dd7f4c", "#9c3202")
ABSENT_COLOUR = "#8c8c8c"

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}


def plain(text: str) -> str:
    """A name of the user's as matplotlib shows it: `$` stands for itself and begins no formula."""
    return printable(text).replace("$", r"\$")


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Figure, Callable[[Path], Path]]]:
    """`with canvas(w, h) as (figure, save)`, inches; `save(path)` writes a PNG (150 dpi) or PDF in one go.

    The caller's matplotlib settings and figures are left as they are.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)

        def save(path: Path) -> Path:
            data = io.BytesIO()
            form = path.suffix.removeprefix(".").lower()
            # A date would make two drawings of the same table differ.
            dateless = {"CreationDate": None} if form == "pdf" else {}
            figure.savefig(data, format=form, dpi=150, facecolor="white", metadata=dateless)
            figure.set_layout_engine("none")  # it is laid out now; a second format must not differ, nor wait
            write_bytes(path, data.getvalue())
            return path

        yield figure, save
