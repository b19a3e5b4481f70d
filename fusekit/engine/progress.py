"""Who watches a run: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Any

from rich.markup import escape

from fusekit.engine.objective import Phase
from fusekit.errors import one_line, printable


class BarProgress:
    """Losses, validation CCC, rate, time left: one live line per phase; without terminal one per validation.

    Use as a context manager. `silent` is for every process but the first.
    """

    def __init__(self, *, silent: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = Console(stderr=True, quiet=silent)
        self.live = self.console.is_terminal and not silent
        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.live,
            refresh_per_second=4,
        )
        self._task: Any = None
        self._counter: Any = None
        self._phase: Phase | None = None
        self._score = math.nan
        self._losses = ""
        self._started = 0.0
        self._done = 0

    def __enter__(self) -> BarProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def phase(self, number: int, phase: Phase, batches: int, done: int) -> None:
        """A phase begins (or goes on, `done` batches of `batches` behind it)."""
        self._phase, self._score, self._losses = phase, math.nan, ""
        self._started, self._done = time.monotonic(), 0
        self._drop_counter()
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(
            one_line(phase.name), total=batches, completed=done, rate="", note=""
        )
        if not self.live:
            self.say(f"{phase.name}: {phase.epochs} epochs, {batches} batches")

    def batch(self, losses: dict[str, float] | None) -> None:
        """One batch is done; without its losses the last ones stay."""
        self._done += 1
        if self._task is None or not self.live:
            return
        if losses is not None:
            self._losses = escape(" ".join(f"{k} {v:.3f}" for k, v in list(losses.items())[-4:]))
        score = "" if math.isnan(self._score) else f"[green]val CCC {self._score:.3f}[/] "
        rate = self._done / max(time.monotonic() - self._started, 1e-6)
        self._progress.update(self._task, advance=1, note=score + self._losses, rate=f"{rate:.1f}/s")

    def validated(self, epoch: int, scores: dict[str, Any], best: bool) -> None:
        """Validation scores of an epoch."""
        self._score = scores["ccc"]["mean"]
        if not self.live and self._phase is not None:
            each = " ".join(f"{k} {v:.3f}" for k, v in scores["ccc"].items())
            rate = self._done / max(time.monotonic() - self._started, 1e-6)
            star = " *" if best else ""
            self.say(
                f"  {self._phase.name} epoch {epoch}/{self._phase.epochs}: validation CCC {each}{star} "
                f"({rate:.1f} batches/s)"
            )

    def say(self, text: str) -> None:
        """A line above the bar; brackets in it are no markup, and control characters are shown."""
        self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def counter(self, description: str) -> Any:
        """A function (done, total, what) that shows a bar of its own, e.g. while clips are prepared."""
        self._drop_counter()
        task = self._counter = self._progress.add_task(one_line(description), total=None, rate="", note="")
        if not self.live:
            self.say(description)

        def show(done: int, total: int, what: str = "") -> None:
            self._progress.update(task, completed=done, total=total, note=escape(one_line(what)))

        return show

    def _drop_counter(self) -> None:
        if self._counter is not None:
            self._progress.remove_task(self._counter)
            self._counter = None
