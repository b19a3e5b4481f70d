"""Names of the numbers in feature tables: one set and one order for a corpus, kept for later files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fusekit.contracts import Clip, Reader, Rejected, Stream

Names = Mapping[str, Sequence[str]]
"""Per modality whose tables name their columns: these names, in the order that a network sees."""


@dataclass(frozen=True)
class Agreed:
    """What the tables of some clips have in common.

    Attributes:
        names: per modality whose reader names columns; () where no table does.
        rejected: clips with other columns. notes: what is odd but can be used.
    """

    names: dict[str, tuple[str, ...]]
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[Rejected] = field(default_factory=list)


def agree(
    clips: Sequence[Clip],
    streams: Mapping[str, Mapping[str, Stream]],
    readers: Mapping[str, Reader],
    kept: Names | None = None,
) -> Agreed:
    """Find the columns that each modality's tables share, and set its reader to them.

    Args:
        clips: in order of id; the names' order is that of the first table that has the names of most.
        streams: as `prepare_clips` gives them.
        kept: names that a network was trained on; a modality that they leave out takes each table in its own
            order, as runs did that kept none. None: learn them from these clips.

    Returns:
        The names, and clips whose tables have other ones; tables without names (NPY) go by their width.
    """
    names: dict[str, tuple[str, ...]] = {}
    rejected: dict[str, Rejected] = {}
    notes: list[Rejected] = []
    for modality, reader in readers.items():
        own = {c.id: streams[c.id][modality] for c in clips if modality in streams.get(c.id, {})}
        found = {clip_id: reader.columns_in(stream) for clip_id, stream in own.items()}
        named = {clip_id: columns for clip_id, columns in found.items() if columns}
        if kept is not None and modality not in kept:
            continue
        if kept is not None:
            chosen = tuple(kept[modality])
        else:
            sets = Counter(frozenset(columns) for columns in named.values())
            most = max(sets.values(), default=0)
            chosen = next((c for c in named.values() if sets[frozenset(c)] == most), ())
        if not chosen and not named:
            if type(reader).columns_in is not Reader.columns_in:
                names[modality] = ()
            continue
        if not chosen:
            notes.append(
                Rejected(
                    f"modality {modality}",
                    "the tables of the training name no columns, and these do: that their order is the same "
                    "is taken on trust",
                )
            )
        names[modality] = chosen
        for clip_id, columns in named.items():
            if chosen and set(columns) != set(chosen):
                whose = "most other clips" if kept is None else "the training"
                reason = f"{_file(clips, clip_id, modality)}{other_names(columns, chosen, whose)}"
                rejected.setdefault(clip_id, Rejected(clip_id, reason))
        bare = [clip_id for clip_id in found if clip_id not in named]
        if bare and chosen:
            notes.append(
                Rejected(
                    f"modality {modality}",
                    f"{len(bare)} of {len(found)} tables name no columns (first clip {bare[0]}), others do: "
                    "that their order is the same is taken on trust. Save all as .csv or .parquet",
                )
            )
        reader.select(chosen)
    return Agreed(names, list(rejected.values()), notes)


def _file(clips: Sequence[Clip], clip_id: str, modality: str) -> str:
    """`path: ` of a clip's file, for the beginning of a message."""
    source = next((c.sources.get(modality) for c in clips if c.id == clip_id), None)
    return "" if source is None else f"{source.path}: "


def doubts(
    clips: Sequence[Clip], streams: Mapping[str, Mapping[str, Stream]], readers: Mapping[str, Reader]
) -> list[Rejected]:
    """What readers find odd about files they can read, each kind once with the number of its clips."""
    found: dict[tuple[str, str], list[str]] = {}
    for clip in clips:
        for modality, stream in streams.get(clip.id, {}).items():
            for doubt in readers[modality].doubts(stream):
                found.setdefault((modality, doubt), []).append(clip.id)
    return [
        Rejected(f"modality {modality}", f"{doubt} ({_counted(ids)})")
        for (modality, doubt), ids in found.items()
    ]


def _counted(ids: Sequence[str]) -> str:
    return f"clip {ids[0]}" if len(ids) == 1 else f"{len(ids)} clips, first {ids[0]}"


def other_names(found: Sequence[str], wanted: Sequence[str], whose: str = "the training") -> str:
    """What a table lacks and has too much of the columns that are wanted; "": nothing, in whatever order."""
    lacks = [name for name in wanted if name not in found]
    more = [name for name in found if name not in wanted]
    if not lacks and not more:
        return ""
    said = [f"lacks {_some(lacks)}"] * bool(lacks) + [f"has {_some(more)} besides"] * bool(more)
    return (
        f"its columns are not those of {whose}: it {' and '.join(said)}. Rename, add or take off columns, or "
        "name those to take by the reader's `columns`"
    )


def _some(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
