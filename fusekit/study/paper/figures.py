"""All figures of a study: the paper's figures 1 to 8, each as PNG and PDF, with their captions.

<folder>/figureN.png, figureN.pdf
<folder>/captions.json    {"figures": {"3": {"title", "caption"}, ...}, "left_out": ["Figure 6: ...", ...]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.errors import RunError
from fusekit.recipe.schema import Recipe
from fusekit.runs.files import read_json, write_json
from fusekit.study.canvas import canvas
from fusekit.study.figures import denoising_triples
from fusekit.study.paper.choice import MissingModelsError
from fusekit.study.paper.diagrams import draw_model, draw_stage_one
from fusekit.study.paper.pictures import Frames
from fusekit.study.paper.results import Results, Scored
from fusekit.study.paper.share_figures import draw_delta_shares, draw_gate_shares
from fusekit.study.paper.traces import draw_gating, draw_others, draw_sequence
from fusekit.study.table import write_bytes

ModelParts = tuple[Sequence[Mapping[str, Any]], Recipe]
"""`fusekit.build.check(recipe, registry).parts`, and that recipe."""
Triples = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Per modality degraded, denoised and clean pictures `(n, C, H, W)`, as `denoising_triples` takes them."""

TITLES = {
    1: "Stage 1 of one modality",
    2: "The whole model",
    3: "With and without the sequence",
    4: "Denoising",
    5: "Above a spread of attention",
    6: "Concatenation and gate",
    7: "Where the gate decides",
    8: "The gated model and the others",
}


def draw_study(
    results: Results,
    folder: Path,
    frames: Frames | None = None,
    model_parts: ModelParts | None = None,
    triples: Triples | None = None,
    *,
    denoised: bool = True,
) -> list[Path]:
    """Draw the figures that the study's finished runs allow.

    A figure that they do not allow is left out, an earlier drawing of it removed, and `captions.json` says
    why (`left_out` reads it).

    Args:
        results: the study.
        folder: where to write, `results.folder / "figures"` for the report to find them.
        frames: pictures of a clip at given times; without it traces have none below them.
        model_parts: of the model that figures 1 and 2 show; without it there are none.
        triples: pictures for figure 4; without them it is made of the runs' `figures/denoising.png`.
        denoised: False: no figure 4, as it shows what clips show.

    Returns:
        The files written, a PNG and a PDF per figure, in order.

    Raises:
        DataError, RunError: a file cannot be written.
    """
    draw: dict[int, Callable[..., str]] = {
        1: lambda *paths: _stage_one(model_parts, *paths),
        2: lambda *paths: _whole_model(model_parts, *paths),
        3: lambda *paths: draw_sequence(results, frames, *paths),
        4: lambda *paths: _denoising(results, triples, *paths) if denoised else _unasked(),
        5: lambda *paths: draw_delta_shares(results, *paths),
        6: lambda *paths: draw_gating(results, frames, *paths),
        7: lambda *paths: draw_gate_shares(results, *paths),
        8: lambda *paths: draw_others(results, *paths),
    }
    drawn: list[Path] = []
    captions: dict[str, dict[str, str]] = {}
    missing: list[str] = []
    for number, title in TITLES.items():
        paths = [folder / f"figure{number}.{suffix}" for suffix in ("png", "pdf")]
        try:
            captions[str(number)] = {"title": title, "caption": draw[number](*paths)}
            drawn += paths
        except (MissingModelsError, RunError) as error:
            missing.append(f"Figure {number} ({title.lower()}) is left out: {str(error).rstrip('.')}.")
            for path in paths:
                path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "captions.json", {"figures": captions, "left_out": missing})
    return drawn


def left_out(folder: Path) -> list[str]:
    """A sentence per figure that `draw_study` could not draw into this folder; none before it has drawn."""
    path = folder / "captions.json"
    return list(read_json(path)["left_out"]) if path.is_file() else []


def _stage_one(model: ModelParts | None, *paths: Path) -> str:
    parts, recipe = _model(model)
    modality = next(iter(recipe.modalities))
    draw_stage_one(parts, recipe, *paths, modality=modality)
    return (
        f"What the first stage of {recipe.name} trains for {modality}, with its losses; drawn from the "
        "assembled model. Dashed: in training only. Shapes are without the batch axis."
    )


def _whole_model(model: ModelParts | None, *paths: Path) -> str:
    parts, recipe = _model(model)
    draw_model(parts, recipe, *paths)
    return (
        f"{recipe.name} with all its parameters, those of training alone among them; drawn from the "
        "assembled model. Dashed: in training only. Shapes are without the batch axis; T: steps."
    )


def _model(model: ModelParts | None) -> ModelParts:
    if model is None:
        raise MissingModelsError("no assembled model was handed in")
    return model


def _unasked() -> str:
    raise MissingModelsError("no pictures of clips were asked for (--no-pictures)")


def _denoising(results: Results, triples: Triples | None, *paths: Path) -> str:
    how = f"{results.corpus}. Degraded inputs, what the generator makes of them, and the clean ones"
    if triples:
        for path in paths:
            denoising_triples(triples, path)
        return f"{how}: {', '.join(triples)}."
    runs = _runs_with_denoising(results)
    sources = [run.folder / "figures" / "denoising.png" for run in runs]
    for path in paths:
        if len(sources) == 1 and path.suffix == ".png":
            write_bytes(path, sources[0].read_bytes())
        else:
            _stacked(sources, path)
    said = [f"{run.model}, fold {run.fold}, seed {run.seed}" for run in runs]
    return f"{how}. {'; '.join(said)}."


def _runs_with_denoising(results: Results) -> list[Scored]:
    """As few runs as show every modality: models with most modalities first, then in the study's order."""
    found: list[Scored] = []
    seen: set[str] = set()
    for model in sorted(results.models, key=lambda m: -len(m.modalities)):
        runs = [r for r in results.of(model.name) if (r.folder / "figures" / "denoising.png").is_file()]
        if runs and not set(model.modalities) <= seen:
            found.append(runs[0])
            seen |= set(model.modalities)
    if not found:
        raise MissingModelsError("no finished run has a picture of its denoising")
    return found


def _stacked(sources: Sequence[Path], path: Path) -> None:
    """Pictures one below the other, each in its own proportions, all of one width."""
    from matplotlib.image import imread

    pictures = [imread(source) for source in sources]
    width = 8.8
    tall = [width * p.shape[0] / p.shape[1] for p in pictures]
    with canvas(width, sum(tall)) as (figure, save):
        figure.set_layout_engine("none")
        top = 1.0
        for picture, height in zip(pictures, tall, strict=True):
            share = height / sum(tall)
            axis = figure.add_axes((0.0, top - share, 1.0, share))
            axis.set_axis_off()
            axis.imshow(picture, aspect="auto", interpolation="antialiased")
            top -= share
        save(path)
