"""Windows of consecutive steps, and the order in which an epoch visits them (spec 3.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from fusekit.batch import Batch
from fusekit.data.steps import ClipSteps
from fusekit.errors import DataError


class Windows(Dataset[dict[str, object]]):
    """Consecutive windows of `length` steps that do not overlap; a short tail is dropped (spec 3.6).

    A clip shorter than one window yields one padded window. Windows without any known label are left out.

    Args:
        steps: clips on the step grid.
        length: steps per window.
        stride: steps between the starts of windows; None: `length`.
        frames_hz: look at about this many steps per second of a clip only (stage 1): windows then start every
            `length * step_hz / frames_hz` steps. None: all.

    Attributes:
        clip: `(n,)` position in `steps` of each window's clip; start: `(n,)` its first step; count: `(n,)`
            its steps.
        unlabelled: windows left out because no step of theirs has a label.
        tail: steps left out at clips' ends.

    Raises:
        DataError: no window has a label.
    """

    def __init__(
        self,
        steps: Sequence[ClipSteps],
        length: int,
        stride: int | None = None,
        frames_hz: float | None = None,
    ) -> None:
        if length < 1 or (stride is not None and stride < 1):
            raise ValueError(f"length and stride are at least 1, not {length} and {stride}")
        self.steps = list(steps)
        self.length = length
        self.unlabelled = 0
        self.tail = 0
        table: list[tuple[int, int, int]] = []
        for position, own in enumerate(self.steps):
            every = float(stride or length)
            if frames_hz is not None:
                every = max(every, length * own.step_hz / frames_hz)
            starts = np.floor(np.arange(0, max(len(own) - length, 0) + 1e-6, every)).astype(np.int64)
            size = min(length, len(own))
            self.tail += max(len(own) - int(starts[-1]) - max(int(every), length), 0)
            labelled = [start for start in starts.tolist() if own.known[start : start + size].any()]
            self.unlabelled += len(starts) - len(labelled)
            table.extend((position, start, size) for start in labelled)
        if not table:
            raise DataError(
                f"no window of {length} steps has a label ({self.unlabelled} without one); "
                "`fusekit data check` shows where labels are missing"
            )
        columns = np.asarray(table, np.int64).T
        self.clip, self.start, self.count = columns[0], columns[1], columns[2]
        self.names = tuple(self.steps[0].readers)

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, index: int) -> dict[str, object]:
        """One window as the mapping that `fusekit.batch.collate` stacks."""
        own = self.steps[self.clip[index]]
        rows = np.arange(self.start[index], self.start[index] + self.count[index])
        return {
            "inputs": {m: own.inputs(m, rows) for m in self.names},
            "present": own.present[rows],
            "valid": np.ones(len(rows), bool),
            "known": own.known[rows],
            "target": own.target[rows],
            "quadrant": own.quadrant[rows],
            "time": own.times[rows],
            "clip": own.clip_index,
            "index": index,
        }

    def rows(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Windows `(B,)` -> step indices `(B, T)` within their clips and `valid (B, T)`; padding is step 0.

        T is `length`, or the longest window of the whole set where all are shorter: the same for every batch,
        so that all processes of a run gather equally often.
        """
        chosen = np.asarray(indices, np.int64)
        count = self.count[chosen][:, None]
        offset = np.arange(int(self.count.max()))[None]
        valid = offset < count
        return np.where(valid, self.start[chosen][:, None] + offset, 0), valid

    def collate(self, indices: Sequence[int] | np.ndarray, modalities: Sequence[str] | None = None) -> Batch:
        """Windows `(B,)` -> Batch, equal to `fusekit.batch.collate` of them, padded to T; one read per clip.

        Args:
            modalities: whose inputs to read; None: all, (): none (latents come from a cache).
        """
        chosen = np.asarray(indices, np.int64)
        rows, valid = self.rows(chosen)
        shape = valid.shape
        dims = self.steps[0].target.shape[1]
        names = self.names if modalities is None else tuple(modalities)
        readers, dtypes = self.steps[0].readers, self.steps[0].dtypes
        inputs = {m: np.empty((*shape, *readers[m].raw_shape), dtypes[m]) for m in names}
        present = np.zeros((*shape, len(self.names)), bool)
        known = np.zeros((*shape, dims), bool)
        target = np.zeros((*shape, dims), np.float32)
        quadrant = np.full(shape, -1, np.int64)
        time = np.zeros(shape, np.float64)
        clip = np.empty(len(chosen), np.int64)
        if not valid.all():
            for values in inputs.values():
                values[~valid] = 0
        where = self.clip[chosen]
        for position in np.unique(where):
            own = self.steps[position]
            mine = np.flatnonzero(where == position)
            mask = valid[mine]
            into = (np.repeat(mine, mask.sum(1)), np.nonzero(mask)[1])
            at = rows[mine][mask]
            present[into], known[into], target[into] = own.present[at], own.known[at], own.target[at]
            quadrant[into], time[into], clip[mine] = own.quadrant[at], own.times[at], own.clip_index
            for modality, values in inputs.items():
                values[into] = own.inputs(modality, at)
        return Batch(
            inputs={m: torch.from_numpy(values) for m, values in inputs.items()},
            present=torch.from_numpy(present),
            valid=torch.from_numpy(valid),
            known=torch.from_numpy(known),
            target=torch.from_numpy(target),
            quadrant=torch.from_numpy(quadrant),
            time=torch.from_numpy(time),
            clip=torch.from_numpy(clip),
            index=torch.from_numpy(chosen.copy()),
        )

    __getitems__ = collate
    """What a torch DataLoader calls for a whole batch; its `collate_fn` is then the identity."""

    def epoch_order(self, seed: int, epoch: int) -> np.ndarray:
        """Permutation `(n,)` of the windows, by (seed, epoch) alone: a resumed run sees the same one."""
        return np.random.default_rng([seed, epoch]).permutation(len(self))

    def batches(
        self, batch_size: int, seed: int | None, epoch: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[np.ndarray]:
        """Index arrays of one epoch's batches.

        Args:
            batch_size: windows per step over all ranks together, so that a recipe means the same on any
                number of devices. seed: of the permutation; None: in order, nothing dropped (evaluation).
            rank, world: this process's share. While training all shares of a batch are equal (up to world - 1
                windows are dropped); in order, they differ by at most one window and may be empty.

        A last batch of fewer than two windows is dropped while training: correlations need two.

        Raises:
            DataError: training is asked for with fewer windows than make one batch.
        """
        if seed is not None and len(self) < max(2, world):
            raise DataError(
                f"{len(self)} labelled window of {self.length} steps is too little to train on: "
                "use shorter windows or more clips"
            )
        order = np.arange(len(self)) if seed is None else self.epoch_order(seed, epoch)
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            if seed is not None:
                chosen = chosen[: len(chosen) // world * world]
                if len(chosen) < 2:
                    continue
            yield chosen[rank::world]
