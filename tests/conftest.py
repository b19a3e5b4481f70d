"""What many tests share: small models and clips, and the places that only some machines have."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fusekit.batch import Batch
from fusekit.contracts import Clip, Reader, Source, Tail
from fusekit.data.steps import ClipSteps
from fusekit.engine.runtime import Runtime
from fusekit.nn.discriminator import Discriminator
from fusekit.nn.fusion.concat import Concat
from fusekit.nn.fusion.gmu import GMU
from fusekit.nn.fusion.single import SingleModality
from fusekit.nn.generator import DenoisingGenerator
from fusekit.nn.heads import LinearHead
from fusekit.nn.model import Branch, Model
from fusekit.nn.projectors import ConvPyramid
from fusekit.nn.temporal.lstm import LSTM
from fusekit.nn.temporal.luong import LuongLSTM
from fusekit.nn.temporal.none import NoTemporal

NAMES = ("face", "voice")
SIZE = 16
FUSIONS: dict[str, Callable[..., Any]] = {"none": SingleModality, "concat": Concat, "gmu": GMU}
TEMPORALS: dict[str, Callable[..., Any]] = {"none": NoTemporal, "lstm": LSTM, "luong-lstm": LuongLSTM}


def pytest_configure() -> None:
    os.environ.pop("COLUMNS", None)  # how wide the terminal of whoever started the tests is
    torch.set_num_threads(1)  # several suites may share the machine; tiny nets gain nothing from more
    # Shells let what they start in the background ignore Ctrl-C, and each process here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture
def in_foreground() -> Iterator[None]:
    """SIGHUP is heard, though `nohup` had started the suite."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, or a skip."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("FUSEKIT_SHARED_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the shared recordings are not here; FUSEKIT_SHARED_DATA names their folder")
    return folder


def tiny_branch(conditioning: str = "channel", size: int = SIZE, width: int = 4) -> Branch:
    """G, D and latent encoder of one modality, 16 pixels and width 4 unless told."""
    raw = (3, size, size)
    encoder = DenoisingGenerator(raw, width=width)
    quadrant = Discriminator(raw, encoder.out_shape, conditioning=conditioning, width=width)  # type: ignore[arg-type]
    return Branch(encoder, quadrant, ConvPyramid(encoder.out_shape, conditioning, width=width))


def tiny_model(
    names: Sequence[str] = NAMES,
    *,
    conditioning: str = "channel",
    fusion: str = "gmu",
    temporal: str = "luong-lstm",
    dim: int = 6,
    targets: int = 2,
    seed: int = 0,
    **arguments: Any,
) -> Model:
    """A whole model over pictures of 16 pixels. `arguments` go to the temporal head."""
    torch.manual_seed(seed)
    branches = {m: tiny_branch(conditioning) for m in names}
    widths = {m: b.projector.out_dim for m, b in branches.items()}
    fused = FUSIONS[fusion](widths, **({"dim": 10} if fusion == "gmu" else {}))
    own = {} if temporal == "none" else {"dim": dim} | arguments
    head = TEMPORALS[temporal](fused.out_dim, **own)
    return Model(branches, Tail(fused, head, LinearHead(head.out_dim, targets)))


def tiny_batch(
    batch: int = 3, steps: int = 4, names: Sequence[str] = NAMES, *, targets: int = 2, seed: int = 0
) -> Batch:
    """Windows of float noise pictures, everything present, valid and known."""
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, steps, targets, generator=g) * 2 - 1
    return Batch(
        inputs={m: torch.rand(batch, steps, 3, SIZE, SIZE, generator=g) * 2 - 1 for m in names},
        present=torch.ones(batch, steps, len(names), dtype=torch.bool),
        valid=torch.ones(batch, steps, dtype=torch.bool),
        known=torch.ones(batch, steps, targets, dtype=torch.bool),
        target=target,
        quadrant=torch.randint(0, 4, (batch, steps), generator=g),
        time=torch.arange(steps, dtype=torch.float64).expand(batch, -1) / 4,
        clip=torch.arange(batch),
        index=torch.arange(batch),
    )


class FrameReader(Reader):
    """One stored picture per step."""

    medium = "video"
    lookahead_s = 0.0

    def __init__(self, raw_shape: tuple[int, ...] = (3, SIZE, SIZE), step_hz: float = 4.0) -> None:
        self.raw_shape, self.step_hz = raw_shape, step_hz

    def settings(self) -> dict[str, Any]:
        return {}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def present(self, stream: Any, times: np.ndarray) -> np.ndarray:
        return np.ones(len(times), bool)

    def windows(self, stream: Any, times: np.ndarray) -> np.ndarray:
        return stream["frames"][np.rint(times * self.step_hz).astype(int)]


def tiny_clips(
    sizes: Sequence[int] = (11, 9, 14),
    names: Sequence[str] = NAMES,
    *,
    seed: int = 0,
    learnable: bool = False,
) -> list[ClipSteps]:
    """Clips on a 4 Hz grid with uint8 pictures, labels at every step and everything present.

    learnable: a bright upper (lower) half of the picture says valence (arousal).
    """
    rng = np.random.default_rng(seed)
    readers = {m: FrameReader() for m in names}
    clips = []
    for number, size in enumerate(sizes):
        target = rng.uniform(-1, 1, (size, 2)).astype(np.float32)
        streams = {}
        for m in names:
            frames = rng.integers(0, 256, (size, 3, SIZE, SIZE))
            if learnable:
                frames = frames // 8 + 112
                frames[:, :, : SIZE // 2, ::2] += (target[:, 0] * 100).astype(int)[:, None, None, None]
                frames[:, :, SIZE // 2 :, ::2] += (target[:, 1] * 100).astype(int)[:, None, None, None]
            streams[m] = {"frames": frames.clip(0, 255).astype(np.uint8)}
        low = target < 0
        clips.append(
            ClipSteps(
                clip=Clip(f"clip{number}", f"subject{number}", {}, None),
                clip_index=number,
                step_hz=4.0,
                times=np.arange(size) / 4.0,
                target=target,
                known=np.ones((size, 2), bool),
                quadrant=np.where(low[:, 1], np.where(low[:, 0], 2, 3), np.where(low[:, 0], 1, 0)),
                present=np.ones((size, len(names)), bool),
                streams=streams,
                readers=readers,
                dtypes={m: np.dtype(np.uint8) for m in names},
            )
        )
    return clips


def tiny_rngs(epoch: int, indices: Any, purpose: str) -> list[np.random.Generator]:
    """One generator per window, by epoch, window and purpose."""
    return [np.random.default_rng([epoch, int(i), *purpose.encode()]) for i in indices]


def cpu_runtime(precision: str = "float32") -> Runtime:
    """A runtime on the CPU."""
    return Runtime("cpu", precision)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """Makers of small things: `branch`, `model`, `batch`, `clips`, `rngs`, `runtime`, and `reader`."""
    return SimpleNamespace(
        branch=tiny_branch,
        model=tiny_model,
        batch=tiny_batch,
        clips=tiny_clips,
        rngs=tiny_rngs,
        runtime=cpu_runtime,
        reader=FrameReader,
        names=NAMES,
    )
