"""Quadrant heads other than the discriminator: a four-way classifier on the latent, and none."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from fusekit.contracts import Latent, QuadrantHead
from fusekit.errors import RecipeError
from fusekit.nn.init import paper_init


class QuadrantClassifier(QuadrantHead):
    """Four-way: `(N, D)` or `(N, C, H, W)` (mean over space) -> logits `(N, 4)`, quadrant = argmax.

    Args:
        raw_shape: not used.
        latent_shape: `(D,)` or `(C, H, W)`.
        conditioning: how the projector receives Q (spec 1.4).
        hidden: width of one hidden layer; 0: linear.
    """

    def __init__(
        self,
        raw_shape: tuple[int, ...],
        latent_shape: tuple[int, ...],
        *,
        conditioning: Literal["channel", "vector", "none"] = "vector",
        hidden: int = 0,
    ) -> None:
        super().__init__()
        if hidden < 0:
            raise RecipeError(f"quadrant classifier: hidden must be at least 0, found {hidden}")
        self.conditioning = conditioning
        width = latent_shape[0]
        self.layers = (
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 4))
            if hidden
            else nn.Linear(width, 4)
        )
        paper_init(self)

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        """Latent `(N, ...)` -> Latent with logits and quadrant. `x` is not read."""
        logits = self.layers(z.flatten(2).mean(2) if z.dim() > 2 else z)
        return Latent(z=z, logits=logits, quadrant=logits.detach().argmax(dim=1))


class NoQuadrant(QuadrantHead):
    """No coarse step: the latent goes to the projector as it is."""

    conditioning = "none"

    def __init__(self, raw_shape: tuple[int, ...], latent_shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, x: Tensor | None, z: Tensor) -> Latent:
        """Wraps the latent."""
        return Latent(z=z)
