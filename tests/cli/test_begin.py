"""How a run begins: nothing is left of one that cannot, two never share a folder, changed data is noticed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("corpus={name: demo, subjects: 3, seconds: 12}", "stages.sequence.windows=[2, 500]"),
            "stages.1.windows: the training clips hold 1 windows of 500 steps",
        ),
        (("--branches-from", "nowhere"), "'nowhere' has no finished adversarial stage"),
        (("--fold", "3"), "fold 3 is asked for, but corpus manifest names its own split"),
        (("--fold", "9"), "split.fold: must be 0 to 4 (there are 5 folds), found 9"),
    ],
)
def test_a_run_that_cannot_begin_leaves_no_folder(shop: Any, words: tuple[str, ...], message: str) -> None:
    said = shop.fault("train", "tiny.yaml", *words, "--run", "run", "--device", "cpu")
    assert message in " ".join(said.split())
    assert not Path("run").exists()


def test_two_processes_do_not_share_a_run(shop: Any) -> None:
    Path("run").mkdir()
    with FileLock("run/.lock"):
        result = shop.run("train", "tiny.yaml", "--run", "run", "--device", "cpu")
    assert result.exit_code == 2
    assert "another process is training 'run'" in " ".join(result.stderr.split())
    assert [p.name for p in Path("run").iterdir()] == [".lock"]


def test_changed_labels_are_noticed_when_a_run_goes_on(shop: Any, trained: SimpleNamespace) -> None:
    run = shop.adopt(trained.folder)
    labels = Path("corpus/labels/a1.csv")
    labels.write_text(labels.read_text().replace("0.0,", "0.0,0", 1).replace("0.1,0.", "0.1,-0.", 1))
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    result = shop.run("train", "--resume", "run", "--device", "cpu")
    assert result.exit_code == 2, result.output
    assert "the clips or labels are not those that 'run' began with" in " ".join(result.stderr.split())
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
