"""What every partition of an image promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import Alignment, Image, PatchFeatures, RegionMap, Size, cells

NAMES = methods.list_available("superpixels")
SIZES = [(24, 40), (17, 33), (41, 9), (26, 31), (1, 1), (3, 2)]  # whole patches, one pixel too many, odd remainders, specks
PATCH = 8


def example(size: Size, *, seed: int = 0, alignment: Alignment = Alignment.RESIZED) -> tuple[Image, PatchFeatures]:
    """A random image with random features."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((*cells(size, PATCH), 6)).astype(np.float32)
    return random.integers(0, 256, (*size, 3), dtype=np.uint8), PatchFeatures(values, PATCH, alignment)


def assert_partition(regions: RegionMap, size: Size) -> None:
    """Every pixel has a region, and regions are numbered without gaps."""
    assert regions.shape == size
    assert regions.dtype == np.int32
    assert np.unique(regions).tolist() == list(range(regions.max() + 1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_regions_are_numbered_without_gaps(name: str, size: Size, small_method: Callable[[str, str], Any]) -> None:
    for seed, alignment in enumerate([*Alignment, *Alignment]):
        assert_partition(small_method("superpixels", name).segment(*example(size, seed=seed, alignment=alignment)), size)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_of_one_colour_can_be_divided(name: str, small_method: Callable[[str, str], Any]) -> None:
    image = np.full((17, 33, 3), 90, np.uint8)
    for values in (np.ones((3, 5, 4), np.float32), np.zeros((3, 5, 4), np.float32)):
        patches = PatchFeatures(values, PATCH, Alignment.PADDED)
        assert_partition(small_method("superpixels", name).segment(image, patches), (17, 33))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_regions_and_stays_as_it_is(name: str, small_method: Callable[[str, str], Any]) -> None:
    image, patches = example((26, 31))
    method = small_method("superpixels", name)
    assert np.array_equal(method.segment(image, patches), method.segment(image, patches))
    original_image, original_patches = example((26, 31))
    assert np.array_equal(image, original_image) and np.array_equal(patches.values, original_patches.values)


@pytest.mark.parametrize("name", NAMES)
def test_whether_features_are_read_is_what_the_method_says(name: str, small_method: Callable[[str, str], Any]) -> None:
    method, (image, patches) = small_method("superpixels", name), example((37, 51), seed=0, alignment=Alignment.PADDED)
    _, others = example((37, 51), seed=1, alignment=Alignment.PADDED)
    reads = not np.array_equal(method.segment(image, patches), method.segment(image, others))
    assert method.needs_features is reads


@pytest.mark.parametrize("name", NAMES)
def test_the_time_of_a_crf_is_spoken_of_where_one_runs(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("superpixels", name)
    without = dataclasses.replace(method, crf=dataclasses.replace(method.crf, iterations=0)) if hasattr(method, "crf") else method
    assert "CRF" not in without.remark
    assert ("CRF" in method.remark) == (name in ("dino", "merge", "ncut"))
