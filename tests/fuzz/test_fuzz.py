"""Damaged files of every format: each opens, or is refused in a sentence; no traceback, hang or flood."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from watch import fuzz

SECONDS = 150
INPUTS = 1000  # the same on every machine that is quick enough; `watch.py` by hand goes further
SEED = 20261130


@pytest.mark.slow
def test_damaged_files_open_or_are_refused_in_a_sentence(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, SECONDS, SEED, INPUTS)
    assert tally.faults == [], tally.report()
    assert sum(tally.results.values()) > 50
