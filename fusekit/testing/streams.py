"""Sequences fed in pieces: the answers and the state must be those of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from fusekit.testing.network_checks import differ
from fusekit.testing.subject import Subject, Tensors, state_of


def pieces_of(steps: int) -> tuple[tuple[int, ...], ...]:
    """Lengths in which a sequence arrives: step by step, in two halves, and all but the last."""
    return (1,) * steps, (2, steps - 2), (steps - 1, 1)


def streamed_apart(
    subject: Subject, module: nn.Module, inputs: Tensors, main: str, start: Any
) -> Iterator[str]:
    """Sentences on how `inputs` in pieces, the state handed on from `start`, differ from the whole."""
    whole = subject.ask(module, inputs)
    kept = state_of(whole)
    if start and {n: tuple(v.shape) for n, v in start.items()} != {
        n: tuple(v.shape) for n, v in kept.items()
    }:
        shapes = [{n: tuple(v.shape) for n, v in s.items()} for s in (start, kept)]
        yield f"init_state gives {shapes[0]}, a pass returns {shapes[1]}: a step cannot be exported"
    if subject.drawing:
        return  # other shapes draw otherwise
    for pieces in pieces_of(subject.steps):
        state, at, found = start, 0, []
        for length in pieces:
            piece = {name: value[:, at : at + length] for name, value in inputs.items()}
            answers = subject.ask(module, piece, state or None)
            state, at = state_of(answers), at + length
            found.append(answers[main])
        how = "step by step" if max(pieces) == 1 else f"in pieces of {' and '.join(map(str, pieces))}"
        there = inputs["valid"]  # what a part answers to padding is its own affair
        if differ(whole[main][there], torch.cat(found, dim=1)[there]):
            yield f"{how}, with its state handed on, `{main}` differs from the whole at once"
            return
        odd = [name for name, value in kept.items() if differ(value, state[name])]
        if odd:
            yield f"{how}, the state `{odd[0]}` at the end differs from that of the whole at once"
            return
