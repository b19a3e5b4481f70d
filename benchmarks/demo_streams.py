"""What is there to gain: the demo's face and voice, with linear readings of ECG and words beside them.

    fusekit train demo --run runs/demo
    fusekit evaluate runs/demo --final
    python benchmarks/demo_streams.py runs/demo

Not fusekit's fusion, and no network: heart rate by a threshold on the recorded ECG, words by the mean grade
in the lexicon that made them (a reader has to learn those grades first), with whatever damage is planted.
Twice: over the seconds before a step, and with some seconds after it, as a cue tells the mood of its
beginning and a beat is one only when it is over. Weights of ECG and words come from the 24 training subjects,
those that combine them with the run's predictions from the six validation subjects. Synthetic data.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.signal import butter, find_peaks, sosfiltfilt

from fusekit.data.synthetic import lexicon
from fusekit.data.synthetic.settings import ECG_HZ, DemoSettings, name
from fusekit.data.synthetic.streams import Streams, render

STEP_HZ = 3.125
READINGS = {"causal": (3.0, 0.0, 6.0, 0.0), "looking ahead": (3.0, 1.5, 3.0, 3.0)}
"""Seconds of ECG, how many of them after the step; seconds of words, how many of them after the step."""
RIDGE = 1e-2
CHOSEN = (("run",), ("ecg",), ("text",), ("run", "ecg"), ("run", "text"), ("run", "ecg", "text"))
TIMES = np.arange(round(DemoSettings().seconds * STEP_HZ)) / STEP_HZ


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run of the demo recipe, evaluated with --final")
    args = parser.parse_args()
    settings = DemoSettings()
    clips = {name(i): render(settings, i) for i in range(settings.subjects)}
    splits = {name(i): settings.split(i) for i in range(settings.subjects)}
    part = {split: [s for s in clips if splits[s] == split] for split in ("train", "validation", "test")}
    told = predictions(args.run)
    for reading, (heart_s, heart_ahead, words_s, words_ahead) in READINGS.items():
        seen = {
            s: {"ecg": heart(clip, heart_s, heart_ahead), "text": words(clip, words_s, words_ahead)}
            for s, clip in clips.items()
        }
        truth = {s: target(clip) for s, clip in clips.items()}
        for subject, rows in told.items():
            seen[subject]["run"] = rows
        for source in ("ecg", "text"):
            fit = ridge(joined(seen, part["train"], (source,)), stacked(truth, part["train"]))
            for subject in clips:
                seen[subject][source] = fit(seen[subject][source])
        print(f"{'CCC on the test subjects, ' + reading:<40} valence  arousal   mean")
        for chosen in CHOSEN:
            result = joined(seen, part["test"], chosen)
            if chosen != ("run",):  # the run's own predictions are scored as they are
                of = joined(seen, part["validation"], chosen)
                result = ridge(of, stacked(truth, part["validation"]))(result)
            scores = [ccc(a, b) for a, b in zip(result.T, stacked(truth, part["test"]).T, strict=True)]
            print(f"{' + '.join(chosen):<40} {scores[0]:7.3f}  {scores[1]:7.3f}  {np.mean(scores):5.3f}")


def heart(clip: Streams, window_s: float, ahead_s: float) -> np.ndarray:
    """`(T, 1)` beats per minute in a window, the middle rate of all clips where none are found."""
    band = butter(2, (5, 30), "band", fs=ECG_HZ, output="sos")
    energy = np.convolve(sosfiltfilt(band, clip.ecg) ** 2, np.ones(20) / 20, mode="same")
    peaks, _ = find_peaks(energy, height=0.3 * np.percentile(energy, 98), distance=int(0.35 * ECG_HZ))
    at, rates = peaks[1:] / ECG_HZ, 60 * ECG_HZ / np.diff(peaks)
    ok = (rates > 45) & (rates < 130)
    at, rates = at[ok], rates[ok]
    recent = [rates[(at <= t) & (at > t - window_s)] for t in TIMES + ahead_s]
    return np.array([[np.median(r) if len(r) else 85.0] for r in recent])


def words(clip: Streams, window_s: float, ahead_s: float) -> np.ndarray:
    """`(T, 2)` mean grade, and intensifiers less hedges, of the cues that end in a window."""
    rows = np.zeros((len(TIMES), 2))
    for row, t in zip(rows, TIMES + ahead_s, strict=True):
        text = " ".join(cue.text for cue in clip.cues if t - window_s < cue.stop <= t)
        force = sum(f" {w} " in f" {text} " for w in lexicon.STRONG)
        row[:] = (
            np.nan_to_num(lexicon.score(text)),
            force - sum(f" {w} " in f" {text} " for w in lexicon.WEAK),
        )
    return rows


def target(clip: Streams) -> np.ndarray:
    """`(T, 2)` valence and arousal of the latest label at or before each step."""
    at = np.searchsorted(clip.times, TIMES + 1e-6, side="right") - 1
    return np.stack([clip.valence[at], clip.arousal[at]], axis=1)


def predictions(run: Path) -> dict[str, np.ndarray]:
    """`{subject: (T, 2)}` from a run's predictions table."""
    found: dict[str, list[tuple[float, float]]] = {}
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["subject"], []).append((float(row["valence"]), float(row["arousal"])))
    return {subject: np.array(rows) for subject, rows in found.items()}


def ridge(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit `(n, F)` -> `(n, 2)`; returns the function that predicts."""
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = (x - middle) / spread
    weights = np.linalg.solve(z.T @ z + RIDGE * len(z) * np.eye(z.shape[1]), z.T @ (y - y.mean(axis=0)))
    return lambda new: (new - middle) / spread @ weights + y.mean(axis=0)


def stacked(rows: dict[str, np.ndarray], subjects: list[str]) -> np.ndarray:
    return np.concatenate([rows[s] for s in subjects])


def joined(
    seen: dict[str, dict[str, np.ndarray]], subjects: list[str], sources: tuple[str, ...]
) -> np.ndarray:
    return np.concatenate([np.hstack([seen[s][source] for source in sources]) for s in subjects])


def ccc(a: np.ndarray, b: np.ndarray) -> float:
    return float(
        2 * np.mean((a - a.mean()) * (b - b.mean())) / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    )


if __name__ == "__main__":
    main()
