"""Damaged runs, and files that cannot be predicted: one paragraph, exit code 2, nothing lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file


def copy_of(trained: SimpleNamespace, shop: Any) -> Path:
    """The trained run without what evaluation wrote."""
    return shop.adopt(trained.folder, "report.html", "figures")


def best(run: Path) -> Path:
    return run / "checkpoints" / "best.safetensors"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


BROKEN: dict[str, tuple[Callable[[Path], Any], list[tuple[str, ...]], str]] = {
    "best cut short": (
        lambda run: cut(best(run)),
        [("evaluate", "run"), ("predict", "run", "corpus/media/a1.mp4")],
        "the checkpoint 'run/checkpoints/best.safetensors' cannot be read",
    ),
    "last cut short": (
        lambda run: cut(run / "checkpoints" / "last.safetensors"),
        [("train", "--resume", "run")],
        "the checkpoint 'run/checkpoints/last.safetensors' cannot be read",
    ),
    "last is text": (
        lambda run: (run / "checkpoints" / "last.safetensors").write_text("not tensors " * 99),
        [("train", "--resume", "run")],
        "it is damaged or no checkpoint",
    ),
    "last is another file": (
        lambda run: shutil.copy(best(run), run / "checkpoints" / "last.safetensors"),
        [("train", "--resume", "run")],
        "holds weights alone, no state to go on from",
    ),
    "weights of another model": (
        lambda run: save_file({"model.x": np.zeros(3)}, best(run)),
        [("evaluate", "run")],
        " missing, first 'branches.face.encoder.encoder.0.0.weight'; 1 unknown, first 'x'. They are of",
    ),
    "split is no JSON": (
        lambda run: (run / "splits.json").write_text("{"),
        [("evaluate", "run"), ("train", "--resume", "run")],
        "'run/splits.json' cannot be read",
    ),
    "no split": (
        lambda run: (run / "splits.json").unlink(),
        [("evaluate", "run")],
        "the run is not whole: there is no 'run/splits.json'",
    ),
    "provenance is no JSON": (
        lambda run: (run / "provenance.json").write_text(""),
        [("predict", "run", "corpus/media/a1.mp4"), ("train", "--resume", "run")],
        "'run/provenance.json' cannot be read",
    ),
    "looks are no JSON": (
        lambda run: (run / "looks.json").write_text("[{"),
        [("evaluate", "run", "--final")],
        "'run/looks.json' cannot be read",
    ),
    "recipe is no YAML": (
        lambda run: (run / "recipe.yaml").write_text("corpus: ["),
        [("evaluate", "run"), ("train", "--resume", "run")],
        "run/recipe.yaml",
    ),
    "never finished": (
        lambda run: best(run).unlink(),
        [("evaluate", "run"), ("predict", "run", "corpus/media/a1.mp4")],
        "the run 'run' has not finished; go on with `fusekit train --resume run`.",
    ),
    "the corpus is gone": (
        lambda run: shutil.rmtree("corpus"),
        [("evaluate", "run"), ("train", "--resume", "run")],
        "corpus/manifest.csv: no such file",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_damaged_run_says_what_to_do(shop: Any, trained: SimpleNamespace, what: str) -> None:
    damage, commands, reason = BROKEN[what]
    damage(copy_of(trained, shop))
    for words in commands:
        assert reason in shop.fault(*words)


@pytest.mark.usefixtures("no_figures")
def test_a_lost_best_checkpoint_is_made_again(shop: Any, trained: SimpleNamespace) -> None:
    """As the message about a damaged one promises."""
    run = copy_of(trained, shop)
    best(run).unlink()
    assert shop.run("train", "--resume", "run").exit_code == 0
    ours, theirs = (load_file(f / "checkpoints" / "best.safetensors") for f in (run, trained.folder))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[k], theirs[k]) for k in ours)


def test_a_folder_that_is_no_run(shop: Any) -> None:
    for words in (("train", "--resume"), ("evaluate",), ("predict",)):
        files = ["corpus/media/a1.mp4"] if words == ("predict",) else []
        said = shop.fault(*words, "corpus", *files)
        assert "no recipe.yaml" in said


PREDICT = {
    "missing.mp4": "missing.mp4: no such file; name video or sound files.",
    "empty.mp4": "empty.mp4: the file is empty (0 bytes). Copy it again.",
    "noise.mp4": "noise.mp4: not a video or sound file that can be decoded, or damaged.",
    "noise.wav": "noise.wav: not a video or sound file that can be decoded, or damaged.",
    "corpus": "corpus: is a folder; name video or sound files.",
    "tiny.yaml": "tiny.yaml: not a video or sound file that can be decoded, or damaged.",
}


@pytest.mark.parametrize("name", PREDICT)
def test_a_file_that_cannot_be_predicted(shop: Any, trained: SimpleNamespace, name: str) -> None:
    Path("empty.mp4").write_bytes(b"")
    for noise in ("noise.mp4", "noise.wav"):
        Path(noise).write_bytes(np.random.default_rng(0).bytes(20000))
    assert (
        shop.fault("predict", str(trained.folder), name, "--out", "table.csv")
        == f"fusekit: {PREDICT[name]}\n"
    )
