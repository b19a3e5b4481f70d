from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fusekit.engine import checkpoint
from fusekit.engine.checkpoint import (
    load_checkpoint,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from fusekit.engine.journal import Journal
from fusekit.errors import RunError

resource = pytest.importorskip("resource")  # limits on a file's size stand for a full disk


def _tensors(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {
        "model.w": torch.full((300, 40), value),
        "model.flag": torch.tensor([True, False]),
        "step": torch.tensor(7),
        "half": torch.arange(4, dtype=torch.bfloat16),
        "transposed": torch.arange(6.0).view(2, 3).T,
        "empty": torch.zeros(0, 3),
    }


def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond 10 kB, as on a disk that is full: a real write that really stops half-way.

    Not a fixture: pytest itself writes its report, perhaps into a long file, before fixtures are undone.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_round_trip_with_a_folder_made_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.safetensors"
    save_checkpoint(path, _tensors(), {"position": {"epoch": 3, "best": None}, "name": "Ä"})
    tensors, header = load_checkpoint(path)
    assert _equal(tensors, _tensors())
    assert header == {"format": checkpoint.FORMAT, "position": {"epoch": 3, "best": None}, "name": "Ä"}
    assert [p.name for p in path.parent.iterdir()] == ["last.safetensors"]


def test_one_memory_under_two_names_can_be_saved(tmp_path: Path) -> None:
    # A phase's modules are parts of the model: both are in its checkpoint.
    w = torch.randn(3, 3)
    save_checkpoint(tmp_path / "c", {"model.w": w, "objective.w": w, "view": w[1:]}, {})
    tensors, _ = load_checkpoint(tmp_path / "c")
    assert torch.equal(tensors["model.w"], w)
    assert torch.equal(tensors["objective.w"], w)
    assert torch.equal(tensors["view"], w[1:])


def test_later_changes_of_the_weights_do_not_reach_a_saved_file(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    save_checkpoint(tmp_path / "c", layer.state_dict(), {})
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1)
    assert torch.equal(load_checkpoint(tmp_path / "c")[0]["weight"], before)


def test_a_write_that_stops_half_way_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.safetensors"
    save_checkpoint(path, _tensors(1.0), {"n": 1})
    expected = pytest.raises(RunError, match=r"(?s)File too large.*whole.*fusekit train --resume")
    with small_files(), expected as caught:
        save_checkpoint(path, _tensors(2.0), {"n": 2})
    assert str(tmp_path / "run") in str(caught.value)
    tensors, header = load_checkpoint(path)
    assert header["n"] == 1
    assert _equal(tensors, _tensors(1.0))
    assert [p.name for p in path.parent.iterdir()] == ["last.safetensors"]  # nor is half a file left behind


@pytest.mark.parametrize("where", ["fsync", "replace", "mkdir"])
def test_a_full_disk_at_any_step_is_told_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.safetensors"
    save_checkpoint(path, _tensors(1.0), {"n": 1})

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if where == "fsync" else Path, where, full)
    with pytest.raises(RunError, match="No space left on device"):
        save_checkpoint(path, _tensors(2.0), {"n": 2})
    monkeypatch.undo()
    assert load_checkpoint(path)[1]["n"] == 1
    assert [p.name for p in path.parent.iterdir()] == ["last.safetensors"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint '.*gone.safetensors'"):
        load_checkpoint(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99])
def test_a_file_cut_short_is_told(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, _tensors(), {})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if isinstance(keep, int) else keep * len(data))])
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip", b"\x80\x04\x95 a pickle", bytes(100)])
def test_another_kind_of_file_is_told_and_never_unpickled(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match="damaged or no checkpoint"):
        load_checkpoint(path)


def test_a_header_that_is_no_json_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"fusekit": "{not json"})
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    header = json.dumps({"format": checkpoint.FORMAT + 1})
    save_file({"w": torch.zeros(1)}, path, metadata={"fusekit": header})
    with pytest.raises(RunError, match="newer fusekit.*update"):
        load_checkpoint(path)


def test_prefixes_are_whole_words() -> None:
    tensors = with_prefix("model", {"a": torch.zeros(1)}) | with_prefix("model2", {"b": torch.ones(1)})
    assert list(without_prefix("model", tensors)) == ["a"]
    assert list(without_prefix("model2", tensors)) == ["b"]


def test_an_optimiser_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    def steps(layer: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()

    def fresh() -> tuple[nn.Linear, torch.optim.Adam]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        return layer, torch.optim.Adam(layer.parameters(), lr=0.1, betas=(0.5, 0.999))

    whole, optimizer = fresh()
    steps(whole, optimizer, range(6))
    first, optimizer = fresh()
    steps(first, optimizer, range(3))
    save_checkpoint(
        tmp_path / "c",
        with_prefix("m", first.state_dict()) | with_prefix("o", optimizer_tensors(optimizer)),
        {},
    )
    tensors, _ = load_checkpoint(tmp_path / "c")
    second, optimizer = fresh()
    load_weights(second, without_prefix("m", tensors), "c")
    restore_optimizer(optimizer, without_prefix("o", tensors))
    steps(second, optimizer, range(3, 6))
    assert torch.equal(second.weight, whole.weight)
    assert torch.equal(second.bias, whole.bias)


def test_weights_that_do_not_fit_name_what_differs() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(RunError, match=r"some.safetensors.*weight"):
        load_weights(layer, {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, "some.safetensors")
    with pytest.raises(RunError, match="bias"):
        load_weights(layer, {"weight": torch.zeros(2, 3)}, "some.safetensors")
    with pytest.raises(RunError, match="odd"):
        load_weights(layer, layer.state_dict() | {"odd": torch.zeros(1)}, "some.safetensors")


def test_the_journal_is_json_lines_that_can_be_cut_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.cut(3)  # nothing there yet
    for n in range(3):
        journal.append(
            {"epoch": n, "score": float("nan") if n == 1 else 0.5, "deep": [{"x": float("inf")}, 1]}
        )
    text = journal.path.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert [json.loads(line)["score"] for line in text.splitlines()] == [0.5, None, 0.5]
    assert journal.lines() == 3
    with journal.path.open("a") as file:
        file.write('{"epoch": 3, "torn')  # a process was killed while it wrote
    journal.cut(2)
    assert [json.loads(line)["epoch"] for line in journal.path.read_text().splitlines()] == [0, 1]
    journal.append({"epoch": 2})
    assert journal.lines() == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_at_the_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left on device.*--resume"):
        Journal(tmp_path / "metrics.jsonl").append({"epoch": 1})


def test_a_checkpoint_of_another_run_is_refused_and_one_that_does_not_say_is_not(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "ours", _tensors(), {"run": "a1"})
    save_checkpoint(tmp_path / "older", _tensors(), {})
    for name, run in (("ours", "a1"), ("ours", ""), ("older", "a1")):
        assert load_checkpoint(tmp_path / name, run)[0]["model.w"].shape == (300, 40)
    with pytest.raises(RunError, match="ours' is another run's"):
        load_checkpoint(tmp_path / "ours", "b2")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.int64])
def test_a_turned_bit_is_found(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, {"a": torch.ones(30, 2).to(dtype), "b": torch.zeros(()), "c": torch.zeros(0)}, {})
    load_checkpoint(path)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="its numbers are not those that were saved"):
        load_checkpoint(path)
