"""`fusekit predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusekit.cli.options import Device, DeviceName, Plugins, load_registry
from fusekit.cli.training import RunDir


def predict(
    run: RunDir,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODALITY=]FILE",
            help="Recordings: video, sound, or what a plugin reads; MODALITY where the suffix does not tell.",
        ),
    ],
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="[MODALITY=]FILE",
            help="A further file of the recording (an ECG, a transcript); may be given several times.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of all steps; .csv, .parquet or .json by its suffix."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture of the traces, with gate and attention.")
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Copy of the video with face box, needle and gate drawn in."),
    ] = None,
    device: DeviceName = Device.AUTO,
    plugin: Plugins = None,
) -> None:
    """Predict valence and arousal of your own recordings, step by step.

    A file without a face, or without sound, is predicted from what is left, and the table says so.

    \b
    Examples:
      fusekit predict runs/demo-20260131-101500 interview.mp4
      fusekit predict runs/demo-20260131-101500 *.wav --out table.csv
      fusekit predict runs/demo-20260131-101500 interview.mp4 --plot traces.png --video marked.mp4
      fusekit predict runs/four interview.mp4 --with ecg=interview.csv --with interview.srt
    """
    from fusekit.serve.predict import predict_files

    predict_files(
        run,
        load_registry(plugin),
        files,
        beside=beside or (),
        out=out,
        plot=plot,
        video=video,
        device=device.value,
    )
