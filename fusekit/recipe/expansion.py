"""How large a value becomes once its `${key.path}` are replaced, worked out without replacing any.

A few lines can stand for terabytes: each of `x1: ${x0}${x0}`, `x2: ${x1}${x1}`, ... is twice the one before.
"""

from __future__ import annotations

import re

from fusekit.recipe.nodes import Node, Path

LARGEST = 10_000
"""Characters and values that one `${...}` may bring; all bundled recipes together have as many."""
DEEPEST = 50
"""How many `${...}` may lead one to the next."""

_REFERENCE = re.compile(r"\$\{\s*(\.*)([^{}]*?)\s*\}")


class Expansion:
    """Sizes of the values of one recipe, each worked out once."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self._sizes: dict[Path, tuple[int, int]] = {}

    def too_large(self, node: Node, path: Path) -> str:
        """What is wrong with the value at a path, as a sentence; empty if nothing is."""
        size, depth = self._of(node, path, ())
        if size > LARGEST:
            return f"stands for more than {LARGEST:,} characters; write what is meant"
        if depth > DEEPEST:
            return f"leads through more than {DEEPEST} others; write what is meant"
        return ""

    def _of(self, node: Node, path: Path, chain: tuple[Path, ...]) -> tuple[int, int]:
        """(characters and values, references one behind the other) of a value; a circle counts as nothing."""
        if path in chain or len(chain) > DEEPEST:
            return 0, len(chain)
        if path not in self._sizes:
            self._sizes[path] = self._measured(node, path, chain)
        return self._sizes[path]

    def _measured(self, node: Node, path: Path, chain: tuple[Path, ...]) -> tuple[int, int]:
        children = list(node.children())
        if children:
            parts = [self._of(child, (*path, key), chain) for key, child in children]
            return min(1 + sum(size for size, _ in parts), LARGEST + 1), max(depth for _, depth in parts)
        if not isinstance(node.value, str):
            return 1, 0
        size, deepest = len(node.value), 0
        for dots, words in _REFERENCE.findall(node.value):
            # One dot is the mapping around the value, each further one the mapping around that.
            base = path[: len(path) - len(dots)] if dots else ()
            goal = (*base, *(word for word in re.split(r"[.\[\]]+", words) if word))
            found = self._at(goal)
            if found is not None:
                more, depth = self._of(found, goal, (*chain, path))
                size, deepest = min(size + more, LARGEST + 1), max(deepest, depth + 1)
        return size, deepest

    def _at(self, path: Path) -> Node | None:
        node: Node | None = self.root
        for key in path:
            node = dict(node.children()).get(key) if node is not None else None
        return node
