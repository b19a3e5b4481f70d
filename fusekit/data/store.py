"""The prepared store: each file is decoded once, then memory-mapped.

An entry is a folder `<2 hex>/<key>/` of `.npy` files and `entry.json`, which lists them. The key is the
sha256 of the file's content, the boxes' content, the time override, the reader's class and settings, and
`FORMAT`. An entry is written under a temporary name and renamed when it is whole and on disk, under a lock
per `<2 hex>` folder: of two processes that want the same entry one prepares and the other waits and reads;
one that is killed leaves a temporary folder, which the next writer removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from fusekit.contracts import Clip, Reader, Rejected, Source, Stream
from fusekit.data.cache import cache_dir
from fusekit.data.pictures import numbered
from fusekit.errors import DataError, FusekitError

FORMAT = 1
"""Raised whenever a reader of ours prepares the same file differently under the same settings."""
MAPPED_BYTES = 1 << 20
"""Arrays from this size on stay on disk behind a memory map, smaller ones are read."""


def _most_maps() -> int:
    """Each map holds a file handle; leave two thirds of a process's handles to others."""
    try:
        import resource  # POSIX only
    except ImportError:
        return 384
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(384, soft // 3) if soft > 0 else 384


@lru_cache(maxsize=_most_maps())
def _mapped(path: str) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


class Prepared(Mapping[str, np.ndarray]):
    """One entry: `name -> array`, read-only. Pickles as its path, so that data workers map it themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sizes: dict[str, int] = json.loads((folder / "entry.json").read_text(encoding="utf-8"))[
            "arrays"
        ]
        self._small: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._small:
            return self._small[name]
        path = self.folder / f"{name}.npy"
        if self._sizes[name] >= MAPPED_BYTES:
            return _mapped(str(path))
        array = np.load(path, allow_pickle=False)
        array.flags.writeable = False
        return self._small.setdefault(name, array)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __reduce__(self) -> tuple[Any, ...]:
        return Prepared, (self.folder,)

    def whole(self) -> bool:
        """Is every array there in full length (a cut-short copy or a full disk shows here)."""
        files = {name: self.folder / f"{name}.npy" for name in self._sizes}
        return all(f.is_file() and f.stat().st_size == self._sizes[name] for name, f in files.items())


class PreparedStore:
    """Prepared clips under `folder` (default: `prepared` in the cache folder); safe to share between
    processes."""

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder) if folder is not None else cache_dir() / "prepared"
        self._open: dict[str, Prepared] = {}
        self._hashes: dict[tuple[str | int, ...], str] = {}

    def get(self, reader: Reader, source: Source) -> Stream:
        """The stream that `reader.prepare(source)` gives, from disk where it was prepared before.

        Raises:
            DataError: the file is missing or cannot be decoded (every time anew: nothing is kept of a
                failure).
            FusekitError: the store's folder cannot be written.
        """
        key = self.key(reader, source)
        if key in self._open:
            return self._open[key]
        folder = self.folder / key[:2] / key
        entry = self._load(folder)
        if entry is None:
            with _writing(self.folder):
                folder.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(folder.parent / ".lock"):
                    entry = self._load(folder)  # another process may have been faster
                    if entry is None:
                        entry = self._prepare(folder, reader, source)
        self._open[key] = entry
        return entry

    def key(self, reader: Reader, source: Source) -> str:
        """64 hex digits that stand for this file's content as this reader prepares it."""
        parts = {
            "format": FORMAT,
            "reader": f"{type(reader).__module__}.{type(reader).__qualname__}",
            "settings": reader.settings(),
            "content": self.content(source.path),
            "boxes": None if source.boxes is None else self.content(source.boxes),
            "start_s": source.start_s,
            "step_s": source.step_s,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def content(self, path: Path) -> str:
        """sha256 of a file, or of a folder's pictures with their numbers; remembered, on disk too, while
        path, sizes and times of change stay.
        """
        path = Path(path)
        pictures = numbered(path) if path.is_dir() else []
        if not pictures and not path.is_file():
            raise DataError(f"{path}: no such file. Check the path in the manifest or corpus root.")
        stats = [(number, file.stat()) for number, file in pictures] or [(0, path.stat())]
        facts = tuple(fact for number, stat in stats for fact in (number, stat.st_size, stat.st_mtime_ns))
        # A single file keeps the form that notes on disk have always had.
        known: tuple[str | int, ...] = (str(path.resolve()), *(facts if pictures else facts[1:]))
        if known not in self._hashes:
            note = self.folder / "hashes" / hashlib.sha256(repr(known).encode()).hexdigest()
            text = note.read_text(encoding="ascii") if note.is_file() else ""
            if len(text) != 64:
                with _reading(path):
                    text = _folder_digest(pictures) if pictures else _digest(path)
                with _writing(self.folder):
                    note.parent.mkdir(parents=True, exist_ok=True)
                    temporary = note.with_name(f".tmp-{uuid.uuid4().hex}")
                    _write_synced(temporary, text.encode("ascii"))
                    temporary.replace(note)
            self._hashes[known] = text
        return self._hashes[known]

    def _load(self, folder: Path) -> Prepared | None:
        """The entry if it is there and whole."""
        try:
            entry = Prepared(folder)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None  # its list of arrays is damaged: prepared again
        return entry if entry.whole() else None

    def _prepare(self, folder: Path, reader: Reader, source: Source) -> Prepared:
        """Prepare under the lock of `folder.parent`."""
        for leftover in folder.parent.glob(".tmp-*"):
            shutil.rmtree(leftover)
        with _reading(source.path):
            arrays = reader.prepare(source)
        temporary = folder.with_name(f".tmp-{folder.name}")
        temporary.mkdir()
        try:
            sizes = {name: _write_array(temporary / f"{name}.npy", array) for name, array in arrays.items()}
            entry = {"arrays": sizes, "reader": type(reader).__qualname__, "settings": reader.settings()}
            _write_synced(
                temporary / "entry.json", json.dumps({**entry, "source": source.path.name}).encode()
            )
            if folder.exists():  # damaged, or it would have been loaded
                shutil.rmtree(folder)
                _mapped.cache_clear()
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(folder.parent)
        return Prepared(folder)


def prepare_clips(
    clips: Sequence[Clip],
    readers: Mapping[str, Reader],
    store: PreparedStore,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[dict[str, dict[str, Stream]], list[Rejected]]:
    """Prepare every clip; one that cannot be read is left out and reported, the others go on.

    A modality that a clip lists no source for is simply absent from its streams. A listed file that is
    missing or damaged leaves the whole clip out, so that a broken copy does not pass for a missing modality.

    Args:
        readers: modality -> reader, in the recipe's order.
        progress: called before each clip with (clips done, clips in all, clip id).

    Returns:
        streams by clip id and modality, in the order of `clips`; and the clips left out, with reasons.
    """
    streams: dict[str, dict[str, Stream]] = {}
    rejected: list[Rejected] = []
    for done, clip in enumerate(clips):
        if progress is not None:
            progress(done, len(clips), clip.id)
        wanted = {name: reader for name, reader in readers.items() if name in clip.sources}
        if not wanted:
            rejected.append(Rejected(clip.id, f"has no file for any of {', '.join(readers)}"))
            continue
        try:
            streams[clip.id] = {
                name: store.get(reader, clip.sources[name]) for name, reader in wanted.items()
            }
        except DataError as fault:
            rejected.append(Rejected(clip.id, str(fault)))
    return streams, rejected


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_digest(pictures: Sequence[tuple[int, Path]]) -> str:
    # Numbers count from the first picture, as their times do.
    lines = [f"{number - pictures[0][0]} {_digest(file)}" for number, file in pictures]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise DataError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise FusekitError(
            f"{folder}: the prepared store cannot be written ({fault.strerror or fault}). Free some space "
            "there, or name another folder by the environment variable FUSEKIT_CACHE."
        ) from fault


def _write_array(path: Path, array: np.ndarray) -> int:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Put a rename on disk; only POSIX opens folders."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
