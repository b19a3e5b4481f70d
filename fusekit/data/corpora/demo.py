"""The synthetic corpus `demo`: made on first use, kept in the cache folder, read as any manifest is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fusekit.contracts import Clip, Corpus, Rejected
from fusekit.data.cache import cache_dir
from fusekit.data.manifest import read_manifest
from fusekit.data.synthetic.settings import MIN_SECONDS, MIN_SUBJECTS, DemoSettings
from fusekit.data.synthetic.writing import MANIFEST, make
from fusekit.errors import RecipeError


class DemoCorpus(Corpus):
    """Parametric faces and voices with known valence and arousal; modalities `face` and `voice`.

    The face tells valence by shape and arousal at half strength, the voice the other way round. Stretches
    of damage and of absence are planted, and are columns of the labels: `face_damage` and `voice_damage` (0
    none, 1..3 strength), `face_kind` and `voice_kind`, `face_present` and `voice_present`. Splits are given:
    of 42 subjects 24 train, 6 validate, 12 test. The test subjects alone meet one kind of damage per modality
    (`mosaic`, `crackle`).

    Args:
        subjects: number of subjects, one clip each.
        seconds: length of a clip.
        seed: of everything that is drawn; the same seed gives the same corpus.
    """

    def __init__(self, *, subjects: int = 42, seconds: float = 120.0, seed: int = 2026) -> None:
        for what, given, least in (
            ("subjects", subjects, MIN_SUBJECTS),
            ("seconds", seconds, MIN_SECONDS),
            ("seed", seed, 0),
        ):
            if given < least:
                raise RecipeError(f"corpus demo: {what} is {given}; {least:g} is the least that works")
        self.settings = DemoSettings(subjects, float(seconds), seed)

    @property
    def folder(self) -> Path:
        """Where this corpus is, or will be once it is loaded."""
        return cache_dir() / f"demo-{self.settings.key()}"

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        if not (self.folder / MANIFEST).exists():
            self._make()
        manifest = read_manifest(self.folder / MANIFEST, modalities, dims)
        return manifest.clips, manifest.rejected

    def describe(self) -> str:
        made = self.settings
        return f"demo: {made.subjects} synthetic subjects, {made.seconds:g} s each, seed {made.seed}"

    def _make(self) -> None:
        console = Console(stderr=True)
        console.print(
            f"Making {self.describe()}, in {self.folder}", markup=False, highlight=False, soft_wrap=True
        )
        columns = (TextColumn("pictures"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
        # Where nobody watches, a bar would only fill the log.
        with Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        ) as bar:
            task = bar.add_task("", total=self.settings.subjects * self.settings.frames)
            make(
                self.settings, self.folder, lambda done, total: bar.update(task, completed=done, total=total)
            )
