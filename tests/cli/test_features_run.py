"""Feature tables by the real command line: running statistics of `mlp`, frozen, resumed, in two processes;
prediction of a recording in several files."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from fusekit.engine.supervised import Supervised
from fusekit.study.table import read_table

HZ, ROWS = 5, 20
TABLES = """\
corpus: {name: manifest, path: corpus/manifest.csv}
target: {dims: [valence, arousal], step_hz: 5}
modalities:
  pulse:
    reader:    {name: features, width: 2}
    encoder:   {name: mlp, hidden: [6], dropout: 0.2}
    projector: {name: linear, dim: 6}
"""
HEAD = """\
  head:
    reader:    {name: features, width: 3, rate_hz: 5}
    encoder:   {name: mlp, hidden: []}
    projector: {name: linear, dim: 6}
"""
VOICE = """\
  voice:
    reader:    {name: mel-spectrogram, mels: 16}
    encoder:   {name: denoising-generator, width: 4, blocks: 1}
    projector: {name: conv-pyramid, width: 4}
"""
TAIL = "fusion: {name: attention, dim: 8, score_dim: 4}\ntemporal: {name: lstm, dim: 4}\n"
WHOLE = "stages:\n  - {name: whole, objective: supervised, epochs: 3, batch_size: 8, windows: [2]}\n"
FROZEN = "  - {name: rest, objective: supervised, epochs: 2, batch_size: 4, windows: [4], freeze: [%s]}\n"
STATISTICS = tuple(
    f"model.branches.{m}.encoder.standardise.{k}"
    for m in ("pulse", "head")
    for k in ("count", "mean", "squares")
)


@pytest.fixture
def tables(shop: Any, cli: Any) -> Any:
    """The corpus has a table of `pulse` (CSV, a clip without, holes) and of `head` (NPY, far from 0) too."""
    with Path("corpus/manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    Path("corpus/tables").mkdir()
    rng = np.random.default_rng(0)
    for number, row in enumerate(rows):
        clip = row["clip"]
        pulse = rng.normal(3 * number, 1 + number, (ROWS, 2)).round(4).tolist()
        pulse[number][1] = ""
        lines = [(k / HZ, *pair) for k, pair in enumerate(pulse)]
        cli.write_rows(Path(f"corpus/tables/{clip}.csv"), ("time_s", "rate", "height"), lines)
        np.save(f"corpus/tables/{clip}.npy", rng.normal((1e4, -2, 0), (300, 1e-3, number + 1), (ROWS, 3)))
        row["pulse"] = "" if clip == "b2" else f"tables/{clip}.csv"
        row["head"] = f"tables/{clip}.npy"
    header = tuple(rows[0])
    cli.write_rows(Path("corpus/manifest.csv"), header, [[row[name] for name in header] for row in rows])
    Path("tables.yaml").write_text(TABLES + HEAD + TAIL + WHOLE)
    Path("voiced.yaml").write_text(TABLES + VOICE + TAIL + WHOLE)
    return shop


def checkpoint(run: str, name: str) -> dict[str, np.ndarray]:
    return load_file(Path(run, "checkpoints", f"{name}.safetensors"))


def test_every_reader_of_a_shared_file_is_asked_whether_it_can(tables: Any) -> None:
    assert "nothing is left out" in tables.run("data", "check", "tables.yaml").stdout
    said = tables.fault("data", "check", "tables.yaml", "modalities.pulse.source=head")
    assert "it has 3 columns of numbers; the reader's width is 2" in said


# ---------------------------------------------------------------- running statistics


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("parts", ["encoder", "encoder, quadrant"])  # live, and from cached latents
def test_frozen_encoders_keep_their_statistics(tables: Any, parts: str) -> None:
    Path("tables.yaml").write_text(TABLES + HEAD + TAIL + WHOLE + FROZEN % parts)
    tables.train(recipe="tables")
    before, after = checkpoint("run", "whole"), checkpoint("run", "rest")
    assert before[STATISTICS[0]] > 0
    for name in STATISTICS:
        assert np.array_equal(before[name], after[name]), name
    assert any(not np.array_equal(before[name], after[name]) for name in after)  # the rest has learnt


@pytest.mark.usefixtures("no_figures")
def test_statistics_are_those_of_the_training_tables(tables: Any) -> None:
    tables.train("stages.whole.epochs=1", recipe="tables")
    found = checkpoint("run", "last")
    clips = ("a1", "a2", "b1", "b2", "c1")
    head = np.concatenate([np.load(f"corpus/tables/{c}.npy") for c in clips]).astype(np.float32)
    for m, values in (("head", head), ("pulse", pulses(clips[:3] + clips[4:]))):
        count, mean, squares = (found[n] for n in STATISTICS if f".{m}." in n)
        assert count == len(values)
        np.testing.assert_allclose(mean, values.astype(float).mean(0), rtol=1e-9)
        np.testing.assert_allclose(np.sqrt(squares / count), values.astype(float).std(0), rtol=1e-6)


def pulses(clips: tuple[str, ...]) -> np.ndarray:
    """The complete rows of the tables."""
    rows = []
    for clip in clips:
        with Path(f"corpus/tables/{clip}.csv").open(newline="") as file:
            rows += [[float(x) for x in row[1:]] for row in list(csv.reader(file))[1:] if all(row)]
    return np.array(rows, np.float32)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("at", [1, 6, 9])  # within an epoch; the last batch of one and the first of another
def test_a_resumed_run_has_the_statistics_and_scores_of_an_unbroken_one(
    tables: Any, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    tables.train(recipe="tables", run="whole")
    step, done = Supervised.step, 0

    def interrupted(self: Supervised, indices: np.ndarray, epoch: int) -> Any:
        nonlocal done
        done += 1
        if done == at:
            signal.raise_signal(signal.SIGINT)
        return step(self, indices, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Supervised, "step", interrupted)
        assert tables.run("train", "tables.yaml", "--run", "run", "--device", "cpu").exit_code == 130
    assert done == at
    assert tables.run("train", "--resume", "run", "--device", "cpu").exit_code == 0
    for name in ("best", "last", "whole"):
        ours, theirs = checkpoint("run", name), checkpoint("whole", name)
        assert ours.keys() == theirs.keys()
        assert [k for k in theirs if ours[k].tobytes() != theirs[k].tobytes()] == []
    assert Path("run/predictions.csv").read_bytes() == Path("whole/predictions.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_two_processes_have_the_statistics_of_one(tables: Any) -> None:
    words = ("train", "tables.yaml", "modalities.pulse.encoder.dropout=0", "--device", "cpu")
    process = tables.process(*words, "--run", "two", "--devices", "2")
    assert tables.run(*words, "--run", "one").exit_code == 0
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    for name in ("best", "last", "whole"):
        ours, theirs = checkpoint("two", name), checkpoint("one", name)
        assert ours.keys() == theirs.keys()
        for key in theirs:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-9 if key in STATISTICS else 0,
                                       atol=0 if key in STATISTICS else 1e-5, err_msg=key)  # fmt: skip
    journals = [
        [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
        for run in ("two", "one")
    ]
    ours, theirs = ([line["validation"]["ccc"]["mean"] for line in lines] for lines in journals)
    assert ours == pytest.approx(theirs, abs=1e-4)


# ---------------------------------------------------------------- a recording in several files


@pytest.mark.usefixtures("no_figures")
def test_a_recording_in_several_files_is_predicted_as_it_was_scored(tables: Any) -> None:
    run = str(tables.train(recipe="voiced"))
    scored = read_table(Path("run/predictions.csv"))
    words = ("predict", run, "corpus/media/d1.mp4")
    for name, beside in (("suffix", ""), ("named", "pulse=")):
        result = tables.run(*words, "--with", f"{beside}corpus/tables/d1.csv", "--out", f"{name}.csv")
        assert result.exit_code == 0, result.output
        assert "voice is absent" not in result.stderr
    assert Path("suffix.csv").read_bytes() == Path("named.csv").read_bytes()
    table = read_table(Path("suffix.csv"))
    assert {*table["file"]} == {"corpus/media/d1.mp4 + corpus/tables/d1.csv"}
    for name in ("valence", "arousal", "gate_pulse", "gate_voice"):
        assert table[name] == pytest.approx(scored[name], abs=2e-3)  # batch sizes move float16's last bit
    assert not table["present_pulse"][5]  # the hole of d1
    assert table["present_pulse"].sum() == ROWS - 1
    # Without its table the recording is predicted from what is left, and says so.
    result = tables.run(*words, "--out", "alone.csv")
    assert "corpus/media/d1.mp4: pulse is absent: d1.mp4 has no features" in result.stderr
    assert np.abs(read_table(Path("alone.csv"))["valence"] - table["valence"]).max() > 1e-3
    # A summary is headed by the names of all files, without their folders.
    result = tables.run(*words, "--with", "corpus/tables/d1.csv")
    assert " d1.mp4 + d1.csv " in result.stdout
    assert "corpus" not in result.stdout

    shutil.copy("corpus/tables/d1.csv", "pulse=d1.csv")  # a name that holds the sign itself
    for beside in ("pulse=pulse=d1.csv", "pulse=d1.csv"):
        assert tables.run(*words, "--with", beside, "--out", "named.csv").exit_code == 0
    for beside, said in {
        ("corpus/tables/none.csv",): "none.csv: no such file",
        ("gaze=corpus/tables/d1.csv",): "the run has no modality gaze; it has pulse, voice.",
        ("corpus/media/d1.mp4",): "no modality of this run is known by .mp4; write MODALITY=",
        ("pulse=corpus/tables/d1.npy",): "the reader's width is 2: correct the width",
        ("pulse=corpus/tables/d1.csv", "corpus/tables/e1.csv"): "--with names two files for pulse",
        ("pulse=corpus/tables/d1.csv", "voice=corpus/media/e1.mp4"): "nothing is left for it to serve",
    }.items():
        words_of = [word for path in beside for word in ("--with", path)]
        assert said in " ".join(tables.fault(*words, *words_of, "--out", "fault.csv").split())
    two = ("corpus/media/e1.mp4", "--with", "corpus/tables/d1.csv")
    assert "--with adds to one recording, and 2 are given" in tables.fault(*words, *two)
    for name in ("corpus/tables/d1.csv", "pulse=corpus/tables/d1.csv"):
        said = tables.fault(*words, "--with", name, "--out", "corpus/tables/d1.csv")
        assert "this is one of the recordings; choose another name" in said
    # What is drawn into is the picture, whichever name it came by.
    table_first = ("predict", run, "corpus/tables/d1.csv")
    said = tables.fault(*table_first, "--video", "marked.mp4")
    assert "no picture to draw into in corpus/tables/d1.csv." in " ".join(said.split())
    assert not Path("marked.mp4").exists()
    result = tables.run(*table_first, "--with", "voice=corpus/media/d1.mp4", "--video", "marked.mp4")
    assert result.exit_code == 0, result.output
    assert Path("marked.mp4").stat().st_size > 0


def _goes_by_names(tables: Any, run: str, head: str, before: np.ndarray) -> None:
    """The run keeps its tables' names and takes columns by them; one that has none says so."""
    provenance = Path(run, "provenance.json")
    kept = json.loads(provenance.read_text(encoding="utf-8"))
    assert kept["columns"] == {"pulse": ["rate", "height"], "head": []}
    with Path("corpus/tables/d1.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    swapped, other, slow = Path("swapped.csv"), Path("other.csv"), Path("slow.csv")
    for path, order, names in ((swapped, (0, 2, 1), None), (other, (0, 1, 2), ["time_s", "rate", "weight"])):
        lines = [[row[i] for i in order] for row in rows]
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names or lines[0], *lines[1:]])
    with slow.open("w", newline="", encoding="utf-8") as file:
        milliseconds = [[float(row[0]) * 1000, *row[1:]] for row in rows[1:]]
        csv.writer(file).writerows([rows[0], *milliseconds])
    words = ("--with", f"head={head}", "--out", "found.csv")
    assert tables.run("predict", run, f"pulse={swapped}", *words).exit_code == 0
    assert (read_table(Path("found.csv"))["valence"] == before).all()
    said = " ".join(tables.fault("predict", run, f"pulse={other}", *words).split())
    assert "other.csv: its columns are not those of the training: it lacks 'height' and has 'weight'" in said
    said = " ".join(tables.fault("predict", run, f"pulse={slow}", *words).split())
    assert "slow.csv: the rows of its pulse stand 200 s apart, those of the training 0.2 s." in said
    older = {name: value for name, value in kept.items() if name not in ("columns", "spacings_s")}
    provenance.write_text(json.dumps(older), encoding="utf-8")
    result = tables.run("predict", run, "pulse=corpus/tables/d1.csv", *words)
    assert (read_table(Path("found.csv"))["valence"] == before).all()
    assert "trained before the names of tables' columns were kept" in " ".join(result.stderr.split())
    provenance.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.usefixtures("no_figures")
def test_of_two_tables_each_is_told_whose_it_is(tables: Any) -> None:
    run = str(tables.train(recipe="tables"))
    pulse, head = "corpus/tables/d1.csv", "corpus/tables/d1.npy"
    said = tables.fault("predict", run, pulse)
    assert f"{pulse}: pulse and head both read .csv; write MODALITY={pulse}." in " ".join(said.split())
    both = [(f"pulse={pulse}", f"head={head}"), (pulse, f"head={head}"), (f"head={head}", f"pulse={pulse}")]
    for number, (first, beside) in enumerate(both):
        result = tables.run("predict", run, first, "--with", beside, "--out", f"{number}.csv")
        assert result.exit_code == 0, result.output
    tables_of = [read_table(Path(f"{number}.csv"))["valence"] for number in range(3)]
    assert (tables_of[0] == tables_of[1]).all()
    assert (tables_of[0] == tables_of[2]).all()
    _goes_by_names(tables, run, head, tables_of[0])
    result = tables.run("predict", run, f"head={head}", "--out", "head.csv")
    assert "pulse is absent: no file was given for it" in " ".join(result.stderr.split())
    said = tables.fault("predict", run, f"head={head}", "--with", f"head={head}")
    assert "two files are named for head" in said
    said = tables.fault("predict", run, f"pulse={pulse}", "--out", pulse)
    assert "this is one of the recordings" in said
