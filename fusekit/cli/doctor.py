"""`fusekit doctor`: what this machine has, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from fusekit.cli.options import Json, Plugins
from fusekit.errors import FusekitError

Facts = list[tuple[str, str]]

PACKAGES = (
    "torch", "torchvision", "timm", "numpy", "scipy", "av", "librosa", "opencv-python-headless",
    "accelerate", "safetensors", "omegaconf", "typer", "rich", "pluggy", "matplotlib", "plotly",
)  # fmt: skip
EXTRAS = {"parquet": "pyarrow"}


def doctor(as_json: Json = False, plugin: Plugins = None) -> None:
    """Print versions, devices, folders and plugins; exit with code 2 if something is wrong.

    \b
    Examples:
      fusekit doctor
      fusekit doctor --plugin my_fusion.py
    """
    faults: list[str] = []
    facts = [
        *_here(),
        *_distribution(faults),
        *_packages(faults),
        *_devices(faults),
        *_media(faults),
        *_plugins(plugin, faults),
    ]
    if as_json:
        import json

        typer.echo(json.dumps({"facts": dict(facts), "faults": faults}, indent=2, ensure_ascii=False))
    else:
        width = max(len(name) for name, _ in facts)
        for name, value in facts:
            typer.echo(f"{name:<{width}}  {value}")
        typer.echo("".join(f"\nfault: {fault}" for fault in faults) or "\nNothing is wrong.")
    if faults:
        raise typer.Exit(2)


def _here() -> Iterator[tuple[str, str]]:
    import os
    import platform
    import sys

    from fusekit import __version__

    yield "fusekit", f"{__version__}, {Path(__file__).parents[1]}"
    yield "python", f"{platform.python_version()}, {sys.executable}"
    yield "machine", f"{platform.platform()}, {os.cpu_count()} cores"


def _distribution(faults: list[str]) -> Iterator[tuple[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    from fusekit import distribution

    try:
        yield "distribution", f"{distribution.NAME} {version(distribution.NAME)}"
    except PackageNotFoundError:
        yield "distribution", f"{distribution.NAME} is not installed: this is a folder of source code"
    faults += distribution.faults()


def _packages(faults: list[str]) -> Iterator[tuple[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    from fusekit.distribution import NAME

    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            faults.append(f"{package} is missing: `pip install {package}`")
    for extra, package in EXTRAS.items():
        try:
            yield f"extra {extra}", version(package)
        except PackageNotFoundError:
            yield f"extra {extra}", f"not installed: `pip install '{NAME}[{extra}]'`"


def _devices(faults: list[str]) -> Facts:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        faults.append(f"torch cannot be imported: {error}")
        return []
    if not torch.cuda.is_available():
        return [("device", f"CPU, {torch.get_num_threads()} threads; no CUDA device")]
    return [(f"device cuda:{i}", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]


def _media(faults: list[str]) -> Iterator[tuple[str, str]]:
    from fusekit.data.cache import cache_dir
    from fusekit.engine.files import unwritable

    cache = cache_dir()
    yield "cache", f"{cache} (FUSEKIT_CACHE changes it)"
    if reason := unwritable(cache):
        faults.append(f"the cache folder cannot be written, {reason}. Let FUSEKIT_CACHE name another.")
    try:
        import av
    except (ImportError, OSError) as error:
        faults.append(f"av cannot be imported, no video can be read: {error}")
        return
    version = ".".join(map(str, av.library_versions.get("libavcodec", ())))
    yield "FFmpeg", f"inside av, libavcodec {version}"


def _plugins(files: list[Path] | None, faults: list[str]) -> Iterator[tuple[str, str]]:
    from fusekit import plugins

    registry, statuses = plugins.load(files or [])
    yield "components", f"{len(registry.entries())} (`fusekit list`)"
    for status in statuses:
        what = f"{status.components} components" if status.state == "loaded" else status.reason
        yield f"plugin {status.name}", f"{status.state}, {what} ({status.source or 'not found'})"
        if status.state == "disabled":
            faults.append(f"plugin {status.name} is disabled: {status.reason}")
    for entry in registry.entries():  # imports what no recipe has named yet: a class may be missing
        try:
            registry.load(entry)
        except FusekitError as error:
            faults.append(str(error))
