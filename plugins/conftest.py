"""A plugin's tests run where the plugin is installed; elsewhere they are left out, and the header says so."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


ABSENT = [
    file.parent.name
    for file in sorted(Path(__file__).parent.glob("*/pyproject.toml"))
    if not _installed(file.parent.name)
]
collect_ignore = list(ABSENT)


def pytest_report_header() -> list[str]:
    return [f"not installed, so not tested: plugins/{name}" for name in ABSENT]
