"""Clips read for a purpose: prepared, their tables' columns agreed upon, and what their readers doubt.

Training reads its clips first and tests on others: names of columns are learnt from the former alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fusekit.contracts import Clip, Corpus, Reader, Rejected, Stream
from fusekit.data.columns import Names, agree, doubts
from fusekit.data.content import Contents
from fusekit.data.feature_findings import Sizes, table_notes
from fusekit.data.folds import Split
from fusekit.data.label_findings import Note
from fusekit.data.names import alike
from fusekit.data.stimuli import shared_media
from fusekit.data.store import PreparedStore, prepare_clips

Count = Callable[[int, int, str], None]


@dataclass
class Read:
    """What could be read.

    Attributes:
        streams: per clip id and modality, of the clips that are not `rejected`.
        names: of tables' columns, per modality whose reader knows them.
        notes: what is odd about files though they can be read, by use.
    """

    streams: dict[str, dict[str, Stream]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: dict[str, list[Note]] = field(default_factory=dict)


def read_by_use(
    groups: Mapping[str, Sequence[Clip]],
    readers: Mapping[str, Reader],
    store: PreparedStore,
    *,
    columns: Names | None = None,
    count: Count | None = None,
) -> Read:
    """Read clips, those of the first use first.

    Args:
        groups: clips by use, as "training" and "test"; the first says which columns tables have.
        columns: names that a run was trained on; None: learn them here.
        count: shows progress over all groups.
    """
    found = Read()
    total, before = sum(map(len, groups.values())), 0
    names, usual = columns, dict[str, dict[str, list[Sizes]]]()
    for use, clips in groups.items():
        odd: list[Rejected] = []
        streams, bad = prepare_clips(clips, readers, store, _further(count, before, total), odd)
        before += len(clips)
        read = [c for c in clips if c.id in streams]
        agreed = agree(read, streams, readers, names)
        names = names if names is not None else agreed.names
        found.names = {**agreed.names, **found.names}
        bad += agreed.rejected
        gone = {r.where for r in bad}
        used = [c for c in read if c.id not in gone]
        odd += agreed.notes + doubts(used, streams, readers) + table_notes(used, streams, readers, usual)
        found.notes[use] = [Note("files", n.where, n.reason) for n in odd]
        found.streams |= {name: own for name, own in streams.items() if name not in gone}
        found.rejected += bad
    return found


def corpus_notes(
    corpus: Corpus, clips: Sequence[Clip], split: Split | None, store: PreparedStore
) -> list[Note]:
    """What is odd about a corpus as a whole: names that hardly differ, content that parts share, and what it
    says itself."""
    notes = [Note("range", "label ranges", text) for text in getattr(corpus, "doubts", ())]
    notes += [Note("names", n.where, n.reason) for n in alike(clips)]
    if split is not None:
        contents = Contents(store.folder / "contents")
        shared = shared_media(split, clips, lambda path: contents.of([path])[0])
        notes += [Note("shared", n.where, n.reason) for n in shared]
    return notes


def _further(count: Count | None, before: int, total: int) -> Count | None:
    """Progress of one group within all."""
    if count is None:
        return None
    return lambda done, _, what: count(before + done, total, what)
