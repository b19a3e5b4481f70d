"""The faults that a user can mend: one clear paragraph, exit code 2, no traceback.

Anything else that is raised is a bug of ours and keeps its traceback. The command line catches
`FusekitError` in one place (`fusekit.cli`); libraries that embed fusekit catch it like any exception.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_WORD = 500
"""Letters without a blank that a message shows: more than paths have."""


def printable(text: object) -> str:
    """Text that may hold names of clips, files and people, as a terminal may safely show it.

    Control characters (a name may hold ESC and so move the cursor or repaint what stands there), marks that
    turn the direction of writing, and bytes of file names that are no text are shown as escapes; tabs and
    line breaks stay.
    """
    return "".join(c if c in "\n\t" or not _hidden(c) else _escape(c) for c in str(text))


def one_line(text: object) -> str:
    """`printable`, line breaks and tabs as escapes too: for a name inside a line or a cell of a table."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _hidden(character: str) -> bool:
    # Format characters that join or part letters (ZWJ, ZWNJ, soft hyphen) belong to words and stay.
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _TURNS


_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


class FusekitError(Exception):
    """Base of every fault the user can mend: says what is wrong, where, and what to do next.

    Attributes:
        exit_code: of a command that ends with it.
    """

    exit_code = 2

    def __init__(self, *args: object) -> None:
        super().__init__(*(_shortened(a) if isinstance(a, str) else a for a in args))


def _shortened(text: str) -> str:
    """A message without the words of a damaged file that go on for pages."""
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][: LONGEST_WORD // 2]}...", text)


class RecipeError(FusekitError):
    """A recipe, an override or a component's argument is wrong; lists every fault found."""


class UnknownComponentError(RecipeError):
    """A recipe names a component that no installed package offers."""


class DataError(FusekitError):
    """A corpus, manifest, label file or medium cannot be used."""


class NoTrackError(DataError):
    """A medium is in order and holds no track of the kind that is asked for: a film without sound."""


class DeviceError(FusekitError):
    """The device that was asked for is not there."""


class LostProcessError(FusekitError):
    """One of several processes that train together is gone; its own fault is what counts."""

    exit_code = 3


class RunError(FusekitError):
    """A run directory is missing, damaged, or does not fit the request."""


class MissingExtraError(FusekitError):
    """An optional dependency is needed; the message names the extra that installs it."""
