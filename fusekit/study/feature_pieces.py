"""What the baselines see of clips, a stretch of steps at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fusekit.contracts import Reader
from fusekit.data.steps import ClipSteps
from fusekit.study.baselines import join_features, pooled_features

_PIECE = 256  # steps whose windows are read at once
_KEPT = 32 << 20  # bytes of features that are remembered: to pool is most of the work


class FeaturePieces:
    """Pooled features and labels of clips; each call gives them from the start.

    Args:
        clips: on the step grid. readers: `{modality: reader}`, in the order of the clips' `present`.
    """

    def __init__(self, clips: Sequence[ClipSteps], readers: Mapping[str, Reader]) -> None:
        self.clips, self.readers = clips, readers
        self._kept: list[np.ndarray] | None = None

    def labels(self) -> np.ndarray:
        """`(n, K)` targets of all steps, NaN where unknown."""
        return np.concatenate([np.where(c.known, c.target, np.nan) for c in self.clips]).astype(np.float64)

    def __call__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pieces `(x (n, F), y (n, K))`, NaN where a modality is absent or a label unknown."""
        stretches = [(c, i) for c in self.clips for i in range(0, len(c), _PIECE)]
        kept: list[np.ndarray] | None = []
        size = 0
        for number, (clip, begin) in enumerate(stretches):
            steps = np.arange(begin, min(begin + _PIECE, len(clip)))
            x = self._features(clip, steps) if self._kept is None else self._kept[number]
            size += x.nbytes
            if size > _KEPT:
                kept = None
            if kept is not None:
                kept.append(x)
            yield x, np.where(clip.known[steps], clip.target[steps], np.nan).astype(np.float64)
        self._kept = kept

    def _features(self, clip: ClipSteps, steps: np.ndarray) -> np.ndarray:
        pooled = [pooled_features(reader, clip.inputs(m, steps)) for m, reader in self.readers.items()]
        clip.release()
        return join_features(pooled, clip.present[steps])
