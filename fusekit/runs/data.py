"""The data of a run: the recipe's clips, split, prepared and laid on its step grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from fusekit import build
from fusekit.contracts import Clip, Corpus, Reader, Rejected, Source
from fusekit.data import folds
from fusekit.data.columns import Names
from fusekit.data.findings import Findings, by_modality, by_use, seen, uses
from fusekit.data.names import tidied
from fusekit.data.reading import corpus_notes, read_by_use
from fusekit.data.steps import ClipSteps, build_steps
from fusekit.data.store import PreparedStore
from fusekit.data.units import spacings
from fusekit.errors import DataError, RecipeError, RunError
from fusekit.provenance import Content
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry

Count = Callable[..., None]


@dataclass
class Data:
    """Clips of a recipe on its step grid, by part of the split.

    Attributes:
        columns: names of the numbers in feature tables, per modality whose reader knows them.
        spacings_s: median seconds from row to row of feature tables, per modality.
        findings: statistics and what is odd, by use: "training" (and validation), "test".
        content: knows the files of all clips, of the parts that were not asked for too.
    """

    corpus: Corpus
    readers: dict[str, Reader]
    clips: list[Clip]
    split: folds.Split
    rejected: list[Rejected]
    steps: dict[str, list[ClipSteps]]
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spacings_s: dict[str, float] = field(default_factory=dict)
    findings: dict[str, Findings] = field(default_factory=dict)
    content: Content = lambda modality, source: ()


def load_data(
    recipe: Recipe,
    registry: Registry,
    parts: Sequence[str],
    *,
    split: folds.Split | None = None,
    columns: Names | None = None,
    count: Count | None = None,
) -> Data:
    """Corpus -> split -> prepared store -> step grid, for the named parts alone; others' media stay unread.

    Args:
        columns: names of feature tables' columns that the run was trained on; None: learn them here.

    Raises:
        DataError: the corpus is missing, or nothing of it can be used.
        RecipeError: a fold of a corpus that names its own split.
    """
    corpus = build.build_corpus(recipe, registry)
    readers = build.build_readers(recipe, registry)
    named = {m: v.source or m for m, v in recipe.modalities.items()}
    clips, rejected = corpus.load(sorted(set(named.values())), recipe.target.dims)
    clips = by_modality(tidied(clips), named)
    if not recipe.split.given:
        clips = [replace(c, split="") for c in clips]
    if split is None:
        split = deal(recipe, clips, rejected)
    else:
        folds.verify(split, clips)
    store = PreparedStore()
    part_of = {c: part for part in parts for c in split.part(part)}
    groups = uses([c for c in clips if c.id in part_of], part_of)
    read = read_by_use(groups, readers, store, columns=columns, count=count)
    rejected += read.rejected
    gone = {r.where for r in read.rejected}
    steps: dict[str, list[ClipSteps]] = {}
    for part in parts:
        mine = [c for c in clips if c.id in split.part(part) and c.id not in gone]
        if not mine:
            raise RunError(_no_clip(part, split, clips, rejected))
        steps[part], odd = build_steps(
            mine, read.streams, readers, recipe.target.dims, recipe.target.step_hz, corpus.label_range
        )
        rejected += odd
    every = [seen(s) for own in steps.values() for s in own]
    read.notes.setdefault("training", [])[:0] = corpus_notes(corpus, clips, split, store)
    findings = by_use(every, part_of, recipe.target.dims, corpus.label_range, readers, read.notes)
    apart = spacings({s.clip.id: s.streams for own in steps.values() for s in own}, readers)
    content = partial(_content, store, readers)
    return Data(corpus, readers, clips, split, rejected, steps, read.names, apart, findings, content)


def _content(
    store: PreparedStore, readers: Mapping[str, Reader], modality: str, source: Source
) -> Sequence[tuple[str, str]]:
    try:
        return store.content(readers[modality], source)
    except DataError:  # its clip is left out, or its part is not read: it stays known as such
        return [("", "unreadable")]


def deal(recipe: Recipe, clips: Sequence[Clip], rejected: Sequence[Rejected] = ()) -> folds.Split:
    """The split of a new run.

    Raises:
        DataError: the clips cannot be divided so; RecipeError: a fold of a corpus that names its own split.
    """
    s = recipe.split
    if not s.given:
        clips = [replace(c, split="") for c in clips]
    if s.fold and any(c.split for c in clips):
        raise RecipeError(
            f"{recipe.at('split.fold')}: fold {s.fold} is asked for, but corpus {recipe.corpus.name} "
            "names its own split, which has no folds. Leave out --fold (split.fold), or say "
            "split.given=false to deal its subjects to folds."
        )
    try:
        return folds.assign(
            clips,
            folds=s.folds,
            fold=s.fold,
            validation=s.validation,
            seed=s.seed,
            subject_dependent=s.subject_dependent,
        )
    except DataError as fault:
        raise DataError(f"{fault}{_besides(rejected)}") from fault


def _besides(rejected: Sequence[Rejected]) -> str:
    """What else to know of a split that fails: it may be for want of the clips that were left out."""
    if not rejected:
        return ""
    return (
        f". {len(rejected)} of the corpus were left out before that, first {rejected[0].where}: "
        f"{rejected[0].reason}"
    )


def _no_clip(part: str, split: folds.Split, clips: Sequence[Clip], rejected: Sequence[Rejected]) -> str:
    if not split.part(part):
        return f"the split has no {part} part ({split.how})."
    reasons = (
        "; ".join(f"{r.where}: {r.reason.rstrip('.')}" for r in rejected[:3])
        or "none is in the corpus any more"
    )
    more = f" (and {len(rejected) - 3} more)" if len(rejected) > 3 else ""
    return f"no usable clip is left in the {part} part of the split ({split.how}). {reasons}{more}"


def check_seen(recipe: Recipe, data: Data) -> None:
    """Every modality must be present at some labelled step, or there is nothing that it could learn from."""
    for column, m in enumerate(data.readers):
        apart = any(s.apart and s.trains(m) for s in recipe.stages)
        for part in ("train", "validation") if apart else ("train",):
            if not any((s.present[:, column] & s.known.any(axis=1)).any() for s in data.steps[part]):
                raise RunError(
                    f"modality {m} is present at no labelled step of the {part} clips: there is no file, or "
                    f"{data.readers[m].absence}. See what its reader finds, give other files, or leave "
                    f"modalities.{m} out of the recipe."
                )
