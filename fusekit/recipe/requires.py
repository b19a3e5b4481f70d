"""Distributions that a recipe needs: what is missing of them, and what to type."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from fusekit.distribution import NAME, STRANGER, same
from fusekit.recipe.faults import Fault
from fusekit.recipe.nodes import Node
from fusekit.registry import Registry


def wanted(root: Node) -> list[tuple[str, str]]:
    """(distribution, place) of every entry of `requires` in a recipe that may have other faults."""
    node = root.value.get("requires")
    if node is None or not isinstance(node.value, list):
        return []
    entries = [child for _, child in node.children()]
    return [(child.value, child.where) for child in entries if isinstance(child.value, str)]


def requirement_faults(names: Iterable[tuple[str, str]], registry: Registry) -> list[Fault]:
    """One fault for each (distribution, place) that is not installed or whose plugin does not work."""
    faults = []
    for name, where in names:
        message = missing(name, registry)
        if message:
            faults.append(Fault(where, "requires", message))
    return faults


def missing(name: str, registry: Registry) -> str:
    """What is the matter with a distribution, and what to type; empty if nothing is."""
    if same(name) == STRANGER:
        return (
            f"{name} is another project on the package index. This one is {NAME}: write that, or leave it out"
        )
    found = [status for status in registry.plugins if same(status.distribution) == same(name)]
    for status in found:
        if status.state == "disabled":
            return (
                f"{status.source} is installed, but its plugin '{status.name}' is disabled: {status.reason}\n"
                f"  Mend that, or install it anew: pip install --upgrade --force-reinstall {name}"
            )
        if status.state == "skipped":
            return (
                f"{status.source} is installed, but its plugin '{status.name}' is skipped: {status.reason}. "
                "Name it there, too, or unset FUSEKIT_PLUGINS."
            )
    if not found:
        try:
            version(name)
        except (PackageNotFoundError, ValueError):  # ValueError: no name that a package can have
            return f"{name} is not installed: pip install {name}"
    return ""
