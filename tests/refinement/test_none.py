"""Class maps as they are."""

from __future__ import annotations

import numpy as np

from seedbed.refinement.none import Nothing
from seedbed.types import ClassMaps
from tests.support.evidence import evidence

IMAGE = np.zeros((1, 4, 3), np.uint8)


def test_the_strongest_class_above_the_threshold() -> None:
    maps = ClassMaps(classes=(2, 5), maps=np.array([[[0.9, 0.3, 0.1, 0.31]], [[0.2, 0.6, 0.3, 0.5]]], np.float32))
    [made] = Nothing(threshold=0.3).refine([evidence(IMAGE, maps)])
    assert made.labels.tolist() == [[2, 5, 0, 5]]
    assert made.confidence.tolist() == [[round(255 * one) for one in (0.9, 0.6, 0.7, 0.5)]]


def test_an_image_without_classes_is_background() -> None:
    nothing = ClassMaps(classes=(), maps=np.zeros((0, 1, 4), np.float32))
    assert Nothing(threshold=0.3).refine([evidence(IMAGE, nothing)])[0].labels.tolist() == [[0, 0, 0, 0]]


def test_the_whole_written_down_pixel_by_pixel() -> None:
    maps = ClassMaps(classes=(1, 4, 6), maps=np.random.default_rng(1).random((3, 9, 11), np.float32))
    labels, confidence = np.zeros((9, 11)), np.zeros((9, 11))
    for y, x in np.ndindex(9, 11):
        values = [float(one[y, x]) for one in maps.maps]
        sure = max(values) > 0.71
        labels[y, x] = maps.classes[values.index(max(values))] if sure else 0
        confidence[y, x] = round(255 * (max(values) if sure else 1 - max(values)))
    [made] = Nothing(threshold=0.71).refine([evidence(np.zeros((9, 11, 3), np.uint8), maps)])
    assert np.array_equal(made.labels, labels) and np.array_equal(made.confidence, confidence)
