"""Labels of class maps at a threshold, and of predictions with and without a CRF."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed.algorithms.crf import DenseCrf
from seedbed.evaluation import Sweep
from seedbed.evaluation.standard import Standard
from seedbed.scoring import metrics
from seedbed.scoring.boundaries import Boundaries, FilledTruth
from seedbed.types import ClassMaps, Probabilities
from tests.support.oracles import dense_crf, photograph


@pytest.fixture
def standard(small_method: Callable[[str, str], Any]) -> Standard:
    made = small_method("evaluation", "standard")
    assert isinstance(made, Standard)
    return dataclasses.replace(made, threshold=0.3)


def test_where_no_map_exceeds_the_threshold_is_background(standard: Standard) -> None:
    maps = np.array([[[1, 0.3, 0.31]], [[0.5, 0.2, 0.9]]], np.float32)
    assert standard.from_class_maps(ClassMaps(classes=(2, 5), maps=maps)).tolist() == [[2, 0, 5]]


def test_an_image_without_a_class_is_background(standard: Standard) -> None:
    labels = standard.from_class_maps(ClassMaps(classes=(), maps=np.zeros((0, 2, 3), np.float32)))
    assert labels.shape == (2, 3) and not labels.any()


@pytest.mark.parametrize("classes", [(), (2,), (1, 3)])
def test_the_sweep_counts_the_labels_that_every_threshold_would_give(standard: Standard, classes: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    maps = ClassMaps(classes=classes, maps=random.integers(0, 101, (len(classes), 8, 13)).astype(np.float32) / np.float32(100))
    truth = random.choice([0, 1, 2, 3, 255], (8, 13)).astype(np.uint8)
    swept = metrics.threshold_sweep(maps, truth, standard.sweep.thresholds, num_classes=3)
    for threshold, counted in zip(standard.sweep.thresholds, swept, strict=True):
        labels = dataclasses.replace(standard, threshold=float(threshold)).from_class_maps(maps)
        assert np.array_equal(counted, metrics.overlap(metrics.confusion(truth, labels, num_classes=3)))


def test_thresholds_begin_at_none() -> None:
    assert Sweep(count=3, step=0.25).thresholds.tolist() == [0, 0.25, 0.5]


def test_the_usual_sweep_is_that_of_the_literature(standard: Standard) -> None:
    thresholds = standard.sweep.thresholds
    assert len(thresholds) == 60 and thresholds[0] == 0 and thresholds[-1] == pytest.approx(0.59)


def test_predictions_are_reported_before_and_after_the_crf(standard: Standard) -> None:
    maps = np.full((3, 6, 10), 0.1, np.float32)
    maps[0] = 0.8
    maps[:, 3, 4] = (0.3, 0.1, 0.6)  # a lone pixel of another class
    field = dataclasses.replace(standard.crf, smooth_distance=2, smooth_weight=3, iterations=5)
    [kinds] = dataclasses.replace(standard, crf=field).from_probabilities([np.zeros((6, 10, 3), np.uint8)], [Probabilities(maps=maps)])
    assert list(kinds) == ["predictions", "predictions_crf"]
    assert np.argwhere(kinds["predictions"]).tolist() == [[3, 4]] and kinds["predictions"][3, 4] == 2
    assert not kinds["predictions_crf"].any()


# --- As a whole ---

OWN = Standard(
    threshold=0.37,
    sweep=Sweep(count=7, step=0.13),
    boundaries=Boundaries(distance=3.5, share=0.06),
    size_bounds=(0.03, 0.2),
    crf=DenseCrf(
        preset="own", smooth_distance=2, smooth_weight=1.5, colour_distance=17, colour_difference=21, colour_weight=2.5, iterations=3
    ),
)


def test_the_whole_of_class_maps_written_down_pixel_by_pixel() -> None:
    maps = ClassMaps(classes=(1, 4, 6), maps=np.random.default_rng(1).random((3, 9, 11), np.float32) ** 2)
    expected = np.zeros((9, 11))
    for y, x in np.ndindex(9, 11):
        values = [float(one[y, x]) for one in maps.maps]
        if max(values) > 0.37:
            expected[y, x] = maps.classes[values.index(max(values))]
    assert np.array_equal(OWN.from_class_maps(maps), expected)
    assert set(np.unique(expected).tolist()) == {0, 1, 4, 6}


def test_the_whole_of_predictions_is_pydensecrf_called_plainly() -> None:
    image, random = photograph((24, 40)), np.random.default_rng(1)
    maps = random.random((4, 3, 5), np.float32) ** 2 + np.float32(0.01)
    probabilities = Probabilities(maps=maps / maps.sum(axis=0)).resize((24, 40))
    energy = -np.log(np.clip(probabilities.maps, 1e-5, 1))
    refined = dense_crf(image, energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3).argmax(axis=0)
    [kinds] = OWN.from_probabilities([image], [probabilities])
    assert np.array_equal(kinds["predictions"], probabilities.maps.argmax(axis=0))
    assert np.array_equal(kinds["predictions_crf"], refined) and not np.array_equal(refined, kinds["predictions"])


def test_thresholds_and_distances_are_those_that_were_given() -> None:
    assert np.allclose(OWN.sweep.thresholds, [0, 0.13, 0.26, 0.39, 0.52, 0.65, 0.78])
    assert OWN.boundaries.band_width((30, 40)) == 3  # 0.06 of 50 pixels
    truth = np.repeat(np.arange(20) >= 10, 6).reshape(20, 6).T.astype(np.uint8)  # an edge at columns 9 and 10
    for shift, met in ((3, 12), (4, 6), (5, 0)):  # two columns of six pixels; nearer than 3.5 are both, one, none
        regions = np.repeat(np.arange(20) >= 10 + shift, 6).reshape(20, 6).T.astype(np.int32)
        assert OWN.boundaries.found(regions, FilledTruth.of(truth)).tolist() == [met, 12, met, 12]
