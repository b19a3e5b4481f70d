"""What the tests share: the registry with this plugin, recordings, and the folder of real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from fusekit import plugins
from fusekit.registry import Registry


def pytest_configure() -> None:
    torch.set_num_threads(1)  # several suites may share the machine


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """fusekit's components and those of the installed fusekit-ecg."""
    monkeypatch.setenv("FUSEKIT_PLUGINS", "ecg")
    found, statuses = plugins.load()
    assert [(s.state, s.components) for s in statuses if s.name == "ecg"] == [("loaded", 7)]
    return found


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of annotated recordings, or a skip."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("FUSEKIT_SHARED_DATA", beside)) / "ecg_rpeaks"
    if not folder.is_dir():
        pytest.skip("the annotated recordings are not here; FUSEKIT_SHARED_DATA names the folder above them")
    return folder
