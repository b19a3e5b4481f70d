"""Figures: drawn from a table or a journal alone, whole and readable as PNG, whatever columns are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fusekit.errors import DataError, RunError
from fusekit.study.figures import denoising_triples, draw_run, gate_by_damage, learning_curves, traces
from fusekit.study.table import Table, write_table


def recording(clips: int = 2, seconds: float = 40.0, hz: float = 10.0, seed: int = 0) -> Table:
    """Predictions of an audio-visual model on clips with damaged and absent stretches."""
    rng = np.random.default_rng(seed)
    time = np.arange(0, seconds, 1 / hz)
    pieces: list[Table] = []
    for i in range(clips):
        v, a = np.sin(time / 5 + i), 0.6 * np.cos(time / 3 + i) - 0.1
        face, voice = ((time % 17 > 5) & (time % 17 < 8)), ((time % 17 > 11) & (time % 17 < 14))
        strength = 1 + (time // 17).astype(int) % 3
        gate = 1 / (
            1
            + np.exp(
                -(0.3 - 1.2 * strength * face + 1.2 * strength * voice + 0.4 * rng.normal(size=len(time)))
            )
        )
        attention = rng.dirichlet(np.arange(1, 9), size=len(time))
        noise = 0.12 * np.cumsum(rng.normal(size=(2, len(time))), axis=1) / np.sqrt(1 + np.arange(len(time)))
        piece: Table = {
            "clip": np.full(len(time), f"clip/{i}"),
            "subject": np.full(len(time), f"s{i}"),
            "time_s": time,
            "valence": 0.8 * v + noise[0],
            "arousal": 0.8 * a + noise[1],
            "valence_true": np.where(time > seconds - 3, np.nan, v),
            "arousal_true": a,
            "gate_face": gate,
            "gate_voice": 1 - gate,
            **{f"attention_{k + 1}": attention[:, k] for k in range(8)},
            "present_face": np.where((time > 33) & (time < 35), 0, 1),
            "present_voice": np.ones(len(time), int),
            "split": np.full(len(time), "validation" if i % 2 else "test"),
            "face_damage": np.where(face, strength, 0),
            "face_kind": np.where(face, np.where(strength > 1, "blur", "mosaic"), ""),
            "voice_damage": np.where(voice, strength, 0),
            "voice_kind": np.where(voice, "hum", ""),
        }
        pieces.append(piece)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def journal(path: Path) -> Path:
    lines = []
    for phase, window, epochs in (
        ("latent/face", 1, 8),
        ("latent/voice", 1, 8),
        ("sequence", 2, 5),
        ("sequence", 4, 5),
    ):
        for epoch in range(1, epochs + 1):
            ccc = 0.7 * (1 - np.exp(-epoch / 3)) - 0.1 * (window == 1)
            losses = {"p": 2 * np.exp(-epoch / 3), "d_affect": 1.0, "g_reconstruction": 3 / epoch}
            entry = {
                "stage": phase.split("/")[0],
                "phase": phase,
                "window": window,
                "epoch": epoch,
                "train": losses if window == 1 else {"loss": 3 * np.exp(-epoch / 3)},
                "validation": {}
                if epoch == 2
                else {"ccc": {"valence": ccc, "arousal": None, "mean": ccc / 2}},
            }
            lines.append(json.dumps(entry) + "\n")
    path.write_text("".join(lines))
    return path


def size_of(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[-8:-4] == b"IEND"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_traces_grow_with_what_the_table_has(tmp_path: Path) -> None:
    whole = recording()
    heights = []
    for dropped in (
        (),
        ("attention_",),
        ("attention_", "gate_"),
        ("attention_", "gate_", "present_", "face_", "voice_"),
    ):
        table = {k: v for k, v in whole.items() if not k.startswith(dropped)} if dropped else whole
        width, height = size_of(traces(table, "clip/0", tmp_path / "t.png"))
        assert width == 1650
        heights.append(height)
    assert heights == sorted(set(heights), reverse=True)


@pytest.mark.parametrize(
    "case", ["one step", "no truth", "constant truth", "no gate", "three gates", "one dimension"]
)
def test_traces_of_awkward_clips(tmp_path: Path, case: str) -> None:
    table = recording(clips=1)
    if case == "one step":
        table = {k: v[:1] for k, v in table.items()}
    if case == "no truth":
        table["valence_true"] = np.full(len(table["clip"]), np.nan)
    if case == "constant truth":
        table["valence_true"] = np.full(len(table["clip"]), 0.5)
    if case == "no gate":
        table["gate_face"] = table["gate_voice"] = np.full(len(table["clip"]), np.nan)
    if case == "three gates":
        table["gate_ecg"] = np.full(len(table["clip"]), 0.4)
    if case == "one dimension":
        del table["arousal"], table["arousal_true"]
    size_of(traces(table, "clip/0", tmp_path / "t.png"))


def test_traces_of_an_unknown_clip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clip 'x'"):
        traces(recording(), "x", tmp_path / "t.png")


def test_gate_by_damage(tmp_path: Path) -> None:
    table = recording(seconds=120)
    assert size_of(gate_by_damage(table, tmp_path / "g.png"))[0] == 1650
    without_kinds = {k: v for k, v in table.items() if not k.endswith("_kind")}
    assert size_of(gate_by_damage(without_kinds, tmp_path / "g.png"))[0] == 900
    with pytest.raises(ValueError, match="needs columns"):
        gate_by_damage({k: v for k, v in table.items() if "damage" not in k}, tmp_path / "g.png")


def test_denoising_triples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    face = rng.uniform(-1, 1, (6, 3, 64, 64))
    voice = np.repeat(rng.uniform(-1, 1, (3, 1, 64, 64)), 3, axis=1)
    pictures = {"face": (face, face * 1.5, face), "voice": (voice * 0, voice, voice)}
    wide = size_of(denoising_triples(pictures, tmp_path / "d.png"))
    narrow = size_of(denoising_triples({"voice": pictures["voice"]}, tmp_path / "d.png"))
    assert wide[0] == 2 * narrow[0]
    assert wide[1] > narrow[1]
    series = rng.uniform(-1, 1, (6, 2, 100))
    with_series = size_of(
        denoising_triples({**pictures, "ecg": (series, series, series)}, tmp_path / "d.png")
    )
    assert with_series[0] == 3 * narrow[0]


def test_learning_curves(tmp_path: Path) -> None:
    size_of(learning_curves(journal(tmp_path / "metrics.jsonl"), tmp_path / "l.png"))
    (tmp_path / "empty.jsonl").write_text("")
    size_of(learning_curves(tmp_path / "empty.jsonl", tmp_path / "l.png"))
    with pytest.raises(RunError, match="no journal"):
        learning_curves(tmp_path / "none.jsonl", tmp_path / "l.png")


def test_draw_run_draws_the_test_split_once_there_is_one(tmp_path: Path) -> None:
    journal(tmp_path / "metrics.jsonl")
    assert [p.name for p in draw_run(tmp_path)] == ["learning_curves.png"]
    write_table(tmp_path / "predictions.csv", recording(clips=3, seconds=20))
    names = ["gate_by_damage.png", "learning_curves.png", "traces_clip_0.png", "traces_clip_2.png"]
    assert sorted(p.name for p in draw_run(tmp_path)) == names
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == names


def test_same_table_same_bytes_and_callers_style_untouched(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    one = traces(recording(), "clip/0", tmp_path / "a.png").read_bytes()
    assert traces(recording(), "clip/0", tmp_path / "b.png").read_bytes() == one
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, fusekit.study.figures; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
