"""Encoder `mlp`: what it standardises by, and that absent rows have no part in it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.batch import Batch
from fusekit.contracts import Tail
from fusekit.errors import RecipeError
from fusekit.nn.fusion.attention import Attention
from fusekit.nn.heads import LinearHead
from fusekit.nn.mlp import MLPEncoder, Standardise
from fusekit.nn.model import Branch, Model
from fusekit.nn.projectors import LinearProjector
from fusekit.nn.quadrants import NoQuadrant, QuadrantClassifier
from fusekit.nn.temporal.none import NoTemporal


def rows(n: int = 40, seed: int = 0) -> torch.Tensor:
    """Columns of very different size and place."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, generator=g) * torch.tensor([1.0, 1e-3, 300, 5]) + torch.tensor(
        [0, 2, 1e4, -7.0]
    )


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_statistics_are_those_of_all_rows_however_they_are_cut(cuts: list[int], seed: int) -> None:
    x = rows(sum(cuts), seed)
    module = Standardise(4).train()
    for part in x.split(cuts):
        module(part)
    module.eval()
    expected = x.double() - x.double().mean(0)
    deviation = x.double().std(0, correction=0)
    expected = expected / torch.where(deviation > 0, deviation, 1)
    torch.testing.assert_close(module(x), expected.float(), rtol=1e-4, atol=1e-4)


def test_evaluation_changes_nothing() -> None:
    module = Standardise(4)
    module.train()(rows())
    before = {k: v.clone() for k, v in module.state_dict().items()}
    module.eval()(rows(seed=1) * 9)
    for k, v in module.state_dict().items():
        assert torch.equal(v, before[k])
    assert set(before) == {"count", "mean", "squares"}


def test_rows_of_zeros_are_not_counted_and_a_constant_is_only_centred() -> None:
    x = rows()
    x[:, 3] = 0.1  # its deviation is rounding alone
    with_blanks = torch.cat([torch.zeros(7, 4), x, torch.zeros(50, 4)])
    one, other = Standardise(4).train(), Standardise(4).train()
    one(x)
    other(with_blanks)
    other(torch.zeros(5, 4))
    for a, b in zip(one.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b)
    out = one.eval()(x)
    assert out[:, 3].abs().max() < 1e-5
    assert one(x + 2.0)[:, 3].allclose(torch.full((len(x),), 2.0))


def test_before_any_training_numbers_pass_as_they_are() -> None:
    x = rows()
    torch.testing.assert_close(Standardise(4).eval()(x), x)


def test_samples_do_not_mix_once_trained() -> None:
    encoder = MLPEncoder((4,), hidden=(6, 5), dropout=0.5)
    encoder.train()(rows())
    encoder.eval()
    x = rows(seed=2)
    z = encoder(x)
    assert z.shape == (40, *encoder.out_shape) == (40, 5)
    changed = x.clone()
    changed[3] += 1
    assert (encoder(changed) != z).any(dim=1).nonzero().flatten().tolist() == [3]
    torch.testing.assert_close(encoder(x[:1]), z[:1])


def test_without_hidden_layers_it_hands_on_the_standardised_numbers() -> None:
    encoder = MLPEncoder((4,), hidden=()).train()
    z = encoder(rows())
    assert encoder.out_shape == (4,)
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_it_works_in_float32_under_autocast_too() -> None:
    encoder = MLPEncoder((4,), hidden=())
    with torch.autocast("cpu", torch.bfloat16):
        z = encoder.train()(rows())
    assert z.dtype == torch.float32  # 1e4 +- 300 has no place in eight bits
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(4), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("shape", "arguments", "said"),
    [
        ((3, 8, 8), {}, r"reads vectors \(F,\), and this reader's windows are \(3, 8, 8\)"),
        ((4,), {"hidden": (0,)}, "hidden must be widths"),
        ((4,), {"dropout": 1.0}, "dropout must be at least 0"),
    ],
)
def test_what_it_refuses(shape: tuple[int, ...], arguments: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        MLPEncoder(shape, **arguments)  # type: ignore[arg-type]


def test_in_a_model_absent_content_reaches_neither_statistics_nor_gradients() -> None:
    def model() -> Model:
        torch.manual_seed(0)
        branches = {}
        for m, width in (("head", 4), ("gaze", 3), ("light", 1)):
            encoder = MLPEncoder((width,), hidden=(6,))
            quadrant = NoQuadrant((width,), (6,)) if m == "light" else QuadrantClassifier((width,), (6,))
            branches[m] = Branch(encoder, quadrant, LinearProjector((6,), quadrant.conditioning, dim=5))
        fusion = Attention({m: b.projector.out_dim for m, b in branches.items()}, dim=7, score_dim=4)
        return Model(branches, Tail(fusion, NoTemporal(7), LinearHead(7, 2)))

    g = torch.Generator().manual_seed(1)
    present = torch.rand(5, 3, 3, generator=g) > 0.4
    clean = {
        "head": rows(15).view(5, 3, 4),
        "gaze": torch.randn(5, 3, 3, generator=g),
        "light": torch.randn(5, 3, 1, generator=g),
    }
    found = []
    for filler in (0.0, float("nan"), 1e20):
        inputs = {m: x.masked_fill(~present[..., i, None], filler) for i, (m, x) in enumerate(clean.items())}
        one = model().train()
        shape = (5, 3)
        batch = Batch(
            inputs=inputs,
            present=present,
            valid=torch.ones(shape, dtype=torch.bool),
            known=torch.ones(*shape, 2, dtype=torch.bool),
            target=torch.zeros(*shape, 2),
            quadrant=torch.zeros(shape, dtype=torch.int64),
            time=torch.zeros(shape, dtype=torch.float64),
            clip=torch.zeros(5, dtype=torch.int64),
            index=torch.arange(5),
        )
        prediction, _, trace = one(batch)
        prediction.square().sum().backward()
        grads = [p.grad for p in one.parameters() if p.grad is not None]
        found.append([prediction.detach(), trace["gate"].detach(), *grads, *one.buffers()])
        standardise = one.branches["head"].encoder.standardise
        assert int(standardise.count) == int(present[..., 0].sum())
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert torch.equal(a, b)
