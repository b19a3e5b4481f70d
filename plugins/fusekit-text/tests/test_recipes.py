"""The package as fusekit finds it: listed, light, checked by the kit, and named once in a recipe."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fusekit import build, plugins
from fusekit.errors import RecipeError
from fusekit.recipe.load import load
from fusekit.registry import Registry
from fusekit_text import cases

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "fusekit_text" / "plugin.py"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """fusekit's own components and these, whether the package is installed or not."""
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    return plugins.load([PLUGIN])[0]


def test_the_hook_loads_nothing_heavy() -> None:
    code = (
        "import sys, fusekit_text.plugin as p\n"
        "p.register_components(lambda *entry: None)\n"
        "print(sorted({'torch', 'numpy', 'transformers', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_component_has_a_case_and_passes_the_kit(registry: Registry) -> None:
    kit = pytest.importorskip("fusekit.testing.kit")
    own = [entry for entry in registry.entries() if entry.ref.startswith("fusekit_text")]
    made = cases.cases()
    assert len(own) == 4
    assert not kit.without_case(own, made)
    for case in made:
        kit.check(case, registry)


def test_a_recipe_names_the_model_once(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "recipes" / "emobank.yaml").read_text(encoding="utf-8").replace("requires:", "# requires:")
    Path("emobank.yaml").write_text(text, encoding="utf-8")
    folder = f"modalities.text.reader.folder={cases.tiny_model()}"
    report = build.check(load("emobank.yaml", [folder]), registry)
    assert {row["name"]: row["shape_out"] for row in report.parts}["text.encoder"] == [16]
    with pytest.raises(RecipeError) as caught:
        build.check(load("emobank.yaml", ["modalities.text.reader.folder=null"]), registry)
    assert "modalities.text.encoder: encoder transformer-text: the reader hashes words" in str(caught.value)


def test_a_run_opened_again_finds_the_readers_tokenizer(tmp_path: Path) -> None:
    """The encoder is made anew from what the reader's shape says, and its weights are the run's."""
    pytest.importorskip("transformers")
    shutil.copytree(cases.tiny_model(), tmp_path / "model")
    table = ["clip,subject,split,labels,text"]
    for i, split in enumerate(["train", "train", "validation"]):
        lines = [" ".join(cases.WORDS[i + k : i + k + 3]) for k in range(8)]
        (tmp_path / f"s{i}.txt").write_text("\n".join(lines) + "\n")
        labels = [f"{k},{(7 * k + i) % 5 / 4},{(3 * k + i) % 5 / 4}\n" for k in range(8)]
        (tmp_path / f"s{i}.csv").write_text("time_s,valence,arousal\n" + "".join(labels))
        table.append(f"s{i},p{i},{split},s{i}.csv,s{i}.txt")
    (tmp_path / "manifest.csv").write_text("\n".join(table) + "\n")
    (tmp_path / "recipe.yaml").write_text(
        "corpus: {name: manifest, path: manifest.csv}\n"
        "target: {dims: [valence, arousal], step_hz: 1}\n"
        "modalities:\n"
        "  text:\n"
        "    reader:    {name: transcript, folder: model, length: 12}\n"
        "    encoder:   {name: transformer-text}\n"
        "    projector: {name: linear, dim: 8}\n"
        "stages:\n"
        "  - {name: words, objective: supervised, epochs: 1, batch_size: 4, freeze: [encoder, quadrant]}\n"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        more = {
            "FUSEKIT_CACHE": str(tmp_path / "cache"),
            "FUSEKIT_PLUGINS": "",
            "PYTHONPATH": ":".join(sys.path),
        }
        command = [sys.executable, "-m", "fusekit", *words, "--plugin", str(PLUGIN)]
        return subprocess.run(command, cwd=tmp_path, env=os.environ | more, capture_output=True, text=True)

    trained = run("train", "recipe.yaml", "--run", "run")
    assert trained.returncode == 0, trained.stderr
    predicted = run("predict", "run", "s2.txt", "--out", "found.csv")
    assert predicted.returncode == 0, predicted.stderr
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 9
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    gone = run("predict", "run", "s2.txt")
    assert gone.returncode == 2
    assert f"folder: '{tmp_path / 'model'}' is no folder." in gone.stderr


def test_emobank_becomes_files_that_fusekit_reads(emobank: Path, tmp_path: Path) -> None:
    from fusekit.data.manifest import read_manifest
    from fusekit_text.reader import TranscriptReader

    spec = importlib.util.spec_from_file_location("emobank", ROOT / "benchmarks" / "emobank.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    count = script.convert(emobank, tmp_path)
    manifest = read_manifest(tmp_path / "manifest.csv", ["text"], ["valence", "arousal"])
    assert len(manifest.clips) == count
    assert not manifest.rejected
    assert manifest.label_range == (1.0, 5.0)
    steps = dict.fromkeys(("train", "validation", "test"), 0)
    for clip in manifest.clips:
        assert clip.labels is not None
        begins = TranscriptReader().prepare(clip.sources["text"])["begin_s"]
        assert len(begins) == len(clip.labels.times)
        steps[clip.split] += len(begins)
    assert steps["train"] + steps["validation"] == 8062
    assert steps["test"] == 1000


def test_a_real_tokenizer_word_by_word_is_itself(model_folder: Path) -> None:
    from fusekit_text.tokens import FolderTokens, load_tokenizer

    sentence = "Don't they re-read naïve, 2.5-fold (e.g. antidisestablishmentarian) words?! 漢字 too"
    tokens = FolderTokens(model_folder)
    found = [n - 1 for i, w in enumerate(sentence.split()) for n in tokens.numbers(w, first=i == 0)]
    whole = load_tokenizer(model_folder / "tokenizer.json").encode(sentence, add_special_tokens=False)
    assert found == whole.ids


def test_a_real_model_tells_moods_apart(model_folder: Path, tmp_path: Path) -> None:
    """The latents of like sentences lie closer than those of unlike ones."""
    import numpy as np
    import torch

    from fusekit.contracts import Source
    from fusekit_text.reader import TranscriptReader
    from fusekit_text.transformer import TransformerText

    path = tmp_path / "a.txt"
    path.write_text(
        "I am so happy today!\nWhat a joyful day.\nThe invoice is due in March.\n", encoding="utf-8"
    )
    reader = TranscriptReader(folder=model_folder)
    encoder = TransformerText(reader.raw_shape).eval()
    windows = reader.windows(reader.prepare(Source(path)), np.arange(3.0))
    with torch.no_grad():
        z = torch.nn.functional.normalize(encoder.encode(torch.from_numpy(windows)))
    assert z[0] @ z[1] > z[0] @ z[2] + 0.2
