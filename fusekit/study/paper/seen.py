"""What the models of a study saw: windows of its test clips, read from the runs' own data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from fusekit.batch import to_float
from fusekit.data.steps import ClipSteps
from fusekit.registry import Registry
from fusekit.runs import open_run
from fusekit.study.denoising import denoising_examples
from fusekit.study.figures import denoising_triples
from fusekit.study.paper.results import Results, Scored


class RunFrames:
    """Pictures of test clips, as `fusekit.study.paper.pictures.Frames`; each run's clips are opened once."""

    def __init__(self, results: Results, registry: Registry) -> None:
        self.results, self.registry = results, registry
        self._modalities = {model.name: model.modalities for model in results.models}
        self._opened: dict[str, dict[str, ClipSteps]] = {}

    def __call__(self, clip: str, modality: str, times: np.ndarray) -> np.ndarray | None:
        """`(n,)` seconds -> `(n, C, H, W)` in -1..1, the windows of the steps nearest to them.

        None: no finished run tests the clip with that modality, or its windows are no pictures.
        """
        run = next((r for r in self.results.runs.values() if self._has(r, clip, modality)), None)
        if run is None:
            return None
        steps = self._clips(run)[clip]
        nearest = np.abs(steps.times[None] - np.asarray(times)[:, None]).argmin(1)
        windows = to_float(torch.from_numpy(np.ascontiguousarray(steps.inputs(modality, nearest)))).numpy()
        return windows if windows.ndim == 4 and windows.shape[1] in (1, 3) else None

    def _has(self, run: Scored, clip: str, modality: str) -> bool:
        return modality in self._modalities[run.model] and bool((run.table["clip"] == clip).any())

    def _clips(self, run: Scored) -> Mapping[str, ClipSteps]:
        key = str(run.folder)
        if key not in self._opened:
            data = open_run(run.folder, self.registry, "cpu").data(["test"])
            self._opened[key] = {steps.clip.id: steps for steps in data.steps["test"]}
        return self._opened[key]


def draw_denoised(results: Results, registry: Registry, device: str = "auto") -> None:
    """`figures/denoising.png` of the first run with most modalities and an encoder that decodes.

    Its inputs are of validation clips, drawn by a fixed seed.
    """
    order = sorted(results.models, key=lambda model: -len(model.modalities))
    for model in order:
        for run in results.of(model.name)[:1]:
            opened = open_run(run.folder, registry, device)
            triples = denoising_examples(opened, opened.data(["validation"]).steps["validation"])
            if triples:
                denoising_triples(triples, run.folder / "figures" / "denoising.png")
                return
