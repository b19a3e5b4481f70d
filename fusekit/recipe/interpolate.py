"""`${key.path}` inside a recipe, by omegaconf. Resolvers, as in `${oc.env:HOME}`, are refused: none runs."""

from __future__ import annotations

import re
from typing import Any

from fusekit.recipe.expansion import Expansion
from fusekit.recipe.faults import Fault
from fusekit.recipe.hints import show
from fusekit.recipe.nodes import UNKNOWN, Node, Path

_PLAIN = re.compile(r"\$\{\s*\.*[A-Za-z_][\w-]*(?:\.[\w-]+|\[\d+\])*\s*\}")


def interpolate(root: Node, faults: list[Fault]) -> Node:
    """The same tree with every `${key.path}` replaced by what stands there (a number stays a number).

    What cannot be resolved becomes a fault and `UNKNOWN`.
    """
    if "${" not in str(root.plain()):
        return root
    from omegaconf import OmegaConf

    found = len(faults)
    root = _bounded(root, Expansion(root), (), faults)
    if len(faults) > found:
        return root  # what leads to a value that is too large would be looked up again and again
    return _resolve(root, OmegaConf.create(_understood(root.plain())), (), faults)


def _bounded(node: Node, expansion: Expansion, path: Path, faults: list[Fault]) -> Node:
    """The same tree, without the values that would grow too large."""
    if isinstance(node.value, dict):
        made = {key: _bounded(c, expansion, (*path, key), faults) for key, c in node.value.items()}
        return Node(made, node.file, node.line)
    if isinstance(node.value, list):
        items = [_bounded(c, expansion, (*path, str(i)), faults) for i, c in enumerate(node.value)]
        return Node(items, node.file, node.line)
    if isinstance(node.value, str) and "${" in node.value and (why := expansion.too_large(node, path)):
        faults.append(Fault(node.where, ".".join(path), f"{show(node.value)} {why}"))
        return Node(UNKNOWN, node.file, node.line)
    return node


def _refused(value: Any) -> bool:
    return isinstance(value, str) and ("${" in _PLAIN.sub("", value) or "\\${" in value)


def _understood(data: Any) -> Any:
    """Plain data without the strings that omegaconf must not see."""
    if isinstance(data, dict):
        return {key: _understood(item) for key, item in data.items()}
    if isinstance(data, list):
        return [_understood(item) for item in data]
    return None if _refused(data) else data


def _resolve(node: Node, here: Any, path: Path, faults: list[Fault]) -> Node:
    """`here`: omegaconf's view of `node`."""
    if isinstance(node.value, dict):
        made = {key: _child(c, here, key, (*path, key), faults) for key, c in node.value.items()}
        return Node(made, node.file, node.line)
    if isinstance(node.value, list):
        items = [_child(c, here, i, (*path, str(i)), faults) for i, c in enumerate(node.value)]
        return Node(items, node.file, node.line)
    return node


def _child(node: Node, around: Any, key: str | int, path: Path, faults: list[Fault]) -> Node:
    """`around`: omegaconf's view of the mapping or list that holds `node`."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(node.value, dict | list):
        return _resolve(node, around[key], path, faults)
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    if _refused(node.value):
        message = f"{node.value}: only ${{key.path}} is understood, as in ${{target.step_hz}}"
    else:
        try:
            value = around[key]
            plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            return node.replace(plain)
        except OmegaConfBaseException as error:
            message = f"{node.value}: {_reason(str(error))}"
        except RecursionError:
            message = f"{node.value}: leads back to itself"
    faults.append(Fault(node.where, ".".join(path), message))
    return Node(UNKNOWN, node.file, node.line)


def _reason(text: str) -> str:
    found = re.search(r"Interpolation key '([^']*)' not found", text)
    if found:
        return f"there is no key '{found[1]}'"
    return "leads back to itself" if "Recursive interpolation" in text else text.splitlines()[0]
