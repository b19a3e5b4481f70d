"""A network made again from its class and its weights, as opening a run makes it.

A run keeps the state dicts of its networks and nothing else of them. Whatever else a network holds (buffers
outside its state dict, tensors as plain attributes) must come out of its constructor as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import isroutine
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

_OPENING: ContextVar[bool] = ContextVar("opening", default=False)


def weights_follow() -> bool:
    """Whether the network that is being made needs no weights of its own: those of a run are loaded next, or
    its shapes are looked at on the meta device.

    A network that fetches or reads weights leaves that be then; all else it makes as ever.
    """
    return _OPENING.get() or torch.empty(0).device.type == "meta"


@contextmanager
def opening(seed: int = 0) -> Iterator[None]:
    """Networks made inside are to be given the weights of a run: on torch's default device, all that is not
    in their state dicts made as in training, and no weights fetched.

    On the meta device buffers outside the state dict (as of Swin, EVA-02 and all models with rotary
    positions) would stay empty. torch's generator is put back afterwards.
    """
    token = _OPENING.set(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        _OPENING.reset(token)


def reopened(make: Callable[[], M], state: Mapping[str, Any], seed: int = 0) -> M:
    """A network made anew, with weights that were written to a file and read back, in evaluation mode.

    Whether it is the one that `state` was taken of, only its answers tell: compare them. A `make` that seeds
    torch itself hides what is drawn in the constructor and not kept; let it take another seed.

    Args:
        state: its state dict, tensors alone.

    Raises:
        TypeError, ValueError: something in `state` is no tensor, or none that safetensors can hold.
        RuntimeError: names or shapes are not those of the network that `make` makes.
    """
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise TypeError(f"'{odd[0]}' in the state dict is no tensor, and a run keeps tensors alone")
    whole = torch.contiguous_format
    data = save({k: v.detach().cpu().clone(memory_format=whole) for k, v in state.items()})
    with opening(seed):
        module = make()
    module.load_state_dict(load(data), strict=True)
    return module.eval()


def unsaved(module: nn.Module) -> dict[str, Any]:
    """`{place: tensor, array or float}` of all that a network holds outside its state dict.

    Looked for in buffers, attributes, and lists, dicts, objects and unregistered modules in attributes. A
    tensor that shares its memory with one of the state dict (a list of weights, say) is saved with that one.
    """
    kept = {_memory(v) for v in module.state_dict(keep_vars=True).values() if isinstance(v, Tensor)}
    own = list(module.named_modules())
    seen = {id(m) for _, m in own}
    found: dict[str, Any] = {}
    pending: list[tuple[str, Any]] = [item for name, m in own for item in _held(name, m)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, Tensor):
            if _memory(value) not in kept:
                found[place] = value
        elif isinstance(value, np.ndarray | float):
            found[place] = value
        elif id(value) not in seen and not isinstance(value, type | ModuleType) and not isroutine(value):
            seen.add(id(value))
            if isinstance(value, nn.Module):  # in a list, say: torch does not know of it
                pending += [item for name, m in value.named_modules() for item in _held(f"{place}.{name}", m)]
                pending += [(f"{place}.{name}", p) for name, p in value.named_parameters()]
            elif isinstance(value, Mapping):
                pending += [(f"{place}.{key}", item) for key, item in value.items()]
            elif isinstance(value, list | tuple | set | frozenset):
                pending += [(f"{place}.{i}", item) for i, item in enumerate(value)]
            else:
                pending += [(f"{place}.{key}", item) for key, item in getattr(value, "__dict__", {}).items()]
    return found


def _held(place: str, module: nn.Module) -> Iterator[tuple[str, Any]]:
    """What one module holds beside its parameters and those below it."""
    for name, value in (*module.named_buffers(recurse=False), *vars(module).items()):
        if name not in ("_parameters", "_buffers", "_modules"):
            yield f"{place}.{name}".lstrip("."), value


def _memory(x: Tensor) -> Any:
    strided = x.layout == torch.strided and not x.is_meta
    return (x.device, x.untyped_storage().data_ptr()) if strided else id(x)
