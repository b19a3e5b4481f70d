"""Times in a wrong unit: labels and tables that end long after the media tell of milliseconds or frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fusekit.contracts import Clip, Labels, Reader, Stream

TOO_LONG, SLACK_S = 2.0, 2.0
"""Times that end later than twice the media's length, and two seconds after it, are in another unit."""
FAR = 100.0
"""A table so many times as long as the media is in another unit, however dense its rows."""
SPARSE_S = 0.5
"""A table with more rows a second than one in this time is in seconds: it is long."""
_UNITS = (("milliseconds", "ms", 1e3), ("microseconds", "us", 1e6), ("nanoseconds", "ns", 1e9))
_MOST_HZ = 130.0  # no camera that people are recorded with is faster
_MANY = 20  # rows tell more than the two or three of a slip
_FEW = 10.0  # every tenth frame at most is annotated; milliseconds are further apart


def misfit(clip: Clip, streams: Mapping[str, Stream], readers: Mapping[str, Reader]) -> str:
    """What is wrong with the times of a clip's tables or labels, held against its media; "": nothing.

    Args:
        streams: of this clip by modality, prepared. readers: of these modalities.
    """
    lasts = {m: float(np.asarray(stream["duration_s"]).reshape(-1)[0]) for m, stream in streams.items()}
    rate_hz = next((_rate(s) for m, s in streams.items() if readers[m].medium == "video"), None)
    for m in streams:
        source = clip.sources.get(m)
        told = getattr(readers[m], "time_unit", None) is not None or (source and source.step_s is not None)
        if readers[m].medium in ("video", "audio") or told:
            continue
        what, reference_s = _reference(clip, m, lasts, readers)
        if what and (said := _table(m, streams[m], lasts[m], what, reference_s, rate_hz, readers[m])):
            return said
    return label_misfit(clip.labels, max(lasts.values()), rate_hz) if lasts else ""


def label_misfit(labels: Labels | None, duration_s: float, rate_hz: float | None = None) -> str:
    """Why labels cannot be those of a media file that lasts `duration_s`; "": they can.

    A single label holds over the whole clip, whatever its time.

    Args:
        rate_hz: frames per second of its picture, where there is one.
    """
    if labels is None or len(labels.times) < 2:
        return ""
    last_s = float(labels.times[-1])
    if not _exceeds(last_s, duration_s):
        return ""
    said = f"its labels span {labels.times[0]:.2f}-{last_s:.2f} s, its media 0-{duration_s:.2f} s"
    found = _guess(labels.times, duration_s, rate_hz)
    if found is None and labels.times[0] > duration_s:
        return ""  # no step has a label, which says more
    if found is None:
        return f"{said}: are they another recording's? Their times count in seconds from the media's start"
    unit, name, per_s = found
    rate = "" if name != "frames" or per_s == rate_hz else "about "
    return f"{said}: time_s seems to hold {unit}. Write seconds: divide it by {rate}{per_s:g}"


def _table(
    m: str,
    stream: Stream,
    last_s: float,
    what: str,
    reference_s: float,
    rate_hz: float | None,
    reader: Reader,
) -> str:
    times = np.asarray(stream["times"], np.float64) if "times" in stream else np.zeros(0)
    sparse = len(times) > 1 and float(np.median(np.diff(times))) >= SPARSE_S
    if not _exceeds(last_s, reference_s) or not (sparse or last_s > FAR * reference_s):
        return ""
    found = _guess(times if len(times) else np.array([last_s]), reference_s, rate_hz)
    said = f"its {m} ends at {last_s:.10g} s, {what} {reference_s:.2f} s"
    if found is None or (what == _LABELS and last_s < FAR * reference_s and not _whole(times)):
        return ""
    unit, name, per_s = found
    if not hasattr(reader, "time_unit"):
        return f"{said}: its times seem to be {unit}. Write seconds: divide them by {per_s:g}"
    rate = f" and rate_hz={per_s:g}" if name == "frames" else ""
    return (
        f"{said}: its times seem to be {unit}. Set the reader's time_unit={name}{rate}, or write seconds; "
        "time_unit=s says that they are seconds indeed"
    )


_LABELS = "its labels at"


def _reference(
    clip: Clip, modality: str, lasts: Mapping[str, float], readers: Mapping[str, Reader]
) -> tuple[str, float]:
    """What a table's times are held against: media, failing these the labels, failing these other tables."""
    media = {m: last for m, last in lasts.items() if readers[m].medium in ("video", "audio")}
    if media:
        name = max(media, key=lambda m: media[m])
        return f"its {name} at", media[name]
    if clip.labels is not None and len(clip.labels.times) > 1:
        return _LABELS, float(clip.labels.times[-1])
    others = {m: last for m, last in lasts.items() if m != modality}
    if others:
        name = max(others, key=lambda m: others[m])
        return f"its {name} at", others[name]
    return "", 0.0


def _exceeds(last_s: float, most_s: float) -> bool:
    return last_s > TOO_LONG * most_s and last_s > most_s + SLACK_S


def _whole(times: np.ndarray) -> bool:
    return len(times) > 1 and bool((times == np.round(times)).all())


def _guess(times: np.ndarray, most_s: float, rate_hz: float | None) -> tuple[str, str, float] | None:
    """Name, short name and number per second of the unit in which `times` would fit into `most_s`."""
    last = float(times[-1])
    spacing = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    ratio = last / max(most_s, 1e-9)
    if times[0] >= most_s and len(times) < _MANY and ratio < FAR:
        return None
    if _whole(times) and ratio <= _MOST_HZ and spacing < _FEW:
        per_s = rate_hz if rate_hz and ratio <= 1.1 * rate_hz else _nearest_rate(ratio)
        return f"frame numbers at {per_s:g} per second", "frames", per_s
    for name, short, per_s in _UNITS:
        if last / per_s <= 1.1 * most_s + 1 and (spacing >= 1 or ratio > 5 * FAR):
            return name, short, per_s
    return None


def _nearest_rate(ratio: float) -> float:
    """The frame rate that videos have and a length so many frames as seconds tells."""
    known = np.array([10, 12.5, 15, 24, 25, 30, 48, 50, 60, 100, 120])  # 29.97 cannot be told from 30
    best = float(known[np.abs(known / ratio - 1).argmin()])
    return best if abs(best / ratio - 1) < 0.05 else round(ratio, 2)


def spacings(streams: Mapping[str, Mapping[str, Stream]], readers: Mapping[str, Reader]) -> dict[str, float]:
    """Median seconds from row to row of each modality's feature tables, `streams` by clip and modality."""
    found: dict[str, list[float]] = {}
    for own in streams.values():
        for m, stream in own.items():
            if readers[m].medium == "features" and (spacing := _spacing(stream)) > 0:
                found.setdefault(m, []).append(spacing)
    return {m: float(np.median(each)) for m, each in found.items()}


def unlike_training(modality: str, stream: Stream, spacing_s: float) -> str:
    """Why a table is in another unit than those of the training, whose rows were `spacing_s` apart; "": it
    is not."""
    now = _spacing(stream)
    if not now > FAR * spacing_s:
        return ""
    found = next((unit for unit in _UNITS if 0.1 < now / (unit[2] * spacing_s) < 10), None)
    guess = f" They seem to be {found[0]}: write seconds." if found else ""
    return (
        f"the rows of its {modality} stand {now:.6g} s apart, those of the training {spacing_s:.6g} s.{guess}"
    )


def _spacing(stream: Stream) -> float:
    times = np.asarray(stream["times"], np.float64) if "times" in stream else np.zeros(0)
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _rate(stream: Stream) -> float | None:
    """Frames per second of a picture's stream, where it keeps their times."""
    spacing = _spacing(stream)
    return round(1 / spacing, 2) if spacing > 0 else None


def sparse_rows(times: Sequence[float] | np.ndarray) -> str:
    """What is odd about times in whole numbers that stand far apart, where there is nothing to hold them
    against; "": nothing."""
    times = np.asarray(times, np.float64)
    if len(times) < 20 or not _whole(times) or float(np.median(np.diff(times))) < _FEW:
        return ""
    spacing = float(np.median(np.diff(times)))
    return (
        f"its rows stand {spacing:g} s apart: if its times are milliseconds, set the reader's time_unit=ms "
        "(time_unit=s says that they are seconds)"
    )
