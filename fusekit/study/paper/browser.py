"""What the report's clip browser shows: every model's predictions, gate and attention, and small pictures."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from fusekit.engine.metrics import scores
from fusekit.errors import FusekitError, one_line
from fusekit.study.paper.analyses import delta_wa
from fusekit.study.paper.pictures import Frames, to_rgb
from fusekit.study.paper.results import Results, Scored
from fusekit.study.report_traces import packed_bytes, packed_floats
from fusekit.study.table import Table, attention_of, clips_of, modalities_of, of_clip

MAX_CLIPS = 12
MAX_POINTS = 1500  # per clip and line: more than a screen has columns
MAX_PICTURES = 180  # per clip and modality
PICTURE_PX = 96
COLUMNS = 20  # of the one sheet that a clip's pictures of a modality are joined to


def browser_data(results: Results, frames: Frames | None = None) -> dict[str, Any]:
    """A study -> JSON-able `{dims, models, clips, rule, without_pictures}` for the clip browser.

    At most `MAX_CLIPS` clips: the folds in turn, within a fold by name; every model that is finished for the
    fold, with its first seed. Numbers are packed as in the run's report. Pictures are JPEG, about one per
    second.

    Args:
        results: the study.
        frames: pictures of a clip at given times; one that fails with a `FusekitError` has none.
    """
    chosen, total = _clips(results)
    modalities = list(dict.fromkeys(m for model in results.models for m in model.modalities))
    clips = [_clip(results, fold, clip, modalities, frames) for fold, clip in chosen]
    rule = f"{len(chosen)} of {total} test clips"
    if len(chosen) < total:
        rule += ": the folds in turn, within a fold by name"
    return {
        "dims": list(results.dims),
        "models": [model.name for model in results.models],
        "clips": clips,
        "rule": rule,
        "thinned": any(clip.pop("thinned") for clip in clips),
        "pictures": any(clip["pictures"] for clip in clips),
    }


def _clips(results: Results) -> tuple[list[tuple[int, str]], int]:
    """`(fold, clip)` of the clips shown, and how many there are."""
    found: dict[int, set[str]] = {fold: set() for fold in results.folds}
    for (_, fold, _), run in results.runs.items():
        found[fold] |= set(clips_of(run.table))
    by_fold = {fold: sorted(clips) for fold, clips in found.items()}
    longest = max(map(len, by_fold.values()), default=0)
    turns = [(fold, clips[i]) for i in range(longest) for fold, clips in by_fold.items() if i < len(clips)]
    return sorted(turns[:MAX_CLIPS]), len(turns)


def _runs(results: Results, model: str, fold: int) -> list[Scored]:
    return [run for run in results.of(model) if run.fold == fold]


def _clip(
    results: Results, fold: int, clip: str, modalities: list[str], frames: Frames | None
) -> dict[str, Any]:
    runs = [
        run
        for model in results.models
        for run in _runs(results, model.name, fold)[:1]
        if clip in clips_of(run.table)
    ]
    tables = [of_clip(run.table, clip) for run in runs]
    time = tables[0]["time_s"]
    every = -(-len(time) // MAX_POINTS)
    names = [model.name for model in results.models]
    return {
        "label": one_line(f"{clip} (fold {fold})"),
        "time": packed_floats(time[::every]),
        "truth": [packed_floats(tables[0][f"{dim}_true"][::every]) for dim in results.dims],
        "models": {
            names.index(run.model): _model(run, table, results.dims, every)
            for run, table in zip(runs, tables, strict=True)
            if len(table["time_s"]) == len(time) and np.allclose(table["time_s"], time, atol=1e-3)
        },
        "pictures": [] if frames is None else _pictures(frames, clip, modalities, time),
        "thinned": every > 1,
    }


def _model(run: Scored, rows: Table, dims: tuple[str, ...], every: int) -> dict[str, Any]:
    own = []
    for dim in dims:
        known = ~np.isnan(rows[f"{dim}_true"])
        ccc = scores(rows[dim][:, None], rows[f"{dim}_true"][:, None], known[:, None], (dim,))["ccc"][dim]
        own.append(round(float(ccc), 4) if np.isfinite(ccc) else None)
    attention = attention_of(rows)
    gates = modalities_of(rows, "gate_")
    return {
        "seed": run.seed,
        "ccc": own,
        "prediction": [packed_floats(rows[dim][::every]) for dim in dims],
        "gates": {m: packed_floats(rows[f"gate_{m}"][::every]) for m in gates},
        "memory": 0 if attention is None else attention.shape[1],
        "attention": "" if attention is None else packed_bytes(attention[::every].T),
        "delta": "" if attention is None else packed_floats(delta_wa(attention)[::every]),
    }


def _pictures(frames: Frames, clip: str, modalities: list[str], time: np.ndarray) -> list[dict[str, Any]]:
    """Per modality that has any: one JPEG sheet of all pictures, row by row, and their times."""
    length = float(time[-1] - time[0])
    apart = max(1.0, length / (MAX_PICTURES - 1))
    times = time[0] + np.arange(int(length / apart + 1e-6) + 1) * apart
    found = []
    for modality in modalities:
        try:
            pictures = frames(clip, modality, times)
        except FusekitError:
            continue  # the media are not where they were: the numbers are still worth showing
        if pictures is None or not len(pictures):
            continue
        small = np.stack([_small(picture) for picture in to_rgb(pictures)])
        height, width = small.shape[1:3]
        columns = min(COLUMNS, len(small))
        rows = -(-len(small) // columns)
        sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
        for i, picture in enumerate(small):
            y, x = i // columns * height, i % columns * width
            sheet[y : y + height, x : x + width] = picture
        _, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
        found.append(
            {
                "modality": modality,
                "times": [round(float(t), 3) for t in times[: len(small)]],
                "columns": columns,
                "size": [width, height],
                "sheet": "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode(),
            }
        )
    return found


def _small(picture: np.ndarray) -> np.ndarray:
    """`(H, W, 3)` -> at most `PICTURE_PX` on the longer side, never larger than it was."""
    scale = min(1.0, PICTURE_PX / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
