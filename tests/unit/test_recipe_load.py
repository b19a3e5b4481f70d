"""Loading: extends, presets, interpolation, and every fault at once with its place and the nearest name."""

from pathlib import Path

import pytest

from fusekit.errors import RecipeError
from fusekit.recipe.load import bundled, load
from fusekit.recipe.schema import Component

PLAIN = """\
corpus: {name: demo}
target: {dims: [valence, arousal], step_hz: 25}
modalities:
  face:
    reader: {name: face-video, size: 64}
    encoder: denoising-generator
    quadrant: {name: discriminator}
    projector: {name: conv-pyramid}
  voice:
    reader: {name: mel-spectrogram}
    encoder: {name: denoising-generator}
    projector: {name: conv-pyramid}
fusion: {name: gmu, gate: scalar}
temporal: {name: luong-lstm}
stages:
  - {name: latent, objective: adversarial, epochs: 3, batch_size: 8}
  - {name: sequence, objective: supervised, epochs: 2, batch_size: 4, windows: [2, 4]}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("av.yaml").write_text(PLAIN)


def faults(name: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(name, overrides)
    return str(caught.value)


def test_a_plain_recipe() -> None:
    recipe = load("av.yaml")
    assert recipe.name == "av"
    assert recipe.files == ("av.yaml",)
    assert list(recipe.modalities) == ["face", "voice"]
    face = recipe.modalities["face"]
    assert face.encoder == Component("denoising-generator")
    assert face.degradation is None
    assert recipe.modalities["voice"].quadrant == Component("none")
    assert (face.reader.args, face.reader.path, face.reader.where) == (
        {"size": 64},
        "modalities.face.reader",
        "av.yaml:5",
    )
    assert face.reader.marks == {"size": "av.yaml:5"}
    assert recipe.target.step_hz == 25.0
    assert recipe.head == Component("linear")
    assert recipe.stages[1].loss == Component("afc")
    assert recipe.stages[1].windows == (2, 4)


def test_every_fault_at_once_with_line_path_and_nearest_name() -> None:
    Path("bad.yaml").write_text("""\
corpus: {nme: demo}
target: {dims: valence, step_hz: true}
modalities:
  face:
    raeder: {name: face-video}
    encoder: [timm]
    projector: conv-pyramid
haed: linear
split: {folds: 3, fold: 3, validation: 1.5}
train: {precision: fp16, seed: yes}
stages:
  - {name: Latent, objective: adversial, epochs: thirty, batch_size: 0, windows: [4, 2], freeze: [encodr]}
""")
    assert faults("bad.yaml").splitlines() == [
        "bad.yaml has 17 faults:",
        "  bad.yaml:8: haed: unknown key. Did you mean 'head'?",
        "  bad.yaml:1: corpus: needs a `name`, as in corpus: {name: demo}; found a mapping",
        "  bad.yaml:2: target.dims: expected list of string, found 'valence'; write ['valence']",
        "  bad.yaml:2: target.step_hz: expected float, found true",
        "  bad.yaml:5: modalities.face.raeder: unknown key. Did you mean 'reader'?",
        "  bad.yaml:4: modalities.face.reader: missing, as in reader: {name: face-video}",
        "  bad.yaml:6: modalities.face.encoder: needs a `name`, as in encoder: {name: denoising-generator};"
        " found ['timm']",
        "  bad.yaml:12: stages.0.objective: 'adversial' is not one of adversarial, supervised."
        " Did you mean 'adversarial'?",
        "  bad.yaml:12: stages.0.epochs: expected int, found 'thirty'",
        "  bad.yaml:12: stages.0.name: 'Latent' must be lower-case letters, digits and underscores,"
        " starting with a letter",
        "  bad.yaml:12: stages.0.batch_size: must be at least 2, found 0",
        "  bad.yaml:12: stages.0.windows: must be increasing lengths of 1 or more steps, as in [2, 4, 8],"
        " found [4, 2]",
        "  bad.yaml:12: stages.0.freeze: no part named 'encodr'. Did you mean 'encoder'?"
        " Parts: encoder, quadrant, projector",
        "  bad.yaml:9: split.fold: must be 0 to 2 (there are 3 folds), found 3",
        "  bad.yaml:9: split.validation: must be above 0 and below 1 (its clips choose the best epoch),"
        " found 1.5",
        "  bad.yaml:10: train.seed: expected int, found 'yes'",
        "  bad.yaml:10: train.precision: 'fp16' is not one of auto, float32, bf16. Did you mean 'bf16'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping of keys such as corpus, modalities, stages; found nothing"),
        ("[1, 2]", "expected a mapping of keys such as corpus, modalities, stages; found [1, 2]"),
        ("a: b: c", "x.yaml:1: not YAML: mapping values are not allowed here"),
        ("a: [1\n", "x.yaml:2: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n---\nb: 2", "x.yaml:2: not YAML: but found another document"),
        ("a: 1\nb: 2\na: 3", "x.yaml:3: 'a' is written twice, first at x.yaml:1"),
        ("a: &x [1]\nb: *x", "x.yaml:1: an anchor is used twice; in a recipe write ${key.path} instead"),
        ("a: &x [*x]", "an anchor is used twice"),
        ("? [1]\n: 2", "x.yaml:1: a key must be a word or a number"),
        ("[" * 600, "nested too deeply"),
        ("a: \x00", "not YAML"),
    ],
)
def test_a_file_that_is_no_plain_yaml(text: str, message: str) -> None:
    Path("x.yaml").write_text(text)
    assert message in faults("x.yaml")


def test_a_file_that_is_no_text() -> None:
    Path("x.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert "x.yaml: cannot be read:" in faults("x.yaml")


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!mine", "!!set"]
)
def test_a_tag_is_refused_and_runs_nothing(tag: str) -> None:
    argument = "{}" if tag in ("!!set",) else '["touch ran"]'
    Path("x.yaml").write_text(f"corpus: demo\ntarget: {tag} {argument}\n")
    assert faults("x.yaml") == (
        f"x.yaml has 1 fault:\n  x.yaml:2: the tag {tag} is refused: a recipe is plain data and runs nothing"
    )
    assert not Path("ran").exists()


def test_a_tag_in_an_override_is_refused_too() -> None:
    text = "corpus.root=!!python/object/apply:os.system ['touch ran']"
    assert f"override '{text}': the tag !!python/object/apply:os.system is refused" in faults("av.yaml", text)
    assert not Path("ran").exists()


def test_scalars_are_read_as_yaml_1_2_has_them() -> None:
    Path("x.yaml").write_text(
        PLAIN.replace("{name: demo}", "{name: demo, a: 1e-3, b: no, c: 1:30, d: 05, e: 2020-01-01}")
    )
    assert load("x.yaml").corpus.args == {"a": 1e-3, "b": "no", "c": "1:30", "d": "05", "e": "2020-01-01"}


def test_extends_is_laid_under_the_file() -> None:
    Path("deeper").mkdir()
    Path("deeper/child.yaml").write_text(
        "extends: ../av.yaml\nfusion: {dim: 32}\nstages: {sequence: {epochs: 9}}\ntemporal: lstm\n"
    )
    recipe = load("deeper/child.yaml")
    assert recipe.name == "child"
    assert recipe.files == ("deeper/child.yaml", "deeper/../av.yaml")
    assert recipe.fusion == Component("gmu", {"gate": "scalar", "dim": 32})
    assert [stage.epochs for stage in recipe.stages] == [3, 9]
    assert recipe.temporal == Component("lstm")


def test_another_component_starts_from_its_own_defaults() -> None:
    Path("child.yaml").write_text("extends: av.yaml\nfusion: {name: concat}\n")
    assert load("child.yaml").fusion == Component("concat")


def test_null_takes_a_modality_away() -> None:
    Path("child.yaml").write_text("extends: av.yaml\nmodalities: {voice: null}\nfusion: none\n")
    assert list(load("child.yaml").modalities) == ["face"]


def test_extends_may_name_a_bundled_recipe() -> None:
    Path("child.yaml").write_text("extends: demo\ntrain: {seed: 5}\n")
    assert load("child.yaml").train.seed == 5


def test_a_circle_of_extends() -> None:
    Path("a.yaml").write_text("extends: b.yaml\n")
    Path("b.yaml").write_text("extends: a.yaml\n")
    assert faults("a.yaml") == (
        "a.yaml has 1 fault:\n  b.yaml:1: extends: goes in a circle: a.yaml -> b.yaml -> a.yaml"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nothing.yaml", "child.yaml:1: extends: no file nothing.yaml, and no bundled recipe of that name."),
        ("dmo", "no bundled recipe of that name. Did you mean 'demo'?"),
        (
            "[a, b]",
            "child.yaml:1: extends: expected a file or the name of a bundled recipe, found ['a', 'b']",
        ),
    ],
)
def test_extends_that_leads_nowhere(value: str, message: str) -> None:
    Path("child.yaml").write_text(f"extends: {value}\n")
    assert message in faults("child.yaml")


def test_faults_of_a_base_are_placed_in_the_base() -> None:
    Path("base.yaml").write_text(PLAIN + "trian: {}\n")
    Path("child.yaml").write_text("extends: base.yaml\nfusoin: gmu\n")
    text = faults("child.yaml")
    assert "base.yaml:18: trian: unknown key. Did you mean 'train'?" in text
    assert "child.yaml:2: fusoin: unknown key. Did you mean 'fusion'?" in text


def test_an_unknown_recipe_lists_the_bundled_ones() -> None:
    assert faults("dmo") == (
        "dmo: no such recipe file, and none of that name is bundled. Did you mean 'demo'?\n"
        f"  bundled: {', '.join(bundled())}"
    )
    Path("folder").mkdir()
    assert faults("folder").startswith("folder: a folder, not a recipe.")


def test_a_bundled_name_works_from_any_folder() -> None:
    assert load("demo").name == "demo"


def test_an_existing_file_goes_before_a_bundled_name() -> None:
    Path("demo").write_text(PLAIN.replace("step_hz: 25", "step_hz: 3"))
    assert load("demo").target.step_hz == 3.0


# ---------------------------------------------------------------- interpolation


def test_interpolation_keeps_the_type() -> None:
    recipe = load(
        "av.yaml", ["temporal.dim=${modalities.face.reader.size}", "corpus.root=/data/${corpus.name}"]
    )
    assert recipe.temporal.args == {"dim": 64}
    assert recipe.corpus.args == {"root": "/data/demo"}


def test_interpolation_of_a_whole_component() -> None:
    recipe = load("av.yaml", ["modalities.voice.quadrant=${modalities.face.quadrant}"])
    assert recipe.modalities["voice"].quadrant == Component("discriminator")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${trian.seed}", "train.seed: ${trian.seed}: there is no key 'trian.seed'"),
        ("${train.seed}", "train.seed: ${train.seed}: leads back to itself"),
        ("${oc.env:HOME}", "train.seed: ${oc.env:HOME}: only ${key.path} is understood"),
        ("${oc.decode:'1'}", "only ${key.path} is understood"),
        ("${", "only ${key.path} is understood"),
        ("\\${target.step_hz}", "only ${key.path} is understood"),
    ],
)
def test_interpolation_that_fails_is_one_fault(value: str, message: str) -> None:
    text = faults("av.yaml", f"train.seed={value}")
    assert message in text
    assert text.startswith("av.yaml has 1 fault:")


# ---------------------------------------------------------------- presets


def test_presets_hold_where_the_recipe_is_silent() -> None:
    a, c = load("av.yaml", ["preset=a"]), load("av.yaml", ["preset=c"])
    assert a.preset == "a"
    assert a.modalities["face"].quadrant.args == {"conditioning": "none"}
    assert a.modalities["voice"].quadrant.args == {}
    assert a.temporal.args == {"score": "pair"}
    assert a.fusion.args == {"gate": "scalar"}
    assert c.temporal.args == {"score": "pair", "project_context": True}
    assert c.fusion.args == {"dim": 256, "gate": "scalar"}  # the recipe says scalar, and wins
    assert load("av.yaml", ["preset=default"]) == load("av.yaml")


def test_a_preset_does_not_touch_other_components() -> None:
    recipe = load("av.yaml", ["preset=c", "temporal=lstm", "fusion=concat"])
    assert recipe.temporal == Component("lstm")
    assert recipe.fusion == Component("concat")


def test_table11_is_read_as_preset_a() -> None:
    a, table11 = load("av.yaml", ["preset=a"]), load("av.yaml", ["preset=table11"])
    assert list(a.components()) == list(table11.components())
    assert table11.preset == "table11"


def test_an_unknown_preset() -> None:
    assert faults("av.yaml", "preset=tabel11").splitlines()[1] == (
        "  override 'preset=tabel11': preset: 'tabel11' is not one of a, c, default, table11."
        " Did you mean 'table11'?"
    )


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("target.dims=[]", "target.dims: must name each target dimension once, found []"),
        ("target.dims=[valence, valence]", "must name each target dimension once"),
        ("target.step_hz=-1", "target.step_hz: must be above 0, found -1"),
        ("target.step_hz=.nan", "target.step_hz: expected float, found nan"),
        ("target.step_hz=.inf", "target.step_hz: expected float, found inf"),
        ("split.fold=7", "split.fold: must be 0 to 4 (there are 5 folds), found 7"),
        ("split.folds=1", "split.folds: must be at least 2, found 1"),
        (
            "split.validation=0",
            "split.validation: must be above 0 and below 1 (its clips choose",
        ),
        ("split.validation=1", "found 1"),
        ("stages.latent.epochs=-1", "stages.0.epochs: must be at least 0, found -1"),
        ("stages.latent.batch_size=1", "stages.0.batch_size: must be at least 2, found 1"),
        ("stages.sequence.batch_size=[4, 1]", "stages.1.batch_size: must be at least 2, found 1"),
        ("stages.sequence.batch_size=[8, 4, 2]", "stages.1.batch_size: must be one number or 2, one for"),
        ("stages.latent.windows=[]", "stages.0.windows: must be increasing lengths"),
        ("stages.latent.windows=[2, 2]", "found [2, 2]"),
        ("stages.latent.windows=[0, 2]", "found [0, 2]"),
        ("stages.latent.betas=[0.5]", "stages.0.betas: expected list of 2 float, found [0.5]"),
        ("stages.latent.betas=[0.5, 1]", "stages.0.betas: must be at least 0 and below 1, found 1"),
        ("stages.latent.lambdas=[1, -1, 1]", "stages.0.lambdas: must be at least 0, found -1"),
        ("stages.latent.lr=0", "stages.0.lr: must be above 0, found 0"),
        ("stages.latent.frames_hz=0", "stages.0.frames_hz: must be above 0, found 0"),
        ("stages.latent.name=sequence", "stages: two stages are named 'sequence'"),
        ("stages=[]", "stages: at least one is needed"),
        ("train.seed=true", "train.seed: expected int, found true"),
        ("train.seed=1.0", "train.seed: expected int, found 1.0"),
        ("target.shuffle=1", "target.shuffle: expected true or false, found 1"),
        ("name=a/b", "name: 'a/b' cannot name a folder"),
        ("name=3", "name: expected string, found 3"),
        ("fusion=none", "fusion: 2 modalities need a fusion, as in fusion: {name: gmu}"),
        ("evaluation.steps=0", "evaluation.steps: must be at least 1, found 0"),
        ("train=3", "train: expected a mapping, found 3"),
        ("modalities.Face-2=${modalities.face}", "'Face-2' must be lower-case letters"),
    ],
)
def test_rules(override: str, message: str) -> None:
    assert message in faults("av.yaml", override)
