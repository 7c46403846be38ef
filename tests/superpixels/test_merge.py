"""Superpixels by merging neighbouring patches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydensecrf.utils import unary_from_labels
from scipy import ndimage

from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.ward import link_grid
from seedbed.superpixels.merge import Merge
from seedbed.types import Alignment, PatchFeatures
from tests.algorithms.test_ward import squared_error, transcribed
from tests.support.oracles import dense_crf, photograph

FIELD = DenseCrf(
    preset="own", smooth_distance=6, smooth_weight=20, colour_distance=9, colour_difference=14, colour_weight=2.5, iterations=3
)


@pytest.fixture
def plain(small_method: Callable[[str, str], Any]) -> Merge:
    """Without a CRF."""
    merge = small_method("superpixels", "merge")
    assert isinstance(merge, Merge)
    return dataclasses.replace(merge, stop="count", count=4, crf=dataclasses.replace(merge.crf, iterations=0))


def features(rows: int, columns: int, *, seed: int = 0) -> PatchFeatures:
    values = np.random.default_rng(seed).standard_normal((rows, columns, 3)).astype(np.float32)
    return PatchFeatures(values, 6, Alignment.PADDED)


@pytest.mark.parametrize(("stop", "cost"), [("count", 0.0), ("cost", 0.09)])
def test_the_whole_is_merging_by_trial_on_pixels_then_a_crf(stop: Any, cost: float) -> None:
    size, patches = (17, 29), features(3, 5)
    image = photograph(size)
    vectors = patches.values.reshape(15, 3).astype(np.float64)
    total = squared_error(vectors, {*range(15)})
    regions = [{vector} for vector in range(15)]
    for merged, added in transcribed(vectors, link_grid((3, 5))):
        if len(regions) == 6 if stop == "count" else added > cost * total:
            break
        regions = [region for region in regions if not region <= merged] + [merged]
    regions.sort(key=min)
    assert len(regions) == 6 if stop == "count" else 3 < len(regions) < 12
    pixels = np.array([[next(n for n, r in enumerate(regions) if y // 6 * 5 + x // 6 in r) for x in range(29)] for y in range(17)])
    energy = unary_from_labels(pixels, len(regions), gt_prob=0.6, zero_unsure=False).reshape(-1, *size)
    refined = dense_crf(image, energy, smooth=(6, 20), colour=(9, 14, 2.5), iterations=3).argmax(axis=0)
    expected = np.unique(refined, return_inverse=True)[1].reshape(size)
    found = Merge(stop=stop, count=6, cost=cost, crf_certainty=0.6, crf=FIELD).segment(image, patches)
    assert np.array_equal(found, expected)
    assert not np.array_equal(refined, pixels)


@pytest.mark.parametrize("count", [1, 2, 7, 35, 90])
def test_there_are_as_many_regions_as_asked_for_and_each_is_connected(count: int, plain: Merge) -> None:
    regions = dataclasses.replace(plain, count=count).segment(photograph((25, 42)), features(5, 7))
    assert np.unique(regions).tolist() == list(range(min(count, 35)))
    assert all(ndimage.label(regions == region)[1] == 1 for region in range(regions.max() + 1))


def test_an_image_of_one_colour_has_no_squared_error_to_stop_at(plain: Merge) -> None:
    patches = PatchFeatures(np.full((3, 5, 4), 0.3, np.float32), 8, Alignment.PADDED)
    method = dataclasses.replace(plain, stop="cost", cost=0.0)
    assert not method.segment(np.full((17, 33, 3), 90, np.uint8), patches).any()


def test_the_unit_of_features_means_nothing_to_the_cost(plain: Merge) -> None:
    patches = features(5, 7)
    larger = dataclasses.replace(patches, values=patches.values * 64)
    method = dataclasses.replace(plain, stop="cost", cost=0.05)
    image = photograph((25, 42))
    regions = method.segment(image, patches)
    assert np.array_equal(regions, method.segment(image, larger))
    assert 1 < regions.max() + 1 < 35
