"""Can the whole chain learn at all? Overfit 8 clips through readers, stage 1 and stage 2, and show the curve.

    python benchmarks/overfit.py --ravdess DIR     8 performances, one value per clip
    python benchmarks/overfit.py                   8 clips of 16 s of the synthetic corpus, continuous labels

Training CCC on the training clips themselves: a check of the plumbing, not a result.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from fusekit import build
from fusekit.data.sampling import sample_rngs
from fusekit.data.steps import build_steps
from fusekit.data.store import PreparedStore, prepare_clips
from fusekit.data.windows import Windows
from fusekit.engine.adversarial import Adversarial, AdversarialSettings
from fusekit.engine.latent_cache import LatentCache
from fusekit.engine.runtime import Runtime
from fusekit.engine.supervised import Caches, Supervised, SupervisedSettings
from fusekit.plugins import load as load_plugins
from fusekit.recipe.load import load as load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ravdess", type=Path, help="folder of the one-actor excerpt")
    parser.add_argument("--stage1-epochs", type=int, default=6)
    parser.add_argument("--stage2-epochs", type=int, default=60)
    parser.add_argument("--plot", type=Path, default=Path("overfit.png"))
    args = parser.parse_args()

    registry, _ = load_plugins()
    words = ["corpus=ravdess", f"corpus.root={args.ravdess}"] if args.ravdess else []
    if args.ravdess:
        words += ["modalities.face.reader.detector=whole", "modalities.face.reader.margin=0"]
    recipe = load_recipe("demo", words)
    runtime = Runtime("auto", "float32")
    readers = build.build_readers(recipe, registry)
    corpus = build.build_corpus(recipe, registry)
    clips, _ = corpus.load(tuple(readers), recipe.target.dims)
    # One performance per emotion, or the first clips.
    chosen = (
        {str(c.labels.extra["emotion"][0]): c for c in clips if "emotion" in c.labels.extra}
        if args.ravdess
        else {}
    )
    clips = list(chosen.values())[:8] or clips[:8]
    streams, bad = prepare_clips(clips, readers, PreparedStore())
    assert not bad, bad
    steps, _ = build_steps(
        clips, streams, readers, recipe.target.dims, recipe.target.step_hz, corpus.label_range
    )
    if not args.ravdess:
        steps = [
            replace(
                s,
                times=s.times[:100],
                target=s.target[:100],
                known=s.known[:100],
                quadrant=s.quadrant[:100],
                present=s.present[:100],
            )
            for s in steps
        ]
    print(f"{len(steps)} clips, {sum(map(len, steps))} steps of {recipe.target.step_hz} Hz")

    torch.manual_seed(0)
    model = build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()}).to(
        runtime.device
    )
    loss = build.build_loss(recipe.stages[0], registry)
    curve: list[tuple[str, float]] = []

    def rngs(epoch, indices, purpose):  # type: ignore[no-untyped-def]
        return sample_rngs(0, epoch, indices, purpose)

    def run(name, objective, epochs):  # type: ignore[no-untyped-def]
        started = time.time()
        for epoch in range(epochs):
            for indices in objective.batches(epoch):
                losses = objective.step(indices, epoch)
            score = objective.validate()["ccc"]["mean"]
            curve.append((name, score))
            if epoch % 5 == 4 or epoch == epochs - 1:
                shown = " ".join(f"{k} {float(v):.2f}" for k, v in losses.items())
                spent = time.time() - started
                print(f"{name} epoch {epoch + 1}: training CCC {score:.3f}  {shown}  ({spent:.0f} s)")

    for m in model.names:
        solo = build.solo(recipe, registry, model, m).to(runtime.device)
        settings = AdversarialSettings(batch_size=32, lr=5e-4, betas=(0.5, 0.999))
        damage = build.build_degradations(recipe, registry)[m]
        windows = Windows(steps, 1)
        run(
            f"stage 1 {m}",
            Adversarial(
                solo, windows, windows, loss, settings, runtime, rngs, recipe.target.dims, degradation=damage
            ),
            args.stage1_epochs,
        )
    cache = LatentCache(model, steps, runtime)
    for window in (2, 4, 8):
        settings2 = SupervisedSettings(
            batch_size=32,
            lr=1e-3,
            betas=(0.9, 0.999),
            freeze=("encoder", "quadrant"),
            presence_dropout=0.0,
            steps=window,
        )
        run(
            f"stage 2, {window} steps",
            Supervised(
                model,
                Windows(steps, window),
                Caches(cache, cache),
                steps,
                loss,
                settings2,
                runtime,
                rngs,
                recipe.target.dims,
            ),
            args.stage2_epochs // 3,
        )

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4))
    for name in dict.fromkeys(n for n, _ in curve):
        points = [(i, v) for i, (n, v) in enumerate(curve) if n == name]
        axis.plot(*zip(*points, strict=True), marker=".", label=name)
    axis.axhline(0.95, color="grey", lw=0.8, ls="--")
    axis.set(xlabel="epoch", ylabel="CCC on the 8 training clips", ylim=(-0.1, 1.02))
    axis.legend(fontsize=8)
    figure.savefig(args.plot, dpi=120, bbox_inches="tight")
    print(f"final CCC on the training clips: {curve[-1][1]:.3f}; curve in {args.plot}")


if __name__ == "__main__":
    main()
