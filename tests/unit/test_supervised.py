"""Stage 2 by spec 3.1 step 3 and 3.6."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusekit.contracts import Encoder, Latent, Loss, Tail
from fusekit.data.windows import Windows
from fusekit.engine.latent_cache import LatentCache
from fusekit.engine.latents import clip_latents
from fusekit.engine.losses import AFC, MSELoss
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.nn.fusion.gmu import GMU
from fusekit.nn.heads import LinearHead
from fusekit.nn.model import Branch, Model
from fusekit.nn.projectors import LinearProjector
from fusekit.nn.quadrants import NoQuadrant, QuadrantClassifier
from fusekit.nn.temporal.luong import LuongLSTM

DIMS = ("valence", "arousal")
FROZEN = ("encoder", "quadrant")


def _objective(
    tiny: SimpleNamespace,
    model: Model | None = None,
    *,
    window: int = 4,
    cached: bool = True,
    clips: Sequence[Any] | None = None,
    loss: Loss | None = None,
    precision: str = "float32",
    weights: Any = None,
    quadrant_weights: Tensor | None = None,
    exact: bool = False,
    **settings: Any,
) -> Supervised:
    clips = tiny.clips() if clips is None else clips
    model, runtime = model or tiny.model(), tiny.runtime(precision)
    caches = None
    if cached:
        caches = Caches(LatentCache(model, clips, runtime), LatentCache(model, clips, runtime))
        if exact:  # without the rounding to half
            live = [clip_latents(model, c, runtime) for c in clips]
            for cache in (caches.train, caches.validation):
                cache.z = {m: torch.cat([found[m].z for found in live]) for m in model.names}
    given = {"freeze": FROZEN, "steps": window} | settings
    return Supervised(
        model,
        Windows(clips, window),
        caches,
        clips,
        loss or AFC(),
        SupervisedSettings(batch_size=6, lr=1e-3, betas=(0.5, 0.999), **given),
        runtime,
        tiny.rngs,
        DIMS,
        weights=weights,
        quadrant_weights=quadrant_weights,
    )


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in module.state_dict().items()}


def _changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


class _Noisy(Encoder):
    """An encoder with running statistics and dropout: what a frozen part must not use in training mode."""

    def __init__(self, raw_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.out_shape = (5,)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))

    def encode(self, x: Tensor) -> Tensor:
        return self.net(x)


def _vector_model(names: Sequence[str] = ("face", "voice"), classify: bool = True) -> Model:
    torch.manual_seed(0)
    branches = {}
    for m in names:
        encoder = _Noisy((3, 16, 16))
        head = QuadrantClassifier((3, 16, 16), (5,), hidden=4) if classify else NoQuadrant((3, 16, 16), (5,))
        branches[m] = Branch(encoder, head, LinearProjector((5,), head.conditioning, dim=6))
    fusion = GMU({m: b.projector.out_dim for m, b in branches.items()}, dim=7)
    temporal = LuongLSTM(7, dim=5)
    return Model(branches, Tail(fusion, temporal, LinearHead(5, 2)))


@pytest.mark.parametrize("cached", [True, False])
def test_frozen_parts_stay_bit_identical(tiny: SimpleNamespace, cached: bool) -> None:
    model = _vector_model()
    objective = _objective(tiny, model, cached=cached)
    before = _state(model)
    for epoch in range(2):
        for indices in objective.batches(epoch):
            objective.step(indices, epoch)
    changed = _changed(before, model)
    assert not {k for k in changed if ".encoder." in k or ".quadrant." in k}  # running statistics included
    assert {k.split(".")[0] for k in changed} == {"branches", "fusion", "temporal", "head"}
    frozen = [p for b in model.branches.values() for p in (*b.encoder.parameters(), *b.quadrant.parameters())]
    assert all(p.grad is None for p in frozen)


def test_what_is_not_frozen_learns(tiny: SimpleNamespace) -> None:
    model = _vector_model()
    objective = _objective(tiny, model, cached=False, freeze=("encoder",))
    before = _state(model)
    objective.step(np.arange(6), 0)
    changed = _changed(before, model)
    assert {k for k in changed if ".quadrant." in k}
    assert not {k for k in changed if ".encoder." in k}
    objective = _objective(tiny, model, cached=False, freeze=())
    objective.step(np.arange(6), 0)
    assert {k for k in _changed(before, model) if ".encoder." in k and "running" in k}


@pytest.mark.parametrize("window", [1, 4, 10])
def test_cached_and_live_latents_train_the_same(tiny: SimpleNamespace, window: int) -> None:
    """Windows of all clips, shuffled; at 10 a clip of 9 steps is padded."""
    results = []
    for cached in (True, False):
        clips = tiny.clips()
        clips[0].present[2:5, 0] = False
        clips[1].present[:, 1] = False
        objective = _objective(
            tiny, window=window, cached=cached, clips=clips, exact=True, presence_dropout=0.3
        )
        losses = [objective.step(i, e)["loss"] for e in range(2) for i in objective.batches(e)]
        results.append((torch.stack(losses), _state(objective.model)))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-4, atol=1e-5)
    for name, tensor in results[0][1].items():
        torch.testing.assert_close(tensor, results[1][1][name], rtol=0, atol=1e-3, msg=name)


def test_the_loss_is_summed_over_the_steps_and_taken_across_the_batch(tiny: SimpleNamespace) -> None:
    model = tiny.model()
    objective = _objective(tiny, model, cached=False)
    indices = np.array([3, 0, 5, 1])
    batch = objective.train.collate(indices)
    prediction, _, _ = model(batch)
    afc = AFC()
    total = sum(afc(prediction[:, t], batch.target[:, t], batch.known[:, t]) for t in range(4))
    expected = torch.autograd.grad(total, objective.trained, allow_unused=True)
    losses = objective.step(indices, 0)
    torch.testing.assert_close(losses["loss"], total.detach() / 4)
    for p, grad in zip(objective.trained, expected, strict=True):
        assert (grad is None) == (p.grad is None)
        if grad is not None:
            torch.testing.assert_close(p.grad, grad, rtol=1e-3, atol=1e-5)


def test_unknown_labels_and_padding_do_not_count(tiny: SimpleNamespace) -> None:
    clips = tiny.clips((4, 2))
    clips[0].known[1:, 0] = False
    objective = _objective(tiny, clips=clips, loss=MSELoss(), cached=False)
    batch = objective.train.collate(np.arange(2))
    prediction = objective.model(batch)[0].detach()
    errors = (prediction - batch.target).square()
    steps = []
    for t in range(4):
        known = (
            [errors[0, t, 1]] + ([errors[0, t, 0]] if t == 0 else []) + (list(errors[1, t]) if t < 2 else [])
        )
        steps.append(torch.stack(known).mean())
    torch.testing.assert_close(objective.step(np.arange(2), 0)["loss"], torch.stack(steps).mean())


def test_weights_are_those_of_each_step(tiny: SimpleNamespace) -> None:
    seen = []

    class Spy(MSELoss):
        def forward(
            self, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None = None
        ) -> Tensor:
            seen.append((target, weight))
            return super().forward(prediction, target, known, weight)

    objective = _objective(tiny, loss=Spy(), weights=lambda target: target + 3)
    objective.step(np.arange(3), 0)
    assert len(seen) == 4
    for target, weight in seen:
        torch.testing.assert_close(weight, target + 3)


def _hidden(
    tiny: SimpleNamespace, p: float, count: int, windows: int, epoch: int = 0
) -> tuple[Tensor, Tensor]:
    objective = _objective(tiny, presence_dropout=p, cached=False)
    present = torch.ones(windows, 4, count, dtype=torch.bool)
    return present, objective._hide(present, np.arange(windows), epoch)


@pytest.mark.parametrize(("p", "count"), [(0.1, 2), (0.3, 3), (0.9, 2)])
def test_presence_dropout_follows_its_rate_and_never_hides_all(
    tiny: SimpleNamespace, p: float, count: int
) -> None:
    n = 3000
    _, kept = _hidden(tiny, p, count, n)
    assert kept.any(-1).all()
    assert (kept.all(1) | ~kept.any(1)).all()  # a modality is hidden from a whole window
    rate = 1 - kept[:, 0].float().mean(0)
    expected = p - p**count  # windows that would lose all keep all
    assert ((rate - expected).abs() < 4 * (p * (1 - p) / n) ** 0.5).all()


def test_presence_dropout_is_a_function_of_window_and_epoch(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, presence_dropout=0.5, cached=False)
    present = torch.ones(40, 4, 2, dtype=torch.bool)
    whole = objective._hide(present, np.arange(40), 1)
    part = objective._hide(present[:7], np.arange(40)[[30, 2, 9, 11, 0, 39, 5]], 1)
    assert torch.equal(part, whole[[30, 2, 9, 11, 0, 39, 5]])
    assert not torch.equal(whole, objective._hide(present, np.arange(40), 2))


def test_presence_dropout_adds_nothing_and_leaves_what_is_alone(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, presence_dropout=0.5, cached=False)
    present = torch.rand(200, 4, 2) > 0.6
    present[:50, :, 1] = False
    kept = objective._hide(present, np.arange(200), 0)
    assert not (kept & ~present).any()
    assert torch.equal(kept[:50], present[:50])
    assert torch.equal(kept.any((1, 2)), present.any((1, 2)))
    only = torch.ones(5, 4, 1, dtype=torch.bool)
    assert torch.equal(objective._hide(only, np.arange(5), 0), only)


def test_every_parameter_of_the_sequence_stage_learns(tiny: SimpleNamespace) -> None:
    clips = tiny.clips()
    for clip in clips:
        clip.present[1::4] = False  # "nothing present" is learned too
    objective = _objective(tiny, clips=clips)
    objective.step(np.arange(6), 0)
    names = {id(p): n for n, p in objective.model.named_parameters()}
    dead = [names[id(p)] for p in objective.trained if p.grad is None or not p.grad.any()]
    assert dead == []
    assert any("temporal.weigh" in names[id(p)] for p in objective.trained)


def test_windows_of_two_cannot_train_the_score(tiny: SimpleNamespace) -> None:
    """One state present has weight 1 whatever its score: why the curriculum goes on to 4 and 8."""
    objective = _objective(tiny, window=2)
    objective.step(np.arange(6), 0)
    assert not objective.model.temporal.weigh.weight.grad.any()


def test_clip_grad_bounds_the_norm(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, clip_grad=1e-3)
    objective.step(np.arange(6), 0)
    norm = torch.stack([p.grad.norm() for p in objective.trained if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_a_classifier_learns_quadrants_of_present_labelled_steps(tiny: SimpleNamespace) -> None:
    clips, weights = tiny.clips((8,)), torch.tensor([1.0, 2.0, 0.5, 1.0])
    clips[0].quadrant[:3] = -1
    clips[0].present[3:5, 0] = False
    model = _vector_model()
    for branch in model.branches.values():
        branch.encoder.net[3] = nn.Identity()
        branch.encoder.net[2] = nn.Identity()
    objective = _objective(
        tiny, model, cached=False, clips=clips, freeze=(), quadrant_weights=weights, loss=MSELoss()
    )
    batch = objective.train.collate(np.arange(2))
    latents = model.latents(batch.inputs, batch.present)
    losses = objective.step(np.arange(2), 0)
    for m, rows in (("face", slice(5, 8)), ("voice", slice(3, 8))):
        logits = latents[m].logits
        assert logits is not None
        truth = batch.quadrant.flatten()[rows]
        expected = nn.functional.cross_entropy(logits[rows], truth, weights)
        torch.testing.assert_close(losses[f"quadrant_{m}"], expected.detach())


def test_without_any_quadrant_the_classifier_s_loss_is_nothing(tiny: SimpleNamespace) -> None:
    clips = tiny.clips((8,))
    clips[0].quadrant[:] = -1
    model = _vector_model()
    objective = _objective(tiny, model, cached=False, clips=clips, freeze=())
    losses = objective.step(np.arange(2), 0)
    assert losses["quadrant_face"] == 0
    # A gradient of zero, not none: all processes must average the same parameters.
    for p in model.branches["face"].quadrant.parameters():
        assert p.grad is not None
        assert not p.grad.any()


@pytest.mark.parametrize("states", ["last", "carry"])
@pytest.mark.parametrize("cached", [True, False])
def test_validation_scores_whole_clips(tiny: SimpleNamespace, states: Any, cached: bool) -> None:
    objective = _objective(tiny, cached=cached, exact=True, states=states, steps=3)
    clips, model = objective.validation_clips, objective.model
    predictions = []
    for clip in clips:
        latents = clip_latents(model, clip, objective.runtime)
        present = torch.from_numpy(clip.present)
        call = (
            model.predict_last(latents, present, 3)
            if states == "last"
            else model.predict_carry(latents, present)
        )
        predictions.append(call[0].detach().double().numpy())
    p, y = np.concatenate(predictions), np.concatenate([c.target for c in clips]).astype(float)
    rmse = np.sqrt(((p - y) ** 2).mean(0))
    scores = objective.validate()
    assert [scores["rmse"][d] for d in DIMS] == pytest.approx(rmse.tolist(), abs=1e-5)


def test_bf16_steps_stay_finite(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, precision="bf16", clip_grad=1.0)
    for epoch in range(2):
        for indices in objective.batches(epoch):
            assert torch.isfinite(objective.step(indices, epoch)["loss"])
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in objective.model.parameters())
    assert np.isfinite(objective.validate()["ccc"]["mean"])


def test_context_reaches_the_temporal_head(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    objective, seen = _objective(tiny), []
    collate = objective.train.collate

    def with_speaker(*args: Any) -> Any:
        batch = collate(*args)
        batch.context = {"speaker": torch.zeros(batch.valid.shape, dtype=torch.int64)}
        return batch

    monkeypatch.setattr(objective.train, "collate", with_speaker)
    objective.model.temporal.register_forward_hook(lambda module, args, out: seen.append(args[2]))
    objective.step(np.arange(3), 0)
    assert seen[0]["speaker"].shape == (3, 4)


def test_a_latent_without_a_quadrant_needs_no_classifier(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, _vector_model(classify=False), cached=False, freeze=())
    assert set(objective.step(np.arange(4), 0)) == {"loss"}


def test_it_learns_a_toy_over_the_curriculum(tiny: SimpleNamespace) -> None:
    clips = tiny.clips((24, 24), learnable=True)
    model = tiny.model(dim=12)
    for window in (2, 4):
        objective = _objective(tiny, model, clips=clips, window=window)
        for group in objective.optimizers["model"].param_groups:
            group["lr"] = 1e-2
        for epoch in range(15):
            for indices in objective.batches(epoch):
                objective.step(indices, epoch)
    assert objective.validate()["ccc"]["mean"] > 0.7


def test_latents_are_what_the_cache_holds(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny)
    batch = objective.train.collate(np.array([4, 1]), ())
    assert batch.inputs == {}  # nothing is decoded where latents are cached
    latents = objective._cached_rows(batch.clip.numpy(), np.array([4, 1]), epoch=0)
    assert objective.caches is not None
    clip, start = int(objective.train.clip[4]), int(objective.train.start[4])
    whole = objective.caches.train.clip(clip, "cpu")
    for m, latent in latents.items():
        assert isinstance(latent, Latent)
        assert torch.equal(latent.z[:4], whole[m].z[start : start + 4])


def test_a_share_of_windows_reads_one_modality_from_the_damaged_copy(tiny: SimpleNamespace) -> None:
    """`degraded: 1`: of every window exactly one modality is of the copy; 0: none."""
    for share, expected in ((1.0, 1), (0.0, 0)):
        objective = _objective(tiny, window=2, degraded=share)
        assert objective.caches is not None
        clean = objective.caches.train
        copy = LatentCache(objective.model, tiny.clips(), objective.runtime)
        for z in copy.z.values():
            z.fill_(9.0)
        objective.caches = Caches(clean, clean, copy)
        indices = objective.batches(0)[0]
        found = objective._cached_rows(objective.train.collate(indices, ()).clip.numpy(), indices, epoch=0)
        of_copy = sum((latent.z == 9).flatten(1).all(1).view(-1, 2).all(1).int() for latent in found.values())
        assert (of_copy == expected).all()
