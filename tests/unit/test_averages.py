"""Averages of losses that stay on the device: the very numbers that adding up floats gives."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fusekit.engine.averages import Averages, numbers

TYPES = [torch.float32, torch.float64, torch.bfloat16]


def by_floats(batches: list[dict[str, Tensor]]) -> tuple[dict[str, float], dict[str, int]]:
    """Each loss read at once and added up in Python."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for losses in batches:
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value)
            counts[name] = counts.get(name, 0) + 1
    return sums, counts


finite = st.floats(-1e6, 1e6, width=32)
one_batch = st.dictionaries(st.sampled_from("dgp"), st.tuples(finite, st.sampled_from(TYPES)))


@given(batches=st.lists(one_batch, max_size=12), cut=st.integers(0, 12))
def test_sums_are_those_of_floats_bit_for_bit_also_after_an_interruption(
    batches: list[dict[str, tuple[float, torch.dtype]]], cut: int
) -> None:
    given = [{k: torch.tensor(v, dtype=d) for k, (v, d) in losses.items()} for losses in batches]
    first = Averages()
    for losses in given[:cut]:
        first.add(losses)
    saved = json.loads(json.dumps([first.sums(), first.counts]))  # as a checkpoint's header keeps them
    again = Averages(*saved)
    for losses in given[cut:]:
        again.add(losses)
    sums, counts = by_floats(given)
    assert list(again.sums().items()) == list(sums.items())
    assert again.counts == counts
    assert again.means() == {name: sums[name] / counts[name] for name in sums}


def test_a_loss_that_is_no_number_shows_in_its_own_mean_alone() -> None:
    averages = Averages()
    averages.add({"a": torch.tensor(math.nan), "b": torch.tensor(1.0), "c": torch.tensor(math.inf)})
    averages.add({"a": torch.tensor(1.0), "b": torch.tensor(2.0)})
    means = averages.means()
    assert math.isnan(means["a"])
    assert (means["b"], means["c"]) == (1.5, math.inf)


def test_what_was_added_is_neither_kept_alive_nor_changed() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    averages = Averages()
    values = [weight * k for k in range(3)]
    for value in values:
        averages.add({"loss": value})
    assert averages.means() == {"loss": 2.0}
    assert [value.item() for value in values] == [0.0, 2.0, 4.0]
    assert numbers({"loss": values[2]}) == {"loss": 4.0}
    assert not any(total.requires_grad for total in averages._sums.values())


def test_nothing_added_is_nothing() -> None:
    assert Averages().means() == {}
    assert numbers({}) == {}
    assert Averages({"a": 3.0}, {"a": 2}).means() == {"a": 1.5}


@pytest.mark.gpu
def test_on_cuda_nothing_is_copied_until_it_is_read() -> None:
    losses = [
        {"a": torch.tensor(k / 3, device="cuda"), "b": torch.tensor(k, device="cuda") / 7} for k in range(9)
    ]
    averages = Averages({"a": 0.1}, {"a": 1})
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in losses:
            averages.add(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    sums, counts = by_floats(losses)
    assert averages.sums()["b"] == sums["b"]
    assert averages.sums()["a"] == pytest.approx(sums["a"] + 0.1, rel=1e-15)
    assert averages.counts == {"a": 10, "b": 9} == {"a": counts["a"] + 1, "b": counts["b"]}
