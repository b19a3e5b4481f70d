"""Files that are replaced whole, also by processes that are killed while they write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fusekit.engine.files import partial_file, replace_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are told by number on POSIX alone")

KILLED_WHILE_WRITING = """\
import os, signal, sys
from pathlib import Path
from fusekit.engine import files
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
files.replace_file(Path(sys.argv[1]), b"cut sh")
"""


def killed_while_writing(path: Path) -> str:
    """Name of what a process leaves that dies before its file is whole."""
    before = set(path.parent.iterdir())
    words = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    (left,) = set(path.parent.iterdir()) - before
    assert left.name.endswith(".partial")
    return left.name


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("name", ["last.safetensors", "odd [1]*?.json", "table"])
def test_what_a_killed_process_left_goes_with_the_next_save(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    replace_file(path, b"old")
    left = killed_while_writing(path)
    assert names(tmp_path) == {name, left}
    assert path.read_bytes() == b"old"
    replace_file(path, b"new")
    assert names(tmp_path) == {name}
    assert path.read_bytes() == b"new"


def test_what_others_are_writing_stays(tmp_path: Path) -> None:
    other_file = killed_while_writing(tmp_path / "best.safetensors")
    longer_name = killed_while_writing(tmp_path / "last.safetensors.old")
    living = f".last.safetensors.{os.getppid()}.partial"
    not_ours = [".last.safetensors.partial", ".last.safetensors.mine.partial", "last.safetensors.1.partial"]
    for name in (living, *not_ours):
        (tmp_path / name).write_bytes(b"")
    replace_file(tmp_path / "last.safetensors", b"new")
    assert names(tmp_path) == {"last.safetensors", other_file, longer_name, living, *not_ours}


def test_a_number_that_no_process_can_have(tmp_path: Path) -> None:
    (tmp_path / f".a.{10**30}.partial").write_bytes(b"")
    replace_file(tmp_path / "a", b"new")
    assert names(tmp_path) == {"a"}


def test_a_process_of_somebody_else_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(process: int, number: int) -> None:
        raise PermissionError

    left = tmp_path / ".a.4711.partial"
    left.write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", kill)
        replace_file(tmp_path / "a", b"new")
    assert left.exists()


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError("full")

    path = tmp_path / "new folder" / "a"
    replace_file(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="full"):
            replace_file(path, b"new")
    assert names(path.parent) == {"a"}
    assert path.read_bytes() == b"old"
    assert partial_file(path).parent == path.parent
