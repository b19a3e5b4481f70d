"""Does the encoder denoise? Errors of degraded and denoised inputs against the clean ones, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusekit import build
from fusekit.batch import to_float
from fusekit.contracts import Degradation, DenoisingEncoder
from fusekit.data.sampling import sample_rngs
from fusekit.data.steps import ClipSteps
from fusekit.runs import Run

ROWS = 512
"""Steps of a part that are scored, per modality: about 80 of each kind of damage, in seconds."""

TRIES = 8
"""Draws of the degradation per row, until one damages it: by default each does so with probability 1/2."""

_CHUNK = 64

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Degraded, denoised and clean inputs, each `(n, *raw)` in -1..1."""


@dataclass(frozen=True)
class Damaged:
    """Clean inputs `(n, *raw)`, their degraded copies, and what was done to each: "" if unknown."""

    clean: Tensor
    degraded: Tensor
    kinds: list[str]


def denoising_scores(run: Run, clips: Sequence[ClipSteps], rows: int = ROWS) -> dict[str, dict[str, Any]]:
    """How near the encoders that decode bring degraded inputs to the clean ones.

    Up to `rows` steps per modality, spread over all clips, by draws that are the same for every run; steps at
    which the corpus names planted damage (a column `<modality>_damage` above 0) are left out, as they are
    not clean. Each is damaged as the recipe's `degradation` does.

    Returns:
        Per modality with such an encoder and a degradation: `degraded` and `denoised`, the mean |error| on
        the scale -1..1 over the damaged rows, `rows` their number; `by_kind` the same three for each kind of
        damage, where the degradation tells; `clean`, the mean |error| of what it makes of the clean inputs.
    """
    found = {}
    for m in run.model.names:
        damaged = _damaged(run, clips, m, rows)
        if damaged is None or not len(damaged.clean):
            continue
        before = _errors(damaged.degraded, damaged.clean)
        after = _errors(_denoised(run, m, damaged.degraded), damaged.clean)
        kinds = np.array(damaged.kinds)
        found[m] = {
            **_means(before, after),
            "clean": float(_errors(_denoised(run, m, damaged.clean), damaged.clean).mean()),
            "by_kind": {
                kind: _means(before[kinds == kind], after[kinds == kind])
                for kind in sorted(set(damaged.kinds) - {""})
            },
        }
    return found


def denoising_examples(run: Run, clips: Sequence[ClipSteps], examples: int = 5) -> dict[str, Triple]:
    """`{modality: (degraded, denoised, clean)}` of a few of the rows that `denoising_scores` scores, each of
    another kind of damage as far as there are; series and pictures alone."""
    triples: dict[str, Triple] = {}
    for m in run.model.names:
        if len(run.readers[m].raw_shape) not in (2, 3):  # neither a series nor a picture: nothing to draw
            continue
        damaged = _damaged(run, clips, m, 12 * examples)
        if damaged is None or not len(damaged.clean):
            continue
        chosen = _various(damaged.kinds, examples)
        clean, degraded = damaged.clean[chosen], damaged.degraded[chosen]
        denoised = _denoised(run, m, degraded)
        triples[m] = (degraded.numpy(), denoised.numpy(), clean.numpy())
    return triples


def draw_denoising(run: Run, clips: Sequence[ClipSteps]) -> None:
    """`figures/denoising.png`: degraded, denoised and clean inputs, for encoders that decode."""
    from fusekit.study.figures import denoising_triples

    triples = denoising_examples(run, clips)
    if triples:
        denoising_triples(triples, run.folder / "figures" / "denoising.png")


def _damaged(run: Run, clips: Sequence[ClipSteps], modality: str, rows: int) -> Damaged | None:
    """None where the encoder does not decode, or nothing damages its inputs."""
    degradation = build.build_degradations(run.recipe, run.registry)[modality]
    if degradation is None or not isinstance(run.model.branches[modality].encoder, DenoisingEncoder):
        return None
    column = run.model.names.index(modality)
    inputs = []
    for clip, steps in zip(clips, _chosen([_clean(c, modality, column) for c in clips], rows), strict=True):
        if len(steps):
            inputs.append(np.ascontiguousarray(clip.inputs(modality, steps)))
    if not inputs:
        return None
    clean = to_float(torch.from_numpy(np.concatenate(inputs)))
    return damage(clean, degradation, modality)


def damage(clean: Tensor, degradation: Degradation, modality: str) -> Damaged:
    """Clean inputs `(n, *raw)`, less those that no draw out of `TRIES` damages."""
    degraded, kinds = clean.clone(), np.full(len(clean), "", object)
    for number in range(TRIES):
        left = np.flatnonzero((degraded == clean).flatten(1).all(1).numpy())
        if not len(left):
            break
        purpose = f"denoising/{modality}"
        degraded[left] = degradation(clean[left], sample_rngs(0, number, left, purpose))
        drawn = degradation.drawn(sample_rngs(0, number, left, purpose))
        kinds[left] = drawn if drawn is not None else ""
    hit = (degraded != clean).flatten(1).any(1)
    return Damaged(clean[hit], degraded[hit], kinds[hit.numpy()].tolist())


def _clean(clip: ClipSteps, modality: str, column: int) -> np.ndarray:
    """Steps at which the modality is there and no damage is planted."""
    fit = clip.present[:, column]
    if f"{modality}_damage" in clip.extra:
        fit = fit & (np.nan_to_num(clip.extra[f"{modality}_damage"].astype(float)) == 0)
    return np.flatnonzero(fit)


def _chosen(steps: Sequence[np.ndarray], rows: int) -> list[np.ndarray]:
    """At most `rows` of the clips' steps, drawn alike from all of them; in order within a clip."""
    of = np.concatenate([np.full(len(own), i) for i, own in enumerate(steps)])
    (rng,) = sample_rngs(0, 0, [0], "denoising/rows")
    kept = np.sort(rng.permutation(len(of))[:rows])
    flat = np.concatenate(steps)
    return [flat[kept[of[kept] == i]] for i in range(len(steps))]


def _various(kinds: Sequence[str], count: int) -> list[int]:
    """Positions of `count` rows, kinds in turn."""
    seen: dict[str, int] = {}
    turns = []
    for i, kind in enumerate(kinds):
        seen[kind] = seen.get(kind, -1) + 1
        turns.append((seen[kind], i))
    return [i for _, i in sorted(turns)[:count]]


@torch.no_grad()
def _denoised(run: Run, modality: str, x: Tensor) -> Tensor:
    encoder = run.model.branches[modality].encoder.eval()
    assert isinstance(encoder, DenoisingEncoder)  # as `_damaged` saw
    pieces = []
    for begin in range(0, len(x), _CHUNK):
        with run.runtime.autocast():
            part = encoder.decode(encoder.encode(x[begin : begin + _CHUNK].to(run.runtime.device)))
        pieces.append(part.float().cpu())
    return torch.cat(pieces)


def _errors(x: Tensor, clean: Tensor) -> np.ndarray:
    """`(n, *raw)` each -> `(n,)` mean |difference|."""
    return (x - clean).abs().flatten(1).mean(1).double().numpy()


def _means(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    return {"degraded": float(before.mean()), "denoised": float(after.mean()), "rows": len(before)}
