"""Files by their content, remembered for as long as nothing says that they have changed.

A digest is the sha256 of a file's bytes. It is remembered, on disk too, under the file's path, size, times of
change (of content, and of the inode, which no program can set back) and inode number. So a file that is
replaced by another of equal size and time stamp is read again, and so is one that was only copied or touched.
What was written a moment ago is not remembered: a second change within one tick of the clock would show in
none of these facts.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fusekit.errors import DataError, FusekitError

ABSENT = "absent"
"""Stands for the content of a file that is not there: a reader may name files that a recording may lack."""
TICK_S = 0.05
"""Clocks of files move in steps of a few milliseconds."""
COARSE_TICK_S = 2.5
"""Some systems keep times to a second or two; their time stamps have no fractions."""


@dataclass(frozen=True)
class Facts:
    """What the file system says of a file."""

    path: str
    size: int
    changed_ns: int
    inode_changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Facts | None:
        """None: there is no such file."""
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)

    def settled(self, now_ns: int) -> bool:
        """Whether a further change of the file would show in these facts."""
        last = max(self.changed_ns, self.inode_changed_ns)
        tick_s = TICK_S if last % 1_000_000_000 else COARSE_TICK_S
        return now_ns - last > tick_s * 1e9


class Contents:
    """Digests of files, with notes of them in `folder`, which processes share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Facts, str] = {}

    def of(self, files: Sequence[Path]) -> list[str]:
        """64 hex digits for each file, or `ABSENT`.

        Raises:
            DataError: one cannot be read, or changes meanwhile.
            FusekitError: the notes cannot be written.
        """
        facts = [Facts.of(path) for path in files]
        there = [fact for fact in facts if fact is not None]
        if any(fact not in self._known for fact in there):
            self._learn(there)
        return [ABSENT if fact is None else self._known.get(fact) or _read(fact) for fact in facts]

    def _learn(self, facts: Sequence[Facts]) -> None:
        """Digests of files that are asked for together: one note holds them all."""
        note = self.folder / hashlib.sha256(repr(list(facts)).encode()).hexdigest()
        if (found := _noted(note, len(facts))) is None:
            now_ns = time.time_ns()
            if not all(fact.settled(now_ns) for fact in facts):
                return
            found = [self._known.get(fact) or _read(fact) for fact in facts]
            lines = "\n".join([*found, _check(found)])
            with writing(self.folder):
                note.parent.mkdir(parents=True, exist_ok=True)
                temporary = note.with_name(f".tmp-{uuid.uuid4().hex}")
                write_synced(temporary, lines.encode("ascii"))
                temporary.replace(note)
        self._known.update(zip(facts, found, strict=True))


def digests(files: Sequence[Path]) -> list[str]:
    """64 hex digits, or `ABSENT`, for each of a few files that many clips share, as a detector's model; each
    is read once in a process, as long as it stays.

    Raises:
        DataError: one cannot be read.
    """
    now_ns = time.time_ns()
    facts = [Facts.of(path) for path in files]
    return [ABSENT if f is None else _read_once(f) if f.settled(now_ns) else _read(f) for f in facts]


def _read(fact: Facts) -> str:
    path = Path(fact.path)
    with reading(path), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if Facts.of(path) != fact:
        raise DataError(f"{path}: it changed while it was read. Wait until it is written, then try again.")
    return found


_read_once = lru_cache(maxsize=64)(_read)


def _noted(note: Path, count: int) -> list[str] | None:
    """What a note says; None: there is none, or it is damaged."""
    try:
        *found, check = note.read_text(encoding="ascii").split("\n")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return found if len(found) == count and check == _check(found) else None


def _check(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()


def unfolded(files: Sequence[Path]) -> list[Path]:
    """The same with every folder replaced by all files in it, at any depth, in order of their names; hidden
    ones are passed over.

    Raises:
        DataError: a folder cannot be read.
    """
    found: list[Path] = []
    for path in map(Path, files):
        if not path.is_dir():
            found.append(path)
            continue
        with reading(path):
            inside = sorted(path.rglob("*"), key=lambda p: p.relative_to(path).parts)
            found += [
                p
                for p in inside
                if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts)
            ]
    return found


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever fails while one file is read, in whatever library, is that file's fault, in a sentence: one
    recording must not end a whole run."""
    try:
        yield
    except FusekitError:
        raise
    except OSError as fault:
        raise DataError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    except MemoryError as fault:
        raise DataError(
            f"{path}: reading it takes more memory than there is. It is damaged, or too long: replace it, "
            "split it, or remove its row."
        ) from fault
    except Exception as fault:
        raise DataError(
            f"{path}: cannot be read ({type(fault).__name__}: {fault}). It is damaged, or not what its "
            "reader expects: replace it or remove its row."
        ) from fault


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the system refuses here is no clip's fault."""
    try:
        yield
    except OSError as fault:
        raise FusekitError(
            f"{folder}: the prepared store cannot be written ({fault.strerror or fault}). Free some space "
            "there, or name another folder by the environment variable FUSEKIT_CACHE."
        ) from fault


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and put it on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
