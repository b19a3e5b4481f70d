from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fusekit.batch import Batch
from fusekit.contracts import Latent, State, Trace
from fusekit.nn.discriminator import quadrant_of
from fusekit.nn.model import Model

CASES = [
    (("face",), "none", "luong-lstm"),
    (("face",), "none", "none"),
    (("face", "voice"), "concat", "lstm"),
    (("face", "voice"), "gmu", "luong-lstm"),
    (("face", "voice", "ecg"), "gmu", "lstm"),
]
every_case = pytest.mark.parametrize(("names", "fusion", "temporal"), CASES)


def _latents(model: Model, batch: Batch) -> dict[str, Latent]:
    return model.latents(batch.inputs, batch.present)


@every_case
def test_shapes_and_trace(tiny: SimpleNamespace, names: tuple[str, ...], fusion: str, temporal: str) -> None:
    model = tiny.model(names, fusion=fusion, temporal=temporal, targets=3)
    prediction, state, trace = model(tiny.batch(2, 5, names))
    assert prediction.shape == (2, 5, 3)
    assert ("gate" in trace) == (fusion == "gmu")
    assert ("attention" in trace) == (temporal == "luong-lstm")
    if "gate" in trace:
        assert trace["gate"].shape == (2, 5, len(names))
    if "attention" in trace:
        assert trace["attention"].shape == (2, 5, 8)
    assert all(v.shape[0] == 2 for v in state.values())


@every_case
def test_samples_never_mix_and_time_runs_along_the_right_axis(
    tiny: SimpleNamespace, names: tuple[str, ...], fusion: str, temporal: str
) -> None:
    """A rival's recurrence runs over the batch: clip 0 alters clip 1, step 0 leaves later steps alone."""
    model, batch = tiny.model(names, fusion=fusion, temporal=temporal), tiny.batch(3, 4, names)
    before = model(batch)[0]
    order = torch.tensor([1, 2, 0])
    shuffled = replace(batch, inputs={m: x[order] for m, x in batch.inputs.items()})
    torch.testing.assert_close(model(shuffled)[0], before[order])
    for m in names:
        inputs = {k: x.clone() for k, x in batch.inputs.items()}
        inputs[m][0, 1] = inputs[m][0, 1].flip(-1)
        change = (model(replace(batch, inputs=inputs))[0] - before).abs().amax(-1)
        assert change[1:].max() < 1e-6
        assert change[0, 0] < 1e-6
        assert change[0, 1] > 1e-6
        assert (change[0, 2:] > 1e-7).all() == (temporal != "none")


@pytest.mark.parametrize("filler", [float("nan"), float("inf"), 7.0])
@pytest.mark.parametrize("fusion", ["concat", "gmu"])
def test_content_of_absent_modalities_changes_neither_value_nor_gradient(
    tiny: SimpleNamespace, fusion: str, filler: float
) -> None:
    model, batch = tiny.model(fusion=fusion), tiny.batch(3, 4)
    batch.present[0, :, 1] = False
    batch.present[1, 2, 0] = False
    batch.present[2, 1] = False  # nothing at all
    found = []
    for value in (0.0, filler):
        inputs = {m: x.clone() for m, x in batch.inputs.items()}
        for i, m in enumerate(tiny.names):
            inputs[m][~batch.present[..., i]] = value
        model.zero_grad()
        prediction, _, trace = model(replace(batch, inputs=inputs))
        prediction.square().sum().backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        found.append([prediction.detach(), trace.get("gate", prediction).detach(), *grads])
    for a, b in zip(*found, strict=True):
        assert torch.isfinite(b).all()
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@settings(max_examples=8, deadline=None)
@given(extra=st.integers(1, 4), filler=st.sampled_from([0.0, float("nan"), 5.0]))
def test_padding_of_any_amount_and_content_changes_nothing(
    tiny: SimpleNamespace, extra: int, filler: float
) -> None:
    model, batch = tiny.model(), tiny.batch(2, 3)

    def pad(x: Tensor, value: float | bool) -> Tensor:
        return torch.cat([x, x.new_full((2, extra, *x.shape[2:]), value)], dim=1)

    padded = replace(
        batch,
        inputs={m: pad(x, filler) for m, x in batch.inputs.items()},
        present=pad(batch.present, False),
        valid=pad(batch.valid, False),
    )
    prediction, state, trace = model(batch)
    with_padding, padded_state, padded_trace = model(padded)
    torch.testing.assert_close(with_padding[:, :3], prediction)
    assert torch.isfinite(with_padding).all()
    for name in state:
        torch.testing.assert_close(padded_state[name], state[name])
    for name in trace:
        torch.testing.assert_close(padded_trace[name][:, :3], trace[name])


@every_case
def test_streaming_with_state_equals_the_whole_clip_at_once(
    tiny: SimpleNamespace, names: tuple[str, ...], fusion: str, temporal: str
) -> None:
    model, batch = tiny.model(names, fusion=fusion, temporal=temporal), tiny.batch(2, 12, names)
    batch.present[0, 3:6, 0] = False
    whole, last, trace = model(batch)
    state: State | None = None
    for t in range(12):
        at = slice(t, t + 1)
        step = replace(
            batch,
            inputs={m: x[:, at] for m, x in batch.inputs.items()},
            present=batch.present[:, at],
            valid=batch.valid[:, at],
        )
        prediction, state, seen = model(step, state)
        torch.testing.assert_close(prediction[:, 0], whole[:, t], rtol=0, atol=1e-5)
        for name in trace:
            torch.testing.assert_close(seen[name][:, 0], trace[name][:, t], rtol=0, atol=1e-5)
    assert state is not None
    for name in last:
        torch.testing.assert_close(state[name], last[name])


@every_case
@pytest.mark.parametrize("steps", [1, 4, 8])
def test_predict_last_equals_a_loop_over_windows_from_zero_state(
    tiny: SimpleNamespace, names: tuple[str, ...], fusion: str, temporal: str, steps: int
) -> None:
    model, clip = tiny.model(names, fusion=fusion, temporal=temporal).eval(), tiny.batch(1, 11, names)
    clip.present[0, 5:7, 0] = False
    latents = _latents(model, clip)
    fast, trace = model.predict_last(latents, clip.present[0], steps)
    assert fast.shape == (11, 2)
    for t in range(11):
        at = slice(max(0, t + 1 - steps), t + 1)
        window = replace(
            clip,
            inputs={m: x[:, at] for m, x in clip.inputs.items()},
            present=clip.present[:, at],
            valid=clip.valid[:, at],
        )
        prediction, _, seen = model(window)
        torch.testing.assert_close(fast[t], prediction[0, -1], rtol=0, atol=1e-5)
        for name in trace:
            torch.testing.assert_close(trace[name][t], seen[name][0, -1], rtol=0, atol=1e-5)


@every_case
def test_carry_equals_one_call_over_the_clip(
    tiny: SimpleNamespace, names: tuple[str, ...], fusion: str, temporal: str
) -> None:
    model, clip = tiny.model(names, fusion=fusion, temporal=temporal).eval(), tiny.batch(1, 11, names)
    carried, trace = model.predict_carry(_latents(model, clip), clip.present[0])
    whole, _, expected = model(clip)
    torch.testing.assert_close(carried, whole[0])
    assert trace.keys() == expected.keys()
    for name in trace:
        torch.testing.assert_close(trace[name], expected[name][0])
    # A window as long as the clip is the same from its first step on.
    torch.testing.assert_close(model.predict_last(_latents(model, clip), clip.present[0], 11)[0], carried)


def test_pictures_as_bytes_or_as_floats_are_the_same(tiny: SimpleNamespace) -> None:
    model, batch = tiny.model(), tiny.batch(2, 2)
    raw = {m: torch.randint(0, 256, x.shape, dtype=torch.uint8) for m, x in batch.inputs.items()}
    as_bytes = model(replace(batch, inputs=raw))[0]
    as_floats = model(replace(batch, inputs={m: x / 127.5 - 1 for m, x in raw.items()}))[0]
    torch.testing.assert_close(as_bytes, as_floats)


def test_the_quadrant_comes_from_the_reconstruction(tiny: SimpleNamespace) -> None:
    branch, x = tiny.branch(), torch.rand(6, 3, 16, 16) * 2 - 1
    latent = branch.latent(x)
    z = branch.encoder.encode(x)
    torch.testing.assert_close(latent.z, z)
    _, affect = branch.quadrant.judge(branch.encoder.decode(z))
    torch.testing.assert_close(latent.affect, affect)
    assert torch.equal(latent.quadrant, quadrant_of(affect))


@pytest.mark.parametrize("conditioning", ["none", "channel", "vector"])
def test_decoder_and_discriminator_run_only_where_the_projector_reads_q(
    tiny: SimpleNamespace, conditioning: str
) -> None:
    branch, ran = tiny.branch(conditioning), []
    for part in (branch.encoder.decoder, branch.quadrant.body):
        part.register_forward_hook(lambda module, args, out: ran.append(module))
    branch.projector(branch.latent(torch.zeros(1, 3, 16, 16)))
    assert len(ran) == (0 if conditioning == "none" else 2)


def test_a_step_with_nothing_present_is_answered_from_memory_alone(tiny: SimpleNamespace) -> None:
    model, batch = tiny.model(), tiny.batch(2, 3)
    batch.present[:, 2] = False
    other = replace(batch, inputs={m: torch.cat([x[:, :2], -x[:, 2:]], 1) for m, x in batch.inputs.items()})
    prediction, _, trace = model(batch)
    torch.testing.assert_close(model(other)[0], prediction, rtol=0, atol=0)
    assert not torch.allclose(prediction[0, 2], prediction[1, 2])  # two memories, two answers
    assert not trace["gate"][:, 2].any()


class _Recorder(nn.Module):
    """A temporal head that adds `context["bias"]` to its input."""

    out_dim = 10

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        assert context is not None
        return x.cumsum(1) * 0 + context["bias"][..., None].expand_as(x), {}, {}


def test_context_reaches_the_temporal_head_by_every_way(tiny: SimpleNamespace) -> None:
    model, batch = tiny.model(dim=10), tiny.batch(1, 5)
    model.temporal = _Recorder()
    model.head = nn.Identity()
    bias = torch.arange(5.0)[None]
    whole = model(replace(batch, context={"bias": bias}))[0]
    torch.testing.assert_close(whole[0, :, 0], bias[0])
    latents, clip = _latents(model, batch), {"bias": bias[0]}
    torch.testing.assert_close(model.predict_last(latents, batch.present[0], 3, clip)[0], whole[0])
    torch.testing.assert_close(model.predict_carry(latents, batch.present[0], clip)[0], whole[0])


@pytest.mark.parametrize("temporal", ["lstm", "luong-lstm"])
def test_bf16_autocast_runs_and_stays_close(tiny: SimpleNamespace, temporal: str) -> None:
    model, batch = tiny.model(temporal=temporal), tiny.batch(2, 4)
    exact = model(batch)[0]
    with torch.autocast("cpu", torch.bfloat16):
        prediction, _, trace = model(batch)
        prediction.float().square().sum().backward()
    # Q is a threshold: rounding may flip it, so closeness is asked of values away from it.
    assert torch.isfinite(prediction).all()
    torch.testing.assert_close(prediction.float(), exact, rtol=0, atol=0.3)
    assert all(torch.isfinite(v).all() for v in trace.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_state_dict_round_trips(tiny: SimpleNamespace) -> None:
    model, other, batch = tiny.model(seed=0), tiny.model(seed=1), tiny.batch(1, 3)
    assert not torch.allclose(model(batch)[0], other(batch)[0])
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(batch)[0], other(batch)[0], rtol=0, atol=0)


class _Step(nn.Module):
    """One streaming step of a whole model, as an exporter sees it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, face: Tensor, voice: Tensor, present: Tensor, state: dict[str, Tensor]) -> Any:
        inputs = {"face": face[:, None], "voice": voice[:, None]}
        latents = self.model.latents(inputs, present)
        return self.model.predict(latents, present, torch.ones_like(present[..., 0]), state)


def test_one_streaming_step_of_the_whole_model_exports(tiny: SimpleNamespace) -> None:
    model = _Step(tiny.model().eval())
    present = torch.tensor([[[True, False]]])
    state = dict(model.model.temporal.init_state(1))
    given_ = (torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16), present, state)
    program = torch.export.export(model, given_, strict=False)
    torch.testing.assert_close(program.module()(*given_)[0], model(*given_)[0])
