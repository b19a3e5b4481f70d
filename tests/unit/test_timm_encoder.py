from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from fusekit.errors import RecipeError
from fusekit.nn.timm_encoder import TimmEncoder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records every attempt to fetch weights, and refuses it."""
    asked: list[str] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        asked.append(str(args))
        raise OSError("no network in this test")

    for name in ("load_state_dict_from_hf", "load_state_dict_from_url"):
        monkeypatch.setattr(timm.models._builder, name, refuse)
    return asked


@pytest.mark.parametrize("model", ["mobilenetv3_small_050", "test_resnet", "test_vit", "test_convnext"])
def test_the_width_is_that_of_the_pooled_features(model: str) -> None:
    # mobilenetv3 has a convolution after the pooling: its `num_features` is 288, what comes out is 1024 wide.
    e = TimmEncoder((3, 64, 64), model=model).eval()
    z = e.encode(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert z.shape[1:] == e.out_shape
    if model.startswith("mobilenet"):
        assert e.out_shape == (1024,)


@pytest.mark.parametrize("size", [32, 96])
def test_models_of_a_fixed_size_are_built_for_the_reader_s(size: int) -> None:
    e = TimmEncoder((3, size, size), model="test_vit").eval()
    assert e.encode(torch.zeros(1, 3, size, size)).shape[1:] == e.out_shape


def test_a_size_that_a_model_refuses_is_a_clear_fault() -> None:
    with torch.device("meta"), pytest.raises(RecipeError, match=r"test_maxvit.*\(3, 50, 50\)"):
        TimmEncoder((3, 50, 50), model="test_maxvit")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_timm_s_own_normalisation_is_inside(channels: int) -> None:
    e = TimmEncoder((channels, 32, 32), model="test_resnet").eval()
    config = timm.get_pretrained_cfg("test_resnet")
    x = torch.rand(2, channels, 32, 32)
    if channels == 3:
        mean, std = torch.tensor(config.mean).view(3, 1, 1), torch.tensor(config.std).view(3, 1, 1)
    else:
        mean, std = torch.tensor(config.mean).mean(), torch.tensor(config.std).mean()
    torch.testing.assert_close(e.encode(2 * x - 1), e.net((x - mean) / std))
    assert {"mean", "std"} <= set(e.state_dict())  # so that weights can be loaded into a model built on meta


def test_weights_come_from_a_local_file(tmp_path: Path, no_network: list[str]) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("test_resnet", num_classes=10)
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    e = TimmEncoder((3, 32, 32), model="test_resnet", weights=str(tmp_path / "w.safetensors"))
    own = e.net.state_dict()
    assert own
    for name, tensor in own.items():
        torch.testing.assert_close(tensor, whole.state_dict()[name], rtol=0, atol=0)
    assert no_network == []


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(RecipeError, match="does not exist"):
        TimmEncoder((3, 32, 32), model="test_resnet", weights=str(path))
    state = timm.create_model("test_resnet", num_classes=0).state_dict()
    first = next(iter(state))
    save_file({k: v for k, v in state.items() if k != first}, path)
    with pytest.raises(RecipeError, match=f"1 tensors are missing, first '{first}'"):
        TimmEncoder((3, 32, 32), model="test_resnet", weights=str(path))
    save_file(state | {first: torch.zeros(2, 2)}, path)
    with pytest.raises(RecipeError, match=f"does not fit the model.*{first}"):
        TimmEncoder((3, 32, 32), model="test_resnet", weights=str(path))
    path.write_bytes(b"no safetensors at all")
    with pytest.raises(RecipeError, match="cannot be read"):
        TimmEncoder((3, 32, 32), model="test_resnet", weights=str(path))


def test_on_the_meta_device_nothing_is_fetched_or_read(tmp_path: Path, no_network: list[str]) -> None:
    with torch.device("meta"):
        e = TimmEncoder((3, 64, 64), model="test_resnet", pretrained=True)
        TimmEncoder((3, 64, 64), model="test_resnet", weights=str(tmp_path / "not there"))
        assert e.encode(torch.empty(2, 3, 64, 64)).shape[1:] == e.out_shape
    assert no_network == []


def test_pretrained_asks_the_hub_and_says_what_to_do_without_one(no_network: list[str]) -> None:
    with pytest.raises(RecipeError, match=r"cannot be fetched: no network in this test\. Connect once"):
        TimmEncoder((3, 64, 64), model="test_resnet", pretrained=True)
    assert len(no_network) == 1


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no model named 'resnet18x'.*resnet18"):
        TimmEncoder((3, 64, 64), model="resnet18x")


def test_two_sources_of_weights_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="either"):
        TimmEncoder((3, 64, 64), model="test_resnet", pretrained=True, weights="w.safetensors")


def test_in_evaluation_samples_never_mix() -> None:
    e = TimmEncoder((3, 32, 32), model="test_resnet").eval()
    x = torch.randn(3, 3, 32, 32)
    changed = x.clone()
    changed[0] += 1
    torch.testing.assert_close(e.encode(changed)[1:], e.encode(x)[1:])
