"""Scores of superpixels, held against slow transcriptions and counted by hand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.region_scores import (
    Fit,
    RegionScores,
    measure_compactness,
    measure_explained_variation,
    measure_fit,
    score_regions,
)
from seedbed.types import Image, LabelMap, RegionMap
from tests.scoring.test_boundaries import partition, transcribed_counts
from tests.scoring.test_metrics import labels

USUAL = Boundaries(distance=2, share=0.02)
SHAPE = (7, 10)
TRUTHS = arrays.arrays(np.uint8, SHAPE, elements=st.integers(0, 4))
REGIONS = arrays.arrays(np.int32, SHAPE, elements=st.integers(0, 6)).map(
    lambda drawn: np.unique(drawn, return_inverse=True)[1].reshape(SHAPE).astype(np.int32)
)
IMAGES = arrays.arrays(np.uint8, (*SHAPE, 3), elements=st.integers(0, 255))


def pixels_of(regions: npt.NDArray[np.integer]) -> list[set[tuple[int, ...]]]:
    """Places of every label."""
    return [{*map(tuple, np.argwhere(regions == label).tolist())} for label in np.unique(regions)]


def transcribed_fit(regions: RegionMap, truth: LabelMap) -> list[float]:
    """The dissertation's four formulas, word for word."""
    superpixels, segments = pixels_of(regions), pixels_of(truth)
    total = sum(len(segment) for segment in segments)
    leaking = sum(min(len(one & segment), len(one - segment)) for segment in segments for one in superpixels)
    agreeing = sum(max(len(one & segment) for segment in segments) for one in superpixels)
    recalled, true, precise, drawn = transcribed_counts(regions, truth, 2)
    return [leaking / total, recalled / true if true else math.nan, precise / drawn if drawn else math.nan, agreeing / total]


def transcribed_compactness(regions: RegionMap) -> float:
    """Sides of pixels counted one by one."""
    compactness = 0.0
    for region in pixels_of(regions):
        beside = [(y + dy, x + dx) for y, x in region for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        sides = sum(place not in region for place in beside)
        compactness += len(region) / regions.size * 4 * math.pi * len(region) / sides**2
    return compactness


def transcribed_variation(image: Image, regions: RegionMap) -> float:
    mean = image.reshape(-1, 3).mean(axis=0)
    explained = sum(((image[regions == regions[place]].mean(axis=0) - mean) ** 2).sum() for place in np.ndindex(*regions.shape))
    return float(explained / sum(((image[place] - mean) ** 2).sum() for place in np.ndindex(*regions.shape)))


def values(fit: Fit) -> list[float]:
    return [fit.undersegmentation_error, fit.boundary_recall, fit.boundary_precision, fit.achievable_segmentation_accuracy]


@given(IMAGES, REGIONS, st.lists(TRUTHS, min_size=1, max_size=3))
def test_scores_are_those_that_the_papers_write_down(image: Image, regions: RegionMap, annotations: list[LabelMap]) -> None:
    scores = score_regions(image, regions, annotations, boundaries=USUAL)
    assert scores.count == len(pixels_of(regions))
    assert scores.compactness == pytest.approx(transcribed_compactness(regions))
    if len(np.unique(image.reshape(-1, 3), axis=0)) > 1:
        assert scores.explained_variation == pytest.approx(transcribed_variation(image, regions), abs=1e-12)
    expected = [transcribed_fit(regions, truth) for truth in annotations]
    assert [values(fit) for fit in scores.fits] == [pytest.approx(one, nan_ok=True) for one in expected]


def test_annotators_are_averaged_and_who_has_no_figure_is_left_out() -> None:
    regions = partition("0011", "0011")
    first, second = labels("0011", "0011"), labels("0000", "0000")
    scores = score_regions(np.zeros((2, 4, 3), np.uint8), regions, [first, second], boundaries=USUAL)
    assert values(scores.fits[0]) == [0, 1, 1, 1]
    assert values(scores.fits[1]) == [0, pytest.approx(math.nan, nan_ok=True), 0, 1]
    assert values(scores.mean_fit) == [0, 1, 0.5, 1]
    third = score_regions(np.zeros((2, 4, 3), np.uint8), regions, [labels("0111", "0111"), first], boundaries=USUAL)
    assert values(third.mean_fit) == [pytest.approx((4 / 8 + 0) / 2), 1, 1, pytest.approx((6 / 8 + 1) / 2)]


def test_pixels_that_nobody_has_labelled_count_nowhere() -> None:
    fit = measure_fit(partition("0001"), labels("01.."), boundaries=USUAL)
    assert (fit.undersegmentation_error, fit.achievable_segmentation_accuracy) == (1, 0.5)
    nothing = measure_fit(partition("0001"), labels("...."), boundaries=USUAL)
    assert all(math.isnan(value) for value in values(nothing))


def test_compactness_by_hand() -> None:
    assert measure_compactness(partition("00", "00")) == pytest.approx(math.pi / 4)  # a square
    assert measure_compactness(partition("0000", "1111")) == pytest.approx(4 * math.pi * 4 / 10**2)
    assert measure_compactness(partition("0001")) == pytest.approx((3 * 4 * math.pi * 3 / 8**2 + math.pi / 4) / 4)
    assert measure_compactness(partition("010")) == pytest.approx((2 * 4 * math.pi * 2 / 8**2 + math.pi / 4) / 3)  # in two pieces


def test_explained_variation_by_hand() -> None:
    image = np.zeros((1, 4, 3), np.uint8)
    image[0, :, 1] = (0, 2, 10, 12)
    assert measure_explained_variation(image, partition("0011")) == pytest.approx(100 / 104)
    assert measure_explained_variation(image, partition("0123")) == 1
    assert measure_explained_variation(image, partition("0000")) == 0
    assert math.isnan(measure_explained_variation(np.full((1, 4, 3), 7, np.uint8), partition("0011")))


def test_one_annotator_is_the_mean() -> None:
    fit = Fit(undersegmentation_error=0.1, boundary_recall=0.2, boundary_precision=0.3, achievable_segmentation_accuracy=0.4)
    assert RegionScores(count=1, compactness=1, explained_variation=1, fits=(fit,)).mean_fit == fit
