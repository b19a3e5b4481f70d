"""The counts of spec section 2, by the recipes and presets that a user names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fusekit import build
from fusekit.nn import accounting
from fusekit.nn.model import Model
from fusekit.nn.quadrants import QuadrantClassifier
from fusekit.plugins import load as load_plugins
from fusekit.recipe.load import load as load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
# As printed in Table 11: recipe -> (training, inference).
TABLE_11 = {
    "vi-de": (5_287_308, 2_483_346),
    "au-de": (5_287_308, 2_483_346),
    "vi-des": (5_550_989, 2_747_027),
    "au-des": (5_550_989, 2_747_027),
    "avi-cas": (6_000_508, 3_196_546),
    "avi-gas": (6_264_189, 3_460_227),
}
# Residuals of spec 2.2, built minus printed.
RESIDUALS = {
    "a": {"vi-de": 0, "vi-des": -262_656, "avi-cas": 1_025, "avi-gas": 0},
    "c": {"vi-de": 0, "vi-des": 0, "avi-cas": 263_681, "avi-gas": 0},
}


def _model(recipe: str, preset: str) -> Model:
    found = load_recipe(RECIPES / f"{recipe}.yaml", [f"preset={preset}"])
    registry, _ = load_plugins()
    with torch.device("meta"):
        return build.build_model(found, registry, dict.fromkeys(found.modalities, (3, 128, 128)))


@pytest.mark.parametrize("recipe", TABLE_11)
def test_preset_table11_reproduces_the_eight_printed_integers(recipe: str) -> None:
    counts = accounting.paper_parameters(_model(recipe, "table11"), "table11")
    assert counts == dict(zip(("training", "inference"), TABLE_11[recipe], strict=True))


@pytest.mark.parametrize("preset", RESIDUALS)
@pytest.mark.parametrize("recipe", RESIDUALS["a"])
def test_presets_a_and_c_leave_the_residuals_of_spec_2_2(recipe: str, preset: str) -> None:
    counts = accounting.paper_parameters(_model(recipe, preset), preset)
    assert counts is not None
    for phase, printed in zip(("training", "inference"), TABLE_11[recipe], strict=True):
        assert counts[phase] - printed == RESIDUALS[preset][recipe]


def test_the_default_is_reading_a_with_the_location_score_and_one_plane_of_q() -> None:
    counts = accounting.paper_parameters(_model("avi-gas", "default"), "default")
    assert counts is not None
    assert counts["training"] == 6_264_189 - 513 + 2 * 256


def test_what_a_working_model_of_reading_a_holds() -> None:
    """Spec 2.3: two G, two D; without Q, decoders and D stay out of inference."""
    model = _model("avi-gas", "a")
    empty = model.fusion.empty.numel()  # the learned vector for "nothing present" is ours
    assert accounting.built_parameters(model) == {
        "training": 9_525_015 - 2 * accounting.UNUSED_LINEAR + empty,
        "inference": 3_534_339 + empty,
    }
    assert accounting.built_parameters(model)["inference"] + 2 * 191_376 == 3_917_091 + empty


def test_with_q_everything_runs_at_inference() -> None:
    counts = accounting.built_parameters(_model("avi-gas", "default"))
    assert counts["training"] == counts["inference"]


def test_models_without_g_and_d_have_no_paper_accounting(tiny: SimpleNamespace) -> None:
    model = tiny.model()
    del model.branches["face"].quadrant
    model.branches["face"].quadrant = torch.nn.Identity()
    assert accounting.paper_parameters(model, "default") is None


def test_a_classifier_gives_a_logit_per_quadrant(tiny: SimpleNamespace) -> None:
    model = tiny.model()
    latent = model.branches["face"].encoder.out_shape
    model.branches["face"].quadrant = QuadrantClassifier((3, 16, 16), latent, conditioning="channel")
    rows = {r["name"]: r for r in accounting.parts(model, dict.fromkeys(model.names, (3, 16, 16)), 2)}
    assert rows["face.quadrant"]["shape_in"] == list(latent)
    assert rows["face.quadrant"]["shape_out"] == [4]
    assert "shape_realness" not in rows["face.quadrant"]


@pytest.mark.parametrize("conditioning", ["channel", "vector", "none"])
def test_parts_add_up_and_state_the_shapes_that_flow(tiny: SimpleNamespace, conditioning: str) -> None:
    model = tiny.model(conditioning=conditioning)
    raw = dict.fromkeys(model.names, (3, 16, 16))
    rows = {r["name"]: r for r in accounting.parts(model, raw, 2)}
    assert sum(r["parameters"] for r in rows.values()) == sum(p.numel() for p in model.parameters())
    assert list(rows)[:3] == ["face.encoder", "face.quadrant", "face.projector"]
    batch = tiny.batch(1, 3)
    latents = model.latents(batch.inputs, batch.present)
    assert rows["face.encoder"]["shape_out"] == list(latents["face"].z.shape[1:])
    assert rows["face.encoder"]["shape_reconstruction"] == [3, 16, 16]
    assert rows["face.quadrant"]["shape_in"] == [3, 16, 16]
    realness, affect = model.branches["face"].quadrant.judge(torch.zeros(2, 3, 16, 16))
    assert rows["face.quadrant"]["shape_out"] == list(affect.shape[1:])
    assert (rows["face.quadrant"]["shape_realness"], realness.shape) == ([1], (2,))  # a score per sample
    first = model.branches["face"].projector.body[0]
    assert rows["face.projector"]["shape_in"][0] == first.in_channels
    feats = model.features(latents, (1, 3))
    assert rows["face.projector"]["shape_out"] == [feats["face"].shape[-1]]
    assert rows["fusion"]["shape_in"] == {m: [f.shape[-1]] for m, f in feats.items()}
    fused, _, _ = model.fusion(feats, batch.present)
    assert rows["fusion"]["shape_out"] == [fused.shape[-1]]
    y, _, _ = model.temporal(fused, batch.valid)
    assert rows["temporal"]["shape_out"] == ["T", y.shape[-1]]
    assert rows["head"]["shape_out"] == ["T", model.head(y).shape[-1]]
