"""SLIC superpixels, held against OpenCV's as its own example calls them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from seedbed.superpixels.slic import Slic
from tests.support.oracles import photograph
from tests.support.regions import NOTHING, count_pieces, numbered


def test_the_whole_is_opencvs() -> None:
    image = photograph((41, 66))
    theirs = cv2.ximgproc.createSuperpixelSLIC(cv2.cvtColor(image, cv2.COLOR_RGB2Lab), algorithm=100, region_size=9, ruler=17.5)
    theirs.iterate(3)
    theirs.enforceLabelConnectivity(40)
    found = Slic(region_size=9, smoothness=17.5, num_iterations=3, smallest=40).segment(image, NOTHING)
    assert found.tolist() == numbered(theirs.getLabels())
    assert 5 < found.max() < 60


@pytest.mark.parametrize("size", [(41, 66), (30, 17), (9, 40)])
def test_every_region_is_connected(size: tuple[int, int]) -> None:
    regions = Slic(region_size=6, smoothness=5, num_iterations=5, smallest=20).segment(photograph(size), NOTHING)
    assert count_pieces(regions) == regions.max() + 1 > 1


def test_an_image_of_one_colour_is_divided_into_squares() -> None:
    regions = Slic(region_size=8, smoothness=10, num_iterations=5, smallest=25).segment(np.full((24, 40, 3), 90, np.uint8), NOTHING)
    assert 12 <= regions.max() + 1 <= 15
    assert np.bincount(regions.ravel()).min() > 30


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 30), (7, 90)])
def test_an_image_smaller_than_a_region(size: tuple[int, int], small_method: Callable[[str, str], Any]) -> None:
    regions = small_method("superpixels", "slic").segment(photograph(size), NOTHING)
    assert regions.shape == size
    assert (
        regions.tolist()
        == dataclasses.replace(small_method("superpixels", "slic"), region_size=min(size)).segment(photograph(size), NOTHING).tolist()
    )
