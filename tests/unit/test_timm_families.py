"""Encoders of many families of timm: saved, opened as a run is opened, and the same answer to the last bit.

Their smallest models, at small sizes; of those that are still large, a shallow one of the same make.
"""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from fusekit.contracts import reopened, unsaved
from fusekit.nn.timm_encoder import TimmEncoder

FAMILIES: dict[str, tuple[int, dict[str, Any]]] = {
    "test_resnet": (32, {}),
    "test_vit": (32, {}),
    "test_convnext": (32, {}),
    "test_efficientnet": (32, {}),
    "test_mambaout": (32, {}),
    "swin_tiny_patch4_window7_224": (56, {"depths": (2, 1, 1, 1), "embed_dim": 24}),
    "swinv2_tiny_window8_256": (64, {"depths": (2, 1, 1, 1), "embed_dim": 24}),
    "eva02_tiny_patch14_224": (28, {"depth": 2}),
    "beitv2_base_patch16_224": (32, {"depth": 1, "embed_dim": 96, "num_heads": 3}),
    "test_maxvit": (64, {}),
    "test_coatnet": (64, {}),
    "vit_small_patch16_dinov3": (32, {"depth": 2}),
    "test_vit_relpos": (32, {}),
    "mobilevit_xxs": (64, {}),
    "levit_128s": (64, {}),
    "xcit_nano_12_p8_224": (32, {"depth": 2}),
    "convit_tiny": (32, {"depth": 11}),
    "edgenext_xx_small": (64, {}),
    "efficientformerv2_s0": (64, {}),
    "hiera_tiny_224": (64, {"stages": (1, 1, 1, 1), "embed_dim": 32}),
}
OUTSIDE = {"swin_tiny_patch4_window7_224", "eva02_tiny_patch14_224", "beitv2_base_patch16_224", "test_maxvit"}


@pytest.mark.parametrize("model", FAMILIES)
def test_an_encoder_comes_back_as_it_was_trained(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size, smaller = FAMILIES[model]
    plain = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **given: plain(name, **given, **smaller))
    torch.manual_seed(1)
    first = TimmEncoder((3, size, size), model=model).train()
    x = torch.rand(2, 3, size, size) * 2 - 1
    first.encode(x).sum().backward()
    optimizer = torch.optim.SGD(first.parameters(), lr=0.01)
    optimizer.step()
    opened = reopened(lambda: TimmEncoder((3, size, size), model=model), first.state_dict(), seed=2)
    with torch.no_grad():
        assert torch.equal(opened.encode(x), first.eval().encode(x))
    # Otherwise the test would hold for models that never were in danger.
    assert model not in OUTSIDE or any(isinstance(v, torch.Tensor) for v in unsaved(first).values())
