"""Does a demo run drift along a clip? CCC by position, on more subjects than its own test part has.

    fusekit train demo --run runs/demo
    python benchmarks/position.py runs/demo --subjects 84 --seed 7

A second demo corpus is made from another seed; the run has seen nobody of it, so all its subjects are scored.
Ten seconds of twelve clips are little to correlate over: the spread of such stretches is printed beside.
Synthetic data: what is shown is how the run handles its state.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from demo_fusion import columns

from fusekit import build
from fusekit.data.folds import PARTS
from fusekit.engine.evaluation import predict_clip
from fusekit.engine.latents import clip_latents, stored
from fusekit.plugins import load as load_plugins
from fusekit.recipe.load import load as load_recipe
from fusekit.runs import load_data, open_run
from fusekit.study.statistics import bootstrap
from fusekit.study.table import Table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run of the demo recipe")
    parser.add_argument("--subjects", type=int, default=84)
    parser.add_argument("--seed", type=int, default=7, help="of the second corpus")
    args = parser.parse_args()
    registry, _ = load_plugins()
    run = open_run(args.run, registry)
    words = [f"corpus.subjects={args.subjects}", f"corpus.seed={args.seed}"]
    recipe = load_recipe(args.run / "recipe.yaml", words)
    if recipe.corpus == run.recipe.corpus:
        parser.error("the second corpus would be the run's own; choose another --seed")
    steps = build.evaluation_steps(recipe)
    pieces: list[Table] = []
    for clip in (c for clips in load_data(recipe, registry, PARTS).steps.values() for c in clips):
        found = predict_clip(
            run.model,
            stored(clip_latents(run.model, clip, run.runtime)),
            clip.present,
            run.runtime,
            recipe.evaluation.states,
            steps,
        )
        true = np.where(clip.known, clip.target, np.nan)
        piece: Table = {"time_s": clip.times, "subject": np.full(len(clip), clip.clip.subject)}
        for k, dim in enumerate(recipe.target.dims):
            piece |= {dim: found.prediction[:, k], f"{dim}_true": true[:, k]}
        pieces.append(piece)
    table = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    time = table["time_s"]
    stretches = {f"{s}-{s + 10} s": (time >= s) & (time < s + 10) for s in range(0, 120, 10)}
    parts = {"all": time >= 0, "first 10 s": time < 10, "second minute": (time >= 60) & (time < 120)}
    scores = {name: vars(bootstrap(*columns(table, mask))) for name, mask in (parts | stretches).items()}
    values = [scores[name]["value"] for name in stretches]
    result = {
        "subjects": len(pieces),
        "scores": scores,
        "second_minute_minus_first_10_s": scores["second minute"]["value"] - scores["first 10 s"]["value"],
        "sd_of_10_s_stretches": float(np.std(values)),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
