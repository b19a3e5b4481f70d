"""What the kit must know of a component to check it: its arguments, what the builder gives, small recordings.

Light: a hook module may import this inside `conformance_cases` without loading torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusekit.registry import Kind, nearest

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from fusekit.contracts import Source


@dataclass(frozen=True)
class Case:
    """One component with arguments small enough for a test. Most need `kind`, `name` and perhaps `args`.

    A component may have several cases, told apart by `variant`.

    Attributes:
        kind, name: as registered.
        args: as a recipe would write them.
        variant: a word or two for this case, where a component has several.
        raw_shape: shape of one window, given to encoders and quadrant heads, damaged by degradations.
        latent_shape: of one latent, given to quadrant heads and projectors.
        conditioning: how Q is used, given to projectors: "channel", "vector" or "none".
        in_dims: width of each modality, given to fusions.
        in_dim, out_dim: widths given to temporal heads and heads; losses take `out_dim` target dimensions.
        windows: `(generator, n)` -> `(n, *raw_shape)` windows as the reader cuts them, for encoders, quadrant
            heads and degradations that cannot do with uniform noise in -1..1 (numbers of words, say).
        constants: values of constant windows that must give finite answers, e.g. silence, black, white.
        context: `(B, T)` -> named tensors `(B, T, ...)`, for a temporal head that needs some.
        file: writes a small valid recording into a folder; readers need it.
        blank: the same with nothing in it: silence, black frames, a flat line.
        altered: `(folder, second)` -> the recording of `file` with other content from `second` on (what is
            before must be the same to the bit, so no lossy codec): shows that `lookahead_s` is honest.
            Several seconds are asked for.
        layout: writes a tiny corpus in its published layout into a folder and returns the arguments that a
            recipe needs to read it (`{"root": folder}`); corpora need it.
        broken: the same with at least one clip that can be used and one that cannot, so is `Rejected`.
        modalities, dims: what a corpus is asked for; `dims`, if given, counts for losses too.
        picture: `(H, W, 3)` uint8 RGB in which a detector finds a face.
        unused: names of parameters (`fnmatch` patterns) that may stay without a gradient.
        bf16: it runs under bf16 autocast, which recipes may ask for.
        compiles: `torch.compile` traces it, and the trace gives the same answers. Slow to check.
        exports: `torch.export` gives the same answers. Slow to check.
        lacks: what this machine has not got that the component needs (a model file, say); then only its class
            and signature are checked, and this is shown.
        excused: `{rule: reason}` of rules that this component breaks on purpose; shown with the results.
    """

    kind: str
    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""
    raw_shape: tuple[int, ...] = (3, 16, 16)
    latent_shape: tuple[int, ...] = (8, 4, 4)
    conditioning: str = "channel"
    in_dims: Mapping[str, int] = field(default_factory=lambda: {"face": 5, "voice": 3, "ecg": 4})
    in_dim: int = 5
    out_dim: int = 2
    windows: Callable[[np.random.Generator, int], np.ndarray] | None = None
    constants: tuple[float, ...] = (0.0, -1.0, 1.0)
    context: Callable[[int, int], Mapping[str, Tensor]] | None = None
    file: Callable[[Path], Source] | None = None
    blank: Callable[[Path], Source] | None = None
    altered: Callable[[Path, float], Source] | None = None
    layout: Callable[[Path], Mapping[str, Any]] | None = None
    broken: Callable[[Path], Mapping[str, Any]] | None = None
    modalities: tuple[str, ...] = ("face", "voice")
    dims: tuple[str, ...] = ("valence", "arousal")
    picture: Callable[[], np.ndarray] | None = None
    unused: tuple[str, ...] = ()
    bf16: bool = True
    compiles: bool = False
    exports: bool = False
    lacks: str = ""
    excused: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = [kind.value for kind in Kind]
        if self.kind not in kinds:
            raise ValueError(f"Case of an unknown kind {self.kind!r}.{nearest(self.kind, kinds)}")

    @property
    def id(self) -> str:
        """`kind-name`, with the variant behind it."""
        return "-".join([self.kind, self.name, *self.variant.split()])
