"""Stages that name the modalities they train: what they train, what they leave alone, and what is a fault."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from fusekit import build, plugins
from fusekit.data.folds import Split
from fusekit.engine.adversarial import Adversarial
from fusekit.engine.progress import BarProgress
from fusekit.engine.supervised import Supervised
from fusekit.errors import RecipeError
from fusekit.recipe.load import load
from fusekit.registry import Registry
from fusekit.runs.branches import branch_settings
from fusekit.runs.data import Data
from fusekit.runs.plan import plan

# Voice by an encoder that does not decode, as words have one.
PLAIN_VOICE = [
    "modalities.voice.encoder={name: timm, model: test_resnet}",
    "modalities.voice.quadrant=none",
    "modalities.voice.projector={name: linear, dim: 8}",
    "modalities.face.encoder={name: denoising-generator, width: 4, blocks: 1}",
    "modalities.face.quadrant={name: discriminator, width: 4}",
    "modalities.voice.damage=null",
    "modalities.voice.degradation=null",
    "temporal={name: luong-lstm, dim: 6}",
    "train.precision=float32",
]
LATENT = "{name: latent, objective: adversarial, modalities: [face], epochs: 1, batch_size: 4}"
ALONE = "{name: alone, objective: supervised, modalities: [voice], epochs: 1, batch_size: 4, lr: 1.0e-2}"
SEQUENCE = (
    "{name: sequence, objective: supervised, epochs: 1, batch_size: 4, windows: [2], "
    "freeze: [encoder, quadrant]}"
)


def stages(*given: str) -> list[str]:
    return [*PLAIN_VOICE, f"stages=[{', '.join(given)}]"]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    return plugins.load()[0]


def _check(registry: Registry, *words: str) -> str:
    with pytest.raises(RecipeError) as caught:
        build.check(load("demo", list(words)), registry)
    return str(caught.value)


def test_a_modality_without_a_decoder_trains_beside_adversarial_ones(registry: Registry) -> None:
    build.check(load("demo", stages(LATENT, ALONE, SEQUENCE)), registry)
    build.check(load("demo", stages(LATENT, SEQUENCE.replace("[encoder, quadrant]", "[]"))), registry)
    everyone = LATENT.replace("modalities: [face], ", "")
    message = _check(registry, *stages(everyone, SEQUENCE))
    assert "modalities.voice.encoder: objective adversarial needs an encoder that decodes" in message
    assert "name the modalities that the stage trains (`modalities: [...]`)" in message


def test_freezing_what_nothing_has_trained_is_a_fault(registry: Registry, tmp_path: Any) -> None:
    message = _check(registry, *stages(LATENT, SEQUENCE))
    assert (
        "stages.1.freeze: stage 'sequence' freezes the encoder of voice, which no stage before it" in message
    )
    assert "modalities: [voice]" in message
    # An encoder that comes with weights may be frozen at once.
    from safetensors.torch import save_file

    encoder = build.make(
        registry,
        build.Kind.ENCODER,
        load("demo", stages(ALONE, SEQUENCE)).modalities["voice"].encoder,
        (3, 64, 64),
    )
    weights = tmp_path / "weights.safetensors"
    save_file(encoder.net.state_dict(), weights)
    build.check(
        load("demo", [*stages(LATENT, SEQUENCE), f"modalities.voice.encoder.weights={weights}"]), registry
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((LATENT, ALONE), "stages.1.modalities: stage 'alone' leaves fusion, temporal and head untrained"),
        (
            (LATENT.replace("[face]", "[faces]"), ALONE, SEQUENCE),
            "stage 'latent' trains 'faces', which the recipe has not. Did you mean 'face'? Modalities: ",
        ),
        ((LATENT.replace("[face]", "[]"), SEQUENCE), "modalities: must name each modality once"),
        ((LATENT, ALONE.replace("lr:", "windows: [2, 4], lr:"), SEQUENCE), "windows: one length alone"),
        ((LATENT, ALONE.replace("lr:", "degraded: 0.5, lr:"), SEQUENCE), "damaged copies are for all"),
        (
            (LATENT.replace("face", "voice"), SEQUENCE),
            "as every critic does, and the recipe has none that trains face",
        ),
    ],
)
def test_other_faults(registry: Registry, given: tuple[str, ...], wanted: str) -> None:
    assert wanted in _check(registry, *stages(*given))


def test_each_phase_trains_its_own_and_nothing_else(registry: Registry, tiny: SimpleNamespace) -> None:
    recipe = load("demo", stages(LATENT, ALONE, SEQUENCE))
    readers = {m: tiny.reader() for m in ("face", "voice")}
    torch.manual_seed(0)
    model = build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()})
    clips = tiny.clips()
    gone = clips[0].present.copy()
    gone[2:5, 1] = False  # the voice's own phase must not look there
    clips[0] = replace(clips[0], present=gone)
    split = Split((), (), (), {}, "")
    data = Data(cast(Any, None), readers, [], split, [], {"train": clips, "validation": clips})
    with BarProgress(silent=True) as progress:
        phases = plan(recipe, registry, model, data, tiny.runtime(), progress)
        assert [p.name for p in phases] == ["latent face", "alone voice", "sequence 2 steps"]
        learned = []
        for phase in phases:
            before = {n: p.detach().clone() for n, p in model.named_parameters()}
            objective = phase.make()
            assert isinstance(objective, Adversarial if phase.stage == "latent" else Supervised)
            for indices in objective.batches(0):
                losses = objective.step(indices, 0)
                assert all(torch.isfinite(v) for v in losses.values())
            assert objective.validate()["ccc"]["mean"] is not None
            if phase.stage == "alone":
                assert len(objective.train) == sum(map(len, clips)) - 3  # type: ignore[attr-defined]
            learned.append({n for n, p in model.named_parameters() if not torch.equal(p, before[n])})
    face, voice, whole = learned
    assert {n.split(".")[1] for n in face} == {"face"}
    assert {n.split(".")[1] for n in voice} == {"voice"}
    assert any("encoder" in n for n in voice)
    assert not any(".encoder." in n or ".quadrant." in n for n in whole)
    assert any(n.startswith("fusion") for n in whole)


def test_branches_are_shared_whatever_else_their_stage_trains(registry: Registry) -> None:
    one = load("demo", stages(LATENT, ALONE, SEQUENCE))
    both = load("demo", stages(LATENT.replace("[face]", "[face, voice]"), SEQUENCE))
    assert branch_settings(one, "face") == branch_settings(both, "face")
    assert branch_settings(one, "voice")["stages"] == []
