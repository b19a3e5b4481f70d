"""Any timm model as an encoder: picture -> pooled feature vector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fusekit.contracts import Encoder, weights_follow
from fusekit.errors import RecipeError


class TimmEncoder(Encoder):
    """`(N, C, H, W)` in -1..1 -> `(N, D)`, D = the model's pooled width; timm's own normalisation inside.

    Args:
        raw_shape: `(C, H, W)`.
        model: a name that timm knows (`timm.list_models()`), e.g. `resnet18`.
        pretrained: fetch the model's published weights from its hub.
        weights: a local safetensors file of a timm state dict; instead of `pretrained`.

    Raises:
        RecipeError: timm has no such model, it refuses pictures of this size, the weights file is missing or
            does not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, raw_shape: tuple[int, ...], *, model: str, pretrained: bool = False, weights: Path | None = None
    ) -> None:
        super().__init__()
        import timm  # several seconds: only when a recipe asks for it

        if not timm.is_model(model):
            from difflib import get_close_matches

            near = get_close_matches(model.split(".")[0], timm.list_models(), n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise RecipeError(f"encoder timm: timm has no model named '{model}'.{hint}")
        if pretrained and weights:
            raise RecipeError("encoder timm: give either `pretrained: true` or `weights: FILE`, not both.")
        loads = not weights_follow()
        # Models with a position per patch are built for one size; others take any, and no such argument.
        published = timm.get_pretrained_cfg(model)
        sized: dict[str, Any] = {}
        if published and published.fixed_input_size and published.input_size[1:] != tuple(raw_shape[1:]):
            sized["img_size"] = tuple(raw_shape[1:])
        try:
            self.net = timm.create_model(
                model, pretrained=pretrained and loads, num_classes=0, in_chans=raw_shape[0], **sized
            )
        except (AssertionError, TypeError, ValueError) as error:
            raise self._refusal(model, raw_shape, error) from error
        except OSError as error:  # no network, no space, or a hub that does not have it
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise RecipeError(
                f"encoder timm: the published weights of '{model}' cannot be fetched: {reason}. Connect "
                "once, so that the hub's cache keeps them, or give `weights: FILE`, not `pretrained: true`."
            ) from error
        self.trained = pretrained or weights is not None
        if weights and loads:
            self._load(Path(weights))
        config: Mapping[str, Any] = self.net.pretrained_cfg  # type: ignore[assignment]
        mean, std = list(config.get("mean", (0.5,) * 3)), list(config.get("std", (0.5,) * 3))
        if len(mean) != raw_shape[0]:
            mean, std = [sum(mean) / len(mean)] * raw_shape[0], [sum(std) / len(std)] * raw_shape[0]
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        # `num_features` is not the pooled width of models with a convolutional head; this attribute is.
        self.out_shape = (int(self.net.head_hidden_size),)  # type: ignore[arg-type]
        if self.mean.is_meta:  # the builder looks at shapes
            self._try(model, raw_shape)

    def _try(self, model: str, raw_shape: tuple[int, ...]) -> None:
        # Where a forward pass costs nothing: some models refuse a size only when they see it.
        try:
            self.encode(torch.empty(2, *raw_shape))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise self._refusal(model, raw_shape, error) from error

    @staticmethod
    def _refusal(model: str, raw_shape: tuple[int, ...], error: Exception) -> RecipeError:
        return RecipeError(f"encoder timm: '{model}' refuses windows {tuple(raw_shape)}: {error}")

    def _load(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if not path.is_file():
            raise RecipeError(f"encoder timm: weights file '{path}' does not exist.")
        try:
            state = {k: v for k, v in load_file(path).items() if k in self.net.state_dict()}
        except (SafetensorError, OSError) as error:
            raise RecipeError(f"encoder timm: '{path}' cannot be read as safetensors: {error}") from error
        try:
            missing = self.net.load_state_dict(state, strict=False).missing_keys
        except RuntimeError as error:  # a shape differs
            first = str(error).strip().splitlines()[1].strip()
            raise RecipeError(f"encoder timm: '{path}' does not fit the model: {first}") from error
        if missing:
            raise RecipeError(
                f"encoder timm: '{path}' does not fit the model: {len(missing)} tensors are missing, first "
                f"'{missing[0]}'."
            )

    def encode(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` in -1..1 -> `(N, D)`."""
        return self.net(((x + 1) / 2 - self.mean) / self.std)
