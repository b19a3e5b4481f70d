"""Stage 1 by spec 3.2."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fusekit.contracts import Loss
from fusekit.data.windows import Windows
from fusekit.engine.adversarial import PENALTY, Adversarial, AdversarialSettings
from fusekit.engine.checkpoint import optimizer_tensors, restore_optimizer
from fusekit.engine.losses import AFC

DIMS = ("valence", "arousal")
GOLDEN = {
    "d_affect": 0.358792,
    "d_source": -0.143305,
    "d_penalty": 4.075613,
    "g_source": 0.187845,
    "g_reconstruction": 5.815349,
    "g_affect": -4.497234,
    "p": 0.429324,
}


def _objective(
    tiny: SimpleNamespace,
    *,
    temporal: str = "lstm",
    precision: str = "float32",
    loss: Loss | None = None,
    **more: Any,
) -> Adversarial:
    own = {k: more.pop(k) for k in ("degradation", "augmentation", "weights") if k in more}
    settings = AdversarialSettings(batch_size=8, lr=1e-3, betas=(0.5, 0.999), **more)
    clips = tiny.clips(names=("face",), learnable=True)
    windows = Windows(clips, 1)
    model = tiny.model(("face",), fusion="none", temporal=temporal)
    return Adversarial(
        model, windows, windows, loss or AFC(), settings, tiny.runtime(precision), tiny.rngs, DIMS, **own
    )


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in module.state_dict().items()}


def _changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


def _prepared(objective: Adversarial) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor, None]]:
    """Clean pictures, their latent and reconstruction with a graph, and labels."""
    batch = objective.train.collate(np.arange(8), ("face",))
    clean = batch.inputs["face"][:, 0].float() / 127.5 - 1
    z = objective.branch.encoder.encode(clean)
    return clean, z, objective.branch.encoder.decode(z), (batch.target[:, 0], batch.known[:, 0], None)


class _Line(nn.Module):
    """A critic whose gradient is its weight everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x * self.weight).flatten(1).sum(1), x.new_zeros(len(x), 2)


class _Bowl(nn.Module):
    """A critic whose gradient at x is x."""

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        assert x.dtype == torch.float32
        assert not torch.is_autocast_enabled("cpu")
        return x.square().flatten(1).sum(1) / 2, x.new_zeros(len(x), 2)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 40), (7,)])
def test_the_penalty_of_a_linear_critic_is_known(tiny: SimpleNamespace, shape: tuple[int, ...]) -> None:
    objective = _objective(tiny)
    weight = torch.randn(shape)
    objective.branch.quadrant = _Line(3.5 * weight / weight.norm())
    penalty = objective._penalty(torch.randn(5, *shape), torch.randn(5, *shape), torch.rand(5))
    torch.testing.assert_close(penalty, torch.tensor(2.5**2))
    penalty.backward()
    (p,) = objective.branch.quadrant.parameters()
    torch.testing.assert_close(p.grad, 2 * 2.5 * weight / weight.norm(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 40)])
def test_the_penalty_looks_between_each_sample_and_its_own_fake(
    tiny: SimpleNamespace, shape: tuple[int, ...]
) -> None:
    objective = _objective(tiny)
    objective.branch.quadrant = _Bowl()
    clean, fake, u = torch.randn(6, *shape), torch.randn(6, *shape), torch.rand(6)
    u[0], u[1] = 0.0, 1.0
    between = torch.stack([a * x + (1 - a) * y for a, x, y in zip(u, clean, fake, strict=True)])
    expected = ((between.flatten(1).norm(dim=1) - 1) ** 2).mean()
    torch.testing.assert_close(objective._penalty(clean, fake, u), expected)


def test_the_penalty_is_float32_under_bf16(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, precision="bf16")
    objective.branch.quadrant = _Bowl()  # asserts what it is given
    with objective.runtime.autocast():
        objective._penalty(torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.rand(2))


def test_a_vanishing_critic_has_a_finite_penalty_slope(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny)
    objective.branch.quadrant = _Line(torch.zeros(3, 4, 4))
    objective._penalty(torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.rand(2)).backward()
    (p,) = objective.branch.quadrant.parameters()
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize("gan", ["wgan-gp", "log"])
def test_the_terms_are_those_of_the_spec(tiny: SimpleNamespace, gan: Any) -> None:
    objective = _objective(tiny, gan=gan, lambdas=(0.0, 0.0, 0.0))  # no update moves anything
    d, g = objective.branch.quadrant, objective.branch.encoder
    clean, z, cleaned, labels = _prepared(objective)
    target, known, _ = labels
    losses = objective._critic_step(clean, cleaned.detach(), labels, torch.rand(8))
    real, affect = d.judge(clean)
    fake, fake_affect = d.judge(cleaned)
    afc = AFC()
    torch.testing.assert_close(losses["d_affect"], afc(affect, target, known).detach())
    if gan == "wgan-gp":
        torch.testing.assert_close(losses["d_source"], (fake.mean() - real.mean()).detach())
        assert losses["d_penalty"] > 0
    else:
        expected = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean())
        torch.testing.assert_close(losses["d_source"], expected.detach())
        assert "d_penalty" not in losses
    losses = objective._generator_step(clean, z, cleaned, labels, {})
    score = -fake.mean() if gan == "wgan-gp" else softplus(-fake).mean()
    torch.testing.assert_close(losses["g_source"], score.detach())
    second = g.decode(g.encode(cleaned))
    torch.testing.assert_close(losses["g_reconstruction"], 10 * (clean - second).abs().mean().detach())
    torch.testing.assert_close(losses["g_affect"], afc(fake_affect, target, known).detach())
    ones = torch.ones(8, 1, dtype=torch.bool)
    prediction = objective.model.predict({"face": d(cleaned, z)}, ones[..., None], ones)[0][:, 0]
    torch.testing.assert_close(losses["p"], afc(prediction, target, known).detach())
    assert PENALTY == 10


@pytest.mark.parametrize("which", ["first", "second", "both"])
def test_the_reconstruction_compares_the_passes_that_it_names(tiny: SimpleNamespace, which: Any) -> None:
    weights = (0.5, 100.0, 0.25)
    objective = _objective(tiny, reconstruction=which, lambdas=(0.0, 0.0, 0.0), g_weights=weights)
    d, g = objective.branch.quadrant, objective.branch.encoder
    clean, z, cleaned, labels = _prepared(objective)
    losses = objective._generator_step(clean, z, cleaned, labels, {})
    first = (clean - cleaned).abs().mean().detach()
    second = (clean - g.decode(g.encode(cleaned))).abs().mean().detach()
    expected = {"first": first, "second": second, "both": (first + second) / 2}[which]
    torch.testing.assert_close(losses["g_reconstruction"], 100 * expected)
    score, affect = d.judge(cleaned)
    torch.testing.assert_close(losses["g_source"], -0.5 * score.mean().detach())
    torch.testing.assert_close(losses["g_affect"], 0.25 * AFC()(affect, labels[0], labels[1]).detach())


@pytest.mark.parametrize(("which", "passes"), [("first", 1), ("second", 2), ("both", 2)])
def test_only_the_first_pass_costs_no_second(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, which: Any, passes: int
) -> None:
    objective = _objective(tiny, reconstruction=which)
    encoder, calls = objective.branch.encoder, []
    decode = encoder.decode
    monkeypatch.setattr(encoder, "decode", lambda z: (calls.append(1), decode(z))[1])
    objective.step(np.arange(8), 0)
    assert len(calls) == passes


def test_the_second_pass_alone_does_not_tie_the_first_to_the_clean_input(tiny: SimpleNamespace) -> None:
    """A G that turns every picture into its negative: G(G(x)) = x, and the precursor's loss is content."""
    objective = _objective(tiny)
    encoder = objective.branch.encoder
    encoder.encode = lambda x: x  # type: ignore[method-assign]
    encoder.decode = lambda z: -z  # type: ignore[method-assign]
    clean = torch.rand(2, 3, 16, 16)
    assert float(objective._difference(clean, -clean)) == 0
    first = _objective(tiny, reconstruction="first")
    assert float(first._difference(clean, -clean)) == pytest.approx(2 * float(clean.mean()))


def test_in_the_warm_up_g_alone_learns_by_the_reconstruction(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, reconstruction="first", warmup=2)
    before = {k: _state(n) for k, n in objective.networks.items()}
    clean, _, cleaned, _ = _prepared(objective)
    expected = 10 * (clean - cleaned).abs().mean().detach()
    losses = objective.step(np.arange(8), 0)
    assert set(losses) == {"g_reconstruction"}
    torch.testing.assert_close(losses["g_reconstruction"], expected)
    assert _changed(before["g"], objective.networks["g"])
    assert not _changed(before["d"], objective.networks["d"])
    assert not _changed(before["p"], objective.networks["p"])
    assert set(objective.step(np.arange(8), 1)) == {"g_reconstruction"}
    assert "d_source" in objective.step(np.arange(8), 2)
    assert all(_changed(before[k], n) for k, n in objective.networks.items())


def test_without_options_it_trains_as_it_did_before_there_were_any(tiny: SimpleNamespace) -> None:
    """Figures of the code before `reconstruction`, `g_weights` and `warmup` (where all weights were also
    equal, bit for bit)."""
    objective = _objective(tiny)
    for epoch in range(3):
        losses = objective.step(np.arange(8), epoch)
    found = {name: float(value) for name, value in losses.items()}
    assert found == pytest.approx(GOLDEN, rel=1e-3, abs=1e-4)


def test_d_is_not_trained_by_g_s_loss(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny)
    d = objective.branch.quadrant
    before = _state(d)
    clean, z, cleaned, labels = _prepared(objective)
    objective._generator_step(clean, z, cleaned, labels, {})
    assert _changed(before, d) == set()
    assert all(p.grad is None for p in d.parameters())
    assert all(p.requires_grad for p in d.parameters())  # ready for its own next step


def test_g_and_p_are_not_trained_by_d_s_loss(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny)
    before = _state(objective.model)
    clean, _, cleaned, labels = _prepared(objective)
    objective._critic_step(clean, cleaned.detach(), labels, torch.rand(8))
    assert {k.split(".")[2] for k in _changed(before, objective.model)} == {"quadrant"}
    others = [p for n, p in objective.model.named_parameters() if ".quadrant." not in n]
    assert all(p.grad is None for p in others)


def test_the_predictor_s_loss_reaches_the_encoder_through_z_alone(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, lambdas=(0.25, 0.0, 1.0))
    clean, z, cleaned, labels = _prepared(objective)
    objective._generator_step(clean, z, cleaned, labels, {})
    encoder = objective.branch.encoder
    assert all(p.grad is not None and p.grad.any() for p in encoder.encoder.parameters())
    assert not any(p.grad is not None and p.grad.any() for p in encoder.decoder.parameters())


@pytest.mark.parametrize("temporal", ["none", "lstm", "luong-lstm"])
def test_every_parameter_learns_but_what_needs_a_past(tiny: SimpleNamespace, temporal: str) -> None:
    objective = _objective(tiny, temporal=temporal)
    objective.step(np.arange(16), 0)
    dead = {
        n.removeprefix("branches.face.")
        for n, p in objective.model.named_parameters()
        if p.grad is None or not p.grad.any()
    }
    # One step has no past: recurrent weights and attention scores learn in the sequence stage. The vector for
    # "nothing present" learns where something is absent.
    expected = {"fusion.empty"}
    expected |= {"temporal.cell.weight_hh"} if temporal != "none" else set()
    expected |= {"temporal.weigh.weight"} if temporal == "luong-lstm" else set()
    assert dead == expected


def test_critic_steps_holds_g_back_and_survives_a_resume(tiny: SimpleNamespace) -> None:
    def moved(objective: Adversarial, number: int) -> set[str]:
        before = {k: _state(n) for k, n in objective.networks.items()}
        losses = objective.step(np.arange(8) + number, 0)
        assert ("p" in losses) == bool(_changed(before["g"], objective.networks["g"]))
        return {k for k, n in objective.networks.items() if _changed(before[k], n)}

    objective = _objective(tiny, critic_steps=3)
    seen = [moved(objective, i) for i in range(4)]
    resumed = _objective(tiny, critic_steps=3)
    resumed.model.load_state_dict(objective.model.state_dict())
    for name, optimizer in resumed.optimizers.items():
        restore_optimizer(optimizer, optimizer_tensors(objective.optimizers[name]))
    seen += [moved(resumed, i) for i in range(4, 7)]
    assert seen == [{"d"}, {"d"}, {"d", "g", "p"}, {"d"}, {"d"}, {"d", "g", "p"}, {"d"}]


class _Recorder:
    """A degradation that halves and notes what it saw."""

    def __init__(self) -> None:
        self.saw: list[Tensor] = []

    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        assert len(rngs) == len(x)
        self.saw.append(x.clone())
        return x / 2


def test_damage_follows_augmentation_and_the_clean_copy_is_the_target(tiny: SimpleNamespace) -> None:
    augment, degrade = _Recorder(), _Recorder()
    objective = _objective(tiny, augmentation=augment, degradation=degrade, lambdas=(0.0, 0.0, 0.0))
    losses = objective.step(np.arange(8), 0)
    clean, _, _, _ = _prepared(objective)
    torch.testing.assert_close(augment.saw[0], clean)
    torch.testing.assert_close(degrade.saw[0], clean / 2)
    g, d = objective.branch.encoder, objective.branch.quadrant
    cleaned = g.decode(g.encode(clean / 4))
    expected = 10 * (clean / 2 - g.decode(g.encode(cleaned))).abs().mean()
    torch.testing.assert_close(losses["g_reconstruction"], expected.detach())
    torch.testing.assert_close(
        losses["d_source"], (d.judge(cleaned)[0].mean() - d.judge(clean / 2)[0].mean()).detach()
    )


class _Weighed(Loss):
    """Keeps the weights that it was given."""

    correlates: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor | None] = []

    def forward(
        self, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        self.seen.append(weight)
        return (prediction - target).square().mean()


def test_frequency_weights_enter_all_three_affect_losses(tiny: SimpleNamespace) -> None:
    loss = _Weighed()
    objective = _objective(tiny, loss=loss, weights=lambda target: target.abs() + 1)
    objective.step(np.arange(8), 0)
    target = objective.train.collate(np.arange(8), ("face",)).target[:, 0]
    assert len(loss.seen) == 3
    for weight in loss.seen:
        torch.testing.assert_close(weight, target.abs() + 1)


def test_a_step_depends_on_windows_and_epoch_alone(tiny: SimpleNamespace) -> None:
    a, b = _objective(tiny), _objective(tiny)
    torch.manual_seed(1)
    a.step(np.arange(8), 2)
    torch.manual_seed(2)
    torch.rand(100)
    b.step(np.arange(8), 2)
    assert _changed(_state(a.model), b.model) == set()


@pytest.mark.parametrize("gan", ["wgan-gp", "log"])
def test_bf16_steps_stay_finite_and_weights_float32(tiny: SimpleNamespace, gan: Any) -> None:
    objective = _objective(tiny, precision="bf16", gan=gan, temporal="luong-lstm")
    for i in range(3):
        losses = objective.step(np.arange(8) + i, 0)
        assert all(torch.isfinite(v) and v.dtype == torch.float32 for v in losses.values())
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in objective.model.parameters())
    assert np.isfinite(objective.validate()["ccc"]["mean"])


def test_validation_scores_clean_windows_whatever_the_batches(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, degradation=_Recorder(), temporal="luong-lstm")
    scores = objective.validate()
    batch = objective.validation.collate(np.arange(len(objective.validation)))
    prediction = objective.model(batch)[0][:, 0].detach().double().numpy()
    target = batch.target[:, 0].double().numpy()
    for k, name in enumerate(DIMS):
        p, y = prediction[:, k], target[:, k]
        ccc = 2 * np.cov(p, y, ddof=0)[0, 1] / (p.var() + y.var() + (p.mean() - y.mean()) ** 2)
        assert scores["ccc"][name] == pytest.approx(ccc, abs=1e-6)


@pytest.mark.parametrize("face_there", [0.0, 0.5, 1.0])
def test_validation_of_one_modality_does_not_ask_for_another(
    tiny: SimpleNamespace, face_there: float
) -> None:
    clips = tiny.clips((40, 40), learnable=True)
    for own in clips:
        own.present[:, 0] = np.arange(len(own)) % 2 < 2 * face_there
    alone = tiny.model(("voice",), fusion="none", temporal="lstm")
    windows = Windows(clips, 1)
    settings = AdversarialSettings(batch_size=8, lr=1e-3, betas=(0.5, 0.999))
    objective = Adversarial(
        alone, windows, windows, AFC(), settings, tiny.runtime("float32"), tiny.rngs, DIMS
    )
    scores = objective.validate()["ccc"]
    for own in clips:
        own.present[:] = True
    assert scores == objective.validate()["ccc"]
    assert np.isfinite(scores["mean"])


def test_a_phase_before_that_froze_parts_does_not_stay(tiny: SimpleNamespace) -> None:
    clips = tiny.clips(names=("face",))
    model = tiny.model(("face",), fusion="none", temporal="lstm")
    model.requires_grad_(False)
    settings = AdversarialSettings(batch_size=8, lr=1e-3, betas=(0.5, 0.999))
    windows = Windows(clips, 1)
    objective = Adversarial(model, windows, windows, AFC(), settings, tiny.runtime(), tiny.rngs, DIMS)
    before = {k: _state(n) for k, n in objective.networks.items()}
    objective.step(np.arange(8), 0)
    assert all(_changed(before[k], n) for k, n in objective.networks.items())


def test_it_learns_a_toy(tiny: SimpleNamespace) -> None:
    objective = _objective(tiny, temporal="none")
    first = objective.validate()["ccc"]["mean"]
    for epoch in range(12):
        for indices in objective.batches(epoch):
            losses = objective.step(indices, epoch)
    assert objective.validate()["ccc"]["mean"] > max(first, 0) + 0.3
    assert losses["g_reconstruction"] < 8
