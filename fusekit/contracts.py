"""The abstract bases that components implement and the small values that rooms exchange.

A component is a class. What the builder knows (shapes, widths) comes as positional parameters; what a recipe
may say comes as typed keyword-only parameters with defaults: that part of the signature is the recipe's
schema.
Shapes: B batch, T steps, M modalities, K target dimensions, N = B*T rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

State = Mapping[str, Tensor]
"""Carried state of a causal part: leaves `(B, ...)` of fixed shape, so that one step exports."""

Trace = dict[str, Tensor]
"""What a part shows of itself: `gate (B, T, M)`, `attention (B, T, memory)` (newest last, 0 where unused)."""

# ---------------------------------------------------------------- data


@dataclass(frozen=True)
class Source:
    """One modality's file of one clip.

    Attributes:
        path: a media file; for sound this may be a video file with a sound track.
        boxes: CSV `time_s,x0,y0,x1,y1` of face boxes in pixels given by the corpus (tight landmark boxes,
            before the reader's margin); None: the reader's detector finds them.
        start_s, step_s: time of the first frame and spacing, where the corpus knows better than the
            container.
    """

    path: Path
    boxes: Path | None = None
    start_s: float | None = None
    step_s: float | None = None


@dataclass
class Labels:
    """Labels of one clip, in the corpus's own range.

    Attributes:
        times: `(n,)` float64 seconds, increasing. A single entry is held over the whole clip.
        values: `(n, K)` float32, NaN where unknown.
        dims: names of the K columns.
        quadrant: `(n,)` int64 quadrant given by the corpus itself, -1: none; or None: derived from `values`.
        extra: further columns `(n,)` that analyses use (e.g. schedules of damage).
    """

    times: np.ndarray
    values: np.ndarray
    dims: tuple[str, ...]
    quadrant: np.ndarray | None = None
    extra: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Clip:
    """One recording of one subject. `split` is "train", "validation", "test" or "" (folds decide)."""

    id: str
    subject: str
    sources: dict[str, Source]
    labels: Labels | None
    session: str = ""
    split: str = ""


@dataclass(frozen=True)
class Rejected:
    """A clip (or row) that a corpus left out, and why."""

    where: str
    reason: str


class Corpus(ABC):
    """A set of clips in a published layout.

    Attributes:
        label_range: `(low, high)` of the corpus's labels; the midpoint divides the quadrants (spec 4.6).
    """

    label_range: tuple[float, float] = (-1.0, 1.0)

    @abstractmethod
    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        """Clips with labels for `dims` and at least one of `modalities`, sorted by id; and what was left out.

        Raises:
            DataError: the corpus is not there, or no clip can be used.
        """

    def describe(self) -> str:
        """One line for logs and tables: name, variant of the layout, licence where known."""
        return type(self).__name__


Stream = Mapping[str, np.ndarray]
"""A prepared clip: named arrays, memory-mapped when they come from the store."""


class Reader(ABC):
    """Turns one clip's file into a stream and cuts the window around a step.

    Attributes:
        raw_shape: shape of one window, e.g. `(3, 128, 128)`.
        lookahead_s: seconds of future that a window contains (0 for a causal reader).
        medium: "video" or "audio" (what kind of file it opens).
    """

    raw_shape: tuple[int, ...]
    lookahead_s: float
    medium: ClassVar[str]

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-able settings that change what `prepare` returns: part of the prepared store's key."""

    @abstractmethod
    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """Decode a file once. Always holds `duration_s (1,)`; the rest is the reader's own.

        Raises:
            DataError: the file is missing, empty or cannot be decoded.
        """

    @abstractmethod
    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T,)` bool: is the modality recorded there (a face seen, no digital silence)."""

    @abstractmethod
    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, *raw_shape)`; uint8 pictures (0..255 stand for -1..1) or float32."""


class Detector(ABC):
    """Finds faces in a frame.

    Attributes:
        to_tight: `(dx0, dy0, dx1, dy1)` in fractions of the detected box's width and height, added to its
            edges to reach the tight box of the 68 landmarks that the spec's margin rule (4.1) starts from.
    """

    to_tight: ClassVar[tuple[float, float, float, float]] = (0.0, 0.0, 0.0, 0.0)

    @abstractmethod
    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """`(H, W, 3)` uint8 RGB -> `(n, 5)` float: x0, y0, x1, y1, score; best first.

        `near`: the last box, a hint.
        """


class Degradation(ABC):
    """Artificial damage of inputs that a denoising encoder learns to undo (spec 4.3, 4.4)."""

    @abstractmethod
    def __call__(self, x: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
        """`(N, *raw)` float -> damaged copy of the same shape; row i draws from `rngs[i]` alone.

        `x` is not changed.
        """


# ---------------------------------------------------------------- networks


@dataclass
class Latent:
    """What an encoder and its quadrant head know of N rows; exactly what the latent cache stores.

    Attributes:
        z: `(N, D)` or `(N, C, H, W)`.
        affect: `(N, 2)` coarse valence, arousal on the scale -1..1, or None.
        logits: `(N, 4)` quadrant logits, or None.
        realness: `(N,)` critic score, or None.
        quadrant: `(N,)` int64 0..3 without gradient, or None.
    """

    z: Tensor
    affect: Tensor | None = None
    logits: Tensor | None = None
    realness: Tensor | None = None
    quadrant: Tensor | None = None


class Encoder(nn.Module):
    """`__init__(raw_shape, *, ...)`. Window `(N, *raw)` float -> latent.

    Attributes:
        out_shape: shape of one latent, `(D,)` or `(C, H, W)`.
    """

    out_shape: tuple[int, ...]

    def encode(self, x: Tensor) -> Tensor:
        """`(N, *raw)` -> `(N, *out_shape)`."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x)


class DenoisingEncoder(Encoder):
    """An encoder that also decodes, so that it can be trained to undo damage."""

    def decode(self, z: Tensor) -> Tensor:
        """`(N, *out_shape)` -> `(N, *raw)` in -1..1."""
        raise NotImplementedError


class QuadrantHead(nn.Module):
    """Coarse first step: the circumplex quadrant. `__init__(raw_shape, latent_shape, *, conditioning=...)`.

    Attributes:
        reads: "latent" or "reconstruction" (then the builder decodes first).
        critic: True if `judge` scores real against fake, for the adversarial objective.
        conditioning: how the projector uses Q: "channel", "vector" or "none" (spec 1.4).
    """

    reads: ClassVar[str] = "latent"
    critic: ClassVar[bool] = False
    conditioning: str

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        """Reconstruction `(N, *raw)` (None if it reads the latent), latent -> Latent with `quadrant`."""
        raise NotImplementedError


class Projector(nn.Module):
    """`__init__(latent_shape, conditioning, *, ...)`. Latent (with its quadrant) -> `(N, out_dim)`."""

    out_dim: int

    def forward(self, latent: Latent) -> Tensor:
        raise NotImplementedError


class Fusion(nn.Module):
    """`__init__(in_dims: dict[str, int], *, ...)`. Features of named modalities -> one vector per step.

    Attributes:
        out_dim: width of the fused features.
        names: modalities in the recipe's order; `present[..., i]` belongs to `names[i]`.
    """

    out_dim: int
    names: tuple[str, ...]

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        """Zero state for `batch` rows; empty for a fusion without memory."""
        return {}

    def forward(
        self,
        feats: Mapping[str, Tensor],
        present: Tensor,
        valid: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`{m: (B, T, D_m)}`, `present (B, T, M)` -> `(B, T, out_dim)`, state, trace (`gate (B, T, M)`)."""
        raise NotImplementedError


class Temporal(nn.Module):
    """`__init__(in_dim, *, ...)`. `(B, T, D)` -> `(B, T, out_dim)`, state explicit in and out.

    Attributes:
        memory: how many past states one output looks at through attention (0: none).
        causal: False if an output depends on later steps; such a head cannot stream.
    """

    out_dim: int
    memory: int = 0
    causal: ClassVar[bool] = True

    def init_state(self, batch: int, device: Any = None, dtype: Any = None) -> State:
        """State at the start of a stream."""
        return {}

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        context: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State, Trace]:
        """`(B, T, D)`, `valid (B, T)` -> `(B, T, out_dim)`, new state, trace.

        Invalid steps leave the state alone.
        """
        raise NotImplementedError


class Loss(nn.Module):
    """`__init__(*, ...)`. Named function of prediction, target and mask; smaller is better.

    `correlates`: True if it needs all samples of the (global) batch at once, as correlations do.
    """

    correlates: ClassVar[bool] = False

    def forward(
        self, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """`(N, K)`, `(N, K)`, `(N, K)` bool, `(N, K)` weights of mean 1 (None: 1) -> scalar."""
        raise NotImplementedError


@dataclass
class Tail:
    """What follows the projectors: fusion, temporal head, head. Shared, or one per modality in stage 1."""

    fusion: Fusion
    temporal: Temporal
    head: nn.Module
