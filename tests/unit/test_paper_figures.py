"""The paper's figures of a study: drawn from runs and a model, left out with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paper_study
import pytest
from matplotlib.figure import Figure

from fusekit import build, plugins
from fusekit.recipe.load import load
from fusekit.study.canvas import canvas
from fusekit.study.figures import denoising_triples
from fusekit.study.paper import choice, diagrams, share_figures, traces
from fusekit.study.paper.figures import ModelParts, draw_study, left_out
from fusekit.study.paper.pictures import joined, to_rgb
from fusekit.study.paper.results import Results, load_results


def frames(clip: str, modality: str, times: np.ndarray) -> np.ndarray | None:
    """Pictures whose brightness tells the time; none of the voice."""
    if modality != "face":
        return None
    return np.tile((times % 2 - 1)[:, None, None, None], (1, 3, 8, 8)) * np.array([1, 0.5, 0])[:, None, None]


def parts_of(name: str, *changes: str) -> ModelParts:
    recipe = load(name, changes)
    return build.check(recipe, plugins.load()[0]).parts, recipe


OTHER = [
    "modalities.face={reader: {name: face-video, size: 64}, encoder: {name: timm, model: resnet18}, "
    "projector: linear}",
    "modalities.face.quadrant=none",
    "modalities.face.degradation=null",
    "modalities.hands={reader: {name: face-video, size: 64}, encoder: {name: timm, model: resnet10t}, "
    "projector: linear, quadrant: classifier}",
    "modalities.voice.quadrant={name: classifier, conditioning: none}",
    "stages=[{name: all, objective: supervised, epochs: 1, batch_size: 4}]",
    "fusion=concat",
    "temporal=none",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(paper_study.write_study(tmp_path_factory.mktemp("study") / "s"))


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], list[str]]:
    """All texts of the figures that a call draws, without writing them."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: drawn.append(self))

    def find(draw: Callable[..., Any]) -> list[str]:
        drawn.clear()
        draw(Path("nowhere") / "figure.png")
        from matplotlib.text import Text

        return [t.get_text() for t in drawn[0].findobj(Text) if t.get_text() and t.get_visible()]

    monkeypatch.setattr("fusekit.study.canvas.write_bytes", lambda path, data: None)
    return find


def is_whole(path: Path) -> bool:
    data = path.read_bytes()
    if path.suffix == ".png":
        return data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND"
    return data[:5] == b"%PDF-" and data.rstrip().endswith(b"%%EOF")


@pytest.mark.slow
def test_all_figures_in_two_formats_with_captions(study: Results, tmp_path: Path) -> None:
    face = np.random.default_rng(0).uniform(-1, 1, (2, 3, 16, 16))
    triples = {"face": (face, face, face)}
    folder = tmp_path / "figures"
    paths = draw_study(study, folder, frames, parts_of("avi-gas"), triples)
    assert [p.name for p in paths] == [f"figure{n}.{end}" for n in range(1, 9) for end in ("png", "pdf")]
    assert all(is_whole(p) and p.stat().st_size > 5000 for p in paths)
    captions = json.loads((folder / "captions.json").read_text())
    assert captions["left_out"] == left_out(folder) == []
    for number in "3678":
        caption = captions["figures"][number]["caption"]
        assert all(word in caption for word in (study.corpus, "fold 0", "seed 0", "clip f0s"))


def test_what_cannot_be_drawn_is_left_out_and_said(tmp_path: Path) -> None:
    only = paper_study.write_study(tmp_path / "s", folds=1, leave="AVi-GaS")
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "figure6.png").write_bytes(b"of an earlier study")
    paths = draw_study(load_results(only), folder)
    assert [p.name for p in paths] == ["figure3.png", "figure3.pdf", "figure5.png", "figure5.pdf"]
    notes = left_out(folder)
    assert [note.split(" (")[0] for note in notes] == [f"Figure {n}" for n in (1, 2, 4, 6, 7, 8)]
    assert "no assembled model was handed in" in notes[0]
    assert "no finished run has a picture of its denoising" in notes[2]
    assert "no model with a gate has a finished run" in notes[3]
    assert not (folder / "figure6.png").exists()
    assert left_out(tmp_path) == []


def test_denoising_is_taken_from_as_few_runs_as_show_every_modality(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_now(*args: Any) -> str:
        raise choice.MissingModelsError("it is not asked for")

    for name in ("draw_sequence", "draw_delta_shares", "draw_gating", "draw_gate_shares", "draw_others"):
        monkeypatch.setattr(f"fusekit.study.paper.figures.{name}", not_now)
    results = load_results(paper_study.write_study(tmp_path / "s", folds=1, steps=12))
    face = np.zeros((1, 3, 8, 8))
    for name in ("Vi-De", "Au-De", "Vi-DeS"):
        at = results.of(name)[0].folder / "figures" / "denoising.png"
        denoising_triples({"face" if name[0] == "V" else "voice": (face, face, face)}, at)
    draw_study(results, tmp_path / "f")
    caption = json.loads((tmp_path / "f" / "captions.json").read_text())["figures"]["4"]["caption"]
    assert "Vi-De, fold 0, seed 0; Au-De, fold 0, seed 0." in caption
    at = results.of("AVi-GaS")[0].folder / "figures" / "denoising.png"
    denoising_triples({"face": (face, face, face), "voice": (face, face, face)}, at)
    draw_study(results, tmp_path / "f")
    assert (tmp_path / "f" / "figure4.png").read_bytes() == at.read_bytes()
    assert is_whole(tmp_path / "f" / "figure4.pdf")


def test_sequence_figure_shows_its_panels(study: Results, words: Callable[..., list[str]]) -> None:
    found = words(lambda path: traces.draw_sequence(study, frames, path))
    for word in ("valence", "arousal", "attention", "newest", "face", "voice", "truth", "no pictures"):
        assert word in found
    assert "Vi-DeS and Vi-De" in found
    assert "Au-DeS and Au-De" in found
    assert sum("Vi-DeS, CCC" in word for word in found) == 2
    assert sum("largest" in word and "%" in word for word in found) == 2
    without = words(lambda path: traces.draw_sequence(study, None, path))
    assert "no pictures" not in without
    assert "face" not in without


def test_gating_figure_shows_the_clips_whose_gate_varies_most_and_least(
    tmp_path: Path, words: Callable[..., list[str]]
) -> None:
    results = load_results(paper_study.write_study(tmp_path / "s", folds=1, steps=40))
    table = results.of("AVi-GaS")[0].table
    for clip, spread in (("f0s0", 0.1), ("f0s1", 0.4), ("f0s2", 0.01)):
        rows = table["clip"] == clip
        table["gate_face"][rows] = 0.5 + spread * np.sin(np.arange(rows.sum()))
        table["gate_voice"][rows] = 1 - table["gate_face"][rows]
    found = words(lambda path: traces.draw_gating(results, None, path))
    assert "f0s1: gate varies most" in found
    assert "f0s2: gate varies least" in found
    assert "gate" in found
    assert sum("AVi-CaS, CCC" in word for word in found) == 4


def test_the_gated_model_against_every_other(study: Results, words: Callable[..., list[str]]) -> None:
    found = words(lambda path: traces.draw_others(study, path))
    for name in paper_study.MODELS:
        assert name in found
    assert sum(word.startswith("CCC here: Vi-DeS") for word in found) == 2


def test_traces_are_scaled_to_the_models_own_values(study: Results) -> None:
    rows = {name: choice.excerpt(study.of(name)[0].table, 10) for name in ("Vi-De", "Vi-DeS")}
    rows["Vi-DeS"]["valence_true"] = rows["Vi-DeS"]["valence_true"] + 100
    with canvas(4, 3) as (figure, _):
        axis = figure.subplots()
        traces.compare(axis, "valence", rows, 0)
        said = np.concatenate([table["valence"] for table in rows.values()])
        low, high = axis.get_ylim()
        assert low < said.min() < said.max() < high
        assert high - low < 1.2 * np.ptp(said)


def test_share_figures_say_what_each_threshold_keeps(study: Results, words: Callable[..., list[str]]) -> None:
    found = words(lambda path: share_figures.draw_delta_shares(study, path))
    for word in ("share kept [%]", "RMSE", "COR", "CCC", "≥ 12.5 %", "≥ 50 %", "100 %", "kept"):
        assert word in found
    assert "Vi-DeS (grey: Vi-De on the same steps)" in found
    found = words(lambda path: share_figures.draw_gate_shares(study, path))
    for word in ("all", "0.25", "0.0625", "AVi-GaS"):
        assert word in found
    gate = np.concatenate([run.table["gate_face"] for run in study.of("AVi-GaS")])
    assert f"{100 * ((gate < 0.25) | (gate > 0.75)).mean():.0f} %" in found


def test_runs_are_chosen_by_the_first_common_fold_and_seed(tmp_path: Path) -> None:
    folder = paper_study.write_study(tmp_path / "s", folds=2, seeds=2, steps=12)
    (folder / "runs" / "vi-de-f0-s0" / "metrics.json").unlink()
    results = load_results(folder)
    chosen = choice.together(results, ("Vi-De", "Vi-DeS"))
    assert (chosen.fold, chosen.seed) == (0, 1)
    with pytest.raises(choice.MissingModelsError, match="Vi-De and Nothing"):
        choice.together(results, ("Vi-De", "Nothing"))


@pytest.mark.slow
def test_clips_too_short_for_any_attention_are_drawn(tmp_path: Path) -> None:
    results = load_results(paper_study.write_study(tmp_path / "s", folds=1, subjects=1, steps=2))
    paths = draw_study(results, tmp_path / "f", frames)
    assert all(is_whole(p) for p in paths)


@pytest.mark.parametrize("name", ["avi-gas", "vi-de"])
def test_diagrams_tell_names_shapes_and_parameters(name: str, words: Callable[..., list[str]]) -> None:
    parts, recipe = parts_of(name)
    found = words(lambda path: diagrams.draw_model(parts, recipe, path))
    for part in parts:
        assert f"{part['parameters']:,} par." in found
    for word in (
        "denoising-generator",
        "discriminator",
        "conv-pyramid",
        "G",
        "D",
        "ZQ",
        "degradation",
        "face",
    ):
        assert word in found
    assert ("gmu" in found) == (name == "avi-gas")
    assert ("of the last 8 steps," in found) == (name == "avi-gas")
    assert ("reset at every step" in found) == (name == "vi-de")
    one = words(lambda path: diagrams.draw_stage_one(parts, recipe, path))
    for word in ("0.25 · L_D", "0.25 · L_G", "0.5 · L_P", "G(n)", "out 64 × 32 × 32", "valence", "arousal"):
        assert word in one
    assert ("of this stage alone" in one) == (name == "avi-gas")


def test_another_recipe_draws_another_diagram(words: Callable[..., list[str]]) -> None:
    parts, recipe = parts_of("demo", *OTHER)
    found = words(lambda path: diagrams.draw_model(parts, recipe, path))
    for word in ("hands", "timm resnet10t", "concat", "quadrant head", "encoder", "Z  (Q is not read)"):
        assert word in found
    assert found.count("ZQ") == 1
    assert not {"D", "gmu", "states", "state"} & set(found)
    assert found.count("G") == 1
    one = words(lambda path: diagrams.draw_stage_one(parts, recipe, path))
    assert "L_afc" in one
    assert not any("L_D" in word for word in one)
    with pytest.raises(KeyError, match=r"no part 'face\.encoder'"):
        diagrams.draw_model([], recipe, Path("nowhere.png"))


def test_pictures_become_colours() -> None:
    mono = np.tile(np.linspace(-1, 1, 4)[:, None], (2, 3, 1, 4)).astype(np.float32)
    rgb = to_rgb(mono)
    assert rgb.shape == (2, 4, 4, 3)
    assert rgb[0, 0].sum() > rgb[0, -1].sum()  # the loud high bands are on top
    colour = np.stack([np.full((4, 4), v) for v in (-1.0, 0.0, 1.0)])[None]
    assert to_rgb(colour)[0, 0, 0].tolist() == [0, 128, 255]
    assert joined(rgb, 2).shape == (4, 10, 3)
    with pytest.raises(ValueError, match="pictures"):
        to_rgb(np.zeros((2, 5, 4, 4)))


def test_a_pdf_is_the_same_each_time(tmp_path: Path) -> None:
    parts, recipe = parts_of("vi-de")
    for name in ("a.pdf", "b.pdf"):
        diagrams.draw_model(parts, recipe, tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
