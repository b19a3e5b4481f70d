"""The second pass: a component's arguments against the signature of its class, before any data is read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

from fusekit.recipe.faults import Fault
from fusekit.recipe.hints import MismatchError, convert
from fusekit.recipe.schema import Component
from fusekit.registry import nearest


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What a recipe may say: the keyword-only parameters of the class, with resolved annotations."""
    init = cls.__init__  # type: ignore[misc]
    found = [p for p in inspect.signature(init).parameters.values() if p.kind is p.KEYWORD_ONLY]
    # Only these annotations are resolved: a positional one may name what is imported for type checkers alone.
    stub = lambda: None  # noqa: E731 - a bare holder of annotations
    stub.__annotations__ = {p.name: p.annotation for p in found if p.annotation is not p.empty}
    hints = get_type_hints(stub, globalns=getattr(inspect.unwrap(init), "__globals__", {}))
    return {p.name: p.replace(annotation=hints.get(p.name, Any)) for p in found}


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


def _unknown(key: str, name: str, allowed: Mapping[str, Any], taken: bool) -> str:
    if taken:
        return f"'{key}' of '{name}' is worked out from the other parts, a recipe does not set it"
    known = f"Arguments: {', '.join(allowed)}" if allowed else "It takes none"
    return f"'{name}' has no argument '{key}'.{nearest(key, allowed)} {known}"
