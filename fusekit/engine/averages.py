"""Averages of an epoch's losses, summed on the device: to read a number there is to wait for all its work."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Averages:
    """Sums and counts of named losses, in float64; on the device until somebody reads them.

    Args:
        sums, counts: what had been gathered before an interruption.
    """

    def __init__(
        self, sums: Mapping[str, float] | None = None, counts: Mapping[str, int] | None = None
    ) -> None:
        self.counts = dict(counts or {})
        self._before = dict(sums or {})
        self._sums: dict[str, Tensor] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Scalars of one batch; nothing is copied from the device."""
        for name, value in losses.items():
            if name in self._sums:
                self._sums[name].add_(value.detach())
            else:
                self._sums[name] = value.detach().double() + self._before.pop(name, 0.0)
            self.counts[name] = self.counts.get(name, 0) + 1

    def sums(self) -> dict[str, float]:
        """The sums as numbers, in the order in which `counts` has them."""
        found = self._before | numbers(self._sums)
        return {name: found[name] for name in self.counts}

    def means(self) -> dict[str, float]:
        """Mean of each loss over the batches that had it."""
        return {name: total / self.counts[name] for name, total in self.sums().items()}


def numbers(scalars: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars of one device as numbers, by one copy from it."""
    if not scalars:
        return {}
    together = torch.stack([value.detach().double() for value in scalars.values()])
    return dict(zip(scalars, together.tolist(), strict=True))
