"""Does a run that is killed again and again end as one that nobody touched, bit for bit?

    python benchmarks/killed.py --kills 20 --seed 1

Trains a small recipe on a small demo corpus once undisturbed, then again while `kill -9` strikes at random
moments of training (each time it is resumed, until that many kills are done), and compares all checkpoints,
the journal but for its seconds, and the predictions. About ten seconds a kill on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.numpy import load_file

TRAIN = (
    "demo", "corpus.subjects=4", "corpus.seconds=24", "modalities.face.reader.size=32",
    "modalities.voice.reader.mels=32", "stages.latent.epochs=10", "stages.latent.frames_hz=1",
    "stages.sequence.epochs=12", "stages.sequence.windows=[2,4]", "--device", "cpu",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, run = Path(folder, "whole"), Path(folder, "run")
        began = time.monotonic()
        _start("train", *TRAIN, "--run", str(whole)).wait()
        lines = _lines(whole)
        print(f"undisturbed: {len(lines)} epochs in {time.monotonic() - began:.0f} s")
        done = 0
        while done < args.kills:
            begun = (run / "recipe.yaml").is_file()
            before = len(_lines(run))
            words = ("train", "--resume", str(run)) if begun else ("train", *TRAIN, "--run", str(run))
            process = _start(*words)
            # Share the epochs among the kills, and strike somewhere within the next one.
            goal = min(len(lines) - 1, len(lines) * (done + 1) // (args.kills + 1))
            while process.poll() is None and len(_lines(run)) < max(goal, before):
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 1.5))
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            done += 1
            print(f"kill {done}: after {len(_lines(run))} epochs")
        process = _start("train", "--resume", str(run))
        process.wait()
        print(f"killed {done} times; the last one ended with status {process.returncode}")
        odd = _differences(run, whole)
        print("\n".join(odd) or "the same, bit for bit")
        sys.exit(bool(odd) or done < args.kills)


def _start(*words: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "fusekit", *words], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _lines(run: Path) -> list[dict[str, object]]:
    journal = run / "metrics.jsonl"
    text = journal.read_text().splitlines(True) if journal.is_file() else []
    return [
        {k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text if line[-1] == "\n"
    ]


def _differences(run: Path, whole: Path) -> list[str]:
    odd = [] if _lines(run) == _lines(whole) else ["metrics.jsonl"]
    for file in sorted((whole / "checkpoints").iterdir()):
        ours, theirs = load_file(run / "checkpoints" / file.name), load_file(file)
        odd += [f"{file.name}: {k}" for k in theirs if ours[k].tobytes() != theirs[k].tobytes()]
    if (run / "predictions.csv").read_bytes() != (whole / "predictions.csv").read_bytes():
        odd.append("predictions.csv")
    return odd


if __name__ == "__main__":
    main()
