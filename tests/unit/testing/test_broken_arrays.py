"""Every rule of detectors and degradations rejects a part that breaks it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from broken_parts import findings, named, unproven
from torch import Tensor

from fusekit.contracts import Degradation, Detector


class Bright(Detector):
    """A box around what is bright; keeps every rule."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        rows, columns = np.nonzero(frame.min(-1) == 199)
        if not rows.size:
            return self.nobody(frame)
        return np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 1.0]])

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.zeros((0, 5))


class Insists(Bright):
    """There is always a face."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.array([[0.0, 0.0, frame.shape[1], frame.shape[0], 0.1]])


class FourColumns(Bright):
    """Boxes without a score."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.zeros((0, 4))


class Flat(Bright):
    """A box without area."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        return np.array([[3.0, 3.0, 3.0, 9.0, 0.1]])


class Smears(Bright):
    """Draws into the frame."""

    def nobody(self, frame: np.ndarray) -> np.ndarray:
        frame[0, 0] = 77
        return super().nobody(frame)


class Sleeps(Bright):
    """Finds nothing."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        return np.zeros((0, 5))


def face() -> np.ndarray:
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[10:20, 5:30] = 199
    return frame


class Fractions(Bright):
    """Fractions of the frame, not pixels."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        return super().detect(frame) / np.array([frame.shape[1], frame.shape[0]] * 2 + [1.0])


class Swapped(Bright):
    """y before x."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        return super().detect(frame)[:, [1, 0, 3, 2, 4]]


class WorstFirst(Bright):
    """Another box first, of less score."""

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        found = super().detect(frame)
        return np.concatenate([found - [0, 0, 0, 0, 0.5], found])


class Tracks(Bright):
    """Shows the last face where there is none."""

    last: np.ndarray | None = None

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        found = super().detect(frame)
        if len(found):
            self.last = found
        return found if len(found) or self.last is None or not frame.any() else self.last


DETECTORS = [
    (Fractions, "follows", "the best box moves by"),
    (Swapped, "follows", "the best box moves by"),
    (WorstFirst, "follows", "the best box comes first"),
    (Tracks, "history", "after other frames it finds other boxes"),
    (Insists, "nobody", "in a black frame it finds (1, 5), not (0, 5)"),
    (FourColumns, "shapes", "it gives (0, 4), declared is (n, 5)"),
    (Flat, "shapes", "a box has no area"),
    (Smears, "shapes", "it changes the frame in place"),
    (Sleeps, "shapes", "it finds no face in the case's picture"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), DETECTORS, ids=named)
def test_broken_detectors(cls: type, rule: str, sentence: str) -> None:
    found = findings("detector", cls, rule, picture=face)
    assert any(name == rule and sentence in seen for name, seen in found), found


class Noise(Degradation):
    """Noise; keeps every rule."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + torch.from_numpy(np.stack([r.normal(0, 0.1, x.shape[1:]) for r in rngs])).to(x.dtype)


class InPlace(Noise):
    """Damages the input itself."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x.copy_(super().__call__(x, rngs))


class Global(Noise):
    """torch's generator, so that a resumed run draws otherwise."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + 0.1 * torch.randn_like(x)


class Mixes(Noise):
    """Adds the neighbour."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().__call__(x, rngs) + 0.3 * x.roll(1, 0)


class FirstDraws(Noise):
    """The first row's generator for all."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + torch.from_numpy(rngs[0].normal(0, 0.1, x.shape)).to(x.dtype)


class Fixed(Degradation):
    """The same damage whatever is drawn."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x / 2


class Idle(Degradation):
    """Nothing."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x.clone()


class Doubles(Noise):
    """float64."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().__call__(x, rngs).double()


class Scales(Noise):
    """Standardises first: 0 / 0 of a constant."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().__call__(x, rngs) * (x / x.flatten(1).std(1)[:, None, None, None])


class Fades(Noise):
    """More noise with every call."""

    calls = 0

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        self.calls += 1
        return x + (super().__call__(x, rngs) - x) * self.calls


class Passes(Noise):
    """Hands on what it was given, with a little noise in half of it."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        noisy = super().__call__(x, rngs)
        x = x.view(x.shape)
        x[: len(x) // 2] = noisy[: len(x) // 2]
        return x


class Crowd(Noise):
    """Noise as strong as the batch is loud."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + (super().__call__(x, rngs) - x) * x.abs().max()


class Pairs(Noise):
    """Noise of strength 1 / rows."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return x + (super().__call__(x, rngs) - x) * (1.0 if len(x) > 1 else 0.5)


class Single(Noise):
    """float32, whatever comes."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return super().__call__(x.float(), rngs)


class Reuses(Noise):
    """One buffer for all that it gives."""

    def __init__(self) -> None:
        self.buffer = torch.zeros(24, 3, 16, 16)

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        return self.buffer[: len(x)].copy_(super().__call__(x, rngs))


DEGRADATIONS = [
    (Reuses, "history", "a later call changes what an earlier one gave"),
    (Fades, "history", "after calls on other data the same rows"),
    (Passes, "shapes", "what it gives lies in its input's memory"),
    (Crowd, "own-generators", "a row of NaN changes how others are damaged"),
    (Pairs, "own-generators", "row 0 as a batch of its own is damaged otherwise"),
    (Single, "shapes", "torch.float64 became torch.float32"),
    (InPlace, "shapes", "it changes its input in place"),
    (Global, "own-generators", "the same generators give other damage: it draws elsewhere too"),
    (Mixes, "own-generators", "other content in odd rows changes 12 of 12 even rows"),
    (
        FirstDraws,
        "own-generators",
        "rows in another order, each with its own generator, are damaged otherwise",
    ),
    (Fixed, "own-generators", "other generators give the same damage"),
    (Idle, "shapes", "none of 24 rows is damaged"),
    (Doubles, "shapes", "torch.float32 (24, 3, 16, 16) became torch.float64"),
    (Scales, "shapes", "input of 0 everywhere: the damaged copy is not finite"),
]


@pytest.mark.parametrize(("cls", "rule", "sentence"), DEGRADATIONS, ids=named)
def test_broken_degradations(cls: type, rule: str, sentence: str) -> None:
    found = findings("degradation", cls, rule)
    assert any(name == rule and sentence in seen for name, seen in found), found


def test_sound_ones_pass() -> None:
    assert findings("detector", Bright, picture=face) == []
    assert findings("degradation", Noise) == []


def test_every_rule_of_detectors_and_degradations_has_rejected_a_part() -> None:
    tried = [("detector", rule) for _, rule, _ in DETECTORS]
    tried += [("degradation", rule) for _, rule, _ in DEGRADATIONS]
    assert unproven(tried, "detector", "degradation") == []
