from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fusekit.engine import runtime
from fusekit.engine.runtime import Runtime
from fusekit.errors import DeviceError, LostProcessError

ROOT = Path(__file__).resolve().parents[2]

# One toy, trained by however many processes: labels with gaps, weights, correlations across the whole batch.
TOY = """
import sys

import torch
from torch import nn

from fusekit.engine.losses import AFC, MSELoss
from fusekit.engine.objective import pooled_loss
from fusekit.engine.runtime import Runtime


def train(runtime, name):
    torch.manual_seed(runtime.rank)  # each process starts elsewhere: broadcast must mend that
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    runtime.broadcast(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    g = torch.Generator().manual_seed(7)
    loss = {"afc": AFC, "mse": MSELoss}[name]()
    for step in range(5):
        x, y = torch.randn(8, 5, generator=g), torch.rand(8, 2, generator=g) * 2 - 1
        known = torch.rand(8, 2, generator=g) > 0.3  # seldom as many on each process
        weight = torch.rand(8, 2, generator=g) + 0.5
        mine = slice(runtime.rank, None, runtime.world)
        optimizer.zero_grad()
        pooled_loss(loss, runtime, model(x[mine]), y[mine], known[mine], weight[mine]).backward()
        runtime.average_gradients(model.parameters())
        optimizer.step()
    return model.state_dict()


if __name__ == "__main__":
    runtime = Runtime("cpu", "float32")
    found = {name: train(runtime, name) for name in ("afc", "mse")}
    rows = runtime.gather(torch.full((2, 1), float(runtime.rank)))
    assert rows.flatten().tolist() == [float(r) for r in range(runtime.world) for _ in range(2)]
    runtime.wait()
    if runtime.is_main:
        torch.save(found, sys.argv[1])
    torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    script, out = tmp_path / "toy.py", tmp_path / "two.pt"
    script.write_text(TOY)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(out)],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=tmp_path,
        )
        for rank in range(2)
    ]
    alone: dict[str, Any] = {}
    exec(compile(TOY, "toy", "exec"), alone)
    one = {name: alone["train"](Runtime("cpu", "float32"), name) for name in ("afc", "mse")}
    assert [p.wait(timeout=120) for p in processes] == [0, 0]
    two = torch.load(out, weights_only=True)
    for name, state in one.items():
        for key in state:
            torch.testing.assert_close(two[name][key], state[key], rtol=0, atol=1e-6)


def test_a_gpu_that_is_not_there_is_a_clear_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device.*--device cpu"):
        Runtime("cuda")
    with pytest.raises(DeviceError, match="no device 'tpu'"):
        Runtime("tpu")
    assert Runtime("auto").device.type == "cpu"


@pytest.mark.parametrize("order", [("float32", "bf16"), ("bf16", "float32")])
def test_two_runs_in_one_process_may_differ_in_precision(order: tuple[str, ...]) -> None:
    for precision in order:
        runtime = Runtime("cpu", precision)  # type: ignore[arg-type]
        with runtime.autocast():
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
        assert runtime.precision == precision


def test_on_the_cpu_auto_means_float32() -> None:
    assert Runtime("cpu").precision == "float32"


def test_one_process_gathers_nothing_and_keeps_its_graph() -> None:
    runtime, x = Runtime("cpu"), torch.ones(2, requires_grad=True)
    assert runtime.gather(x) is x
    assert (runtime.rank, runtime.world, runtime.is_main) == (0, 1, True)
    x.sum().backward()
    before = x.grad
    runtime.average_gradients([x])  # type: ignore[list-item]
    assert x.grad is before


@pytest.mark.gpu
def test_cuda_after_cpu_in_one_process() -> None:
    assert Runtime("cpu").device.type == "cpu"
    runtime = Runtime("cuda")
    assert runtime.device.type == "cuda"
    assert runtime.precision == "bf16"
    assert Runtime("cpu").device.type == "cpu"


def test_a_process_that_is_gone_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Runtime("cpu")
    monkeypatch.setattr(one, "world", 2)

    def gone(*_: Any, **__: Any) -> None:
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1234")

    monkeypatch.setattr(runtime, "gather", gone)
    with pytest.raises(LostProcessError, match="another process of this run has ended.*saved last"):
        one.any(True)

    def ours(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(runtime, "gather", ours)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        one.any(True)
