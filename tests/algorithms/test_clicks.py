"""Regions of a merge tree on the pixels of an image."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.algorithms import ward
from seedbed.algorithms.clicks import ClickTree
from seedbed.types import Alignment

GRID, SIZE = (2, 3), (4, 5)  # patches of 2 pixels; of the last column half


@pytest.fixture
def regions() -> ClickTree:
    """Of patches 0 1 | 5 above 0 2 | 6: rows join before columns do, and the right column last."""
    vectors = np.array([[0], [1], [5], [0], [2], [6]], np.float32)
    return ClickTree.on_pixels(ward.merge(vectors, ward.link_grid(GRID)), GRID, 2, Alignment.PADDED, SIZE)


def members(regions: ClickTree, region: int) -> set[int]:
    """Patches of a region, by its children."""
    if region < regions.tree.num_vectors:
        return {region}
    return set[int]().union(*(members(regions, int(one)) for one in regions.tree.children[region - regions.tree.num_vectors]))


def test_pixels_are_of_the_patch_that_covers_them(regions: ClickTree) -> None:
    assert regions.patches.tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5], [3, 3, 4, 4, 5]]


def test_a_region_holds_the_patches_that_were_merged_into_it(regions: ClickTree) -> None:
    for region in range(11):
        expected = members(regions, region)
        assert set(np.flatnonzero(regions.holds(region, range(6))).tolist()) == expected and regions.sizes[region] == len(expected)
        assert np.array_equal(regions.mask([region]), np.isin(regions.patches, list(expected)))


def test_the_way_up_goes_through_every_region_around_a_patch(regions: ClickTree) -> None:
    for patch in range(6):
        way = list(regions.climb(patch))
        assert way[0] == patch and way[-1] == 10 and way == sorted(way)
        assert set(way) == {region for region in range(11) if patch in members(regions, region)}


def test_several_regions_are_selected_together_and_none_selects_nothing(regions: ClickTree) -> None:
    assert np.array_equal(regions.mask([0, 5]), np.isin(regions.patches, [0, 5])) and not regions.mask([]).any()


def test_pixels_of_all_regions_are_counted(regions: ClickTree) -> None:
    pixels = np.random.default_rng(0).random(SIZE) < 0.5
    assert regions.count(pixels).tolist() == [int((regions.mask([region]) & pixels).sum()) for region in range(11)]


def test_an_image_of_one_patch_is_one_region() -> None:
    alone = ClickTree.on_pixels(ward.merge(np.zeros((1, 2), np.float32), ward.link_grid((1, 1))), (1, 1), 8, Alignment.PADDED, (5, 7))
    assert list(alone.climb(0)) == [0] and alone.mask([0]).all() and alone.mask([0]).shape == (5, 7)
