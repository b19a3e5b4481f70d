"""What Table 11 counts and clocks is what `check` counts, of the model that is built."""

from __future__ import annotations

import pytest

from fusekit import build, plugins
from fusekit.recipe.load import load
from fusekit.study.paper import complexity

PAPER = [f"modalities.{m}.encoder={{name: denoising-generator, width: 4}}" for m in ("face", "voice")]
SMALL = [
    "modalities.face.encoder.width=4",
    "modalities.voice.encoder.width=4",
    "modalities.face.quadrant.width=4",
    "modalities.voice.quadrant.width=4",
]


def test_counts_sizes_and_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    monkeypatch.setattr(complexity, "REPEATS", 2)
    registry, _ = plugins.load()
    recipes = {
        "AVi-GaS": load("demo", [*SMALL, *PAPER]),
        "resnet": load(
            "demo",
            [
                "modalities.voice=null",
                "modalities.face.encoder={name: timm, model: resnet18}",
                "modalities.face.quadrant=none",
                "modalities.face.projector=linear",
                "fusion=none",
                "stages=[{name: whole, objective: supervised, epochs: 1, batch_size: 4}]",
            ],
        ),
    }
    found = complexity.measure(recipes, registry, "cpu")
    for name, recipe in recipes.items():
        counted = build.check(recipe, registry).parameters
        for phase in ("training", "inference"):
            assert counted["built"] is not None
            built = found[name]["built"][phase]
            assert built["parameters"] == counted["built"][phase]
            assert built["size_mb"] == pytest.approx(built["parameters"] * 4 / 1e6)
            assert found[name]["time_ms"][phase] > 0
    assert found["AVi-GaS"]["paper"]["training"]["parameters"] > 0
    assert "paper" not in found["resnet"]
    assert found["AVi-GaS"]["time_ms"]["training"] > found["AVi-GaS"]["time_ms"]["inference"]
