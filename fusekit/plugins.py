"""Finds plugins and fills a fresh registry. A broken plugin is reported and disabled, never fatal.

A plugin is a module with a `register_components` marked by `fusekit.hookspecs.hookimpl`, found

- through the entry point group `fusekit` of an installed package, or
- as a Python file given with `--plugin FILE`.

The environment variable FUSEKIT_PLUGINS selects installed plugins by entry point name, separated by commas;
set but empty, it selects none. Files that were asked for by name are loaded in any case.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pluggy

from fusekit import components, hookspecs
from fusekit.errors import FusekitError
from fusekit.registry import PluginStatus, Registry, nearest

GROUP = "fusekit"


def load(files: Sequence[str | Path] = ()) -> tuple[Registry, list[PluginStatus]]:
    """A fresh registry with fusekit's own components and those of every working plugin.

    Args:
        files: Python files to load as plugins, besides the installed ones.

    Raises:
        FusekitError: one of `files` does not exist.
    """
    registry = Registry()
    register_one(registry, components, "fusekit")
    statuses = registry.plugins
    statuses += _installed(registry)
    for file in files:
        path = Path(file)
        if not path.is_file():
            raise FusekitError(f"--plugin {file}: there is no such file.")
        status = PluginStatus(path.name, str(path), "loaded")
        statuses.append(_try(registry, status, partial(import_file, path)))
    return registry, statuses


def _installed(registry: Registry) -> list[PluginStatus]:
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    setting = os.environ.get("FUSEKIT_PLUGINS")
    chosen = None if setting is None else {name.strip() for name in setting.split(",") if name.strip()}
    statuses = []
    for point in points:
        name, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
        source = f"{name} {version}".strip() or point.value
        status = PluginStatus(
            point.name, source, "loaded", distribution=name, version=version, module=point.value
        )
        if chosen is not None and point.name not in chosen:
            statuses.append(replace(status, state="skipped", reason="not named in FUSEKIT_PLUGINS"))
        else:
            statuses.append(_try(registry, status, point.load))
    names = [point.name for point in points]
    for name in sorted((chosen or set()) - set(names)):
        reason = f"FUSEKIT_PLUGINS names it, but it is not installed.{nearest(name, names)}"
        statuses.append(PluginStatus(name, "", "disabled", reason))
    return statuses


def _try(registry: Registry, status: PluginStatus, find: Callable[[], object]) -> PluginStatus:
    """The status of a plugin after an attempt to load it."""
    try:
        offers = register_one(registry, find(), status.source)
    except (Exception, SystemExit) as error:  # whatever it raises disables this plugin alone, and is shown
        return replace(status, state="disabled", reason=f"{type(error).__name__}: {error}")
    return replace(status, offers=offers)


def register_one(registry: Registry, plugin: object, source: str) -> tuple[tuple[str, str], ...]:
    """Call one plugin's hook; all its components enter the registry, or none. What it offers."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()  # a misspelt hook would otherwise be ignored without a word
    if not manager.hook.register_components.get_hookimpls():
        raise ValueError("it has no `register_components` marked with fusekit.hookspecs.hookimpl")
    rows: list[tuple[str, str, str, str]] = []

    def register(kind: str, name: str, ref: str, summary: str) -> None:
        rows.append((kind, name, ref, summary))

    manager.hook.register_components(register=register)
    registry.add_all(rows, source)
    return tuple((kind, name) for kind, name, _, _ in rows)


def import_file(path: Path) -> ModuleType:
    """Import a file under a name of its own, so that `f"{__name__}:Class"` is a valid reference."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"fusekit_plugin_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None  # the loader was given
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
