"""Losses: known answers, masks by selection, finite gradients, and the rivals' defects that must stay out."""

from __future__ import annotations

import math

import audmetric
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fusekit.engine.losses import AFC, CCCLoss, MSELoss
from fusekit.errors import RecipeError

LOSSES = [AFC(), AFC(weighted_correlations=False), CCCLoss(), MSELoss()]
IDS = ["afc", "afc-unweighted", "ccc", "mse"]


def sample(n: int, seed: int = 0, k: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    y = rng.uniform(-1, 1, (n, k))
    p = 0.6 * y + 0.1 + 0.3 * rng.normal(size=(n, k))
    return torch.tensor(p, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def all_known(x: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(x, dtype=torch.bool)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_shapes_that_differ_are_not_broadcast(loss: AFC) -> None:
    p, y = sample(6)
    with pytest.raises(ValueError, match=r"a prediction \(6, 2\) for a target \(6, 1\)"):
        loss(p, y[:, :1], all_known(y[:, :1]))


@pytest.mark.parametrize("n", [2, 3, 5, 50])
@pytest.mark.parametrize("weighted", [False, True])
def test_perfect_prediction_scores_one_in_every_term_at_any_n(n: int, weighted: bool) -> None:
    """Rivals that mix n and n - 1, or weight the covariance alone, score (n-1)/n here."""
    _, y = sample(n)
    weight = torch.rand(n, 2) + 0.1 if weighted else None
    expected = math.sqrt(1e-4) - 3 * 2
    assert AFC()(y, y, all_known(y), weight).item() == pytest.approx(expected, abs=1e-5)
    assert CCCLoss()(y, y, all_known(y), weight).item() == pytest.approx(0, abs=1e-6)
    assert MSELoss()(y, y, all_known(y), weight).item() == 0


@given(n=st.integers(2, 60), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_terms_equal_independent_formulas(n: int, seed: int) -> None:
    p, y = sample(n, seed)
    assume(min(p.std(0).min(), y.std(0).min()) > 1e-2)  # what hardly varies has a rule of its own, below
    a, b = p.double().numpy(), y.double().numpy()
    rmse = math.sqrt(np.mean((a - b) ** 2) + 1e-4)
    cor = sum(np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(2))
    ccc = sum(audmetric.concordance_cc(b[:, k], a[:, k]) for k in range(2))
    icc = sum(2 * np.cov(a[:, k], b[:, k], ddof=0)[0, 1] / (a[:, k].var() + b[:, k].var()) for k in range(2))
    known = all_known(p)
    assert AFC()(p, y, known).item() == pytest.approx(rmse - cor - ccc - icc, abs=2e-4)
    assert AFC(correlations=("ccc", "icc"))(p, y, known).item() == pytest.approx(rmse - ccc - icc, abs=2e-4)
    assert AFC(correlations=())(p, y, known).item() == pytest.approx(rmse, abs=1e-5)
    assert CCCLoss()(p, y, known).item() == pytest.approx(1 - ccc / 2, abs=1e-4)


def test_labels_that_hardly_vary_say_nothing_about_correlation() -> None:
    p, y = sample(2, seed=686)
    assert y[:, 0].std() < 1e-4 < y[:, 1].std()
    similarity = AFC(correlations=())(p, y, all_known(p)) - AFC(correlations=("cor",))(p, y, all_known(p))
    assert similarity.item() == pytest.approx(np.corrcoef(p[:, 1], y[:, 1])[0, 1], abs=1e-5)


def test_integer_weights_equal_repeated_samples() -> None:
    p, y = sample(12, seed=3)
    times = torch.tensor([1, 3, 2, 1, 0, 1, 2, 1, 1, 4, 1, 1])
    weight = times.float()[:, None].expand(12, 2)
    rows = torch.repeat_interleave(torch.arange(12), times)
    repeated = CCCLoss()(p[rows], y[rows], all_known(p[rows]))
    assert CCCLoss()(p, y, all_known(p), weight).item() == pytest.approx(repeated.item(), abs=1e-6)
    no_rmse = AFC()(p, y, all_known(p), weight) - AFC(correlations=())(p, y, all_known(p), weight)
    expected = AFC()(p[rows], y[rows], all_known(p[rows])) - AFC(correlations=())(
        p[rows], y[rows], all_known(p[rows])
    )
    assert no_rmse.item() == pytest.approx(expected.item(), abs=1e-5)


def test_unweighted_correlations_let_weights_into_the_rmse_alone() -> None:
    p, y = sample(20)
    weight = torch.rand(20, 2) * 2
    plain = AFC()(p, y, all_known(p)) - AFC(correlations=())(p, y, all_known(p))
    loss = AFC(weighted_correlations=False)(p, y, all_known(p), weight)
    assert (loss - AFC(correlations=())(p, y, all_known(p), weight)).item() == pytest.approx(
        plain.item(), abs=1e-5
    )
    assert AFC()(p, y, all_known(p), weight).item() != pytest.approx(loss.item(), abs=1e-3)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_unknown_entries_never_matter_even_when_nan(loss: torch.nn.Module, weighted: bool) -> None:
    p, y = sample(30)
    known = torch.rand(30, 2) > 0.4
    weight = torch.rand(30, 2) + 0.5 if weighted else None
    values, gradients = [], []
    for fill in (0.0, 7.0, math.nan, math.inf):
        q = p.masked_fill(~known, fill).requires_grad_()
        w = None if weight is None else weight.masked_fill(~known, fill)
        out = loss(q, y.masked_fill(~known, fill), known, w)
        out.backward()
        values.append(out.item())
        gradients.append(q.grad)
    assert values[1:] == values[:1] * 3
    for gradient in gradients:
        assert torch.equal(gradient, gradients[0])
        assert (gradient[~known] == 0).all()
        assert gradient[known].abs().sum() > 0


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_masking_equals_leaving_the_rows_out(loss: torch.nn.Module) -> None:
    p, y = sample(30)
    keep = torch.arange(30) % 3 != 0
    known = keep[:, None].expand(30, 2)
    left_out = loss(p[keep], y[keep], all_known(p[keep]))
    assert loss(p, y, known).item() == pytest.approx(left_out.item(), abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
@pytest.mark.parametrize(
    "case", ["constant p", "constant y", "both", "nearly", "one known", "none known", "equal", "N=0"]
)
def test_degenerate_input_gives_finite_values_and_gradients(loss: torch.nn.Module, case: str) -> None:
    p, y = sample(16)
    known = all_known(p)
    if case in ("constant p", "both"):
        p = torch.full_like(p, 0.3)
    if case in ("constant y", "both"):
        y = torch.full_like(y, -0.7)
    if case == "nearly":
        p = 0.3 + 1e-7 * p
    if case == "equal":
        p = y = torch.full_like(p, 0.1)
    if case == "one known":
        known = torch.zeros_like(known)
        known[3] = True
    if case == "none known":
        known = torch.zeros_like(known)
    if case == "N=0":
        p, y, known = p[:0], y[:0], known[:0]
    p = p.clone().requires_grad_()
    out = loss(p, y, known)
    out.backward()
    assert torch.isfinite(out)
    assert torch.isfinite(p.grad).all()
    if case in ("none known", "N=0"):
        assert out.item() == 0


def test_dimension_without_spread_adds_nothing_and_the_other_is_untouched() -> None:
    p, y = sample(16)
    flat = y.clone()
    flat[:, 1] = 0.25
    both = AFC()(p, flat, all_known(p)) - AFC(correlations=())(p, flat, all_known(p))
    first = AFC()(p[:, :1], y[:, :1], all_known(p[:, :1])) - AFC(correlations=())(
        p[:, :1], y[:, :1], all_known(p[:, :1])
    )
    assert both.item() == pytest.approx(first.item(), abs=1e-6)
    assert CCCLoss()(p, flat, all_known(p)).item() == pytest.approx(
        CCCLoss()(p[:, :1], y[:, :1], all_known(p[:, :1])).item(), abs=1e-6
    )
    q = p.clone().requires_grad_()
    CCCLoss()(q, flat, all_known(p)).backward()
    assert (q.grad[:, 1] == 0).all()


def test_constant_prediction_is_pushed_towards_the_labels() -> None:
    """A head that starts at zero must be able to leave it."""
    _, y = sample(32)
    p = torch.zeros_like(y).requires_grad_()
    AFC()(p, y, all_known(y)).backward()
    assert torch.corrcoef(torch.stack([-p.grad[:, 0], y[:, 0]]))[0, 1] > 0.99


def test_gradient_is_right() -> None:
    p, y = sample(7)
    weight = torch.rand(7, 2, dtype=torch.float64) + 0.5
    known = torch.rand(7, 2) > 0.2
    for loss in LOSSES:
        assert torch.autograd.gradcheck(
            lambda q, loss=loss: loss(q, y.double(), known, weight), (p.double().requires_grad_(),), atol=1e-6
        )


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_float32_inside_under_autocast(loss: torch.nn.Module) -> None:
    p, y = sample(64)
    p16 = p.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = loss(p16, y, all_known(p))
    assert out.dtype == torch.float32
    assert torch.equal(out, loss(p16.float(), y, all_known(p)))


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_order_of_samples_does_not_matter(loss: torch.nn.Module) -> None:
    p, y = sample(40)
    order = torch.randperm(40)
    assert loss(p, y, all_known(p)).item() == pytest.approx(
        loss(p[order], y[order], all_known(p)).item(), abs=1e-5
    )


@pytest.mark.parametrize("bad", [("pearson",), ("ccc", "ccc"), "ccc"])
def test_bad_correlations_are_named(bad: object) -> None:
    with pytest.raises(RecipeError, match="cor, ccc, icc"):
        AFC(correlations=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", [AFC, CCCLoss])
def test_eps_must_be_positive(loss: type[AFC] | type[CCCLoss]) -> None:
    with pytest.raises(RecipeError, match="above 0"):
        loss(eps=0.0)
