"""Superpixels by SEEDS, held against OpenCV's as its own example calls them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from seedbed.superpixels.energy_seeds import EnergySeeds, fit_levels
from tests.support.oracles import photograph
from tests.support.regions import NOTHING, count_pieces, numbered


@pytest.mark.parametrize("double_step", [False, True])
def test_the_whole_is_opencvs(double_step: bool) -> None:
    image = photograph((41, 66))
    theirs = cv2.ximgproc.createSuperpixelSEEDS(66, 41, 3, 40, 3, prior=1, histogram_bins=7, double_step=double_step)
    theirs.iterate(cv2.cvtColor(image, cv2.COLOR_RGB2Lab), 6)
    method = EnergySeeds(count=40, num_levels=3, prior=1, histogram_bins=7, double_step=double_step, num_iterations=6)
    found = method.segment(image, NOTHING)
    assert found.tolist() == numbered(theirs.getLabels())
    assert 5 < found.max() < 40


def test_an_image_of_one_colour_is_divided_into_the_grid() -> None:
    method = EnergySeeds(count=60, num_levels=2, prior=2, histogram_bins=5, double_step=False, num_iterations=4)
    regions = method.segment(np.full((48, 80, 3), 90, np.uint8), NOTHING)
    assert count_pieces(regions) == regions.max() + 1 == 60


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 30)])
def test_an_image_into_which_no_grid_fits_is_one_region(size: tuple[int, int], small_method: Callable[[str, str], Any]) -> None:
    assert small_method("superpixels", "energy_seeds").segment(photograph(size), NOTHING).tolist() == np.zeros(size, int).tolist()


def test_regions_are_no_smaller_than_opencv_bears(small_method: Callable[[str, str], Any]) -> None:
    method, image = small_method("superpixels", "energy_seeds"), photograph((16, 20))
    expected = dataclasses.replace(method, count=20).segment(image, NOTHING)  # of 4 x 4 pixels
    assert np.array_equal(dataclasses.replace(method, count=5000).segment(image, NOTHING), expected)
    grey = dataclasses.replace(method, count=5000).segment(np.full((16, 16, 3), 90, np.uint8), NOTHING)
    assert np.bincount(grey.ravel()).tolist() == [16] * 16


@pytest.mark.parametrize(
    ("size", "count", "levels"),
    [
        ((375, 500), 100, 6),
        ((375, 500), 10, 8),
        ((24, 40), 60, 3),  # 6 x 10 regions, quartered twice: blocks of a pixel
        ((24, 40), 400, 0),  # a quarter of a region would be smaller than a pixel
        ((20, 300), 10, 0),  # there would be no row
        ((300, 20), 10, 0),  # nor a column here
        ((76, 800), 10, 0),  # 0.97 of a row
        ((76, 800), 11, 3),  # 1.02
        ((16, 160), 10, 5),  # one row, halved as often as its height allows
        ((160, 16), 10, 5),  # likewise one column
        ((15, 150), 10, 0),  # one row, and blocks of 8 pixels, of which there is but one: OpenCV would crash
        ((150, 15), 10, 0),  # likewise
    ],
)
def test_levels_that_fit(size: tuple[int, int], count: int, levels: int) -> None:
    assert fit_levels(size, count=count, most=16) == levels
    assert fit_levels(size, count=count, most=2) == min(2, levels)
