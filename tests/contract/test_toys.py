"""Parts that fusekit does not know are named in a recipe, built, trained and streamed like its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fusekit import build, plugins
from fusekit.batch import Batch
from fusekit.contracts import Clip
from fusekit.data.steps import ClipSteps
from fusekit.data.windows import Windows
from fusekit.engine.adversarial import Adversarial, AdversarialSettings
from fusekit.engine.latent_cache import LatentCache
from fusekit.engine.latents import clip_latents
from fusekit.engine.losses import AFC
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.nn import accounting
from fusekit.nn.model import Model
from fusekit.recipe.load import load as load_recipe
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry

DIMS = ("valence", "arousal")
RECIPE = """
corpus: {{name: manifest, path: nowhere.csv}}
target: {{dims: [valence, arousal], step_hz: 4}}
modalities:
  face:
    reader: {{name: face-video, size: 16, detector: whole}}
    encoder: {{name: denoising-generator, width: 4}}
    quadrant: {{name: discriminator, width: 4}}
    projector: {{name: conv-pyramid, width: 4}}
  ecg:
    reader: {{name: toy-series, channels: 2, length: 64}}
    encoder: {{name: toy-series, width: 6}}
    quadrant: {{name: toy-critic, conditioning: {conditioning}}}
    projector: {{name: linear, dim: 8}}
fusion: {fusion}
temporal: {temporal}
head: {head}
stages:
  - {{name: latent, objective: adversarial, epochs: 1, batch_size: 8}}
  - {{name: sequence, objective: supervised, epochs: 1, batch_size: 6, freeze: [encoder, quadrant]}}
"""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    found, statuses = plugins.load([Path(__file__).with_name("toys.py")])
    assert [(s.state, s.components) for s in statuses if s.name == "toys.py"] == [("loaded", 6)]
    return found


def _build(
    tmp_path: Path,
    registry: Registry,
    fusion: str = "{name: gmu, dim: 10}",
    temporal: str = "{name: luong-lstm, dim: 6}",
    head: str = "{name: linear}",
    conditioning: str = "channel",
) -> tuple[Recipe, Model, dict[str, Any]]:
    file = tmp_path / "toy.yaml"
    file.write_text(RECIPE.format(fusion=fusion, temporal=temporal, head=head, conditioning=conditioning))
    recipe = load_recipe(file)
    build.check_components(recipe, registry)
    readers = build.build_readers(recipe, registry)
    torch.manual_seed(0)
    return recipe, build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()}), readers


def _clips(readers: dict[str, Any], sizes: Sequence[int] = (11, 14)) -> list[ClipSteps]:
    rng = np.random.default_rng(0)
    clips = []
    for i, n in enumerate(sizes):
        times = np.arange(n) / 4.0
        target = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
        face = {
            "frames": rng.integers(0, 256, (n, 16, 16, 3)).astype(np.uint8),
            "times": times,
            "state": np.ones(n, np.uint8),
            "duration_s": np.array([n / 4.0]),
        }
        series = rng.normal(0, 0.1, (n, 2, 64)).astype(np.float32) + target[:, :, None] * 0.5
        present = np.ones((n, 2), bool)
        present[3:5, 0] = False
        clips.append(
            ClipSteps(
                clip=Clip(f"c{i}", f"s{i}", {}, None),
                clip_index=i,
                step_hz=4.0,
                times=times,
                target=target,
                known=np.ones((n, 2), bool),
                quadrant=rng.integers(0, 4, n),
                present=present,
                streams={"face": face, "ecg": {"series": series.clip(-1, 1).astype(np.float32)}},
                readers=readers,
                dtypes={"face": np.dtype(np.uint8), "ecg": np.dtype(np.float32)},
            )
        )
    return clips


class _Dialogue(Windows):
    """Windows whose steps alternate between speakers, as a corpus of dialogues would say."""

    def collate(self, indices: Any, modalities: Any = None) -> Batch:
        batch = super().collate(indices, modalities)
        return replace(batch, context={"speaker": (batch.time * 4).long() % 3})


def _adversarial(
    recipe: Recipe, registry: Registry, model: Model, windows: Windows, tiny: Any
) -> Adversarial:
    alone = build.solo(recipe, registry, model, "ecg")
    settings = AdversarialSettings(batch_size=8, lr=1e-2, betas=(0.5, 0.999))
    return Adversarial(alone, windows, windows, AFC(), settings, tiny.runtime(), tiny.rngs, DIMS)


def _supervised(model: Model, windows: Windows, clips: list[ClipSteps], tiny: Any) -> Supervised:
    runtime = tiny.runtime()
    cache = LatentCache(model, clips, runtime)
    settings = SupervisedSettings(
        6, 1e-2, (0.5, 0.999), freeze=("encoder", "quadrant"), presence_dropout=0.2, steps=4
    )
    return Supervised(model, windows, Caches(cache, cache), clips, AFC(), settings, runtime, tiny.rngs, DIMS)


def _learned(objective: Any) -> set[str]:
    """Parameters, by name, that an epoch changes."""
    before = {n: p.detach().clone() for n, p in objective.model.named_parameters()}
    for indices in objective.batches(0):
        losses = objective.step(indices, 0)
        assert all(torch.isfinite(v) for v in losses.values())
    return {n for n, p in objective.model.named_parameters() if not torch.equal(p, before[n])}


@pytest.mark.parametrize("conditioning", ["channel", "vector", "none"])
def test_a_series_takes_part_in_both_stages(
    tmp_path: Path, registry: Registry, tiny: SimpleNamespace, conditioning: str
) -> None:
    recipe, model, readers = _build(tmp_path, registry, conditioning=conditioning)
    clips = _clips(readers)
    stage_1 = _adversarial(recipe, registry, model, Windows(clips, 1), tiny)
    first = stage_1.validate()["ccc"]["mean"]
    for epoch in range(25):
        for indices in stage_1.batches(epoch):
            stage_1.step(indices, epoch)
    assert stage_1.validate()["ccc"]["mean"] > max(first, 0) + 0.2
    changed = _learned(stage_1)
    for part in ("encoder.down", "encoder.up", "quadrant", "projector"):
        assert any(n.startswith(f"branches.ecg.{part}") for n in changed), part
    stage_2 = _supervised(model, Windows(clips, 4), clips, tiny)
    changed = _learned(stage_2)
    assert any(n.startswith("temporal") for n in changed)
    assert not any(".encoder." in n or ".quadrant." in n for n in changed)
    assert np.isfinite(stage_2.validate()["ccc"]["mean"])
    rows = {r["name"]: r for r in accounting.parts(model, {m: r.raw_shape for m, r in readers.items()}, 2)}
    assert rows["ecg.encoder"]["shape_in"] == [2, 64]
    assert rows["ecg.encoder"]["shape_out"] == [6, 16]
    assert rows["ecg.encoder"]["shape_reconstruction"] == [2, 64]
    assert rows["fusion"]["shape_in"]["ecg"] == [16 if conditioning == "vector" else 8]


def test_a_series_is_predicted_and_streamed_beside_pictures(
    tmp_path: Path, registry: Registry, tiny: SimpleNamespace
) -> None:
    _, model, readers = _build(tmp_path, registry)
    clip = _clips(readers)[0]
    model.eval()
    latents = clip_latents(model, clip, tiny.runtime())
    present = torch.from_numpy(clip.present)
    whole, _ = model.predict_carry(latents, present)
    state = None
    for t in range(len(clip)):
        raw = {m: torch.from_numpy(clip.inputs(m, np.array([t])))[None] for m in model.names}
        now = present[None, t : t + 1]
        step = model.latents(raw, now)
        prediction, state, _ = model.predict(step, now, torch.ones(1, 1, dtype=torch.bool), state)
        torch.testing.assert_close(prediction[0, 0], whole[t], rtol=0, atol=1e-5)


def test_decisions_may_be_fused_late(tmp_path: Path, registry: Registry, tiny: SimpleNamespace) -> None:
    recipe, model, readers = _build(
        tmp_path, registry, fusion="{name: toy-late}", temporal="{name: none}", head="{name: toy-as-is}"
    )
    clips = _clips(readers)
    batch = Windows(clips, 4).collate(np.arange(4))
    batch.present[3] = True
    batch.present[0, 1] = False
    batch.present[1, :, 1] = False
    prediction, _, trace = model(batch)
    decisions = trace["decision"]
    assert decisions.shape == (4, 4, 2, 2)
    torch.testing.assert_close(prediction[0, 1], model.fusion.empty.detach())
    torch.testing.assert_close(prediction[1, 0], decisions[1, 0, 0])
    torch.testing.assert_close(prediction[3, 0], decisions[3, 0].mean(0))
    changed = _learned(_supervised(model, Windows(clips, 4), clips, tiny))
    assert {"fusion.decide.face.weight", "fusion.decide.ecg.weight"} <= changed
    last, seen = model.predict_last(
        clip_latents(model, clips[0], tiny.runtime()), torch.from_numpy(clips[0].present), 4
    )
    assert last.shape == (11, 2)
    assert seen["decision"].shape == (11, 2, 2)
    assert recipe.fusion.name == "toy-late"


def test_a_temporal_head_follows_who_speaks(
    tmp_path: Path, registry: Registry, tiny: SimpleNamespace
) -> None:
    recipe, model, readers = _build(tmp_path, registry, temporal="{name: toy-speakers, dim: 5}")
    clips = _clips(readers)
    windows = _Dialogue(clips, 6)
    batch = windows.collate(np.arange(3))
    prediction, state, _ = model(batch)
    assert state["all"].shape == (3, 4, 5)
    # Another speaker at step 2 of one sample: that step and what follows change, other samples do not.
    speaker = batch.context["speaker"].clone()
    speaker[1, 2] = (speaker[1, 2] + 1) % 3
    change = (model(replace(batch, context={"speaker": speaker}))[0] - prediction).abs().amax(-1)
    assert change[[0, 2]].max() == 0
    assert change[1, :2].max() == 0
    assert change[1, 2] > 0
    with pytest.raises(ValueError, match="speaker"):
        model(replace(batch, context={}))
    # Both objectives hand the context on.
    stage_1 = _adversarial(recipe, registry, model, _Dialogue(clips, 1), tiny)
    assert any(n.startswith("temporal.own") for n in _learned(stage_1))
    assert np.isfinite(stage_1.validate()["ccc"]["mean"])
    stage_2 = _supervised(model, windows, clips, tiny)
    assert any(n.startswith("temporal.own") for n in _learned(stage_2))


def test_a_speaker_aware_head_streams_and_carries(
    tmp_path: Path, registry: Registry, tiny: SimpleNamespace
) -> None:
    _, model, readers = _build(tmp_path, registry, temporal="{name: toy-speakers, dim: 5}")
    clip = _clips(readers)[0]
    model.eval()
    latents = clip_latents(model, clip, tiny.runtime())
    present, speaker = torch.from_numpy(clip.present), torch.arange(11) % 3
    whole, _ = model.predict_carry(latents, present, {"speaker": speaker})
    last, _ = model.predict_last(latents, present, 4, {"speaker": speaker})
    state: Any = None
    for t in range(11):
        at = slice(t, t + 1)

        def rows(span: slice) -> dict[str, Any]:
            return {m: replace(v, z=v.z[span], quadrant=v.quadrant[span]) for m, v in latents.items()}

        def answer(span: slice, state: Any) -> tuple[Tensor, Any]:
            now = present[None, span]
            y, after, _ = model.predict(
                rows(span), now, torch.ones_like(now[..., 0]), state, {"speaker": speaker[None, span]}
            )
            return y[0, -1], after

        streamed, state = answer(at, state)
        torch.testing.assert_close(streamed, whole[t], rtol=0, atol=1e-5)
        windowed, _ = answer(slice(max(0, t - 3), t + 1), None)
        torch.testing.assert_close(last[t], windowed, rtol=0, atol=1e-5)
