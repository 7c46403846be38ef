"""Clusters of vectors by k-means (Lloyd), on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from seedbed.algorithms.group_means import average_groups


def find_centroids(vectors_ND: Tensor, count: int, *, rounds: int) -> Tensor:
    """Means (count, D) of clusters; the vectors themselves where there are no more of them.

    Starts from vectors drawn as by k-means++ (Arthur and Vassilvitskii, 2007), from torch's random state. A cluster that loses all of its
    vectors stays where it is.
    """
    if len(vectors_ND) <= count:
        return vectors_ND
    centroids_KD = _draw_start(vectors_ND, count)
    for _ in range(rounds):
        nearest_N = torch.cdist(vectors_ND, centroids_KD).argmin(dim=1)
        sizes_K1 = torch.bincount(nearest_N, minlength=count)[:, None]
        centroids_KD = torch.where(sizes_K1 > 0, average_groups(vectors_ND, nearest_N, count), centroids_KD)
    return centroids_KD


def _draw_start(vectors_ND: Tensor, count: int) -> Tensor:
    """Vectors (count, D): the first of any, each next one the likelier, the farther it is from those before it, by squared distance."""
    chosen = [torch.randint(len(vectors_ND), (1,), device=vectors_ND.device)]
    distances_N = torch.full((len(vectors_ND),), torch.inf, device=vectors_ND.device)
    while len(chosen) < count:
        distances_N = torch.minimum(distances_N, (vectors_ND - vectors_ND[chosen[-1]]).square().sum(dim=1))
        likely_N = distances_N + (distances_N.sum() == 0)  # any, where all are the same
        chosen.append(torch.multinomial(likely_N, 1))
    return vectors_ND[torch.cat(chosen)]
