"""Grouping patches by their features: discovery, a normalised cut, Ward merging.

Discovery is held against the similarity matrix that it needs anyway, and against a plain transcription of the published pseudocode; a cut
by Lanczos iterations against the dense solution.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import linalg

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed.algorithms import ward
from seedbed.algorithms.normalised_cut import bipartition
from seedbed.algorithms.patch_regions import measure_similarity
from seedbed.superpixels.dino import discover

SIDE, CHANNELS, CLUSTERS, REGIONS = 56, 384, 12, 300  # a 448-pixel image under ViT-S/8
THRESHOLD, WEAK = 0.3, 1e-5


def draw_vectors(clusters: int, *, evenness: float) -> npt.NDArray[np.float32]:
    """Noisy clusters of unequal size."""
    random = np.random.default_rng(0)
    centres, shares = random.normal(size=(clusters, CHANNELS)), random.dirichlet(np.full(clusters, evenness))
    drawn = centres[random.choice(clusters, size=SIDE**2, p=shares)]
    return np.asarray(drawn + 0.8 * random.normal(size=drawn.shape), np.float32)


def discover_by_the_letter(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """The published pseudocode, word for word: degrees are summed anew for every region."""
    matrix = measure_similarity(features)
    related = (matrix > 0).astype(np.float32)
    regions, left, count = np.full(len(features), -1, np.int32), np.arange(len(features)), 0
    while len(left):
        seed = left[related[np.ix_(left, left)].sum(axis=1).argmin()]
        inside = matrix[seed, left] > THRESHOLD
        regions[left[inside]] = count
        left, count = left[~inside], count + 1
    return regions


def solve_densely(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The first cut as it is commonly coded."""
    degrees = np.diag(weights.sum(axis=1))
    _, vectors = linalg.eigh(degrees - weights, degrees, subset_by_index=[1, 1])
    side = vectors[:, 0] > vectors[:, 0].mean()
    return np.asarray(~side if side[0] else side)


if __name__ == "__main__":
    many, few = draw_vectors(REGIONS, evenness=0.5), draw_vectors(CLUSTERS, evenness=2)
    found = discover(many, threshold=THRESHOLD, first="lowest")
    assert np.array_equal(found, discover_by_the_letter(many)), "both must find the same regions"
    ways = {
        "similarity matrix": lambda: measure_similarity(many),
        "discovery": lambda: discover(many, threshold=THRESHOLD, first="lowest"),
        "discovery, transcribed pseudocode": lambda: discover_by_the_letter(many),
    }
    patches = f"{SIDE**2} patches, {CHANNELS} channels"
    report(f"{patches}, {found.max() + 1} superpixels", medians(ways), base="similarity matrix")
    weights = np.where(measure_similarity(few) > THRESHOLD, 1.0, WEAK)
    start = np.random.default_rng(1).standard_normal(len(weights))
    assert np.array_equal(bipartition(weights, start=start).side, solve_densely(weights)), "both must cut alike"
    edges = ward.link_grid((SIDE, SIDE))
    cutting: dict[str, Callable[[], object]] = {
        "first cut, dense": lambda: solve_densely(weights),
        "first cut, Lanczos": lambda: bipartition(weights, start=start),
        "Ward merging, whole tree": lambda: ward.merge(few, edges),
    }
    report(patches, medians(cutting, rounds=3), base="first cut, dense")
