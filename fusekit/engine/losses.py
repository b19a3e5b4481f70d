"""Named losses of prediction, target and mask: `afc` of the paper, `ccc` and `mse`.

Shapes: N samples (of the global batch: correlations are taken across it), K target dimensions. All of them
work in float32 at least, also under autocast, and select known entries before any arithmetic: a NaN that
stands where nothing is known reaches neither the value nor a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from fusekit.contracts import Loss
from fusekit.errors import RecipeError

Correlation = Literal["cor", "ccc", "icc"]


class AFC(Loss):
    """`L_afc = RMSE - sum over dimensions of (COR + CCC + ICC)` (spec 3.3; eqs. 15-18, read as products).

    - `RMSE = sqrt(mean(w (p - y)^2 + eps))` over the known entries of all dimensions jointly; 0 if none is.
    - Correlations per dimension. Means, variances and covariance carry the same weights and the same
      normaliser (the sum of the weights: ddof 0), so a perfect prediction scores exactly 1 in each, at any
      N >= 2. (Precursors mix weights and normalisers, which caps it.)
    - A dimension says nothing about correlation when fewer than two of its samples are known or its known
      labels are constant (standard deviation <= `eps`): then it adds neither value nor gradient. A constant
      *prediction* of labels that vary scores 0, and its gradient is finite: COR divides by `max(sp, eps)`.

    Args:
        correlations: which similarities are subtracted. The precursor's sequence stage leaves out "cor".
        weighted_correlations: False: the sample weights enter the RMSE alone.
        eps: under the root of the RMSE, and the least standard deviation that counts as spread.

    Raises:
        RecipeError: unknown or repeated name in `correlations`, or `eps` not above 0.
    """

    correlates: ClassVar[bool] = True

    def __init__(
        self,
        *,
        correlations: tuple[Correlation, ...] = ("cor", "ccc", "icc"),
        weighted_correlations: bool = True,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        _check_correlations(correlations)
        _check_eps("afc", eps)
        self.correlations = tuple(correlations)
        self.weighted_correlations = weighted_correlations
        self.eps = eps

    def forward(
        self, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """`(N, K)`, `(N, K)`, `(N, K)` bool, `(N, K)` weights of mean 1 (None: 1) -> scalar."""
        with torch.autocast(prediction.device.type, enabled=False):
            p, y, w = _select(prediction, target, known, weight)
            squared = _mean_over_known(w * (p - y) ** 2, known)
            # With nothing known the root of eps alone must not stand in the loss: it would shift its mean.
            rmse = torch.where(known.any(), torch.sqrt(squared + self.eps), squared)
            moments = _moments(p, y, w if self.weighted_correlations else known.to(p.dtype), self.eps)
            similarity = rmse.new_zeros(())
            for name in self.correlations:
                similarity = similarity + _CORRELATIONS[name](moments, self.eps).sum()
            return rmse - similarity


class CCCLoss(Loss):
    """`mean over dimensions of (1 - CCC)`, Lin's concordance with ddof 0, weighted alike in every moment.

    Dimensions without spread in their known labels (see `AFC`) are left out of the mean; none left: 0.

    Args:
        eps: the least standard deviation of the labels that counts as spread.

    Raises:
        RecipeError: `eps` not above 0.
    """

    correlates: ClassVar[bool] = True

    def __init__(self, *, eps: float = 1e-4) -> None:
        super().__init__()
        _check_eps("ccc", eps)
        self.eps = eps

    def forward(
        self, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """`(N, K)`, `(N, K)`, `(N, K)` bool, `(N, K)` weights of mean 1 (None: 1) -> scalar in 0..2."""
        with torch.autocast(prediction.device.type, enabled=False):
            moments = _moments(*_select(prediction, target, known, weight), self.eps)
            spread = moments.spread.to(moments.covariance.dtype)
            return (spread - _ccc(moments, self.eps)).sum() / spread.sum().clamp_min(1.0)


class MSELoss(Loss):
    """`mean(w (p - y)^2)` over the known entries of all dimensions jointly; 0 if nothing is known."""

    def forward(
        self, prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """`(N, K)`, `(N, K)`, `(N, K)` bool, `(N, K)` weights of mean 1 (None: 1) -> scalar."""
        with torch.autocast(prediction.device.type, enabled=False):
            p, y, w = _select(prediction, target, known, weight)
            return _mean_over_known(w * (p - y) ** 2, known)


class _Moments(NamedTuple):
    """Weighted moments per dimension, each `(K,)`, all normalised by the sum of the weights."""

    mean_p: Tensor
    mean_y: Tensor
    variance_p: Tensor
    variance_y: Tensor
    covariance: Tensor
    spread: Tensor  # bool: the labels vary, so that a correlation means something


def _select(
    prediction: Tensor, target: Tensor, known: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction, target and weight in float32 at least, 0 where unknown (weight too)."""
    if prediction.shape != target.shape:  # broadcasting would score it all the same
        raise ValueError(f"a prediction {tuple(prediction.shape)} for a target {tuple(target.shape)}")
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    p = prediction.to(dtype).masked_fill(~known, 0.0)
    y = target.to(dtype).masked_fill(~known, 0.0)
    w = known.to(dtype) if weight is None else weight.to(dtype).masked_fill(~known, 0.0)
    return p, y, w


def _mean_over_known(values: Tensor, known: Tensor) -> Tensor:
    return values.sum() / known.sum().clamp_min(1)


def _moments(p: Tensor, y: Tensor, w: Tensor, eps: float) -> _Moments:
    """Two passes: centred before squaring, so that float32 is enough."""
    share = w / w.sum(0).clamp_min(torch.finfo(w.dtype).tiny)
    mean_p, mean_y = (share * p).sum(0), (share * y).sum(0)
    dp, dy = p - mean_p, y - mean_y
    variance_y = (share * dy * dy).sum(0)
    return _Moments(
        mean_p,
        mean_y,
        (share * dp * dp).sum(0),
        variance_y,
        (share * dp * dy).sum(0),
        variance_y > eps * eps,
    )


def _ratio(numerator: Tensor, denominator: Tensor, spread: Tensor) -> Tensor:
    """0 with gradient 0 where there is no spread; the denominator is replaced first: 0/0 has NaN slopes."""
    safe = torch.where(spread, denominator, torch.ones_like(denominator))
    return torch.where(spread, numerator / safe, torch.zeros_like(numerator))


def _cor(m: _Moments, eps: float) -> Tensor:
    # Exact wherever the prediction varies by more than eps; elsewhere the floor keeps the slope finite.
    floored = m.variance_p.clamp_min(eps * eps) * torch.where(
        m.spread, m.variance_y, torch.ones_like(m.variance_y)
    )
    return _ratio(m.covariance, torch.sqrt(floored), m.spread)


def _ccc(m: _Moments, eps: float) -> Tensor:
    return _ratio(2 * m.covariance, m.variance_p + m.variance_y + (m.mean_p - m.mean_y) ** 2, m.spread)


def _icc(m: _Moments, eps: float) -> Tensor:
    return _ratio(2 * m.covariance, m.variance_p + m.variance_y, m.spread)


_CORRELATIONS = {"cor": _cor, "ccc": _ccc, "icc": _icc}


def _check_correlations(names: Sequence[str]) -> None:
    allowed = get_args(Correlation)
    unknown = [name for name in names if name not in allowed]
    if isinstance(names, str) or unknown or len(set(names)) != len(names):
        raise RecipeError(
            f"loss afc: correlations = {names!r} must be different names out of {', '.join(allowed)}. "
            "Write e.g. `correlations: [ccc, icc]`."
        )


def _check_eps(loss: str, eps: float) -> None:
    if not eps > 0:
        raise RecipeError(f"loss {loss}: eps = {eps!r} must be above 0 (1e-4 in the paper's code).")
