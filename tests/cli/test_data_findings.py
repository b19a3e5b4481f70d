"""What `data check` finds by reading every file, and that `train` finds the same, tells it and keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

MANIFEST = Path("corpus/manifest.csv")
TRAIN = (
    "train",
    "tiny.yaml",
    "--run",
    "run",
    "--device",
    "cpu",
    "stages.latent.epochs=0",
    "stages.sequence.epochs=0",
)


def rewrite(path: Path, change: Any) -> None:
    """`change(time_s, valence, arousal)` of every label of one file."""
    header, *rows = path.read_text().splitlines()
    numbers = [list(map(float, row.split(","))) for row in rows]
    path.write_text("\n".join([header, *(",".join(map(str, change(*row))) for row in numbers)]) + "\n")


def labels() -> list[Path]:
    return sorted(Path("corpus/labels").iterdir())


def silence(clip: str, seconds: float) -> None:
    """A sound of its own for one clip, digital silence."""
    soundfile.write(f"corpus/media/{clip}.wav", np.zeros(int(8000 * seconds)), 8000)
    text = MANIFEST.read_text()
    row = next(line for line in text.splitlines() if line.startswith(clip))
    MANIFEST.write_text(text.replace(row, row.rpartition(",")[0] + f",media/{clip}.wav"))


def spoil() -> list[str]:
    """A corpus with a mistake of most kinds, and how each is told."""
    for path in labels():
        rewrite(path, lambda t, v, a: (t, (v + 1) / 2, 0 if 0.8 < t < 1.6 else 0.45 + a / 2))
    rewrite(Path("corpus/labels/b1.csv"), lambda t, v, a: (t, 0.5, a))
    rewrite(Path("corpus/labels/a2.csv"), lambda t, v, a: (t / 4, v, a))
    Path("corpus/labels/c1.csv").write_bytes(Path("corpus/labels/b2.csv").read_bytes())
    silence("c1", 15)
    return [
        "dimension valence: its labels lie between ",
        "the stated range is -1..1: never below its middle 0",
        "dimension valence: its labels never move in clip b1",
        "dimension arousal: exactly 0 stands in ",
        "the first in clip a1 at 0.90 s, a leap away from the labels around: does it mark a gap?",
        "a2: its labels end at 0.97 s, 3.0",
        "c1: its labels are those of clip b2, number for number",
        "c1: voice lasts 15.00 s, face 4.00 s",
        "c1: voice is never present: ",
    ]


@pytest.mark.usefixtures("no_figures")
def test_check_and_train_tell_the_same_and_strict_refuses_it(shop: Any) -> None:
    told = spoil()
    strict = shop.run("data", "check", "tiny.yaml", "--strict")
    notes = [line for line in strict.stdout.splitlines() if line.startswith("note: ")]
    for words in told:
        assert any(words in note for note in notes), (words, notes)
    assert strict.exit_code == 2
    assert strict.stderr == f"fusekit: tiny.yaml: {len(notes)} notes, and --strict allows none.\n"
    assert "notes, and --strict allows none; `fusekit data check` explains them." in shop.fault(
        *TRAIN, "--strict"
    )
    trained = shop.run(*TRAIN)
    assert trained.exit_code == 0, trained.output
    # Of the recipe, which trains nothing here, something is said besides.
    training = [x for x in trained.stderr.splitlines() if x.startswith("note: ") and " epochs: " not in x]
    kept = json.loads(Path("run/data.json").read_text())
    assert list(kept) == ["training"]
    assert {f"note: {n['where']}: {n['reason']}" for n in kept["training"]["notes"]} == set(training)
    # What is said of training clips is said by both; of test clips, which training does not read, by one.
    assert set(training) < set(notes)
    for words in told:
        assert any(words in note for note in training), words
    final = shop.run("evaluate", "run", "--final", "--device", "cpu")
    assert final.exit_code == 0, final.output
    of_test = [line for line in final.stderr.splitlines() if line.startswith("note: ")]
    kept = json.loads(Path("run/data.json").read_text())
    assert {f"note: {n['where']}: {n['reason']}" for n in kept["test"]["notes"]} == set(of_test)
    assert set(notes) == {*training, *of_test}


def test_in_order_nothing_is_told(shop: Any) -> None:
    found = json.loads(shop.run("data", "check", "tiny.yaml", "--json", "--strict").stdout)
    assert (found["notes"], found["rejected"], found["refused"], found["decoded"]) == ([], [], [], True)
    assert found["step_hz"] == 5
    assert found["presence"]["voice"] == {"clips": 8, "mean": 1.0, "worst": {}}
    assert found["present"]["a1"] == {"face": 1.0, "voice": 1.0}
    assert found["labels"]["valence"]["rows"] == 8 * 40
    assert found["labels"]["valence"]["max"] == pytest.approx(0.9, abs=0.01)


def test_a_file_that_is_cut_is_told_as_training_will(shop: Any) -> None:
    path = Path("corpus/media/a2.mp4")
    with av.open(str(path)) as whole, av.open("moved.mp4", "w", options={"movflags": "faststart"}) as out:
        tracks = {s.index: out.add_stream_from_template(s) for s in whole.streams}
        for packet in whole.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                out.mux(packet)
    whole_bytes = Path("moved.mp4").read_bytes()
    path.write_bytes(whole_bytes[: len(whole_bytes) * 6 // 10])
    found = json.loads(shop.run("data", "check", "tiny.yaml", "--json").stdout)
    (rejected,) = found["rejected"]
    assert rejected["where"] == "a2"
    assert "a2.mp4" in rejected["reason"]
    result = shop.run("data", "check", str(MANIFEST), "--strict")  # and where no recipe says how to read it
    assert result.exit_code == 2
    assert "1 left out" in result.stderr
    assert "nothing is left out" not in result.stdout


def test_presence_is_shown_with_the_worst_clips(shop: Any) -> None:
    silence("a2", 4)
    text = shop.run("data", "check", "tiny.yaml").stdout
    (row,) = [line for line in text.splitlines() if line.split()[:2] == ["voice", "8"]]
    assert row.split() == ["voice", "8", "87.5%", "a2", "0%"]


def test_without_decoding_it_is_not_said_that_nothing_is_left_out(shop: Any) -> None:
    text = shop.run("data", "check", "tiny.yaml", "--no-decode").stdout
    assert "nothing is left out" not in text
    assert "no file was decoded: training may leave out more" in text
    found = json.loads(shop.run("data", "check", "tiny.yaml", "--no-decode", "--json").stdout)
    assert (found["decoded"], found["presence"], found["present"]) == (False, {}, {})


def test_training_does_not_decode_again(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.run("data", "check", "tiny.yaml")
    from fusekit.data.readers.face_video import FaceVideo

    monkeypatch.setattr(FaceVideo, "prepare", lambda self, source: pytest.fail("decoded again"))
    assert shop.run("data", "check", "tiny.yaml").exit_code == 0


def test_what_keeps_training_from_beginning_is_told(shop: Any) -> None:
    text = shop.run("data", "check", "tiny.yaml", "modalities.face.reader.detector=haar").stdout
    assert "training will not begin: modality face is present at no labelled step of the train clips" in text
    text = shop.run("data", "check", "tiny.yaml", "split.given=false", "split.folds=40").stdout
    assert "training will not begin: 40 folds need 40 times" in text
    strict = shop.run("data", "check", "tiny.yaml", "split.given=false", "split.folds=40", "--strict")
    assert "1 reason not to train, and --strict allows none" in strict.stderr


def test_the_report_shows_what_was_found(shop: Any) -> None:
    silence("a2", 4)
    Path("corpus/labels/b1.csv").write_text("time_s,valence,arousal\n60,0.1,0.2\n61,0.3,0.4\n")
    assert shop.run(*TRAIN).exit_code == 0
    page = Path("run/report.html").read_text()
    data = page[page.index("<h2>Data</h2>") : page.index("<h2>How it was made</h2>")]
    for words in ("voice is never present", "<li>b1: ", "80.0%", "valence"):
        assert words in data, words
