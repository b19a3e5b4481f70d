"""The synthetic corpus `demo`: made on first use, kept in the cache folder, read as any manifest is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fusekit.contracts import Clip, Corpus, Rejected
from fusekit.data.cache import cache_dir
from fusekit.data.manifest import read_manifest
from fusekit.data.synthetic.settings import (
    MIN_SECONDS,
    MIN_SUBJECTS,
    MOST_SECONDS,
    MOST_SUBJECTS,
    STREAMS_VERSION,
    DemoSettings,
)
from fusekit.data.synthetic.stream_writing import make_streams
from fusekit.data.synthetic.wholeness import check_contents
from fusekit.data.synthetic.writing import MANIFEST, make
from fusekit.errors import RecipeError

FILMED = ("face", "voice")


class DemoCorpus(Corpus):
    """Parametric faces, voices, heartbeats and transcripts with known valence and arousal.

    Modalities `face`, `voice`, `ecg`, `text`. Face and text tell valence, and arousal at half strength;
    voice and ECG the other way round. Stretches of damage and of absence are planted, and are columns of the
    labels: `face_damage` (0 none, 1..3 strength), `face_kind`, `face_present`, and so on for each modality.
    Splits are given: of 42 subjects 24 train, 6 validate, 12 test. The test subjects alone meet one kind of
    damage per modality (`mosaic`, `crackle`, `loose`, `garble`).

    ECG and transcripts are made when they are asked for, beside the rest: without them corpus and labels are
    what they were before there was any.

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
        if subjects > MOST_SUBJECTS or subjects * seconds > MOST_SECONDS:
            raise RecipeError(
                f"corpus demo: subjects ({subjects:,}) times seconds ({seconds:,.0f}) is more than is made "
                f"here: at most {MOST_SUBJECTS:,} subjects and {MOST_SECONDS:,} s in all"
            )
        self.settings = DemoSettings(subjects, float(seconds), seed)

    @property
    def folder(self) -> Path:
        """Where faces and voices are, or will be once they are loaded."""
        return cache_dir() / f"demo-{self.settings.key()}"

    @property
    def streams_folder(self) -> Path:
        """Where ECG and transcripts are, or will be once they are loaded."""
        return self.folder.with_name(f"{self.folder.name}-streams{STREAMS_VERSION}")

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        folder = self.folder
        if any(modality not in FILMED for modality in modalities):
            folder = self.streams_folder
            if not (folder / MANIFEST).exists():
                self._make_streams()
        filmed = any(modality in FILMED for modality in modalities)
        if filmed and not (self.folder / MANIFEST).exists():
            self._make()
        for made in {folder, *([self.folder] if filmed else [])}:
            check_contents(made)
        manifest = read_manifest(folder / MANIFEST, modalities, dims)
        return manifest.clips, manifest.rejected

    def describe(self) -> str:
        made = self.settings
        return f"demo: {made.subjects} synthetic subjects, {made.seconds:g} s each, seed {made.seed}"

    def _make(self) -> None:
        total = self.settings.subjects * self.settings.frames
        with _progress(f"Making {self.describe()}, in {self.folder}", "pictures", total) as report:
            make(self.settings, self.folder, report)

    def _make_streams(self) -> None:
        told = f"Making ECG and transcripts of {self.describe()}, in {self.streams_folder}"
        with _progress(told, "subjects", self.settings.subjects) as report:
            make_streams(self.settings, self.streams_folder, self.folder.name, report)


@contextmanager
def _progress(told: str, what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Say on stderr what is made, and show a bar that the yielded function moves."""
    console = Console(stderr=True)
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    # Where nobody watches, a bar would only fill the log.
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)
