"""README's picture: what a run of `ravdess-av-gas` says of its 30 test performances. No face is shown.

python benchmarks/readme_picture.py RUN docs/images/traces.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from fusekit.study.table import Table, read_table

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {
    "angry": "#D55E00",
    "fearful": "#CC79A7",
    "disgust": "#7F3C00",
    "happy": "#E69F00",
    "surprised": "#F0E442",
    "calm": "#009E73",
    "sad": "#0072B2",
    "neutral": "#888888",
}
SHOWN = ("happy", "sad", "angry", "calm")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()
    table = read_table(args.run / "predictions.csv")
    test = {name: values[table["split"] == "test"] for name, values in table.items()}

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.1), width_ratios=(1, 1.75), layout="constrained"
    )
    _circumplex(left, test)
    _sequence(right, test)
    figure.savefig(args.picture, dpi=130)


def _circumplex(axis: plt.Axes, test: Table) -> None:
    for clip in np.unique(test["clip"]):
        rows = test["clip"] == clip
        emotion = str(test["emotion"][rows][0])
        axis.scatter(
            test["valence"][rows].mean(),
            test["arousal"][rows].mean(),
            s=46,
            color=COLOURS[emotion],
            edgecolor="black",
            linewidth=0.5,
        )
    for emotion, colour in COLOURS.items():
        axis.scatter([], [], color=colour, edgecolor="black", linewidth=0.5, label=emotion)
    axis.axhline(0, color="black", lw=0.8)
    axis.axvline(0, color="black", lw=0.8)
    axis.set(xlabel="valence", ylabel="arousal", xlim=(-0.9, 0.9), ylim=(-0.9, 0.9))
    axis.set_title("mean prediction of each test performance", fontsize=10)
    axis.legend(fontsize=7, ncol=2, loc="lower left", frameon=False)
    axis.set_aspect("equal")


def _sequence(axis: plt.Axes, test: Table) -> None:
    """Predictions of four performances one after another, with truth and gate."""
    begin = 0.0
    for emotion in SHOWN:
        clip = test["clip"][test["emotion"] == emotion][0]
        rows = test["clip"] == clip
        time = begin + test["time_s"][rows]
        for dim, colour in (("valence", "#0072B2"), ("arousal", "#D55E00")):
            axis.plot(time, test[f"{dim}_true"][rows], color=colour, lw=1, ls=":")
            axis.plot(time, test[dim][rows], color=colour, lw=2, label=dim if begin == 0 else None)
        gate = test["gate_face"][rows]
        axis.fill_between(time, -1.35, -1.35 + 0.4 * gate, color="#009E73", alpha=0.6, lw=0, step="mid")
        axis.text(time.mean(), 0.98, emotion, ha="center", fontsize=10)
        begin = time[-1] + 0.8
    axis.axhline(0, color="black", lw=0.8)
    axis.text(-0.15, -1.15, "gate\n(face)", ha="right", va="center", fontsize=8)
    axis.set(xlabel="time [s]", ylim=(-1.4, 1.15), yticks=[-0.5, 0, 0.5])
    axis.set_title("step by step, truth dotted; below, the gate", fontsize=10)
    axis.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 0.16), ncol=2, frameon=False)


if __name__ == "__main__":
    main()
