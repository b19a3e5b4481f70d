"""`fusekit plugin`: for those who write plugins."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusekit.cli.options import Json, load_registry

if TYPE_CHECKING:
    from fusekit.testing import Case
    from fusekit.testing.targets import Target

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="For authors of plugins.")


@app.callback()
def _group() -> None:
    """For authors of plugins.

    \b
    Examples:
      fusekit plugin new skin
      fusekit plugin check docs/examples/mean_fusion.py
    """


@app.command(short_help="Write a package that installs, passes the kit and trains.")
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the modality, e.g. skin: the package is fusekit-skin.")
    ],
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="The folder that the package's folder is made in.")
    ] = Path(),
) -> None:
    """Write a package with a reader and an encoder that installs, passes the conformance kit and trains.

    \b
    Example:
      fusekit plugin new skin
    """
    from fusekit.authoring import write_plugin

    files = write_plugin(name, into, load_registry(None))
    folder = into / f"fusekit-{name}"
    typer.echo(f"Wrote {folder}, {len(files)} files. Next:\n")
    for command, why in (
        (f"cd {folder}", ""),
        ('pip install -e ".[test]"', "recipes find it from now on: `fusekit plugins` lists it"),
        ("pytest", "known answers, and the conformance kit"),
        ("python make_clips.py", "eight small recordings to try it on"),
        (f"fusekit train recipe.yaml --run runs/{name}", ""),
        (f"fusekit predict runs/{name} clips/hal.csv", ""),
    ):
        typer.echo(f"  {command:<44}  {'# ' + why if why else ''}".rstrip())
    typer.echo("\nThen make reader.py and encoder.py your own.")


@app.command(short_help="Check every component of a plugin against the contracts.")
def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="An installed package, an entry point, a module, or a Python file."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Check every component of a plugin against the contracts; exit code 2 if one breaks a rule.

    What is checked comes from the function `conformance_cases` beside the hook (docs/testing.md).

    \b
    Examples:
      fusekit plugin check fusekit-ecg
      fusekit plugin check docs/examples/mean_fusion.py
      fusekit plugin check my_package.plugin --json
    """
    from fusekit.testing.targets import resolve

    found = [part for one in resolve(target) for part in _checked(one)]
    broken = [row for row in found if row["findings"]]
    if as_json:
        import json

        typer.echo(json.dumps({"target": target, "passes": not broken, "components": found}, indent=2))
    else:
        _print(target, found)
    if broken:
        raise typer.Exit(2)


def _checked(target: Target) -> list[dict[str, Any]]:
    """A row per case, per component without one, and for the hook module."""
    from fusekit.testing.kit import without_case
    from fusekit.testing.light import HeavyPluginError, check_plugin_is_light

    rows = []
    if target.module is not None:
        try:
            check_plugin_is_light(target.module)
        except HeavyPluginError as error:
            rows.append(_row(target.module, 1, [{"rule": "light", "seen": str(error)}]))
        else:
            rows.append(_row(target.module, 1, []))
    for entry, sentence in without_case(target.entries, target.cases).items():
        rows.append(_row(f"{entry.kind} {entry.name}", 0, [{"rule": "case", "seen": sentence}]))
    return rows + [_asked(target, case) for case in target.cases]


def _asked(target: Target, case: Case) -> dict[str, Any]:
    """The row of one case."""
    from fusekit.errors import FusekitError
    from fusekit.registry import Kind
    from fusekit.testing.kit import CHECKS, FIRST, excuse, is_fatal

    label = " ".join(filter(None, (case.kind, case.name, case.variant)))
    try:
        cls = target.registry.load(target.registry.get(case.kind, case.name))
    except FusekitError as error:  # the others can still be checked
        return _row(label, 0, [{"rule": "class", "seen": str(error)}])
    one = CHECKS[Kind(case.kind)]
    found = one.findings(case, cls, target.registry)
    bound = [rule for rule in one.rules if rule.applies(case)]
    excused = {rule.name: why for rule in bound if (why := excuse(rule, case))}
    asked = [r for r in bound if r.name not in excused and (r.name in FIRST or not is_fatal(found))]
    undeclared = [rule.name for rule in one.rules if rule not in bound and rule.name not in FIRST]
    findings = [
        {"rule": f.rule.name, "seen": f.seen, "says": f.rule.says, "documented": f.rule.documented}
        for f in found
    ]
    return _row(label, len(asked), findings, excused, undeclared)


def _row(
    component: str,
    rules: int,
    findings: list[dict[str, str]],
    excused: dict[str, str] | None = None,
    undeclared: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "component": component,
        "rules": rules,
        "excused": excused or {},
        "undeclared": undeclared or [],
        "findings": findings,
    }


def _print(target: str, rows: list[dict[str, Any]]) -> None:
    from fusekit.cli.tables import print_table

    cells = [[r["component"], r["rules"], len(r["findings"]), len(r["excused"])] for r in rows]
    print_table(["component", "rules", "findings", "excused"], cells, title=target)
    for row in rows:
        for finding, after in zip_longest(row["findings"], row["findings"][1:]):
            typer.echo(f"{row['component']}: {finding['rule']}: {finding['seen']}")
            if "says" in finding and (after is None or after["rule"] != finding["rule"]):
                typer.echo(f"    {finding['says']} ({finding['documented']})")
        for reason in dict.fromkeys(row["excused"].values()):
            rules = ", ".join(rule for rule, why in row["excused"].items() if why == reason)
            typer.echo(f"{row['component']}: not checked: {rules}: {reason}")
    undeclared: dict[str, list[str]] = {}
    for row in rows:
        for rule in row["undeclared"]:
            undeclared.setdefault(rule, []).append(row["component"])
    if undeclared:
        typer.echo("Not declared by the cases, so not checked (docs/testing.md, Cases):")
        for rule, components in undeclared.items():
            typer.echo(f"  {rule}: {', '.join(components)}")
    if not any(row["findings"] for row in rows):
        typer.echo("What was checked keeps the contracts.")
