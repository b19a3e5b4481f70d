"""Is the module with the hook light: measured in a process of its own, where nothing else is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from fusekit.errors import FusekitError

HEAVY = (
    "torch", "torchvision", "torchaudio", "numpy", "scipy", "pandas", "sklearn", "transformers",
    "sentence_transformers", "tensorflow", "jax", "matplotlib", "librosa", "cv2", "av", "timm", "neurokit2",
    "pyarrow",
)  # fmt: skip
"""Never to be loaded by a hook module, however little of it is."""
MANY = 60
"""A package that brings more modules than this is heavy too, whatever its name."""
_MEASURE = """
import importlib, json, sys
import fusekit.hookspecs
before = set(sys.modules)
answer, sys.stdout = sys.stdout, sys.stderr  # what the module prints is no part of it
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)), file=answer)
"""


class HeavyPluginError(AssertionError):
    """A hook module loads packages that every command would then wait for."""


def heavy_imports(module: str) -> dict[str, int]:
    """`{package: modules loaded}` of what importing the hook module `module` should not load.

    Raises:
        FusekitError: the module cannot be imported.
    """
    path = os.pathsep.join(p for p in sys.path if p)
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, module],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    if run.returncode or not run.stdout:  # it may also leave with code 0
        reason = (run.stderr.strip() or "no word").splitlines()[-1]
        raise FusekitError(f"{module} cannot be imported in a fresh process: {reason}")
    counts: dict[str, int] = {}
    for name in json.loads(run.stdout):
        top = name.split(".")[0]
        counts[top] = counts.get(top, 0) + 1
    own = {module.split(".")[0], "fusekit"} | set(sys.stdlib_module_names)
    return {top: n for top, n in counts.items() if top not in own and (top in HEAVY or n > MANY)}


def check_plugin_is_light(module: str) -> None:
    """Every command that needs components imports every plugin's hook module; so it imports nothing heavy.

    Args:
        module: its name, e.g. "fusekit_ecg.plugin".

    Raises:
        HeavyPluginError: it does; names the packages.
        FusekitError: the module cannot be imported.
    """
    found = heavy_imports(module)
    if found:
        listed = ", ".join(f"{name} ({n} modules)" for name, n in sorted(found.items()))
        raise HeavyPluginError(
            f"importing {module} loads {listed}. Every command of fusekit imports it: import the classes by "
            "reference ('package.module:Class'), and cases inside the body of `conformance_cases` "
            "(docs/plugins.md, A package)."
        )
