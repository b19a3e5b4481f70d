"""The live bar: what it shows of losses that are read only now and then."""

from __future__ import annotations

import pytest

from fusekit.engine.objective import Phase
from fusekit.engine.progress import BarProgress


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with BarProgress() as bar:
        bar.say("left out a[/bold][red]b: \x1b[31m")
        bar.counter("reading [/x]")(1, 2, "[/x]\x9b")
    assert capsys.readouterr().err.splitlines()[:2] == [r"left out a[/bold][red]b: \x1b[31m", "reading [/x]"]


def test_a_live_bar_takes_no_name_for_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with BarProgress() as bar:
        bar.counter("reading [/x]")(1, 2, "[/x]\x1b[2J\n")
        row = "".join(str(segment.text) for segment in bar.console.render(bar._progress.get_renderable()))
    assert "reading [/x]" in row
    assert r"[/x]\x1b[2J\n" in row


def _never() -> None:
    raise AssertionError


def test_losses_stay_until_newer_ones_are_read_and_end_with_their_phase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    phase = Phase("latent face", "latent", "adversarial", 1, 2, 1, _never)  # type: ignore[arg-type]
    with BarProgress() as bar:
        assert bar.live

        def shown() -> tuple[float, str]:
            (task,) = bar._progress.tasks
            return task.completed, task.fields["note"]

        bar.phase(0, phase, 8, 2)
        bar.batch(None)
        assert shown() == (3, "")
        bar.batch({"a": 1.0, "b": 0.25})
        bar.batch(None)
        assert shown() == (5, "a 1.000 b 0.250")
        bar.validated(1, {"ccc": {"mean": 0.5}}, True)
        bar.batch(None)
        assert shown() == (6, "[green]val CCC 0.500[/] a 1.000 b 0.250")
        bar.batch({"a": 2.0})
        assert shown() == (7, "[green]val CCC 0.500[/] a 2.000")
        bar.phase(1, phase, 8, 0)
        bar.batch(None)
        assert shown() == (1, "")
