"""`fusekit check`, `list`, `plugins`, `show`: what a recipe is made of, and what there is to make one of."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusekit.cli.options import Json, Overrides, Plugins, RecipeName, load_recipe, load_registry
from fusekit.registry import Kind

if TYPE_CHECKING:
    from fusekit.build import CheckReport
    from fusekit.registry import Entry

KindName = Annotated[
    Kind | None, typer.Option("--kind", metavar="KIND", help=f"Only one of: {', '.join(Kind)}.")
]

# The method whose docstring tells the shapes, where it is not `forward`.
_METHODS = {
    Kind.CORPUS: "load",
    Kind.READER: "windows",
    Kind.DETECTOR: "detect",
    Kind.DEGRADATION: "__call__",
    Kind.ENCODER: "encode",
}


def check(
    recipe: RecipeName, overrides: Overrides = None, as_json: Json = False, plugin: Plugins = None
) -> None:
    """Check a recipe without data: every fault at once, or a table of parts, shapes and parameters.

    \b
    Examples:
      fusekit check avi-gas
      fusekit check avi-gas preset=table11
      fusekit check my.yaml fusion=concat --json
    """
    registry = load_registry(plugin)
    loaded = load_recipe(recipe, overrides, registry)
    from fusekit import build

    report = build.check(loaded, registry)
    if as_json:
        _print_json(
            {
                "recipe": loaded.name,
                "preset": loaded.preset,
                "parts": report.parts,
                "parameters": report.parameters,
                # null: the whole file, as JSON knows no infinity
                "lookahead_s": {m: s if isfinite(s) else None for m, s in report.lookahead_s.items()},
                "notes": report.notes,
            }
        )
    else:
        _print_report(f"{loaded.name}, preset {loaded.preset}", report)


def list_components(kind: KindName = None, as_json: Json = False, plugin: Plugins = None) -> None:
    """List the components that recipes can name, fusekit's own and those of plugins.

    \b
    Examples:
      fusekit list
      fusekit list --kind fusion
      fusekit list --json --plugin my_fusion.py
    """
    entries = load_registry(plugin).entries(kind)
    if as_json:
        rows = [
            {"kind": e.kind.value, "name": e.name, "summary": e.summary, "source": e.source} for e in entries
        ]
        _print_json(rows)
        return
    from fusekit.cli.tables import print_table

    print_table(
        ["kind", "name", "summary", "source"], [[e.kind.value, e.name, e.summary, e.source] for e in entries]
    )


def list_plugins(as_json: Json = False, plugin: Plugins = None) -> None:
    """List the plugins: package and version, where from, what they offer, and why one is disabled.

    \b
    Examples:
      fusekit plugins
      fusekit plugins --json
    """
    from fusekit import plugins

    _, statuses = plugins.load(plugin or [])
    if as_json:
        rows = [
            {
                "name": s.name,
                "distribution": s.distribution,
                "version": s.version,
                "from": s.module or s.source,
                "state": s.state,
                "reason": s.reason,
                "components": [{"kind": kind, "name": name} for kind, name in s.offers],
            }
            for s in statuses
        ]
        _print_json(rows)
        return
    if not statuses:
        typer.echo("No plugin is installed. `fusekit plugin new NAME` writes one.")
        return
    from fusekit.cli.tables import print_table

    cells = [
        [
            s.name,
            f"{s.distribution} {s.version}".strip() or "-",
            (f"entry point {s.module}" if s.module else f"file {s.source}") if s.source else "-",
            s.state,
            s.reason or ", ".join(f"{kind} {name}" for kind, name in s.offers),
        ]
        for s in statuses
    ]
    print_table(["plugin", "package", "from", "state", "components, or why not"], cells)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component, as `fusekit list` names it.")],
    kind: KindName = None,
    plugin: Plugins = None,
) -> None:
    """Show a component: what a recipe may say about it, its shapes, and where its source is.

    \b
    Examples:
      fusekit show gmu
      fusekit show none --kind quadrant
    """
    from fusekit.errors import UnknownComponentError
    from fusekit.registry import nearest

    registry = load_registry(plugin)
    entries = registry.entries(kind)
    found = [entry for entry in entries if entry.name == name]
    if not found:
        known = sorted({entry.name for entry in entries})
        raise UnknownComponentError(
            f"no {kind or 'component'} named '{name}'.{nearest(name, known)}\n"
            f"  known: {', '.join(known) or 'none'}\n  `fusekit list` shows what each of them is."
        )
    texts = [_description(entry, registry.load(entry)) for entry in found]
    typer.echo("\n\n".join(texts))


def _description(entry: Entry, cls: Any) -> str:
    import inspect

    from fusekit.recipe.arguments import parameters
    from fusekit.recipe.hints import describe, show

    rows = []
    for parameter in parameters(cls).values():
        default = "required" if parameter.default is parameter.empty else f"default {show(parameter.default)}"
        rows.append((parameter.name, describe(parameter.annotation), default))
    lines = [f"{entry.kind.value} {entry.name}: {entry.summary}", ""]
    if rows:
        name_width, type_width = (max(len(row[i]) for row in rows) for i in (0, 1))
        lines += ["Arguments in a recipe:"]
        lines += [f"  {name:<{name_width}}  {kind:<{type_width}}  {default}" for name, kind, default in rows]
    else:
        lines.append("It takes no arguments in a recipe.")
    method = getattr(cls, _METHODS.get(entry.kind, "forward"), None)
    for title, text in (
        ("", inspect.getdoc(cls)),
        (_METHODS.get(entry.kind, "forward"), inspect.getdoc(method)),
    ):
        if text:
            lines += ["", *([f"{title}:"] if title else []), *text.splitlines()]
    lines += ["", f"Offered by {entry.source}: {entry.ref}", f"Source: {_source(cls)}"]
    return "\n".join(lines)


def _source(cls: Any) -> str:
    import inspect

    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):  # made without a file, e.g. at a prompt
        return "not in a file"


def _print_report(title: str, report: CheckReport) -> None:
    from fusekit.cli.tables import print_table, shape

    rows = [
        [part["name"], shape(part["shape_in"]), shape(part["shape_out"]), f"{part['parameters']:,}"]
        for part in report.parts
    ]
    print_table(["part", "in", "out", "parameters"], rows, title=title)
    rows = []
    for row, label in (("paper", "as the paper counts"), ("built", "as built")):
        counts = report.parameters[row]
        rows.append([label, *(f"{counts[k]:,}" if counts else "-" for k in ("training", "inference"))])
    print_table(["parameters", "training", "inference"], rows)
    for note in report.notes:
        typer.echo(f"note: {note}")


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
