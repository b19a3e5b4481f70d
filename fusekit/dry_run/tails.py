"""What follows the projectors, tried for real: it is small, and most of what fails late fails here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from fusekit.contracts import Tail, opening, reopened
from fusekit.dry_run.made_up import FAULTS, noise, told

B, T = 4, 6
NEAR = 1e-4


def tail_faults(make: Callable[[], Tail], widths: Mapping[str, int], dims: int) -> list[str]:
    """What is wrong with a fusion, a temporal head and a head together, a sentence each.

    Args:
        make: builds them anew. widths: `{modality: width of its features}`; dims: target dimensions.
    """
    with opening():
        tail = make()
        if tail.fusion.init_state(1):
            return [_STATE.format(type(tail.fusion).__name__)]
        whole = _Tail(tail)
        g = torch.Generator(device="cpu").manual_seed(0)
        feats = {m: noise(g, B, T, width) for m, width in widths.items()}
        other = {m: noise(g, B, T, width) * 3 for m, width in widths.items()}
        try:
            return list(_faults(whole, lambda: _Tail(make()), feats, other, dims))
        except FAULTS as error:
            return [told("what follows the projectors", error)]


_STATE = (
    "fusion {} keeps a state; the model does not carry it yet, so that a clip would be predicted otherwise "
    "piece by piece than at once. Use one without (`init_state` empty); a temporal head may keep one"
)


class _Tail(nn.Module):
    """Features `{m: (B, T, D_m)}` -> prediction `(B, T, K)`, and what lies between."""

    def __init__(self, tail: Tail) -> None:
        super().__init__()
        self.fusion, self.temporal, self.head = tail.fusion, tail.temporal, tail.head

    def forward(
        self, feats: Mapping[str, Tensor], present: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, bool]:
        fused, state, _ = self.fusion(feats, present, valid)
        y, _, _ = self.temporal(fused, valid)
        return fused, y, self.head(y), bool(state)


def _faults(
    tail: _Tail,
    make: Callable[[], _Tail],
    feats: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    dims: int,
) -> Iterator[str]:
    present, valid = _masks(len(feats))
    # As training: a step forth and back.
    tail.train()
    prediction = tail(feats, present, valid)[2]
    if tuple(prediction.shape) != (B, T, dims):
        yield (
            f"the head {type(tail.head).__name__} gives {tuple(prediction.shape)} for {B} windows of {T} "
            f"steps, where (windows, steps, {dims} target dimensions) are needed"
        )
        return
    odd = [] if torch.isfinite(prediction[valid]).all() else ["predictions"]
    prediction[valid].square().sum().backward()
    odd += [n for n, p in tail.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    if odd:
        yield f"fusion, temporal head and head give NaN or infinite {odd[0]} on made-up features"
        return
    tail.eval()
    with torch.no_grad():
        yield from _answers(tail, make, feats, other, present, valid)


def _answers(
    tail: _Tail,
    make: Callable[[], _Tail],
    feats: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    present: Tensor,
    valid: Tensor,
) -> Iterator[str]:
    fusion, temporal, head = (type(part).__name__ for part in (tail.fusion, tail.temporal, tail.head))
    fused, y, prediction, stateful = tail(feats, present, valid)
    if stateful:
        yield _STATE.format(fusion)
        return
    padded = {m: torch.where(valid[..., None], x, other[m]) for m, x in feats.items()}
    if _apart(tail(padded, present, valid)[2][valid], prediction[valid]):
        yield "padding changes what is predicted at the steps that are none: `valid` is not kept to"
    hidden = {m: torch.where(present[..., i, None], x, other[m]) for i, (m, x) in enumerate(feats.items())}
    if _apart(tail(hidden, present, valid)[2][valid], prediction[valid]):
        yield f"the content of absent modalities changes what is predicted: {fusion} ignores `present`"
    steps = [tail.fusion(_at(feats, t), present[:, t : t + 1], valid[:, t : t + 1])[0] for t in range(T)]
    if _apart(torch.cat(steps, dim=1)[valid], fused[valid]):
        yield (
            f"fusion {fusion} mixes steps: step by step it gives otherwise than for a window at once, so "
            "that evaluation and streams would differ; the temporal head, whose state is carried, may do so"
        )
    if _apart(torch.cat([head_of(tail, y[:, t]) for t in range(T)], dim=1)[valid], prediction[valid]):
        yield f"head {head} mixes steps: of one step it makes another prediction than of a window's"
    if getattr(tail.temporal, "causal", True):
        all_valid = torch.ones_like(valid)
        whole, _, _ = tail.temporal(fused, all_valid)
        first, state, _ = tail.temporal(fused[:, :3], all_valid[:, :3])
        rest, _, _ = tail.temporal(fused[:, 3:], all_valid[:, 3:], None, state)
        if _apart(torch.cat([first, rest], dim=1), whole):
            yield (
                f"temporal head {temporal}, cut after three steps and its state handed on, gives otherwise "
                "than for all steps at once; declare `causal = False` if it needs them all"
            )
    opened = reopened(make, tail.state_dict(), seed=1)
    if _apart(opened(feats, present, valid)[2][valid], prediction[valid]):
        yield (
            f"opened again from their weights, {fusion}, {temporal} and {head} predict otherwise: one of "
            "them holds something that is not in its state dict and is not made alike each time; use "
            "`register_buffer`"
        )


def head_of(tail: _Tail, y: Tensor) -> Tensor:
    """One step `(B, H)` -> `(B, 1, K)`."""
    prediction: Tensor = tail.head(y)
    return prediction[:, None]


def _masks(modalities: int) -> tuple[Tensor, Tensor]:
    """`present (B, T, M)`, `valid (B, T)`: absences, padding at a window's end and before its start."""
    present, valid = torch.ones(B, T, modalities, dtype=torch.bool), torch.ones(B, T, dtype=torch.bool)
    present[1, 2:, 0] = False
    present[2, 3] = False
    valid[3, 4:] = False
    present[3, 4:] = False
    valid[2, :2] = False
    return present, valid


def _at(feats: Mapping[str, Tensor], t: int) -> dict[str, Tensor]:
    return {m: x[:, t : t + 1] for m, x in feats.items()}


def _apart(a: Tensor, b: Tensor) -> bool:
    scale = 1 + b.abs().amax() if b.numel() else torch.ones(())
    return a.shape != b.shape or not bool(((a - b).abs() <= NEAR * scale).all())
