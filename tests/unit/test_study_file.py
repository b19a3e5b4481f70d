"""Study files: read, checked, laid over their recipes; runs that share a first stage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fusekit import plugins
from fusekit.errors import RecipeError, RunError
from fusekit.recipe.load import load
from fusekit.recipe.study import StudyModel, bundled_studies, load_study
from fusekit.registry import Registry
from fusekit.study.jobs.plan import Job, plan_jobs, write_plan

STUDY = """\
models:
  Vi-De: vi-de
  Au-De: au-de
  AVi-GaS: {recipe: avi-gas, changes: [fusion.dim=8]}
corpus: {name: demo, subjects: 9}
changes:
  all: [target.step_hz=5, split.given=false]
  voice: ["modalities.voice.reader={mels: 64}"]
folds: [0, 2]
"""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    return plugins.load()[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    return path


def test_a_study_and_its_shorthand(file: Path) -> None:
    study, found = load_study(file, ["seeds=[1,2]"])
    assert found == file
    assert study.name == "mine"
    assert study.models["Vi-De"] == StudyModel(recipe="vi-de")
    assert study.models["AVi-GaS"].changes == ("fusion.dim=8",)
    assert (study.folds, study.seeds) == ((0, 2), (1, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modells: {A: vi}", "mine.yaml:1: modells: unknown key. Did you mean 'models'?"),
        ("models: {}", "models: at least one is needed"),
        ("models: {A/B: vi}", "'A/B' cannot name a folder"),
        ("models: {A: vi, a: au}", "is there twice, as case does not count"),
        ("models: {A: vi}\nfolds: [0, 0]", "folds: must name each once"),
        ("models: {A: vi}\nseeds: [x]", "seeds: entry 1: expected int, found 'x'"),
        ("- 1", "expected a mapping with models, folds, seeds"),
        ("models: {A: !!python/object:x.y {}}", "is refused"),
    ],
)
def test_faults_name_place_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_study(path)
    assert message in str(caught.value)


def test_an_unknown_study_names_the_bundled_ones() -> None:
    assert "demo-small" in bundled_studies()
    with pytest.raises(RecipeError, match="no such study file, and none of that name is bundled"):
        load_study("demo-smal")


def test_changes_reach_the_models_that_have_the_modality(file: Path, registry: Registry) -> None:
    study, _ = load_study(file)
    jobs = {str(j): j for j in plan_jobs(study, file, Path("there"), registry)}
    assert len(jobs) == 6
    voice = load(jobs["Au-De fold 2 seed 0"].recipe, jobs["Au-De fold 2 seed 0"].changes)
    assert voice.modalities["voice"].reader.args["mels"] == 64
    assert (voice.corpus.name, voice.corpus.args) == ("demo", {"subjects": 9})
    assert (voice.split.fold, voice.split.given, voice.target.step_hz) == (2, False, 5)
    face = load(jobs["Vi-De fold 0 seed 0"].recipe, jobs["Vi-De fold 0 seed 0"].changes)
    assert list(face.modalities) == ["face"]


def test_the_first_stage_is_trained_once_per_modality_and_fold(file: Path, registry: Registry) -> None:
    study, _ = load_study(file)
    jobs = plan_jobs(study, file, Path("there"), registry)
    names = {str(j): [Path(b).name for b in j.branches] for j in jobs}
    assert names["Vi-De fold 0 seed 0"] == names["Au-De fold 2 seed 0"] == []
    assert names["AVi-GaS fold 2 seed 0"] == ["vi-de-f2-s0", "au-de-f2-s0"]
    order = [str(j) for j in jobs]
    assert order.index("Au-De fold 2 seed 0") < order.index("AVi-GaS fold 0 seed 0")


def test_another_degradation_is_another_first_stage(file: Path, registry: Registry) -> None:
    study, _ = load_study(file, ["models.Vi=vi"])
    jobs: dict[str, Job] = {str(j): j for j in plan_jobs(study, file, Path("there"), registry)}
    assert jobs["Vi fold 0 seed 0"].branches == ()
    assert [Path(b).name for b in jobs["AVi-GaS fold 0 seed 0"].branches] == ["vi-de-f0-s0", "au-de-f0-s0"]


def test_what_no_model_before_has_made_is_trained(file: Path, registry: Registry) -> None:
    study, _ = load_study(file)
    study = replace(study, models={name: study.models[name] for name in ("Vi-De", "AVi-GaS", "Au-De")})
    jobs = {
        str(j): [Path(b).name for b in j.branches] for j in plan_jobs(study, file, Path("there"), registry)
    }
    assert jobs["AVi-GaS fold 0 seed 0"] == ["vi-de-f0-s0"]
    assert jobs["Au-De fold 0 seed 0"] == ["avi-gas-f0-s0"]


def test_every_models_faults_are_told_at_once(file: Path, registry: Registry) -> None:
    study, _ = load_study(file, ["models.X={recipe: vii}", "models.AVi-GaS.changes=[fusion.dimm=3]"])
    with pytest.raises(RecipeError) as caught:
        plan_jobs(study, file, Path("there"), registry)
    assert "models.AVi-GaS: " in str(caught.value)
    assert "Did you mean 'dim'?" in str(caught.value)
    assert "models.X: " in str(caught.value)


def test_a_study_may_grow_but_not_change(file: Path, registry: Registry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    study, _ = load_study(file)
    write_plan(study, file, out, registry)
    grown, _ = load_study(file, ["seeds=[0,1]", "models.Vi=vi"])
    write_plan(grown, file, out, registry)
    assert json.loads((out / "study.json").read_text())["seeds"] == [0, 1]
    other, _ = load_study(file, ["models.Vi-De.changes=[temporal.dim=8]"])
    elsewhere, _ = load_study(file, ["seeds=[0,1]", "models.Vi=vi", "corpus.subjects=10"])
    for smaller in (other, elsewhere, study):
        with pytest.raises(RunError, match="holds another study"):
            write_plan(smaller, file, out, registry)


def test_models_of_one_study_share_clock_and_corpus(file: Path, registry: Registry, tmp_path: Path) -> None:
    study, _ = load_study(file, ["models.Au-De.changes=[target.step_hz=4]"])
    with pytest.raises(RecipeError, match=r"models\.Au-De: its target\.step_hz is not that of Vi-De"):
        write_plan(study, file, tmp_path, registry)


@pytest.mark.parametrize("name", bundled_studies())
def test_bundled_studies_can_be_planned(name: str, registry: Registry) -> None:
    study, file = load_study(name)
    assert f"fusekit study {name}" in file.read_text()
    assert len(plan_jobs(study, file, Path("there"), registry)) >= 15
