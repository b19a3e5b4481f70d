"""Checkpoints: one safetensors file each, tensors and a JSON header, replaced atomically."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fusekit.engine.files import replace_file
from fusekit.errors import RunError

FORMAT = 1


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write `tensors` and the JSON-able `meta` to `path`; a reader sees the old file or all of the new one.

    Raises:
        RunError: the file cannot be written (full disk, no permission); the old one is still whole.
    """
    # Cloned: safetensors refuses two names for one memory, which a phase's modules share with the model.
    whole = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    header = {"format": FORMAT, "crc32": _checksum(whole), **meta}
    data = save(whole, metadata={"fusekit": json.dumps(header)})
    try:
        replace_file(path, data)
    except OSError as error:
        kept = "Nothing was lost: the previous checkpoint is whole. " if path.exists() else ""
        raise RunError(
            f"cannot write the checkpoint '{path}': {error.strerror or error}. {kept}Free some space, then "
            f"continue with `fusekit train --resume {path.parent.parent}`."
        ) from error


def load_checkpoint(path: Path, run: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and header of a checkpoint.

    Args:
        run: id of the run that it should be of; "": whichever.

    Raises:
        RunError: it is missing, cut short, of another run, or was written by a newer fusekit.
    """
    if not path.is_file():
        raise RunError(f"there is no checkpoint '{path}'.")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("fusekit", "{}"))
            if not isinstance(header, dict) or not isinstance(header.get("format", 0), int):
                raise ValueError("its header is no mapping with a format")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
            if header.pop("crc32", kept := _checksum(tensors)) != kept:  # older files hold none
                raise ValueError("its numbers are not those that were saved")
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise RunError(
            f"the checkpoint '{path}' cannot be read ({error}): it is damaged or no checkpoint. Put a whole "
            "copy in its place, or delete it and let "
            f"`fusekit train --resume {path.parent.parent}` make it anew."
        ) from error
    if header.get("format", 0) > FORMAT:
        raise RunError(
            f"'{path}' was written by a newer fusekit (format {header['format']}); update fusekit."
        )
    if run and header.get("run", run) != run:
        raise RunError(
            f"the checkpoint '{path}' is another run's: the `id` in provenance.json is not the one that it "
            "was saved with. Put the run's own back."
        )
    return tensors, header


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of names and contents: safetensors has none, and a turned bit is a weight like any other."""
    crc = 0
    for name in sorted(tensors):
        content = tensors[name].contiguous().flatten().view(torch.uint8).numpy().data
        crc = zlib.crc32(content, zlib.crc32(name.encode(), crc))
    return crc


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`{name: t}` -> `{prefix.name: t}`."""
    return {f"{prefix}.{k}": v for k, v in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `prefix.`, the prefix removed."""
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of an optimiser as flat tensors `<parameter number>.<name>`; its settings come from the
    recipe."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict that must fit exactly.

    Raises:
        RunError: names or shapes differ; says how many, and the first of each.
    """
    try:
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        own = module.state_dict()
        odd = {
            "missing": [k for k in own if k not in tensors],
            "unknown": [k for k in tensors if k not in own],
            "of another shape": [k for k in own if k in tensors and own[k].shape != tensors[k].shape],
        }
        said = [f"{len(names)} {what}, first '{names[0]}'" for what, names in odd.items() if names]
        raise RunError(
            f"the weights in {where} do not fit this model: {'; '.join(said) or error}. They are of another "
            "recipe or another version of fusekit."
        ) from error
