"""Scores of denoising: known answers of encoders that do nothing, all, or harm; what is scored."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fusekit import build
from fusekit.contracts import Degradation, DenoisingEncoder, Encoder
from fusekit.study.denoising import Damaged, damage, denoising_examples, denoising_scores

SIZES = (11, 9, 14)
FLAT = 128 / 127.5 - 1  # the grey of the clips below, on -1..1


class Shift(Degradation):
    """Adds .25 or takes away .5; every other row stays."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        by = {"": 0.0, "up": 0.25, "down": -0.5}
        shifts = torch.tensor([by[kind] for kind in self.drawn(rngs)])
        return x + shifts.view(-1, *[1] * (x.dim() - 1))

    def drawn(self, rngs: Sequence[np.random.Generator]) -> list[str]:
        return [["", "up", "", "down"][int(rng.random() * 4)] for rng in rngs]


class Silent(Shift):
    """The same, by a degradation that does not tell."""

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        kinds = Shift().drawn(rngs)
        shifts = torch.tensor([{"": 0.0, "up": 0.25, "down": -0.5}[kind] for kind in kinds])
        return x + shifts.view(-1, *[1] * (x.dim() - 1))

    drawn = Degradation.drawn  # type: ignore[assignment]


class Fake(DenoisingEncoder):
    """Decodes to what `answer` makes of the input."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, z: Tensor) -> Tensor:
        out: Tensor = self.answer(z)
        return out


def _run(
    tiny: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    encoder: Any,
    degradation: Degradation | None,
) -> tuple[Any, list[Any]]:
    clips = tiny.clips(SIZES, ("face",))
    for clip in clips:
        clip.streams["face"]["frames"][:] = 128
    monkeypatch.setattr(build, "build_degradations", lambda recipe, registry: {"face": degradation})
    model = SimpleNamespace(names=("face",), branches={"face": SimpleNamespace(encoder=encoder)})
    run = SimpleNamespace(
        recipe=None, registry=None, model=model, runtime=tiny.runtime("float32"), readers=clips[0].readers
    )
    return run, clips


def test_an_encoder_that_gives_back_what_it_gets_neither_gains_nor_loses(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = denoising_scores(*_run(tiny, monkeypatch, Fake(lambda x: x), Shift()))["face"]
    assert found["denoised"] == found["degraded"]
    assert found["clean"] == 0
    assert found["by_kind"]["up"]["degraded"] == pytest.approx(0.25)
    assert found["by_kind"]["down"]["degraded"] == pytest.approx(0.5)
    ups, downs = found["by_kind"]["up"]["rows"], found["by_kind"]["down"]["rows"]
    assert ups + downs == found["rows"] == sum(SIZES)  # drawn again until each is damaged
    assert found["degraded"] == pytest.approx((0.25 * ups + 0.5 * downs) / (ups + downs))


def test_a_perfect_one_leaves_nothing_and_one_that_knows_one_kind_mends_it_alone(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    perfect = Fake(lambda x: torch.full_like(x, FLAT))
    found = denoising_scores(*_run(tiny, monkeypatch, perfect, Shift()))["face"]
    assert found["denoised"] == found["clean"] == pytest.approx(0, abs=1e-6)
    lifts = Fake(lambda x: x + 0.5)
    found = denoising_scores(*_run(tiny, monkeypatch, lifts, Shift()))["face"]
    assert found["by_kind"]["down"]["denoised"] == pytest.approx(0, abs=1e-6)
    assert found["by_kind"]["up"]["denoised"] == pytest.approx(0.75)
    assert found["clean"] == pytest.approx(0.5)


def test_steps_with_planted_damage_and_absent_ones_are_left_out(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clips = _run(tiny, monkeypatch, Fake(lambda x: x), Shift())
    seen: list[Tensor] = []
    run.model.branches["face"].encoder = Fake(lambda x: (seen.append(x), x)[1])
    clips[0].extra["face_damage"] = np.array([0, 2] * 5 + [np.nan])
    clips[0].streams["face"]["frames"][1:10:2] = 255
    clips[1].present[:4] = False
    clips[1].streams["face"]["frames"][:4] = 255
    found = denoising_scores(run, clips)["face"]
    assert found["rows"] == sum(SIZES) - 5 - 4
    assert max(float(x.max()) for x in seen) == pytest.approx(FLAT + 0.25)


def test_rows_are_bounded_and_the_same_every_time(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clips = _run(tiny, monkeypatch, Fake(lambda x: x), Shift())
    assert denoising_scores(run, clips, 7)["face"]["rows"] == 7
    assert denoising_scores(run, clips, 20) == denoising_scores(run, clips, 20)


def test_what_does_not_decode_or_is_not_degraded_has_no_score(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert denoising_scores(*_run(tiny, monkeypatch, Encoder(), Shift())) == {}
    assert denoising_scores(*_run(tiny, monkeypatch, Fake(lambda x: x), None)) == {}
    assert denoising_examples(*_run(tiny, monkeypatch, Encoder(), Shift())) == {}


def test_a_degradation_that_does_not_tell_has_no_kinds(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = denoising_scores(*_run(tiny, monkeypatch, Fake(lambda x: x), Silent()))["face"]
    assert found["by_kind"] == {}
    assert found["rows"] == sum(SIZES)


def test_examples_are_scored_rows_of_different_kinds(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    degraded, denoised, clean = denoising_examples(
        *_run(tiny, monkeypatch, Fake(lambda x: -x), Shift()), examples=4
    )["face"]
    assert degraded.shape == (4, 3, 16, 16)
    np.testing.assert_allclose(denoised, -degraded)
    shifts = sorted((degraded - clean).mean((1, 2, 3)).round(2).tolist())
    assert shifts == [-0.5, -0.5, 0.25, 0.25]


def test_a_row_that_nothing_damages_is_not_scored() -> None:
    class Darkens(Degradation):
        def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
            return x.clamp(max=0)

    found: Damaged = damage(torch.tensor([[-1.0], [1.0]]), Darkens(), "face")
    assert (found.clean.tolist(), found.degraded.tolist()) == ([[1.0]], [[0.0]])
