"""Signal quality: where a lead shows a heart, second by second, known without looking ahead.

A lead is usable at the end of a second when

- in each of the last two seconds less than half is missing, flat or at a rail (lead off, saturation):
  stretches of `FLAT_S` or more in which samples do not change;
- in the ten seconds before, the beats are a heart's: median rate 40 to 180 per minute, no gap above 3 s, the
  longest interval less than 2.2 times the shortest, and the mean correlation of the beats with their own
  template (the mean beat) at least 0.66.

Source of the second rule and its numbers: Orphanidou, Bonnici, Charlton, Clifton, Vallance and Tarassenko,
"Signal-quality indices for the electrocardiogram and photoplethysmogram", IEEE J. Biomed. Health Inform. 19
(2015), 832-838. Flat lines are looked for as in the PhysioNet/CinC challenge of 2011.
"""

from __future__ import annotations

import numpy as np

from fusekit_ecg.beats import RATE, Beats
from fusekit_ecg.recording import filled
from fusekit_ecg.signals import reach_s, resample

SPAN_S = 10
FLAT_S = 0.2
FLAT_SHARE = 0.5
RATES = (40.0, 180.0)
LONGEST_GAP_S = 3.0
LONGEST_TO_SHORTEST = 2.2
CORRELATION = 0.66
FIRST_S = 5.0
"""Until then there are too few beats to judge; a lead that is recorded and not flat counts as usable."""
KNOWN_S = 0.5
"""A beat is known about so long after it: the last gap seems that much longer."""


def flat_share(signal: np.ndarray, rate: float) -> np.ndarray:
    """`(n, leads)` raw samples at their own rate, NaN where not recorded -> `(seconds, leads)` share of each
    second from the first sample on (the last may be short) that is flat or not recorded.
    """
    least = max(round(FLAT_S * rate), 2)
    same = np.zeros(signal.shape, bool)
    same[1:] = ~(np.abs(np.diff(signal, axis=0)) > 0)  # a NaN is no change either
    same[0] = ~np.isfinite(signal[0])
    position = np.arange(len(signal))[:, None]
    # A stretch is counted from its `least`-th sample on: earlier it could still become a moving signal.
    last_change = np.maximum.accumulate(np.where(same, -1, position), axis=0)
    length = position - last_change
    flat = length >= least
    second = (np.arange(len(signal)) / rate).astype(np.int64)
    count = np.bincount(second)
    # The `least` samples that went before a stretch was known to be one are its own too, in its first second.
    begun = flat & (length == least)
    total = np.stack(
        [
            np.bincount(second, column, len(count)) + np.bincount(second, first * (least - 1.0), len(count))
            for column, first in zip(flat.T, begun.T, strict=True)
        ],
        axis=1,
    )
    return np.minimum(total / count[:, None], 1.0)


def usable(signal: np.ndarray, rate: float, beats: Beats, start_s: float) -> np.ndarray:
    """Is each lead usable at the end of each second.

    Args:
        signal: `(n, leads)` at `rate`, NaN where not recorded, first sample at `start_s`.
        beats: of all leads together.

    Returns:
        `(seconds, leads)` bool: row k tells of the second that ends at `start_s + k + 1`.
    """
    good = flat_share(signal, rate) < FLAT_SHARE
    good[1:] &= good[:-1].copy()
    wave = resample(filled(signal)[0], rate, RATE)
    later_s = 0.0 if rate == RATE else reach_s(rate, RATE)
    for k in range(len(good)):
        if k + 1 < FIRST_S or not good[k].any():
            continue
        begin, end = start_s + max(k + 1 - SPAN_S, 0), start_s + k + 1
        recent = beats.until(end)
        recent = recent[recent >= begin]
        if _regular(recent, begin, end):
            good[k] &= _alike(wave, recent - start_s, end - later_s - start_s)
        else:
            good[k] = False
    return good


def trusted(good: np.ndarray, beats: Beats, start_s: float) -> Beats:
    """The beats of seconds in which a usable span of ten lies, known once the first such span is over. Rows
    before `FIRST_S` are no judgement and vouch for none.

    Args:
        good: `(seconds,)` bool: is one lead usable, as rows of `usable`.
    """
    if not len(good):
        return Beats(np.zeros(0), np.zeros(0))
    row = np.arange(len(good))
    following = np.where(good & (row + 1 >= FIRST_S), row, len(good) + SPAN_S)
    first = np.minimum.accumulate(following[::-1])[::-1]  # the first good row from each on
    second = np.clip((beats.times - start_s).astype(np.int64), 0, len(good) - 1)
    keep = first[second] < second + SPAN_S
    later = start_s + first[second] + 1
    return Beats(beats.times[keep], np.maximum(beats.known_s, later)[keep])


def _regular(beats: np.ndarray, begin: float, end: float) -> bool:
    """Could these be a heart's beats between two seconds."""
    if len(beats) < 3:
        return False
    intervals = np.diff(beats)
    gap = max(intervals.max(), beats[0] - begin, end - beats[-1] - KNOWN_S)
    return bool(
        RATES[0] <= 60 / np.median(intervals) <= RATES[1]
        and gap <= LONGEST_GAP_S
        and intervals.max() < LONGEST_TO_SHORTEST * intervals.min()
    )


def _alike(wave: np.ndarray, beats: np.ndarray, end: float) -> np.ndarray:
    """`(n, leads)` at `RATE`, beats in seconds of it -> `(leads,)` bool: do beats before `end` resemble their
    mean."""
    half = max(round(np.median(np.diff(beats)) / 2 * RATE), 2)
    centre = np.rint(beats * RATE).astype(np.int64)
    centre = centre[(centre >= half) & (centre + half <= min(len(wave), int(end * RATE)))]
    if len(centre) < 3:
        return np.zeros(wave.shape[1], bool)
    pieces = wave[centre[:, None] + np.arange(-half, half)]
    pieces = pieces - pieces.mean(axis=1, keepdims=True)
    template = pieces.mean(axis=0)
    size = np.sqrt((pieces**2).sum(axis=1) * (template**2).sum(axis=0))
    alike = np.divide((pieces * template).sum(axis=1), size, out=np.zeros_like(size), where=size > 0)
    return alike.mean(axis=0) >= CORRELATION
