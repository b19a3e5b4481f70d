"""Bad input: one clear paragraph on stderr, exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from fusekit.engine import checkpoint, files
from fusekit.engine.checkpoint import load_checkpoint
from fusekit.errors import RunError
from fusekit.runs.files import write_text

MANIFEST = Path("corpus/manifest.csv")
TRAIN = ("train", "tiny.yaml", "--run", "run", "--device", "cpu")


def replace(path: str | Path, old: str, new: str, count: int = -1) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, count))


def row(clip: str) -> int:
    """Line of a clip in the manifest."""
    lines = MANIFEST.read_text().splitlines()
    return next(n for n, line in enumerate(lines, start=1) if line.startswith(f"{clip},"))


# ---------------------------------------------------------------- one clip among many

DAMAGE: dict[str, tuple[Callable[[], Any], str]] = {
    "missing file": (lambda: Path("corpus/media/a2.mp4").unlink(), "a2.mp4 does not exist"),
    "zero bytes": (lambda: Path("corpus/media/a2.mp4").write_bytes(b""), "a2.mp4 is empty (zero bytes)"),
    "noise for a video": (
        lambda: Path("corpus/media/a2.mp4").write_bytes(np.random.default_rng(0).bytes(30000)),
        "a2.mp4: cannot be decoded",
    ),
    "half a video": (
        lambda: Path("corpus/media/a2.mp4").write_bytes(Path("corpus/media/a2.mp4").read_bytes()[:9000]),
        "a2.mp4: cannot be decoded",
    ),
    "NaN label": (
        lambda: replace("corpus/labels/a2.csv", "\n0.2,", "\n0.2,nan,0.1\n0.21,"),
        "a2.csv: line 4, column valence: 'nan' is no finite number",
    ),
    "no labelled step": (
        lambda: Path("corpus/labels/a2.csv").write_text("time_s,valence,arousal\n60,0.1,0.2\n61,0.3,0.4\n"),
        "no labelled step: its steps span 0-3.80 s, its labels 60.00-61.00 s",
    ),
    "no label at all": (
        lambda: Path("corpus/labels/a2.csv").write_text("time_s,valence,arousal\n0,,\n1,,\n"),
        "a2.csv: ",
    ),
    "duplicate clip": (
        lambda: replace(MANIFEST, "a2,anna", "a1,anna"),
        "'a1' is already the clip of row 2",
    ),
    "duplicate content": (
        lambda: shutil.copy("corpus/media/a1.mp4", "corpus/media/a2.mp4"),
        "its medium has the same content as that of row 2 (clip a1, subject anna)",
    ),
    "a split of no meaning": (
        lambda: replace(MANIFEST, "a2,anna,train", "a2,anna,trian"),
        "'trian' is none of train, validation, test; did you mean 'train'?",
    ),
    "a cell too many": (lambda: replace(MANIFEST, "a2,anna", "a2,anna,x"), "it has 7 cells"),
}


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("what", DAMAGE)
def test_one_bad_clip_is_reported_and_left_out(shop: Any, what: str) -> None:
    damage, reason = DAMAGE[what]
    line = row("a2")
    damage()
    words = ("stages.latent.epochs=0", "stages.sequence.epochs=0")
    result = shop.run(*TRAIN, *words)
    assert result.exit_code == 0, result.output
    told = [text for text in result.stderr.splitlines() if text.startswith("left out ")]
    assert len(told) == 1
    assert reason in told[0]
    assert f"row {line}" in told[0] or "a2" in told[0]
    (left_out,) = json.loads(Path("run/provenance.json").read_text())["left_out"]
    assert told[0] == f"left out {left_out['where']}: {left_out['reason']}"


@pytest.mark.parametrize("what", DAMAGE)
def test_data_check_explains_it_and_strict_refuses_it(shop: Any, what: str) -> None:
    damage, reason = DAMAGE[what]
    damage()
    result = shop.run("data", "check", str(MANIFEST), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["clips"] == 7
    (rejected,) = found["rejected"]
    assert reason.removesuffix("3.80 s, its labels 60.00-61.00 s") in rejected["reason"]
    strict = shop.run("data", "check", str(MANIFEST), "--strict")
    assert strict.exit_code == 2
    assert strict.stderr == "fusekit: corpus/manifest.csv: 1 left out, and --strict allows none.\n"


def test_several_bad_rows_are_each_explained(shop: Any) -> None:
    for what in ("missing file", "duplicate content"):
        DAMAGE[what][0]()
    replace(MANIFEST, "b1,ben", "b1,")
    found = json.loads(shop.run("data", "check", str(MANIFEST), "--json").stdout)
    told = {r["where"]: r["reason"] for r in found["rejected"]}
    assert sorted(told) == ["manifest.csv row 3 (clip a2)", "manifest.csv row 4 (clip b1)"]
    assert "column subject: it is empty" in told["manifest.csv row 4 (clip b1)"]


# ---------------------------------------------------------------- nothing is left

WHOLE: dict[str, tuple[Callable[[], Any], str]] = {
    "all files missing": (lambda: shutil.rmtree("corpus/media"), "none of 8 rows can be used."),
    "all files empty": (
        lambda: [p.write_bytes(b"") for p in Path("corpus/media").iterdir()],
        "none of 8 rows can be used.",
    ),
    "all files noise": (
        lambda: [p.write_bytes(p.name.encode() * 999) for p in Path("corpus/media").iterdir()],
        "no usable clip is left in the train part of the split (the corpus's own split). a1: ",
    ),
    "validation noise": (
        lambda: Path("corpus/media/d1.mp4").write_bytes(b"x" * 9999),
        "no usable clip is left in the validation part of the split (the corpus's own split). d1: ",
    ),
    "NaN everywhere": (
        lambda: [p.write_text("time_s,valence,arousal\n0,nan,0\n") for p in Path("corpus/labels").iterdir()],
        "column valence: 'nan' is no finite number",
    ),
    "no labelled step": (
        lambda: [
            p.write_text("time_s,valence,arousal\n90,0,0\n91,0,0\n") for p in Path("corpus/labels").iterdir()
        ],
        "no clip has a labelled step for valence, arousal: ",
    ),
    "a subject in two splits": (
        lambda: replace(MANIFEST, "a2,anna,train", "a2,anna,test"),
        "subject anna is in two splits: clip a1 in train, clip a2 in test.",
    ),
    "a column that is not there": (
        lambda: replace(MANIFEST, "voice", "vioce"),
        "there is no column 'voice' for that modality; did you mean 'vioce'?",
    ),
    "no manifest": (lambda: MANIFEST.unlink(), "corpus/manifest.csv: no such file"),
    "no corpus": (lambda: shutil.rmtree("corpus"), "corpus/manifest.csv: no such file"),
    "an empty manifest": (lambda: MANIFEST.write_text(""), "the file is empty (zero bytes)"),
    "a video for a manifest": (
        lambda: shutil.copy("corpus/media/a1.mp4", MANIFEST),
        "this is not a CSV text file",
    ),
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_corpus_of_no_use_is_one_paragraph(shop: Any, what: str) -> None:
    damage, reason = WHOLE[what]
    damage()
    said = shop.fault(*TRAIN)
    assert reason in said
    assert not Path("run").exists()


def test_a_face_that_is_never_found(shop: Any) -> None:
    said = shop.fault(*TRAIN, "modalities.face.reader.detector=haar")
    wanted = (
        "modality face is present at no labelled step of the train clips: there is no file, or no face is"
    )
    assert wanted in said


# ---------------------------------------------------------------- recipes

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


# ---------------------------------------------------------------- devices and folders


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


# ---------------------------------------------------------------- damaged runs


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


# ---------------------------------------------------------------- full disk


@pytest.mark.usefixtures("no_figures")
def test_a_full_disk_while_a_checkpoint_is_written(
    shop: Any, trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fifth write of a checkpoint fails half-way; the fourth is whole, and the run goes on from it."""
    writes = 0

    def fsync(handle: int) -> None:
        os.ftruncate(handle, 1000)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def replace_file(path: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        with monkeypatch.context() as patch:
            if writes == 5:
                patch.setattr(files, "os", SimpleNamespace(fsync=fsync, getpid=os.getpid))
            files.replace_file(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "replace_file", replace_file)
        result = shop.run(*TRAIN)
    assert result.exit_code == 2
    said = result.stderr[result.stderr.index("fusekit: ") :]
    assert "Traceback" not in result.stderr
    assert said.startswith("fusekit: cannot write the checkpoint 'run/checkpoints/")
    assert "No space left on device" in said
    assert said.endswith("continue with `fusekit train --resume run`.\n")
    assert [p.name for p in Path("run/checkpoints").iterdir() if p.suffix != ".safetensors"] == []
    _, header = load_checkpoint(Path("run/checkpoints/last.safetensors"))
    assert header["position"]["lines"] == 3
    assert shop.run("train", "--resume", "run").exit_code == 0
    ours, theirs = (load_file(f / "checkpoints" / "best.safetensors") for f in (Path("run"), trained.folder))
    assert all(np.array_equal(ours[k], theirs[k]) for k in theirs)


def test_a_full_disk_while_a_run_begins(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "os", SimpleNamespace(fsync=fsync, getpid=os.getpid))
    result = shop.run(*TRAIN)
    assert result.exit_code == 2
    assert "cannot write 'run/splits.json': No space left on device." in result.stderr
    assert [*Path("run").iterdir()] == []
    Path("old.txt").write_text("old")
    with pytest.raises(RunError):
        write_text(Path("old.txt"), "new")
    assert Path("old.txt").read_text() == "old"


def _own_mounts() -> list[str] | None:
    """How a command gets a mount namespace of its own here, or None."""
    for words in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        test = [*words, "sh", "-c", "mount -t tmpfs none /tmp"]
        if shutil.which("unshare") and subprocess.run(test, capture_output=True, check=False).returncode == 0:
            return words
    return None


def test_a_disk_that_is_really_full(shop: Any, trained: SimpleNamespace) -> None:
    """A file system of its own, too small for two checkpoints at once (the old one stays until then)."""
    mounts = _own_mounts()
    if mounts is None:
        pytest.skip("file systems cannot be mounted here")
    size = (trained.folder / "checkpoints" / "latent.safetensors").stat().st_size
    Path("disk").mkdir()
    script = (
        f"mount -t tmpfs -o size={6 * size} none disk || exit 99\n"
        f'"$0" -m fusekit train tiny.yaml --run disk/run --device cpu; code=$?\n'
        "cp -r disk/run kept; exit $code"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    words = [*mounts, "sh", "-c", script, sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr[done.stderr.index("fusekit: ") :]
    names = sorted(p.name for p in Path("kept/checkpoints").iterdir())
    assert not [name for name in names if name.startswith(".")]
    for name in names:
        load_checkpoint(Path("kept/checkpoints") / name)  # every one that is there is whole
