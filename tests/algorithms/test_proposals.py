"""Regions that are drawn from a tree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from seedbed.algorithms.proposals import draw_large, draw_region
from seedbed.algorithms.ward import MergeTree

LEVELS = 7


def perfect() -> MergeTree:
    """A tree of 128 vectors, of which all merge with their neighbours, then all pairs, and so on."""
    children = np.arange(2 * (2**LEVELS - 1), dtype=np.int32).reshape(-1, 2)
    return MergeTree(2**LEVELS, children, np.arange(2**LEVELS - 1, dtype=np.float64))


def depths(tree: MergeTree) -> list[int]:
    """Steps from the whole to every region."""
    found = [0] * (tree.num_vectors + len(tree.children))
    for merge in reversed(range(len(tree.children))):
        for child in tree.children[merge]:
            found[child] = found[tree.num_vectors + merge] + 1
    return found


def test_regions_are_as_deep_as_the_law_says() -> None:
    """P(depth >= d) = 0.9^(d (d - 1) / 2), over 10,000 draws, and of each depth all regions are alike."""
    tree, random = perfect(), np.random.default_rng(0)
    deep = depths(tree)
    drawn = [draw_region(tree, random, decay=0.9) for _ in range(10_000)]
    reached = np.array([deep[one] for one in drawn])
    for depth in range(LEVELS + 1):
        assert (reached >= depth).mean() == pytest.approx(0.9 ** (depth * (depth - 1) / 2), abs=0.015)
    counts = Counter(one for one in drawn if deep[one] == 2)
    assert len(counts) == 4 and max(counts.values()) < 1.25 * min(counts.values())


def test_without_luck_it_is_half_of_the_image_and_with_certainty_a_patch() -> None:
    tree, random = perfect(), np.random.default_rng(0)
    deep = depths(tree)
    assert {deep[draw_region(tree, random, decay=0)] for _ in range(50)} == {1}
    assert {deep[draw_region(tree, random, decay=1)] for _ in range(50)} == {LEVELS}


def test_the_first_region_that_is_large_enough_is_taken_or_the_last() -> None:
    tree = perfect()
    for seed in range(30):
        alone, drawn = np.random.default_rng(seed), np.random.default_rng(seed)
        regions = [draw_region(tree, alone, decay=0.9) for _ in range(5)]
        sizes = [2 ** (LEVELS - depths(tree)[one]) for one in regions]
        expected = next((one for one, size in zip(regions, sizes, strict=True) if size > 32), regions[-1])
        assert draw_large(tree, drawn, decay=0.9, least=0.25, tries=5) == expected


def test_a_tree_of_one_patch_has_one_region() -> None:
    tree = MergeTree(1, np.zeros((0, 2), np.int32), np.zeros(0))
    assert draw_large(tree, np.random.default_rng(0), decay=0.9, least=0.05, tries=3) == 0
