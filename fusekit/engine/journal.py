"""`metrics.jsonl`: one line per validated epoch, appended as training goes, cut back on resume."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from fusekit.engine.files import replace_file
from fusekit.errors import RunError


class Journal:
    """Lines of JSON in a file; non-finite numbers become null, as JSON has none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: dict[str, Any]) -> None:
        """Write one line and flush it to disk.

        Raises:
            RunError: the file cannot be written (full disk, no permission).
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite(entry)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(
                f"cannot write '{self.path}': {error.strerror or error}. Free "
                f"some space, then continue with `fusekit train --resume {self.path.parent}`."
            ) from error

    def lines(self) -> int:
        """Whole lines written so far."""
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0

    def cut(self, lines: int) -> None:
        """Keep the first `lines` lines: those written after the checkpoint that a run resumes from go."""
        if not self.path.exists():
            return
        kept = self.path.read_bytes().splitlines(keepends=True)[:lines]
        replace_file(self.path, b"".join(kept))


def finite(value: Any) -> Any:
    """The same nested value with NaN and infinities as None."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
