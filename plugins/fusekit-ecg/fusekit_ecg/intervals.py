"""Time-domain heart rate variability of a stretch of beats, from intervals freed of artefacts."""

from __future__ import annotations

import numpy as np

SHORTEST_S, LONGEST_S = 0.3, 2.0
"""Intervals outside 30 to 200 beats per minute are none."""
DEVIATION = 0.25
"""An interval further than this share from the median of the five around it is an artefact or ectopic: the
medium level (0.25 s at 60 beats per minute, in proportion at other rates) of threshold correction in
Tarvainen et al., "Kubios HRV", Comput. Methods Programs Biomed. 113 (2014), 210-220."""
AROUND = 5
LAST = 5
"""Intervals that the recent heart rate is taken from."""

NAMES = ("mean_hr", "sdnn", "rmssd", "pnn50", "hr_change")
"""Beats per minute; ms; ms; share 0..1; beats per minute of the last intervals less the mean."""


def normal(intervals: np.ndarray) -> np.ndarray:
    """`(n,)` seconds between beats -> `(n,)` bool: a normal interval, neither artefact nor ectopic."""
    if not len(intervals):
        return np.zeros(0, bool)
    half = AROUND // 2
    padded = np.pad(intervals, half, mode="edge" if len(intervals) < AROUND else "reflect")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, AROUND), axis=1)
    possible = (intervals >= SHORTEST_S) & (intervals <= LONGEST_S)
    return possible & (np.abs(intervals - around) <= DEVIATION * around)


def features(intervals: np.ndarray, good: np.ndarray) -> np.ndarray:
    """`(n,)` seconds, `(n,)` normal -> `(5,)` as `NAMES`; NaN where there are too few.

    Definitions of the Task Force of the ESC and NASPE (Eur. Heart J. 17 (1996), 354-381): SDNN with n - 1;
    RMSSD and pNN50 of differences between neighbours that are both normal.
    """
    nn = 1000 * intervals[good]
    differences = 1000 * np.diff(intervals)[good[1:] & good[:-1]] if len(intervals) > 1 else np.zeros(0)
    if len(nn) < LAST or len(differences) < 2:
        return np.full(len(NAMES), np.nan)
    mean_hr = 60000 / nn.mean()
    return np.array(
        [
            mean_hr,
            nn.std(ddof=1),
            np.sqrt((differences**2).mean()),
            (np.abs(differences) > 50).mean(),
            60000 / nn[-LAST:].mean() - mean_hr,
        ]
    )


def standardised(values: np.ndarray) -> np.ndarray:
    """`(n, 5)` -> `(n, 5)` about mean 0 and deviation 1 over resting adults, by fixed constants.

    `(HR - 75) / 15`; `(ln SDNN - ln 50) / 0.5`; `(ln RMSSD - ln 40) / 0.6`; `(pNN50 - 0.2) / 0.2`;
    change of HR / 8. Round numbers near the norms of Nunan, Sandercock and Brodie (Pacing Clin.
    Electrophysiol. 33 (2010), 1407-1417: SDNN 50 +- 16 ms, RMSSD 42 +- 15 ms); constants, not statistics of a
    corpus, so that a recording means the same in every run. SDNN and RMSSD below 1 ms count as 1 ms.
    """
    hr, sdnn, rmssd, pnn50, change = values.T
    columns = (
        (hr - 75) / 15,
        (np.log(np.maximum(sdnn, 1)) - np.log(50)) / 0.5,
        (np.log(np.maximum(rmssd, 1)) - np.log(40)) / 0.6,
        (pnn50 - 0.2) / 0.2,
        change / 8,
    )
    return np.stack(columns, axis=1)
