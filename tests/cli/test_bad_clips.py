"""Clips and corpora that are no good: one is told and left out, all of them are one paragraph, code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


DAMAGE: dict[str, tuple[Callable[[], Any], str]] = {
    "missing file": (lambda: Path("corpus/media/a2.mp4").unlink(), "a2.mp4 does not exist"),
    "zero bytes": (lambda: Path("corpus/media/a2.mp4").write_bytes(b""), "a2.mp4 is empty (zero bytes)"),
    "noise for a video": (
        lambda: Path("corpus/media/a2.mp4").write_bytes(np.random.default_rng(0).bytes(30000)),
        "a2.mp4: cannot be decoded",
    ),
    "half a video": (
        lambda: Path("corpus/media/a2.mp4").write_bytes(Path("corpus/media/a2.mp4").read_bytes()[:9000]),
        "a2.mp4: it is cut short",
    ),
    "infinite label": (
        lambda: replace("corpus/labels/a2.csv", "\n0.2,", "\n0.2,inf,0.1\n0.21,"),
        "a2.csv: line 4, column valence: 'inf' is no finite number",
    ),
    "labels in milliseconds": (
        lambda: Path("corpus/labels/a2.csv").write_text(
            "time_s,valence,arousal\n0,0,0\n1500,1,1\n3000,1,0\n"
        ),
        "time_s seems to hold milliseconds. Write seconds: divide it by 1000",
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
    strict = shop.run("data", "check", "tiny.yaml", "--strict")
    assert strict.exit_code == 2
    assert strict.stderr == "fusekit: tiny.yaml: 1 left out, and --strict allows none.\n"


def test_several_bad_rows_are_each_explained(shop: Any) -> None:
    for what in ("missing file", "duplicate content"):
        DAMAGE[what][0]()
    replace(MANIFEST, "b1,ben", "b1,")
    found = json.loads(shop.run("data", "check", str(MANIFEST), "--json").stdout)
    told = {r["where"]: r["reason"] for r in found["rejected"]}
    assert sorted(told) == ["manifest.csv row 3 (clip a2)", "manifest.csv row 4 (clip b1)"]
    assert "column subject: it is empty" in told["manifest.csv row 4 (clip b1)"]


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
        "no clip has a label for valence: column valence is empty in every label file",
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
