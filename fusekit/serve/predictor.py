"""A trained run applied to files: prepared as in training, evaluated as the recipe says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fusekit import build
from fusekit.contracts import Clip, Reader, State, Stream
from fusekit.data.content import reading
from fusekit.data.labels import unscale
from fusekit.data.steps import ClipSteps, build_steps
from fusekit.data.units import unlike_training
from fusekit.engine.evaluation import ClipPrediction, predict_clip
from fusekit.engine.latents import clip_latents, stored
from fusekit.errors import DataError
from fusekit.runs import Run
from fusekit.serve.sources import find_sources, label_range, spacings_s, usable_readers

CHUNK = 256
"""Steps whose latents are held at once: Z is 256 KB a step, so a long recording would not fit."""
WORTH_SAYING_S = 0.5
"""An absence shorter than this is told by the table alone."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FaceTrack:
    """Where the face was: `times (n,)` seconds of the frames kept, `boxes (n, 4)` pixels, NaN for none."""

    times: np.ndarray
    boxes: np.ndarray

    def at(self, time_s: float) -> np.ndarray | None:
        """`(4,)` box in the latest frame at or before `time_s`, or None."""
        row = int(np.searchsorted(self.times, time_s + 1e-3, side="right")) - 1
        return None if row < 0 or not np.isfinite(self.boxes[row]).all() else self.boxes[row]


@dataclass
class FilePrediction:
    """What a run says of one recording of T steps.

    Attributes:
        file: its name as given.
        times: `(T,)` seconds.
        dims: names of the K target dimensions; prediction: `(T, K)` float32 in `label_range`.
        modalities: names of the M modalities; present: `(T, M)` bool.
        trace: `gate (T, M)`, `attention (T, memory)` (newest state last) where the model has them.
        notes: what the user should know, one line each.
        video, sound: files that hold the picture and the sound; face: where the face was seen.
    """

    file: str
    times: np.ndarray
    dims: tuple[str, ...]
    prediction: np.ndarray
    label_range: tuple[float, float]
    modalities: tuple[str, ...]
    present: np.ndarray
    trace: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()
    video: Path | None = None
    sound: Path | None = None
    face: FaceTrack | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """`file, time_s`, the dimensions, `gate_<modality>`, `attention_<k>`, `present_<modality>`."""
        table: dict[str, np.ndarray] = {"file": np.full(len(self.times), self.file)}
        table["time_s"] = np.round(self.times, 6)
        table |= {dim: self.prediction[:, k] for k, dim in enumerate(self.dims)}
        if "gate" in self.trace:
            table |= {f"gate_{m}": self.trace["gate"][:, i] for i, m in enumerate(self.modalities)}
        if "attention" in self.trace:
            attention = self.trace["attention"]
            table |= {f"attention_{k + 1}": attention[:, k] for k in range(attention.shape[1])}
        return table | {f"present_{m}": self.present[:, i] for i, m in enumerate(self.modalities)}


class Predictor:
    """Predicts recordings with one run.

    Args:
        run: as `fusekit.runs.open_run` gives it.

    Attributes:
        dims, modalities: names, in the recipe's order. label_range: of the labels it was trained on.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.dims = run.recipe.target.dims
        self.modalities: tuple[str, ...] = run.model.names
        self.label_range = label_range(run)
        self._steps = build.evaluation_steps(run.recipe)
        self._spacings_s = spacings_s(run)

    def predict_file(
        self,
        file: Path | Mapping[str, Path],
        *,
        boxes: Path | None = None,
        progress: Progress | None = None,
    ) -> FilePrediction:
        """Predict one recording at every step of the recipe's clock.

        A modality that the recording does not have (no sound track, no face anywhere) is absent: the rest
        predicts, and `notes` say so.

        Args:
            file: a file, which serves every modality that it holds; or `{modality: file}`, where "" names the
                one that serves all others.
            boxes: CSV `time_s,x0,y0,x1,y1` of face boxes; without it the recipe's detector finds the face.
            progress: called with (steps done, steps in all).

        Raises:
            DataError: a file cannot be read, or nothing is left to predict from.
        """
        name = str(file) if not isinstance(file, Mapping) else " + ".join(str(p) for p in file.values())
        readers, notes = usable_readers(self.run, boxes)
        columns = {m: given.source or m for m, given in self.run.recipe.modalities.items()}
        sources = find_sources(file, readers, boxes, columns)
        notes = [n for n in notes if n.split(":")[0] in sources.given]
        absences = [f"{m} is absent: {why}" for m, why in sources.absent.items()]
        streams: dict[str, Stream] = {}
        for m, source in sources.given.items():
            with reading(source.path):
                streams[m] = readers[m].prepare(source)
        notes += [f"{m}: {doubt}" for m, stream in streams.items() for doubt in readers[m].doubts(stream)]
        for m, spacing_s in self._spacings_s.items():
            if m in streams and (odd := unlike_training(m, streams[m], spacing_s)):
                raise DataError(f"{sources.given[m].path}: {odd}")
        steps = self._on_grid(name, streams, readers)
        absences += self._absences(steps, readers)
        if not steps.present.any():
            raise DataError(f"{name}: nothing to predict from: {'; '.join(absences)}.")
        found = self._predict(steps, progress)
        return FilePrediction(
            file=name,
            times=steps.times,
            dims=self.dims,
            prediction=unscale(found.prediction, self.label_range),
            label_range=self.label_range,
            modalities=self.modalities,
            present=steps.present,
            trace=found.trace,
            notes=(*notes, *absences),
            video=sources.video,
            sound=sources.sound,
            face=next((FaceTrack(s["times"], s["boxes"]) for s in streams.values() if "boxes" in s), None),
        )

    def _on_grid(self, name: str, streams: Mapping[str, Stream], readers: Mapping[str, Reader]) -> ClipSteps:
        clip = Clip(name, "", {}, None)
        (steps,), _ = build_steps(
            [clip],
            {name: streams},
            readers,
            self.dims,
            self.run.recipe.target.step_hz,
            self.label_range,
            labelled=False,
        )
        return steps

    def _absences(self, steps: ClipSteps, readers: Mapping[str, Reader]) -> list[str]:
        """One line per modality whose file is there but holds nothing of it, throughout or for a while."""
        notes = []
        for column, m in enumerate(self.modalities):
            if m not in steps.streams:
                continue
            what = readers[m].absence
            missing = int((~steps.present[:, column]).sum())
            if missing == len(steps):
                notes.append(f"{m} is absent: {what}")
            elif missing / steps.step_hz >= WORTH_SAYING_S:
                gone, whole = missing / steps.step_hz, len(steps) / steps.step_hz
                notes.append(f"{m} is absent for {gone:.1f} of {whole:.1f} s: {what}")
        return notes

    def _predict(self, steps: ClipSteps, progress: Progress | None) -> ClipPrediction:
        """The recipe's evaluation, in chunks of steps that share the state, or the last steps once more."""
        run, pieces = self.run, []
        last = run.recipe.evaluation.states == "last"
        overlap = self._steps - 1 if last else 0
        state: State | None = None
        # How many rows are encoded together moves the last bit, float16 makes a visible step of it, and a
        # stream encodes one by one. On a CPU there is little to gain from batches.
        on_cpu = run.runtime.device.type == "cpu"
        for begin in range(0, len(steps), CHUNK):
            first, end = max(begin - overlap, 0), min(begin + CHUNK, len(steps))
            part = _Part(steps, first, end)
            latents = stored(clip_latents(run.model, part, run.runtime, chunk=1 if on_cpu else 64))
            if last:
                found = predict_clip(run.model, latents, part.present, run.runtime, "last", self._steps)
            else:
                found, state = _carried(run, latents, part.present, state)
            pieces.append(_rows(found, begin - first))
            if progress is not None:
                progress(end, len(steps))
        return ClipPrediction(
            np.concatenate([p.prediction for p in pieces]),
            {k: np.concatenate([p.trace[k] for p in pieces]) for k in pieces[0].trace},
        )


class _Part:
    """Steps `first` to `end` of a clip, as the engine reads clips."""

    def __init__(self, steps: ClipSteps, first: int, end: int) -> None:
        self._steps, self._first = steps, first
        self.times, self.present = steps.times[first:end], steps.present[first:end]
        self.target, self.known = steps.target[first:end], steps.known[first:end]

    @property
    def name(self) -> str:
        """The clip that it is a part of."""
        return self._steps.name

    def __len__(self) -> int:
        return len(self.times)

    def inputs(self, modality: str, steps: np.ndarray) -> np.ndarray:
        """Windows `(n, *raw)` of the part's own steps `(n,)`."""
        return self._steps.inputs(modality, steps + self._first)

    def release(self) -> None:
        """As of the whole clip."""
        self._steps.release()


def _rows(found: ClipPrediction, begin: int) -> ClipPrediction:
    return ClipPrediction(found.prediction[begin:], {k: v[begin:] for k, v in found.trace.items()})


@torch.no_grad()
def _carried(
    run: Run, latents: dict, present: np.ndarray, state: State | None
) -> tuple[ClipPrediction, State]:
    """One more stretch of a clip, the state carried on."""
    mask = torch.from_numpy(present).to(run.runtime.device)[None]
    with run.runtime.autocast():
        prediction, state, trace = run.model.predict(latents, mask, torch.ones_like(mask[..., 0]), state)
    return (
        ClipPrediction(
            prediction[0].float().cpu().numpy(), {k: v[0].float().cpu().numpy() for k, v in trace.items()}
        ),
        state,
    )
