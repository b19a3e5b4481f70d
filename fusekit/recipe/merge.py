"""Laying one tree over another: `extends`, and `key.path=value` overrides.

- A mapping is merged key by key; anything else is replaced.
- A component that is given another `name` starts from its own defaults: the arguments below it are dropped.
  A bare word where a component stands is its name: `fusion=concat` is `fusion={name: concat}`.
- `requires` is added to: what a recipe extends needs its plugins still.
- An entry of a list is reached by number, or by its `name`: `stages.0.epochs=5`, `stages.latent.epochs=5`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fusekit.recipe.faults import Fault
from fusekit.recipe.nodes import Node, Path, parse
from fusekit.recipe.schema import component_kind
from fusekit.registry import nearest

_KEY = re.compile(r"[^\s.\[\]=]+(?:\.[^\s.\[\]=]+|\[\d+\])*")


def parse_overrides(overrides: Sequence[str], faults: list[Fault]) -> Node | None:
    """`["a.b=c", "stages[0].lr=1e-3"]` -> one tree, later ones laid over earlier; None if there are none."""
    tree: Node | None = None
    for text in overrides:
        file = f"override '{text}'"
        key, equals, value = text.partition("=")
        if not equals or not _KEY.fullmatch(key):
            faults.append(Fault(file, "", "must read key.path=value, as in train.seed=1"))
            continue
        branch = parse(value, file, faults, lines=False)
        if branch is None:
            continue
        for part in reversed(re.split(r"\.|\[", key)):
            branch = Node({part.rstrip("]"): branch}, file, 0)
        tree = branch if tree is None else merge(tree, branch, faults)
    return tree


def merge(base: Node, over: Node, faults: list[Fault], path: Path = ()) -> Node:
    """`over` laid over `base`; what it cannot find in a list becomes a fault."""
    if component_kind(path):
        base, over = _named(base), _named(over)
        old, new = _name(base), _name(over)
        if old is not None and new is not None and old != new:
            return over
    if isinstance(over.value, dict) and isinstance(base.value, dict):
        merged = dict(base.value)
        for key, child in over.value.items():
            merged[key] = merge(merged[key], child, faults, (*path, key)) if key in merged else child
        return Node(merged, base.file, base.line)
    if isinstance(over.value, dict) and isinstance(base.value, list):
        items = list(base.value)
        for key, child in over.value.items():
            index = _index(items, key)
            if index is None:
                known = [str(name) for name in map(_name, items) if name is not None]
                listed = f"{len(items)} entries" + (f": {', '.join(known)}" if known else "")
                message = f"no such entry in a list of {listed}.{nearest(key, known)}"
                faults.append(Fault(child.where, ".".join((*path, key)), message))
            else:
                items[index] = merge(items[index], child, faults, (*path, key))
        return Node(items, base.file, base.line)
    if path == ("requires",) and isinstance(base.value, list) and isinstance(over.value, list):
        known = [child.value for child in base.value]
        return Node([*base.value, *(c for c in over.value if c.value not in known)], over.file, over.line)
    return over


def _named(node: Node) -> Node:
    """`gmu` -> `{name: gmu}`."""
    return Node({"name": node}, node.file, node.line) if isinstance(node.value, str) else node


def _name(node: Node) -> object:
    name = node.value.get("name") if isinstance(node.value, dict) else None
    return name.value if name else None


def _index(items: list[Node], key: str) -> int | None:
    if key.isdecimal():
        return int(key) if int(key) < len(items) else None
    return next((i for i, item in enumerate(items) if _name(item) == key), None)
