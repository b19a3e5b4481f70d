"""What `fusekit data check` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fusekit.errors import one_line, printable

if TYPE_CHECKING:
    from fusekit.data.check import DataCheck


def print_check(found: DataCheck) -> None:
    """Tables of parts, labels and presence, then everything that is left out, odd or refused."""
    low, high = found.label_range
    size = f"{_count(found.clips, 'clip')} of {_count(found.subjects, 'subject')}"
    _say(f"{found.corpus}\n{size}, {_time(found.duration_s)}")
    sources = ", ".join(f"{m}: {_count(n, 'clip')}" for m, n in found.sources.items())
    _say(f"labels from {low:g} to {high:g}; {sources}")
    _print_parts(found)
    if found.labels:
        _print_labels(found)
    if found.presence:
        _print_presence(found)
    _print_faults(found)


def _print_parts(found: DataCheck) -> None:
    from fusekit.cli.tables import print_table

    rows = [
        [
            name or "(folds decide)",
            part.clips,
            part.subjects,
            _time(part.duration_s),
            *(f"{share:.0%}" for share in part.quadrants),
            f"{part.no_quadrant:.0%}",
        ]
        for name, part in found.parts.items()
    ]
    columns = ["part", "clips", "subjects", "time", "V+A+", "V-A+", "V-A-", "V+A-", "no quadrant"]
    print_table(columns, rows)


def _print_labels(found: DataCheck) -> None:
    """A row per dimension: there may be many of them, and there are three parts at most."""
    from fusekit.cli.tables import print_table
    from fusekit.data.label_findings import decimals

    rows = []
    for dim, s in found.labels.items():
        digits = decimals(s.min, s.max)
        numbers = [f"{x:.{digits}f}" for x in (s.min, s.mean, s.sd, s.max)] if s.rows else ["-"] * 4
        repeated = "-" if s.repeated != s.repeated else f"{s.repeated:.0%}"
        labelled = [f"{part.labelled[dim]:.1%}" for part in found.parts.values()]
        rows.append([dim, *labelled, *numbers, repeated])
    parts = [name or "labelled" for name in found.parts]  # the share of their steps that has a label
    print_table(["labels", *parts, "min", "mean", "sd", "max", "repeated"], rows)


def _print_presence(found: DataCheck) -> None:
    from fusekit.cli.tables import print_table

    rows = [
        [
            m,
            p.clips,
            f"{p.mean:.1%}",
            ", ".join(f"{clip} {share:.0%}" for clip, share in p.worst.items()) or "-",
        ]
        for m, p in found.presence.items()
    ]
    print_table(["modality", "clips", "present", "least in"], rows)


def _print_faults(found: DataCheck) -> None:
    from fusekit.cli.tables import print_table

    if found.rejected:
        rows = [[rejected.where, rejected.reason] for rejected in found.rejected]
        print_table(["left out", "because"], rows, title=f"{len(rows)} left out")
    elif found.decoded:
        typer.echo("nothing is left out")
    if not found.decoded:
        _say("no file was decoded: training may leave out more, or find no face, no speech")
    if found.unread:
        _say(f"not read: {', '.join(found.unread)}; only a recipe says how: fusekit data check RECIPE")
    for note in found.notes:
        _say(f"note: {one_line(note.where)}: {note.reason}")
    for reason in found.refused:
        _say(f"training will not begin: {reason}")


def _say(text: str) -> None:
    typer.echo(printable(text))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h" if minutes >= 60 else f"{minutes}:{rest:02d} min"
    )
