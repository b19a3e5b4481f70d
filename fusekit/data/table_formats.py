"""What other programs' feature tables look like: where the times are, which rows count, what is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TIME = "time_s"
SECONDS: dict[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds per unit of time; `frames` count by a rate, and `clock` is text such as `0 days 00:00:01.5`."""


@dataclass(frozen=True)
class TableFormat:
    """How to read the columns of a table.

    Attributes:
        times: columns that may hold the times and their unit, the first that is there counts.
        timed: one of them must be there.
        valid: `{column: least value}`: a row below any of these, or without a value there, is absent.
        aside: pattern of columns that are no features, whole names without case.
        only: pattern that features have, whole names with case; None: any.
        empty_is_zero: a row whose features are all 0 stands for nothing found, and is absent.
    """

    times: tuple[tuple[str, str], ...] = ((TIME, "s"),)
    timed: bool = False
    valid: Mapping[str, float] = field(default_factory=dict)
    aside: str = ""
    only: str | None = None
    empty_is_zero: bool = False

    def is_feature(self, name: str) -> bool:
        """Whether a column of numbers is one, by its name."""
        if name in (*(column for column, _ in self.times), *self.valid):
            return False
        if self.aside and re.fullmatch(self.aside, name, re.IGNORECASE):
            return False
        return self.only is None or re.fullmatch(self.only, name) is not None


FORMATS: dict[str, TableFormat] = {
    # Baltrusaitis et al. 2018; FeatureExtraction writes zeros where it lost the face, and `success` tells.
    "openface": TableFormat(
        (("timestamp", "s"),), True, {"success": 1.0}, "frame|face_id|timestamp|confidence|success"
    ),
    # Cheong et al. 2023, Fex tables: frames are counted from 0, a frame without a face has no numbers.
    "py-feat": TableFormat(
        (("frame", "frames"),),
        True,
        {"FaceScore": 1e-6},
        "frame|input|approx_time|face(rect|score).*|frame(height|width)|identity.*",
    ),
    # Face Landmarker: 52 scores, and whoever saves them writes the task's own milliseconds beside.
    "mediapipe": TableFormat(
        (("timestamp_ms", "ms"), ("time_ms", "ms"), (TIME, "s")),
        True,
        only="_neutral|(brow|cheek|eye|jaw|mouth|nose)[A-Z][A-Za-z]*",
        empty_is_zero=True,
    ),
    # Eyben et al. 2010: the program's `frameTime`; the Python package's `end`, when the window is complete.
    "opensmile": TableFormat(
        (("frameTime", "s"), ("end", "clock")), True, aside="name|file|frameindex|frametime|start|end"
    ),
}

_TIMES = re.compile(
    r"time|timestamps?|time[ _]?stamp|t|seconds?|frames?|frame[ _]?(time|index|number|no|id)"
    r"|(time|timestamp|start|end|onset)[ _\[(]*(s|sec|ms|us|ns|seconds|milliseconds)[\])]*",
    re.IGNORECASE,
)
_QUALITY = re.compile(
    r"success|valid|is_valid|confidence|face[ _]?(score|detected|found)|detected|tracked|tracking[ _]?ok",
    re.IGNORECASE,
)
SURE = 0.5
"""A confidence below this says that the row is hardly to be believed."""


def looks_like_times(name: str) -> bool:
    """Whether a column by its name holds times, in whatever unit."""
    return _TIMES.fullmatch(name) is not None


def looks_like_quality(name: str) -> bool:
    """Whether a column by its name tells if its row is to be believed."""
    return _QUALITY.fullmatch(name) is not None


_CLOCK = re.compile(r"(?:(\d+) days?,? )?(\d+):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


def clock_seconds(cell: str) -> float | None:
    """`[N days ]HH:MM:SS[.fraction]` as pandas writes a duration -> seconds, or None."""
    found = _CLOCK.fullmatch(cell.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 86400 * days + 3600 * hours + 60 * minutes + seconds
