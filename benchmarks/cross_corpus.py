"""A run's model on another corpus's test clips, beside a run that was trained on that corpus.

python benchmarks/cross_corpus.py runs/demo runs/ravdess-av

The second run says which corpus, split and step rate, and how faces are found; the first gives the model and
how its inputs are cut. Nothing is fitted.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fusekit import build
from fusekit.engine.evaluation import predict_clips, score_clips
from fusekit.engine.latents import latent_pieces, stored
from fusekit.plugins import load as load_plugins
from fusekit.recipe.load import load as load_recipe
from fusekit.runs import load_data, open_run
from fusekit.study.assess import clip_quadrants


def _pieces(run: Any, clips: Any, number: int) -> Any:
    return map(stored, latent_pieces(run.model, clips[number], run.runtime))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="whose model is applied")
    parser.add_argument("native", type=Path, help="a run that was trained on the corpus")
    args = parser.parse_args()
    registry, _ = load_plugins()
    run, native = open_run(args.run, registry), open_run(args.native, registry)
    recipe = load_recipe(args.run / "recipe.yaml")
    theirs = native.recipe
    # How a face is found belongs to the corpus, how it is cut to the model.
    words = [f"target.step_hz={theirs.target.step_hz}"]
    for m in recipe.modalities:
        if m in theirs.modalities and recipe.modalities[m].reader.name == "face-video":
            found = theirs.modalities[m].reader.args
            words += [f"modalities.{m}.reader.{k}={found[k]}" for k in ("detector", "margin") if k in found]
            words.append(f"modalities.{m}.reader.max_hz=null")
    recipe = replace(load_recipe(args.run / "recipe.yaml", words), corpus=theirs.corpus, split=theirs.split)
    data = load_data(recipe, registry, ("test",), split=native.split())
    clips = data.steps["test"]
    scores: dict[str, Any] = {}
    for name, opened, steps in (("applied", run, clips), ("native", native, None)):
        own = steps or native.data(["test"]).steps["test"]
        found = predict_clips(
            opened.model,
            own,
            partial(_pieces, opened, own),
            opened.runtime,
            opened.recipe.evaluation.states,
            build.evaluation_steps(opened.recipe),
        )
        dims = opened.recipe.target.dims
        scores[name] = {
            "ccc": score_clips(own, found, dims)["ccc"],
            "rmse": score_clips(own, found, dims)["rmse"],
            "clip_quadrant": clip_quadrants(own, found, dims),
        }
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
