"""From recipe to report: train, evaluate and predict by the real command line on a tiny corpus."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

from fusekit.recipe.load import load
from fusekit.study.table import read_table

METRICS, DIMS = ("rmse", "cor", "ccc", "icc"), ("valence", "arousal", "mean")
STEPS = 20  # of a clip of 4 s at 5 Hz


def header_of(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


# ---------------------------------------------------------------- what training leaves


def test_a_trained_run_is_complete(trained: SimpleNamespace) -> None:
    names = {str(p.relative_to(trained.folder)) for p in trained.folder.rglob("*") if p.is_file()}
    assert names == {
        "recipe.yaml",
        "splits.json",
        "clips.json",
        "data.json",
        "provenance.json",
        ".lock",
        "metrics.jsonl",
        "metrics.json",
        "predictions.csv",
        "report.html",
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "checkpoints/latent.safetensors",
        "checkpoints/sequence.safetensors",
        "figures/denoising.png",
        "figures/learning_curves.png",
        "figures/traces_d1.png",
    }
    assert trained.stdout.splitlines()[-2:] == [
        "report: run/report.html",
        "next: fusekit evaluate run --final   # reads the test labels, once",
    ]
    assert "tiny on validation: 1 clips of 1 subjects, 20 steps" in trained.stdout
    assert max(map(len, trained.stdout.splitlines())) <= 80
    assert "…" not in trained.stdout  # no figure is cut off


def test_the_stored_recipe_is_the_one_that_was_trained(trained: SimpleNamespace, prepared: Path) -> None:
    path = f"corpus.path={prepared}/corpus/manifest.csv"  # which the recipe says as seen from its folder
    assert load(trained.folder / "recipe.yaml") == load(prepared / "tiny.yaml", [path])


def test_split_and_provenance(trained: SimpleNamespace, cli: SimpleNamespace) -> None:
    split = json.loads((trained.folder / "splits.json").read_text())
    for part in ("train", "validation", "test"):
        assert split[part] == [c for c, (_, own) in cli.clips.items() if own == part]
    assert split["subjects"]["train"] == ["anna", "ben", "cleo"]
    facts = json.loads((trained.folder / "provenance.json").read_text())
    assert {"fusekit", "python", "versions", "seed", "data_sha256", "code"} <= facts.keys()
    assert facts["left_out"] == []
    assert facts["boxes"] == []
    assert facts["device"] == "cpu"


def test_the_journal_has_a_line_per_epoch(trained: SimpleNamespace) -> None:
    lines = [json.loads(line) for line in (trained.folder / "metrics.jsonl").read_text().splitlines()]
    told = [(line["stage"], line["objective"], line["window"], line["epoch"]) for line in lines]
    adversarial = [("latent", "adversarial", 1, e) for _ in ("face", "voice") for e in (1, 2)]
    assert told == adversarial + [("sequence", "supervised", w, e) for w in (2, 4) for e in range(1, 7)]
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    for line in lines:
        assert all(np.isfinite(v) for v in line["train"].values())
        assert set(line["validation"]["ccc"]) == set(DIMS)


def test_metrics_name_their_pooling(trained: SimpleNamespace) -> None:
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    own = metrics["validation"]
    for metric in METRICS:
        assert set(own[metric]) == set(DIMS)
        assert own[metric]["mean"] == pytest.approx((own[metric]["valence"] + own[metric]["arousal"]) / 2)
    assert (own["n"], own["clips"], own["subjects"]) == (STEPS, 1, 1)
    assert (metrics["pooling"], metrics["ddof"]) == ("all steps of all clips together", 0)
    assert (metrics["range"], metrics["states"], metrics["steps"]) == ([-1, 1], "last", 4)
    assert "test" not in metrics
    assert set(metrics["baselines"]) == {"ridge", "constant"}
    assert {"validation_carry", "validation_per_clip"} <= metrics["also"].keys()


def test_predictions_have_the_columns_and_the_scores(trained: SimpleNamespace) -> None:
    path = trained.folder / "predictions.csv"
    assert header_of(path) == [
        *("clip", "subject", "time_s", "valence", "arousal", "valence_true", "arousal_true"),
        *("gate_face", "gate_voice", "attention_1", "attention_2", "attention_3", "attention_4"),
        *("present_face", "present_voice", "split"),
    ]
    table = read_table(path)
    assert set(table["clip"]) == {"d1"}
    assert table["time_s"] == pytest.approx(np.arange(STEPS) / 5)
    truth = np.genfromtxt(
        trained.folder.parent / "corpus" / "labels" / "d1.csv", delimiter=",", skip_header=1
    )
    assert table["valence_true"] == pytest.approx(truth[::2, 1], abs=1e-4)  # labels at 10 Hz, steps at 5
    error = table["arousal"] - table["arousal_true"]
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    assert metrics["validation"]["rmse"]["arousal"] == pytest.approx(np.sqrt((error**2).mean()), abs=1e-5)
    attention = sum(table[f"attention_{k}"] for k in (1, 2, 3, 4))
    assert attention == pytest.approx([0] + [1] * (STEPS - 1), abs=1e-5)  # the first step has no past


def test_the_report_is_one_file_that_loads_nothing(trained: SimpleNamespace) -> None:
    page = (trained.folder / "report.html").read_text(encoding="utf-8")
    assert "tiny" in page
    assert 'src="http' not in page
    assert "<link" not in page


def test_the_best_weights_are_those_of_the_last_phase(trained: SimpleNamespace) -> None:
    best = load_file(trained.folder / "checkpoints" / "best.safetensors")
    last = load_file(trained.folder / "checkpoints" / "last.safetensors")
    assert best.keys() == last.keys()
    assert all(np.array_equal(best[k], last[k]) for k in best)
    stage = load_file(trained.folder / "checkpoints" / "latent.safetensors")
    assert all(np.array_equal(best[k], stage[k]) for k in best if ".encoder." in k)  # frozen since


# ---------------------------------------------------------------- the test labels


def test_the_final_look_is_recorded_and_kept(trained: SimpleNamespace, shop: Any) -> None:
    """Later looks at validation alone leave the recorded test scores, and the test labels unread."""
    shop.adopt(trained.folder)
    result = shop.run("evaluate", "run", "--final", "--device", "cpu")
    assert result.exit_code == 0, result.output
    metrics = json.loads(Path("run/metrics.json").read_text())
    looks = json.loads(Path("run/looks.json").read_text())
    assert [look["clips"] for look in looks] == [2]
    assert metrics["test"]["read_at"] == looks[0]["time"]
    for metric in METRICS:
        assert set(metrics["test"][metric]) == set(DIMS)
    assert (metrics["test"]["n"], metrics["test"]["subjects"]) == (2 * STEPS, 2)
    assert Path("run/figures/traces_e1.png").is_file()
    predictions = Path("run/predictions.csv").read_bytes()
    assert {*read_table(Path("run/predictions.csv"))["split"]} == {"validation", "test"}
    before = json.loads((trained.folder / "metrics.json").read_text())
    assert metrics["validation"] == before["validation"]

    # Other test labels and no test media: neither is looked at.
    for clip in ("e1", "f1"):
        Path(f"corpus/labels/{clip}.csv").write_text("time_s,valence,arousal\n0,0.1,-0.1\n1,0.2,0.3\n")
        Path(f"corpus/media/{clip}.mp4").write_bytes(f"{clip} is not a video".encode())
    result = shop.run("evaluate", "run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("run/metrics.json").read_text()) == metrics
    assert Path("run/predictions.csv").read_bytes() == predictions
    assert json.loads(Path("run/looks.json").read_text()) == looks
    assert f"test labels read at {looks[0]['time']}" in result.stdout


@pytest.mark.usefixtures("no_figures")
def test_every_look_is_recorded(trained: SimpleNamespace, shop: Any) -> None:
    shutil.copytree(trained.folder, "run")
    for count in (1, 2):
        assert shop.run("evaluate", "run", "--final").exit_code == 0
        assert len(json.loads(Path("run/looks.json").read_text())) == count


# ---------------------------------------------------------------- prediction


def test_a_video_is_predicted(trained: SimpleNamespace, shop: Any) -> None:
    result = shop.run("predict", str(trained.folder), "corpus/media/d1.mp4", "--out", "out/table.csv")
    assert result.exit_code == 0, result.output
    assert header_of(Path("out/table.csv"))[:4] == ["file", "time_s", "valence", "arousal"]
    table = read_table(Path("out/table.csv"))
    assert table["present_face"].all()
    assert table["present_voice"].all()
    assert "absent" not in result.stderr
    # The same clip was validated: a file is prepared exactly as training did.
    scored = read_table(trained.folder / "predictions.csv")
    for name in ("valence", "arousal", "gate_face", "attention_4"):
        assert table[name] == pytest.approx(scored[name], abs=2e-3)  # batch sizes move float16's last bit


def test_a_sound_file_is_predicted_without_a_face(
    trained: SimpleNamespace, shop: Any, cli: SimpleNamespace
) -> None:
    soundfile.write("talk.wav", cli.tone(), cli.rate)
    result = shop.run("predict", str(trained.folder), "talk.wav", "--out", "table.json")
    assert result.exit_code == 0, result.output
    assert "talk.wav: face is absent: talk.wav has no picture" in result.stderr
    rows = json.loads(Path("table.json").read_text())
    assert len(rows) == STEPS
    assert all(row["present_face"] == 0 and row["present_voice"] == 1 for row in rows)
    assert all(np.isfinite(row["valence"]) for row in rows)


def test_a_silent_video_is_predicted_from_the_face(
    trained: SimpleNamespace, shop: Any, cli: SimpleNamespace
) -> None:
    cli.make_video(Path("mute.mp4"), sound=False)
    result = shop.run("predict", str(trained.folder), "mute.mp4")
    assert result.exit_code == 0, result.output
    assert "mute.mp4: voice is absent: mute.mp4 has no sound" in result.stderr
    assert "mute.mp4" in result.stdout  # without --out a summary is printed


def test_one_bad_file_among_several_is_said_and_the_others_are_written(
    trained: SimpleNamespace, shop: Any
) -> None:
    Path("noise.mp4").write_bytes(np.random.default_rng(0).bytes(20000))
    words = ("corpus/media/d1.mp4", "noise.mp4", "corpus/media/e1.mp4", "--out", "table.csv")
    result = shop.run("predict", str(trained.folder), *words)
    assert result.exit_code == 2
    assert "fusekit: 1 of 3 files could not be predicted:\n  noise.mp4: " in result.stderr
    assert {*read_table(Path("table.csv"))["file"]} == {"corpus/media/d1.mp4", "corpus/media/e1.mp4"}


# ---------------------------------------------------------------- parts change by recipe alone

TIMM = "{name: timm, model: test_resnet}"
LINEAR = "{name: linear, dim: 8}"


def both(part: str, value: str) -> list[str]:
    return [f"modalities.{m}.{part}={value}" for m in ("face", "voice")]


VARIANTS: dict[str, tuple[str, list[str]]] = {
    "timm, no quadrant": (
        "supervised",
        [*both("encoder", TIMM), *both("quadrant", "none"), *both("projector", LINEAR)]
        + ["stages.sequence.freeze=[]"],
    ),
    "timm, classifier": (
        "supervised",
        [*both("encoder", TIMM), *both("quadrant", "classifier"), *both("projector", LINEAR)]
        + ["stages.sequence.freeze=[]", "modalities.face.quadrant.hidden=4"],
    ),
    "frozen timm face, generated voice": (
        "supervised",
        [f"modalities.face.encoder={TIMM}", f"modalities.face.projector={LINEAR}"]
        + [*both("quadrant", "none"), "stages.sequence.freeze=[encoder]"],
    ),
    "buffers outside the state dict": (
        "supervised",
        ["modalities.face.encoder={name: timm, model: vit_tiny_patch16_dinov3_qkvb}"]
        + [f"modalities.face.projector={LINEAR}", *both("quadrant", "none"), "stages.sequence.freeze=[]"],
    ),
    "classifier on the generator's latent": (
        "supervised",
        [*both("quadrant", "{name: classifier, conditioning: channel}"), "stages.sequence.freeze=[]"],
    ),
    "concat, lstm": ("tiny", ["fusion=concat", "temporal={name: lstm, dim: 8}"]),
    "vector gate": ("tiny", ["fusion.gate=vector"]),
    "no memory": ("tiny", ["temporal=none", "stages.sequence.windows=[1]"]),
    "concat, no memory": ("tiny", ["fusion=concat", "temporal=none"]),
    "one modality": ("face", []),
    "one modality, lstm": ("face", ["temporal={name: lstm, dim: 8}"]),
    "one modality, no memory": ("face", ["temporal=none"]),
    "log-GAN": ("tiny", ["stages.latent.gan=log"]),
    "two critic steps": ("tiny", ["stages.latent.critic_steps=2"]),
    "no conditioning": ("tiny", both("quadrant.conditioning", "none")),
    "vector conditioning": ("tiny", both("quadrant.conditioning", "vector")),
    "a voice that trains apart": (
        "tiny",
        [f"modalities.voice.encoder={TIMM}", f"modalities.voice.projector={LINEAR}"]
        + ["modalities.voice.quadrant=none", "modalities.voice.degradation=null"]
        + [
            "stages=[{name: latent, objective: adversarial, modalities: [face], epochs: 1, batch_size: 8},"
            " {name: alone, objective: supervised, modalities: [voice], epochs: 1, batch_size: 8},"
            " {name: sequence, objective: supervised, freeze: [encoder, quadrant], epochs: 1, batch_size: 8}]"
        ],
    ),
    "shuffled labels": ("tiny", ["target.shuffle=true"]),
    "augmentation": ("tiny", ["stages.latent.augment=true"]),
    "no degradation, augmentation": (
        "tiny",
        [*both("degradation", "null"), "stages.latent.augment=true"],
    ),
    "no presence dropout": ("tiny", ["train.presence_dropout=0"]),
    "carried state": ("tiny", ["evaluation.states=carry"]),
    "one dimension": (
        "supervised",
        ["target.dims=[arousal]", "train.weighting=literal"]
        + [*both("quadrant", "none"), "stages.sequence.freeze=[]"],
    ),
    "boxes of the corpus": (
        "tiny",
        ["corpus.path=corpus/boxed.csv", "modalities.face.reader.detector=boxes"],
    ),
    "other losses": (
        "tiny",
        ["stages.latent.loss=mse", "stages.sequence.loss=ccc", "train.weighting=none"]
        + ["stages.sequence.clip_grad=1", "temporal.score=general"],
    ),
    "two modalities of one sensor": (
        "face",
        [
            "modalities.wide.source=face",
            "modalities.wide.reader={name: face-video, size: 32, detector: whole}",
            "modalities.wide.encoder={name: denoising-generator, width: 2, blocks: 0}",
            "modalities.wide.quadrant={name: discriminator, width: 2}",
            "modalities.wide.projector={name: conv-pyramid, width: 2}",
            "fusion={name: gmu, dim: 16}",
        ],
    ),
}


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("name", VARIANTS)
def test_parts_change_by_the_recipe_alone(shop: Any, name: str) -> None:
    recipe, words = VARIANTS[name]
    names = [] if recipe == "supervised" else ["latent"]
    words = [*words, *(f"stages.{stage}.epochs=1" for stage in [*names, "sequence"])]
    if not any(word.startswith("stages.sequence.windows") for word in words):
        words.append("stages.sequence.windows=[4]")
    run = shop.train(*words, recipe=recipe)
    resolved = load(run / "recipe.yaml")
    table = read_table(run / "predictions.csv")
    assert len(table["clip"]) == STEPS
    for dim in resolved.target.dims:
        assert np.isfinite(table[dim]).all()
        assert np.ptp(table[dim]) > 0
    gates = [f"gate_{m}" for m in resolved.modalities] if resolved.fusion.name == "gmu" else []
    assert [c for c in table if c.startswith("gate_")] == gates
    attends = resolved.temporal.name == "luong-lstm"
    assert len([c for c in table if c.startswith("attention_")]) == (4 if attends else 0)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == (0 if recipe == "supervised" else len(resolved.modalities)) + 1
    assert all(np.isfinite(v) for line in lines for v in line["train"].values())
    classified = any(m.quadrant.name == "classifier" for m in resolved.modalities.values())
    assert any(k.startswith("quadrant_") for k in lines[-1]["train"]) == classified
    metrics = json.loads((run / "metrics.json").read_text())
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["boxes"] == (["face"] if name == "boxes of the corpus" else [])
    assert metrics["shuffled_labels"] == resolved.target.shuffle
    assert metrics["states"] == resolved.evaluation.states


@pytest.mark.usefixtures("no_figures")
def test_predictions_as_parquet(shop: Any) -> None:
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    run = shop.train("output.predictions=parquet", "stages.latent.epochs=0", "stages.sequence.epochs=1")
    table = read_table(run / "predictions.parquet")
    assert len(table["clip"]) == STEPS
    assert not (run / "predictions.csv").exists()


@pytest.mark.usefixtures("no_figures")
def test_another_run_lends_its_first_stage(trained: SimpleNamespace, shop: Any) -> None:
    run = shop.train("fusion=concat", "--branches-from", str(trained.folder))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {line["objective"] for line in lines} == {"supervised"}
    theirs = load_file(trained.folder / "checkpoints" / "latent.safetensors")
    ours = load_file(run / "checkpoints" / "best.safetensors")
    frozen = [k for k in ours if ".encoder." in k or ".quadrant." in k]
    assert len(frozen) > 10
    assert all(np.array_equal(ours[k], theirs[k]) for k in frozen)


# ---------------------------------------------------------------- two at once


PREPARE = """
import hashlib, sys, time
from pathlib import Path
from fusekit import plugins, runs
from fusekit.recipe.load import load
mine, other = map(Path, sys.argv[1:])
mine.touch()
while not other.exists():
    time.sleep(0.002)
data = runs.load_data(load("tiny.yaml"), plugins.load([])[0], ("train", "validation"))
digest = hashlib.sha256()
for steps in (s for part in data.steps.values() for s in part):
    for m, stream in steps.streams.items():
        for name in sorted(stream):
            digest.update(stream[name].tobytes())
print(digest.hexdigest(), len(data.rejected))
"""


def test_two_processes_prepare_the_same_store_at_once(
    shop: Any, cli: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "fresh"))
    names = [str(tmp_path / "one"), str(tmp_path / "two")]
    said = []
    for process in [cli.start_process(shop.folder, ["-c", PREPARE, *ns]) for ns in (names, names[::-1])]:
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        said.append(stdout)
    assert said[0] == said[1]
    assert said[0].split()[1] == "0"  # nothing was left out
    entries = [*(tmp_path / "fresh" / "prepared").glob("*/*/entry.json")]
    assert len(entries) == 2 * 6  # face and voice of six clips: the test clips stay unread
    assert not [*(tmp_path / "fresh").rglob(".tmp-*")]
