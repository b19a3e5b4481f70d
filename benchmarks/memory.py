"""What `evaluate` takes of memory for a clip of some minutes: the full-size AVi-GaS, or a narrow one.

    python benchmarks/memory.py --minutes 10 20 --step-hz 25
    python benchmarks/memory.py --minutes 10 20 --step-hz 25 --width 4

Prepared streams are made up, as if files had been decoded; the weights are those that a model begins with:
neither changes what is held. Each length is a process of its own, which says its peak resident memory in MB
(getrusage): before, after predicting, and after the baselines.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 20])
    parser.add_argument("--step-hz", type=float, default=25)
    parser.add_argument(
        "--width", type=int, help="of generator, discriminator and projector; default: full size"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_measure(args.minutes[0], args.step_hz, args.width)))
        return
    for minutes in args.minutes:
        words = ["--one", "--minutes", str(minutes), "--step-hz", str(args.step_hz)]
        words += ["--width", str(args.width)] if args.width else []
        found = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE)
        print(found.stdout.decode(), end="", flush=True)


def _measure(minutes: float, step_hz: float, width: int | None) -> dict[str, Any]:
    import resource

    from fusekit import build
    from fusekit.engine.runtime import Runtime
    from fusekit.plugins import load as load_plugins
    from fusekit.recipe.load import load as load_recipe
    from fusekit.study import assess

    registry, _ = load_plugins()
    words = [f"target.step_hz={step_hz}"]
    for m in ("face", "voice") if width else ():
        words += [f"modalities.{m}.{part}.width={width}" for part in ("encoder", "quadrant", "projector")]
    recipe = load_recipe("avi-gas", words)
    readers = build.build_readers(recipe, registry)
    model = build.build_model(recipe, registry, {m: r.raw_shape for m, r in readers.items()}).eval()
    run: Any = SimpleNamespace(
        recipe=recipe, registry=registry, readers=readers, model=model, runtime=Runtime("cpu")
    )
    with tempfile.TemporaryDirectory() as folder:
        clip = _clip(Path(folder), readers, minutes * 60, recipe, step_hz)
        data: Any = SimpleNamespace(steps={"train": [clip], "validation": [clip]}, readers=readers)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        assess._predict(run, [clip])
        predicted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assess._baselines(run, data, ["validation"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = round(time.perf_counter() - began)
    mb = {"before": before, "predicted": predicted, "peak": peak}
    return {
        "minutes": minutes,
        "steps": len(clip),
        **{k: v // 1024 for k, v in mb.items()},
        "seconds": seconds,
    }


def _clip(folder: Path, readers: Any, seconds: float, recipe: Any, step_hz: float) -> Any:
    from fusekit.contracts import Clip, Labels
    from fusekit.data.steps import build_steps
    from fusekit.data.store import Prepared

    face, voice = readers["face"], readers["voice"]
    frames, columns = int(seconds * 25), int(seconds * voice.rate / voice.hop)
    rng, size = np.random.default_rng(0), face.size
    streams = {}
    for m in readers:
        (folder / m).mkdir()
    shape = (frames, size, size, 3)
    pictures = np.lib.format.open_memmap(folder / "face" / "frames.npy", "w+", np.uint8, shape)
    for begin in range(0, frames, 250):
        pictures[begin : begin + 250] = rng.integers(0, 256, (min(250, frames - begin), *shape[1:]), np.uint8)
        pictures.flush()
        pictures._mmap.madvise(4)  # MADV_DONTNEED: what was written counts as memory otherwise
    db = np.lib.format.open_memmap(folder / "voice" / "db.npy", "w+", np.float32, (columns, voice.mels))
    for begin in range(0, columns, 10_000):
        db[begin : begin + 10_000] = rng.uniform(-80, 0, (min(10_000, columns - begin), voice.mels))
    db.flush()
    db._mmap.madvise(4)
    small = {
        "face": {
            "times": np.arange(frames) / 25.0,
            "boxes": np.zeros((frames, 4), np.float32),
            "state": np.ones(frames, np.uint8),
        },
        "voice": {"peak": np.zeros(columns, np.float32), "loud": np.ones(columns, bool)},
    }
    for m, arrays in small.items():
        for name, array in {**arrays, "duration_s": np.array([seconds])}.items():
            np.save(folder / m / f"{name}.npy", array)
        sizes = {f.stem: f.stat().st_size for f in (folder / m).glob("*.npy")}
        entry = {"arrays": sizes, "checksums": dict.fromkeys(sizes, 0)}
        (folder / m / "entry.json").write_text(json.dumps(entry))
        streams[m] = Prepared(folder / m)
    times = np.arange(int(seconds * step_hz)) / step_hz
    dims = recipe.target.dims
    values = np.stack([np.sin(times / 7 + k) for k in range(len(dims))], axis=1)
    clip = Clip("long", "nobody", {}, None)
    (steps,), _ = build_steps(
        [replace(clip, labels=Labels(times, values, dims))],
        {"long": streams},
        readers,
        dims,
        step_hz,
        (-1, 1),
    )
    return steps


if __name__ == "__main__":
    main()
