"""What the data room hands to the networks: windows of several modalities on one step grid.

Masks have one polarity everywhere: True = real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor


@dataclass
class Batch:
    """B windows of T steps of M modalities with K target dimensions.

    Attributes:
        inputs: `{modality: (B, T, *raw)}`. uint8 holds pictures, 0..255 standing for -1..1
            (`to_float` maps them); any other dtype is passed on as float.
        present: `(B, T, M)` bool, modalities in the recipe's order. False: not recorded at this step,
            its content must not influence anything.
        valid: `(B, T)` bool. False: padding.
        known: `(B, T, K)` bool. False: no label exists for this dimension at this step.
        target: `(B, T, K)` float32 on the common scale -1..1 (midpoint 0); 0 where unknown.
        quadrant: `(B, T)` int64 in 0..3, -1 where there is none (a dimension unknown, or left out).
        time: `(B, T)` float64, seconds from the clip's start.
        clip: `(B,)` int64, position of the clip in its data set.
        index: `(B,)` int64, position of the window in its data set; seeds per-sample randomness.
        context: further named tensors per step, `(B, T, ...)`, e.g. who speaks.
    """

    inputs: dict[str, Tensor]
    present: Tensor
    valid: Tensor
    known: Tensor
    target: Tensor
    quadrant: Tensor
    time: Tensor
    clip: Tensor
    index: Tensor
    context: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.present.shape[0])

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""

        def move(value: Tensor | dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
            if isinstance(value, dict):
                return {name: tensor.to(device, non_blocking=True) for name, tensor in value.items()}
            return value.to(device, non_blocking=True)

        return Batch(**{f.name: move(getattr(self, f.name)) for f in fields(self)})  # type: ignore[arg-type]


def to_float(x: Tensor) -> Tensor:
    """Any raw input -> float32; uint8 pictures 0..255 become -1..1 (spec 4.1, 4.2 step 5)."""
    if x.dtype == torch.uint8:
        return x.float().div_(127.5).sub_(1.0)
    return x.float()


def collate(windows: Sequence[Mapping[str, object]]) -> Batch:
    """Stack windows (mappings of numpy arrays named like `Batch`'s fields, without the batch axis).

    Windows of unequal length are padded at the end to the longest; padded steps are False in `valid`,
    `known` and `present`, -1 in `quadrant` and 0 elsewhere.
    """
    length = max(len(w["valid"]) for w in windows)  # type: ignore[arg-type]

    def stack(values: list[object], fill: float | bool = 0) -> Tensor:
        tensors = [torch.as_tensor(v) for v in values]
        if any(len(t) != length for t in tensors):
            padded = []
            for t in tensors:
                extra = t.new_full((length - len(t), *t.shape[1:]), fill)
                padded.append(torch.cat([t, extra]))
            tensors = padded
        return torch.stack(tensors)

    names = windows[0]["inputs"].keys()  # type: ignore[attr-defined]
    context = windows[0].get("context", {})
    return Batch(
        inputs={m: stack([w["inputs"][m] for w in windows]) for m in names},  # type: ignore[index]
        present=stack([w["present"] for w in windows], False),
        valid=stack([w["valid"] for w in windows], False),
        known=stack([w["known"] for w in windows], False),
        target=stack([w["target"] for w in windows]),
        quadrant=stack([w["quadrant"] for w in windows], -1),
        time=stack([w["time"] for w in windows]),
        clip=torch.as_tensor([w["clip"] for w in windows]),
        index=torch.as_tensor([w["index"] for w in windows]),
        context={k: stack([w["context"][k] for w in windows]) for k in context},  # type: ignore[index, attr-defined]
    )
