"""How long one prediction takes, and what fusekit's generality costs.

    python benchmarks/latency.py [RECIPE] [--device cpu|cuda] [--seconds S] [--batch B] [--json FILE]

The model of RECIPE (default `avi-gas`: two streams of 3 x 128 x 128, gated unit, attention over the last
eight states) with random weights, measured twice in one process, in turn: as fusekit runs it, and as the
same network written plainly below (one module, no masks, no names, no traces) with the same weights. Their
outputs are compared.

- step: one streaming step, batch of one, from windows in memory (a uint8 picture, a float32 spectrogram)
  to valence and arousal in memory. `last`: the last eight fused vectors from zero state at every step (the
  default evaluation); `carry`: the state is carried on, as in the paper.
- batch: B windows of eight steps at once; steps per second.

`busy` is processor time: on a shared machine it says more than the clock. Q `channel` runs D on the
reconstruction to condition Z (the default), `none` is what the paper's counts of inference hold: neither
decoder nor D. The paper prints 5.21 ms for AVi-GaS (table 11; GTX 1080 Ti and i7-4770, batch size not given):
other hardware, so no more than an anchor. Threads: as the environment sets them (OMP_NUM_THREADS).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusekit import build, plugins
from fusekit.batch import Batch
from fusekit.engine.runtime import Runtime
from fusekit.nn.model import Model
from fusekit.recipe.load import load
from fusekit.serve.streaming import Stepper

PAPER_MS = 5.21
MEMORY = 8
CASES: tuple[tuple[str, Literal["last", "carry"]], ...] = (
    ("channel", "last"),
    ("none", "last"),
    ("none", "carry"),
)


class Block(nn.Module):
    """Residual block of G; the bottleneck leaves the skip out."""

    def __init__(self, c: int, skip: bool = True) -> None:
        super().__init__()
        self.skip = skip
        self.conv1, self.norm1 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.GroupNorm(c, c)
        self.conv2, self.norm2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.GroupNorm(c, c)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return x + y if self.skip else y


def down(sizes: list[int]) -> nn.Sequential:
    """Convolutions k4 s2 with LeakyReLU(0.01)."""
    layers: list[nn.Module] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers)


class Stream(nn.Module):
    """One modality: G, D and latent encoder at 128 pixels, width 16 (spec 1.1, 1.2, 1.5)."""

    def __init__(self, conditioned: bool) -> None:
        super().__init__()
        self.conditioned = conditioned
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 7, 1, 3, bias=False), nn.GroupNorm(16, 16), nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1, bias=False), nn.GroupNorm(32, 32), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.GroupNorm(64, 64), nn.ReLU(),
            Block(64), Block(64), Block(64, skip=False),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            Block(64), Block(64),
            nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.GroupNorm(32, 32), nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.GroupNorm(16, 16), nn.ReLU(),
            nn.Conv2d(16, 3, 7, 1, 3, bias=False), nn.Tanh(),
        )  # fmt: skip
        self.critic = down([3, 16, 32, 64, 128, 256, 512])
        self.affect = nn.Conv2d(512, 2, 2, 1, 0, bias=False)
        self.project = down([64 + conditioned, 16, 32, 64, 128, 256])

    def forward(self, x: Tensor) -> Tensor:
        z = self.encoder(x)
        if self.conditioned:
            affect = self.affect(self.critic(self.decoder(z))).flatten(1)
            low_v, low_a = affect[:, 0] < 0, affect[:, 1] < 0
            q = torch.where(low_a, torch.where(low_v, 2, 3), torch.where(low_v, 1, 0)).to(z.dtype)
            z = torch.cat([z, q[:, None, None, None].expand(-1, 1, 32, 32)], 1)
        return self.project(z).flatten(1)


class Plain(nn.Module):
    """AVi-GaS: two streams, GMU, LSTM with `location` attention over its last eight states, output."""

    def __init__(self, conditioned: bool) -> None:
        super().__init__()
        self.face, self.voice = Stream(conditioned), Stream(conditioned)
        self.hidden_face, self.hidden_voice = nn.Linear(256, 512, bias=False), nn.Linear(256, 512, bias=False)
        self.gate = nn.Linear(512, 1, bias=False)
        self.cell = nn.LSTMCell(1024, 256)
        self.weigh = nn.Linear(512, 1, bias=False)
        self.head = nn.Linear(256, 2)

    def fuse(self, face: Tensor, voice: Tensor) -> Tensor:
        f, v = self.face(face.float() / 127.5 - 1), self.voice(voice)
        g = torch.sigmoid(self.gate(torch.cat([f, v], 1)))
        return g * torch.tanh(self.hidden_face(f)) + (1 - g) * torch.tanh(self.hidden_voice(v))

    def recur(
        self, x: Tensor, state: tuple[Tensor, Tensor, list[Tensor]]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        h, c, history = state
        context = x.new_zeros(len(x), 512)
        if history:
            past = torch.stack(history, 1)
            context = (torch.softmax(self.weigh(past), 1) * past).sum(1)
        h, c = self.cell(torch.cat([x, context], 1), (h, c))
        return h, c, [*history, torch.cat([h, c], 1)][-MEMORY:]

    def begin(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        return x.new_zeros(len(x), 256), x.new_zeros(len(x), 256), []

    def forward(self, face: Tensor, voice: Tensor) -> Tensor:
        """`(B, T, 3, 128, 128)` twice -> `(B, T, 2)`."""
        fused = self.fuse(face.flatten(0, 1), voice.flatten(0, 1)).unflatten(0, face.shape[:2])
        state, out = self.begin(fused[:, 0]), []
        for t in range(fused.shape[1]):
            state = self.recur(fused[:, t], state)
            out.append(self.head(state[0]))
        return torch.stack(out, 1)


class PlainStepper:
    """The plain network step by step, as one would write it in a hurry."""

    def __init__(self, net: Plain, device: torch.device, carry: bool) -> None:
        self.net, self.device, self.carry = net, device, carry
        self.buffer: list[Tensor] = []
        self.state: tuple[Tensor, Tensor, list[Tensor]] | None = None

    @torch.no_grad()
    def step(self, windows: dict[str, np.ndarray]) -> np.ndarray:
        face, voice = (torch.from_numpy(windows[m])[None].to(self.device) for m in ("face", "voice"))
        fused = self.net.fuse(face, voice)
        if self.carry:
            self.state = self.net.recur(fused, self.state or self.net.begin(fused))
            return self.net.head(self.state[0])[0].cpu().numpy()
        self.buffer = [*self.buffer, fused][-MEMORY:]
        state = self.net.begin(fused)
        for x in self.buffer:
            state = self.net.recur(x, state)
        return self.net.head(state[0])[0].cpu().numpy()


def copy_weights(model: Model, plain: Plain) -> None:
    """Same order in both; fusekit's also has the critic's real-or-fake head and the vector of empty steps."""
    spare = ("quadrant.source.weight", "fusion.empty")
    own = [p for name, p in model.named_parameters() if not name.endswith(spare)]
    with torch.no_grad():
        for ours, theirs in zip(own, plain.parameters(), strict=True):
            theirs.copy_(ours)


def inputs(steps: int) -> dict[str, np.ndarray]:
    """Smooth random windows `(steps, 3, 128, 128)`: uint8 pictures, float32 spectrograms."""
    rng = torch.Generator().manual_seed(0)
    smooth = [
        F.interpolate(torch.randn(steps, 3, 8, 8, generator=rng), size=128, mode="bicubic") for _ in range(2)
    ]
    return {
        "face": smooth[0].mul(60).add(128).clamp(0, 255).to(torch.uint8).numpy(),
        "voice": smooth[1].clamp(-1, 1).numpy(),
    }


Times = tuple[list[tuple[float, float]], list[tuple[float, float]]]


def in_turn(ours: Callable[[int], Any], theirs: Callable[[int], Any], seconds: float) -> Times:
    """Of each call: seconds by the clock, and of processor time; the first call of each is not counted.

    The two alternate, so that a busy machine disturbs both alike.
    """
    times: Times = ([], [])
    end, i = None, 0
    while end is None or time.perf_counter() < end or len(times[0]) < 5:
        for side, call in enumerate((ours, theirs)):
            clock, busy = time.perf_counter(), time.process_time()
            call(i)
            if end is not None:
                times[side].append((time.perf_counter() - clock, time.process_time() - busy))
        end = end or time.perf_counter() + seconds
        i += 1
    return times


def measure(recipe_name: str, device: str, seconds: float, batch: int) -> list[dict[str, Any]]:
    """One row per case: medians in ms, their ratio, largest difference of the outputs."""
    runtime = Runtime(device, "float32")
    registry, _ = plugins.load()
    rows: list[dict[str, Any]] = []
    for conditioning, states in CASES:
        chosen = [f"modalities.{m}.quadrant.conditioning={conditioning}" for m in ("face", "voice")]
        recipe = load(recipe_name, chosen)
        shapes = {m: r.raw_shape for m, r in build.build_readers(recipe, registry).items()}
        if shapes != {"face": (3, 128, 128), "voice": (3, 128, 128)}:
            raise SystemExit(
                f"{recipe_name}: the plain network is AVi-GaS at 128 pixels; this one reads {shapes}."
            )
        torch.manual_seed(0)
        model = build.build_model(recipe, registry, shapes).to(runtime.device).eval()
        plain = Plain(conditioning == "channel").to(runtime.device).eval()
        copy_weights(model, plain)
        rows.append(_step_row(model, plain, runtime, conditioning, states, seconds))
        if states == "last":
            rows.append(_batch_row(model, plain, runtime, conditioning, seconds, batch))
    return rows


def _step_row(
    model: Model,
    plain: Plain,
    runtime: Runtime,
    conditioning: str,
    states: Literal["last", "carry"],
    seconds: float,
) -> dict[str, Any]:
    clip = inputs(2 * MEMORY)
    windows = [{m: x[i] for m, x in clip.items()} for i in range(2 * MEMORY)]
    ours = Stepper(model, runtime, states, MEMORY)
    theirs = PlainStepper(plain, runtime.device, states == "carry")
    said = np.array([(ours.step(w)[0], theirs.step(w)) for w in windows])
    times = in_turn(
        lambda i: ours.step(windows[i % len(windows)]),
        lambda i: theirs.step(windows[i % len(windows)]),
        seconds,
    )
    return _row("step", conditioning, states, times, 1, float(np.abs(said[:, 0] - said[:, 1]).max()), runtime)


@torch.no_grad()
def _batch_row(
    model: Model, plain: Plain, runtime: Runtime, conditioning: str, seconds: float, size: int
) -> dict[str, Any]:
    clip = {m: torch.from_numpy(np.tile(x, (size, 1, 1, 1, 1))) for m, x in inputs(MEMORY).items()}
    flag = torch.ones(size, MEMORY, 2, dtype=torch.bool)
    zeros = torch.zeros(size, MEMORY)
    batch = Batch(
        inputs=clip,
        present=flag,
        valid=flag[..., 0],
        known=flag,
        target=torch.zeros(size, MEMORY, 2),
        quadrant=zeros.long(),
        time=zeros.double(),
        clip=zeros[:, 0].long(),
        index=zeros[:, 0].long(),
    ).to(runtime.device)
    face, voice = batch.inputs["face"], batch.inputs["voice"]
    difference = float((model(batch)[0] - plain(face, voice)).abs().max())
    times = in_turn(lambda i: model(batch)[0].cpu(), lambda i: plain(face, voice).cpu(), seconds)
    return _row("batch", conditioning, "last", times, size * MEMORY, difference, runtime)


def _row(
    what: str,
    conditioning: str,
    states: str,
    times: Times,
    steps: int,
    difference: float,
    runtime: Runtime,
) -> dict[str, Any]:
    (ours, busy), (theirs, their_busy) = ([statistics.median(x) for x in zip(*t, strict=True)] for t in times)
    return {
        "device": str(runtime.device),
        "what": what,
        "conditioning": conditioning,
        "states": states,
        "steps": steps,
        "repeats": len(times[0]),
        "ms": 1e3 * ours,
        "plain_ms": 1e3 * theirs,
        "ratio": statistics.median(a / b for (a, _), (b, _) in zip(*times, strict=True)),
        "busy_ms": 1e3 * busy,
        "plain_busy_ms": 1e3 * their_busy,
        "busy_ratio": busy / their_busy,
        "p95_ms": 1e3 * sorted(t for t, _ in times[0])[int(0.95 * (len(times[0]) - 1))],
        "steps_per_s": steps / ours,
        "plain_steps_per_s": steps / theirs,
        "difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="avi-gas")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: the CPU, and CUDA where there is one"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement (default 4)")
    parser.add_argument(
        "--batch", type=int, help="windows of 8 steps per batch (default 2 on a CPU, 32 on CUDA)"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args()
    devices = [chosen.device] if chosen.device else ["cpu", "cuda"][: 1 + torch.cuda.is_available()]
    rows: list[dict[str, Any]] = []
    for device in devices:
        name = (
            torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
        )
        threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
        print(f"{device}: {name}, {threads}, torch {torch.__version__}; ms per call, fusekit / plain")
        print(
            f"{'':8}{'Q':9}{'states':8}{'median':>19}{'ratio':>7}{'busy':>19}{'ratio':>7}"
            f"{'steps/s':>9}{'max diff':>10}"
        )
        for row in measure(
            chosen.recipe, device, chosen.seconds, chosen.batch or (2 if device == "cpu" else 32)
        ):
            rows.append(row)
            print(
                f"{row['what']:8}{row['conditioning']:9}{row['states']:8}"
                f"{row['ms']:9.2f} /{row['plain_ms']:8.2f}{row['ratio']:7.3f}"
                f"{row['busy_ms']:9.2f} /{row['plain_busy_ms']:8.2f}{row['busy_ratio']:7.3f}"
                f"{row['steps_per_s']:9.1f}{row['difference']:10.0e}"
            )
    print(f"paper, AVi-GaS, inference: {PAPER_MS} ms (GTX 1080 Ti, batch size not given; table 11)")
    if chosen.json:
        facts = {"recipe": chosen.recipe, "torch": torch.__version__, "threads": torch.get_num_threads()}
        text = json.dumps({**facts, "paper_ms": PAPER_MS, "rows": rows}, indent=2) + "\n"
        chosen.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
