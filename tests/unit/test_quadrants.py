from __future__ import annotations

import torch

from fusekit.nn.quadrants import NoQuadrant, QuadrantClassifier


def test_the_classifier_says_the_most_likely_of_four() -> None:
    head = QuadrantClassifier((3, 16, 16), (4,))
    assert isinstance(head.layers, torch.nn.Linear)
    with torch.no_grad():
        head.layers.weight.copy_(torch.eye(4))
    z = torch.eye(4)[[2, 0, 3, 1]] * 5
    latent = head(None, z)
    assert latent.z is z
    assert latent.logits is not None
    assert latent.quadrant is not None
    assert latent.logits.shape == (4, 4)
    assert latent.quadrant.tolist() == [2, 0, 3, 1]
    assert not latent.quadrant.requires_grad


def test_a_map_counts_by_its_mean_over_space() -> None:
    head = QuadrantClassifier((3, 16, 16), (6, 2, 2), hidden=5)
    z = torch.randn(3, 6, 2, 2)
    flat = z.mean(dim=(2, 3), keepdim=True).expand_as(z)
    torch.testing.assert_close(head(None, z).logits, head(None, flat).logits)


def test_every_parameter_of_the_classifier_learns() -> None:
    head = QuadrantClassifier((3, 16, 16), (6,), hidden=5)
    logits = head(None, torch.randn(8, 6)).logits
    assert logits is not None
    logits.logsumexp(1).sum().backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_none_hands_the_latent_on() -> None:
    head = NoQuadrant((3, 16, 16), (6,))
    z = torch.randn(2, 6)
    latent = head(None, z)
    assert latent.z is z
    assert latent.quadrant is None
    assert head.conditioning == "none"
    assert not list(head.parameters())
