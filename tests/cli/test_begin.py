"""How a run begins: nothing is left of one that cannot, two never share a folder, changed data is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fusekit.engine.checkpoint import load_checkpoint
from fusekit.runs.training import claimed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("corpus={name: demo, subjects: 3, seconds: 12}", "stages.sequence.windows=[2, 500]"),
            "stages.1.windows: the training clips hold 1 windows of 500 steps",
        ),
        (
            (
                "corpus={name: demo, subjects: 3, seconds: 12}",
                "stages=[{name: latent, objective: adversarial, epochs: 1, batch_size: 4}, "
                "{name: alone, objective: supervised, modalities: [voice], epochs: 1, batch_size: 4, "
                "windows: [500]}, {name: sequence, objective: supervised, epochs: 1, batch_size: 4}]",
            ),
            "stages.1.windows: the training clips hold 1 windows of 500 steps of voice",
        ),
        (("--branches-from", "nowhere"), "'nowhere' has no finished adversarial stage"),
        (
            ("--branches-from", "RUN", "train.weighting=none", "stages.latent.lr=1"),
            "stages, weighting differ",
        ),
        (("--fold", "3"), "fold 3 is asked for, but corpus manifest names its own split"),
        (("--fold", "9"), "split.fold: must be 0 to 4 (there are 5 folds), found 9"),
    ],
)
def test_a_run_that_cannot_begin_leaves_no_folder(
    shop: Any, trained: SimpleNamespace, words: tuple[str, ...], message: str
) -> None:
    words = tuple(str(trained.folder) if word == "RUN" else word for word in words)
    said = shop.fault("train", "tiny.yaml", *words, "--run", "run", "--device", "cpu")
    assert message in " ".join(said.split())
    assert not Path("run").exists()


def test_two_processes_do_not_share_a_run(shop: Any) -> None:
    with claimed(Path("run")):
        said = shop.fault("train", "tiny.yaml", "--run", "run", "--device", "cpu")
    assert "another process is at work in 'run'" in " ".join(said.split())
    assert not Path("run").exists()


def test_changed_labels_are_noticed_when_a_run_goes_on(shop: Any, trained: SimpleNamespace) -> None:
    shop.adopt(trained.folder)
    labels = Path("corpus/labels/a1.csv")
    labels.write_text(labels.read_text().replace("0.0,", "0.0,0", 1).replace("0.1,0.", "0.1,-0.", 1))
    said = shop.fault("train", "--resume", "run", "--device", "cpu")
    assert "the clips or labels are not those that 'run' began with" in " ".join(said.split())


def test_a_reader_that_reads_otherwise_than_in_training_is_told(
    shop: Any, trained: SimpleNamespace, no_figures: None
) -> None:
    run = shop.adopt(trained.folder)
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["readers"]["voice"]["mels"] == 16
    quiet = shop.run("evaluate", "run", "--device", "cpu")
    assert "otherwise" not in quiet.stderr
    facts["readers"]["voice"] |= {"mels": 17, "window": "hann"}  # as if another fusekit had trained it
    (run / "provenance.json").write_text(json.dumps(facts))
    note = (
        "voice is read otherwise than when 'run' was trained: mels was 17, is 16, window was 'hann', is None."
    )
    for command in (("evaluate", "run"), ("predict", "run", "corpus/media/a1.mp4")):
        result = shop.run(*command, "--device", "cpu")
        assert result.exit_code == 0, result.output
        assert " ".join(result.stderr.split()).count(note) == 1
    said = shop.fault("train", "--resume", "run", "--device", "cpu")
    assert f"{note} Put back what it was, or begin a new run." in " ".join(said.split())


def test_a_run_says_which_plugin_files_it_was_trained_with(shop: Any, no_figures: None) -> None:
    Path("half.py").write_text(
        "from fusekit.hookspecs import hookimpl\nfrom fusekit.nn.fusion.gmu import GMU\n\n\n"
        "class Half(GMU):\n    pass\n\n\n@hookimpl\ndef register_components(register):\n"
        '    register("fusion", "half", f"{__name__}:Half", "as gmu")\n'
    )
    words = ("fusion={name: half, dim: 4}", "stages.latent.epochs=1", "stages.sequence.epochs=1")
    shop.train(*words, "--plugin", "half.py")
    for command in (
        ("evaluate", "run"),
        ("predict", "run", "corpus/media/a1.mp4"),
        ("train", "--resume", "run"),
    ):
        said = shop.fault(*command, "--device", "cpu")
        assert "no fusion named 'half'" in said
        assert f"The run was trained with --plugin {Path('half.py').absolute()}; give that again." in said


def test_each_modality_comes_from_the_first_run_that_has_it(shop: Any, no_figures: None) -> None:
    epochs = ("stages.latent.epochs=1", "stages.sequence.epochs=1")
    alone = {"face": "modalities.voice=null", "voice": "modalities.face=null"}
    for m, without in alone.items():
        shop.train(without, "fusion={name: none}", *epochs, run=m)
    given = ("--branches-from", "voice", "--branches-from", "face")
    run = shop.train(*epochs, *given, run="both")
    taken, _ = load_checkpoint(run / "checkpoints" / "best.safetensors")
    for m in alone:
        before, _ = load_checkpoint(Path(m) / "checkpoints" / "latent.safetensors")
        frozen = [
            k for k in taken if k.startswith((f"model.branches.{m}.encoder", f"model.branches.{m}.quadrant"))
        ]
        assert frozen
        assert all(torch.equal(taken[k], before[k]) for k in frozen)
    # A run that made a modality in another way does not stand in front of one that agrees.
    shop.train("modalities.voice=null", "fusion={name: none}", *epochs, "stages.latent.lr=0.001", run="odd")
    again = shop.train(*epochs, "--branches-from", "odd", *given, run="again")
    same, _ = load_checkpoint(again / "checkpoints" / "best.safetensors")
    assert all(torch.equal(same[k], taken[k]) for k in taken)

    half = shop.train(*epochs, *given[:2], run="half")
    trained = {json.loads(line)["phase"] for line in (half / "metrics.jsonl").read_text().splitlines()}
    assert {phase for phase in trained if "latent" in phase} == {"latent face"}
    said = shop.fault(
        "train", "face.yaml", *epochs, "--branches-from", "voice", "--run", "x", "--device", "cpu"
    )
    assert "no run of 'voice' has any of the modalities face" in " ".join(said.split())


def test_a_corpus_may_be_dealt_to_folds_against_its_own_split(shop: Any, no_figures: None) -> None:
    run = shop.train("split.given=false", "--fold", "1", "stages.latent.epochs=1", "stages.sequence.epochs=1")
    assert json.loads((run / "splits.json").read_text())["how"] == "fold 1 of 5 (seed 0)"
