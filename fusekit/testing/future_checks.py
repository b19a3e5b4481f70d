"""Rules of readers on time: nothing of the future beyond `lookahead_s`, and nothing late either."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fusekit.contracts import Reader, Stream
from fusekit.errors import DataError
from fusekit.registry import Kind
from fusekit.testing.findings import rule
from fusekit.testing.reader_checks import prepared
from fusekit.testing.recordings import first_difference, joined
from fusekit.testing.subject import Subject

SHARES = (0.6, 0.337, 0.81)
"""Where in the recording the content changes: not all of it even multiples of a step."""
NEAR_S = 0.004
"""So close before the change a window is still asked for; readers forgive clocks a millisecond or two."""
STEP_S = 0.01


def _before(second: float) -> np.ndarray:
    """Times up to `second`, close before it too."""
    times = np.append(np.arange(0.0, second - NEAR_S, STEP_S), second - NEAR_S)
    return times[times >= 0]


def _rounding(windows: np.ndarray) -> float:
    """Differences up to this are no content, in any unit."""
    return 1.0 if windows.dtype == np.uint8 else 1e-4 * float(np.abs(windows).max(initial=0.0))


@rule(
    "lookahead",
    Kind.READER,
    says="What the file holds after t + lookahead_s changes neither the window at t nor presence there.",
    documented="fusekit.contracts.Reader, lookahead_s",
    applies=lambda case: case.altered is not None,
)
def _lookahead(subject: Subject) -> Iterator[str]:
    reader = subject.make()
    assert subject.case.altered is not None
    if np.isinf(reader.lookahead_s):
        return  # it says that it reads the whole file
    stream = prepared(subject, reader)
    for share in SHARES:
        second = share * float(stream["duration_s"][0])
        other = reader.prepare(subject.case.altered(subject.inner(f"altered-{share}"), second))
        times = _before(second - reader.lookahead_s)
        if not len(times):
            if share == max(SHARES):
                yield f"the case's recording is too short for a lookahead of {reader.lookahead_s:.2f} s"
            continue
        found = list(_foreseen(reader, stream, other, times, second, f"other content from {second:.2f} s on"))
        yield from found
        after = np.linspace(second, float(stream["duration_s"][0]), 20)
        same = first_difference(reader.windows(stream, after), reader.windows(other, after)) < 0
        if same and share == SHARES[0]:
            yield f"the case's `altered` changes no window after {second:.2f} s, so it shows nothing"
            return
        if found:
            return


def _foreseen(
    reader: Reader, stream: Stream, other: Stream, times: np.ndarray, second: float, what: str
) -> Iterator[str]:
    """What two streams that part at `second` let see of it at `times` before."""
    a, b = reader.windows(stream, times), reader.windows(other, times)
    at = first_difference(a, b, _rounding(a))
    if at >= 0:
        yield (
            f"{what} changes the window at {times[at]:.2f} s: it looks at least {second - times[at]:.2f} s "
            f"ahead, lookahead_s says {reader.lookahead_s:.2f}"
        )
    odd = np.flatnonzero(reader.present(stream, times) != reader.present(other, times))
    if odd.size:
        ahead = second - times[odd[0]]
        yield (
            f"{what} changes who is present at {times[odd[0]]:.2f} s, {ahead:.2f} s before; "
            f"lookahead_s says {reader.lookahead_s:.2f}"
        )


@rule(
    "presence",
    Kind.READER,
    says="Presence knows no future: where content ends, begins or has a hole is not known before it is.",
    documented="fusekit.contracts.Reader.present",
    applies=lambda case: case.file is not None and case.blank is not None,
)
def _presence(subject: Subject) -> Iterator[str]:
    reader, case = subject.make(), subject.case
    assert case.file is not None
    assert case.blank is not None
    if np.isinf(reader.lookahead_s):
        return
    full, empty = case.file(subject.inner("full")), case.blank(subject.inner("empty"))
    duration_s = float(reader.prepare(full)["duration_s"][0])
    plans = {
        "ends": ((full, empty), (0.6,), (full,), ()),
        "begins": ((empty, full), (0.6,), (empty,), ()),
        "comes back": ((full, empty, full), (0.4, 0.7), (full, empty), (0.4,)),
    }
    for what, (parts, shares, without, share) in plans.items():
        one = joined(subject, f"{what}-1", parts, shares, duration_s)
        two = joined(subject, f"{what}-2", without, share, duration_s)
        if one is None or two is None:
            return  # such files cannot be joined
        second = one.seconds[-1]
        times = _before(second - reader.lookahead_s)
        if not len(times):
            continue
        try:
            before, after = (reader.prepare(joint.source) for joint in (two, one))
        except DataError:
            continue  # it does not take such a joint, and says so
        yield from _foreseen(reader, before, after, times, second, f"content that {what} at {second:.2f} s")


@rule(
    "on-time",
    Kind.READER,
    says="Content is in the window as soon as lookahead_s allows: not half a step late, by an index, say.",
    documented="docs/testing.md, Time",
    applies=lambda case: case.altered is not None,
)
def _on_time(subject: Subject) -> Iterator[str]:
    reader = subject.make()
    assert subject.case.altered is not None
    if np.isinf(reader.lookahead_s):
        return
    stream = prepared(subject, reader)
    end = float(stream["duration_s"][0])
    late, rows, bins = [], 0.0, _moves_every(reader, stream)
    for share in (0.5, 0.541, 0.583, 0.618, 0.667, 0.73):  # windows of whole bins are late by less in some
        second = share * end
        other = reader.prepare(subject.case.altered(subject.inner(f"later-{share}"), second))
        began = _began(stream, other)
        if began is None:
            return
        from_s, rows = began
        seen = _first_seen(reader, stream, other, end)
        if seen is None:
            return
        late.append(seen - (max(second, from_s) - reader.lookahead_s))
    # Bins of several rows are known when their last row is over; a row is known at once.
    allowed = rows + 0.45 * bins if bins > 1.5 * rows else 0.45 * rows
    if min(late) > max(allowed, NEAR_S):
        yield (
            f"content enters the window {min(late):.3f} s late (it moves every {max(bins, rows):.3f} s): "
            "the latest row at or before t + lookahead_s belongs in it"
        )


def _moves_every(reader: Reader, stream: Stream) -> float:
    """Seconds between two changes of the window, as time goes on."""
    end = float(stream["duration_s"][0])
    times = np.arange(0.4 * end, min(0.6 * end, 0.4 * end + 4.0), 0.005)
    seen = reader.windows(stream, times)
    changes = times[1:][(seen[1:] != seen[:-1]).reshape(len(times) - 1, -1).any(axis=1)]
    return float(np.median(np.diff(changes))) if len(changes) > 2 else 0.0


def _began(stream: Stream, other: Stream) -> tuple[float, float] | None:
    """When the rows of two streams part, and how far apart rows are; None where no array tells."""
    end, found = float(stream["duration_s"][0]), []
    for name, a in stream.items():
        b = other.get(name)
        if b is None or a.ndim == 0 or min(len(a), len(b)) < 8 or a.shape[1:] != b.shape[1:]:
            continue
        at = first_difference(a, b)
        if at >= 0:
            clocks = [
                c[at]
                for pair in ((stream, n) for n in stream)
                for s in (stream, other)
                if pair[1] in s
                and (c := s[pair[1]]).ndim == 1
                and len(c) == len(s[name])
                and _is_clock(c, end)
            ]
            found.append((float(min(clocks)) if clocks else at * end / len(a), end / len(a)))
    return max(found) if found else None


def _is_clock(times: np.ndarray, end: float) -> bool:
    """Do these numbers look like the times of rows: increasing seconds within the recording."""
    rising = times.dtype.kind == "f" and len(times) > 1 and bool((np.diff(times) > 0).all())
    return rising and 0.5 * end <= float(times[-1]) <= 1.05 * end


def _first_seen(reader: Reader, stream: Stream, other: Stream, end: float) -> float | None:
    """The first time at which the windows of two streams differ, to a millisecond."""
    times = np.arange(0.0, end, 2 * STEP_S)
    a = reader.windows(stream, times)
    rounding = 1e-6 * float(np.abs(a).max(initial=0.0))
    at = first_difference(a, reader.windows(other, times), rounding)
    if at <= 0:
        return None
    low, high = float(times[at - 1]), float(times[at])
    while high - low > 0.001:
        middle = np.array([(low + high) / 2])
        same = first_difference(reader.windows(stream, middle), reader.windows(other, middle), rounding) < 0
        low, high = (float(middle[0]), high) if same else (low, float(middle[0]))
    return high
