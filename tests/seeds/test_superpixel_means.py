"""Seeds of superpixels: sure of a class, sure of none, or not sure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError

from seedbed.algorithms.region_means import Propagation
from seedbed.seeds.superpixel_means import SuperpixelMeans
from seedbed.types import Alignment, ClassMaps, PatchFeatures
from tests.algorithms.test_region_means import spread_in_rounds
from tests.support.evidence import scored

METHOD = SuperpixelMeans(foreground=0.5, background=0.25, propagation=Propagation(share=0, temperature=0.2))
REGIONS = np.array([[0, 0, 1, 1, 2], [3, 3, 1, 1, 4]], np.int32)
MAPS = ClassMaps(
    classes=(2, 5),
    maps=np.array([[[1, 0.5, 0.5, 0.5, 0.25], [0, 0.5, 0.5, 0.5, 0]], [[0.5, 0.5, 0, 0, 0], [0.5, 1, 0, 0, 0.26]]], np.float32),
)


def test_superpixels_of_a_class_of_none_and_between() -> None:
    # highest means: .75 of class 2, .5, .25, .75 of class 5, .26
    assert METHOD.label(scored(MAPS, REGIONS)).tolist() == [[2, 2, 255, 255, 0], [5, 5, 255, 255, 255]]


def test_reasons_are_told_of_each() -> None:
    assert METHOD.explain(scored(MAPS, REGIONS)) == [
        "the highest mean of its scores is 0.7500: foreground, because it is above 0.5",
        "the highest mean of its scores is 0.5000: no label, because it is above 0.25, but not above 0.5",
        "the highest mean of its scores is 0.2500: background, because it is no more than 0.25",
        "the highest mean of its scores is 0.7500: foreground, because it is above 0.5",
        "the highest mean of its scores is 0.2600: no label, because it is above 0.25, but not above 0.5",
    ]


def test_an_image_without_classes_is_background() -> None:
    nothing = ClassMaps(classes=(), maps=np.zeros((0, 2, 5), np.float32))
    assert not METHOD.label(scored(nothing, REGIONS)).any()
    assert METHOD.explain(scored(nothing, REGIONS))[0].endswith("background, because it is no more than 0.25")


def test_thresholds_are_in_order() -> None:
    with pytest.raises(ValidationError, match=r"no more than foreground, which is 0\.2"):
        SuperpixelMeans(foreground=0.2, background=0.3, propagation=METHOD.propagation)
    assert SuperpixelMeans(foreground=0.3, background=0.3, propagation=METHOD.propagation)


@pytest.mark.parametrize("share", [0, 0.6])
def test_the_whole_written_down_superpixel_by_superpixel(share: float) -> None:
    random = np.random.default_rng(5)
    regions = np.arange(15, dtype=np.int32).reshape(3, 5).repeat(8, axis=0).repeat(8, axis=1)
    maps = ClassMaps(classes=(1, 4), maps=random.random((2, 3, 5), np.float32)).resize((24, 40))
    patches = PatchFeatures(random.standard_normal((6, 10, 4)).astype(np.float32), 4, Alignment.PADDED)
    method = SuperpixelMeans(foreground=0.57, background=0.49, propagation=Propagation(share=share, temperature=0.3))
    inside = [regions == region for region in range(15)]
    means = np.array([[one[pixels].mean(dtype=np.float64) for pixels in inside] for one in maps.maps])
    if share:
        vectors = np.array([patches.values.repeat(4, axis=0).repeat(4, axis=1)[pixels].mean(axis=0) for pixels in inside])
        means = spread_in_rounds(means, vectors.astype(np.float64), share, 0.3)
    expected = np.zeros((24, 40), int)
    for pixels, scores in zip(inside, means.T, strict=True):
        expected[pixels] = (1, 4)[scores.argmax()] if scores.max() > 0.57 else 0 if scores.max() <= 0.49 else 255
    assert set(np.unique(expected)) == {0, 1, 4, 255}
    assert np.array_equal(method.label(scored(maps, regions, patches)), expected)


def test_features_are_read_where_scores_spread() -> None:
    assert METHOD.unread == ("features",)
    assert dataclasses.replace(METHOD, propagation=Propagation(share=0.1, temperature=1)).unread == ()
