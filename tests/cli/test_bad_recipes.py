"""Recipes, devices and folders that are no good: one paragraph, exit code 2, and nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

TRAIN = ("train", "tiny.yaml", "--run", "run", "--device", "cpu")


OVERRIDES = {
    "modalities.face.encodr=timm": "modalities.face.encodr: unknown key. Did you mean 'encoder'?",
    "fusion.gat=vector": "fusion.gat: 'gmu' has no argument 'gat'. Did you mean 'gate'?",
    "stages.latent.epochs=many": "stages.0.epochs: expected int, found 'many'",
    "modalities.face.reader.size=big": "modalities.face.reader.size: expected int, found 'big'",
    "stages.latent.name=last": "stages.0.name: 'last' is the name of another checkpoint",
    "fusion=gmuu": "no fusion named 'gmuu'",
    "stages.latent.loss=aff": "no loss named 'aff'. Did you mean 'afc'?",
    "preset=table11": "it cannot be trained",
    "corpus.path=nowhere/manifest.csv": "nowhere/manifest.csv: no such file",
    "corpus={name: ravdess, root: nowhere}": "nowhere",
    "modalities.face.encoder={name: timm, model: resnet_no_such}": "timm has no model named",
    "temporal": "must read key.path=value",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_wrong_override_is_one_paragraph(shop: Any, override: str) -> None:
    said = shop.fault(*TRAIN, override)
    assert OVERRIDES[override] in said
    if not override.startswith(("preset", "corpus")):
        assert "override" in said or "tiny.yaml" in said


CODE = """\
!!python/object/apply:os.system ["touch ran"]
!!python/object/new:os.mkdir [ran]
!!python/name:os.system
!!python/object/apply:subprocess.check_call [["touch", "ran"]]
!!python/object/apply:builtins.eval ["open('ran', 'w')"]
"${oc.env:HOME}"
"${oc.eval:1}"
""".splitlines()


@pytest.mark.parametrize("code", CODE)
def test_yaml_never_runs_code(shop: Any, code: str) -> None:
    Path("evil.yaml").write_text(f"name: {code}\n" + Path("tiny.yaml").read_text())
    commands = ("check evil.yaml", "train evil.yaml --run run", "check tiny.yaml")
    for words in [command.split() for command in commands]:
        words += [f"name={code}"] if "tiny.yaml" in words else []
        said = shop.fault(*words)
        assert "evil.yaml" in said or "override" in said
    assert not Path("ran").exists()
    assert os.environ["HOME"] not in said


def test_a_bomb_of_aliases_does_not_go_off(shop: Any) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in pairwise("abcdefghijk"):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    Path("bomb.yaml").write_text("\n".join(lines))
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from fusekit.recipe.load import load\nfrom fusekit.errors import RecipeError\n"
        "try: load('bomb.yaml')\nexcept RecipeError as fault: print(len(str(fault)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) < 20000


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_no_gpu_where_one_is_asked_for(shop: Any) -> None:
    said = shop.fault("train", "tiny.yaml", "--run", "run", "--device", "cuda")
    assert said == (
        "fusekit: CUDA was asked for, but torch sees no CUDA device here. Run `fusekit doctor`, or use "
        "--device cpu.\n"
    )
    said = shop.fault("train", "tiny.yaml", "--run", "run", "--device", "cuda", "--devices", "2")
    assert "--devices 2 was asked for, but torch sees 0 CUDA device(s) here" in said


def test_a_run_is_never_overwritten(shop: Any, trained: SimpleNamespace) -> None:
    said = shop.fault("train", "tiny.yaml", "--run", str(trained.folder))
    assert "already holds a run" in said


def test_a_folder_that_cannot_be_made(shop: Any) -> None:
    said = shop.fault("train", "tiny.yaml", "--run", "tiny.yaml/run", "--device", "cpu")
    assert said.startswith("fusekit: cannot make the folder 'tiny.yaml/run': Not a directory.")


def test_a_name_that_no_folder_can_have_is_told(shop: Any) -> None:
    said = shop.fault("train", "tiny.yaml", "--run", "r" * 300, "--device", "cpu")
    assert said.startswith("fusekit: --run: 'rrr")
    assert said.rstrip().endswith("can be no folder: File name too long.")
