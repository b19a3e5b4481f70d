"""Whose code prepares a recording: part of the prepared store's key for readers of plugins.

fusekit's own readers are covered by the store's `FORMAT`.
"""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from fusekit.contracts import Detector, Reader


def makers(reader: Reader) -> list[str]:
    """A line per class outside fusekit that `reader`, or a detector that it holds, is made of.

    It names the class, its distribution's version, and the content of the file that the class stands in: a
    plugin that is one file has no version, and one at work on a plugin seldom raises it.
    """
    parts = [reader, *(part for part in vars(reader).values() if isinstance(part, Detector | Reader))]
    classes = dict.fromkeys(cls for part in parts for cls in type(part).__mro__)
    return [_maker(cls) for cls in classes if _foreign(cls)]


def _foreign(cls: type) -> bool:
    top = cls.__module__.partition(".")[0]
    return top != "fusekit" and top not in sys.stdlib_module_names


@cache
def _maker(cls: type) -> str:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    code = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file and Path(file).is_file() else ""
    return f"{cls.__qualname__}, {_version(cls.__module__.partition('.')[0])}, {code}"


@cache
def _version(package: str) -> str:
    """Name and version of the distribution that offers a package to fusekit; "" where there is none."""
    for point in metadata.entry_points(group="fusekit"):
        if point.dist is not None and point.value.partition(".")[0].partition(":")[0] == package:
            return f"{point.dist.name} {point.dist.version}"
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""
