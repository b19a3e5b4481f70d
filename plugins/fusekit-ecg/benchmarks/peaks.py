"""R peaks on real recordings: ours beside NeuroKit2's default detector, as a table.

    python benchmarks/peaks.py FOLDER

FOLDER holds heartpy_118e12.csv (06, 00) with *_ann.csv: two minutes each of MIT-BIH record 118 of the noise
stress test, 360 samples per second, the first 40 s clean, then electrode motion at 12, 6, 0 dB; and
neurokit_good_4000.csv with its annotation.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusekit_ecg.beats import find_beats

TOLERANCE_S = 0.15
"""As in ANSI/AAMI EC57."""
STRESS_RATE, CLEAN_S, END_S = 360, 40.0, 120.0
LEVELS = {"118e12": "12 dB", "118e06": "6 dB", "118e00": "0 dB"}
GOOD_RATE = 4000


@dataclass(frozen=True)
class Score:
    """Beats found, missed, and found where there is none."""

    right: int
    missed: int
    extra: int

    @property
    def wrong(self) -> int:
        """Missed or extra."""
        return self.missed + self.extra

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictive value."""
        return 2 * self.right / max(2 * self.right + self.wrong, 1)


def match(truth: np.ndarray, found: np.ndarray, tolerance_s: float = TOLERANCE_S) -> Score:
    """Two lists of seconds, paired one to one within the tolerance: as many pairs as there can be."""
    i = j = right = 0
    while i < len(truth) and j < len(found):
        apart = found[j] - truth[i]
        right += abs(apart) <= tolerance_s
        i, j = i + (apart >= -tolerance_s), j + (apart <= tolerance_s)
    return Score(right, len(truth) - right, len(found) - right)


def stress_record(folder: Path, record: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples `(n,)` and annotated beats in seconds."""
    samples = np.loadtxt(folder / f"heartpy_{record}.csv")
    return samples, np.loadtxt(folder / f"heartpy_{record}_ann.csv") / STRESS_RATE


def good_record(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Samples `(n,)` at 4000 per second, and `(m, 2)` first and last second of each annotated QRS complex.

    Of the first only the end is annotated, of the last only the begin: they are taken to be as long as the
    median of the others.
    """
    samples = np.loadtxt(folder / "neurokit_good_4000.csv", delimiter=",")[:, 1]
    with (folder / "neurokit_good_4000_annotation.csv").open(newline="") as file:
        rows = {row[0]: [float(cell) if cell else np.nan for cell in row[1:]] for row in csv.reader(file)}
    begin, end = np.array(rows["ECG_R_Onsets"]), np.array(rows["ECG_R_Offsets"])
    end = end[: len(begin)] if len(end) >= len(begin) else np.append(end, np.nan)
    length = np.nanmedian(end - begin)
    begin = np.where(np.isnan(begin), end - length, begin)
    end = np.where(np.isnan(end), begin + length, end)
    return samples, np.stack([begin, end], axis=1) / GOOD_RATE


def ours(samples: np.ndarray, rate: int) -> np.ndarray:
    """Beats of `find_beats`, seconds."""
    return find_beats(samples[:, None], rate).times


def neurokit(samples: np.ndarray, rate: int, method: str = "neurokit") -> np.ndarray:
    """R peaks of NeuroKit2 after its own cleaning, seconds."""
    import neurokit2

    cleaned = neurokit2.ecg_clean(samples, sampling_rate=rate, method=method)
    _, found = neurokit2.ecg_peaks(cleaned, sampling_rate=rate, method=method)
    return np.asarray(found["ECG_R_Peaks"], np.float64) / rate


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    detectors = {"fusekit-ecg": ours, "NeuroKit2 default": neurokit}
    print(f"Beats within {1000 * TOLERANCE_S:.0f} ms, one to one.\n")
    print("| record | part | detector | beats | missed | extra | F1 |")
    print("|---|---|---|---|---|---|---|")
    for record, level in LEVELS.items():
        samples, truth = stress_record(folder, record)
        for name, detect in detectors.items():
            found = detect(samples, STRESS_RATE)
            for part, low, high in (("clean", 0.0, CLEAN_S), (level, CLEAN_S, END_S)):
                kept = [x[(x >= low) & (x < high)] for x in (truth, found)]
                score = match(*kept)
                print(
                    f"| {record} | {part} | {name} | {len(kept[0])} | {score.missed} | {score.extra} | "
                    f"{score.f1:.3f} |"
                )
    samples, complexes = good_record(folder)
    for name, detect in detectors.items():
        found = detect(samples, GOOD_RATE)
        inside = (found[:, None] >= complexes[:, 0]) & (found[:, None] <= complexes[:, 1])
        print(
            f"\n{name} on neurokit_good: {len(found)} beats, {inside.any(axis=1).sum()} inside an annotated "
            f"QRS complex; {inside.any(axis=0).sum()} of {len(complexes)} complexes have one."
        )


if __name__ == "__main__":
    main()
