"""LSC superpixels, held against OpenCV's as its own example calls them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from seedbed.superpixels.lsc import Lsc, single_thread
from tests.support.oracles import photograph
from tests.support.regions import NOTHING, count_pieces, numbered


def test_the_whole_is_opencvs() -> None:
    image = photograph((41, 66))
    theirs = cv2.ximgproc.createSuperpixelLSC(cv2.cvtColor(image, cv2.COLOR_RGB2Lab), region_size=9, ratio=0.11)
    with single_thread():
        theirs.iterate(3)
    theirs.enforceLabelConnectivity(40)
    found = Lsc(region_size=9, compactness=0.11, num_iterations=3, smallest=40).segment(image, NOTHING)
    assert found.tolist() == numbered(theirs.getLabels())
    assert 5 < found.max() < 60


def test_an_image_of_one_colour_is_divided_into_connected_regions() -> None:
    method = Lsc(region_size=8, compactness=0.075, num_iterations=5, smallest=25)
    regions = method.segment(np.full((24, 40, 3), 90, np.uint8), NOTHING)
    assert count_pieces(regions) == regions.max() + 1 > 6


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 30), (7, 90)])
def test_an_image_into_which_no_region_fits_is_one(size: tuple[int, int], small_method: Callable[[str, str], Any]) -> None:
    assert small_method("superpixels", "lsc").segment(photograph(size), NOTHING).tolist() == np.zeros(size, int).tolist()


def test_an_image_into_which_two_of_the_smallest_regions_fit_is_divided() -> None:
    image = np.zeros((8, 20, 3), np.uint8)
    image[:, 10:] = 255
    regions = Lsc(region_size=4, compactness=0.075, num_iterations=4, smallest=4).segment(image, NOTHING)
    assert regions.max() > 0 and not np.isin(regions[:, :8], regions[:, 12:]).any()


def test_a_region_is_not_larger_than_half_of_the_shorter_side(small_method: Callable[[str, str], Any]) -> None:
    image, method = photograph((19, 50)), small_method("superpixels", "lsc")
    expected = dataclasses.replace(method, region_size=9).segment(image, NOTHING)
    assert np.array_equal(dataclasses.replace(method, region_size=500).segment(image, NOTHING), expected)
    assert expected.max() > 0


def test_threads_do_not_race_and_opencv_has_as_many_as_before() -> None:
    image, method = photograph((120, 180)), Lsc(region_size=12, compactness=0.075, num_iterations=3, smallest=25)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        with single_thread():
            assert cv2.getNumThreads() == 1
        found = {method.segment(image, NOTHING).tobytes() for _ in range(5)}
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)
    assert len(found) == 1
