"""The code in docs/tutorial.md and docs/python.md is that of docs/examples, and does what the pages say."""

from __future__ import annotations

import importlib.util
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from fusekit import plugins
from fusekit.contracts import Source
from fusekit.errors import DataError
from fusekit.recipe.load import load
from fusekit.runs import open_run, train
from fusekit.serve.predictor import Predictor
from fusekit.testing import CHECKS, Case, check
from fusekit.testing.targets import resolve

DOCS = Path(__file__).resolve().parents[2] / "docs"
EDA, COMPOSE = DOCS / "examples" / "eda", DOCS / "examples" / "compose.py"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [b.rstrip() for b in re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]


def test_the_tutorial_is_its_files() -> None:
    first, *rest = blocks("tutorial.md", "python")
    assert first == (EDA / "recordings.py").read_text(encoding="utf-8").rstrip()
    assert "\n\n\n".join(rest) == (EDA / "eda.py").read_text(encoding="utf-8").rstrip()
    assert blocks("tutorial.md", "yaml")[0] == (EDA / "eda.yaml").read_text(encoding="utf-8").rstrip()


def test_the_page_for_python_is_its_file() -> None:
    *parts, kit = blocks("python.md", "python")
    assert "\n\n\n".join(parts) == COMPOSE.read_text(encoding="utf-8").rstrip()
    assert "CHECKS" in kit


# ---------------------------------------------------------------- the tutorial's modality


@pytest.mark.parametrize("case", resolve(EDA / "eda.py")[0].cases, ids=lambda case: case.id)
def test_the_tutorials_modality_keeps_the_contracts(case: Case) -> None:
    check(case, resolve(EDA / "eda.py")[0].registry)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("\ufeff\n \n", "it is empty"),
        ("#\n", "it is empty"),
        ("time_s,microsiemens\n", "two rows or more"),
        ("time_s,microsiemens\n0,1\n1,2,3\n", r"! Line #3 \(got 3 columns instead of 2\)"),
        ("time_s;microsiemens\n0;1\n1;2\n", "could not convert .*"),
    ],
)
def test_a_file_that_the_tutorials_reader_cannot_use_is_said_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    registry, _ = plugins.load([EDA / "eda.py"])
    reader = registry.load(registry.get("reader", "eda"))()
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"a\.csv: .*{says}$"):
        reader.prepare(Source(tmp_path / "a.csv"))


def test_a_level_beyond_float32_gives_finite_windows(tmp_path: Path) -> None:
    registry, _ = plugins.load([EDA / "eda.py"])
    reader = registry.load(registry.get("reader", "eda"))()
    (tmp_path / "a.csv").write_text("time_s,microsiemens\n0,1\n1,1e300\n")
    stream = reader.prepare(Source(tmp_path / "a.csv"))
    assert np.isfinite(reader.windows(stream, np.array([0.0, 1.0]))).all()


def test_the_tutorials_modality_trains_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FUSEKIT_PLUGINS", "")
    runpy.run_path(str(EDA / "recordings.py"), run_name="__main__")
    registry, _ = plugins.load([EDA / "eda.py"])
    recipe = load(EDA / "eda.yaml", ["stages.0.epochs=2"], registry)
    train(recipe, registry, run_dir=tmp_path / "run", device="cpu")
    found = Predictor(open_run(tmp_path / "run", registry, "cpu")).predict_file(
        tmp_path / "recordings/s9.csv"
    )
    assert found.prediction.shape == (120, 2)
    assert found.present.all()


# ---------------------------------------------------------------- composed in Python


@pytest.fixture(scope="module")
def composed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_compose", COMPOSE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_compose"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(composed: Any) -> Any:
    torch.manual_seed(0)
    made = composed.compose(composed.SHAPES)
    before = composed.ccc(made)
    composed.train(made, 60)
    assert composed.ccc(made) > max(before, 0) + 0.3
    return made.eval()


def test_streaming_is_the_whole(composed: Any, model: Any) -> None:
    inputs, present, _, _ = composed.synthetic(3, 9, seed=1)
    whole, _, _ = composed.run(model, inputs, present, torch.ones_like(present[..., 0]))
    steps = torch.stack(list(composed.stream(model, inputs, present)), dim=1)
    torch.testing.assert_close(steps, whole, rtol=0, atol=1e-6)


def test_padding_and_neighbours_change_nothing(composed: Any, model: Any) -> None:
    inputs, present, valid, _ = composed.synthetic(4, 8, seed=2)
    whole, _, trace = composed.run(model, inputs, present, valid)
    alone, _, _ = composed.run(model, {m: x[1:2] for m, x in inputs.items()}, present[1:2], valid[1:2])
    torch.testing.assert_close(alone[0], whole[1], rtol=0, atol=1e-6)
    other = {m: torch.where(valid[..., None], x, 7.0) for m, x in inputs.items()}
    padded, _, _ = composed.run(model, other, present, valid)
    torch.testing.assert_close(padded[valid], whole[valid], rtol=0, atol=1e-6)
    assert torch.isfinite(whole).all()
    shares = trace["gate"].sum(dim=-1)
    torch.testing.assert_close(shares, present.any(dim=-1).float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "cls"), [("fusion", "PrecisionFusion"), ("temporal", "LeakyMemory")])
def test_its_parts_keep_the_contracts(composed: Any, kind: str, cls: str) -> None:
    CHECKS[kind](Case(kind, "mine"), getattr(composed, cls))  # type: ignore[index]
