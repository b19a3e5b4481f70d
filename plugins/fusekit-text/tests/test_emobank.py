"""The figures of README.md: EmoBank by the recipes, through fusekit's own commands. Minutes: marked slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_a_frozen_transformer_reaches_what_the_readme_says(
    model_folder: Path, emobank: Path, tmp_path: Path
) -> None:
    def run(*words: str) -> None:
        given = {**os.environ, "FUSEKIT_CACHE": str(tmp_path / "cache")}
        subprocess.run([sys.executable, *words], cwd=tmp_path, env=given, check=True)

    run(str(ROOT / "benchmarks" / "emobank.py"), str(emobank), "emobank")
    folder = f"modalities.text.reader.folder={model_folder}"
    run("-m", "fusekit", "train", str(ROOT / "recipes" / "emobank.yaml"), folder, "--run", "run")
    run("-m", "fusekit", "evaluate", "run", "--final")
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert scores["cor"]["valence"] >= 0.68
    assert scores["cor"]["arousal"] >= 0.48
