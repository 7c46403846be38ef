"""Boundaries of labels and regions, with known answers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seedbed.boundaries import Boundaries, edges
from tests.test_metrics import labels

USUAL = Boundaries(distance=2, share=0.02, at_void=False)
AT_VOID = dataclasses.replace(USUAL, at_void=True)
REGIONS = arrays.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 12)), elements=st.integers(0, 3))
TRUTHS = arrays.arrays(np.uint8, (7, 10), elements=st.sampled_from([0, 0, 0, 1, 2, 255]))


def partition(*rows: str) -> npt.NDArray[np.int32]:
    """Regions from text."""
    return labels(*rows).astype(np.int32)


def shares(regions: npt.NDArray[np.int32], truth: npt.NDArray[np.uint8], how: Boundaries = USUAL) -> tuple[float, float]:
    """Recall and precision."""
    recalled, true, precise, drawn = how.found(regions, truth)
    return recalled / true, precise / drawn


# --- Which pixels are a boundary ---


def traced(regions: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Pixels on the contours that OpenCV finds of every label, pieces and holes. The image goes on as it ends, so its border is none."""
    found = np.zeros(regions.shape, bool)
    for label in np.unique(regions):
        mask = cv2.copyMakeBorder((regions == label).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        drawn = np.zeros(mask.shape, bool)
        for contour in contours:
            drawn[contour[:, 0, 1], contour[:, 0, 0]] = True
        found |= drawn[1:-1, 1:-1]
    return found


@given(REGIONS, st.integers(1, 3))
def test_edges_are_the_contours_that_opencv_finds(regions: npt.NDArray[np.int32], larger: int) -> None:
    regions = np.kron(regions, np.ones((larger, larger + 1), np.int32))
    assert np.array_equal(edges(regions), traced(regions))


def test_a_hole_has_an_edge_on_both_sides_and_the_border_of_the_image_has_none() -> None:
    found = edges(labels("00000", "00100", "00000"))
    assert np.argwhere(found).tolist() == [[0, 2], [1, 1], [1, 2], [1, 3], [2, 2]]
    assert not edges(labels("000", "000")).any()


def test_where_a_class_ends_at_void_is_a_boundary_if_that_is_wanted() -> None:
    truth = labels("00.11", "00111")
    assert np.argwhere(USUAL.of_truth(truth)).tolist() == [[1, 1], [1, 2]]
    assert np.argwhere(AT_VOID.of_truth(truth)).tolist() == [[0, 1], [0, 3], [1, 1], [1, 2]]


# --- Recall and precision of regions ---


@given(arrays.arrays(np.uint8, (5, 8), elements=st.integers(0, 2)))
def test_regions_that_are_the_truth_have_its_boundary(truth: npt.NDArray[np.uint8]) -> None:
    recalled, true, precise, drawn = USUAL.found(truth.astype(np.int32), truth)
    assert recalled == true == precise == drawn == edges(truth).sum()


@given(TRUTHS)
def test_single_pixels_miss_no_boundary(truth: npt.NDArray[np.uint8]) -> None:
    for how in (USUAL, AT_VOID):
        recalled, true, _, drawn = how.found(np.arange(70, dtype=np.int32).reshape(7, 10), truth)
        assert recalled == true and drawn == (truth != 255).sum()


def test_a_single_region_finds_nothing() -> None:
    assert USUAL.found(np.zeros((2, 4), np.int32), labels("0011", "0011")).tolist() == [0, 4, 0, 0]


def test_a_truth_without_boundary_asks_for_none() -> None:
    assert USUAL.found(partition("0011", "0011"), labels("1111", "1111")).tolist() == [0, 0, 0, 4]


def test_boundaries_meet_that_are_nearer_than_the_distance() -> None:
    truth, moved = labels("000111", "000111"), partition("011111", "011111")  # boundary columns 2, 3 and 0, 1
    assert USUAL.found(moved, truth).tolist() == [2, 4, 2, 4]  # 1 and 2 are next to each other, 3 and 1 are exactly 2 apart
    assert shares(moved, truth, dataclasses.replace(USUAL, distance=2.1)) == (1, 1)
    assert shares(moved, truth, dataclasses.replace(USUAL, distance=1)) == (0, 0)


def test_the_distance_is_measured_straight() -> None:
    truth, regions = labels("1000", "0000", "0000"), partition("0000", "0000", "0001")
    true, drawn = np.argwhere(edges(truth)), np.argwhere(edges(regions))
    apart = np.linalg.norm(true[:, None] - drawn[None], axis=-1)
    for distance in (1.5, 2.0, 2.5, 3.0):
        expected = [(apart < distance).any(axis=1).sum(), len(true), (apart < distance).any(axis=0).sum(), len(drawn)]
        assert dataclasses.replace(USUAL, distance=distance).found(regions, truth).tolist() == expected


def test_region_boundaries_in_void_are_not_asked_but_may_be_found() -> None:
    truth = labels("00..11", "00..11")
    regions = partition("000111", "000111")  # its boundary is in columns 2 and 3, all of them void
    assert USUAL.found(regions, truth).tolist() == [0, 0, 0, 0]
    assert AT_VOID.found(regions, truth).tolist() == [4, 4, 0, 0]


@given(arrays.arrays(np.int32, (7, 10), elements=st.integers(0, 3)), TRUTHS)
def test_all_region_boundaries_but_those_in_void_are_asked(regions: npt.NDArray[np.int32], truth: npt.NDArray[np.uint8]) -> None:
    recalled, true, precise, drawn = USUAL.found(regions, truth)
    assert 0 <= recalled <= true and 0 <= precise <= drawn
    assert drawn == (edges(regions) & (truth != 255)).sum()


# --- Boundary IoU ---


def transcribed(mask: npt.NDArray[np.bool_], share: float) -> npt.NDArray[np.bool_]:
    """The band of a mask as the paper's authors compute it in their released code: what repeated erosion by 3 x 3 takes away."""
    height, width = mask.shape
    dilation = max(1, round(share * math.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=dilation)[1:-1, 1:-1]
    return np.asarray(mask & (eroded == 0))


@given(TRUTHS, arrays.arrays(np.uint8, (7, 10), elements=st.sampled_from([0, 0, 1, 2, 255])), st.sampled_from([0.01, 0.1, 0.2, 1]))
def test_bands_are_those_of_the_paper_s_own_code(truth: npt.NDArray[np.uint8], drawn: npt.NDArray[np.uint8], share: float) -> None:
    expected = []
    for label in range(3):
        first, second = (transcribed(one == label, share) & (truth != 255) for one in (truth, drawn))
        expected.append([(first & second).sum(), (first | second).sum()])
    assert dataclasses.replace(USUAL, share=share).overlap(drawn, truth, num_classes=2).tolist() == expected


def test_boundary_iou_by_hand() -> None:
    truth, drawn = (
        labels(*["0000000"] * 2, *["0011100"] * 3, *["0000000"] * 2),
        labels(*["0000000"] * 2, *["0001110"] * 3, *["0000000"] * 2),
    )
    assert USUAL.band_width(truth.shape) == 1
    # each ring has 8 pixels; the middle of one lies in the ring of the other, so of the 3 x 2 pixels in common, 2 are in one ring only
    assert USUAL.overlap(drawn, truth, num_classes=1)[1].tolist() == [4, 12]


def test_the_width_of_bands_is_a_share_of_the_diagonal() -> None:
    assert [USUAL.band_width(size) for size in ((3, 4), (300, 400), (375, 500), (30, 40))] == [1, 10, 12, 1]


@given(TRUTHS)
def test_identical_labels_have_identical_boundaries(truth: npt.NDArray[np.uint8]) -> None:
    intersection, union = USUAL.overlap(truth, truth, num_classes=2).T
    assert np.array_equal(intersection, union)


def test_pixels_of_void_are_not_counted_and_end_a_class() -> None:
    truth = labels("0000", "..00")
    assert USUAL.overlap(labels("0000", "1100"), truth, num_classes=1).tolist() == [[6, 6], [0, 0]]


def test_unlabelled_pixels_have_no_band() -> None:
    assert USUAL.overlap(labels("...", "..."), labels("011", "011"), num_classes=1).tolist() == [[0, 2], [0, 4]]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_images_of_a_line_have_boundaries_too(size: tuple[int, int]) -> None:
    truth = (np.arange(size[0] * size[1]).reshape(size) > 2).astype(np.uint8)
    assert USUAL.found(truth.astype(np.int32), truth).tolist() == [edges(truth).sum()] * 4
    assert USUAL.overlap(truth, truth, num_classes=1).sum() == 2 * truth.size
