"""Places that only some machines have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


def pytest_configure() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """A folder of a real transformer of sentences, or a skip."""
    named = os.environ.get("FUSEKIT_TEXT_MODEL")
    if not named:
        pytest.skip("FUSEKIT_TEXT_MODEL names no folder of a transformer of sentences")
    pytest.importorskip("transformers")
    return Path(named)


@pytest.fixture(scope="session")
def emobank() -> Path:
    """EmoBank's table, or a skip."""
    shared = os.environ.get("FUSEKIT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")
    table = Path(shared) / "emobank" / "corpus" / "emobank.csv"
    if not table.is_file():
        pytest.skip("EmoBank is not here; FUSEKIT_SHARED_DATA names the folder in which it may lie")
    return table
