"""`fusekit data check`: a manifest, a corpus by name, a recipe; every row left out is explained."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from fusekit import plugins
from fusekit.cli.app import app

runner = CliRunner()

RECIPE = """\
corpus: {name: manifest, path: m/manifest.csv}
target: {dims: [valence, arousal], step_hz: 4}
modalities:
  voice: {reader: mel-spectrogram, encoder: denoising-generator, projector: conv-pyramid, source: sound}
stages: [{name: one, objective: supervised, epochs: 1, batch_size: 2}]
"""


@pytest.fixture(autouse=True)
def _corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    folder = Path("m")
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in (1, 2):
        soundfile.write(folder / f"{i}.wav", rng.uniform(-0.1, 0.1, 16000), 8000)
        (folder / f"{i}.csv").write_text("time_s,valence,arousal\n0,0.5,0.5\n1,0.5,-0.5\n2,,0.5\n")
    (folder / "manifest.csv").write_text(
        "clip,subject,labels,sound\n"
        "a,anna,1.csv,1.wav\n"
        "b,ben,2.csv,2.wav\n"
        "c,cleo,1.csv,missing.wav\n"
    )  # fmt: skip


def run(*words: str) -> Result:
    return runner.invoke(app, ["data", "check", *words], prog_name="fusekit")


def test_a_manifest_names_its_own_modalities() -> None:
    result = run("m/manifest.csv", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["kept"] == ["a", "b"]
    assert found["subjects"] == 2
    assert found["sources"] == {"sound": 2}
    ((rejected),) = found["rejected"]
    assert rejected["where"] == "manifest.csv row 4 (clip c)"
    assert "missing.wav" in rejected["reason"]


def test_the_same_for_people() -> None:
    text = run("m/manifest.csv").stdout
    assert "2 clips of 2 subjects, 0:04 min" in text
    assert "1 left out" in text
    assert "manifest.csv row 4 (clip c)" in text
    assert "(folds decide)" in text


def test_strict_allows_nothing_to_be_left_out() -> None:
    result = run("m/manifest.csv", "--strict")
    assert result.exit_code == 2
    assert result.stderr == "fusekit: m/manifest.csv: 1 left out, and --strict allows none.\n"


def test_a_corpus_by_name_takes_its_arguments() -> None:
    result = run("manifest", "path=m/manifest.csv", "--modalities", "sound", "--json")
    assert json.loads(result.stdout)["kept"] == ["a", "b"]
    result = run("manifest", "pth=m/manifest.csv")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "fusekit: corpus manifest has 2 faults:",
        "  corpus manifest: corpus.pth: 'manifest' has no argument 'pth'."
        " Did you mean 'path'? Arguments: path",
        "  corpus manifest: corpus.path: missing; 'manifest' cannot do without it",
    ]


def test_a_recipe_names_columns_and_dimensions() -> None:
    Path("r.yaml").write_text(RECIPE)
    found = json.loads(run("r.yaml", "--json").stdout)
    assert found["sources"] == {"sound": 2}
    assert list(found["parts"][""]["labelled"]) == ["valence", "arousal"]


def test_what_is_none_of_them() -> None:
    result = run("manifst")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "fusekit: manifst: no manifest (.csv), recipe or corpus of that name. Did you mean 'manifest'?\n"
        "  known: afew-va, au, "
    )
    result = run("no.csv")
    assert result.exit_code == 2
    assert "no.csv" in result.stderr


def test_a_voice_without_sound_and_boxes_without_a_box_are_left_out() -> None:
    Path("m/face.csv").write_text("time_s,x0,y0,x1,y1\n0,nan,nan,nan,nan\n")
    Path("m/words.csv").write_text("these are no boxes\n")
    rows = ["a,anna,1.csv,1.wav,", "b,ben,2.csv,2.wav,face.csv", "c,cleo,1.csv,1.wav,words.csv"]
    Path("m/f.csv").write_text("\n".join(["clip,subject,labels,face,face_boxes", *rows]) + "\n")
    result = run("m/f.csv")
    assert result.exit_code == 2
    assert "1.wav: has no video track" in result.stderr
    Path("m/v.csv").write_text(
        "clip,subject,labels,sound,sound_boxes\na,anna,1.csv,1.wav,\nb,ben,2.csv,2.wav,face.csv\n"
        "c,cleo,1.csv,1.wav,words.csv\n"
    )
    left_out = {r["where"]: r["reason"] for r in json.loads(run("m/v.csv", "--json").stdout)["rejected"]}
    assert "no row holds a face box" in left_out["b"]
    assert "words.csv" in next(reason for where, reason in left_out.items() if where != "b")


def test_a_subject_in_two_splits_is_noted_unless_the_recipe_allows_it() -> None:
    Path("m/manifest.csv").write_text(
        "clip,subject,split,labels,sound\na,anna,train,1.csv,1.wav\nb,anna,test,2.csv,2.wav\n"
    )
    Path("r.yaml").write_text(RECIPE)
    assert "note: subject anna: in two splits" in run("r.yaml").stdout
    assert "note: " not in run("r.yaml", "split.subject_dependent=true").stdout


def test_rows_left_out_are_told_in_their_order() -> None:
    Path("m/manifest.csv").write_text(
        "clip,subject,labels,sound\na,anna,1.csv,1.wav\nb,,2.csv,2.wav\nc,cleo,1.csv,1.wav\nd,dan\n"
        "e,eva,1.csv,gone.wav\n"
    )
    rejected = json.loads(run("m/manifest.csv", "--json").stdout)["rejected"]
    assert [r["where"].split()[2] for r in rejected] == ["3", "4", "5", "6"]


def test_a_name_of_both_a_recipe_and_a_corpus_is_said_to_be_so() -> None:
    result = run("mosi", "root=elsewhere")
    assert result.exit_code == 2
    assert "root: unknown key" in result.stderr
    assert (
        "mosi is a recipe and a corpus, and recipes go first: write its corpus's arguments as corpus.root"
        in (" ".join(result.stderr.split()))
    )
