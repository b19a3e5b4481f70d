"""`fusekit data`: corpora before any training."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusekit.cli.options import Json, Plugins, load_registry

if TYPE_CHECKING:
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
    decode: Annotated[
        bool,
        typer.Option(
            "--decode/--no-decode",
            help="Read every file as training will, and see where each modality is present; or only look at "
            "what the files say of themselves.",
        ),
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 2 if anything is left out or odd.")
    ] = False,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Explain what a corpus holds, every row or clip that cannot be used, and what is odd about the rest.

    \b
    Examples:
      fusekit data check my/manifest.csv
      fusekit data check ravdess root=/data/ravdess --no-decode
      fusekit data check my-recipe.yaml --strict
    """
    from fusekit.data.check import check_corpus
    from fusekit.engine.progress import BarProgress
    from fusekit.errors import DataError
    from fusekit.runs.findings import odd

    asked = _target(target, changes or [], load_registry(plugin))
    with BarProgress(silent=not sys.stderr.isatty()) as progress:
        if decode:
            asked.reading.count = progress.counter("reading clips")
        found = check_corpus(
            asked.corpus,
            modalities.split(",") if modalities else asked.modalities,
            dims.split(",") if dims else asked.dims,
            asked.media,
            readers=asked.readers,
            subject_dependent=asked.subject_dependent,
            reading=asked.reading if decode else None,
        )
    if as_json:
        import json

        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        from fusekit.cli.data_tables import print_check

        print_check(found)
    if strict and (counted := odd(found.rejected, found.notes, found.refused)):
        raise DataError(f"{target}: {counted}, and --strict allows none.")


TRACKS = ("video", "audio")
MEDIA = {"face": ["video"], "voice": ["audio"]}
"""The track that a modality of this name is read from, where no recipe names a reader."""


@dataclass
class _Target:
    """What is to be looked at: an adapter, modalities with the track each is read from, target dimensions,
    and how files are read (`fusekit.data.check.Reading`)."""

    corpus: Any
    modalities: list[str] = field(default_factory=lambda: list(MEDIA))
    dims: list[str] = field(default_factory=lambda: ["valence", "arousal"])
    media: dict[str, list[str]] = field(default_factory=lambda: dict(MEDIA))
    readers: dict[str, list[Any]] = field(default_factory=dict)
    subject_dependent: bool = False
    reading: Any = None


def _target(target: str, changes: list[str], registry: Registry) -> _Target:
    """A manifest, a recipe or a corpus, by name."""
    from fusekit.build import build_readers, default_readers
    from fusekit.data.check import Reading
    from fusekit.errors import DataError, RecipeError
    from fusekit.recipe.load import bundled, load
    from fusekit.registry import nearest
    from fusekit.runs.data import deal

    if target.endswith(".csv"):
        manifest = _corpus("manifest", {"path": target}, changes, registry)
        reading = Reading(by_track=default_readers(registry))
        return _Target(manifest, _columns(Path(target)), reading=reading)
    corpora = registry.names("corpus")
    if not Path(target).is_file() and target not in bundled():
        if target in corpora:
            corpus = _corpus(target, {}, changes, registry)
            reading = Reading(by_track=default_readers(registry))
            return _Target(corpus, list(corpus.modalities), list(corpus.dims), reading=reading)
        known = sorted({*corpora, *bundled()})
        raise DataError(
            f"{target}: no manifest (.csv), recipe or corpus of that name.{nearest(target, known)}\n"
            f"  known: {', '.join(known)}"
        )
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
    built = build_readers(recipe, registry)
    columns = {m: recipe.modalities[m].source or m for m in built}
    readers: dict[str, list[Any]] = {}  # two modalities may read one file
    for m, reader in built.items():
        readers.setdefault(columns[m], []).append(reader)
    others = {name: [r for r in both if r.medium not in TRACKS] for name, both in readers.items()}
    return _Target(
        corpus,
        list(readers),
        list(recipe.target.dims),
        {name: [r.medium for r in both] for name, both in readers.items()},
        {name: found for name, found in others.items() if found},
        recipe.split.subject_dependent,
        Reading(built, columns, step_hz=recipe.target.step_hz, split=lambda clips: deal(recipe, clips)),
    )


def _columns(manifest: Path) -> list[str]:
    """The modalities that a manifest has columns for."""
    from fusekit.data.manifest_columns import modality_columns

    return modality_columns(manifest)


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
