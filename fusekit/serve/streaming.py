"""Prediction while it happens: frames and sound come in, predictions come out, equal to the finished file's.

A step at t can be predicted once every modality's window around t is there; a window that holds future (a
centred mel crop) makes the prediction lag by `lookahead_s`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from fusekit import build
from fusekit.batch import to_float
from fusekit.contracts import Reader, State
from fusekit.data.labels import unscale
from fusekit.data.readers.face_video import TOLERANCE_S, FaceVideo, LiveFace
from fusekit.data.readers.mel_spectrogram import LiveMel, MelSpectrogram
from fusekit.data.steps import grid
from fusekit.engine.latents import stored
from fusekit.engine.runtime import Runtime
from fusekit.errors import RecipeError, RunError
from fusekit.nn.model import Model
from fusekit.runs import Run
from fusekit.serve.sources import label_range, usable_readers


@dataclass(frozen=True)
class StepPrediction:
    """One step at `time_s` seconds of the stream.

    Attributes:
        prediction: `(K,)` float32 in the corpus's own range. present: `(M,)` bool.
        trace: `gate (M,)`, `attention (memory,)` (newest state last) where the model has them.
    """

    time_s: float
    prediction: np.ndarray
    present: np.ndarray
    trace: dict[str, np.ndarray]


class Stepper:
    """One step after another through a model, batch of one: windows ready -> prediction.

    Args:
        states: `last`: every step from zero state over the last `steps` fused vectors, kept in a buffer (the
            default evaluation, spec 3.6); `carry`: the temporal head's own state is carried on.
    """

    def __init__(self, model: Model, runtime: Runtime, states: Literal["last", "carry"], steps: int) -> None:
        self.model, self.runtime = model.eval(), runtime
        self._last = states == "last"
        self._fused = torch.zeros(1, steps, model.fusion.out_dim, device=runtime.device)
        self._valid = torch.zeros(1, steps, dtype=torch.bool, device=runtime.device)
        self._one = torch.ones(1, 1, dtype=torch.bool, device=runtime.device)
        self._state: State | None = None

    @torch.no_grad()
    def step(self, windows: Mapping[str, np.ndarray | Tensor]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """`{m: (*raw)}` of the modalities present -> `(K,)` on the common scale, trace `{name: (...)}`."""
        model = self.model
        present = torch.tensor([[[m in windows for m in model.names]]], device=self.runtime.device)
        with self.runtime.autocast():
            feats = {m: self._features(m, windows.get(m)) for m in model.names}
            fused, _, trace = model.fusion(feats, present, self._one)
            if self._last:
                self._fused = torch.cat([self._fused[:, 1:], fused.to(self._fused.dtype)], dim=1)
                self._valid = torch.cat([self._valid[:, 1:], self._one], dim=1)
                y, _, more = model.temporal(self._fused, self._valid)
            else:
                y, self._state, more = model.temporal(fused, self._one, None, self._state)
            prediction = model.head(y[:, -1])
        trace = {**trace, **more}
        return prediction[0].float().cpu().numpy(), {
            k: v[0, -1].float().cpu().numpy() for k, v in trace.items()
        }

    def _features(self, m: str, window: np.ndarray | Tensor | None) -> Tensor:
        """`(*raw)` -> `(1, 1, D_m)`; zeros for what is absent, which the fusion does not read."""
        branch: Any = self.model.branches[m]
        if window is None:
            return torch.zeros(1, 1, branch.projector.out_dim, device=self.runtime.device)
        x = torch.as_tensor(window).to(self.runtime.device)[None]
        latent = branch.latent(to_float(x))
        return branch.projector(stored({m: latent})[m])[None]


class _Input(Protocol):
    """Live windows of one modality."""

    def ready(self, time_s: float) -> bool: ...
    def present(self, time_s: float) -> bool: ...
    def window(self, time_s: float) -> np.ndarray: ...


class _Camera:
    """Frames of one modality. A frame at most `TOLERANCE_S` before t is taken for the one at t."""

    def __init__(self, reader: FaceVideo) -> None:
        self.live = LiveFace(reader)
        self.last_s, self.span_s = -np.inf, 0.0
        self.end_s, self.over = np.inf, False

    def push(self, rgb: np.ndarray, time_s: float) -> None:
        self.live.push(rgb, time_s)
        if np.isfinite(self.last_s):
            self.span_s = time_s - self.last_s
        self.last_s = time_s

    def finish(self) -> float:
        """No more frames; the last one is shown as long as the one before it. Returns the end."""
        self.end_s, self.over = self.last_s + self.span_s, True
        return self.end_s

    def ready(self, time_s: float) -> bool:
        return self.over or time_s <= self.last_s + TOLERANCE_S

    def present(self, time_s: float) -> bool:
        return self.live.present(time_s) and time_s < self.end_s

    def window(self, time_s: float) -> np.ndarray:
        return self.live.window(time_s)


class _Microphone:
    """Sound of one modality."""

    def __init__(self, reader: MelSpectrogram) -> None:
        self.live, self.rate = LiveMel(reader), reader.rate
        self.seen = 0
        self.end_s = np.inf

    def push(self, samples: np.ndarray) -> None:
        self.live.push(samples)
        self.seen += len(samples)

    def finish(self) -> float:
        """No more sound. Returns the end."""
        self.live.finish()
        self.end_s = self.seen / self.rate
        return self.end_s

    def ready(self, time_s: float) -> bool:
        return self.live.ready(time_s)

    def present(self, time_s: float) -> bool:
        return time_s < self.end_s and self.live.present(time_s)

    def window(self, time_s: float) -> np.ndarray:
        return self.live.window(time_s)


class StreamPredictor:
    """Predicts a stream with one run, step by step; equal to `Predictor` of the recorded stream to 1e-5.

    Push frames and sound as they come, then `poll` (or `step`). One object per stream.

    Args:
        run: as `fusekit.runs.open_run` gives it.
        modalities: those that the stream will bring; the others are absent throughout. None: all.

    Attributes:
        lookahead_s: how far a prediction lags behind the newest input.
        sound_hz: rate of the samples that `push_sound` takes; None without a modality of sound.
        notes: what the user should know, one line each.

    Raises:
        RunError: a reader cannot stream (a mel spectrogram relative to the whole file's maximum), or the
            temporal head looks ahead; the message names the change of the recipe.
    """

    def __init__(self, run: Run, modalities: Sequence[str] | None = None) -> None:
        recipe, model = run.recipe, run.model
        unknown = sorted(set(modalities or ()) - set(model.names))
        if unknown:
            raise RunError(f"the run has no modality {', '.join(unknown)}; it has {', '.join(model.names)}.")
        if recipe.evaluation.states == "carry" and not model.temporal.causal:
            raise RunError(
                f"temporal head {recipe.temporal.name} looks ahead, so its state cannot be carried along a "
                "stream. Set `evaluation: {states: last}` in the recipe."
            )
        readers, notes = usable_readers(run)
        self._readers = {m: r for m, r in readers.items() if modalities is None or m in modalities}
        self.notes = tuple(n for n in notes if n.split(":")[0] in self._readers)
        self._inputs = {m: live(m, reader) for m, reader in self._readers.items()}
        self._cameras = [i for i in self._inputs.values() if isinstance(i, _Camera)]
        self._microphones = [i for i in self._inputs.values() if isinstance(i, _Microphone)]
        rates = {i.rate for i in self._microphones}
        if len(rates) > 1:
            raise RunError(
                f"the run's readers want sound at different rates ({', '.join(map(str, sorted(rates)))} Hz); "
                "one stream has one. Give the readers the same `rate` in the recipe."
            )
        self.sound_hz = next(iter(rates), None)
        self.lookahead_s = max(r.lookahead_s for r in self._readers.values())
        self._names, self._range = model.names, label_range(run)
        self._hz = recipe.target.step_hz
        self._model = Stepper(model, run.runtime, recipe.evaluation.states, build.evaluation_steps(recipe))
        self._next = 0
        self._count: int | None = None  # steps of the whole stream, known when it is over

    def push_frame(self, rgb: np.ndarray, time_s: float) -> None:
        """`(H, W, 3)` uint8 frame, shown from `time_s` on; times must not go back."""
        for camera in self._cameras:
            camera.push(rgb, time_s)

    def push_sound(self, samples: np.ndarray) -> None:
        """`(n,)` mono float samples in -1..1 at `sound_hz`, the next of the stream, which begins at 0 s."""
        for microphone in self._microphones:
            microphone.push(samples)

    def finish(self) -> None:
        """The stream is over: `poll` gives the steps that were still waiting for the future."""
        ends = [c.finish() for c in self._cameras] + [m.finish() for m in self._microphones]
        self._count = len(grid(max(ends), self._hz)) if max(ends) > 0 else 0

    def step(self) -> StepPrediction | None:
        """The next step's prediction, or None while an input that it needs is still to come."""
        time_s = self._next / self._hz
        over = self._count is not None and self._next >= self._count
        if over or not all(i.ready(time_s) for i in self._inputs.values()):
            return None
        here = {m: i for m, i in self._inputs.items() if i.present(time_s)}
        prediction, trace = self._model.step({m: i.window(time_s) for m, i in here.items()})
        self._next += 1
        return StepPrediction(
            time_s, unscale(prediction, self._range), np.array([m in here for m in self._names]), trace
        )

    def poll(self) -> list[StepPrediction]:
        """Every step that can be predicted by now."""
        found = []
        while (one := self.step()) is not None:
            found.append(one)
        return found


def live(modality: str, reader: Reader) -> _Input:
    """The live windows of one modality.

    Raises:
        RunError: its reader cannot cut them before the whole file is there.
    """
    try:
        if isinstance(reader, FaceVideo):
            return _Camera(reader)
        if isinstance(reader, MelSpectrogram):
            return _Microphone(reader)
    except RecipeError as error:  # it names the argument to change
        raise RunError(f"this run cannot stream: modalities.{modality}.reader: {error}") from error
    if math.isinf(reader.lookahead_s):
        raise RunError(
            f"this run cannot stream: modalities.{modality}.reader: {type(reader).__name__} needs the whole "
            "file before it can cut its first window. Choose a setting of it that does not, or leave "
            f"{modality} out of the stream's modalities."
        )
    raise RunError(
        f"this run cannot stream: modalities.{modality}.reader: {type(reader).__name__} reads files alone. "
        f"Leave {modality} out of the stream's modalities."
    )
