from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fusekit.contracts import State, Temporal
from fusekit.nn.temporal.lstm import LSTM
from fusekit.nn.temporal.luong import LuongLSTM
from fusekit.nn.temporal.none import NoTemporal

SCORES = ("location", "pair", "dot", "general", "concat")
KINDS = ("none", "lstm", *SCORES)
D, H = 5, 4


def _make(kind: str, memory: int = 3, **more: Any) -> Temporal:
    torch.manual_seed(0)
    if kind == "none":
        return NoTemporal(D)
    if kind == "lstm":
        return LSTM(D, dim=H)
    head = LuongLSTM(D, dim=H, memory=memory, score=kind, **more)  # type: ignore[arg-type]
    with torch.no_grad():  # far from uniform weights
        for p in head.weigh.parameters():
            p.mul_(20)
    return head


def _x(batch: int = 3, steps: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(batch, steps, D, generator=torch.Generator().manual_seed(seed))


def _all(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


every_kind = pytest.mark.parametrize("kind", KINDS)
every_score = pytest.mark.parametrize("score", SCORES)


def test_counts_of_spec_1_6() -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    with torch.device("meta"):
        assert count(LSTM(512)) == 1_312_768
        heads = {s: LuongLSTM(512, score=s) for s in SCORES}  # type: ignore[arg-type]
        assert {s: count(h.weigh) for s, h in heads.items()} == {
            "location": 512,
            "pair": 1_025,
            "dot": 0,
            "general": 512 * 512,
            "concat": 1024 * 256 + 256,
        }
        assert count(heads["pair"].cell) == 1_312_768
        projected = LuongLSTM(512, score="pair", project_context=True)
        assert count(projected.weigh) + count(projected.context) == 263_681


@every_kind
def test_a_clip_streamed_step_by_step_equals_the_clip_at_once(kind: str) -> None:
    head, x = _make(kind), _x(steps=9)
    whole, last, trace = head(x, _all(x))
    assert whole.shape == (3, 9, head.out_dim)
    state: State | None = None
    for t in range(9):
        step = x[:, t : t + 1]
        y, state, seen = head(step, _all(step), None, state)
        torch.testing.assert_close(y[:, 0], whole[:, t])
        for name, value in seen.items():
            torch.testing.assert_close(value[:, 0], trace[name][:, t])
    assert state is not None
    assert state.keys() == last.keys()
    for name, value in state.items():
        torch.testing.assert_close(value, last[name])


@every_kind
def test_the_start_state_given_equals_none_given(kind: str) -> None:
    head, x = _make(kind), _x()
    y, _, _ = head(x, _all(x), None, head.init_state(3))
    torch.testing.assert_close(y, head(x, _all(x))[0], rtol=0, atol=0)


@every_kind
def test_the_past_matters_the_future_does_not_and_samples_never_mix(kind: str) -> None:
    head, x = _make(kind), _x()
    before = head(x, _all(x))[0]
    changed = x.clone()
    changed[1, 2] += 2.0
    touched = (head(changed, _all(x))[0] != before).any(-1)
    assert not touched[[0, 2]].any()
    assert touched[1].tolist() == [False, False, True] + [kind != "none"] * 3
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(head(x[order], _all(x))[0], before[order])


@every_kind
@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=2, max_size=3),
    front=st.booleans(),
    extra=st.integers(0, 3),
    filler=st.sampled_from([0.0, 1e30, float("nan")]),
)
def test_padding_of_any_amount_and_content_changes_nothing(
    kind: str, lengths: list[int], front: bool, extra: int, filler: float
) -> None:
    head = _make(kind)
    steps = max(lengths) + extra
    x = torch.full((len(lengths), steps, D), filler)
    valid = torch.zeros(len(lengths), steps, dtype=torch.bool)
    alone = []
    for i, n in enumerate(lengths):
        at = slice(steps - n, steps) if front else slice(0, n)
        own = _x(1, n, seed=i)
        x[i, at], valid[i, at] = own[0], True
        alone.append(head(own, _all(own)))
    y, state, trace = head(x, valid)
    for i, (own_y, own_state, own_trace) in enumerate(alone):
        torch.testing.assert_close(y[i][valid[i]], own_y[0])
        for name, value in own_state.items():
            torch.testing.assert_close(state[name][i : i + 1], value)
        for name, value in own_trace.items():
            torch.testing.assert_close(trace[name][i][valid[i]], value[0])
    head.zero_grad()
    if kind != "none":
        y[valid].square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@every_score
def test_weights_sum_to_one_over_the_states_present(score: str) -> None:
    head, x = _make(score), _x(steps=6)
    weights = head(x, _all(x))[2]["attention"]
    assert weights.shape == (3, 6, 3)
    assert not weights[:, 0].any()  # the first step has nothing to look at
    torch.testing.assert_close(weights[:, 1], torch.tensor([0.0, 0.0, 1.0]).expand(3, 3))
    assert not weights[:, 2, 0].any()
    torch.testing.assert_close(weights[:, 1:].sum(-1), torch.ones(3, 5))
    assert (weights >= 0).all()
    assert weights[:, 3:].std(-1).min() > 1e-4  # not the plain mean


@every_score
def test_a_memory_of_one_has_weight_one(score: str) -> None:
    head, x = _make(score, memory=1), _x(steps=4)
    weights = head(x, _all(x))[2]["attention"]
    torch.testing.assert_close(weights[:, 1:], torch.ones(3, 3, 1), rtol=0, atol=0)
    # ... and then the context is the previous state, which is what the plain LSTM is fed.
    plain = LSTM(D, dim=H)
    assert isinstance(head, LuongLSTM)
    plain.cell.load_state_dict(head.cell.state_dict())
    torch.testing.assert_close(head(x, _all(x))[0], plain(x, _all(x))[0])


@every_score
def test_each_step_follows_the_equations(score: str) -> None:
    """Spec 1.6 steps 2-5, written plainly, one sample at a time."""
    head, x = _make(score), _x(2, 6)
    assert isinstance(head, LuongLSTM)
    y, _, trace = head(x, _all(x))

    def e(query: Tensor, key: Tensor) -> Tensor:
        if score == "dot":
            return query @ key
        if score == "location":
            return head.weigh.weight[0] @ key
        if score == "general":
            return query @ (head.weigh.weight @ key)
        pair = torch.cat([query, key])
        if score == "pair":
            return head.weigh.weight[0] @ pair + head.weigh.bias[0]
        return head.weigh[2].weight[0] @ torch.tanh(head.weigh[0].weight @ pair)

    for b in range(2):
        h, c, past = torch.zeros(H), torch.zeros(H), []
        for t in range(6):
            context = torch.zeros(2 * H)
            if past:
                query = torch.cat([h, c])
                weights = torch.stack([e(query, s) for s in past]).softmax(0)
                context = (weights[:, None] * torch.stack(past)).sum(0)
                torch.testing.assert_close(trace["attention"][b, t, -len(past) :], weights)
            h, c = (v[0] for v in head.cell(torch.cat([x[b, t], context])[None], (h[None], c[None])))
            past = [*past, torch.cat([h, c])][-3:]
            torch.testing.assert_close(y[b, t], h)


def test_the_plain_lstm_is_fed_its_own_state() -> None:
    head, x = _make("lstm"), _x(1, 3)
    assert isinstance(head, LSTM)
    h = c = torch.zeros(1, H)
    for t in range(3):
        h, c = head.cell(torch.cat([x[:, t], h, c], -1), (h, c))
    torch.testing.assert_close(head(x, _all(x))[0][:, -1], h)


@every_score
def test_every_parameter_learns_but_the_query_half_of_a_pair_score(score: str) -> None:
    head, x = _make(score, project_context=True), _x(8, 5)
    assert isinstance(head, LuongLSTM)
    y = head(x, _all(x))[0]
    (y * torch.randn_like(y)).sum().backward()
    dead = {n for n, p in head.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-7}
    if score != "pair":
        assert dead == set()
        return
    # The query's term and the bias are equal for all states and cancel in the softmax (spec 1.6).
    assert dead == {"weigh.bias"}
    grad = head.weigh.weight.grad
    assert isinstance(grad, Tensor)
    assert grad[0, : 2 * H].abs().max() < 1e-7
    assert grad[0, 2 * H :].abs().min() > 1e-6


def test_a_pair_score_equals_the_location_score_of_its_key_half() -> None:
    pair, location = _make("pair"), _make("location")
    assert isinstance(pair, LuongLSTM)
    assert isinstance(location, LuongLSTM)
    location.cell.load_state_dict(pair.cell.state_dict())
    with torch.no_grad():
        location.weigh.weight.copy_(pair.weigh.weight[:, 2 * H :])
    x = _x()
    torch.testing.assert_close(pair(x, _all(x))[0], location(x, _all(x))[0])


def test_the_history_is_in_time_order_and_per_sample() -> None:
    # The authors reshape (n, batch, 2H) to (batch, n, 2H), which mixes samples (spec 7 no. 16).
    head, x = _make("location"), _x(2, 5)
    y, state, _ = head(x, _all(x))
    torch.testing.assert_close(state["history"][..., :H], y[:, -3:])
    assert state["filled"].all()
    assert state["history"].shape == (2, 3, 2 * H)


@pytest.mark.parametrize("kind", ["lstm", "location", "general"])
def test_bf16_autocast_runs_and_stays_close(kind: str) -> None:
    head, x = _make(kind), _x()
    with torch.autocast("cpu", torch.bfloat16):
        y, state, _ = head(x.bfloat16(), _all(x))
        more, _, _ = head(x.bfloat16(), _all(x), None, state)
    torch.testing.assert_close(y.float(), head(x, _all(x))[0], rtol=0, atol=0.06)
    assert torch.isfinite(more).all()


@pytest.mark.parametrize("kind", ["lstm", "location"])
def test_one_streaming_step_exports(kind: str) -> None:
    head, x = _make(kind).eval(), _x(1, 1)
    valid, state = _all(x), dict(head.init_state(1))
    program = torch.export.export(head, (x, valid, {}, state), strict=False)
    y, after, _ = program.module()(x, valid, {}, state)
    expected, expected_state, _ = head(x, valid, {}, state)
    torch.testing.assert_close(y, expected)
    for name in expected_state:
        torch.testing.assert_close(after[name], expected_state[name])
