"""What caching latents is worth: the sequence stage with Z in memory, on disk, or encoded anew each time.

    fusekit train demo --run runs/demo
    python benchmarks/latents.py runs/demo

One epoch of every window length of the run's sequence stage, each place in turn on the same clips; encoding
once is counted where it is done. The ratio for a whole stage follows from its number of epochs. (The paper:
about 12 hours with cached latents, two days without.)
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusekit import build
from fusekit.engine.latent_cache import LatentCache, LiveLatents
from fusekit.engine.progress import BarProgress
from fusekit.engine.supervised import Caches
from fusekit.plugins import load as load_plugins
from fusekit.runs import open_run
from fusekit.runs.plan import ObjectiveMaker


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run with an adversarial and a sequence stage")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    registry, _ = load_plugins()
    run = open_run(args.run, registry, args.device)
    number, stage = next((i, s) for i, s in enumerate(run.recipe.stages) if s.reads_latents)
    stages = tuple(replace(s, degraded=0.0) for s in run.recipe.stages)  # clean latents, as in the paper
    recipe = replace(run.recipe, stages=stages)
    data = run.data(["train", "validation"])
    clips = data.steps["train"]
    loss = build.build_loss(stage, registry)
    seconds: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=args.run) as folder, BarProgress(silent=True) as progress:
        for place in ("memory", "disk", "live"):
            began = time.perf_counter()
            kept = (
                LiveLatents(run.model, clips, run.runtime)
                if place == "live"
                else LatentCache(
                    run.model, clips, run.runtime, folder=Path(folder) if place == "disk" else None
                )
            )
            once = time.perf_counter() - began
            caches = {stage.name: Caches(kept, kept)}
            maker = ObjectiveMaker(recipe, registry, run.model, data, run.runtime, progress, None, caches)
            epoch = 0.0
            for window in stage.windows:
                objective = maker.supervised(number, loss, window)
                began = time.perf_counter()
                for batch in objective.batches(0):
                    losses = objective.step(batch, 0)
                float(next(iter(losses.values())))  # the device has finished
                epoch += time.perf_counter() - began
            whole = once + epoch * stage.epochs
            seconds[place] = {"encode_once_s": once, "epoch_of_each_window_s": epoch, "whole_stage_s": whole}
    result = {
        "device": str(run.runtime.device),
        "steps": sum(map(len, clips)),
        "epochs_per_window": stage.epochs,
        "windows": list(stage.windows),
        **seconds,
        "live_over_memory": seconds["live"]["whole_stage_s"] / seconds["memory"]["whole_stage_s"],
        "live_over_disk": seconds["live"]["whole_stage_s"] / seconds["disk"]["whole_stage_s"],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
