"""What a user reads when something is wrong: the text, the stream it is on, and the exit code."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from fusekit import plugins
from fusekit.cli.app import app
from fusekit.recipe.load import bundled
from fusekit.registry import Kind

runner = CliRunner()
BUNDLED = ", ".join(bundled())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def run(*words: str) -> Result:
    return runner.invoke(app, list(words), prog_name="fusekit")


def fault(*words: str) -> str:
    """stderr of a command that must end with exit code 2, with nothing on stdout and no traceback."""
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def commands() -> dict[str, Any]:
    root: Any = get_command(app)
    found = {name: command for name, command in root.commands.items() if not hasattr(command, "commands")}
    found |= {f"data {name}": command for name, command in root.commands["data"].commands.items()}
    return found


# ---------------------------------------------------------------- help


def test_the_commands() -> None:
    assert set(commands()) >= {
        "train", "evaluate", "predict", "check", "list", "show", "data check", "doctor"
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_teaches_by_examples_that_parse(name: str) -> None:
    text = run(*name.split(), "--help").stdout
    examples = re.findall(r"^ +fusekit (.+)$", text, re.MULTILINE)
    assert examples, text
    for example in examples:
        words = shlex.split(example)
        assert words[: len(name.split())] == name.split()
        commands()[name].make_context(name, words[len(name.split()) :])  # raises on an unknown option


def test_no_command_shows_help() -> None:
    result = run()
    assert "fusekit train demo" in result.output


def test_version() -> None:
    from fusekit import __version__

    assert run("--version").stdout == f"fusekit {__version__}\n"


# ---------------------------------------------------------------- faults


def test_an_unknown_recipe() -> None:
    for command in ("train", "check"):
        assert fault(command, "dmo") == (
            "fusekit: dmo: no such recipe file, and none of that name is bundled. Did you mean 'demo'?\n"
            f"  bundled: {BUNDLED}\n"
        )


def test_a_wrong_key_and_a_wrong_type() -> None:
    assert fault("check", "demo", "fuson=concat", "train.seed=x") == (
        "fusekit: demo has 2 faults:\n"
        "  override 'fuson=concat': fuson: unknown key. Did you mean 'fusion'?\n"
        "  override 'train.seed=x': train.seed: expected int, found 'x'\n"
    )


def test_schema_and_components_are_faulted_at_once() -> None:
    said = fault(
        "check", "demo", "train.sed=1", "fusion=gmuu", "temporal.memry=4", "head={name: linear, x: 1}"
    )
    assert said.startswith("fusekit: demo has 4 faults:\n  override 'train.sed=1': train.sed: unknown key.")
    assert "override 'fusion=gmuu': fusion: no fusion named 'gmuu'. Did you mean 'gmu'?" in said
    assert "override 'temporal.memry=4': temporal.memry: 'luong-lstm' has no argument 'memry'." in said
    assert "head.x: 'linear' has no argument 'x'. It takes none" in said


def test_a_key_of_a_section_without_its_section() -> None:
    assert fault("check", "demo", "seed=3") == (
        "fusekit: demo has 1 fault:\n"
        "  override 'seed=3': seed: unknown key. Did you mean 'split.seed' or 'train.seed'?\n"
    )


def test_a_refused_argument_is_blamed_on_what_set_it() -> None:
    assert fault("check", "demo", "fusion.dim=0") == (
        "fusekit: override 'fusion.dim=0': fusion: fusion gmu: dim must be at least 1, found 0\n"
    )
    said = fault("check", "demo", "stages.sequence.objective=adversarial")
    assert "override 'stages.sequence.objective=adversarial': stages.1.objective: stage 'sequence'" in said


def test_an_unknown_option_and_a_wrong_choice() -> None:
    assert "No such option: --sed" in fault("train", "demo", "--sed", "3")
    assert "'gpu'" in fault("train", "demo", "--device", "gpu")
    assert "Missing argument" in fault("check")


def test_train_without_a_recipe() -> None:
    assert fault("train") == (
        "fusekit: train needs a RECIPE: a file or a bundled name, e.g. `fusekit train demo`.\n"
    )


def test_train_into_a_folder_that_holds_a_run() -> None:
    Path("old").mkdir()
    Path("old/recipe.yaml").write_text("x")
    assert fault("train", "demo", "--run", "old") == (
        "fusekit: old already holds a run. Go on with it, `fusekit train --resume old`,"
        " or name another folder.\n"
    )


def test_train_into_a_file() -> None:
    Path("file").write_text("x")
    assert fault("train", "demo", "--run", "file") == (
        "fusekit: --run file is a file. Name a folder, or leave --run out.\n"
    )


@pytest.mark.parametrize(
    "words", [("demo",), ("--seed", "3"), ("--run", "there"), ("--fold", "1"), ("--branches-from", "that")]
)
def test_resume_takes_everything_from_the_run(words: tuple[str, ...]) -> None:
    assert fault("train", "--resume", "old", *words) == (
        "fusekit: --resume keeps the recipe, folder, fold, seed and branches of the run: give it alone.\n"
    )


def test_a_run_that_is_none() -> None:
    Path("empty").mkdir()
    for words in (("train", "--resume", "empty"), ("evaluate", "empty")):
        assert fault(*words) == (
            "fusekit: empty is not a run: it has no recipe.yaml."
            " `fusekit train RECIPE --run empty` makes one.\n"
        )
    assert fault("evaluate", "no") == (
        "fusekit: no is not a run: there is no such folder. `fusekit train RECIPE --run no` makes one.\n"
    )


def test_a_missing_plugin_file() -> None:
    assert fault("list", "--plugin", "no.py") == "fusekit: --plugin no.py: there is no such file.\n"


def test_an_unknown_component() -> None:
    first, second, _ = fault("show", "gmuu").splitlines()
    assert first == "fusekit: no component named 'gmuu'. Did you mean 'gmu'?"
    assert second.startswith("  known: afc, afew-va, attention, boxes, ccc")
    assert fault("show", "gmu", "--kind", "loss").startswith(
        "fusekit: no loss named 'gmu'.\n  known: afc, ccc, mse\n"
    )


def test_a_broken_plugin_is_said_and_the_command_goes_on() -> None:
    Path("bad.py").write_text("import no_such_module_at_all\n")
    result = run("list", "--json", "--plugin", "bad.py")
    assert result.exit_code == 0
    assert result.stderr == (
        "fusekit: plugin bad.py (bad.py) is disabled:"
        " ModuleNotFoundError: No module named 'no_such_module_at_all'\n"
    )
    assert len(json.loads(result.stdout)) > 20


def test_our_own_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(plugins, "load", bug)
    result = run("list")
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exit_code == 1


# ---------------------------------------------------------------- list and show


def test_list_as_json_names_every_component() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert all(list(row) == ["kind", "name", "summary", "source"] for row in rows)
    assert {row["kind"] for row in rows} == {kind.value for kind in Kind}
    assert {"kind": "fusion", "name": "gmu"}.items() <= rows[[r["name"] for r in rows].index("gmu")].items()
    fusions = json.loads(run("list", "--json", "--kind", "fusion").stdout)
    assert [row["name"] for row in fusions] == ["attention", "concat", "gmu", "none"]


def test_list_as_a_table_cuts_nothing_off() -> None:
    text = run("list").stdout
    for row in json.loads(run("list", "--json").stdout):
        line = next(line for line in text.splitlines() if line.split()[:2] == [row["kind"], row["name"]])
        assert row["summary"] in line


def test_a_plugins_component_is_listed_and_shown() -> None:
    Path("mine.py").write_text(
        "from fusekit.hookspecs import hookimpl\n\n\n"
        'class Half:\n    """`(B, T, D)` -> `(B, T, D)`: halves."""\n\n'
        "    def __init__(self, in_dims, *, by: float = 2.0, name_of: str) -> None: ...\n\n"
        '    def forward(self, x):\n        """`(B, T, D)` in."""\n\n\n'
        "@hookimpl\ndef register_components(register):\n"
        '    register("fusion", "half", f"{__name__}:Half", "halves")\n'
    )
    rows = json.loads(run("list", "--kind", "fusion", "--json", "--plugin", "mine.py").stdout)
    assert {"kind": "fusion", "name": "half", "summary": "halves", "source": "mine.py"} in rows
    shown = run("show", "half", "--plugin", "mine.py").stdout
    assert shown.splitlines()[:5] == [
        "fusion half: halves",
        "",
        "Arguments in a recipe:",
        "  by       float   default 2.0",
        "  name_of  string  required",
    ]
    assert "`(B, T, D)` -> `(B, T, D)`: halves." in shown
    assert "`(B, T, D)` in." in shown
    assert shown.rstrip().endswith(f"Source: {Path('mine.py')}:4")


def test_plugins_are_listed_with_what_they_offer_and_why_one_is_disabled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run("plugins").stdout == "No plugin is installed. `fusekit plugin new NAME` writes one.\n"
    assert run("plugins", "--json").stdout == "[]\n"

    class Point:
        name, value = "pulse", "fusekit_pulse.plugin"
        dist = type("Dist", (), {"name": "fusekit-pulse", "version": "0.3"})

        def load(self) -> None:
            raise ImportError("no module wfdb")

    monkeypatch.delenv("FUSEKIT_PLUGINS", raising=False)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Point()])
    Path("half.py").write_text(
        "from fusekit.hookspecs import hookimpl\n\n\n@hookimpl\ndef register_components(register):\n"
        '    register("fusion", "half", f"{__name__}:Half", "")\n'
    )
    result = run("plugins", "--json", "--plugin", "half.py")
    assert result.stderr == ""
    assert json.loads(result.stdout) == [
        {
            "name": "pulse",
            "distribution": "fusekit-pulse",
            "version": "0.3",
            "from": "fusekit_pulse.plugin",
            "state": "disabled",
            "reason": "ImportError: no module wfdb",
            "components": [],
        },
        {
            "name": "half.py",
            "distribution": "",
            "version": "",
            "from": "half.py",
            "state": "loaded",
            "reason": "",
            "components": [{"kind": "fusion", "name": "half"}],
        },
    ]
    table = run("plugins", "--plugin", "half.py").stdout.splitlines()
    rows = [" | ".join(re.split(r" {2,}", line.strip())) for line in table]
    where = "entry point fusekit_pulse.plugin"
    assert f"pulse | fusekit-pulse 0.3 | {where} | disabled | ImportError: no module wfdb" in rows
    assert "half.py | - | file half.py | loaded | fusion half" in rows


def test_a_name_of_several_kinds_is_shown_for_each() -> None:
    shown = run("show", "none").stdout
    assert [line for line in shown.splitlines() if " none: " in line] == [
        "quadrant none: no quadrant",
        "fusion none: one modality, padded to the fused slot",
        "temporal none: no memory: each step on its own",
    ]


# ---------------------------------------------------------------- doctor


def test_doctor_names_versions_cache_and_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEKIT_CACHE", "/somewhere/else")
    result = run("doctor", "--json")
    facts = json.loads(result.stdout)["facts"]
    assert {"fusekit", "python", "torch", "av", "cache", "FFmpeg", "components"} <= facts.keys()
    assert facts["cache"].startswith("/somewhere/else")
    assert result.exit_code == 0
    Path("bad.py").write_text("1/0\n")
    result = run("doctor", "--plugin", "bad.py")
    assert result.exit_code == 2
    assert "fault: plugin bad.py is disabled: ZeroDivisionError: division by zero" in result.stdout


def test_doctor_finds_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("x")
    monkeypatch.setenv("FUSEKIT_CACHE", "file/cache")
    result = run("doctor")
    assert result.exit_code == 2
    assert "fault: the cache folder cannot be written, '" in result.stdout
    monkeypatch.setenv("FUSEKIT_CACHE", "not/there/yet")
    assert run("doctor").exit_code == 0
    assert not Path("not").exists()


def test_doctor_finds_a_component_that_cannot_be_imported() -> None:
    Path("hollow.py").write_text(
        "from fusekit.hookspecs import hookimpl\n\n\n@hookimpl\ndef register_components(register):\n"
        '    register("fusion", "hollow", "no_such_module_at_all:Hollow", "nothing behind it")\n'
    )
    result = run("doctor", "--plugin", "hollow.py")
    assert result.exit_code == 2
    assert "fault: fusion 'hollow' of hollow.py: cannot import no_such_module_at_all:Hollow" in result.stdout
