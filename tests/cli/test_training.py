"""`fusekit train` and `evaluate`: what reaches the run, and what an interrupted one is told."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fusekit import launch, plugins, runs
from fusekit.cli.app import app
from fusekit.study import assess, summary

runner = CliRunner()


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Training and scoring replaced by a record of what they were asked."""
    found: list[SimpleNamespace] = []

    def train(recipe: Any, registry: Any, *, run_dir: Path, **rest: Any) -> None:
        found.append(SimpleNamespace(what="train", recipe=recipe, run_dir=run_dir, **rest))
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / "recipe.yaml").write_text(recipe.to_yaml())

    def opened(folder: Path, device: str) -> SimpleNamespace:
        parts = SimpleNamespace(test=("clip",))
        return SimpleNamespace(at=(folder, device), split=lambda: parts)

    def score(run: Any, *, final: bool, say: Any) -> dict[str, Any]:
        found.append(SimpleNamespace(what="assess", run=run, final=final))
        return {}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(runs, "train", train)
    monkeypatch.setattr(runs, "open_run", lambda folder, registry, device: opened(folder, device))
    monkeypatch.setattr(assess, "assess", score)
    monkeypatch.setattr(summary, "show_metrics", lambda metrics: None)
    return found


def run(*words: str) -> Result:
    return runner.invoke(app, list(words), prog_name="fusekit")


def test_a_run_is_trained_then_scored_without_the_test_labels(calls: list[SimpleNamespace]) -> None:
    result = run(
        "train", "demo", "fusion=concat", "--run", "out", "--fold", "2", "--seed", "7", "--device", "cpu"
    )
    assert result.exit_code == 0, result.output
    trained, scored = calls
    assert trained.recipe.fusion.name == "concat"
    assert (trained.recipe.split.fold, trained.recipe.train.seed) == (2, 7)
    assert (trained.run_dir, trained.device, trained.resume, trained.plugins) == (
        Path("out"),
        "cpu",
        False,
        [],
    )
    assert (scored.run.at, scored.final) == ((Path("out"), "cpu"), False)
    assert result.stdout.splitlines() == [
        "report: out/report.html",
        "next: fusekit evaluate out --final   # reads the test labels, once",
    ]


def test_without_a_test_part_there_is_nothing_final_to_read(
    calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    without = SimpleNamespace(split=lambda: SimpleNamespace(test=()))
    monkeypatch.setattr(runs, "open_run", lambda folder, registry, device: without)
    assert run("train", "demo", "--run", "out").stdout == "report: out/report.html\n"


def test_without_run_the_folder_tells_recipe_and_time(calls: list[SimpleNamespace]) -> None:
    run("train", "demo")
    assert calls[0].run_dir.parent == Path("runs")
    assert len(calls[0].run_dir.name) == len("demo-20260131-101500")
    assert calls[0].run_dir.name.startswith("demo-20")


def test_resume_reads_the_recipe_of_the_run(calls: list[SimpleNamespace]) -> None:
    run("train", "demo", "--run", "out", "--seed", "9")
    calls.clear()
    assert run("train", "--resume", "out").exit_code == 0
    assert calls[0].resume is True
    assert calls[0].recipe.train.seed == 9
    assert calls[0].recipe.name == "demo"
    assert calls[0].run_dir == Path("out")


def test_ctrl_c_says_how_to_go_on(calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(recipe: Any, registry: Any, *, run_dir: Path, **rest: Any) -> None:
        run_dir.mkdir(parents=True)
        (run_dir / "recipe.yaml").write_text("x")
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "train", interrupted)
    result = run("train", "demo", "--run", "out")
    assert result.exit_code == 130
    assert result.stderr == "\nGo on with: fusekit train --resume out\nInterrupted.\n"


@pytest.mark.usefixtures("in_foreground")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_scheduler_and_a_closed_terminal_are_as_ctrl_c(
    calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    def terminated(recipe: Any, registry: Any, *, run_dir: Path, **rest: Any) -> None:
        run_dir.mkdir(parents=True)
        (run_dir / "recipe.yaml").write_text("x")
        signal.raise_signal(number)

    before = signal.getsignal(number)
    monkeypatch.setattr(runs, "train", terminated)
    result = run("train", "demo", "--run", "out")
    assert result.exit_code == code
    assert result.stderr == "\nGo on with: fusekit train --resume out\nInterrupted.\n"
    assert signal.getsignal(number) == before


def test_ctrl_c_before_the_run_began(calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "train", interrupted)
    result = run("train", "demo", "--run", "out")
    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


def test_evaluate_final_reads_the_test_labels(calls: list[SimpleNamespace]) -> None:
    run("train", "demo", "--run", "out")
    calls.clear()
    assert run("evaluate", "out", "--final", "--device", "cpu").exit_code == 0
    assert [(c.what, c.final, c.run.at) for c in calls] == [("assess", True, (Path("out"), "cpu"))]


def test_several_devices_share_one_folder(
    calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[Any] = []
    monkeypatch.setattr(launch, "launch", lambda *given: launched.append(given) or 0)
    monkeypatch.setattr("sys.argv", ["fusekit", "train", "demo", "--devices", "2"])
    assert run("train", "demo", "--devices", "2").exit_code == 0
    ((devices, words, device),) = launched
    assert (devices, device) == (2, "auto")
    assert words[:4] == ["train", "demo", "--devices", "2"]
    assert words[4] == "--run"
    assert [c.what for c in calls] == ["assess"]
    assert calls[0].run.at[0] == Path(words[5])


def test_a_worker_trains_and_leaves_the_scoring_to_its_parent(
    calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    Path("out").mkdir()
    Path("out/recipe.yaml").write_text("begun by the first process")
    assert run("train", "demo", "--devices", "2", "--run", "out").exit_code == 0
    assert [c.what for c in calls] == ["train"]


@pytest.mark.usefixtures("no_figures")
def test_training_that_diverges_stops_with_a_reason(shop: Any, cli: Any) -> None:
    words = ["modalities.face.quadrant=none", "modalities.voice.quadrant=none", "stages.sequence.freeze=[]"]
    result = shop.run(
        "train", "supervised.yaml", *words, "stages.sequence.lr=1e38", "--run", "run", "--device", "cpu"
    )
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert "NaN or infinite" in cli.paragraph(result.stderr.splitlines()[-1])
    assert not Path("run/checkpoints/best.safetensors").exists()
