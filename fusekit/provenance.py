"""Where a run came from: versions, seeds, hash of the data, state of the code."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from fusekit import __version__
from fusekit.contracts import Clip, Reader, Source

PACKAGES = (
    "torch",
    "timm",
    "numpy",
    "av",
    "librosa",
    "opencv-python-headless",
    "accelerate",
    "safetensors",
)


def provenance(
    clips: Iterable[Clip],
    device: str,
    seed: int,
    plugins: Iterable[str],
    distributions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What provenance.json holds.

    Args:
        plugins: files given with `--plugin`; distributions: `{name: version}` of installed plugins in use.
    """
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "fusekit": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": device,
        "seed": seed,
        "versions": versions,
        "plugins": list(plugins),
        "distributions": dict(distributions or {}),
        "data_sha256": data_hash(clips),
        "code": git_state(Path(__file__).parent),
    }


def boxed(clips: Iterable[Clip], readers: Mapping[str, Reader]) -> list[str]:
    """Modalities read from pictures for which some clip brings face boxes: no detector was asked there."""
    given = {m for clip in clips for m, source in clip.sources.items() if source.boxes is not None}
    return [m for m, reader in readers.items() if m in given and reader.medium == "video"]


Content = Callable[[str, Source], Sequence[tuple[str, str]]]
"""Modality and source -> role and SHA-256 of every file that its reader opens."""


def clip_digests(clips: Iterable[Clip], content: Content) -> dict[str, dict[str, str]]:
    """What clips hold, wherever their files lie: `{id: {"subject" | "labels" | modality: 16 hex digits}}`.

    A modality's are those of its files' content and of the times that the source gives it.
    """
    found: dict[str, dict[str, str]] = {}
    for clip in sorted(clips, key=lambda c: c.id):
        held = {"subject": _digest(clip.subject), "labels": _digest(*_labels(clip))}
        for modality, source in sorted(clip.sources.items()):
            own = [repr(getattr(source, f.name)) for f in fields(source) if f.name not in ("path", "boxes")]
            files = [part for file in content(modality, source) for part in file]
            held[modality] = _digest(*own, *files)
        found[clip.id] = held
    return found


def _labels(clip: Clip) -> Iterator[str | bytes]:
    if clip.labels is None:
        return
    yield from clip.labels.dims
    quadrant = {} if clip.labels.quadrant is None else {"quadrant": clip.labels.quadrant}
    arrays = {"times": clip.labels.times, "values": clip.labels.values, **quadrant, **clip.labels.extra}
    for name, array in sorted(arrays.items()):
        array = np.asarray(array)
        yield f"{name} {array.dtype.kind} {array.shape}"
        words = array.dtype.kind not in "biuf"
        yield "\0".join(map(str, array.ravel().tolist())) if words else np.ascontiguousarray(array).tobytes()


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def hash_of(clips: Mapping[str, Mapping[str, str]]) -> str:
    """`2:` and the SHA-256 over all that `clip_digests` found."""
    return "2:" + hashlib.sha256(json.dumps(clips, sort_keys=True).encode()).hexdigest()


def data_hash(clips: Iterable[Clip]) -> str:
    """SHA-256 over ids, subjects, labels, and names and sizes of the media of all clips, in order of id: what
    runs kept before `clip_digests`, by which they are still known.
    """
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda c: c.id):
        digest.update(f"{clip.id}\0{clip.subject}\0".encode())
        for modality, source in sorted(clip.sources.items()):
            size = _size(source.path)
            digest.update(f"{modality}\0{source.path.name}\0{size}\0".encode())
        if clip.labels is not None:
            digest.update(np.ascontiguousarray(clip.labels.times).tobytes())
            digest.update(np.ascontiguousarray(clip.labels.values).tobytes())
    return digest.hexdigest()


def _size(path: Path) -> int:
    """Bytes of a file or of all files in a folder of pictures; -1: there is none."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return path.stat().st_size if path.exists() else -1


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether files differ from it; None outside a checkout or without git."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # An installed copy may lie inside some other project's checkout: only our own counts.
        if not Path(git("rev-parse", "--show-toplevel"), "fusekit", "provenance.py").exists():
            return None
        return {
            "commit": git("rev-parse", "HEAD"),
            "modified": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return None
