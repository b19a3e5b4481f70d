"""Reader `heart-rate-variability`: what the intervals between beats say of the stretch before each step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from fusekit.contracts import Reader, Source, Stream
from fusekit.errors import DataError, RecipeError
from fusekit_ecg.beats import Beats, find_beats
from fusekit_ecg.intervals import NAMES, features, normal, standardised
from fusekit_ecg.quality import trusted, usable
from fusekit_ecg.recording import filled, read_source, recording_files
from fusekit_ecg.wave import EARLY, SUFFIXES, chosen_leads

COVERED = 0.6
"""Share of the stretch that normal intervals must fill."""


class HeartRateVariability(Reader):
    """ECG file -> `(5,)` float32 per step: mean HR, SDNN, RMSSD, pNN50 and change of HR, standardised.

    Of the beats known by the step's time (a second or so after each) those of the last `window_s` count, as
    far as signal quality vouches for them (`fusekit_ecg.quality`). Intervals are freed of artefacts and
    ectopic beats, features defined and standardised by fixed constants, as `fusekit_ecg.intervals` says.
    Absent are steps before `least_s` of signal, and those whose stretch is not filled to 60 % by normal
    intervals: features are then unknown, not 0. Frequency bands (LF, HF) need minutes and are left out.

    Args:
        leads, columns, rate_hz: as for reader `ecg`; all leads together find the beats.
        window_s: length of the stretch. 30 s carry mean HR and RMSSD; SDNN grows with it, so compare runs of
            one length only.
        least_s: seconds of signal after which there are features.
        method: how beats are found. `adaptive`: ours, after Pan, Tompkins and Hamilton, which looks at
            nothing after the step (`fusekit_ecg.beats`); or one of NeuroKit2's on the first lead, after its
            own cleaning, which looks at the whole file.

    Raises:
        RecipeError: a length makes no sense, or `columns` does not agree with `leads`.
    """

    medium: ClassVar[str] = "ecg"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    absence: ClassVar[str] = "too few regular heart beats are found before it"

    def __init__(
        self,
        *,
        leads: int | None = None,
        columns: tuple[str, ...] = (),
        rate_hz: float | None = None,
        window_s: float = 30.0,
        least_s: float = 10.0,
        method: Literal[
            "adaptive", "neurokit", "pantompkins1985", "hamilton2002", "elgendi2010", "engzeemod2012"
        ] = "adaptive",
    ) -> None:
        self.leads, self.columns, self.rate_hz = chosen_leads(leads, columns), tuple(columns), rate_hz
        if not 5 <= least_s <= window_s:
            raise RecipeError(
                f"reader heart-rate-variability: least_s must be from 5 seconds to window_s ({window_s:g}), "
                f"found {least_s:g}"
            )
        self.window_s, self.least_s, self.method = window_s, least_s, method
        self.raw_shape = (len(NAMES),)
        self.lookahead_s = 0.0 if method == "adaptive" else math.inf

    def settings(self) -> dict[str, Any]:
        return {
            "version": 2,
            "leads": self.leads,
            "columns": list(self.columns),
            "rate_hz": self.rate_hz,
            "method": self.method,
        }

    def files(self, source: Source) -> list[Path]:
        """The recording; of a WFDB record its header and signals, with all segments."""
        return recording_files(source.path)

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """`beats`, `known (n,)` seconds of each beat and of its being known; `start_s`, `duration_s (1,)`."""
        found = read_source(source, leads=self.leads, columns=self.columns, rate_hz=self.rate_hz)
        start_s = found.start_s
        signal, _ = filled(found.signal)
        beats = find_beats(signal, found.rate, start_s)
        good = np.asarray(usable(found.signal, found.rate, beats, start_s).any(axis=1))
        if self.method != "adaptive":
            beats = _neurokit(source, signal[:, 0], found.rate, start_s, self.method)
        beats = trusted(good, beats, start_s)
        return {
            "beats": beats.times,
            "known": beats.known_s,
            "start_s": np.array([start_s]),
            "duration_s": np.array([start_s + len(found.signal) / found.rate]),
        }

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """True inside the file where the stretch before a step has enough normal intervals."""
        times = np.asarray(times, np.float64)
        inside = (times >= stream["start_s"][0]) & (times <= stream["duration_s"][0])
        return inside & np.isfinite(self.measure(stream, times)).all(axis=1)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, 5)` float32; 0 where there are none."""
        return np.nan_to_num(standardised(self.measure(stream, times))).astype(np.float32)

    def measure(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, 5)` in the units of `fusekit_ecg.intervals.NAMES`, NaN where unknown."""
        beats = Beats(stream["beats"], stream["known"])
        start_s = float(stream["start_s"][0])
        out = np.full((len(times), len(NAMES)), np.nan)
        for i, time in enumerate(np.asarray(times, np.float64).tolist()):
            begin = max(time - self.window_s, start_s)
            if time - start_s < self.least_s - EARLY:
                continue
            known = beats.until(time + EARLY)
            intervals = np.diff(known[known >= begin])
            good = normal(intervals)
            if intervals[good].sum() >= COVERED * (time - begin):
                out[i] = features(intervals, good)
        return out


def _neurokit(source: Source, lead: np.ndarray, rate: float, start_s: float, method: str) -> Beats:
    import neurokit2

    try:
        cleaned = neurokit2.ecg_clean(lead, sampling_rate=round(rate), method=method)
        _, found = neurokit2.ecg_peaks(cleaned, sampling_rate=round(rate), method=method)
    except Exception as fault:  # NeuroKit2's detectors raise whatever their arithmetic stumbles over
        raise DataError(
            f"{source.path}: NeuroKit2's method {method} finds no beats in it ({fault}). "
            "Use `method: adaptive`, or another of its methods."
        ) from fault
    times = start_s + np.asarray(found["ECG_R_Peaks"], np.float64) / rate
    return Beats(times, times)
