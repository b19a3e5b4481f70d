"""Reader of feature tables that were computed elsewhere: the row in force at each step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np

from fusekit.contracts import Reader, Source, Stream
from fusekit.data.columns import other_names
from fusekit.data.feature_table import SUFFIXES, FeatureTable, read_features
from fusekit.data.table_formats import FORMATS, TableFormat
from fusekit.data.units import sparse_rows
from fusekit.errors import DataError, RecipeError

_CLOCK = 1e-6  # seconds; 3 * 0.1 s is a hair later than a row at 0.3 s and still sees it
_LONGEST_S = 1e8  # three years: beyond it, times are a calendar's (1970 was 1.7e9 s ago), not a recording's


class Features(Reader):
    """Table of numbers -> `(width,)` float32 per step, or `(3 * width,)` with `window_s`; causal.

    A CSV with a header row (cells parted by commas, semicolons or tabs), NPY `(n, width)` or Parquet file of
    one clip. A step at t sees the latest row at or before t: times come from the column `time_s` (seconds,
    increasing, as irregular as they are); without it row k stands at k / `rate_hz`, or where the manifest's
    `<modality>_start_s` and `<modality>_step_s` put it, which go before both. Nothing is interpolated. A row
    with an empty cell, NaN, infinity or a word for a missing number (`NA`, `nan(ind)`) counts as absent as
    long as it is in force; the row before it does not return. Numbers are handed on as they are: an encoder
    such as `mlp` standardises them, by the training rows alone.

    Columns go by name: a file with the training's columns in another order gives the same windows, one with
    other columns is refused. NPY has no names, so there their order counts.

    Args:
        width: numbers per row; a file with more or fewer is refused.
        columns: names of the columns to take, in this order; None: all that hold numbers, times and what
            `format` and `valid` know for no features apart.
        rate_hz: rows per second of tables that do not tell times; frames per second of those that count them.
        hold_s: how long a row stands before the modality counts as absent; None: two of the table's (median)
            spacings.
        window_s: instead of the row in force, mean, standard deviation (ddof 0) and slope per second
            (least squares) of the complete rows less than this long before it, itself included: first all
            means, then all deviations, then all slopes. None: the row itself.
        format: a program whose tables these are: where their times are, which rows count, and which columns
            are no features. `openface`: OpenFace 2, `timestamp`, rows whose `success` is 1. `py-feat`:
            `frame` at `rate_hz`. `mediapipe`: blendshapes with `timestamp_ms`; rows of zeros are absent.
            `opensmile`: `frameTime`, or `end`.
        time: name of the column of times; None: that of `format`, or `time_s`.
        time_unit: unit of that column, where it is not seconds; `frames` count from 0 at `rate_hz`. `s` says
            that they are seconds indeed, however long the table then is.
        valid: a column and its least value, or several as a mapping: a row below it is absent. It goes before
            what `format` says.
    """

    medium: ClassVar[str] = "features"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    absence: ClassVar[str] = "its table has no row, or an incomplete one"

    def __init__(
        self,
        *,
        width: int,
        columns: tuple[str, ...] | None = None,
        rate_hz: float | None = None,
        hold_s: float | None = None,
        window_s: float | None = None,
        format: Literal["openface", "py-feat", "mediapipe", "opensmile"] | None = None,
        time: str | None = None,
        time_unit: Literal["s", "ms", "us", "ns", "frames"] | None = None,
        valid: tuple[str, float] | dict[str, float] | None = None,
    ) -> None:
        if width < 1:
            raise RecipeError(f"features: width must be at least 1, found {width}")
        if columns is not None and (len(columns) != width or len(set(columns)) != width):
            raise RecipeError(
                f"features: width is {width}, columns names {len(set(columns))} different ones: they must "
                "agree"
            )
        for name, value in (("rate_hz", rate_hz), ("hold_s", hold_s), ("window_s", window_s)):
            if value is not None and not value > 0:
                raise RecipeError(f"features: {name} must be above 0, found {value:g}")
        self.width, self.columns, self.rate_hz = width, None if columns is None else tuple(columns), rate_hz
        self.hold_s, self.window_s = hold_s, window_s
        self.format, self.time, self.time_unit = format, time, time_unit
        self.valid = dict([valid]) if isinstance(valid, list | tuple) else valid
        self._form = self._as_told()
        self.names: tuple[str, ...] = ()
        self.raw_shape = (width if window_s is None else 3 * width,)
        self.lookahead_s = 0.0

    def settings(self) -> dict[str, Any]:
        return {
            "width": self.width,
            "columns": None if self.columns is None else list(self.columns),
            "rate_hz": self.rate_hz,
            "hold_s": self.hold_s,
            "window_s": self.window_s,
            "format": self.format,
            "time": self.time,
            "time_unit": self.time_unit,
            "valid": self.valid,
        }

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        """`values (n, *raw_shape)` float32, 0 where incomplete, `complete (n,)` bool, `times (n,)` float64,
        `hold_s (1,)`, `duration_s (1,)`; `names` and `doubts`, lists of text as JSON in uint8.

        The last row lasts as long as the (median) spacing, at most `hold_s`. A single row that only tells its
        time lasts `hold_s`, or 1 s.

        Raises:
            DataError: as `read_features`; another width; columns other than those of `select`; no times.
        """
        table = read_features(source.path, self.columns, self._form, self.rate_hz)
        if self.names and table.names and (odd := other_names(table.names, self.names)):
            raise DataError(f"{source.path}: {odd}")
        if table.values.shape[1] != self.width:
            raise DataError(f"{source.path}: {self._misfit(table)}")
        times = self._times(table, source)
        if not abs(times[-1]) <= _LONGEST_S:
            raise DataError(
                f"{source.path}: its last row stands at {times[-1]:.10g} s, and times count from the "
                "recording's start. Take the start off time_s, or write <modality>_start_s in the manifest: "
                "when, within the recording, the first row is"
            )
        if len(times) > 1:
            spacing = float(np.median(np.diff(times)))
        else:
            spacing = source.step_s or (1 / self.rate_hz if self.rate_hz else self.hold_s or 1.0)
        hold = self.hold_s or 2 * spacing
        complete = np.isfinite(table.values).all(axis=1)
        values = table.values
        if self.window_s is not None:
            values = _trailing(times, values, complete, self.window_s)
            complete = complete & np.isfinite(values).all(axis=1)  # a slope may be beyond float32
        doubts = list(table.doubts)
        if table.unread and self.time is None:
            doubts.append(
                f"column {table.unread!r} looks like times and is not read as such: name it by "
                f"time={table.unread}"
            )
        if self.time_unit is None and source.step_s is None and (odd := sparse_rows(times)):
            doubts.append(odd)
        return {
            "values": np.where(complete[:, None], values, np.float32(0)),
            "complete": complete,
            "times": times,
            "hold_s": np.array([hold]),
            "duration_s": np.array([max(times[-1], 0.0) + min(spacing, hold)]),
            "names": _packed(table.names),
            "doubts": _packed(doubts),
        }

    def columns_in(self, stream: Stream) -> tuple[str, ...]:
        """Names of the table's numbers in its own order; () where the file does not name them."""
        return _unpacked(stream, "names")

    def select(self, names: Sequence[str]) -> None:
        """Hand on these columns in this order from now on; () leaves it to each table."""
        self.names = tuple(names)

    def doubts(self, stream: Stream) -> tuple[str, ...]:
        """What is odd about a prepared table, though it can be read."""
        return _unpacked(stream, "doubts")

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """True where the row in force is complete and no older than `hold_s`."""
        row, begun = _in_force(stream, times)
        age = np.asarray(times, np.float64) - stream["times"][row]
        return begun & stream["complete"][row] & (age <= float(stream["hold_s"][0]) + _CLOCK)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        """`(T,)` seconds -> `(T, *raw_shape)` float32; zeros where no complete row is in force."""
        row, begun = _in_force(stream, times)
        found = np.where(begun[:, None], stream["values"][row], np.float32(0))
        own = self.columns_in(stream)
        if not self.names or not own or own == self.names:
            return found
        if odd := other_names(own, self.names):
            raise DataError(f"a feature table cannot be used: {odd}")
        order = np.array([own.index(name) for name in self.names])
        blocks = range(1 if self.window_s is None else 3)  # means, deviations, slopes
        return found[:, np.concatenate([order + block * self.width for block in blocks])]

    def _times(self, table: FeatureTable, source: Source) -> np.ndarray:
        start, step = source.start_s, source.step_s
        if step is None and table.times is not None:
            return table.times if start is None else table.times - table.times[0] + start
        if step is None and self.rate_hz is not None:
            step = 1 / self.rate_hz
        if step is None:
            told = (
                f" (is it {table.unread!r}? Then set the reader's time={table.unread})"
                if table.unread
                else ""
            )
            raise DataError(
                f"{source.path}: it has no column time_s, so nobody knows when its rows are{told}. Add one, "
                "set the reader's rate_hz, or write <modality>_step_s in the manifest"
            )
        if start is None:
            start = 0.0 if table.times is None else float(table.times[0])
        return start + step * np.arange(len(table.values))

    def _as_told(self) -> TableFormat:
        """What `format` says, and what `time`, `time_unit` and `valid` say otherwise."""
        form = FORMATS[self.format] if self.format is not None else TableFormat()
        if self.time is not None:
            form = replace(form, times=((self.time.strip(), self.time_unit or "s"),), timed=True)
        elif self.time_unit is not None:
            form = replace(form, times=tuple((name, self.time_unit) for name, _ in form.times))
        if self.valid is not None:
            form = replace(form, valid={name.strip(): float(least) for name, least in self.valid.items()})
        if self.rate_hz is None and any(unit == "frames" for _, unit in form.times):
            raise RecipeError(
                f"features: column {form.times[0][0]!r} counts frames, so set rate_hz, the video's frames "
                "per second"
            )
        return form

    def _misfit(self, table: FeatureTable) -> str:
        found = table.values.shape[1]
        said = f"it has {found} columns of numbers"
        if table.names:
            some = ", ".join(table.names[:6]) + (", ..." if found > 6 else "")
            said += f" ({some})"
        if table.words:
            said += f", and words in {', '.join(table.words[:6])}"
        names = "name the ones to take by `columns`, or " if table.names else ""
        return f"{said}; the reader's width is {self.width}: {names}correct the width"


def _packed(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer(json.dumps(list(texts)).encode(), np.uint8)


def _unpacked(stream: Stream, name: str) -> tuple[str, ...]:
    return _parsed(np.asarray(stream[name]).tobytes()) if name in stream else ()


@lru_cache(maxsize=256)
def _parsed(content: bytes) -> tuple[str, ...]:
    return tuple(json.loads(content))


def _in_force(stream: Stream, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(T,)` row at or before each time, and whether there is one."""
    row = np.searchsorted(stream["times"], np.asarray(times, np.float64) + _CLOCK, side="right") - 1
    return row.clip(0), row >= 0


def _trailing(times: np.ndarray, values: np.ndarray, complete: np.ndarray, window_s: float) -> np.ndarray:
    """`(n, F)` -> `(n, 3 F)`: mean, deviation and slope of the complete rows in `(t - window_s, t]`.

    t is each row's own time; rows that are not complete get zeros.
    """
    found = np.zeros((len(values), 3, values.shape[1]))
    first = np.searchsorted(times, times - window_s + _CLOCK, side="right")
    first = np.minimum(first, np.arange(len(times)))  # itself included, however short the window
    for i in np.flatnonzero(complete):
        rows = np.flatnonzero(complete[first[i] : i + 1]) + first[i]
        part, at = values[rows].astype(np.float64), times[rows] - times[i]
        found[i, 0], found[i, 1] = part.mean(axis=0), part.std(axis=0)
        late = at - at.mean()
        spread = float(late @ late)
        if spread > 0:
            found[i, 2] = late @ (part - found[i, 0]) / spread
    with np.errstate(over="ignore"):
        return found.reshape(len(values), -1).astype(np.float32)
