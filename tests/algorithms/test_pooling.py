"""How scores of places become the score of the whole."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from seedbed.algorithms.pooling import Temperature, pool, pool_above, spread

SCORES = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)) * 3
TEMPERATURES = (1e-3, 0.1, 0.5, 1.0, 2.0, 10.0, 50.0, 1e6)


@pytest.mark.parametrize("temperature", [1e6, "infinite"])
def test_at_a_high_temperature_it_is_the_mean(temperature: Temperature) -> None:
    assert torch.allclose(pool(SCORES, temperature=temperature), SCORES.mean(dim=(2, 3)), atol=1e-4)


def test_the_mean_is_the_same_to_the_bit_as_that_of_the_plain_classifier() -> None:
    assert torch.equal(pool(SCORES, temperature="infinite"), SCORES.mean(dim=(2, 3)))


def test_at_a_low_temperature_it_is_the_highest_score() -> None:
    assert torch.allclose(pool(SCORES, temperature=1e-3), SCORES.amax(dim=(2, 3)), atol=1e-4)


def test_the_higher_the_temperature_the_lower_the_score() -> None:
    pooled = torch.stack([pool(SCORES, temperature=one) for one in TEMPERATURES])
    assert (pooled.diff(dim=0) <= 1e-5).all() and (pooled[0] > pooled[-1] + 1).all()
    assert (pooled >= SCORES.mean(dim=(2, 3)) - 1e-4).all() and (pooled <= SCORES.amax(dim=(2, 3)) + 1e-4).all()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_places_share_what_counts_and_an_offset_changes_none_of_it(temperature: float) -> None:
    shares = spread(SCORES, temperature=temperature)
    assert torch.allclose(shares.sum(dim=(2, 3)), torch.ones(2, 3)) and (shares > 0).all()
    assert torch.allclose(spread(SCORES + 5, temperature=temperature), shares, atol=1e-6)
    assert torch.allclose(pool(SCORES + 5, temperature=temperature), pool(SCORES, temperature=temperature) + 5, atol=1e-5)


def test_a_temperature_can_come_before_or_after_the_softmax() -> None:
    powers = spread(SCORES, temperature=1.0) ** (1 / 2.5)
    assert torch.allclose(powers / powers.sum(dim=(2, 3), keepdim=True), spread(SCORES, temperature=2.5), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.7, 3.0])
def test_its_gradient(temperature: float) -> None:
    scores = SCORES.clone().requires_grad_()
    pool(scores, temperature=temperature).sum().backward()
    shares, pooled = spread(SCORES, temperature=temperature), pool(SCORES, temperature=temperature)
    assert scores.grad is not None
    assert torch.allclose(scores.grad, shares * (1 + (SCORES - pooled[..., None, None]) / temperature), atol=1e-5)


def test_where_all_count_alike_all_have_the_same_gradient() -> None:
    scores = SCORES.clone().requires_grad_()
    pool(scores, temperature="infinite").sum().backward()
    assert torch.allclose(scores.grad if scores.grad is not None else torch.zeros(()), torch.tensor(1 / 35))


def test_two_places_by_hand() -> None:
    scores = torch.tensor([[[[0.0, 2 * math.log(3)]]]])
    assert spread(scores, temperature=2.0).flatten().tolist() == pytest.approx([0.25, 0.75])
    assert pool(scores, temperature=2.0).item() == pytest.approx(0.75 * 2 * math.log(3))


def test_the_higher_the_temperature_the_more_rises_with_the_score() -> None:
    """A peak on a weak object of 30 pixels: after the same steps of descent, the peak alone is seen, the object, or all of the image."""
    areas = []
    temperatures: tuple[Temperature, ...] = (0.5, 5.0, 20.0, "infinite")
    for temperature in temperatures:
        scores = torch.zeros(1, 1, 9, 12)
        scores[..., 2:7, 3:9] = 0.5
        scores[..., 4, 5] = 2.0
        for _ in range(100):
            scores.requires_grad_()
            [gradient] = torch.autograd.grad(functional.softplus(-pool(scores, temperature=temperature)).sum(), scores)
            scores = (scores - 20 * gradient).detach()
        areas.append(int((scores > 0.5 * scores.max()).sum()))
    assert areas == [1, 1, 30, 108]


# --- Above a share of the highest ---


def test_of_an_even_map_the_mean_above_any_share_is_its_value() -> None:
    assert torch.allclose(pool_above(torch.full((1, 2, 3, 4), 2.5), share=0.9), torch.full((1, 2), 2.5))


def test_above_nothing_it_is_the_mean_of_positive_values_and_close_to_the_highest_it_is_the_highest() -> None:
    positive = SCORES.abs() + 0.1
    assert torch.allclose(pool_above(positive, share=0.0), positive.mean(dim=(2, 3)), atol=1e-6)
    assert torch.allclose(pool_above(SCORES, share=0.0), SCORES.clamp(min=0).sum(dim=(2, 3)) / (SCORES > 0).sum(dim=(2, 3)), atol=1e-6)
    assert torch.allclose(pool_above(SCORES, share=0.999), SCORES.amax(dim=(2, 3)), atol=1e-6)
    assert (pool_above(SCORES.relu(), share=0.1) >= SCORES.relu().mean(dim=(2, 3))).all()


def test_only_what_exceeds_the_share_counts_and_has_a_gradient() -> None:
    values = torch.tensor([[[[4.0, 2.0, 1.0, -3.0]]]]).requires_grad_()
    pooled = pool_above(values, share=0.5)
    pooled.sum().backward()
    assert pooled.item() == 4 and values.grad is not None and values.grad.flatten().tolist() == [1, 0, 0, 0]
    assert pool_above(values, share=0.25).item() == 3


def test_where_nothing_is_positive_it_is_nothing() -> None:
    assert pool_above(-SCORES.abs() - 0.1, share=0.5).tolist() == pool_above(torch.zeros(2, 3, 4, 4), share=0.0).tolist() == [[0] * 3] * 2
