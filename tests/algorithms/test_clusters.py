"""Clusters of vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from seedbed.algorithms.clusters import find_centroids


def scattered(*, count: int = 8, each: int = 20, spread: float = 0.01, seed: int = 0) -> Tensor:
    """Vectors around points that are far from each other, in no order."""
    generator = torch.Generator().manual_seed(seed)
    points = 10 * torch.eye(count)
    vectors = points.repeat(each, 1) + spread * torch.randn(each * count, count, generator=generator)
    return vectors[torch.randperm(len(vectors), generator=generator)]


def in_order(vectors: Tensor) -> Tensor:
    return vectors[vectors.argmax(dim=1).argsort()]


@pytest.mark.parametrize("seed", range(5))
def test_clusters_that_are_apart_are_found(seed: int) -> None:
    torch.manual_seed(seed)
    vectors = scattered()
    means = torch.stack([vectors[vectors.argmax(dim=1) == number].mean(dim=0) for number in range(8)])
    assert torch.allclose(in_order(find_centroids(vectors, 8, rounds=10)), means, atol=1e-5)


def test_no_more_vectors_than_clusters_are_themselves() -> None:
    vectors = scattered(each=1)
    assert torch.equal(find_centroids(vectors, 8, rounds=10), vectors) and find_centroids(vectors[:0], 8, rounds=1).shape == (0, 8)


def test_each_round_is_one_of_lloyd() -> None:
    vectors = torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(4)
    centroids = find_centroids(vectors, 5, rounds=0).numpy().copy()
    assert {tuple(one) for one in centroids} <= {tuple(one) for one in vectors.numpy()}
    for rounds in range(1, 6):
        nearest = ((vectors.numpy()[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
        centroids = np.stack([vectors.numpy()[nearest == number].mean(axis=0) for number in range(5)])
        torch.manual_seed(4)
        assert np.allclose(find_centroids(vectors, 5, rounds=rounds), centroids, atol=1e-5)


def test_a_cluster_without_any_stays_where_it_was() -> None:
    vectors = torch.tensor([[1.0, 2.0]]).repeat(12, 1)
    assert torch.equal(find_centroids(vectors, 3, rounds=4), vectors[:3])


def test_the_start_is_the_likelier_the_farther_a_vector_is() -> None:
    """Of vectors at 0, 1 and 3, the second begins at 3 nine times in ten where the first began at 0."""
    vectors, found = torch.tensor([[0.0], [1.0], [3.0]]), {1.0: 0, 3.0: 0}
    for seed in range(600):
        torch.manual_seed(seed)
        first, second = find_centroids(vectors, 2, rounds=0).flatten().tolist()
        if first == 0:
            found[second] += 1
    assert sum(found.values()) == pytest.approx(200, abs=60)
    assert found[3.0] / sum(found.values()) == pytest.approx(0.9, abs=0.06)
