"""What package indexes call this project, and who else calls itself so.

The index gives the name `fusekit` to another project, whose files lie in a folder of the same name. So this
one is the distribution `fusekit-multimodal`, while package and command stay `fusekit`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

NAME = "fusekit-multimodal"
STRANGER = "fusekit"


def same(name: str) -> str:
    """A distribution's name as package indexes compare it: `Fusekit_ECG` and `fusekit-ecg` are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def faults() -> Iterator[str]:
    """What is wrong with the installed distributions: the stranger itself, and who asks for it."""
    for found in distributions():
        name = same(found.metadata["Name"] or "")
        if name == STRANGER:
            yield _installed(found)
        elif any(_named(need) == STRANGER for need in found.requires or ()):
            yield (
                f"{name} {found.version} depends on `{STRANGER}`, which the index gives to another project. "
                f"Its author must write `{NAME}` in its dependencies; until then: "
                f"pip install --no-deps {name}"
            )


def _installed(found: Distribution) -> str:
    scripts = found.entry_points.select(group="console_scripts", name="fusekit")
    ours = any(point.value == "fusekit.cli:main" for point in scripts)
    what = f"an older version of this project, now called {NAME}" if ours else "another project"
    return (
        f"the distribution `{STRANGER}` {found.version} is installed: {what}. Both write into the folder "
        f"`fusekit`. Remove both, then install this one again: "
        f"pip uninstall --yes {STRANGER} {NAME}; pip install {NAME}"
    )


def _named(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return same(match.group()) if match else ""
