"""The prepared store: each file is decoded once, then memory-mapped.

An entry is a folder `<2 hex>/<key>/` of `.npy` files and `entry.json`, which lists them. The key is the
sha256 of the content of all files that the reader opens (`Reader.files`), of what else the source says (its
time override), the reader's class and settings, its plugin's version and code (`makers`), and `FORMAT`. An
entry is written under a temporary name and renamed when it is whole and on disk, under a lock per `<2 hex>`
folder: of two processes that want the same entry one prepares and the other waits and reads; one that is
killed leaves a temporary folder, which the next writer removes. Each array has a checksum, which is compared
when a process first opens the entry.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from fusekit.contracts import Clip, Reader, Rejected, Source, Stream
from fusekit.data.cache import cache_dir
from fusekit.data.content import Contents, reading, unfolded, write_synced, writing
from fusekit.data.makers import makers
from fusekit.errors import DataError, NoTrackError

FORMAT = 2
"""Raised whenever a reader of ours prepares the same file differently under the same settings."""
_FILES = ("path", "boxes")
"""Fields of a source that count by the content of the files."""
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
        entry = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
        self._sizes: dict[str, int] = entry["arrays"]
        self._checksums: dict[str, int] = entry["checksums"]
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

    def release(self) -> None:
        """Let go of the pages that were read of mapped arrays: a long clip would fill up memory with them."""
        if hasattr(mmap, "MADV_DONTNEED"):  # elsewhere the system takes them back when it needs them
            for name in (name for name, size in self._sizes.items() if size >= MAPPED_BYTES):
                mapped: Any = _mapped(str(self.folder / f"{name}.npy"))
                mapped._mmap.madvise(mmap.MADV_DONTNEED)

    def whole(self) -> bool:
        """Is every array there in full length, and every bit as it was written (`checksum`)."""
        files = {name: self.folder / f"{name}.npy" for name in self._sizes}
        return self._checksums.keys() == self._sizes.keys() and all(
            f.is_file() and f.stat().st_size == self._sizes[name] and checksum(f) == self._checksums[name]
            for name, f in files.items()
        )


def _on_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class PreparedStore:
    """Prepared clips under `folder` (default: `prepared` in the cache folder); safe to share between
    processes. `say` is told of an entry that was found damaged."""

    def __init__(self, folder: Path | str | None = None, say: Callable[[str], object] = _on_stderr) -> None:
        self.folder = Path(folder) if folder is not None else cache_dir() / "prepared"
        self.say = say
        self._open: dict[str, Prepared] = {}
        self._contents = Contents(self.folder / "contents")

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
            with writing(self.folder):
                folder.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(folder.parent / ".lock"):
                    entry = self._load(folder)  # another process may have been faster
                    if entry is None:
                        entry = self._prepare(folder, reader, source)
        self._open[key] = entry
        return entry

    def key(self, reader: Reader, source: Source) -> str:
        """64 hex digits that stand for the content of this recording's files as this reader prepares it.

        Raises:
            DataError: a file is missing or cannot be read.
        """
        parts = {
            "format": FORMAT,
            "reader": f"{type(reader).__module__}.{type(reader).__qualname__}",
            "makers": makers(reader),
            "settings": reader.settings(),
            "files": self.content(reader, source),
            "source": {f.name: getattr(source, f.name) for f in fields(source) if f.name not in _FILES},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def content(self, reader: Reader, source: Source) -> list[tuple[str, str]]:
        """Name and sha256 (or "absent") of every file that the reader opens for a source.

        Names are those that may matter: of the source's own file its suffix alone, of further ones where they
        lie beside it; so a recording that is moved or renamed as a whole stays the same.

        Raises:
            DataError: the source's own file is missing, or one cannot be read.
        """
        path = Path(source.path)
        if not path.exists():
            raise DataError(f"{path}: no such file. Check the path in the manifest or corpus root.")
        with reading(path):
            files = unfolded([Path(file) for file in reader.files(source)])
        digests = self._contents.of(files)
        return list(zip((_role(file, source) for file in files), digests, strict=True))

    def _load(self, folder: Path) -> Prepared | None:
        """The entry if it is there and whole."""
        try:
            entry = Prepared(folder)
            return entry if entry.whole() else None
        except OSError:  # it is not there, or the disk no longer gives it back
            return None
        except (ValueError, KeyError, TypeError, AttributeError):  # its list of arrays is damaged
            return None

    def _prepare(self, folder: Path, reader: Reader, source: Source) -> Prepared:
        """Prepare under the lock of `folder.parent`."""
        for leftover in folder.parent.glob(".tmp-*"):
            shutil.rmtree(leftover)
        with reading(source.path):
            arrays = reader.prepare(source)
        if self.key(reader, source) != folder.name:
            raise DataError(f"{source.path}: it changed while it was read. Try again once it is whole.")
        temporary = folder.with_name(f".tmp-{folder.name}")
        temporary.mkdir()
        try:
            sizes = {name: _write_array(temporary / f"{name}.npy", array) for name, array in arrays.items()}
            checksums = {name: checksum(temporary / f"{name}.npy") for name in sizes}
            entry: dict[str, Any] = {"arrays": sizes, "checksums": checksums}
            entry |= {"reader": type(reader).__qualname__, "settings": reader.settings()}
            write_synced(temporary / "entry.json", json.dumps({**entry, "source": source.path.name}).encode())
            if folder.exists():  # damaged, or it would have been loaded
                self.say(
                    f"{source.path.name}: what the prepared store kept of it is not what was written there "
                    f"('{folder}' is damaged); it is prepared again"
                )
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
    notes: list[Rejected] | None = None,
) -> tuple[dict[str, dict[str, Stream]], list[Rejected]]:
    """Prepare every clip; one that cannot be read is left out and reported, the others go on.

    A modality that a clip lists no source for is simply absent from its streams, and so is one whose medium
    is in order and has no such track (a film without sound). A listed file that is missing or damaged leaves
    the whole clip out, so that a broken copy does not pass for a missing modality.

    Args:
        readers: modality -> reader, in the recipe's order.
        progress: called before each clip with (clips done, clips in all, clip id).
        notes: takes the media that have no such track.

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
        found: dict[str, Stream] = {}
        silent: list[str] = []
        try:
            for name, reader in wanted.items():
                try:
                    found[name] = store.get(reader, clip.sources[name])
                except NoTrackError as fault:
                    silent.append(f"{name} is absent: {fault}")
        except DataError as fault:
            rejected.append(Rejected(clip.id, str(fault)))
            continue
        if not found:
            rejected.append(Rejected(clip.id, "; ".join(silent)))
            continue
        streams[clip.id] = found
        if notes is not None:
            notes += [Rejected(clip.id, reason) for reason in silent]
    return streams, rejected


def checksum(path: Path) -> int:
    """CRC-32 of a file's bytes: any single bit that has flipped changes it, and it is read at 1 GB/s."""
    found = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found = zlib.crc32(part, found)
    return found


def _role(file: Path, source: Source) -> str:
    """By what name a file of a source counts."""
    path = Path(source.path)
    if file == path:
        return path.suffix.lower()
    if file == source.boxes:
        return "boxes"
    home = path if path.is_dir() else path.parent
    return file.relative_to(home).as_posix() if file.is_relative_to(home) else file.name


def _write_array(path: Path, array: np.ndarray) -> int:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _sync_folder(folder: Path) -> None:
    """Put a rename on disk; only POSIX opens folders."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
