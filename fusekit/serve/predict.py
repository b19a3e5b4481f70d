"""`fusekit predict`: recordings in; a table, a figure or an annotated video out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from fusekit.contracts import Reader
from fusekit.engine.files import unwritable
from fusekit.engine.progress import BarProgress
from fusekit.errors import DataError, FusekitError, MissingExtraError
from fusekit.registry import Registry
from fusekit.runs import open_run
from fusekit.serve.predictor import FilePrediction, Predictor
from fusekit.serve.sources import mediums, modality_of
from fusekit.study.table import SUFFIXES, write_table

SHOWN_ROWS = 10


def predict_files(
    run_dir: Path,
    registry: Registry,
    files: Sequence[Path],
    *,
    beside: Sequence[str] = (),
    out: Path | None = None,
    plot: Path | None = None,
    video: Path | None = None,
    device: str = "auto",
) -> list[FilePrediction]:
    """Predict recordings with a run; without `out`, `plot` or `video` a summary is printed.

    Args:
        beside: `[MODALITY=]FILE`, further files of the one recording; without a modality the suffix tells it.
        out: table of every step of every file (`FilePrediction.columns`), CSV, Parquet or JSON by suffix.
        plot: PNG of the traces; video: MP4 with face box, needle and gate drawn in. Either takes one file.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        FusekitError: the request makes no sense (before any work); a file cannot be predicted (after the
            others are done and written).
    """
    files = [Path(f) for f in files]
    _check_request(files, beside, out, plot, video)
    found: list[FilePrediction] = []
    failed: list[str] = []
    with BarProgress() as progress:
        predictor = Predictor(open_run(run_dir, registry, device))
        for note in predictor.run.notes:
            progress.say(note)
        more = _more(beside, predictor.run.readers)
        if video is not None:
            _check_picture(video, (files[0], *more.values()), predictor.run.readers)
        for file in files:
            try:
                counter = progress.counter(f"predicting {file.name}")
                one = predictor.predict_file(_recording(file, more, predictor.run.readers), progress=counter)
            except DataError as error:
                if len(files) == 1:
                    raise
                failed.append(str(error))
                progress.say(f"left out: {error}")
                continue
            for note in one.notes:
                progress.say(f"{file}: {note}")
            found.append(one)
        if found and out is not None:
            write_table(out, _stacked(found))
            progress.say(f"{sum(len(f.times) for f in found)} steps of {len(found)} files -> {out}")
        if found and plot is not None:
            progress.say(f"traces -> {_plot(found[0], _title(files[0], more), plot)}")
        if found and video is not None:
            from fusekit.serve.annotate import annotate

            drawn = annotate(found[0], video, progress.counter(f"drawing {video.name}"))
            progress.say(f"annotated copy -> {drawn}")
    if found and out is None and plot is None and video is None:
        names = [Path(f.file).name for f in found] if len(files) > 1 else [_title(files[0], more)]
        _print(found, names)
    if failed:
        reasons = "\n  ".join(failed)
        raise DataError(f"{len(failed)} of {len(files)} files could not be predicted:\n  {reasons}")
    return found


def _more(beside: Sequence[str], readers: Mapping[str, Reader]) -> dict[str, Path]:
    """Words of `--with` -> file per modality."""
    more: dict[str, Path] = {}
    for name, path in (_named(word, readers) for word in beside):
        if name in more:
            raise DataError(f"--with names two files for {name}: {more[name]} and {path}; one will do.")
        more[name] = path
    return more


def _recording(file: Path, more: Mapping[str, Path], readers: Mapping[str, Reader]) -> Path | dict[str, Path]:
    """A recording's first file, which may be written MODALITY=FILE, and those of `--with`."""
    name, path = _parted(str(file), readers)
    if name in more:
        raise DataError(f"two files are named for {name}: {path} and {more[name]}; one will do.")
    return {name: path, **more} if name or more else path


def _parted(word: str, readers: Mapping[str, Reader]) -> tuple[str, Path]:
    """`[MODALITY=]FILE` -> modality or "", and file. A file whose own name holds the sign goes first."""
    name, equals, rest = word.partition("=")
    return (name, Path(rest)) if equals and name in readers and not Path(word).is_file() else ("", Path(word))


def _title(file: Path, more: Mapping[str, Path]) -> str:
    """A recording's files without their folders."""
    return " + ".join(path.name for path in (file, *more.values()))


def _named(word: str, readers: Mapping[str, Reader]) -> tuple[str, Path]:
    """A word of `--with` -> modality and file."""
    name, path = _parted(word, readers)
    if not name and "=" in word and not path.is_file():
        raise DataError(
            f"--with {word}: the run has no modality {word.partition('=')[0]}; it has {', '.join(readers)}."
        )
    return name or modality_of(path, readers), path


def _check_request(
    files: Sequence[Path], beside: Sequence[str], out: Path | None, plot: Path | None, video: Path | None
) -> None:
    """Everything that would come to light only after the work."""
    if beside and len(files) != 1:
        raise FusekitError(f"--with adds to one recording, and {len(files)} are given; run it once for each.")
    wanted = (("--out", out, SUFFIXES), ("--plot", plot, (".png",)), ("--video", video, (".mp4",)))
    words = [*map(str, files), *beside]
    # A file's own name may hold the sign that parts modality and file.
    inputs = {Path(f).resolve() for word in words for f in (word, word.partition("=")[2]) if f}
    for option, path, suffixes in wanted:
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise FusekitError(f"{option} {path}: the name must end in {' or '.join(suffixes)}.")
        if path.resolve() in inputs:
            raise FusekitError(f"{option} {path}: this is one of the recordings; choose another name.")
        if path.is_dir():
            raise FusekitError(f"{option} {path}: is a folder; name a file.")
        if reason := unwritable(path.parent):
            raise FusekitError(f"{option} {path}: cannot be written, {reason}. Choose another place.")
        if option != "--out" and len(files) > 1:
            raise FusekitError(
                f"{option} takes one recording, and {len(files)} are given; run it once for each."
            )
    if not files:
        raise FusekitError("name at least one file.")
    if out is not None and out.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"{out}: Parquet needs pyarrow: pip install 'fusekit-multimodal[parquet]', or choose .csv."
        )


def _check_picture(video: Path, files: Sequence[Path], readers: Mapping[str, Reader]) -> None:
    if not any("video" in mediums(file, readers) for file in files):
        raise DataError(f"--video {video}: no picture to draw into in {', '.join(map(str, files))}.")


def _stacked(found: Sequence[FilePrediction]) -> dict[str, np.ndarray]:
    tables = [f.columns() for f in found]
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}


def _plot(one: FilePrediction, name: str, path: Path) -> Path:
    from fusekit.study.trace_figures import traces

    table = one.columns()
    table["clip"] = np.full(len(one.times), name)
    table |= {f"{dim}_true": np.full(len(one.times), np.nan) for dim in one.dims}
    return traces(table, name, path)


def _print(found: Sequence[FilePrediction], names: Sequence[str]) -> None:
    """A row per file; for a single file also steps spread evenly over it."""
    from fusekit.study.terminal import print_table

    first = found[0]
    low, high = first.label_range
    share = "present, gate" if "gate" in first.trace else "present"
    columns = ["file", "steps", *first.dims, *(f"{m}: {share}" for m in first.modalities)]
    rows = []
    # The folder only where two files share a name.
    for one, name in zip(found, names, strict=True):
        cells = [name if names.count(name) == 1 else one.file, str(len(one.times))]
        cells += [f"{column.mean():+.2f}±{column.std():.2f}" for column in one.prediction.T]
        for i in range(len(one.modalities)):
            gate = f", {one.trace['gate'][:, i].mean():.2f}" if "gate" in one.trace else ""
            cells.append(f"{one.present[:, i].mean():.0%}{gate}")
        rows.append(cells)
    print_table(columns, rows, title=f"mean ± sd of the steps (labels {low:g} to {high:g})")
    if len(found) == 1:
        _print_some_steps(first)


def _print_some_steps(one: FilePrediction) -> None:
    from fusekit.study.terminal import print_table

    rows = np.unique(np.linspace(0, len(one.times) - 1, SHOWN_ROWS).round().astype(int))
    gate = one.trace.get("gate")
    columns = ["seconds", *one.dims, *(f"gate {m}" if gate is not None else m for m in one.modalities)]
    table = []
    for row in rows:
        cells = [f"{one.times[row]:.2f}", *(f"{value:+.3f}" for value in one.prediction[row])]
        for i, here in enumerate(one.present[row]):
            cells.append("absent" if not here else "present" if gate is None else f"{gate[row, i]:.2f}")
        table.append(cells)
    print_table(columns, table, title=f"{len(rows)} of {len(one.times)} steps (--out FILE.csv writes all)")
