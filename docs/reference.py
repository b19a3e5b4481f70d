"""Writes the generated tables of docs/recipes.md; run it after a component or a preset changed.

Each stands between `<!-- generated: NAME -->` and `<!-- end -->`; a test compares it with what is made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_type_hints

from fusekit import build, components
from fusekit.recipe import schema
from fusekit.recipe.arguments import parameters
from fusekit.recipe.hints import describe, show
from fusekit.recipe.load import load
from fusekit.registry import Entry, Registry

PAGE = Path(__file__).parent / "recipes.md"
# Where a recipe writes the fields of each class.
CLASSES = {
    "": schema.Recipe,
    "target.": schema.Target,
    "modalities.NAME.": schema.Modality,
    "stages[].": schema.Stage,
    "split.": schema.Split,
    "train.": schema.Train,
    "evaluation.": schema.Evaluation,
    "output.": schema.Output,
}
TABLE_11 = ("vi-de", "vi-des", "avi-cas", "avi-gas")
PRESETS = ("default", "a", "c", "table11")


def registry() -> Registry:
    """fusekit's own components alone."""
    own = Registry()
    rows: list[tuple[str, str, str, str]] = []
    components.register_components(lambda *row: rows.append(row))
    own.add_all(rows, "fusekit")
    return own


def keys() -> Iterator[tuple[str, str, str]]:
    """(key, type, default) of everything a recipe may say, components' arguments apart."""
    for prefix, cls in CLASSES.items():
        hints = get_type_hints(cls)
        for f in fields(cls):
            if f.compare:  # else filled in by the loader
                yield prefix + f.name, _type(hints[f.name]), _default(f)


def component_table() -> str:
    """Every component: kind, name, summary, arguments."""
    own = registry()
    lines = ["| kind | name | what it is | arguments: type, default |", "|---|---|---|---|"]
    lines += [
        f"| {e.kind} | `{e.name}` | {e.summary} | {_arguments(e, own.load(e))} |" for e in own.entries()
    ]
    return "\n".join(lines)


def preset_table() -> str:
    """Parameters of the paper's accounting for its four kinds of model under each preset."""
    head = ["paper's accounting, training / inference", *PRESETS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in TABLE_11:
        cells = [_counts(name, preset, "paper") for preset in PRESETS]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    cells = [_counts("avi-gas", preset, "built") for preset in PRESETS]
    lines.append(f"| `avi-gas` **as built** | {' | '.join(cells)} |")
    return "\n".join(lines)


GENERATED = {"components": component_table, "presets": preset_table}


def block(text: str, name: str) -> re.Match[str]:
    """The generated part of that name, in group 1."""
    found = re.search(rf"<!-- generated: {name} -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE.name} has no generated part '{name}'")
    return found


def _counts(name: str, preset: str, row: str) -> str:
    counts = build.check(load(name, [f"preset={preset}"]), registry()).parameters[row]
    assert counts is not None  # these recipes have G and D
    return f"{counts['training']:,} / {counts['inference']:,}"


def _arguments(entry: Entry, cls: type) -> str:
    found = []
    for p in parameters(cls).values():
        default = "required" if p.default is p.empty else _plain(p.default)
        found.append(f"`{p.name}`: {describe(p.annotation)}, {default}")
    return "; ".join(found)


def _type(hint: Any) -> str:
    text = describe(hint)
    for cls in (schema.Component, *CLASSES.values()):
        text = re.sub(rf"\b{cls.__name__}\b", cls.__name__.lower(), text)
    return text


def _default(f: Field[Any]) -> str:
    if f.name == "name" and f in fields(schema.Recipe):
        return "the file's name"
    if f.default is MISSING and f.default_factory is MISSING:
        return "required"
    value = f.default if f.default_factory is MISSING else f.default_factory()
    if isinstance(value, schema.Component):
        return value.name
    return "see there" if type(value) in CLASSES.values() else _plain(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else show(value).replace("'", "")


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for name, make in GENERATED.items():
        found = block(page, name)
        page = page[: found.start(1)] + make() + page[found.end(1) :]
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE.name}: {', '.join(GENERATED)}")
