"""A disk that is full while a run begins or a checkpoint is written: told, and nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from fusekit.engine import checkpoint, files
from fusekit.engine.checkpoint import load_checkpoint
from fusekit.errors import RunError
from fusekit.runs.files import write_text

TRAIN = ("train", "tiny.yaml", "--run", "run", "--device", "cpu")


@pytest.mark.usefixtures("no_figures")
def test_a_full_disk_while_a_checkpoint_is_written(
    shop: Any, trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fifth write of a checkpoint fails half-way; the fourth is whole, and the run goes on from it."""
    writes = 0

    def fsync(handle: int) -> None:
        os.ftruncate(handle, 1000)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def replace_file(path: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        with monkeypatch.context() as patch:
            if writes == 5:
                patch.setattr(files, "os", SimpleNamespace(fsync=fsync, getpid=os.getpid))
            files.replace_file(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "replace_file", replace_file)
        result = shop.run(*TRAIN)
    assert result.exit_code == 2
    said = result.stderr[result.stderr.index("fusekit: ") :]
    assert "Traceback" not in result.stderr
    assert said.startswith("fusekit: cannot write the checkpoint 'run/checkpoints/")
    assert "No space left on device" in said
    assert said.endswith("continue with `fusekit train --resume run`.\n")
    assert [p.name for p in Path("run/checkpoints").iterdir() if p.suffix != ".safetensors"] == []
    _, header = load_checkpoint(Path("run/checkpoints/last.safetensors"))
    assert header["position"]["lines"] == 3
    assert shop.run("train", "--resume", "run").exit_code == 0
    ours, theirs = (load_file(f / "checkpoints" / "best.safetensors") for f in (Path("run"), trained.folder))
    assert all(np.array_equal(ours[k], theirs[k]) for k in theirs)


def test_a_full_disk_while_a_run_begins(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "os", SimpleNamespace(fsync=fsync, getpid=os.getpid))
    result = shop.run(*TRAIN)
    assert result.exit_code == 2
    assert "cannot write 'run/splits.json': No space left on device." in result.stderr
    assert [*Path("run").iterdir()] == []
    Path("old.txt").write_text("old")
    with pytest.raises(RunError):
        write_text(Path("old.txt"), "new")
    assert Path("old.txt").read_text() == "old"


def _own_mounts() -> list[str] | None:
    """How a command gets a mount namespace of its own here, or None."""
    for words in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        test = [*words, "sh", "-c", "mount -t tmpfs none /tmp"]
        if shutil.which("unshare") and subprocess.run(test, capture_output=True, check=False).returncode == 0:
            return words
    return None


def test_a_disk_that_is_really_full(shop: Any, trained: SimpleNamespace) -> None:
    """A file system of its own, too small for two checkpoints at once (the old one stays until then)."""
    mounts = _own_mounts()
    if mounts is None:
        pytest.skip("file systems cannot be mounted here")
    size = (trained.folder / "checkpoints" / "latent.safetensors").stat().st_size
    Path("disk").mkdir()
    script = (
        f"mount -t tmpfs -o size={6 * size} none disk || exit 99\n"
        f'"$0" -m fusekit train tiny.yaml --run disk/run --device cpu; code=$?\n'
        "cp -r disk/run kept; exit $code"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    words = [*mounts, "sh", "-c", script, sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr[done.stderr.index("fusekit: ") :]
    names = sorted(p.name for p in Path("kept/checkpoints").iterdir())
    assert not [name for name in names if name.startswith(".")]
    for name in names:
        load_checkpoint(Path("kept/checkpoints") / name)  # every one that is there is whole
