"""Which plugin is meant: an installed distribution, an entry point, a module, a file; what it offers."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from fusekit import components, plugins
from fusekit.errors import FusekitError
from fusekit.registry import Entry, Registry, nearest
from fusekit.testing.case import Case


@dataclass(frozen=True)
class Target:
    """One plugin.

    Attributes:
        name: as it was asked for.
        module: name of the module with the hook; None for a single file, which may be heavy.
        registry: fusekit's own components and the plugin's.
        entries: the plugin's.
        cases: what its `conformance_cases` returns.
    """

    name: str
    module: str | None
    registry: Registry
    entries: tuple[Entry, ...]
    cases: tuple[Case, ...]


def resolve(target: str | Path | ModuleType, cases: Iterable[Case] | None = None) -> list[Target]:
    """The plugins that `target` names; a distribution may hold several.

    Args:
        target: a Python file, an installed distribution, an entry point of the group `fusekit`, or a module
            with the hook or its name.
        cases: instead of those that the plugin offers.

    Raises:
        FusekitError: there is no such plugin, it cannot be imported, or its hook is broken.
    """
    if isinstance(target, ModuleType):
        return [_target(target.__name__, target, target.__name__, cases)]
    name = str(target)
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise FusekitError(f"{name}: there is no such file.")
        return [_target(name, _imported(name, lambda: plugins.import_file(Path(name))), None, cases)]
    points = _points(name)
    if points:
        return [
            _target(f"{name}:{p.name}" if len(points) > 1 else name, _imported(name, p.load), p.module, cases)
            for p in points
        ]
    if re.fullmatch(r"\w+(\.\w+)+", name):
        return [_target(name, _imported(name, lambda: importlib.import_module(name)), name, cases)]
    known = sorted({p.name for p in _all()} | {p.dist.name for p in _all() if p.dist})
    raise FusekitError(
        f"no installed package and no plugin is called '{name}'.{nearest(name, known)} Installed plugins: "
        f"{', '.join(known) or 'none'}. Give one of them, a module (my_package.plugin) or a Python file."
    )


def _all() -> list[EntryPoint]:
    return sorted(entry_points(group=plugins.GROUP), key=lambda point: point.name)


def _points(name: str) -> list[EntryPoint]:
    def plain(text: str) -> str:
        return re.sub(r"[-_.]+", "-", text).lower()

    return [p for p in _all() if name == p.name or (p.dist and plain(p.dist.name) == plain(name))]


def _imported(name: str, find: object) -> ModuleType:
    try:
        return find()  # type: ignore[operator, no-any-return]
    except (Exception, SystemExit) as error:  # whatever a plugin raises is its author's to read
        raise FusekitError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _target(name: str, module: ModuleType, hook: str | None, cases: Iterable[Case] | None) -> Target:
    registry = Registry()
    plugins.register_one(registry, components, "fusekit")
    before: set[Entry] = set() if module is components else set(registry.entries())
    try:
        plugins.register_one(registry, module, name)
        offer = getattr(module, "conformance_cases", None)
        found = tuple(cases) if cases is not None else tuple(offer() if offer is not None else ())
        for case in found:
            if not isinstance(case, Case):
                raise TypeError(f"conformance_cases holds {case!r}, which is no fusekit.testing.Case")
    except (Exception, SystemExit) as error:  # whatever its hook or its cases raise is its author's to read
        raise FusekitError(f"{name}: {type(error).__name__}: {error}") from error
    entries = tuple(entry for entry in registry.entries() if entry not in before)
    if not entries:
        raise FusekitError(f"{name}: its hook registers nothing, so there is nothing to check.")
    named = {(e.kind.value, e.name) for e in entries}
    strange = [case.id for case in found if (case.kind, case.name) not in named]
    if strange:
        raise FusekitError(
            f"{name}: case {strange[0]} names no component that it registers. It registers "
            f"{', '.join(f'{e.kind} {e.name}' for e in entries)}."
        )
    return Target(name, hook, registry, entries, found)
