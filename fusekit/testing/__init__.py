"""Conformance kit: one check per kind of component, for fusekit's own and for those of plugins.

Importing it is light; torch is loaded when a check runs.
"""

from __future__ import annotations

from fusekit.testing.case import Case

__all__ = ["Case"]
