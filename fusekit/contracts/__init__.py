"""The abstract bases that components implement and the small values that rooms exchange.

A component is a class. What the builder knows (shapes, widths) comes as positional parameters; what a recipe
may say comes as typed keyword-only parameters with defaults: that part of the signature is the recipe's
schema.
"""

from fusekit.contracts.data import (
    Clip,
    Corpus,
    Degradation,
    Detector,
    Labels,
    Reader,
    Rejected,
    Source,
    Stream,
)
from fusekit.contracts.networks import (
    DenoisingEncoder,
    Encoder,
    Fusion,
    Latent,
    Loss,
    Projector,
    QuadrantHead,
    State,
    Tail,
    Temporal,
    Trace,
)
from fusekit.contracts.reopening import opening, reopened, unsaved, weights_follow

__all__ = [
    "Clip",
    "Corpus",
    "Degradation",
    "DenoisingEncoder",
    "Detector",
    "Encoder",
    "Fusion",
    "Labels",
    "Latent",
    "Loss",
    "Projector",
    "QuadrantHead",
    "Reader",
    "Rejected",
    "Source",
    "State",
    "Stream",
    "Tail",
    "Temporal",
    "Trace",
    "opening",
    "reopened",
    "unsaved",
    "weights_follow",
]
