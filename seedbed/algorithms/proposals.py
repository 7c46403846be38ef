"""Regions of a merge tree that a person may want to select, drawn from the whole downwards.

Paper: Li et al., "Multi-granularity Interaction Simulation for Unsupervised Interactive Segmentation" (MIS), ICCV 2023.
"""

from __future__ import annotations

import numpy as np

from seedbed.algorithms.ward import MergeTree


def draw_region(tree: MergeTree, random: np.random.Generator, *, decay: float) -> int:
    """A region: from the whole, one of the two parts of each with even chances, until chance or a single patch ends it.

    decay: by what the probability of one step more is multiplied with every step; the first is certain.
    """
    region, likely = len(tree.children) + tree.num_vectors - 1, 1.0
    while region >= tree.num_vectors and random.random() < likely:
        region = int(tree.children[region - tree.num_vectors, random.integers(2)])
        likely *= decay
    return region


def draw_large(tree: MergeTree, random: np.random.Generator, *, decay: float, least: float, tries: int) -> int:
    """The first of some drawn regions that is large enough; the last, if none is.

    least: share of the patches of which a large one has more.
    """
    for _ in range(tries):
        region = draw_region(tree, random, decay=decay)
        size = 1 if region < tree.num_vectors else int(tree.sizes[region - tree.num_vectors])
        if size > least * tree.num_vectors:
            break
    return region
