"""Conformance kit: one check per kind of component, for fusekit's own and for those of plugins.

Importing it is light, so that a hook module may take `Case` from here; torch is loaded when a check is named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fusekit.testing.case import Case

if TYPE_CHECKING:
    from fusekit.testing.findings import ConformanceError, Finding
    from fusekit.testing.kit import CHECKS, check
    from fusekit.testing.light import check_plugin_is_light
    from fusekit.testing.suite import conformance_tests

__all__ = [
    "CHECKS",
    "Case",
    "ConformanceError",
    "Finding",
    "check",
    "check_plugin_is_light",
    "conformance_tests",
]
_HOMES = {
    "CHECKS": "kit",
    "ConformanceError": "findings",
    "Finding": "findings",
    "check": "kit",
    "check_plugin_is_light": "light",
    "conformance_tests": "suite",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fusekit.testing.{_HOMES[name]}"), name)
