"""Latents kept in memory, on disk or nowhere: the same rows in any case, and chosen by what they cost."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fusekit.engine import latent_cache, latent_choice
from fusekit.engine.latent_cache import LatentCache, LiveLatents
from fusekit.engine.latent_choice import Costs, free_disk, free_memory, latents_for
from fusekit.errors import RunError

GB = 10**9


def test_disk_holds_what_memory_holds_and_leaves_nothing(tiny: SimpleNamespace, tmp_path: Path) -> None:
    model, clips, runtime = tiny.model(), tiny.clips(), tiny.runtime()
    memory = LatentCache(model, clips, runtime)
    disk = LatentCache(model, clips, runtime, folder=tmp_path / "there")
    assert (memory.place, disk.place) == ("memory", "disk")
    rows = np.array([33, 0, 12, 12, 20])
    for m in tiny.names:
        assert torch.equal(memory.take(rows, "cpu")[m].z, disk.take(rows, "cpu")[m].z)
        assert torch.equal(memory.take(rows, "cpu")[m].quadrant, disk.take(rows, "cpu")[m].quadrant)
    assert list((tmp_path / "there").iterdir()) == []


def test_live_rows_are_the_kept_ones(tiny: SimpleNamespace) -> None:
    model, clips, runtime = tiny.model(), tiny.clips(), tiny.runtime()
    clips[0].present[3:6, 0] = False
    kept, live = LatentCache(model, clips, runtime), LiveLatents(model, clips, runtime, chunk=3)
    assert live.offsets.tolist() == kept.offsets.tolist()
    rows = np.array([[33, 0], [4, 12], [12, 20]]).reshape(-1)
    pairs = [(c.take(rows, "cpu"), c.clip(1, "cpu")) for c in (live, kept)]
    for one, other in zip(*pairs, strict=True):
        for m in tiny.names:
            torch.testing.assert_close(one[m].z, other[m].z, rtol=2e-3, atol=2e-3)
            assert torch.equal(one[m].quadrant, other[m].quadrant)
    assert not live.take(np.array([4]), "cpu")[tiny.names[0]].z.any()  # absent: zeros


def test_live_rows_leave_the_rest_of_the_model_in_training(tiny: SimpleNamespace) -> None:
    model = tiny.model()
    live = LiveLatents(model, tiny.clips(), tiny.runtime())
    model.train()
    live.take(np.arange(4), "cpu")
    branch = model.branches[tiny.names[0]]
    assert branch.projector.training
    assert not branch.encoder.training


@pytest.mark.parametrize(
    ("costs", "best"),
    [
        # steps, reads, bytes, encode, disk, memory, disk room
        (Costs(1000, 5000, 1000, 1e-2, 1e-3, 1 * GB, 1 * GB), "memory"),
        (Costs(1000, 5000, 1000, 1e-2, 1e-3, 999_999, 1 * GB), "disk"),  # one byte short
        (Costs(1000, 5000, 1000, 1e-2, 1e-3, 999_999, 999_999), "live"),
        (Costs(1000, 5000, 1000, 1e-3, 1e-2, 0, 1 * GB), "live"),  # reading is dearer than encoding
        (Costs(1000, 200, 1000, 1e-2, 1e-3, 1 * GB, 1 * GB), "live"),  # few of the rows are ever asked for
        (Costs(1000, 1000, 1000, 1e-2, 1e-3, 1 * GB, 1 * GB), "memory"),  # a draw
    ],
)
def test_the_quickest_place_that_has_the_room(costs: Costs, best: str) -> None:
    assert costs.best() == best


def test_costs_by_hand() -> None:
    costs = Costs(100, 300, 10, 2.0, 0.5, 10_000, 10_000)
    assert costs.seconds() == {"memory": 200, "disk": 100 * 2.5 + 300 * 0.5, "live": 600}


def test_what_was_chosen_is_said(
    tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, clips, runtime = tiny.model(), tiny.clips(), tiny.runtime()
    said: list[str] = []

    def made(reads: int) -> Any:
        return latents_for(model, clips, runtime, reads=reads, folder=tmp_path, say=said.append)

    assert made(1000).place == "memory"
    assert said[-1].endswith("of latents in memory")
    size = sum(map(len, clips)) * sum(2 * int(np.prod(b.encoder.out_shape)) for b in model.branches.values())
    monkeypatch.setattr(latent_choice, "_tried", lambda *_: (1.0, 0.1))
    monkeypatch.setattr(latent_choice, "free_memory", lambda: size)
    assert made(1000).place == "memory"
    monkeypatch.setenv(latent_choice.NEIGHBOURS, "2")  # as much again for each worker of a study
    assert made(1000).place == "disk"
    monkeypatch.setattr(latent_choice, "free_memory", lambda: 0)
    monkeypatch.setattr(latent_choice, "_tried", lambda *_: (1.0, 0.1))
    assert made(1000).place == "disk"
    assert "0.0 GB of memory" in said[-1]
    assert said[-1].endswith("chosen: disk")
    monkeypatch.setenv("FUSEKIT_LATENT_DISK_GB", "0")
    assert made(1000).place == "live"


def test_trying_out_takes_no_more_than_a_moment(tiny: SimpleNamespace, tmp_path: Path) -> None:
    model, clips, runtime = tiny.model(), tiny.clips(), tiny.runtime()
    encode_s, disk_s = latent_choice._tried(model, clips, runtime, tmp_path / "not" / "yet")
    assert 0 < disk_s < 1
    assert 0 < encode_s < 1
    assert list(tmp_path.iterdir()) == []


def test_the_disk_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_disk(tmp_path / "not" / "there") > 0
    monkeypatch.setenv("FUSEKIT_LATENT_DISK_GB", "1e-6")
    assert free_disk(tmp_path) == 1000
    monkeypatch.setenv("FUSEKIT_LATENT_DISK_GB", "much")
    with pytest.raises(RunError, match="not a number of gigabytes"):
        free_disk(tmp_path)
    assert free_memory() > 0


@pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="this system cannot take room on a disk beforehand"
)
def test_a_full_disk_is_found_before_it_is_written(
    tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(latent_cache.os, "posix_fallocate", full)
    with pytest.raises(RunError, match="no room for 0.0 GB of latents in '.*No space left"):
        LatentCache(tiny.model(), tiny.clips(), tiny.runtime(), folder=tmp_path)
