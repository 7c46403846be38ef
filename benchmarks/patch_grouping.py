"""Grouping patches by their features: a normalised cut by Lanczos iterations against the dense solution, and Ward merging."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import linalg

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed.algorithms import ward
from seedbed.algorithms.normalised_cut import bipartition
from seedbed.algorithms.patch_regions import measure_similarity

SIDE, CHANNELS, CLUSTERS = 56, 384, 12  # a 448-pixel image under ViT-S/8
THRESHOLD, WEAK = 0.3, 1e-5


def solve_densely(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The first cut as it is commonly coded."""
    degrees = np.diag(weights.sum(axis=1))
    _, vectors = linalg.eigh(degrees - weights, degrees, subset_by_index=[1, 1])
    side = vectors[:, 0] > vectors[:, 0].mean()
    return np.asarray(~side if side[0] else side)


if __name__ == "__main__":
    random = np.random.default_rng(0)
    centres, shares = random.normal(size=(CLUSTERS, CHANNELS)), random.dirichlet(np.full(CLUSTERS, 2.0))
    features = (centres[random.choice(CLUSTERS, size=SIDE**2, p=shares)] + 0.8 * random.normal(size=(SIDE**2, CHANNELS))).astype(np.float32)
    weights = np.where(measure_similarity(features) > THRESHOLD, 1.0, WEAK)
    start = random.standard_normal(len(weights))
    assert np.array_equal(bipartition(weights, start=start).side, solve_densely(weights)), "both must cut alike"
    edges = ward.link_grid((SIDE, SIDE))
    ways = {
        "first cut, dense": lambda: solve_densely(weights),
        "first cut, Lanczos": lambda: bipartition(weights, start=start),
        "Ward merging, whole tree": lambda: ward.merge(features, edges),
    }
    report(f"{SIDE**2} patches, {CHANNELS} channels", medians(ways, rounds=3), base="first cut, dense")
