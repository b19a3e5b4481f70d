"""Columns of a manifest: which there are, whose they are, and which name is a slip of the pen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from fusekit.data.delimited import nearest, read_table
from fusekit.data.label_ranges import MAX, MIN
from fusekit.data.names import composed, existing
from fusekit.errors import DataError

REQUIRED = ("clip", "subject")
OPTIONAL = ("session", "split", "labels", "label_min", "label_max")
SUFFIXES = ("_boxes", "_start_s", "_step_s")
_FILE = re.compile(r".+\.(?=\w*[A-Za-z])\w{1,8}")


def check_header(path: Path, header: Sequence[str], modalities: Sequence[str], dims: Sequence[str]) -> None:
    """Raises DataError: a column is missing, or one of those that a recipe may need is misspelt.

    Further columns are welcome, those of other recipes' modalities and anything else.
    """
    faults = [
        f"there is no column {name!r}{nearest(name, header)}" for name in REQUIRED if name not in header
    ]
    absent = [m for m in modalities if m not in header]
    for modality in absent:
        faults.append(f"there is no column {modality!r} for that modality{nearest(modality, header)}")
    known = [
        *(name for name in OPTIONAL if name not in header),
        *(m + suffix for m in modalities if m in header for suffix in SUFFIXES if m + suffix not in header),
        *(dim + end for dim in dims for end in (MIN, MAX) if dim + end not in header),
    ]
    for name in header:
        if name in (*REQUIRED, *OPTIONAL, *modalities) or _is_another_s(name, header):
            continue
        own = [k for k in known for m in modalities if k.startswith(f"{m}_") and name.startswith(f"{m}_")]
        slips = [k for k in known if _slip(name, k)] or get_close_matches(name, own, 1, 0.8)
        if slips:
            faults.append(f"column {name!r} is unknown; did you mean {slips[0]!r}?")
    if faults:
        raise DataError(f"{path}: " + "; ".join(faults))


def _is_another_s(name: str, header: Sequence[str]) -> bool:
    """Whether a name belongs to another column that is there: `face_boxes` to `face`."""
    stems = [name.removesuffix(end) for end in (*SUFFIXES, MIN, MAX) if name.endswith(end)]
    return any(stem in header for stem in stems)


def _slip(name: str, known: str) -> bool:
    """Whether a name is another one with a letter too many, too few, wrong or changed for its neighbour, or
    with other capitals and signs between its words."""
    one, two = (re.sub(r"[\W_]+", "", text.casefold()) for text in (name, known))
    if one == two:
        return True
    return abs(len(one) - len(two)) <= 1 and min(len(one), len(two)) > 3 and _one_off(one, two)


def _one_off(one: str, two: str) -> bool:
    start = 0
    while start < min(len(one), len(two)) and one[start] == two[start]:
        start += 1
    a, b = one[start:], two[start:]
    if len(a) == len(b):
        return a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
    return a[1:] == b if len(a) > len(b) else a == b[1:]


def modality_columns(manifest: Path) -> list[str]:
    """The columns of a manifest that name files of modalities, in its order, where no recipe says which.

    A column counts where a cell of it names a file that is there, or looks like a file's name; where none
    does, all that have no other meaning count.
    """
    header, rows = read_table(manifest)
    found, rest = [], []
    for i, name in enumerate(header):
        if name in (*REQUIRED, *OPTIONAL) or (name.endswith(SUFFIXES) and _is_another_s(name, header)):
            continue
        rest.append(name)
        cells = [cells[i] for _, cells in rows if len(cells) == len(header) and cells[i]]
        if any(
            _FILE.fullmatch(cell) or existing(manifest.parent / composed(cell)).is_file() for cell in cells
        ):
            found.append(name)
    return found or rest
