"""The house: which room may import which, what stays out of the light rooms, what is never done."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fusekit"

CORE = {"errors"}
SHARED = CORE | {"batch", "contracts"}
ASSEMBLED = SHARED | {"registry", "recipe", "media", "data", "nn", "engine", "build", "runs", "provenance"}

# Room -> rooms it may import, itself apart. A new room is added here with its rights, or the test fails.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "signals": set(),
    "registry": CORE,
    "hookspecs": CORE,
    "components": CORE | {"registry", "hookspecs"},
    "plugins": CORE | {"registry", "hookspecs", "components"},
    "recipe": CORE | {"registry", "distribution"},
    "batch": CORE,
    "contracts": CORE,
    "media": CORE,
    "data": SHARED | {"media"},
    "nn": SHARED,
    "engine": SHARED | {"signals"},
    "consistency": SHARED | {"recipe", "data", "nn"},
    "dry_run": SHARED | {"recipe", "nn", "engine"},
    "build": SHARED | {"registry", "recipe", "media", "data", "nn", "engine", "consistency", "dry_run"},
    "provenance": SHARED,
    "distribution": set(),
    "launch": CORE | {"signals"},
    "authoring": CORE | {"registry", "distribution"},
    "runs": ASSEMBLED,
    "study": ASSEMBLED | {"plugins", "launch", "signals"},
    "serve": ASSEMBLED | {"study"},
    "testing": SHARED | {"registry", "recipe", "plugins", "components"},
    "cli": ASSEMBLED
    | {"plugins", "study", "serve", "launch", "testing", "authoring", "distribution", "signals"},
    "__main__": {"cli"},
    "__init__": set(),
}
LIGHT = {
    "errors",
    "signals",
    "registry",
    "hookspecs",
    "components",
    "plugins",
    "recipe",
    "distribution",
    "launch",
    "authoring",
    "cli",
    "__main__",
    "__init__",
}
HEAVY = {
    "torch", "torchvision", "timm", "numpy", "scipy", "librosa", "soundfile", "av", "cv2", "accelerate",
    "matplotlib", "plotly", "safetensors", "einops", "pyarrow",
}  # fmt: skip
# What the command line may import before a command runs.
CLI_TOP = {"fusekit", "fusekit.cli", "fusekit.errors", "fusekit.registry", "fusekit.signals"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path, *, top_only: bool = False) -> Iterator[tuple[int, str]]:
    """(line, module) of every import at run time; `from fusekit import x` counts as `fusekit.x`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        if top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                submodule = base == "fusekit" and not alias.name.startswith("__")
                yield node.lineno, f"{base}.{alias.name}" if submodule else base
        pending += ast.iter_child_nodes(node)


def at(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def test_the_scan_sees_the_house() -> None:
    assert len(modules()) >= 60
    assert {room(file) for file in modules()} <= MAY_IMPORT.keys(), (
        "a new room: say in MAY_IMPORT what it may import"
    )
    assert sum(1 for file in modules() for _ in imports(file)) >= 400


def test_every_room_imports_only_what_it_may() -> None:
    broken = []
    for file in modules():
        here = room(file)
        for line, name in imports(file):
            parts = name.split(".")
            if (
                parts[0] == "fusekit"
                and len(parts) > 1
                and parts[1] != here
                and parts[1] not in MAY_IMPORT[here]
            ):
                broken.append(f"{at(file, line)}: {here} imports {name}")
    assert broken == []


def test_light_rooms_never_import_what_is_heavy() -> None:
    broken = [
        f"{at(file, line)}: {name}"
        for file in modules()
        if room(file) in LIGHT - {"cli", "launch"}
        for line, name in imports(file)
        if name.split(".")[0] in HEAVY
    ]
    assert broken == []


def test_the_command_line_imports_only_typer_before_a_command_runs() -> None:
    broken = []
    for file in modules():
        if room(file) not in ("cli", "__main__", "launch", "__init__"):
            continue
        for line, name in imports(file, top_only=True):
            top = name.split(".")[0]
            own = any(name == allowed or name.startswith(f"{allowed}.") for allowed in CLI_TOP - {"fusekit"})
            if (top == "fusekit" and name != "fusekit" and not own) or top in HEAVY | {
                "rich",
                "omegaconf",
                "yaml",
                "pluggy",
            }:
                broken.append(f"{at(file, line)}: {name}")
    assert broken == []


def test_no_room_is_called_utils() -> None:
    assert [f for f in modules() if f.stem in ("util", "utils", "helpers", "misc", "common")] == []


def calls(file: Path) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def test_nothing_is_unpickled_evaluated_or_loaded_unsafely() -> None:
    broken = []
    seen = 0
    for file in modules():
        broken += [
            f"{at(file, line)}: imports {n}"
            for line, n in imports(file)
            if n.split(".")[0] in ("pickle", "dill", "joblib")
        ]
        for call, name in calls(file):
            seen += 1
            unsafe = (
                name in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system")
                or (name.endswith("torch.load") and keyword(call, "weights_only") != "True")
                or (
                    name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") not in (None, "False")
                )
                or keyword(call, "shell") == "True"
            )
            if unsafe:
                broken.append(f"{at(file, call.lineno)}: {name}")
    assert seen > 1000
    assert broken == []


def test_no_fault_is_caught_and_dropped() -> None:
    broken = []
    for file in modules():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ExceptHandler):
                continue
            if node.type is None:
                broken.append(f"{at(file, node.lineno)}: bare except")
            elif ast.unparse(node.type) in ("Exception", "BaseException") and all(
                isinstance(s, ast.Pass) for s in node.body
            ):
                broken.append(f"{at(file, node.lineno)}: catches {ast.unparse(node.type)} and drops it")
    assert broken == []


def test_the_scanner_tells_imports_apart(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
        "def f():\n    import numpy\n    from fusekit import build\n"
    )
    assert sorted(name for _, name in imports(file)) == ["fusekit.build", "numpy", "typing"]
    assert [name for _, name in imports(file, top_only=True)] == ["typing"]
