"""Every component that fusekit registers keeps the contracts: through the kit that plugins use, and more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import own_cases
import pytest
import torch
from torch import nn

from fusekit import components, contracts
from fusekit.contracts import Latent
from fusekit.errors import FusekitError
from fusekit.recipe.arguments import parameters
from fusekit.registry import Entry, Kind
from fusekit.testing import Case, conformance_tests
from fusekit.testing.component_checks import BASES
from fusekit.testing.targets import resolve

CASES = own_cases.cases()
(OWN,) = resolve(components, CASES)

test_conformance = conformance_tests(components, CASES)


def _toys() -> list[Case]:
    """Of parts that fusekit does not know; the reader's file is none of its own."""

    def speakers(batch: int, steps: int) -> dict[str, torch.Tensor]:
        return {"speaker": torch.arange(batch * steps).view(batch, steps) % 3}

    return [
        Case("reader", "toy-series", lacks="a file: its windows are stored ones"),
        Case("encoder", "toy-series", raw_shape=(2, 64)),
        Case("quadrant", "toy-critic", raw_shape=(2, 64), latent_shape=(6, 16)),
        Case("fusion", "toy-late"),
        Case("head", "toy-as-is", in_dim=2),
        Case("temporal", "toy-speakers", context=speakers),
    ]


test_toys_conform = conformance_tests(Path(__file__).with_name("toys.py"), _toys())


def _of(*kinds: Kind) -> pytest.MarkDecorator:
    entries = [e for e in OWN.entries if e.kind in kinds]
    return pytest.mark.parametrize("entry", entries, ids=[f"{e.kind}-{e.name}" for e in entries])


def _make(entry: Entry, *given: Any) -> Any:
    torch.manual_seed(0)
    case = next(case for case in CASES if (case.kind, case.name) == (entry.kind, entry.name))
    return OWN.registry.load(entry)(*given, **case.args)


# ---------------------------------------------------------------- what the kit does not ask of plugins


def test_every_kind_has_a_component_and_every_component_a_case() -> None:
    assert {entry.kind for entry in OWN.entries} == set(Kind)
    assert {(e.kind.value, e.name) for e in OWN.entries} == {(c.kind, c.name) for c in CASES}


def test_the_bases_are_those_that_plugins_import() -> None:
    for base in BASES.values():
        if base is not nn.Module:
            assert getattr(contracts, base.__name__) is base


@_of(*Kind)
def test_docstrings_explain_every_argument(entry: Entry) -> None:
    cls = OWN.registry.load(entry)
    assert entry.summary
    assert "\n" not in entry.summary
    for name in parameters(cls):
        assert name in (cls.__doc__ or ""), f"the docstring does not explain {name}"


@_of(Kind.PROJECTOR)
@pytest.mark.parametrize("conditioning", ["channel", "vector", "none"])
@pytest.mark.parametrize("shape", [(8, 4, 4), (8,), (8, 10)])
def test_projectors_are_honest_or_refuse(entry: Entry, conditioning: str, shape: tuple[int, ...]) -> None:
    try:
        projector = _make(entry, shape, conditioning)
    except FusekitError as error:
        assert str(shape) in str(error)  # noqa: PT017 - refusing is allowed, saying why is not optional
        return
    f = projector(Latent(z=torch.randn(4, *shape), quadrant=torch.arange(4)))
    assert f.shape == (4, projector.out_dim)


@_of(Kind.LOSS)
@pytest.mark.parametrize("n", [2, 5, 50])
def test_a_perfect_prediction_costs_what_the_formula_says(entry: Entry, n: int) -> None:
    y = torch.rand(n, 2, generator=torch.Generator().manual_seed(n)) * 2 - 1
    least = {"afc": 0.01 - 6.0, "ccc": 0.0, "mse": 0.0}[entry.name]
    assert float(_make(entry)(y, y, torch.ones(n, 2, dtype=torch.bool))) == pytest.approx(least, abs=1e-5)


@_of(Kind.DEGRADATION)
def test_degradations_stay_in_the_range_of_pictures(entry: Entry) -> None:
    x = torch.rand(24, 3, 16, 16) * 2 - 1
    out = _make(entry)(x, [np.random.default_rng([7, i]) for i in range(24)])
    assert out.abs().max() <= 1


@_of(Kind.READER)
def test_readers_read_the_tracks_of_a_film(entry: Entry, tmp_path: Path) -> None:
    reader = _make(entry)
    if reader.medium not in ("video", "audio"):
        pytest.skip(f"it reads files of {reader.medium}, no tracks")
    stream = reader.prepare(own_cases.film(tmp_path))
    assert 0.9 < float(stream["duration_s"][0]) < 1.3
    # not from 0 on: the sound encoder's lead-in shifts the first picture a little
    times = np.array([0.15, 0.35, 0.8])
    assert reader.windows(stream, times).dtype in (np.uint8, np.float32)
    assert reader.present(stream, times).tolist() == [True] * 3
    json.dumps(reader.settings())
