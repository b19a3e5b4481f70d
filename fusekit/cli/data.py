"""`fusekit data`: corpora before any training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusekit.cli.options import Json, Plugins, load_registry

if TYPE_CHECKING:
    from fusekit.data.check import DataCheck
    from fusekit.registry import Registry

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at corpora and manifests.")


@app.callback()
def _group() -> None:
    """Look at corpora and manifests.

    \b
    Example:
      fusekit data check my/manifest.csv
    """


@app.command()
def check(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A manifest (.csv), a recipe, or the name of a corpus.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Changes to a recipe, or arguments of a corpus, e.g. root=/data."
        ),
    ] = None,
    modalities: Annotated[
        str | None,
        typer.Option(help="Modalities to look for; a recipe or manifest names its own.  [face,voice]"),
    ] = None,
    dims: Annotated[
        str | None, typer.Option(help="Target dimensions; a recipe names its own.  [valence,arousal]")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 2 if anything is left out.")
    ] = False,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Explain what a corpus holds, and every row or clip that cannot be used.

    \b
    Examples:
      fusekit data check my/manifest.csv
      fusekit data check ravdess root=/data/ravdess
      fusekit data check my-recipe.yaml --strict
    """
    from fusekit.data.check import check_corpus
    from fusekit.errors import DataError

    asked = _target(target, changes or [], load_registry(plugin))
    found = check_corpus(
        asked.corpus,
        modalities.split(",") if modalities else asked.modalities,
        dims.split(",") if dims else asked.dims,
        asked.media,
        readers=asked.readers,
        subject_dependent=asked.subject_dependent,
    )
    if as_json:
        import json

        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    if strict and found.rejected:
        raise DataError(f"{target}: {len(found.rejected)} left out, and --strict allows none.")


TRACKS = ("video", "audio")
MEDIA = {"face": ["video"], "voice": ["audio"]}
"""The track that a modality of this name is read from, where no recipe names a reader."""


@dataclass
class _Target:
    """What is to be looked at: an adapter, modalities with the track each is read from, target dimensions."""

    corpus: Any
    modalities: list[str] = field(default_factory=lambda: list(MEDIA))
    dims: list[str] = field(default_factory=lambda: ["valence", "arousal"])
    media: dict[str, list[str]] = field(default_factory=lambda: dict(MEDIA))
    readers: dict[str, list[Any]] = field(default_factory=dict)
    subject_dependent: bool = False


def _target(target: str, changes: list[str], registry: Registry) -> _Target:
    """A manifest, a recipe or a corpus, by name."""
    from fusekit.errors import DataError, RecipeError
    from fusekit.recipe.load import bundled, load
    from fusekit.registry import nearest

    if target.endswith(".csv"):
        manifest = _corpus("manifest", {"path": target}, changes, registry)
        return _Target(manifest, _columns(Path(target)))
    corpora = registry.names("corpus")
    if not Path(target).is_file() and target not in bundled():
        if target in corpora:
            corpus = _corpus(target, {}, changes, registry)
            return _Target(corpus, list(corpus.modalities), list(corpus.dims))
        known = sorted({*corpora, *bundled()})
        raise DataError(
            f"{target}: no manifest (.csv), recipe or corpus of that name.{nearest(target, known)}\n"
            f"  known: {', '.join(known)}"
        )
    from fusekit.build import build_readers  # it brings torch, which manifests and corpora do not need

    try:
        recipe = load(target, changes, registry)
    except RecipeError as error:
        if target not in corpora or not changes:
            raise
        raise RecipeError(
            f"{error}\n  ({target} is a recipe and a corpus, and recipes go first: write its corpus's "
            "arguments as corpus.root=...)"
        ) from error
    corpus = _corpus(recipe.corpus.name, recipe.corpus.args, [], registry)
    readers: dict[str, list[Any]] = {}  # two modalities may read one file
    for m, reader in build_readers(recipe, registry).items():
        readers.setdefault(recipe.modalities[m].source or m, []).append(reader)
    others = {name: [r for r in both if r.medium not in TRACKS] for name, both in readers.items()}
    return _Target(
        corpus,
        list(readers),
        list(recipe.target.dims),
        {name: [r.medium for r in both] for name, both in readers.items()},
        {name: found for name, found in others.items() if found},
        recipe.split.subject_dependent,
    )


def _columns(manifest: Path) -> list[str]:
    """The modalities that a manifest has columns for."""
    from fusekit.data.delimited import read_table
    from fusekit.data.manifest import OPTIONAL, REQUIRED, SUFFIXES

    header, _ = read_table(manifest)
    return [name for name in header if name not in (*REQUIRED, *OPTIONAL) and not name.endswith(SUFFIXES)]


def _corpus(name: str, args: dict[str, Any], changes: list[str], registry: Registry) -> Any:
    """The adapter itself, its arguments checked."""
    from fusekit.recipe.arguments import check_arguments, given
    from fusekit.recipe.faults import Fault, error
    from fusekit.recipe.merge import parse_overrides
    from fusekit.recipe.schema import Component

    faults: list[Fault] = []
    tree = parse_overrides(changes, faults)
    component = Component(
        name, {**args, **(tree.plain() if tree else {})}, path="corpus", file=f"corpus {name}"
    )
    cls = registry.load(registry.get("corpus", name, "TARGET"))
    faults += check_arguments(component, cls)
    if faults:
        raise error(f"corpus {name}", faults)
    return cls(**given(component, cls))


def _print(found: DataCheck) -> None:
    from fusekit.cli.tables import print_table

    low, high = found.label_range
    size = f"{_count(found.clips, 'clip')} of {_count(found.subjects, 'subject')}"
    typer.echo(f"{found.corpus}\n{size}, {_time(found.duration_s)}")
    sources = ", ".join(f"{m}: {_count(n, 'clip')}" for m, n in found.sources.items())
    typer.echo(f"labels from {low:g} to {high:g}; {sources}")
    dims = list(next(iter(found.parts.values())).labelled) if found.parts else []
    rows = [
        [
            name or "(folds decide)",
            part.clips,
            part.subjects,
            _time(part.duration_s),
            *(f"{part.labelled[dim]:.1%}" for dim in dims),
            *(f"{share:.0%}" for share in part.quadrants),
            f"{part.no_quadrant:.0%}",
        ]
        for name, part in found.parts.items()
    ]
    labelled = [f"{dim} labelled" for dim in dims]
    columns = ["part", "clips", "subjects", "time", *labelled, "V+A+", "V-A+", "V-A-", "V+A-", "no quadrant"]
    print_table(columns, rows)
    if found.rejected:
        rows = [[rejected.where, rejected.reason] for rejected in found.rejected]
        print_table(["left out", "because"], rows, title=f"{len(rows)} left out")
    else:
        typer.echo("nothing is left out")
    for note in found.notes:
        typer.echo(f"note: {note.where}: {note.reason}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h" if minutes >= 60 else f"{minutes}:{rest:02d} min"
    )
