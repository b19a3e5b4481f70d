"""Damages files and opens them as fusekit does; prints a line of JSON before and after each input.

    python tests/fuzz/worker.py FOLDER --seconds 3600 --seed 7

An input is told by (target, number): the same seed draws it again (`--only TARGET:NUMBER`). What neither
opens nor is refused in a sentence is a fault. `watch.py` starts this, and sees to it that nothing hangs or
grows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import yaml
from corpus import make_hearts, make_media, make_tables, make_transcripts
from mutations import NUMBERS, TEXTS, damaged_bytes, damaged_text, damaged_tree
from typer.testing import CliRunner

from fusekit.cli.app import app
from fusekit.contracts import Clip, Reader, Source
from fusekit.data.store import PreparedStore, prepare_clips
from fusekit.errors import FusekitError

HANGS_S = 20
KEYS = [
    "target.step_hz", "train.seed", "stages.0.epochs", "stages.whole.windows", "fusion", "fusion.dim",
    "modalities.one", "modalities.one.reader.width", "temporal.memory", "a", "", ".", "stages.99",
]  # fmt: skip
FLOW = [
    *NUMBERS, *TEXTS, "[1, 2]", "{name: concat}", "[", "{a: b", "*x", "&a b", "!!python/name:os.system",
    "? x",
]  # fmt: skip
SUFFIXES = {".json", ".yaml", ".safetensors", ".jsonl"}
PREDICT = ["predict", "run", "one=c4.csv", "--with", "two=c4.npy", "--out", "out.csv"]


class HangError(BaseException):
    """An input took longer than HANGS_S."""


class Fuzzer:
    """Whole files in `folder/whole`, and a method per target: damage one, open it, say what came of it."""

    def __init__(self, folder: Path) -> None:
        self.whole, self.work = folder / "whole", folder / "work"
        self.fresh = not self.whole.exists()
        self.whole.mkdir(parents=True, exist_ok=True)
        os.environ["FUSEKIT_CACHE"] = str(folder / "cache")
        os.environ["FUSEKIT_PLUGINS"] = os.environ.get("FUSEKIT_PLUGINS", "ecg,text")
        self.runner = CliRunner()
        tables = self.whole / "tables"
        if self.fresh:
            for name in ("tables", "media", "text", "ecg"):
                (self.whole / name).mkdir()
            make_tables(tables)
            make_media(self.whole / "media")
            make_transcripts(self.whole / "text")
            if self.hearts():
                make_hearts(self.whole / "ecg")
            os.chdir(tables)
            said = self.runner.invoke(app, ["train", "tiny.yaml", "--run", "run", "--device", "cpu"])
            assert said.exit_code == 0, said.output
        self.readers = self._readers()

    @staticmethod
    def hearts() -> bool:
        try:
            __import__("edfio")
            __import__("wfdb")
        except ImportError:
            return False
        return True

    def _readers(self) -> dict[str, list[Reader]]:
        from fusekit.plugins import load

        registry = load()[0]

        def made(name: str, **args: Any) -> Reader:
            reader: Reader = registry.load(registry.get("reader", name))(**args)
            return reader

        offered = {entry.name for entry in registry.entries("reader")}
        readers = {
            "media": [made("face-video", size=16, detector="whole"), made("mel-spectrogram", mels=16)],
        }
        if "transcript" in offered:
            readers["text"] = [made("transcript")]
        if "ecg" in offered and self.hearts():
            readers["ecg"] = [made("ecg", rate=64, window_s=2), made("heart-rate-variability")]
        return readers

    def targets(self) -> dict[str, Callable[[random.Random], str]]:
        """Name -> function that damages and opens one input."""
        found = {
            "recipe": self.recipe,
            "override": self.override,
            "study": self.study,
            "table": self.table,
            "run": self.run,
            "store": self.store,
        }
        return found | {name: lambda rng, name=name: self.read(name, rng) for name in self.readers}

    def _copy(self, name: str) -> Path:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.whole / name, self.work)
        os.chdir(self.work)
        return self.work

    def _command(self, *words: str) -> str:
        said = self.runner.invoke(app, list(words), prog_name="fusekit")
        if said.exception is not None and not isinstance(said.exception, SystemExit):
            raise said.exception
        if said.exit_code not in (0, 2):
            raise AssertionError(f"exit code {said.exit_code}: {said.output[-500:]}")
        if said.exit_code == 2 and not said.stderr.strip() and not said.stdout.strip():
            raise AssertionError("refused without a word")
        return "opened" if said.exit_code == 0 else "told"

    def recipe(self, rng: random.Random) -> str:
        folder = self._copy("tables")
        text = (folder / "tiny.yaml").read_text()
        if rng.random() < 0.75:
            text = yaml.safe_dump(damaged_tree(yaml.safe_load(text), rng), allow_unicode=True)
            (folder / "tiny.yaml").write_text(text, encoding="utf-8", errors="replace")
        else:
            (folder / "tiny.yaml").write_bytes(damaged_text(text.encode(), rng))
        return self._command("check", "tiny.yaml")

    def override(self, rng: random.Random) -> str:
        self._copy("tables")
        words = [f"{rng.choice(KEYS)}={rng.choice(FLOW)}" for _ in range(rng.choice([1, 1, 2]))]
        return self._command("check", "tiny.yaml", *(word.replace("\x00", "") for word in words))

    def study(self, rng: random.Random) -> str:
        from fusekit.recipe.study import load_study

        folder = self._copy("tables")
        tree = damaged_tree(yaml.safe_load((folder / "study.yaml").read_text()), rng)
        text = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace")
        (folder / "study.yaml").write_bytes(text if rng.random() < 0.8 else damaged_text(text, rng))
        load_study("study.yaml")
        return "opened"

    def table(self, rng: random.Random) -> str:
        folder = self._copy("tables")
        name = rng.choice(["manifest.csv", "c0.csv", "c0.npy", "c0-labels.csv"])
        damage = damaged_bytes if name.endswith(".npy") else damaged_text
        (folder / name).write_bytes(damage((folder / name).read_bytes(), rng))
        return self._command("data", "check", "tiny.yaml")

    def run(self, rng: random.Random) -> str:
        folder = self._copy("tables")
        file = rng.choice(sorted(p for p in (folder / "run").rglob("*") if p.suffix in SUFFIXES))
        if file.suffix == ".json" and rng.random() < 0.75:
            tree = damaged_tree(json.loads(file.read_text()), rng)
            file.write_text(json.dumps(tree), encoding="utf-8", errors="replace")
        else:
            file.write_bytes(
                (damaged_bytes if file.suffix == ".safetensors" else damaged_text)(file.read_bytes(), rng)
            )
        words = ["evaluate", "run"] if rng.random() < 0.25 else PREDICT
        return self._command(*words)

    def read(self, name: str, rng: random.Random) -> str:
        folder = self._copy(name)
        path = rng.choice(sorted(folder.iterdir()))
        text = path.suffix in (".csv", ".srt", ".vtt", ".TextGrid", ".txt", ".hea")
        path.write_bytes((damaged_text if text else damaged_bytes)(path.read_bytes(), rng))
        path = path.with_suffix(".hea") if path.suffix == ".dat" else path
        done = "told"
        for reader in self.readers[name]:
            clip = Clip("clip", "subject", {"m": Source(path)}, None)
            store = PreparedStore(self.work / "store")
            streams, rejected = prepare_clips([clip], {"m": reader}, store)
            if rejected:
                sentence(rejected[0].reason)
                continue
            stream = streams["clip"]["m"]
            duration_s = float(np.asarray(stream["duration_s"]).reshape(-1)[0])
            assert 0 <= duration_s < 1e7, f"a length of {duration_s} s"
            times = np.linspace(0, min(duration_s, 3600), 7)
            here = reader.present(stream, times)
            windows = reader.windows(stream, times)
            assert here.shape == (7,)
            assert np.isfinite(windows[here].astype(np.float64)).all(), (
                "what is present holds NaN or infinity"
            )
            done = "opened"
        return done

    def store(self, rng: random.Random) -> str:
        folder = self._copy("tables")
        from fusekit.data.readers.features import Features

        reader, source = Features(width=3), Source(folder / "c0.csv")
        before = {k: np.array(v) for k, v in PreparedStore(folder / "store").get(reader, source).items()}
        files = sorted(
            p for p in (folder / "store").rglob("*") if p.is_file() and p.suffix in (".json", ".npy")
        )
        file = rng.choice(files)
        file.write_bytes(damaged_bytes(file.read_bytes(), rng))
        after = PreparedStore(folder / "store").get(reader, source)
        for key, value in before.items():
            if not np.array_equal(np.asarray(after[key]), value, equal_nan=value.dtype.kind == "f"):
                raise AssertionError(f"the store gave other {key} after {file.name} was damaged")
        return "opened"


def sentence(text: str) -> None:
    """A refusal reads as one: no traceback, no bare object, not endless."""
    assert "Traceback" not in text, text[:300]
    assert " object at 0x" not in text, text[:300]
    assert 10 < len(text) < 6000, text[:300]


def one(fuzzer: Fuzzer, target: str, seed: int, number: int) -> dict[str, Any]:
    """Draw, damage and open one input."""

    def late(*_: object) -> None:
        raise HangError

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, HANGS_S)
    begin = time.monotonic()
    rng = random.Random(zlib.crc32(f"{seed}:{target}:{number}".encode()))
    fault = ""
    try:
        result = fuzzer.targets()[target](rng)
    except FusekitError as error:
        result = "told"
        try:
            sentence(str(error))
        except AssertionError:
            result, fault = "fault", traceback.format_exc()[-1500:]
    except (Exception, HangError):
        result, fault = "fault", traceback.format_exc()[-3000:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"result": result, "fault": fault, "seconds": round(time.monotonic() - begin, 2)}


def main() -> None:
    """Fuzz until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=10**9, help="stop before the input of this number")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    fuzzer = Fuzzer(options.folder.resolve())
    print(json.dumps({"ready": True}), flush=True)
    if ":" in options.only:
        target, _, number = options.only.partition(":")
        print(one(fuzzer, target, options.seed, int(number))["fault"] or "no fault")
        return
    names = [options.only] if options.only else list(fuzzer.targets())
    end = time.monotonic() + options.seconds
    number = options.start
    while time.monotonic() < end and number < options.inputs:
        target = names[number % len(names)]
        print(json.dumps({"begin": [target, number]}), flush=True)
        print(json.dumps({"done": [target, number], **one(fuzzer, target, options.seed, number)}), flush=True)
        number += 1


if __name__ == "__main__":
    main()
