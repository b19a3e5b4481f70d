"""The second pass: a component's arguments against the signature of its class, before any data is read."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from fusekit.errors import FusekitError, RecipeError, UnknownComponentError
from fusekit.recipe.faults import Fault
from fusekit.recipe.hints import MismatchError, convert
from fusekit.recipe.schema import Component, component_kind
from fusekit.registry import Registry, nearest


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What a recipe may say: the keyword-only parameters of the class, with resolved annotations."""
    init = cls.__init__  # type: ignore[misc]
    found = [p for p in inspect.signature(init).parameters.values() if p.kind is p.KEYWORD_ONLY]
    # Only these annotations are resolved: a positional one may name what is imported for type checkers alone.
    stub = lambda: None  # noqa: E731 - a bare holder of annotations
    stub.__annotations__ = {p.name: p.annotation for p in found if p.annotation is not p.empty}
    hints = get_type_hints(stub, globalns=getattr(inspect.unwrap(init), "__globals__", {}))
    return {p.name: p.replace(annotation=hints.get(p.name, Any)) for p in found}


def component_faults(
    components: Iterable[Component], registry: Registry, missing: Sequence[Fault] = ()
) -> list[Fault]:
    """Load every class that is named and hold its arguments against it; a component that stands nowhere in a
    recipe (`path`) is no business of this.

    Args:
        missing: faults about distributions that are not there. They come first, and a component that nobody
            offers is put down to them: it is no fault of its own until they are mended.
    """
    faults = list(missing)
    for component in components:
        kind = component_kind(tuple(component.path.split(".")))
        if kind is None:
            continue
        try:
            cls = registry.load(registry.get(kind, component.name))
        except UnknownComponentError as error:
            if not missing:
                faults.append(Fault(component.where, component.path, str(error)))
        except FusekitError as error:
            faults.append(Fault(component.where, component.path, str(error)))
        else:
            faults += check_arguments(component, cls)
    return faults


def check_arguments(component: Component, cls: type) -> list[Fault]:
    """Faults of a component's arguments: unknown with the nearest name, missing, or of the wrong type."""
    allowed = parameters(cls)
    taken = set(inspect.signature(cls.__init__).parameters) - set(allowed)  # type: ignore[misc]
    faults = []
    for key, value in component.args.items():
        where, path = component.marks.get(key, component.where), f"{component.path}.{key}"
        if key not in allowed:
            faults.append(Fault(where, path, _unknown(key, component.name, allowed, key in taken)))
            continue
        try:
            convert(value, allowed[key].annotation)
        except MismatchError as error:
            faults.append(Fault(where, path, str(error)))
    for key, parameter in allowed.items():
        if parameter.default is parameter.empty and key not in component.args:
            message = f"missing; '{component.name}' cannot do without it"
            faults.append(Fault(component.where, f"{component.path}.{key}", message))
    return faults


def blamed(component: Component, error: Exception) -> str:
    """Where the argument was set that a refusal names; else where the component and its overrides stand."""
    if not component.path:
        return component.name
    words = set(re.findall(r"\w+", str(error)))
    places = [where for key, where in component.marks.items() if key in words]
    if not places:
        places = [component.where, *(w for w in component.marks.values() if w.startswith("override"))]
    return f"{', '.join(dict.fromkeys(places))}: {component.path}"


def given(component: Component, cls: type) -> dict[str, Any]:
    """What the class is called with: paths as `Path`, all else as the recipe has it.

    Raises:
        RecipeError: what should be a path is none.
    """
    allowed, args = parameters(cls), dict(component.args)
    for key in args:
        if key in allowed and _names_path(allowed[key].annotation):
            try:
                args[key] = convert(args[key], allowed[key].annotation)
            except MismatchError as error:
                raise RecipeError(f"{key}: {error}") from error
    return args


def anchored(component: Component, cls: type) -> Component:
    """The same component with its relative paths, as seen from the current folder, made absolute."""
    args = {key: _absolute(value) for key, value in given(component, cls).items()}
    return replace(component, args=args)


def paths(component: Component, cls: type) -> dict[str, list[Path]]:
    """The files and folders that a component's arguments name, by argument."""
    found = {key: _paths(value) for key, value in given(component, cls).items()}
    return {key: names for key, names in found.items() if names}


def _paths(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [path for item in inner for path in _paths(item)]


def _names_path(hint: Any) -> bool:
    return hint is Path or any(map(_names_path, get_args(hint)))


def _absolute(value: Any) -> Any:
    """Plain data again."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, dict):
        return {key: _absolute(item) for key, item in value.items()}
    return [_absolute(item) for item in value] if isinstance(value, list | tuple) else value


def _unknown(key: str, name: str, allowed: Mapping[str, Any], taken: bool) -> str:
    if taken:
        return f"'{key}' of '{name}' is worked out from the other parts, a recipe does not set it"
    known = f"Arguments: {', '.join(allowed)}" if allowed else "It takes none"
    return f"'{name}' has no argument '{key}'.{nearest(key, allowed)} {known}"
