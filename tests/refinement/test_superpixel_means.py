"""Masks of superpixels that take the class with the highest mean."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.region_means import Propagation
from seedbed.refinement.superpixel_means import SuperpixelMeans
from seedbed.types import Alignment, ClassMaps, PatchFeatures
from tests.algorithms.test_region_means import spread_in_rounds
from tests.support.evidence import evidence
from tests.support.oracles import dense_crf, photograph

CRF = DenseCrf(
    preset="own", smooth_distance=2, smooth_weight=1.5, colour_distance=17, colour_difference=21, colour_weight=2.5, iterations=3
)
METHOD = SuperpixelMeans(
    threshold=0.25,
    propagation=Propagation(share=0, temperature=0.2),
    crf_certainty=0.6,
    crf=dataclasses.replace(CRF, iterations=0),
)
REGIONS = np.array([[0, 0, 1, 1], [2, 2, 1, 1]], np.int32)
IMAGE = np.zeros((2, 4, 3), np.uint8)


def test_each_superpixel_takes_the_class_with_the_highest_mean_above_the_threshold() -> None:
    maps = np.array([[[1, 0, 0.25, 0.25], [0.9, 0.2, 0.25, 0.25]], [[0.9, 0.7, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]]], np.float32)
    # means: .5, .25, .55 and .8, .1, .1; a mean that is just the threshold is not above it
    [made] = METHOD.refine([evidence(IMAGE, ClassMaps(classes=(2, 5), maps=maps), REGIONS)])
    assert made.labels.tolist() == [[5, 5, 0, 0], [2, 2, 0, 0]]
    assert made.confidence.tolist() == [[204, 204, 191, 191], [140, 140, 191, 191]]


def test_an_image_without_a_class_is_background_and_takes_no_crf() -> None:
    nothing = evidence(IMAGE, ClassMaps(classes=(), maps=np.zeros((0, 2, 4), np.float32)), REGIONS)
    assert not dataclasses.replace(METHOD, crf=CRF).refine([nothing])[0].labels.any()


def example() -> dict[str, Any]:
    random, size = np.random.default_rng(1), (24, 40)
    regions = np.arange(15, dtype=np.int32).reshape(3, 5).repeat(8, axis=0).repeat(8, axis=1)
    regions = np.where(random.random(size) < 0.2, random.permutation(regions.ravel()).reshape(size), regions)
    maps = ClassMaps(classes=(2, 7, 8), maps=random.random((3, 3, 5), np.float32)).resize(size)
    patches = PatchFeatures(random.standard_normal((6, 10, 4)).astype(np.float32), 4, Alignment.PADDED)
    return {"image": photograph(size), "class_maps": maps, "regions": regions, "patches": patches}


@pytest.mark.parametrize("share", [0, 0.7])
def test_the_whole_written_down_superpixel_by_superpixel(share: float) -> None:
    known, classes = example(), (0, 2, 7, 8)
    inside = [known["regions"] == region for region in range(15)]
    means = np.array([[one[pixels].mean(dtype=np.float64) for pixels in inside] for one in known["class_maps"].maps])
    if share:
        vectors = np.array([known["patches"].values.repeat(4, axis=0).repeat(4, axis=1)[pixels].mean(axis=0) for pixels in inside])
        means = spread_in_rounds(means, vectors.astype(np.float64), share, 0.2)
    labels, confidence = np.zeros((24, 40), int), np.zeros((24, 40))
    for pixels, scores in zip(inside, means.T, strict=True):
        sure = scores.max() > 0.52
        labels[pixels] = 1 + scores.argmax() if sure else 0
        confidence[pixels] = scores.max() if sure else 1 - scores.max()
    assert set(np.unique(labels)) >= {0, 1, 2}
    method = dataclasses.replace(METHOD, threshold=0.52, propagation=Propagation(share=share, temperature=0.2))
    [made] = method.refine([evidence(**known)])
    assert np.array_equal(made.labels, np.array(classes)[labels])
    assert np.abs(made.confidence - 255 * confidence).max() <= 0.501
    energy = np.full((4, 24, 40), -np.log(0.4 / 3))
    for place in np.ndindex(24, 40):
        energy[(labels[place], *place)] = -np.log(0.6)
    expected = dense_crf(known["image"], energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3)
    [refined] = dataclasses.replace(method, crf=CRF).refine([evidence(**known)])
    assert np.array_equal(refined.labels, np.array(classes)[expected.argmax(axis=0)])
    assert np.abs(refined.confidence - 255 * expected.max(axis=0)).max() <= 0.501
    assert not np.array_equal(refined.labels, made.labels)


def test_features_are_read_where_scores_spread() -> None:
    assert METHOD.unread == ("features", "edges")
    assert dataclasses.replace(METHOD, propagation=Propagation(share=0.1, temperature=1)).unread == ("edges",)
