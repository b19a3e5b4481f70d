"""Clips on the recipe's step grid: what a prepared clip offers at each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fusekit.contracts import Clip, Reader, Rejected, Stream
from fusekit.data.label_ranges import check_range
from fusekit.data.labels import align
from fusekit.data.store import Prepared
from fusekit.data.units import misfit
from fusekit.errors import DataError


def grid(duration_s: float, step_hz: float) -> np.ndarray:
    """Step times `(T,)` float64 of a clip: k / step_hz while half a step of the clip follows (T >= 1)."""
    count = int(np.floor(duration_s * step_hz - 0.5 + 1e-6)) + 1
    return np.arange(max(count, 1), dtype=np.float64) / step_hz


@dataclass
class ClipSteps:
    """One clip at its T steps.

    Attributes:
        clip: the recording.
        clip_index: its position in the list that `build_steps` returned.
        step_hz: the recipe's clock.
        times: `(T,)` float64 seconds.
        target, known: `(T, K)` float32 on the common scale (0 where unknown), and bool.
        quadrant: `(T,)` int64, -1 where there is none.
        present: `(T, M)` bool in the readers' order.
        extra: `(T,)` per further label column.
        streams, readers: per modality; a modality without a file has no stream.
        dtypes: dtype of each modality's windows.
    """

    clip: Clip
    clip_index: int
    step_hz: float
    times: np.ndarray
    target: np.ndarray
    known: np.ndarray
    quadrant: np.ndarray
    present: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
    readers: Mapping[str, Reader] = field(default_factory=dict)
    dtypes: Mapping[str, np.dtype] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The clip, as messages name it."""
        return self.clip.id

    def __len__(self) -> int:
        return len(self.times)

    def inputs(self, modality: str, steps: np.ndarray) -> np.ndarray:
        """Step indices `(n,)` -> windows `(n, *raw)`; zeros for a modality that this clip does not have."""
        reader = self.readers[modality]
        if modality not in self.streams:
            return np.zeros((len(steps), *reader.raw_shape), self.dtypes[modality])
        return reader.windows(self.streams[modality], self.times[steps])

    def release(self) -> None:
        """Give back the memory that what was read of mapped files takes; it can be read again."""
        for stream in self.streams.values():
            if isinstance(stream, Prepared):
                stream.release()


def build_steps(
    clips: Sequence[Clip],
    streams: Mapping[str, Mapping[str, Stream]],
    readers: Mapping[str, Reader],
    dims: Sequence[str],
    step_hz: float,
    label_range: tuple[float, float],
    *,
    labelled: bool = True,
) -> tuple[list[ClipSteps], list[Rejected]]:
    """Put clips on the step grid, once.

    Args:
        clips: recordings; streams: `{clip id: {modality: stream}}`, a modality without a file left out.
        readers: `{modality: reader}` in the recipe's order, which becomes the order of `present`.
        dims: target dimensions; label_range: the corpus's range, mapped to -1..1.
        labelled: leave out clips without any label (False: prediction, where labels are not needed).

    Returns:
        The clips that can be used, and those left out with the reason: among others, times of labels or
        tables in another unit than seconds, by their length.

    Raises:
        DataError: no clip is left, or the range is none (infinite, or its limits the wrong way round).
    """
    check_range(label_range, "the corpus")
    dtypes = _dtypes(streams, readers)
    built: list[ClipSteps] = []
    rejected: list[Rejected] = []
    for clip in clips:
        own = {m: streams.get(clip.id, {})[m] for m in readers if m in streams.get(clip.id, {})}
        if not own:
            rejected.append(Rejected(clip.id, f"none of {', '.join(readers)} could be read"))
            continue
        lasts = {m: float(np.asarray(stream["duration_s"]).reshape(-1)[0]) for m, stream in own.items()}
        if odd := misfit(clip, own, readers):
            rejected.append(Rejected(clip.id, odd))
            continue
        times = grid(max(lasts.values()), step_hz)
        aligned = align(clip.labels, times, dims, label_range)
        if labelled and not aligned.known.any():
            rejected.append(Rejected(clip.id, why_unlabelled(clip, dims, float(times[-1]))))
            continue
        present = np.zeros((len(times), len(readers)), bool)
        for column, (modality, reader) in enumerate(readers.items()):
            if modality in own:
                present[:, column] = reader.present(own[modality], times) & (times < lasts[modality])
        built.append(
            ClipSteps(
                clip=clip,
                clip_index=len(built),
                step_hz=step_hz,
                times=times,
                target=aligned.target,
                known=aligned.known,
                quadrant=aligned.quadrant,
                present=present,
                extra=aligned.extra,
                streams=own,
                readers=readers,
                dtypes=dtypes,
            )
        )
    if not built and not labelled:
        raise DataError("; ".join(f"{r.where}: {r.reason}" for r in rejected))
    if not built:
        raise DataError(_nothing_left(rejected, dims))
    return built, rejected


def _dtypes(
    streams: Mapping[str, Mapping[str, Stream]], readers: Mapping[str, Reader]
) -> dict[str, np.dtype]:
    """dtype of each modality's windows, read off one window, so that zeros of an absent file match."""
    found = {m: np.dtype(np.uint8) for m in readers}
    for modality, reader in readers.items():
        stream = next((own[modality] for own in streams.values() if modality in own), None)
        if stream is not None:
            found[modality] = reader.windows(stream, np.zeros(1)).dtype
    return found


def why_unlabelled(clip: Clip, dims: Sequence[str], last_s: float) -> str:
    """The reason why no step of a clip that lasts until `last_s` has a label."""
    if clip.labels is None or len(clip.labels.times) == 0:
        return "it has no labels"
    missing = [dim for dim in dims if dim not in clip.labels.dims]
    if len(missing) == len(dims):
        return f"its labels have no {' or '.join(missing)} (they have {', '.join(clip.labels.dims)})"
    first, last = clip.labels.times[0], clip.labels.times[-1]
    return f"no labelled step: its steps span 0-{last_s:.2f} s, its labels {first:.2f}-{last:.2f} s"


def _nothing_left(rejected: Sequence[Rejected], dims: Sequence[str]) -> str:
    reasons = "; ".join(f"{r.where}: {r.reason}" for r in rejected[:3])
    more = f" (and {len(rejected) - 3} more)" if len(rejected) > 3 else ""
    return (
        f"no clip has a labelled step for {', '.join(dims)}: {reasons or 'the corpus is empty'}{more}. "
        "Check that the labels' times are seconds from the start of the media and that the recipe's "
        "target.dims are columns of the label files; `fusekit data check` explains every clip."
    )


def shuffle_labels(steps: Sequence[ClipSteps], seed: int) -> list[ClipSteps]:
    """Control run: every clip gets the label track (target, known, quadrant) of another clip of its split.

    The track is rotated in time by a quarter to three quarters of its length too: clips may share a course
    (all begin calm), and then another's track would still tell something of one's own. Inputs, presence and
    `extra` stay. A longer track is cut, a shorter one repeated. With fewer than three clips in a split each
    keeps its own track, rotated. Deterministic by seed.
    """
    rng = np.random.default_rng(seed)
    shuffled = list(steps)
    for split in sorted({s.clip.split for s in steps}):
        members = [i for i, s in enumerate(steps) if s.clip.split == split]
        # One random cycle through all clips: nobody keeps its own track, unless there are too few.
        order = rng.permutation(members)
        for i, giver in zip(order, np.roll(order, 1) if len(members) > 2 else order, strict=True):
            size = len(steps[giver])
            shift = int(rng.integers(size // 4, max(3 * size // 4, size // 4 + 1)))
            shuffled[i] = _with_track(steps[i], steps[giver], (np.arange(len(steps[i])) + shift) % size)
    return shuffled


def _with_track(own: ClipSteps, giver: ClipSteps, rows: np.ndarray) -> ClipSteps:
    return replace(own, target=giver.target[rows], known=giver.known[rows], quadrant=giver.quadrant[rows])
