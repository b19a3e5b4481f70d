"""Draws ten recordings of skin conductance with known valence and arousal, and their manifest."""

import csv
from pathlib import Path

import numpy as np

FOLDER, SECONDS, RATE = Path("recordings"), 60, 4
PARTS = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    rows = [["clip", "subject", "split", "labels", "eda"]]
    for number, part in enumerate(PARTS):
        rng = np.random.default_rng(number)
        name, times = f"s{number}", np.arange(0, SECONDS, 1 / RATE)
        valence, arousal = (np.sin(2 * np.pi * (times / s + rng.uniform())) for s in (24, 18))
        # The level follows arousal; how often it jumps up, to fall slowly again, follows valence.
        jumps = rng.uniform(size=len(times)) < 0.15 * (1 + valence)
        falling = np.exp(-np.arange(40) / RATE / 1.5)
        level = 5 * 1.5**arousal + np.convolve(jumps, falling)[: len(times)]
        save(FOLDER / f"{name}.csv", "time_s,microsiemens", times, level)
        save(FOLDER / f"{name}-labels.csv", "time_s,valence,arousal", times, valence, arousal)
        rows.append([name, name, part, f"{name}-labels.csv", f"{name}.csv"])
    with (FOLDER / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def save(file: Path, header: str, *columns: np.ndarray) -> None:
    np.savetxt(file, np.column_stack(columns), "%.4f", ",", header=header, comments="")


if __name__ == "__main__":
    main()
