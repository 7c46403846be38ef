"""Means over regions, and scores that spread between regions that look alike."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from seedbed.algorithms.region_means import Propagation, average_within, describe_regions
from seedbed.types import Alignment, PatchFeatures

RANDOM = np.random.default_rng(2)


def test_means_of_maps_by_hand() -> None:
    regions = np.array([[0, 0, 1], [2, 1, 1]], np.int32)
    maps = np.array([[[1, 3, 6], [5, 0, 3]], [[0, 0, 0], [1, 1, 1]]], np.float32)
    assert average_within(maps, regions) == pytest.approx(np.array([[2, 3, 5], [0, 2 / 3, 1]]))
    assert average_within(maps[:0], regions).shape == (0, 3)


@pytest.mark.parametrize("alignment", list(Alignment))
def test_features_of_a_region_are_the_mean_over_its_pixels(alignment: Alignment) -> None:
    patches = PatchFeatures(RANDOM.standard_normal((3, 5, 4)).astype(np.float32), 4, alignment)
    regions = RANDOM.permutation(np.arange(11 * 18) % 6).reshape(11, 18).astype(np.int32)
    numbers = patches.on_pixels(np.arange(15).reshape(3, 5), (11, 18))
    found = describe_regions(patches, regions)
    assert found.shape == (6, 4)
    for region in range(6):
        pixels = [patches.values.reshape(15, 4)[numbers[place]] for place in zip(*np.nonzero(regions == region), strict=True)]
        assert found[region] == pytest.approx(np.mean(pixels, axis=0), abs=1e-6)


def spread_in_rounds(
    scores: npt.NDArray[np.float64], vectors: npt.NDArray[np.float64], share: float, temperature: float
) -> npt.NDArray[np.float64]:
    """Round after round, region by region."""
    count = len(vectors)
    links = np.zeros((count, count))
    for one in range(count):
        for other in set(range(count)) - {one}:
            cosine = vectors[one] @ vectors[other] / math.sqrt(vectors[one] @ vectors[one]) / math.sqrt(vectors[other] @ vectors[other])
            links[one, other] = math.exp(cosine / temperature)
        links[one] /= links[one].sum()
    now = scores
    for _ in range(300):
        received = np.array([[row @ links[one] for one in range(count)] for row in now])
        now = (1 - share) * scores + share * received
    return now


@pytest.mark.parametrize(("share", "temperature"), [(0.3, 0.1), (0.9, 0.5), (0.8, 30)])
def test_scores_spread_until_nothing_changes(share: float, temperature: float) -> None:
    scores, vectors = RANDOM.random((2, 7)), RANDOM.standard_normal((7, 3))
    spread = Propagation(share=share, temperature=temperature).spread(scores, vectors)
    assert spread == pytest.approx(spread_in_rounds(scores, vectors, share, temperature), abs=1e-9)
    assert scores.min() <= spread.min() and spread.max() <= scores.max()


def test_scores_go_to_those_that_look_alike_whatever_their_length() -> None:
    scores, vectors = np.array([[1.0, 0, 0, 0]]), np.array([[1.0, 0], [5, 0.1], [0, 1], [0.1, 3]])
    spread = Propagation(share=0.5, temperature=0.1).spread(scores, vectors)[0]
    assert spread[1] == pytest.approx(1 / 3, abs=0.01) and 0 < spread[2:].max() < 0.01


def test_vectors_of_no_length_resemble_none_more_than_another() -> None:
    spread = Propagation(share=0.5, temperature=0.1).spread(np.array([[1.0, 0, 0.5]]), np.zeros((3, 2)))[0]
    assert spread == pytest.approx(np.linalg.solve(np.eye(3) - 0.25 * (1 - np.eye(3)), [0.5, 0, 0.25]))


@pytest.mark.parametrize(("share", "count"), [(0.0, 5), (0.7, 1)])
def test_scores_that_cannot_spread_stay(share: float, count: int) -> None:
    scores = RANDOM.random((2, count))
    assert np.array_equal(Propagation(share=share, temperature=0.1).spread(scores, RANDOM.standard_normal((count, 3))), scores)


def test_two_regions_share_with_each_other() -> None:
    spread = Propagation(share=0.5, temperature=0.1).spread(np.array([[1.0, 0]]), np.array([[1.0, 0], [0, 1]]))
    assert spread[0] == pytest.approx([2 / 3, 1 / 3])


def test_cold_links_do_not_overflow() -> None:
    spread = Propagation(share=0.5, temperature=1e-3).spread(np.array([[1.0, 0, 0]]), np.array([[1.0, 0], [1, 1], [-1, 0.1]]))
    assert np.isfinite(spread).all() and spread[0, 1] == pytest.approx(2 / 3 / 2)
