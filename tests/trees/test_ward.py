"""Trees of the patches of an image by Ward merging."""

from __future__ import annotations

import numpy as np

from seedbed.trees.ward import Ward
from seedbed.types import Alignment, PatchFeatures


def described(values: list[list[float]]) -> PatchFeatures:
    """Patches with a vector of one entry each."""
    return PatchFeatures(np.array(values, np.float32)[..., None], 4, Alignment.PADDED)


def test_the_last_merge_parts_two_halves() -> None:
    tree = Ward().merge(described([[0, 0, 5], [0, 1, 5]]))
    assert tree.num_vectors == 6 and tree.children.shape == (5, 2)
    assert tree.cut(2).tolist() == [0, 0, 1, 0, 0, 1]
    assert np.isclose(tree.costs.sum(), np.var([0, 0, 5, 0, 1, 5]) * 6), "all of the squared error"


def test_patches_join_their_neighbours_alone() -> None:
    """The outer columns are alike, and have the middle between them."""
    tree = Ward().merge(described([[0, 9, 0.5], [0, 9, 0.5]]))
    assert tree.cut(3).tolist() == [0, 1, 2, 0, 1, 2]


def test_an_image_of_one_patch_has_no_merge() -> None:
    tree = Ward().merge(described([[3]]))
    assert tree.num_vectors == 1 and tree.children.shape == (0, 2) and tree.cut(1).tolist() == [0]
