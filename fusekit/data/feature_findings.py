"""What in the numbers of feature tables looks like a mistake: codes for gaps, and columns in another unit.

Nothing here decides what is used: it is told, so that whoever made the tables can look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusekit.contracts import Clip, Reader, Rejected, Stream

CODE = 3.0
"""A number that stands so many times the width of all others away from them is a code, no measurement."""
UNLIKE, UNLIKE_ALONE = 5.0, 25.0
"""Three quarters of a clip's rows this many times as large as the largest of most clips: another unit. The
second where fewer than half of its columns are so: one of many may well be heavy-tailed."""
FEWEST_ROWS, FEWEST_CLIPS = 10, 3
_EQUAL = 0.005  # share of rows of one number throughout that is worth a word
_ROWS = 20_000  # of a longer table every second, third, ... row is looked at


@dataclass(frozen=True)
class Sizes:
    """One column in one clip: the largest |x|, and what three quarters of its rows exceed."""

    most: float
    usual: float


@dataclass(frozen=True)
class _Table:
    """Complete rows `(n, F)` of one clip's table, and the names of its columns."""

    clip: str
    values: np.ndarray
    names: tuple[str, ...]


def table_notes(
    clips: Sequence[Clip],
    streams: Mapping[str, Mapping[str, Stream]],
    readers: Mapping[str, Reader],
    usual: dict[str, dict[str, list[Sizes]]],
) -> list[Rejected]:
    """Notes on the feature tables of some clips.

    Args:
        streams: as `prepare_clips` gives them.
        usual: sizes of the training's columns, by modality and name; filled in where a modality is missing.
    """
    notes = []
    for m, reader in readers.items():
        if reader.medium != "features":
            continue
        own = [(c.id, streams[c.id][m]) for c in clips if m in streams.get(c.id, {})]
        tables = [table for clip, stream in own if (table := _table(clip, stream, reader)) is not None]
        notes += [Rejected(f"modality {m}", text) for text in (*_codes(tables), *_equal_rows(tables))]
        sizes = {t.clip: _sizes(t) for t in tables}
        kept = usual.setdefault(m, _by_column(sizes.values()))
        notes += [Rejected(clip, f"{m}: {text}") for clip, text in _units(sizes, kept)]
    return notes


def _table(clip: str, stream: Stream, reader: Reader) -> _Table | None:
    if "values" not in stream or "complete" not in stream:
        return None
    step = len(stream["values"]) // _ROWS + 1
    values = np.asarray(stream["values"][::step])[np.asarray(stream["complete"][::step], bool)]
    if values.ndim != 2 or len(values) < FEWEST_ROWS:
        return None
    names = tuple(reader.columns_in(stream)) or tuple(str(k + 1) for k in range(values.shape[1]))
    width = len(names)  # means go before deviations and slopes
    return _Table(clip, values[:, :width].astype(np.float64), names) if width <= values.shape[1] else None


def _codes(tables: Sequence[_Table]) -> list[str]:
    """A number at the end of a column's range, there several times, far from all others."""
    ends: dict[tuple[str, int], list[tuple[float, int, float, float, str]]] = {}
    rows: dict[str, int] = {}
    for t in tables:
        for k, name in enumerate(t.names):
            rows[name] = rows.get(name, 0) + len(t.values)
            for sign in (1, -1):
                column = sign * t.values[:, k]
                end = float(column.min())
                rest = column[column > end]
                near, far = (float(rest.min()), float(rest.max())) if len(rest) else (np.inf, -np.inf)
                found = (end, int((column == end).sum()), near, far, t.clip)
                ends.setdefault((name, sign), []).append(found)
    told: dict[str, list[str]] = {}
    for (name, sign), found_ends in ends.items():
        end = min(e for e, *_ in found_ends)
        at = [f for f in found_ends if f[0] == end]
        others = [f for f in found_ends if f[0] != end]
        near = min([f[2] for f in at] + [f[0] for f in others])
        far = max([f[3] for f in at] + [max(f[0], f[3]) for f in others])
        count = sum(f[1] for f in at)
        if count < 3 or not far > near or not near - end > CODE * (far - near):
            continue
        told.setdefault(f"{sign * end:g}", []).append(
            f"{name!r} ({count / rows[name]:.1%}, first {at[0][4]})"
        )
    return [
        f"exactly {code} stands in column {_some(columns)}, far from all other numbers: does it mark a gap? "
        "Leave such cells empty, or let `valid` name a column and its least value"
        for code, columns in told.items()
    ]


def _equal_rows(tables: Sequence[_Table]) -> list[str]:
    """Rows in which every column is one and the same number, as programs write where they found nothing."""
    found: dict[float, tuple[int, str]] = {}
    total = sum(len(t.values) for t in tables)
    for t in tables:
        if t.values.shape[1] < 2:
            continue
        equal = t.values[(t.values == t.values[:, :1]).all(axis=1), 0]
        for level, count in zip(*np.unique(equal, return_counts=True), strict=True):
            before, first = found.get(float(level), (0, t.clip))
            found[float(level)] = (before + int(count), first)
    return [
        f"{count / total:.1%} of its rows hold nothing but {level:g} (first clip {first}): was nothing "
        "found there? Leave such cells empty, or let `valid` name a column and its least value"
        for level, (count, first) in found.items()
        if count >= 3 and max(_EQUAL, 2 * _by_chance(tables, level)) * total <= count < total
    ]


def _by_chance(tables: Sequence[_Table], level: float) -> float:
    """Share of rows that would hold nothing but a number if the columns came by it each for itself."""
    rows = sum(len(t.values) for t in tables)
    counts = sum((t.values == level).sum(axis=0) for t in tables)
    return float(np.prod(np.asarray(counts) / rows))


def _sizes(table: _Table) -> dict[str, Sizes]:
    large = np.abs(table.values)
    usual, most = np.quantile(large, 0.25, axis=0), large.max(axis=0)
    return {name: Sizes(float(most[k]), float(usual[k])) for k, name in enumerate(table.names)}


def _by_column(sizes: Iterable[Mapping[str, Sizes]]) -> dict[str, list[Sizes]]:
    columns: dict[str, list[Sizes]] = {}
    for own in sizes:
        for name, size in own.items():
            columns.setdefault(name, []).append(size)
    return columns


def _units(
    sizes: Mapping[str, Mapping[str, Sizes]], usual: Mapping[str, Sequence[Sizes]]
) -> list[tuple[str, str]]:
    """Clips, and their columns whose numbers are of another size than those of most training clips."""
    most = {
        n: float(np.median([s.most for s in own])) for n, own in usual.items() if len(own) >= FEWEST_CLIPS
    }
    least = {n: float(np.median([s.usual for s in usual[n]])) for n in most}
    told = []
    for clip, own in sizes.items():
        odd = {}
        for name, size in own.items():
            if name in most and size.usual > 0 and most[name] > 0:
                odd[name] = max(size.usual / most[name], least[name] / size.most)
        many = 2 * sum(ratio > UNLIKE for ratio in odd.values()) >= len(own)
        far = [name for name, ratio in odd.items() if ratio > (UNLIKE if many else UNLIKE_ALONE)]
        if not far:
            continue
        name, size = far[0], own[far[0]]
        if size.usual > most[name]:
            how = f"three quarters are beyond {size.usual:.4g}, those of most clips below {most[name]:.4g}"
        else:
            how = f"all are below {size.most:.4g}, three quarters of most clips beyond {least[name]:.4g}"
        more = f" (and of {len(far) - 1} more)" if len(far) > 1 else ""
        told.append(
            (clip, f"the numbers of column {name!r}{more}, signs apart: {how}: are they in another unit?")
        )
    return told


def _some(columns: Sequence[str], most: int = 4) -> str:
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(columns[:most]) + more
