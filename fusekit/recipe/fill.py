"""A tree of YAML values becomes the dataclasses of the schema; every fault is kept, none stops it."""

from __future__ import annotations

import copy
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fusekit.recipe.faults import Fault
from fusekit.recipe.hints import MismatchError, convert, show
from fusekit.recipe.nodes import UNKNOWN, Node, Path, places
from fusekit.recipe.rules import broken
from fusekit.recipe.schema import Component, Recipe, component_kind
from fusekit.registry import nearest

Filled = TypeVar("Filled")

_FAULTY: Any = object()
_EXAMPLES = {
    "corpus": "demo",
    "reader": "face-video",
    "degradation": "picture",
    "encoder": "denoising-generator",
    "quadrant": "discriminator",
    "projector": "conv-pyramid",
    "fusion": "gmu",
    "temporal": "luong-lstm",
    "head": "linear",
    "loss": "afc",
}

Preset = Mapping[str, Mapping[str, Any]]
"""`{"kind/name": {argument: value}}`: what a preset says where the recipe is silent."""


def fill(
    root: Node, preset: Preset, files: tuple[str, ...], faults: list[Fault]
) -> tuple[Recipe | None, list[Component]]:
    """The recipe, or None and at least one more fault; and, in either case, the components that it names."""
    given = {"files": files, "places": places(root)}
    filler = _Filler(preset, faults)
    recipe = filler.dataclass(Recipe, root, (), given)
    return None if recipe is _FAULTY else recipe, filler.components


def fill_with(cls: type[Filled], root: Node, faults: list[Fault]) -> Filled | None:
    """Another dataclass than a recipe's, filled in the same way; None and at least one more fault."""
    made = _Filler({}, faults).dataclass(cls, root, ())
    return None if made is _FAULTY else made


@dataclass
class _Filler:
    """Each method returns the value that a node stands for, or _FAULTY and at least one more fault."""

    preset: Preset
    faults: list[Fault]
    components: list[Component] = field(default_factory=list)

    def fault(self, node: Node, path: Path, message: str) -> Any:
        self.faults.append(Fault(node.where, ".".join(path), message))
        return _FAULTY

    def dataclass(self, cls: Any, node: Node, path: Path, given: Mapping[str, Any] | None = None) -> Any:
        if not isinstance(node.value, dict):
            return self.fault(node, path, f"expected a mapping, found {show(node.plain())}")
        values = dict(given or {})
        wanted = {f.name: f for f in fields(cls) if f.name not in values}
        hints = get_type_hints(cls)
        for key, child in node.value.items():
            if key not in wanted:
                closest = _sections(hints, key) or nearest(key, wanted) or f" Keys: {', '.join(wanted)}"
                self.fault(child, (*path, key), f"unknown key.{closest}")
        for key, f in wanted.items():
            where = (*path, key)
            if key in node.value:
                values[key] = self.value(hints[key], node.value[key], where)
            elif f.default_factory is not MISSING and isinstance(default := f.default_factory(), Component):
                # One by default is a component like any other: its path is set, the preset holds for it.
                values[key] = self.component(Node(default.name, node.file, node.line), where)
            elif f.default is MISSING and f.default_factory is MISSING:
                example = f", as in {key}: {{name: {_EXAMPLES[key]}}}" if key in _EXAMPLES else ""
                values[key] = self.fault(node, where, f"missing{example}")
        good = {key: value for key, value in values.items() if value is not _FAULTY}
        for key, message in broken(cls, good):
            self.fault(node.value.get(key, node), (*path, key), message)
        return cls(**values) if len(good) == len(values) else _FAULTY

    def value(self, hint: Any, node: Node, path: Path) -> Any:
        origin, args = get_origin(hint), get_args(hint)
        if node.value is UNKNOWN:
            return _FAULTY
        if hint is Component:
            return self.component(node, path)
        if origin in (Union, types.UnionType) and Component in args:
            return None if node.value is None else self.component(node, path)
        if is_dataclass(hint):
            return self.dataclass(hint, node, path)
        if origin is dict and is_dataclass(args[1]):
            return self.mapping(args[1], node, path)
        if origin is tuple and is_dataclass(args[0]):
            return self.list(args[0], node, path)
        if not node.known():
            return _FAULTY
        try:
            return convert(node.plain(), hint)
        except MismatchError as error:
            return self.fault(node, path, str(error))

    def mapping(self, cls: Any, node: Node, path: Path) -> Any:
        """`{name: cls}`; null takes a name away that `extends` brought."""
        if not isinstance(node.value, dict):
            return self.fault(node, path, f"expected a mapping, found {show(node.plain())}")
        kept = {key: child for key, child in node.value.items() if child.value is not None}
        made = {key: self.dataclass(cls, child, (*path, key)) for key, child in kept.items()}
        return _FAULTY if any(item is _FAULTY for item in made.values()) else made

    def list(self, cls: Any, node: Node, path: Path) -> Any:
        if not isinstance(node.value, list):
            return self.fault(node, path, f"expected a list, found {show(node.plain())}")
        items = [self.dataclass(cls, child, (*path, key)) for key, child in node.children()]
        return _FAULTY if any(item is _FAULTY for item in items) else tuple(items)

    def component(self, node: Node, path: Path) -> Any:
        if isinstance(node.value, str):
            node = Node({"name": node}, node.file, node.line)
        name = node.value.get("name") if isinstance(node.value, dict) else None
        if name is not None and name.value is UNKNOWN:
            return _FAULTY
        if name is None or not isinstance(name.value, str):
            key = path[-1]
            found = show(node.plain() if name is None else name.plain())
            example = f"as in {key}: {{name: {_EXAMPLES.get(key, '...')}}}"
            return self.fault(name or node, path, f"needs a `name`, {example}; found {found}")
        own = {key: child for key, child in node.value.items() if key != "name"}
        args = copy.deepcopy(dict(self.preset.get(f"{component_kind(path)}/{name.value}", {})))
        args.update({key: child.plain() for key, child in own.items()})
        marks = {key: child.where for key, child in own.items()}
        made = Component(name.value, args, ".".join(path), name.file, name.line, marks)
        self.components.append(made)
        return made


def _sections(hints: Mapping[str, Any], key: str) -> str:
    """` Did you mean 'train.seed'?` if sections of this mapping have the key that it lacks itself."""
    sections = {name: hint for name, hint in hints.items() if is_dataclass(hint) and hint is not Component}
    found = [f"'{name}.{key}'" for name, hint in sections.items() if key in {f.name for f in fields(hint)}]
    return f" Did you mean {' or '.join(found)}?" if found else ""
