"""Text and JSON of a run: replaced whole, and read with a fault that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fusekit.engine.files import replace_file
from fusekit.errors import RunError
from fusekit.runs.shapes import misshapen


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically.

    Raises:
        RunError: it cannot be written (full disk, no permission); the old one is still whole.
    """
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise RunError(
            f"cannot write '{path}': {error.strerror or error}. Free some space, or use another folder."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically; raises like `write_text`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file of a run or study holds.

    Raises:
        RunError: it is missing, damaged, or holds something else than a file of its name does.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"the run is not whole: there is no '{path}'. Put it back, or train anew in another folder."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(
            f"'{path}' cannot be read ({error}); was it edited or cut short? Put a whole copy back."
        ) from error
    if fault := misshapen(path.name, value):
        raise RunError(f"'{path}' is not what it was: {fault}. Was it edited? Put a whole copy back.")
    return value
