"""Runs whose recipe, split, clips or sources were changed since: refused, with what was changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fusekit import plugins
from fusekit.data.manifest import read_manifest
from fusekit.errors import RunError
from fusekit.provenance import data_hash
from fusekit.recipe.load import load
from fusekit.runs.identity import changed_code, changed_files, facts_of
from fusekit.runs.training import LOCK, claimed

EVALUATE, RESUME = ("evaluate", "run"), ("train", "--resume", "run", "--device", "cpu")
PREDICT = ("predict", "run", "corpus/media/a1.mp4", "--out", "x.csv")


@pytest.fixture
def run(shop: Any, trained: SimpleNamespace) -> Path:
    """A copy of the trained run, whose corpus lies elsewhere: no change."""
    return shop.adopt(trained.folder, "report.html", "figures")


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def relabel(file: Path) -> None:
    """Another sign for the first value; twice: as before."""
    lines = file.read_text().splitlines(keepends=True)
    time_s, value, *rest = lines[1].split(",")
    lines[1] = ",".join([time_s, value[1:] if value.startswith("-") else f"-{value}", *rest])
    file.write_text("".join(lines))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("lr: 0.0001\n", "lr: 0.01\n", "stages.0.lr was 0.0001, is 0.01"),
        ("step_hz: 5.0", "step_hz: 2.5", "target.step_hz was 5.0, is 2.5"),
        ("mels: 16", "mels: 16, silence_s: 2.0", "voice.reader.silence_s was not there, is 2.0"),
        ("seed: 0", "seed: 1", "seed was 0, is 1"),
    ],
)
def test_an_edited_recipe_is_refused_wherever_the_run_is_opened(
    shop: Any, run: Path, before: str, after: str, said: str
) -> None:
    edit(run / "recipe.yaml", before, after)
    for words in (EVALUATE, RESUME, PREDICT):
        fault = " ".join(shop.fault(*words).split())
        assert "'run/recipe.yaml' was changed since the run began: " in fault
        assert said in fault
        assert fault.endswith(
            "Write what it was (the whole text is under `recipe` in provenance.json), or train anew: "
            "`fusekit train run/recipe.yaml --run NEW`."
        )


@pytest.mark.usefixtures("no_figures")
def test_places_and_comments_are_no_change(shop: Any, run: Path) -> None:
    moved = shop.folder / "elsewhere"
    shutil.move(shop.folder / "corpus", moved)
    edit(run / "recipe.yaml", f"{shop.folder}/corpus/", f"{moved}/")
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(f"# tried in spring\n{text}")
    assert shop.run(*EVALUATE, "--device", "cpu").exit_code == 0


def test_other_data_are_refused_by_the_clip(shop: Any, run: Path, cli: Any) -> None:
    other = shop.folder / "other"
    shutil.copytree(shop.folder / "corpus", other)
    edit(run / "recipe.yaml", f"{shop.folder}/corpus/", f"{other}/")
    relabel(other / "labels" / "d1.csv")
    for words in (EVALUATE, RESUME):
        fault = " ".join(shop.fault(*words).split())
        assert "are not those that 'run' began with: labels of clip d1." in fault
    shutil.copy(shop.folder / "corpus/labels/d1.csv", other / "labels")
    cli.make_video(other / "media" / "e1.mp4", np.full((40, 2), 0.3))  # a test clip
    reason = "began with: face of clip e1; voice of clip e1."
    assert reason in " ".join(shop.fault(*RESUME).split())
    final = shop.run(*EVALUATE, "--final")  # a look at the test part is noted before it is taken
    assert (final.exit_code, reason in " ".join(final.stderr.split())) == (2, True)
    edit(other / "manifest.csv", "b1,ben,", "b1,anna,")
    assert "subject of clip b1" in " ".join(shop.fault(*EVALUATE).split())


def test_an_edited_split_is_refused(shop: Any, run: Path) -> None:
    split = json.loads((run / "splits.json").read_text())
    split["train"], split["test"] = split["train"][1:], [split["train"][0], *split["test"]]
    (run / "splits.json").write_text(json.dumps(split))
    for words in (EVALUATE, RESUME):
        assert "'run/splits.json' was changed since the run began" in " ".join(shop.fault(*words).split())


@pytest.mark.usefixtures("no_figures")
def test_a_run_of_before_all_this_was_kept_opens_as_it_did(shop: Any, run: Path) -> None:
    facts = json.loads((run / "provenance.json").read_text())
    for key in ("recipe", "splits_sha256", "files", "plugin_files"):
        del facts[key]
    manifest = read_manifest(Path("corpus/manifest.csv"), ("face", "voice"), ("valence", "arousal"))
    facts["data_sha256"] = data_hash(manifest.clips)
    (run / "provenance.json").write_text(json.dumps(facts))
    (run / "clips.json").unlink()
    edit(run / "recipe.yaml", "lr: 0.0001\n", "lr: 0.01\n")
    assert shop.run(*EVALUATE, "--device", "cpu").exit_code == 0
    assert shop.run(*RESUME).exit_code == 0
    relabel(Path("corpus/labels/a1.csv"))
    assert "(data_sha256 in its provenance.json)" in " ".join(shop.fault(*RESUME).split())


def test_branches_of_a_run_on_other_data_are_refused(shop: Any, run: Path) -> None:
    words = ("train", "tiny.yaml", "--run", "new", "--branches-from", "run", "--device", "cpu")
    relabel(Path("corpus/labels/a1.csv"))
    said = " ".join(shop.fault(*words).split())
    assert "the branch of face in 'run' was trained on other data: labels of clip a1." in said
    relabel(Path("corpus/labels/a1.csv"))
    edit(run / "recipe.yaml", "memory: 4", "memory: 3")
    assert "temporal.memory was 4, is 3" in " ".join(shop.fault(*words).split())
    assert not Path("new").exists()


def test_weights_and_plugins_are_known_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    plugin, weights = tmp_path / "mine.py", tmp_path / "w.safetensors"
    plugin.write_text(
        "from fusekit.hookspecs import hookimpl\n\n\n"
        "@hookimpl\ndef register_components(register):\n    pass\n"
    )
    weights.write_bytes(b"one")
    registry, _ = plugins.load([plugin])
    encoder = f"modalities.face.encoder={{name: timm, model: resnet18, weights: {weights}}}"
    recipe = load("avi-gas", [encoder, "corpus.root=x"], registry)
    split = SimpleNamespace(to_json=dict)
    facts: Any = facts_of(recipe, registry, split, {}, [str(plugin)])  # type: ignore[arg-type]
    (tmp_path / "provenance.json").write_text(json.dumps(facts | {"distributions": {"fusekit-x": "1"}}))
    assert changed_files(tmp_path, recipe, registry) == []
    assert changed_code(tmp_path, registry) == []
    weights.write_bytes(b"two")
    plugin.write_text(plugin.read_text() + "\n")
    (said,) = changed_files(tmp_path, recipe, registry)
    assert said.startswith(f"modalities.face.encoder.weights: {weights} holds something else than when")
    assert changed_files(tmp_path, recipe, registry, "modalities.voice.") == []
    (said,) = changed_code(tmp_path, registry)
    assert said.startswith("the plugin file mine.py is not as it was when")


def test_the_lock_lies_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "one"
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "a"))
    with claimed(run):
        monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "b"))
        with pytest.raises(RunError, match="another process is at work in"), claimed(run):
            pass
        os.symlink(run, tmp_path / "link")
        with pytest.raises(RunError, match="another process is at work in"), claimed(tmp_path / "link"):
            pass
    assert not run.exists()  # nothing was begun
    run.mkdir(parents=True)
    (run / LOCK).write_text("left by a process that was killed")
    with claimed(run):
        (run / "recipe.yaml").touch()
    assert run.is_dir()
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("gone", [("id",), ("digests",), ()], ids=["id", "digests", "everything"])
def test_a_run_that_lost_what_it_is_known_by_is_no_older_run(shop: Any, run: Path, gone: tuple[str]) -> None:
    facts = json.loads((run / "provenance.json").read_text())
    kept = {key: value for key, value in facts.items() if key not in gone} if gone else {}
    (run / "provenance.json").write_text(json.dumps(kept))
    said = " ".join(shop.fault(*EVALUATE, "--device", "cpu").split())
    assert f"provenance.json' has no {gone[0] if gone else 'id'}" in said
    assert "Put a whole copy back." in said
