"""Parameter counts: as the paper counts (Table 11) and as built (spec 2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fusekit.contracts import DenoisingEncoder
from fusekit.nn.discriminator import Discriminator
from fusekit.nn.fusion.concat import Concat
from fusekit.nn.fusion.gmu import GMU
from fusekit.nn.generator import DenoisingGenerator
from fusekit.nn.model import Model
from fusekit.nn.patch_generator import PatchGenerator
from fusekit.nn.temporal.luong import LuongLSTM

UNUSED_LINEAR = 10  # D's linear 4 -> 2 that is built, counted and never called (spec 1.2)


def count(*modules: nn.Module) -> int:
    """Parameters of the modules, without the learned vector for "nothing present" (not the paper's)."""
    return sum(p.numel() for m in modules for n, p in m.named_parameters() if n.split(".")[-1] != "empty")


def paper_parameters(model: Model, preset: str) -> dict[str, int] | None:
    """The paper's accounting: one G, one D, and P; inference is G + P (spec 2, 2.3). None without G and D.

    `table11` adds what the printed rows contain: an idle gated unit where one modality has attention, and no
    attention score where two are concatenated (spec 2, 2.2). It reproduces the eight printed integers of
    Table 11.
    """
    branches = list(model.branches.values())
    first = branches[0]
    if not isinstance(first.encoder, DenoisingGenerator) or not isinstance(first.quadrant, Discriminator):
        return None
    predictor = count(*(b.projector for b in branches), model.fusion, model.temporal, model.head)
    if preset == "table11" and isinstance(model.temporal, LuongLSTM):
        if len(branches) == 1:
            with torch.device("meta"):
                predictor += count(GMU({"a": first.projector.out_dim, "b": first.projector.out_dim}))
        elif isinstance(model.fusion, Concat):
            predictor -= count(model.temporal.weigh)
    generator = count(first.encoder)
    return {
        "training": generator + count(first.quadrant) + UNUSED_LINEAR + predictor,
        "inference": generator + predictor,
    }


def built_parameters(model: Model) -> dict[str, int]:
    """What this model holds: all of it for training; at inference without decoder and quadrant head where Q
    is not used."""
    total = sum(p.numel() for p in model.parameters())
    idle = 0
    for branch in model.branches.values():
        if not branch.needs_quadrant:
            idle += sum(p.numel() for p in branch.quadrant.parameters())
        decodes = branch.needs_quadrant and branch.quadrant.reads == "reconstruction"
        if isinstance(branch.encoder, DenoisingGenerator | PatchGenerator) and not decodes:
            idle += sum(p.numel() for p in branch.encoder.decoder.parameters())
    return {"training": total, "inference": total - idle}


def parts(model: Model, raw_shapes: dict[str, tuple[int, ...]], targets: int) -> list[dict[str, Any]]:
    """One row per part: `name`, `shape_in`, `shape_out`, `parameters`. No batch axis in shapes; T steps.

    An encoder that decodes also has `shape_reconstruction`, a critic, whose `shape_out` is the affect, also
    `shape_realness`.
    """
    rows: list[dict[str, Any]] = []

    def row(name: str, shape_in: Any, shape_out: Any, *modules: nn.Module) -> None:
        number = sum(p.numel() for m in modules for p in m.parameters())
        rows.append({"name": name, "shape_in": shape_in, "shape_out": shape_out, "parameters": number})

    for m in model.names:
        branch, raw = model.branches[m], list(raw_shapes[m])
        latent = list(branch.encoder.out_shape)
        row(f"{m}.encoder", raw, latent, branch.encoder)
        if isinstance(branch.encoder, DenoisingEncoder):
            rows[-1]["shape_reconstruction"] = raw
        if any(True for _ in branch.quadrant.parameters()):
            row(
                f"{m}.quadrant",
                raw if branch.quadrant.reads == "reconstruction" else latent,
                [2] if branch.quadrant.critic else [4],  # coarse affect, or a logit per quadrant
                branch.quadrant,
            )
            if branch.quadrant.critic:
                rows[-1]["shape_realness"] = [1]
        conditioned = [latent[0] + 1, *latent[1:]] if branch.quadrant.conditioning == "channel" else latent
        row(f"{m}.projector", conditioned, [branch.projector.out_dim], branch.projector)
    widths = {m: [model.branches[m].projector.out_dim] for m in model.names}
    row("fusion", widths, [model.fusion.out_dim], model.fusion)
    row("temporal", ["T", model.fusion.out_dim], ["T", model.temporal.out_dim], model.temporal)
    row("head", ["T", model.temporal.out_dim], ["T", targets], model.head)
    return rows
