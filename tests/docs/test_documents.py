"""The documents against the code: links, commands, recipes, keys, tables, the hook, the example plugin."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from typer.main import get_command

from fusekit import build, hookspecs, plugins
from fusekit.cli.app import app
from fusekit.data.degradation import PictureDegradation, SpectrogramDegradation
from fusekit.data.synthetic import schedules
from fusekit.engine.metrics import POOLING
from fusekit.provenance import provenance
from fusekit.recipe.load import bundled, load
from fusekit.recipe.requires import missing
from fusekit.recipe.study import load_study
from fusekit.registry import Kind, Registry
from fusekit.study.jobs.plan import plan_jobs

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
EXAMPLE = DOCS / "examples" / "mean_fusion.py"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_documents_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return module(DOCS / "reference.py")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    registry, statuses = plugins.load(files=[EXAMPLE])
    assert [(s.state, s.components) for s in statuses if s.state != "skipped"] == [("loaded", 1)]
    return registry


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """With the installed plugins, which some recipes require."""
    monkeypatch.delenv("FUSEKIT_PLUGINS", raising=False)
    return plugins.load(files=[EXAMPLE, DOCS / "examples" / "eda" / "eda.py"])[0]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def cells(text: str) -> Iterator[list[str]]:
    """Rows of every table: what stands between the bars."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def words_of(line: str) -> list[list[str]]:
    """One shell line -> its `fusekit` commands, without comments."""
    commands = re.split(r"&&", line)
    split = [shlex.split(command, comments=True) for command in commands]
    return [words[1:] for words in split if words and words[0].split("/")[-1] == "fusekit"]


def commands(page: Path) -> list[list[str]]:
    return [words for text in blocks(page, "sh") for line in text.splitlines() for words in words_of(line)]


# ---------------------------------------------------------------- links and names


def test_the_pages_are_there() -> None:
    expected = {
        "README",
        "CHANGELOG",
        "design",
        "recipes",
        "runs",
        "plugins",
        "data",
        "benchmarks",
        "manifest",
    }
    assert {page.stem for page in PAGES} >= expected
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert sum(not line.startswith("|") for line in readme) <= 120  # measured tables apart


@every_page
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= set(re.findall(r"\(([\w/.]+\.md)\)", text))


@every_page
def test_nothing_names_a_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"/(?:work|tmp|home|root)/|\.\./shared|https?://\S*(?:pypi|pythonhosted)", text) == []


# ---------------------------------------------------------------- commands


def test_the_scan_finds_commands() -> None:
    assert words_of(".venv/bin/fusekit train demo --run a && .venv/bin/fusekit doctor  # b") == [
        ["train", "demo", "--run", "a"],
        ["doctor"],
    ]
    assert sum(len(commands(page)) for page in PAGES) >= 25


@every_page
def test_commands_exist_and_parse(page: Path) -> None:
    root: Any = get_command(app)
    for words in commands(page):
        found, name = root.commands[words[0]], words[0]
        rest = words[1:]
        if hasattr(found, "commands"):
            found, name, rest = found.commands[rest[0]], rest[0], rest[1:]
        found.make_context(name, list(rest))  # raises on an unknown option or a missing argument
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`fusekit ([a-z]+)", text))
    assert named <= set(root.commands)
    options = {option for c in every_command(root) for p in c.params for option in p.opts + p.secondary_opts}
    assert set(re.findall(r"`(--[a-z][a-z-]*)", text)) <= options | {"--help", "--version"}


def every_command(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield from every_command(command) if hasattr(command, "commands") else [command]


def test_recipes_of_commands_load_with_their_changes(installed: Registry) -> None:
    seen = set()
    for page in PAGES:
        for words in commands(page):
            if words[0] not in ("train", "check") or len(words) < 2 or words[1] not in bundled():
                continue
            changes = [word for word in words[2:] if re.match(r"[a-z][\w.]*=", word)]
            if (words[1], *changes) not in seen:
                seen.add((words[1], *changes))
                recipe = load(words[1], changes)
                if not any(missing(package, installed) for package in recipe.requires):
                    build.check_components(recipe, installed)
    assert len(seen) >= 8


@pytest.mark.parametrize(
    ("page", "number"),
    [(page, i) for page in PAGES for i in range(len(blocks(page, "yaml"))) if page.stem != "manifest"],
    ids=lambda value: value.name if isinstance(value, Path) else str(value),
)
def test_recipes_in_the_text_build(page: Path, number: int, installed: Registry, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = blocks(page, "yaml")[number]
    file.write_text(text, encoding="utf-8")
    if text.startswith("models:"):
        assert plan_jobs(load_study(file)[0], file, tmp_path, installed)
        return
    recipe = load(file)
    for package in recipe.requires:
        if fault := missing(package, installed):
            pytest.skip(fault)
    report = build.check(recipe, installed)
    assert report.parts[-1]["name"] == "head"


# ---------------------------------------------------------------- recipes.md


def test_every_key_is_documented_with_type_and_default(reference: ModuleType) -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    rows = [row for row in cells(text) if len(row) == 4 and re.fullmatch(r"`[\w.\[\]]+`", row[0])]
    assert [(row[0].strip("`"), row[1], row[2]) for row in rows] == list(reference.keys())
    assert all(len(row[3]) > 4 for row in rows)


def test_every_bundled_recipe_is_named() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert [name for name in bundled() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", ["components", "presets"])
def test_generated_tables_are_up_to_date(name: str, reference: ModuleType) -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert reference.block(text, name).group(1) == reference.GENERATED[name](), (
        "run: python docs/reference.py"
    )


def test_printed_counts_of_table_11_are_the_papers(reference: ModuleType) -> None:
    table = reference.block((DOCS / "recipes.md").read_text(encoding="utf-8"), "presets").group(1)
    rows = {row[0].strip("`"): row[-1] for row in cells(table)}
    assert rows["vi-de"] == "5,287,308 / 2,483,346"
    assert rows["vi-des"] == "5,550,989 / 2,747,027"
    assert rows["avi-cas"] == "6,000,508 / 3,196,546"
    assert rows["avi-gas"] == "6,264,189 / 3,460,227"


# ---------------------------------------------------------------- design.md, runs.md, data.md


def test_design_tells_the_rule_of_the_rooms() -> None:
    rule: dict[str, set[str]] = module(ROOT / "tests" / "architecture" / "test_rooms.py").MAY_IMPORT
    text = (DOCS / "design.md").read_text(encoding="utf-8")
    table = text.split("| room | may import |")[1].split("\n\n")[0]
    said = {row[0].strip("`"): set(row[1].split(", ")) - {"-"} for row in cells(table)}
    assert said == {room: rooms - {room} for room, rooms in rule.items()}


def test_runs_tells_what_is_written() -> None:
    text = (DOCS / "runs.md").read_text(encoding="utf-8")
    assert [key for key in provenance([], "cpu", 0, []) if f"`{key}`" not in text] == []
    assert POOLING in text


def test_data_tells_kinds_of_damage_and_detectors(registry: Registry) -> None:
    text = (DOCS / "data.md").read_text(encoding="utf-8")
    planted = (*schedules.FACE_AND_VOICE.parts, *schedules.ECG_AND_TEXT.parts)
    kinds = [kind for _, seen, unseen in planted for kind in (*seen, unseen)]
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []
    assert [name for name in registry.names("detector") if f"| `{name}` |" not in text] == []
    assert [name for name in registry.names("corpus") if f"### {name}: " not in text] == []
    rows = {row[0]: row for row in cells(text) if row[0] in PictureDegradation.kinds}
    assert rows.keys() == PictureDegradation.kinds.keys()
    assert {name for name, row in rows.items() if row[3] != "no"} == set(SpectrogramDegradation.kinds)


# ---------------------------------------------------------------- plugins.md


def test_the_hook_is_as_written() -> None:
    page = next(ast.parse(b) for b in blocks(DOCS / "plugins.md", "python") if "@hookspec" in b)
    code = ast.parse(inspect.getsource(hookspecs))

    def hook(tree: ast.Module) -> tuple[list[str], str, str]:
        (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
        decorators = [ast.unparse(d) for d in function.decorator_list]
        aliases = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
        (alias,) = (text for text in aliases if text.startswith("Register ="))
        assert function.returns is not None
        head = f"{function.name}({ast.unparse(function.args)}) -> {ast.unparse(function.returns)}"
        return decorators, head, alias

    assert hook(page) == hook(code)


def test_kinds_and_what_the_builder_gives(registry: Registry) -> None:
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    rows = {row[0]: row for row in cells(text) if len(row) == 4 and row[0] != "kind"}
    assert list(rows) == [kind.value for kind in Kind]
    for entry in registry.entries():
        init: Any = registry.load(entry).__init__  # type: ignore[misc]
        given = [
            p.name
            for p in inspect.signature(init).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
        ]
        assert re.findall(r"`(\w+)`", rows[entry.kind][2]) == given, entry


def test_the_example_of_a_package_names_our_group() -> None:
    (text,) = blocks(DOCS / "plugins.md", "toml")
    assert list(tomllib.loads(text)["project"]["entry-points"]) == [plugins.GROUP]


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "plugins.md"], ids=lambda page: page.name)
def test_the_example_plugin_is_the_file(page: Path) -> None:
    whole = EXAMPLE.read_text(encoding="utf-8")
    component = whole.split("\n\n\ndef conformance_cases")[0] + "\n"  # README leaves the cases to plugins.md
    assert (component if page.name == "README.md" else whole) in blocks(page, "python")
    lines = [x for x in component.splitlines() if x.strip() and not x.strip().startswith('"""')]
    assert ast.get_docstring(ast.parse(whole))
    assert len(lines) <= 20, "README says 20 lines"


def test_the_example_plugin_builds_a_model(registry: Registry) -> None:
    parts = build.check(load("avi-gas", ["fusion={name: mean, dim: 64}"]), registry).parts
    fusion = next(part for part in parts if part["name"] == "fusion")
    assert fusion["shape_out"] == [64]
    assert fusion["parameters"] == 2 * 256 * 64 + 64


def test_the_example_plugin_fuses_what_is_present(registry: Registry) -> None:
    torch.manual_seed(0)
    mean: Any = registry.load(registry.get("fusion", "mean"))({"face": 3, "voice": 5}, dim=4)
    feats = {"face": torch.randn(1, 4, 3), "voice": torch.randn(1, 4, 5)}
    present = torch.tensor([[[True, True], [True, False], [False, True], [False, False]]])
    feats["voice"][0, 1], feats["face"][0, 2], feats["face"][0, 3] = float("nan"), float("inf"), float("nan")
    fused, state, trace = mean(feats, present)
    face, voice = (mean.layers[m](feats[m]) for m in ("face", "voice"))
    expected = torch.stack([(face[0, 0] + voice[0, 0]) / 2, face[0, 1], voice[0, 2], mean.empty])[None]
    torch.testing.assert_close(fused, expected)
    assert state == {}
    assert trace["gate"][0].tolist() == [[0.5, 0.5], [1, 0], [0, 1], [0, 0]]
    fused.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in mean.parameters())


def test_the_rules_of_the_kit_are_those_in_the_table() -> None:
    from fusekit.testing.findings import RULES
    from fusekit.testing.kit import CHECKS
    from fusekit.testing.network_checks import NETWORKS

    def kinds(rule: Any) -> str:
        whole = {tuple(CHECKS): "all", NETWORKS: "networks"}
        return whole.get(rule.kinds, ", ".join(kind.value for kind in rule.kinds))

    page = (DOCS / "testing.md").read_text(encoding="utf-8")
    listed = [row for row in cells(page) if len(row) == 3 and row[0] != "rule"]
    assert sorted(listed) == sorted([rule.name, kinds(rule), rule.says] for rule in RULES)
