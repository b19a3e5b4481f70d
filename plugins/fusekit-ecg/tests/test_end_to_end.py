"""From files of three formats to a trained run and a prediction, through fusekit's own commands."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import edfio
import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner, Result

from fusekit.cli.app import app
from fusekit_ecg.cases import RATE, heart, write_csv

SECONDS = 24
SPLITS = {
    "anna": "train",
    "ben": "train",
    "cleo": "train",
    "dan": "train",
    "eva": "validation",
    "fay": "test",
}

TOP = """\
corpus: {name: manifest, path: manifest.csv}
target: {dims: [valence, arousal], step_hz: 2}
modalities:
"""
ECG = """\
  ecg:
    reader:      {name: ecg, rate: 64, window_s: 4}
    degradation: {name: ecg, rate: 64}
    encoder:     {name: ecg-generator, width: 4, blocks: 1}
    quadrant:    {name: ecg-discriminator, width: 4}
    projector:   {name: conv1d-pyramid, width: 2}
"""
ADVERSARIAL = """\
fusion:   {name: none}
temporal: {name: luong-lstm, dim: 8, memory: 2}
head:     {name: linear}
stages:
  - {name: latent, objective: adversarial, epochs: 1, batch_size: 8}
  - name: sequence
    objective: supervised
    epochs: 1
    batch_size: 8
    freeze: [encoder, quadrant]
    windows: [4]
"""
BOTH = """\
  wave:
    source: ecg
    reader:    {name: ecg, window_s: 4}
    encoder:   {name: ecg-resnet1d, width: 4}
    quadrant:  {name: none}
    projector: {name: linear, dim: 8}
  hrv:
    source: ecg
    reader:    {name: heart-rate-variability}
    encoder:   {name: mlp, hidden: [8]}
    quadrant:  {name: none}
    projector: {name: linear, dim: 8}
fusion:   {name: gmu, dim: 8}
temporal: {name: luong-lstm, dim: 8, memory: 2}
head:     {name: linear}
stages:
  - {name: sequence, objective: supervised, epochs: 1, batch_size: 8, windows: [4]}
"""


def _write(folder: Path, name: str, number: int, wave: np.ndarray) -> str:
    if number % 3 == 0:
        return write_csv(folder / f"{name}.csv", wave).name
    if number % 3 == 1:
        wfdb.wrsamp(name, RATE, ["mV"], ["MLII"], p_signal=wave[:, None], fmt=["16"], write_dir=str(folder))
        return f"{name}.hea"
    edfio.Edf([edfio.EdfSignal(wave, RATE, label="ECG")]).write(folder / f"{name}.edf")
    return f"{name}.edf"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest of six subjects, in which the commands run."""
    rows = []
    for number, (subject, split) in enumerate(SPLITS.items()):
        arousal = -0.6 + 0.24 * number
        file = _write(tmp_path, subject, number, heart(SECONDS, RATE, seed=number, hr=80 + 30 * arousal)[0])
        with (tmp_path / f"labels-{subject}.csv").open("w", newline="") as labels:
            writer = csv.writer(labels)
            writer.writerow(["time_s", "valence", "arousal"])
            writer.writerows(
                (t / 2, 0.3 * np.sin(t / 5), arousal + 0.1 * np.sin(t)) for t in range(2 * SECONDS)
            )
        rows.append([subject, subject, split, f"labels-{subject}.csv", file])
    with (tmp_path / "manifest.csv").open("w", newline="") as manifest:
        csv.writer(manifest).writerows([["clip", "subject", "split", "labels", "ecg"], *rows])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FUSEKIT_PLUGINS", "ecg")
    return tmp_path


def _run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def _trained(folder: Path, recipe: str) -> None:
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    for words in (("check", "recipe.yaml"), ("data", "check", "recipe.yaml")):
        found = _run(*words)
        assert found.exit_code == 0, found.output
    found = _run("train", "recipe.yaml", "--run", "run", "--device", "cpu")
    assert found.exit_code == 0, found.output


def _predicted(*words: str) -> Sequence[dict[str, str]]:
    found = _run("predict", "run", *words, "--out", "p.csv")
    assert found.exit_code == 0, found.output
    with Path("p.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_ecg_takes_part_in_the_adversarial_stage(corpus: Path) -> None:
    _trained(corpus, TOP + ECG + ADVERSARIAL)
    journal = (corpus / "run" / "metrics.jsonl").read_text()
    assert "adversarial" in journal or "latent" in journal
    assert "sequence" in journal
    assert (corpus / "run" / "figures" / "denoising.png").is_file()
    for file in ("anna.csv", "ben.hea", "cleo.edf"):
        rows = _predicted(file)
        assert len(rows) == 2 * SECONDS
        assert all(np.isfinite(float(row["arousal"])) for row in rows)


def test_wave_and_heart_rate_variability_are_two_modalities_of_one_file(corpus: Path) -> None:
    _trained(corpus, TOP + BOTH)
    rows = _predicted("anna.csv")
    present = {m: [row[f"present_{m}"] for row in rows] for m in ("wave", "hrv")}
    assert {m: sum(v in ("1", "True", "true") for v in column) > 10 for m, column in present.items()} == {
        "wave": True,
        "hrv": True,
    }
    found = _run("predict", "run", "manifest.csv")
    assert found.exit_code == 2
    assert "manifest.csv" in found.output
