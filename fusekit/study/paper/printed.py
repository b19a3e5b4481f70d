"""The numbers that the paper prints in its Tables 1-13, as data of the package (see printed/README.md)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

TABLES = tuple(range(1, 14))


@dataclass(frozen=True)
class Printed:
    """One printed number of Tables 1-10, 12 and 13.

    Attributes:
        table: its number. dataset: "SEMAINE" or "SEWA".
        model: as printed, e.g. "Vi-DeS". modalities: e.g. "VIS+AUD"; "" in the threshold tables.
        metric: "RMSE", "COR", "CCC", "ICC", "RMSE_GAIN_PCT" or "COR_GAIN_PCT". target: "VAL", "ARO", "AVG".
        threshold: of Delta-Wa in percent or of T_ZG, as printed; "" in the other tables.
        value: digits as printed, "" where nothing is printed.
    """

    table: int
    dataset: str
    model: str
    modalities: str
    metric: str
    target: str
    threshold: str
    value: str


@dataclass(frozen=True)
class PrintedComplexity:
    """One row of Table 11, digits as printed; phase: "training" or "inference"."""

    model: str
    phase: str
    parameters: str
    size_mb: str
    time_ms: str


def load_printed(number: int) -> tuple[Printed, ...]:
    """The numbers of a table, in its order.

    Raises:
        ValueError: no such table, or Table 11, whose numbers are of another kind.
    """
    if number not in TABLES or number == 11:
        raise ValueError(f"the paper has no scores in a Table {number}")
    return tuple(
        Printed(
            table=number,
            dataset=row["dataset"],
            model=row["model"],
            modalities=row.get("modalities", ""),
            metric=row["metric"],
            target=row["target"],
            threshold=row.get("threshold", ""),
            value=row["value"],
        )
        for row in _rows(number)
    )


def load_printed_complexity() -> tuple[PrintedComplexity, ...]:
    """Table 11, in its order; measured on a GTX 1080 Ti, batch size not printed."""
    return tuple(
        PrintedComplexity(*(row[c] for c in ("model", "phase", "parameters", "size_mb", "time_ms")))
        for row in _rows(11)
    )


def _rows(number: int) -> list[dict[str, str]]:
    text = files("fusekit.study.paper").joinpath(f"printed/table{number:02d}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
