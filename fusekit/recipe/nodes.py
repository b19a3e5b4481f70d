"""YAML as a tree that remembers where each value stands; nothing but plain data is ever constructed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from fusekit.recipe.faults import Fault

Path = tuple[str, ...]

UNKNOWN = object()
"""Stands for a value that could not be worked out; there is a fault about it already."""

LONGEST = 300_000
"""Bytes of a file. More takes the parser minutes, and no recipe comes near."""

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Node:
    """A value of a recipe: `dict[str, Node]`, `list[Node]`, or a string, number, truth value or None.

    Attributes:
        file, line: where it stands (for a value of a mapping: its key); line 0: `file` names an override.
    """

    value: Any
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    def plain(self) -> Any:
        """The value without its marks."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def known(self) -> bool:
        """False if it is, or holds, something that could not be worked out."""
        return self.value is not UNKNOWN and all(child.known() for _, child in self.children())

    def replace(self, value: Any) -> Node:
        """Another (plain) value at the same place."""
        if isinstance(value, dict):
            return Node({str(key): self.replace(item) for key, item in value.items()}, self.file, self.line)
        if isinstance(value, list | tuple):
            return Node([self.replace(item) for item in value], self.file, self.line)
        return Node(value, self.file, self.line)

    def children(self) -> Iterator[tuple[str, Node]]:
        """(key or index, node) of a mapping or list; nothing for a scalar."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            for i, child in enumerate(self.value):
                yield str(i), child


def places(root: Node, path: Path = ()) -> dict[str, str]:
    """`{dotted path: place}` of everything below `root`, entries of lists by number."""
    found: dict[str, str] = {}
    for key, child in root.children():
        found[".".join((*path, key))] = child.where
        found |= places(child, (*path, key))
    return found


class _Loader(yaml.SafeLoader):
    """The plain scalars of YAML 1.2: `1e-3` is a number; `no`, `1:30`, `2020-01-01` and `05` are strings."""

    yaml_implicit_resolvers: dict[str, Any] = {}


class _Dumper(yaml.SafeDumper):
    """Quotes every string that either this loader or YAML 1.1 would read as something else."""

    yaml_implicit_resolvers = {
        first: list(rows) for first, rows in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), _first)


def read(path: os.PathLike[str], file: str, faults: list[Fault]) -> Node | None:
    """A YAML file -> tree; None, and at least one more fault, if it cannot be read or is not plain YAML.

    Args:
        file: what to name in messages.
    """
    try:
        with open(path, "rb") as opened:
            data = opened.read(LONGEST + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as reason:
        faults.append(Fault(file, "", f"cannot be read: {reason}"))
        return None
    if len(data) > LONGEST:
        faults.append(Fault(file, "", f"is longer than {LONGEST:,} bytes, more than any recipe needs"))
        return None
    return parse(text, file, faults)


def parse(text: str, file: str, faults: list[Fault], *, lines: bool = True) -> Node | None:
    """YAML text -> tree; None, and at least one more fault, if it is not plain YAML.

    Args:
        file: what to name in messages.
        lines: False for an override, which has no lines.
    """

    def fault(message: str, mark: Any = None) -> None:
        line = mark.line + 1 if lines and mark is not None else 0
        faults.append(Fault(f"{file}:{line}" if line else file, "", message))

    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        fault(f"not YAML: {error.problem or error.context}", error.problem_mark or error.context_mark)
        return None
    except yaml.YAMLError as error:  # characters that YAML does not allow
        fault(f"not YAML: {str(error).splitlines()[0]}")
        return None
    except RecursionError:
        fault("nested too deeply for a recipe")
        return None
    before = len(faults)
    seen: set[int] = set()

    def build(node: yaml.Node | None, line: int) -> Node:
        if node is None:
            return Node(None, file, line)
        mark = node.start_mark
        if id(node) in seen:
            fault("an anchor is used twice; in a recipe write ${key.path} instead", mark)
            return Node(None, file, line)
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return Node(mapping(node), file, line)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return Node([build(item, position(item.start_mark)) for item in node.value], file, line)
        if isinstance(node, yaml.ScalarNode):
            try:
                return Node(_scalar(node.tag, node.value), file, line)
            except KeyError:
                pass
            except ValueError:
                fault(f"{node.value!r} is not what its tag says", mark)
                return Node(None, file, line)
        fault(
            f"the tag {node.tag.replace(_TAG, '!!')} is refused: a recipe is plain data and runs nothing",
            mark,
        )
        return Node(None, file, line)

    def mapping(node: yaml.MappingNode) -> dict[str, Node]:
        out: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (_TAG + "str", _TAG + "int"):
                fault("a key must be a word or a number", key.start_mark)
            elif key.value in out:
                fault(f"'{key.value}' is written twice, first at {out[key.value].where}", key.start_mark)
            else:
                out[key.value] = build(value, position(key.start_mark))
        return out

    def position(mark: Any) -> int:
        return mark.line + 1 if lines else 0

    tree = build(root, 1 if lines else 0)
    return tree if len(faults) == before else None


def _scalar(tag: str, text: str) -> Any:
    match tag.removeprefix(_TAG):
        case "str":
            return text
        case "null":
            return None
        case "bool":
            return {"true": True, "false": False}[text.lower()]
        case "int":
            return int(text)
        case "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    raise KeyError(tag)


def dump(data: Any) -> str:
    """Plain data -> YAML that `parse` reads back to the same data."""
    return yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110
    )
