"""Superpixels by Felzenszwalb and Huttenlocher, held against scikit-image's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from skimage.segmentation import felzenszwalb

from seedbed.superpixels.felzenszwalb import Felzenszwalb
from tests.support.oracles import photograph
from tests.support.regions import NOTHING, count_pieces, numbered


def test_the_whole_is_scikit_images() -> None:
    image = photograph((41, 66))
    theirs = felzenszwalb(image, scale=90.0, sigma=0.6, min_size=13)
    found = Felzenszwalb(scale=90, blur=0.6, smallest=13).segment(image, NOTHING)
    assert found.tolist() == numbered(theirs)
    assert found.max() > 5
    assert count_pieces(found, corners=True) == found.max() + 1
    assert np.bincount(found.ravel()).min() >= 13


def test_what_differs_in_colour_is_told_apart_and_one_colour_is_one_region() -> None:
    image = np.full((9, 14, 3), 90, np.uint8)
    method = Felzenszwalb(scale=10, blur=0, smallest=1)
    assert not method.segment(image, NOTHING).any()
    image[:, 8:] = 200
    assert np.array_equal(method.segment(image, NOTHING), (np.arange(14) >= 8) + np.zeros((9, 1), np.int32))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 30)])
def test_an_image_smaller_than_a_region_is_one(size: tuple[int, int], small_method: Callable[[str, str], Any]) -> None:
    assert not dataclasses.replace(small_method("superpixels", "felzenszwalb"), smallest=31).segment(photograph(size), NOTHING).any()
