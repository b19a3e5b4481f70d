"""The objectives as a run puts them together, interrupted and resumed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_run import (
    fitted,
    journal,
    same,
    weights,
)

from fusekit.data.windows import Windows
from fusekit.engine.adversarial import Adversarial, AdversarialSettings
from fusekit.engine.latent_cache import LatentCache
from fusekit.engine.losses import AFC
from fusekit.engine.objective import Objective, Phase
from fusekit.engine.runtime import Runtime
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.nn.model import Model


def _real_phases(
    tiny: SimpleNamespace, model: Model, at: Callable[[], None], runtime: Runtime | None = None
) -> list[Phase]:
    """Stage 1 with held-back G, then the curriculum on cached latents, as a run puts them together."""
    clips, runtime = tiny.clips((9, 8), names=("face",)), runtime or tiny.runtime()

    def watched(objective: Objective) -> Objective:
        step = objective.step

        def stepped(indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
            at()
            return step(indices, epoch)

        objective.step = stepped  # type: ignore[method-assign]
        return objective

    def adversarial() -> Objective:
        alone = tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=5)
        solo = Model({"face": model.branches["face"]}, alone).to(runtime.device)  # a tail of its own
        settings = AdversarialSettings(batch_size=6, lr=1e-3, betas=(0.5, 0.999), critic_steps=2)
        windows = Windows(clips, 1)
        return watched(Adversarial(solo, windows, windows, AFC(), settings, runtime, tiny.rngs, ("v", "a")))

    def supervised(window: int) -> Objective:
        settings = SupervisedSettings(
            6, 1e-3, (0.5, 0.999), freeze=("encoder", "quadrant"), presence_dropout=0.2
        )
        caches = Caches(LatentCache(model, clips, runtime), LatentCache(model, clips, runtime))
        return watched(
            Supervised(
                model, Windows(clips, window), caches, clips, AFC(), settings, runtime, tiny.rngs, ("v", "a")
            )
        )

    return [
        Phase("latent face", "latent", "adversarial", 1, 2, 1, adversarial),
        Phase("sequence 2", "sequence", "supervised", 2, 2, 1, lambda: supervised(2)),
        Phase("sequence 4", "sequence", "supervised", 4, 2, 1, lambda: supervised(4)),
    ]


@pytest.mark.parametrize("stop", [1, 4, 7, 10])
def test_the_real_objectives_resume_bit_for_bit(tmp_path: Path, tiny: SimpleNamespace, stop: int) -> None:
    def fresh() -> Model:
        return tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=1)

    done = 0

    def at() -> None:
        nonlocal done
        done += 1
        if done == stop:
            signal.raise_signal(signal.SIGINT)

    whole = fresh()
    fitted(tmp_path / "whole", whole, _real_phases(tiny, whole, lambda: None), tiny.runtime())
    model = fresh()
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "cut", model, _real_phases(tiny, model, at), tiny.runtime())
    model = fresh()
    fitted(tmp_path / "cut", model, _real_phases(tiny, model, lambda: None), tiny.runtime(), resume=True)
    assert same(weights(model), weights(whole))
    assert journal(tmp_path / "cut") == journal(tmp_path / "whole")


@pytest.mark.gpu
def test_a_run_on_cuda_can_go_on_and_end_on_the_cpu(tmp_path: Path, tiny: SimpleNamespace) -> None:
    done = 0

    def at() -> None:
        nonlocal done
        done += 1
        if done == 7:
            signal.raise_signal(signal.SIGINT)

    runtime = Runtime("cuda")  # bf16
    model = tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=1).to(runtime.device)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, model, _real_phases(tiny, model, at, runtime), runtime)
    model = tiny.model(("face",), fusion="none", temporal="luong-lstm", seed=1)
    fitted(tmp_path, model, _real_phases(tiny, model, lambda: None), tiny.runtime(), resume=True)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert [line["epoch"] for line in journal(tmp_path)] == [1, 2] * 3
