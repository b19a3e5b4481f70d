from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fusekit.contracts import Fusion
from fusekit.errors import RecipeError
from fusekit.nn.fusion.attention import Attention
from fusekit.nn.fusion.concat import Concat
from fusekit.nn.fusion.gmu import GMU
from fusekit.nn.fusion.single import SingleModality

WIDTHS = {"face": 5, "voice": 3, "ecg": 4}


def _make(kind: str, widths: dict[str, int] | None = None) -> Fusion:
    widths = WIDTHS if widths is None else widths
    torch.manual_seed(0)
    if kind == "single":
        first = next(iter(widths))
        return SingleModality({first: widths[first]})
    if kind == "attention":
        return Attention(widths, dim=6, score_dim=5)
    return Concat(widths) if kind == "concat" else GMU(widths, dim=6, gate=kind)  # type: ignore[arg-type]


def _feats(fusion: Fusion, batch: int = 4, steps: int = 3) -> dict[str, Tensor]:
    return {m: torch.randn(batch, steps, WIDTHS[m]) for m in fusion.names}


def _all(fusion: Fusion, batch: int = 4, steps: int = 3) -> Tensor:
    return torch.ones(batch, steps, len(fusion.names), dtype=torch.bool)


every_kind = pytest.mark.parametrize("kind", ["single", "concat", "scalar", "vector", "attention"])
joining = pytest.mark.parametrize("kind", ["concat", "scalar", "vector", "attention"])


def test_counts_of_spec_1_8() -> None:
    with torch.device("meta"):
        widths = {"face": 256, "voice": 256}
        scalar = sum(p.numel() for n, p in GMU(widths).named_parameters() if n != "empty")
        reading_c = sum(
            p.numel() for n, p in GMU(widths, dim=256, gate="vector").named_parameters() if n != "empty"
        )
    assert scalar == 262_656
    assert reading_c == 262_144


def test_two_modalities_are_the_paper_s_equations() -> None:
    fusion = GMU({"face": 5, "voice": 3}, dim=6)
    f, s = torch.randn(2, 3, 5), torch.randn(2, 3, 3)
    fused, state, trace = fusion({"face": f, "voice": s}, torch.ones(2, 3, 2, dtype=torch.bool))
    w_v, w_s = fusion.hidden["face"].weight, fusion.hidden["voice"].weight
    g = torch.sigmoid(torch.cat([f, s], -1) @ fusion.gate.weight.T)
    torch.testing.assert_close(fused, g * torch.tanh(f @ w_v.T) + (1 - g) * torch.tanh(s @ w_s.T))
    torch.testing.assert_close(trace["gate"], torch.cat([g, 1 - g], -1))
    assert state == {}


def test_a_vector_gate_works_unit_by_unit_and_traces_its_mean() -> None:
    fusion = GMU({"face": 5, "voice": 3}, dim=6, gate="vector")
    f, s = torch.randn(2, 3, 5), torch.randn(2, 3, 3)
    fused, _, trace = fusion({"face": f, "voice": s}, torch.ones(2, 3, 2, dtype=torch.bool))
    g = torch.sigmoid(torch.cat([f, s], -1) @ fusion.gate.weight.T)
    assert g.shape == (2, 3, 6)
    expected = g * torch.tanh(fusion.hidden["face"](f)) + (1 - g) * torch.tanh(fusion.hidden["voice"](s))
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(trace["gate"][..., 0], g.mean(-1))


@pytest.mark.parametrize(("sign", "heard"), [(1.0, "face"), (-1.0, "voice")])
def test_a_gate_forced_open_hides_the_other_modality(sign: float, heard: str) -> None:
    fusion = GMU({"face": 5, "voice": 3}, dim=6)
    with torch.no_grad():
        fusion.gate.weight.zero_()
        fusion.gate.weight[0, 0] = sign * 1e4  # the face's first feature, which is 1 below, decides
    present = torch.ones(2, 3, 2, dtype=torch.bool)
    feats = {"face": torch.randn(2, 3, 5), "voice": torch.randn(2, 3, 3)}
    feats["face"][..., 0] = 1.0
    fused, _, trace = fusion(feats, present)
    assert trace["gate"][..., 0].unique().tolist() == [1.0 if heard == "face" else 0.0]
    other = "voice" if heard == "face" else "face"
    changed = dict(feats)
    changed[other] = torch.randn_like(feats[other])
    if other == "face":
        changed[other][..., 0] = 1.0
    torch.testing.assert_close(fusion(changed, present)[0], fused, rtol=0, atol=0)
    changed[heard] = feats[heard] + torch.tensor([0.0, 1, 1, 1, 1])[: feats[heard].shape[-1]]
    assert not torch.allclose(fusion(changed, present)[0], fused)


@pytest.mark.parametrize("gate", ["scalar", "vector"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_gates_sum_to_one_over_whatever_is_present(gate: Any, count: int) -> None:
    names = [f"m{i}" for i in range(count)]
    fusion = GMU(dict.fromkeys(names, 4), dim=6, gate=gate)
    present = torch.tensor([[bool(i & 1 << k) for k in range(count)] for i in range(1, 2**count)])[None]
    feats = {m: torch.randn(1, present.shape[1], 4) for m in names}
    weights = fusion(feats, present)[2]["gate"]
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, present.shape[1]))
    assert not weights[~present].any()
    assert (weights[present] > 0).all()


@every_kind
@settings(max_examples=20, deadline=None)
@given(
    pattern=st.lists(st.booleans(), min_size=9, max_size=9),
    filler=st.sampled_from([0.0, 1e30, float("nan"), float("inf")]),
)
def test_absent_content_changes_neither_value_nor_gradient(
    kind: str, pattern: list[bool], filler: float
) -> None:
    fusion = _make(kind)
    present = torch.tensor(pattern)[: 3 * len(fusion.names)].view(1, 3, -1)
    clean = _feats(fusion, 1)
    dirty = {m: x.clone() for m, x in clean.items()}
    for i, m in enumerate(fusion.names):
        dirty[m][~present[..., i]] = filler
    grads = []
    for feats in (clean, dirty):
        leaves = {m: x.requires_grad_() for m, x in feats.items()}
        fusion.zero_grad()
        fused, _, trace = fusion(leaves, present)
        (fused.square().sum() + fused.sum()).backward()
        grads.append(
            [
                fused.detach(),
                *trace.values(),
                *(p.grad for p in fusion.parameters()),
                *(x.grad for x in leaves.values()),
            ]
        )
    for a, b in zip(*grads, strict=True):
        assert a is not None
        assert b is not None
        assert torch.isfinite(b).all()
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@every_kind
def test_nothing_present_gives_the_learned_vector_alone(kind: str) -> None:
    fusion = _make(kind)
    empty = fusion.empty
    assert isinstance(empty, torch.nn.Parameter)
    with torch.no_grad():
        empty.copy_(torch.arange(len(empty)) + 1.0)
    present = _all(fusion)
    present[1, 2] = False
    fused, _, trace = fusion(_feats(fusion), present)
    torch.testing.assert_close(fused[1, 2], empty.detach())
    assert not torch.isclose(fused[0], empty).all(-1).any()
    if "gate" in trace:
        assert not trace["gate"][1, 2].any()
    fused.sum().backward()
    torch.testing.assert_close(empty.grad, torch.ones_like(empty))


@every_kind
def test_out_dim_is_honest_samples_and_steps_never_mix(kind: str) -> None:
    fusion = _make(kind)
    feats, present = _feats(fusion), _all(fusion)
    present[0, 1, 0] = False
    fused, _, _ = fusion(feats, present)
    assert fused.shape == (4, 3, fusion.out_dim)
    changed = {m: x.clone() for m, x in feats.items()}
    for x in changed.values():
        x[2, 1] += 1.0
    touched = (fusion(changed, present)[0] != fused).any(-1)
    assert touched.nonzero().tolist() == [[2, 1]]


@every_kind
def test_every_parameter_learns(kind: str) -> None:
    fusion = _make(kind)
    present = _all(fusion)
    present[0, 0] = False
    fused, _, _ = fusion(_feats(fusion), present)
    (fused * torch.randn_like(fused)).sum().backward()
    assert [n for n, p in fusion.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_names_decide_not_the_order_of_the_mapping() -> None:
    for kind in ("concat", "scalar", "attention"):
        fusion = _make(kind)
        feats, present = _feats(fusion), _all(fusion)
        torch.testing.assert_close(
            fusion(dict(reversed(feats.items())), present)[0], fusion(feats, present)[0], rtol=0, atol=0
        )


def test_one_modality_fills_the_slot_with_zeros() -> None:
    wide, compact = SingleModality({"face": 5}), SingleModality({"face": 5}, compact=True)
    f = torch.randn(2, 3, 5)
    present = torch.ones(2, 3, 1, dtype=torch.bool)
    fused = wide({"face": f}, present)[0]
    assert (wide.out_dim, compact.out_dim) == (10, 5)
    torch.testing.assert_close(fused, torch.cat([f, torch.zeros_like(f)], -1))
    torch.testing.assert_close(compact({"face": f}, present)[0], f)


def test_concat_joins_in_the_order_given() -> None:
    fusion = Concat({"face": 5, "voice": 3})
    f, s = torch.randn(1, 2, 5), torch.randn(1, 2, 3)
    present = torch.tensor([[[True, True], [True, False]]])
    expected = torch.cat([f, s * present[..., 1:]], -1)
    torch.testing.assert_close(fusion({"face": f, "voice": s}, present)[0], expected)


def test_the_wrong_number_of_modalities_is_a_clear_fault() -> None:
    with pytest.raises(RecipeError, match=r"face, voice.*concat"):
        SingleModality({"face": 5, "voice": 3})
    for one in (GMU, Attention):
        with pytest.raises(RecipeError, match="none"):
            one({"face": 5})
    with pytest.raises(RecipeError, match="dim and score_dim"):
        Attention(WIDTHS, dim=0)


def test_standardised_features_do_not_know_how_loud_they_were() -> None:
    torch.manual_seed(0)
    fusions = [
        SingleModality({"face": 5}, standardise=True),
        Concat(WIDTHS, standardise=True),
        GMU(WIDTHS, dim=6, standardise=True),
    ]
    for fusion in fusions:
        feats, present = _feats(fusion), _all(fusion)
        louder = {m: 100 * x + 7 for m, x in feats.items()}
        plain, _, _ = fusion(feats, present)
        torch.testing.assert_close(fusion(louder, present)[0], plain, rtol=1e-3, atol=1e-3)
        # Absent content is never read, nor its gradient.
        present[:, 1, 0] = False
        feats[fusion.names[0]] = feats[fusion.names[0]].index_fill(1, torch.tensor([1]), float("nan"))
        feats[fusion.names[0]].requires_grad_()
        fused = fusion(feats, present)[0]
        fused.sum().backward()
        assert fused.isfinite().all()
        gradient = feats[fusion.names[0]].grad
        assert gradient is not None
        assert gradient.isfinite().all()


def test_attention_is_the_equations_of_its_page() -> None:
    fusion = _make("attention")
    assert isinstance(fusion, Attention)
    feats, present = _feats(fusion), _all(fusion)
    present[1, 1, 2] = False
    scores, values = [], []
    for m in fusion.names:
        w, v = fusion.value[m], fusion.key[m]
        values.append(feats[m] @ w.weight.T + w.bias)
        scores.append(torch.tanh(feats[m] @ v.weight.T + v.bias) @ fusion.score.weight[0])
    odds = torch.stack(scores, -1).exp() * present
    weights = odds / odds.sum(-1, keepdim=True)
    fused, state, trace = fusion(feats, present)
    torch.testing.assert_close(trace["gate"], weights)
    torch.testing.assert_close(fused, (weights[..., None] * torch.stack(values, -2)).sum(-2))
    assert state == {}


SEVERAL = {"face": 5, "voice": 3, "ecg": 4, "text": 2, "gaze": 6}


def _several(kind: str, count: int) -> tuple[Fusion, dict[str, Tensor]]:
    widths = dict(list(SEVERAL.items())[:count])
    g = torch.Generator().manual_seed(count)
    return _make(kind, widths), {m: torch.randn(2, 4, d, generator=g) for m, d in widths.items()}


def _reordered(fusion: Fusion, kind: str, order: list[str]) -> Fusion:
    """The same operator with its modalities in another order, and their weights with them."""
    other = _make(kind, {m: SEVERAL[m] for m in order})
    state = {k: v.clone() for k, v in fusion.state_dict().items()}
    starts = dict(zip(fusion.names, np.cumsum([0, *(SEVERAL[m] for m in fusion.names)]), strict=False))
    columns = torch.cat([torch.arange(starts[m], starts[m] + SEVERAL[m]) for m in order])
    if isinstance(fusion, GMU):
        # The last modality's logit is 0: another last one only moves all logits by the same.
        rows = state["gate.weight"].view(len(order) - 1, fusion.units, -1)
        rows = torch.cat([rows, torch.zeros_like(rows[:1])])[[fusion.names.index(m) for m in order]]
        state["gate.weight"] = (rows[:-1] - rows[-1:]).flatten(0, 1)[:, columns]
    if isinstance(fusion, Concat):
        state["empty"] = state["empty"][columns]
    other.load_state_dict(state)
    return other


@joining
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_order_of_several_modalities_is_no_matter(kind: str, count: int) -> None:
    fusion, feats = _several(kind, count)
    order = [*fusion.names][::-1]
    order = [*order[1:], order[0]]
    other = _reordered(fusion, kind, order)
    g = torch.Generator().manual_seed(7)
    present = torch.rand(2, 4, count, generator=g) > 0.3
    moved = present[..., [fusion.names.index(m) for m in order]]
    fused, _, trace = fusion(feats, present)
    again, _, traced = other(feats, moved)
    if kind == "concat":  # its vector is the modalities in their order
        again = torch.cat([dict(zip(order, again.split([SEVERAL[m] for m in order], -1), strict=True))[m]
                           for m in fusion.names], -1)  # fmt: skip
    torch.testing.assert_close(again, fused)
    if "gate" in trace:
        back = traced["gate"][..., [order.index(m) for m in fusion.names]]
        torch.testing.assert_close(back, trace["gate"])


@joining
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_of_several_modalities_absent_ones_change_nothing_and_one_is_enough(kind: str, count: int) -> None:
    fusion, feats = _several(kind, count)
    present = torch.zeros(2, 4, count, dtype=torch.bool)
    for t in range(4):
        present[:, t, t % count] = True  # one alone at each step
    present[1, :, 0] = True
    dirty = {m: x.masked_fill(~present[..., i, None], float("nan")) for i, (m, x) in enumerate(feats.items())}
    fused, _, trace = fusion(feats, present)
    again, _, traced = fusion(dirty, present)
    assert torch.equal(again, fused)
    assert fused.isfinite().all()
    if "gate" in trace:
        assert torch.equal(trace["gate"], traced["gate"])
        torch.testing.assert_close(trace["gate"][0], present[0].float())
    first = fusion.names[0]
    if kind in ("scalar", "vector"):
        torch.testing.assert_close(fused[0, 0], torch.tanh(fusion.hidden[first](feats[first][0, 0])))
    elif kind == "attention":
        torch.testing.assert_close(fused[0, 0], fusion.value[first](feats[first][0, 0]))
    else:
        torch.testing.assert_close(fused[0, 0, : SEVERAL[first]], feats[first][0, 0])
        assert not fused[0, 0, SEVERAL[first] :].any()
